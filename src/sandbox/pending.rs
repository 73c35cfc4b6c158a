//! Pending changes of a guest, and what becomes of volumes that nothing uses any more.

use super::config::number;
use super::disk;
use super::guest::{mount, nic};
use super::storage::split;
use super::world::World;
use super::{mount_point, random};
use crate::model::{GuestId, GuestKind};
use crate::pve::table::grammar_of;

/// Pending changes of a guest come into force: removals first, so that a value set before its key's removal wins. What
/// cannot be made waits on.
pub(super) fn apply(world: &mut World, id: GuestId) {
    let Some(guest) = world.guest(id) else { return };
    if guest.config.pending.is_empty() && guest.config.deleted.is_empty() {
        return;
    }
    let kind = guest.kind;
    let Some(guest) = world.guest_mut(id) else { return };
    let deleted = std::mem::take(&mut guest.config.deleted);
    for (key, force) in &deleted {
        drop_key(world, id, key, *force);
    }
    let Some(guest) = world.guest_mut(id) else { return };
    for (key, value) in std::mem::take(&mut guest.config.pending) {
        match kind {
            GuestKind::Vm => put_key(world, id, &key, &value),
            GuestKind::Lxc => {
                if let (Err(_), Some(guest)) = (put_container_key(world, id, &key, &value), world.guest_mut(id)) {
                    guest.config.pending.insert(key, value);
                }
            }
        }
    }
    forget_used(world, id);
}

/// Puts a value of a container into force. A mount point's volume is made where it asks for a new one; the volume that
/// had been there becomes unused. Answers what the tools say about a volume that they cannot find.
///
/// # Errors
/// Proxmox's words when the volume cannot be made.
pub(super) fn put_container_key(
    world: &mut World,
    id: GuestId,
    key: &str,
    value: &str,
) -> Result<Option<String>, String> {
    let mut complaint = None;
    let mut new = value.to_owned();
    if number(key, "mp").is_some() {
        (new, complaint) = mount_point::realise(world, id, key, value)?;
        let old = world.guest(id).and_then(|guest| guest.config.current.get(key)).map(str::to_owned);
        if let Some(old) = old {
            disuse(world, id, key, &old);
        }
    } else if number(key, "net").is_some() {
        new = container_nic(world, value);
    }
    if let Some(guest) = world.guest_mut(id) {
        guest.config.current.set(key, new);
    }
    forget_used(world, id);
    Ok(complaint)
}

/// A container's interface as it is kept; one without hardware address gets one.
pub(super) fn container_nic(world: &mut World, value: &str) -> String {
    let mut nic = nic(value);
    match nic.get("hwaddr").map(str::to_ascii_uppercase) {
        Some(given) => nic.set("hwaddr", given),
        None => nic.set("hwaddr", new_mac(world)),
    }
    nic.set("type", "veth");
    grammar_of("pct set", "net0").map(|grammar| nic.print(grammar)).unwrap_or_default()
}

/// A hardware address out of Proxmox's range.
pub(super) fn new_mac(world: &mut World) -> String {
    let [.., a, b, c] = random::mix(&[world.random()]).to_be_bytes();
    format!("BC:24:11:{a:02X}:{b:02X}:{c:02X}")
}

/// Volumes that a container uses are no `unusedN`.
pub(super) fn forget_used(world: &mut World, id: GuestId) {
    let Some(guest) = world.guest(id) else { return };
    let config = &guest.config.current;
    let used: Vec<String> =
        config.mount_points().into_iter().filter_map(|(key, value)| volume_of(key, value)).collect();
    for volume in used {
        forget_unused(world, id, &volume);
    }
}

/// Whether a mount point of a container, a pending one or one of a snapshot has a volume.
pub(super) fn is_used(world: &World, id: GuestId, volume: &str) -> bool {
    let Some(guest) = world.guest(id) else { return false };
    let sections = std::iter::once(&guest.config.current).chain(guest.config.snapshots.values());
    let used = |key: &str, value: &str| volume_of(key, value).as_deref() == Some(volume);
    let pending = guest.config.pending.iter().filter(|(key, _)| number(key, "mp").is_some());
    sections.flat_map(|section| section.mount_points()).any(|(key, value)| used(key, value))
        || pending.into_iter().any(|(key, value)| used(key, value))
}

/// Puts a value into force; the volume of the drive or mount point that had been there becomes `unusedN`.
pub(super) fn put_key(world: &mut World, id: GuestId, key: &str, value: &str) {
    let old = world.guest(id).and_then(|guest| guest.config.current.get(key)).map(str::to_owned);
    if let Some(old) = old.filter(|old| volume_of(key, old) != volume_of(key, value)) {
        disuse(world, id, key, &old);
    }
    if let Some(guest) = world.guest_mut(id) {
        guest.config.current.set(key, value);
    }
}

/// Removes a key from what is in force. With `force` the volume of a drive goes too.
pub(super) fn drop_key(world: &mut World, id: GuestId, key: &str, force: bool) {
    let value = world.guest(id).and_then(|guest| guest.config.current.get(key)).map(str::to_owned);
    let volume = value.filter(|_| force && disk::is_drive(key)).and_then(|value| volume_of(key, &value));
    remove_key(world, id, key);
    if let Some(volume) = volume {
        forget_unused(world, id, &volume);
        world.remove_volume(&volume);
    }
}

/// Removes a key from what is in force; the volume of a mount point becomes `unusedN`.
pub(super) fn remove_key(world: &mut World, id: GuestId, key: &str) {
    let Some(old) = world.guest_mut(id).and_then(|guest| guest.config.current.remove(key)) else { return };
    disuse(world, id, key, &old);
}

/// The volume that a mount point's or drive's value names; nothing for other keys, for the node's own paths and for
/// images in CD drives.
pub(super) fn volume_of(key: &str, value: &str) -> Option<String> {
    let point = key == "rootfs" || number(key, "mp").is_some();
    let volume = if point {
        mount(key, value).get("volume")?.to_owned()
    } else if disk::is_drive(key) {
        let drive = disk::drive(key, value);
        if disk::is_cdrom(&drive) && !disk::is_cloud_init(&drive) {
            return None;
        }
        disk::file(&drive).to_owned()
    } else if number(key, "unused").is_some() {
        value.split(',').next()?.to_owned()
    } else if key == "vmstate" {
        value.to_owned()
    } else {
        return None;
    };
    split(&volume).is_some().then_some(volume)
}

/// Enters the volume of a former mount point or drive under the lowest free `unusedN`. What cloud-init read goes.
pub(super) fn disuse(world: &mut World, id: GuestId, key: &str, value: &str) {
    if number(key, "unused").is_some() {
        return;
    }
    let Some(volume) = volume_of(key, value) else { return };
    if disk::is_drive(key) && disk::is_cloud_init(&disk::drive(key, value)) {
        world.remove_volume(&volume);
        return;
    }
    let Some(guest) = world.guest_mut(id) else { return };
    let config = &mut guest.config.current;
    if config.numbered("unused").iter().any(|(_, unused)| *unused == volume) {
        return;
    }
    let free = (0..).map(|n| format!("unused{n}")).find(|key| config.get(key).is_none()).unwrap_or_default();
    config.set(&free, volume);
}

/// A volume that is used again, or gone, is no `unusedN` any more.
pub(super) fn forget_unused(world: &mut World, id: GuestId, volume: &str) {
    let Some(guest) = world.guest(id) else { return };
    let unused = guest.config.current.numbered("unused").into_iter();
    let keys: Vec<String> = unused.filter(|(_, unused)| *unused == volume).map(|(key, _)| key.to_owned()).collect();
    if keys.is_empty() {
        return;
    }
    if let Some(guest) = world.guest_mut(id) {
        keys.iter().for_each(|key| _ = guest.config.current.remove(key));
    }
}
