//! Pending changes of a guest, and what becomes of volumes that nothing uses any more.

use super::config::number;
use super::disk;
use super::guest::mount;
use super::storage::split;
use super::world::World;
use crate::model::GuestId;

/// Pending changes of a guest come into force: removals first, so that a value set before its key's removal wins.
pub(super) fn apply(world: &mut World, id: GuestId) {
    let Some(guest) = world.guest(id) else { return };
    if guest.config.pending.is_empty() && guest.config.deleted.is_empty() {
        return;
    }
    let Some(guest) = world.guest_mut(id) else { return };
    let pending = std::mem::take(&mut guest.config.pending);
    let deleted = std::mem::take(&mut guest.config.deleted);
    for (key, force) in &deleted {
        drop_key(world, id, key, *force);
    }
    for (key, value) in pending {
        put_key(world, id, &key, &value);
    }
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
