//! Drives of virtual machines: their keys, and what their values say.

use super::config::{Section, number};
use super::storage::size_bytes;
use crate::pve::property::Properties;
use crate::pve::table::grammar_of;

/// Buses in the order in which Proxmox goes through them, and how many drives each has.
const BUSES: [(&str, u32); 4] = [("ide", 4), ("scsi", 31), ("virtio", 16), ("sata", 6)];
/// Drives that belong to the firmware.
const FIRMWARE: [&str; 2] = ["efidisk0", "tpmstate0"];

/// Bytes of the drive that cloud-init reads.
pub(super) const CLOUD_INIT_SIZE: u64 = 4 << 20;

/// Whether a key of a virtual machine is a drive.
pub(super) fn is_drive(key: &str) -> bool {
    FIRMWARE.contains(&key) || BUSES.iter().any(|(bus, count)| number(key, bus).is_some_and(|at| at < *count))
}

/// A drive's value, taken apart.
pub(super) fn drive(key: &str, value: &str) -> Properties {
    Properties::of_option("qm set", key, value).unwrap_or_default()
}

/// A drive's value in canonical order.
pub(super) fn print(key: &str, drive: &Properties) -> String {
    grammar_of("qm set", key).map(|grammar| drive.print(grammar)).unwrap_or_default()
}

/// The volume or word that a drive's value begins with.
pub(super) fn file(drive: &Properties) -> &str {
    drive.get("file").unwrap_or_default()
}

/// Whether it is a CD drive, the one of cloud-init among them.
pub(super) fn is_cdrom(drive: &Properties) -> bool {
    drive.get("media") == Some("cdrom") || matches!(file(drive), "none" | "cdrom")
}

/// Whether it is the drive that cloud-init reads.
pub(super) fn is_cloud_init(drive: &Properties) -> bool {
    let file = file(drive);
    let leaf = file.rsplit(['/', ':']).next().unwrap_or(file);
    is_cdrom(drive)
        && leaf.starts_with("vm-")
        && leaf.split('.').next().is_some_and(|stem| stem.ends_with("-cloudinit"))
}

/// All drives of a configuration in Proxmox's order.
pub(super) fn drives(section: &Section) -> Vec<(String, Properties)> {
    let buses = BUSES.iter().flat_map(|(bus, _)| section.numbered(bus));
    let firmware = FIRMWARE.iter().filter_map(|key| Some((*key, section.get(key)?)));
    buses
        .chain(firmware)
        .filter(|(key, _)| is_drive(key))
        .map(|(key, value)| (key.to_owned(), drive(key, value)))
        .collect()
}

/// Key and value of the drive that cloud-init reads.
pub(super) fn cloud_init_drive(section: &Section) -> Option<(String, Properties)> {
    drives(section).into_iter().find(|(_, drive)| is_cloud_init(drive))
}

/// Devices that `boot: order=` names.
pub(super) fn boot_order(section: &Section) -> Vec<String> {
    let order = section.get("boot").and_then(|boot| boot.split(',').find_map(|part| part.strip_prefix("order=")));
    order.map(|order| order.split(';').map(str::to_owned).collect()).unwrap_or_default()
}

/// The value of `boot` for these devices.
pub(super) fn print_boot_order(devices: &[String]) -> String {
    if devices.is_empty() { String::new() } else { format!("order={}", devices.join(";")) }
}

/// What a new machine boots from: its first disk, its first CD drive, its first interface.
pub(super) fn default_boot_order(section: &Section) -> Vec<String> {
    let drives: Vec<(String, Properties)> =
        drives(section).into_iter().filter(|(key, _)| !FIRMWARE.contains(&key.as_str())).collect();
    let first = |cdrom: bool| drives.iter().find(|(_, drive)| is_cdrom(drive) == cdrom).map(|(key, _)| key.clone());
    let net = section.numbered("net").first().map(|(key, _)| (*key).to_owned());
    [first(false), first(true), net].into_iter().flatten().collect()
}

/// Bytes of the disk that a machine boots from, as its configuration says.
pub(super) fn boot_disk_size(section: &Section) -> u64 {
    let disks: Vec<(String, Properties)> = drives(section).into_iter().filter(|(_, drive)| !is_cdrom(drive)).collect();
    let first = boot_order(section).into_iter().find_map(|key| disks.iter().find(|(name, _)| *name == key));
    first.and_then(|(_, drive)| size_bytes(drive.get("size")?)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::config::Config;

    #[test]
    fn a_machine_boots_from_its_first_disk_first_cd_drive_and_first_interface() {
        let config = Config::parse(
            "ide2: local:9/vm-9-cloudinit.qcow2,media=cdrom\nnet1: virtio=02:00:00:00:00:01\nscsi1: tank:vm-9-disk-1\nvirtio0: tank:vm-9-disk-0\nefidisk0: tank:vm-9-disk-2\n",
        );
        assert_eq!(default_boot_order(&config.current), ["scsi1", "ide2", "net1"]);
        let (key, drive) = cloud_init_drive(&config.current).unwrap();
        assert_eq!((key.as_str(), file(&drive)), ("ide2", "local:9/vm-9-cloudinit.qcow2"));
        assert!(!is_drive("scsi31") && is_drive("sata5") && !is_drive("scsihw"));
    }
}
