//! Where the disks of a present virtual machine lie, and what can be done with all of them together.

use super::super::guest_config::GuestConfig;
use super::super::inventory::Inventory;
use super::super::storage::{Capability, DiskFormat};
use super::super::tool::is_disk;
use super::ROOT;
use crate::model::GuestKind;

/// A disk key, and what it stands for.
struct Disk<'a> {
    key: &'a str,
    /// Storage and volume name; absent: a device of the node.
    volume: Option<(&'a str, &'a str)>,
    source: &'a str,
}

impl Disk<'_> {
    fn format(&self) -> DiskFormat {
        let qcow2 = self.volume.is_some_and(|(_, name)| name.ends_with(".qcow2"));
        if qcow2 { DiskFormat::Qcow2 } else { DiskFormat::Raw }
    }

    fn is_cloud_init(&self) -> bool {
        self.volume.is_some_and(|(_, name)| name.contains("-cloudinit"))
    }
}

/// The disks by key; drives for CDs are none, but the one of cloud-init is.
fn disks(config: &GuestConfig) -> impl Iterator<Item = Disk<'_>> {
    config.current.entries().filter(|(key, _)| is_disk(GuestKind::Vm, key)).filter_map(|(key, value)| {
        let mut parts = value.split(',');
        let first = parts.next().unwrap_or_default();
        let source = first.strip_prefix("file=").unwrap_or(first);
        let volume = source.split_once(':').filter(|_| !source.starts_with('/'));
        let disk = Disk { key, volume, source };
        let is_drive = parts.any(|part| part == "media=cdrom") && !disk.is_cloud_init();
        (!is_drive && source != "none").then_some(disk)
    })
}

/// Why Proxmox cannot take a snapshot of this machine; absent: it can.
pub fn snapshot_obstacle(config: &GuestConfig, inventory: &Inventory) -> Option<String> {
    disks(config).find_map(|disk| match disk.volume {
        None => Some(format!("{} is {} of the node, which Proxmox cannot snapshot", disk.key, disk.source)),
        Some((storage, _)) if can(inventory, storage, Capability::DiskSnapshot(disk.format())) => None,
        Some((storage, _)) => {
            let format = if disk.format() == DiskFormat::Qcow2 { "qcow2" } else { "raw" };
            Some(format!("storage `{storage}` cannot snapshot {format} disks"))
        }
    })
}

/// Disks of a template that are no base volumes.
pub fn unconverted(config: &GuestConfig) -> Vec<String> {
    let is_base = |name: &str| name.rsplit('/').next().is_some_and(|name| name.starts_with("base-"));
    let disks = disks(config).filter(|disk| !disk.is_cloud_init());
    disks.filter(|disk| disk.volume.is_some_and(|(_, name)| !is_base(name))).map(|disk| disk.key.to_owned()).collect()
}

/// Whether a clone whose root disk is to lie on `storage` can be linked to this template: it lies where the template
/// lies, on storages that can make one.
pub fn can_link(template: &GuestConfig, inventory: &Inventory, storage: &str) -> bool {
    disks(template).filter(|disk| !disk.is_cloud_init()).all(|disk| match disk.volume {
        None => false,
        Some((on, _)) => {
            can(inventory, on, Capability::DiskLinkedClone(disk.format())) && (disk.key != ROOT || on == storage)
        }
    })
}

fn can(inventory: &Inventory, storage: &str, capability: Capability) -> bool {
    inventory.storage(storage).is_some_and(|storage| storage.can(capability))
}
