//! Where the disks of a present container lie, and what can be done with all of them together.

use super::super::guest_config::GuestConfig;
use super::super::inventory::Inventory;
use super::super::storage::Capability;

/// What a disk key (`rootfs`, `mpN`) stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk<'a> {
    /// A volume on this storage.
    Volume(&'a str),
    /// A directory or device of the node.
    OfNode(&'a str),
}

/// The disks of a container by key.
pub fn disks(config: &GuestConfig) -> Vec<(&str, Disk<'_>)> {
    let is_disk = |key: &str| key == "rootfs" || key.strip_prefix("mp").is_some_and(|n| n.parse::<u32>().is_ok());
    let disk = |value| {
        let source = str::split(value, ',').next().unwrap_or_default();
        let source = source.strip_prefix("volume=").unwrap_or(source);
        match source.split_once(':') {
            Some((storage, _)) if !source.starts_with('/') => Disk::Volume(storage),
            _ => Disk::OfNode(source),
        }
    };
    config.current.entries().filter(|(key, _)| is_disk(key)).map(|(key, value)| (key, disk(value))).collect()
}

/// Why Proxmox cannot take a snapshot of this container; absent: it can.
pub fn snapshot_obstacle(config: &GuestConfig, inventory: &Inventory) -> Option<String> {
    disks(config).into_iter().find_map(|(key, disk)| match disk {
        Disk::OfNode(path) => Some(format!("{key} shows {path} of the node, which Proxmox cannot snapshot")),
        Disk::Volume(storage) if can(inventory, storage, Capability::ContainerSnapshot) => None,
        Disk::Volume(storage) => Some(format!("storage `{storage}` cannot snapshot containers")),
    })
}

/// Whether a clone whose root disk is to lie on `storage` can be linked to this template: it lies where the template
/// lies, on storages that can make one.
pub fn can_link(template: &GuestConfig, inventory: &Inventory, storage: &str) -> bool {
    disks(template).into_iter().all(|(key, disk)| match disk {
        Disk::OfNode(_) => false,
        Disk::Volume(on) => can(inventory, on, Capability::ContainerLinkedClone) && (key != "rootfs" || on == storage),
    })
}

fn can(inventory: &Inventory, storage: &str, capability: Capability) -> bool {
    inventory.storage(storage).is_some_and(|storage| storage.can(capability))
}
