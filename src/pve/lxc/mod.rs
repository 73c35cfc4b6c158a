//! What a declared container should look like on the node, and how the present one differs.

mod compare;
mod mounts;
mod raw;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

pub use compare::difference;
pub use volumes::{Disk, can_link, disks, snapshot_obstacle};

use super::difference::{Changes, Known};
use super::guest_config::GuestConfig;
use super::inventory::Present;
use super::tool::Options;
use crate::model::{
    Address, BindMount, Boot, Device, Guest, GuestKind, LxcNeeds, Nic, Prepared, RootDisk, Site, Volume,
};

/// A container as declared, in Proxmox's terms. Whatever is not in here is not ours and is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Keys with plain values: `cores`, `memory`, `hostname`, ...
    pub keys: BTreeMap<String, String>,
    /// Root inside is an ordinary user of the node. Only a new container can have another value.
    pub unprivileged: bool,
    /// `features`; empty: left alone.
    pub features: BTreeMap<String, String>,
    /// Tags that have to be among its tags.
    pub tags: BTreeSet<String>,
    /// Place in the start order and pauses; absent parts are left alone.
    pub startup: Boot,
    /// `net0`, `net1`, ...
    pub nics: Vec<Nic>,
    /// Root disk.
    pub root: RootDisk,
    /// Volumes of its own, known by their mount path.
    pub volumes: Vec<Volume>,
    /// Directories of the node as `mpN`, known by their mount path.
    pub binds: Vec<BindMount>,
    /// Device nodes as `devN`, known by their path.
    pub devices: Vec<Device>,
    /// Raw `lxc.*` lines.
    pub raw: Vec<(String, String)>,
}

/// The container that a guest declares, with what its scripts need (`needs`, `prepared`).
///
/// A directory of the node becomes an `mpN`, unless snapshots or clones are to be made of the guest: Proxmox makes
/// neither of a guest with such a mount point, but of one with the same directory as a raw `lxc.mount.entry`. Single
/// files are always raw, as an `mpN` shows directories only.
pub fn desired(site: &Site, guest: &Guest, needs: LxcNeeds, prepared: &Prepared) -> Desired {
    let snapshots = &guest.snapshots;
    let snapshotted = [&snapshots.before_features, &snapshots.after_features, &snapshots.template];
    let copied = guest.is_template || snapshotted.iter().any(|name| name.is_some()) || site.is_clone_source(guest.id);
    let mounts = guest.mounts.iter().chain(&prepared.mounts).cloned();
    // Ids are mapped for mount points only.
    let (raw_binds, binds): (Vec<_>, Vec<_>) =
        mounts.partition(|mount| (copied || mount.file) && mount.id_map.is_none());

    let mut keys =
        BTreeMap::from([("hostname", guest.name.clone()), ("onboot", u8::from(guest.boot.start_at_boot).to_string())]);
    let numbers = [("cores", guest.cores), ("memory", guest.memory_mb)];
    keys.extend(numbers.into_iter().filter(|(_, number)| *number > 0).map(|(key, number)| (key, number.to_string())));
    keys.extend(guest.swap_mb.map(|swap| ("swap", swap.to_string())));
    if !guest.nameservers.is_empty() {
        let servers: Vec<String> = guest.nameservers.iter().map(ToString::to_string).collect();
        keys.insert("nameserver", servers.join(" "));
    }
    keys.extend(guest.search_domain.clone().map(|domain| ("searchdomain", domain)));
    let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(guest.options.clone()).collect();

    let mut features = guest.lxc.features.clone();
    let wanted = [("nesting", needs.nesting), ("keyctl", needs.keyctl), ("fuse", needs.fuse)];
    features.extend(wanted.into_iter().filter(|(_, on)| *on).map(|(name, _)| (name.to_owned(), "1".to_owned())));
    features.extend(prepared.features.clone());

    let mut raw = guest.lxc.raw.clone();
    raw.extend(prepared.lines.iter().cloned());
    raw.extend(raw::id_map_lines(&guest.lxc.id_maps));
    raw.extend(raw_binds.iter().map(raw::mount_entry));

    let mut tags: BTreeSet<String> = guest.tags.iter().map(|tag| tag.to_lowercase()).collect();
    tags.insert(super::MARK.to_owned());
    Desired {
        keys,
        unprivileged: guest.lxc.unprivileged,
        features,
        tags,
        startup: guest.boot.clone(),
        nics: guest.nics.clone(),
        root: guest.root.clone(),
        volumes: guest.volumes.clone(),
        binds,
        devices: devices(guest, prepared),
        raw,
    }
}

/// The declared devices, then those that scripts need and nobody declares.
fn devices(guest: &Guest, prepared: &Prepared) -> Vec<Device> {
    let declared = &guest.lxc.devices;
    let needed = prepared.devices.iter().filter(|(path, _)| declared.iter().all(|device| device.path != **path));
    let needed =
        needed.map(|(path, mode)| Device { path: path.clone(), mode: Some(mode.clone()), ..Device::default() });
    declared.iter().cloned().chain(needed).collect()
}

impl Desired {
    /// The options of a `pct create` that makes it, raw lines excepted: those only a file can hold.
    pub fn create_options(&self) -> Options {
        let nothing =
            Present { kind: GuestKind::Lxc, node: String::new(), config: GuestConfig::default(), running: false };
        let mut rootfs = format!("{}:{}", self.root.storage, self.root.size_gb);
        for (part, value) in &self.root.options {
            rootfs.push_str(&format!(",{part}={value}"));
        }
        let unprivileged = u8::from(self.unprivileged).to_string();
        let mut options = vec![("rootfs".to_owned(), rootfs), ("unprivileged".to_owned(), unprivileged)];
        let Changes { set, .. } = difference(self, &nothing, &Known::default());
        options.extend(set);
        options
    }
}

/// The parts of `netN` that are ours, with their values; absent ones are not to be there. What is not declared of the
/// second half is left alone.
fn nic_parts(nic: &Nic) -> Vec<(&'static str, Option<String>)> {
    let (ip, ip6) = match nic.address {
        Address::Dhcp => (Some("dhcp".to_owned()), None),
        Address::Manual => (None, None),
        Address::Static(cidr) if cidr.address.is_ipv4() => (Some(cidr.to_string()), None),
        Address::Static(cidr) => (None, Some(cidr.to_string())),
    };
    let gateway = |v4: bool| nic.gateway.filter(|gateway| gateway.is_ipv4() == v4).map(|gateway| gateway.to_string());
    let mut parts = vec![
        ("name", Some(nic.name.clone())),
        ("bridge", Some(nic.bridge.clone())),
        ("firewall", nic.firewall.then(|| "1".to_owned())),
        ("gw", gateway(true)),
        ("ip", ip),
        ("tag", nic.vlan.map(|tag| tag.to_string())),
    ];
    let optional = [
        ("gw6", gateway(false).or(nic.gateway6.map(|gateway| gateway.to_string()))),
        ("ip6", ip6.or(nic.address6.map(|address| address.to_string()))),
        ("mtu", nic.mtu.map(|mtu| mtu.to_string())),
        ("rate", nic.rate.clone()),
    ];
    parts.extend(optional.into_iter().filter(|(_, value)| value.is_some()));
    parts
}
