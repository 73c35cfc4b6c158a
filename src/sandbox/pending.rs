//! Pending changes of a container, and what becomes of volumes that nothing mounts any more.

use super::config::number;
use super::guest::mount;
use super::storage::split;
use super::world::World;
use crate::model::{GuestId, GuestKind};

/// Pending changes of a container come into force: removals first, so that a value set before its key's removal wins.
pub(super) fn apply(world: &mut World, id: GuestId) {
    let Some(guest) = world.guest(id).filter(|guest| guest.kind == GuestKind::Lxc) else { return };
    if guest.config.pending.is_empty() && guest.config.deleted.is_empty() {
        return;
    }
    let Some(guest) = world.guest_mut(id) else { return };
    let pending = std::mem::take(&mut guest.config.pending);
    let deleted = std::mem::take(&mut guest.config.deleted);
    for key in deleted.keys() {
        remove_key(world, id, key);
    }
    for (key, value) in pending {
        let old = world.guest(id).and_then(|guest| guest.config.current.get(&key)).map(str::to_owned);
        if let Some(old) = old.filter(|old| volume_of(&key, old) != volume_of(&key, &value)) {
            disuse(world, id, &key, &old);
        }
        if let Some(guest) = world.guest_mut(id) {
            guest.config.current.set(&key, value);
        }
    }
}

/// Removes a key from what is in force; the volume of a mount point becomes `unusedN`.
pub(super) fn remove_key(world: &mut World, id: GuestId, key: &str) {
    let Some(old) = world.guest_mut(id).and_then(|guest| guest.config.current.remove(key)) else { return };
    disuse(world, id, key, &old);
}

/// The volume that a mount point's value names; nothing for other keys and for the node's own paths.
pub(super) fn volume_of(key: &str, value: &str) -> Option<String> {
    let point = key == "rootfs" || number(key, "mp").is_some();
    let volume = if point {
        mount(key, value).get("volume")?.to_owned()
    } else if number(key, "unused").is_some() {
        value.split(',').next()?.to_owned()
    } else {
        return None;
    };
    split(&volume).is_some().then_some(volume)
}

/// Enters the volume of a former mount point under the lowest free `unusedN`.
pub(super) fn disuse(world: &mut World, id: GuestId, key: &str, value: &str) {
    if number(key, "unused").is_some() {
        return;
    }
    let Some(volume) = volume_of(key, value) else { return };
    let Some(guest) = world.guest_mut(id) else { return };
    let config = &mut guest.config.current;
    if config.numbered("unused").iter().any(|(_, unused)| *unused == volume) {
        return;
    }
    let free = (0..).map(|n| format!("unused{n}")).find(|key| config.get(key).is_none()).unwrap_or_default();
    config.set(&free, volume);
}
