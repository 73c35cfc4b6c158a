//! Volumes of containers: moved, checked, mounted, found again.

use std::fmt::Write;

use super::*;
use crate::sandbox::config::number;
use crate::sandbox::guest::{is_host_path, mount as parsed};
use crate::sandbox::pending::{disuse, volume_of};
use crate::sandbox::storage::size_text;
use crate::sandbox::{mount_point, pace};

/// `pct move-volume ID VOLUME STORAGE`, or to another container.
pub(super) fn move_volume(s: &mut Session, call: &Call) -> Done<i32> {
    let word = |at: usize, option: &str| {
        call.positionals.get(at).cloned().or_else(|| call.option(option).map(str::to_owned)).filter(|w| !w.is_empty())
    };
    match (word(2, "storage"), word(3, "target-vmid")) {
        (Some(_), Some(_)) => Err(fail("either set storage or target-vmid, but not both")),
        (Some(storage), None) => to_storage(s, call, &storage),
        (None, Some(target)) => {
            let key = call.positionals.get(1).cloned().unwrap_or_default();
            let target = target.parse().map_err(|_| fail(format!("unable to parse guest ID '{target}'")))?;
            let target_key = word(4, "target-volume").unwrap_or_else(|| key.clone());
            to_container(s, call, &key, target, &target_key)
        }
        (None, None) => {
            let message = "both 'storage' and 'target-vmid' missing, either needs to be set";
            Err(bad_parameters(call, &[("storage", message), ("target-vmid", message)]))
        }
    }
}

fn to_storage(s: &mut Session, call: &Call, target: &str) -> Done<i32> {
    let id = id_at(call, 0)?;
    let key = call.positionals.get(1).cloned().unwrap_or_default();
    flock(s, id)?;
    unlocked(s.world(), id)?;
    if here(s.world(), id)?.running.is_some() {
        return Err(fail("cannot move volumes of a running container"));
    }
    if number(&key, "unused").is_some() {
        let only = "only configured volumes can be moved to another storage";
        return Err(fail(format!("cannot move volume '{key}', {only}")));
    }
    let Some(value) = here(s.world(), id)?.config.current.get(&key).map(str::to_owned) else {
        return Err(resize::no_such_mount_point());
    };
    let mut point = parsed(&key, &value);
    let volume = point.get("volume").unwrap_or_default().to_owned();
    let mut snapshots = here(s.world(), id)?.config.snapshots.values();
    let uses = |section: &crate::sandbox::config::Section| {
        let points = section.mount_points().into_iter();
        points.filter_map(|(key, value)| volume_of(key, value)).any(|other| other == volume)
    };
    if call.is_on("delete") && snapshots.any(uses) {
        return Err(fail("you can't move a volume with snapshots and delete the source"));
    }
    unmodified(s.world(), id, call)?;
    here_mut(s.world_mut(), id)?.config.current.set("lock", "disk");
    s.commit()?;
    let moved = task(s, Exit::Follows, |s| {
        if is_host_path(&volume) {
            let kind = if volume.starts_with("/dev/") { "device" } else { "bind" };
            return Err(fail(format!("cannot copy volumes of type {kind}")));
        }
        let storage = s.world().usable_storage(target).map_err(fail)?.clone();
        let missing = || fail(format!("volume '{volume}' does not exist"));
        let size = s.world().volumes().get(&volume).ok_or_else(missing)?.size;
        let copy = s.world_mut().allocate(&storage, id, size).map_err(fail)?;
        unflock(s, id);
        work_for(s, pace::MOVE_VOLUME)?;
        point.set("volume", copy);
        point.set("size", size_text(size));
        here_mut(s.world_mut(), id)?.config.current.set(&key, mount_point::print(&key, &point));
        if call.is_on("delete") {
            s.world_mut().remove_volume(&volume);
        } else {
            disuse(s.world_mut(), id, &key, &value);
        }
        Ok(())
    })?;
    here_mut(s.world_mut(), id)?.config.current.remove("lock");
    Ok(moved)
}

/// Gives a volume to another container, under a name of that one.
fn to_container(s: &mut Session, call: &Call, key: &str, target: GuestId, target_key: &str) -> Done<i32> {
    let id = id_at(call, 0)?;
    let value = reassignable(s.world(), id, key, target, target_key)?;
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        s.print(format!("moving volume '{key}' from container '{id}' to '{target}'"));
        let old = volume_of(key, &value).ok_or_else(|| fail(format!("Volume '{key}' has no associated image")))?;
        let missing = || fail(format!("volume '{old}' does not exist"));
        let storage = s.world().storage_of(&old).cloned().ok_or_else(missing)?;
        let mut volume = s.world_mut().remove_volume(&old).ok_or_else(missing)?;
        let free = s.world().free_number(&storage, target);
        let new = format!("{}:{}", storage.id, storage.volume_name(target, free, &volume.format));
        volume.owner = target;
        s.world_mut().put_volume(&new, volume);
        here_mut(s.world_mut(), id)?.config.current.remove(key);
        s.print(format!("removing volume '{key}' from container '{id}' config"));
        let value = if number(target_key, "unused").is_some() {
            new
        } else {
            let mut point = parsed(key, &value);
            point.set("volume", new);
            mount_point::print(target_key, &point)
        };
        here_mut(s.world_mut(), target)?.config.current.set(target_key, value);
        s.print(format!("target container '{target}' updated with '{target_key}'"));
        Ok(())
    })
}

/// The value of a volume that can be given to another container.
fn reassignable(world: &World, id: GuestId, key: &str, target: GuestId, target_key: &str) -> Done<String> {
    let unused = |key: &str| number(key, "unused").is_some();
    if key == "rootfs" || target_key == "rootfs" {
        return Err(fail("Cannot move to/from 'rootfs'"));
    }
    if unused(key) && !unused(target_key) {
        return Err(fail("Moving an unused volume to a used one is not possible"));
    }
    for id in [id, target] {
        if world.guest(id).is_none() {
            return Err(fail(format!("could not find CT {id}")));
        }
    }
    unlocked(world, id)?;
    unlocked(world, target)?;
    let (source, other) = (here(world, id)?, here(world, target)?);
    if source.config.current.is_on("template") || other.config.current.is_on("template") {
        return Err(fail("Can't move volumes from or to template CT"));
    }
    let absent = || fail(format!("volume '{key}' for container '{id}' does not exist"));
    let value = source.config.current.get(key).ok_or_else(absent)?;
    if other.config.current.get(target_key).is_some() {
        let message = format!("Target volume key '{target_key}' is already in use for container '{target}'");
        return Err(fail(message));
    }
    let Some(volume) = volume_of(key, value) else {
        return Err(fail("Cannot move a bindmount or device mount to another container"));
    };
    let in_snapshot = source.config.snapshots.values().flat_map(|section| section.mount_points());
    if in_snapshot.into_iter().any(|(key, value)| volume_of(key, value).as_deref() == Some(&volume)) {
        return Err(fail("Cannot move volume used by a snapshot to another container"));
    }
    if source.running.is_some() && !unused(key) {
        return Err(fail("Cannot move in-use volume while the source CT is running - detach or shutdown first"));
    }
    Ok(value.to_owned())
}

/// Enters volumes that nobody names as `unusedN`, and corrects sizes.
pub(super) fn rescan(s: &mut Session, call: &Call) -> Done<i32> {
    let dry = call.is_on("dryrun");
    if dry {
        s.print("NOTE: running in dry-run mode, won't write changes out!");
    }
    s.print("rescan volumes...");
    let ids: Vec<GuestId> = match call.option("vmid").and_then(|id| id.parse().ok()) {
        Some(id) => vec![id],
        None => {
            let here = |guest: &&Guest| guest.kind == GuestKind::Lxc && guest.node.is_none();
            s.world().guests().filter(here).map(|guest| guest.id).collect()
        }
    };
    for id in ids {
        flock(s, id)?;
        unlocked(s.world(), id)?;
        let before = here(s.world(), id)?.config.clone();
        rescan_one(s, id)?;
        if dry {
            here_mut(s.world_mut(), id)?.config = before;
        }
    }
    Ok(0)
}

fn rescan_one(s: &mut Session, id: GuestId) -> Done {
    let config = here(s.world(), id)?.config.current.clone();
    let named = |volume: &str| {
        let keys = config.mount_points().into_iter().chain(config.numbered("unused"));
        keys.filter_map(|(key, value)| volume_of(key, value)).any(|other| other == volume)
    };
    let mine = s.world().volumes().iter().filter(|(volid, volume)| volume.owner == id && !named(volid));
    let lost: Vec<String> = mine.map(|(volid, _)| volid.clone()).collect();
    for volume in lost {
        let config = &mut here_mut(s.world_mut(), id)?.config.current;
        let key = (0..).map(|n| format!("unused{n}")).find(|key| config.get(key).is_none()).unwrap_or_default();
        config.set(&key, volume.clone());
        s.print(format!("CT {id}: add unreferenced volume '{volume}' as '{key}' to config."));
    }
    for (key, value) in config.mount_points() {
        let mut point = parsed(key, value);
        let volume = point.get("volume").unwrap_or_default().to_owned();
        let Some(size) = s.world().volumes().get(&volume).map(|known| size_text(known.size)) else { continue };
        if point.get("size") != Some(&size) {
            s.print(format!("CT {id}: updated volume size of '{volume}' in config."));
            point.set("size", size);
            here_mut(s.world_mut(), id)?.config.current.set(key, mount_point::print(key, &point));
        }
    }
    Ok(())
}

pub(super) fn fsck(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let key = call.option("device").unwrap_or("rootfs").to_owned();
    flock(s, id)?;
    let guest = here(s.world(), id)?;
    let Some(value) = guest.config.current.get(&key) else {
        return Err(fail(format!("cannot run command on non-existing mount point {key}")));
    };
    if guest.running.is_some() {
        return Err(fail("cannot run fsck when container is running"));
    }
    let volume = parsed(&key, value).get("volume").unwrap_or_default().to_owned();
    if is_host_path(&volume) {
        return Err(fail(format!("path '{volume}' does not point to a block device")));
    }
    let missing = || fail(format!("volume '{volume}' does not exist"));
    let format = s.world().volumes().get(&volume).ok_or_else(missing)?.format.clone();
    if format != "raw" {
        return Err(fail(format!("unable to run fsck for '{volume}' (format == {format})")));
    }
    s.wait(pace::GROW_UNMOUNTED / 2)?;
    Ok(0)
}

/// Works in any state.
pub(super) fn fstrim(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    unlocked(s.world(), id)?;
    let config = &here(s.world(), id)?.config.current;
    let only_root = call.is_on("ignore-mountpoints");
    let paths: Vec<String> = config
        .mount_points()
        .into_iter()
        .filter(|(key, value)| volume_of(key, value).is_some() && (*key == "rootfs" || !only_root))
        .map(|(key, value)| parsed(key, value).get("mp").unwrap_or("/").to_owned())
        .collect();
    for path in paths {
        s.print(format!("/var/lib/lxc/{id}/rootfs{path}: 0 B (0 bytes) trimmed"));
    }
    Ok(0)
}

pub(super) fn mount(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    flock(s, id)?;
    unlocked(s.world(), id)?;
    here_mut(s.world_mut(), id)?.config.current.set("lock", "mounted");
    s.print(format!("mounted CT {id} in '/var/lib/lxc/{id}/rootfs'"));
    Ok(0)
}

pub(super) fn unmount(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    flock(s, id)?;
    match here(s.world(), id)?.config.current.get("lock") {
        Some("mounted") => {}
        Some(other) => return Err(fail(format!("found lock '{other}' trying to remove 'mounted' lock"))),
        // Two blanks, as the real tool has them.
        None => return Err(fail("no lock found trying to remove 'mounted'  lock")),
    }
    here_mut(s.world_mut(), id)?.config.current.remove("lock");
    Ok(0)
}

/// What file systems of volumes hold is not modelled: each is as empty as a fresh one.
pub(super) fn df(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    flock(s, id)?;
    if here(s.world(), id)?.running.is_none() {
        unlocked(s.world(), id)?;
    }
    let mut rows = vec![["MP", "Volume", "Size", "Used", "Avail", "Use%", "Path"].map(str::to_owned)];
    for (key, value) in here(s.world(), id)?.config.current.mount_points() {
        let point = parsed(key, value);
        let volume = point.get("volume").unwrap_or_default();
        let total = s.world().volumes().get(volume).map_or(0, |known| known.size) as f64 * 0.95;
        let path = point.get("mp").unwrap_or("/");
        let row = [key, volume, &human(total), &human(0.0), &human(total), "0.0", path];
        rows.push(row.map(str::to_owned));
    }
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(width);
    let mut text = String::new();
    for [key, volume, size, used, free, percent, path] in &rows {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{key:<a$} {volume:<b$} {size:>c$} {used:>d$} {free:>e$} {percent:>f$} {path}");
    }
    s.write(text.as_bytes());
    Ok(0)
}

fn human(bytes: f64) -> String {
    let mut size = bytes;
    for unit in ["", "K", "M", "G"] {
        if size < 1024.0 {
            return if unit.is_empty() { format!("{size:.0}") } else { format!("{size:.1}{unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1}T")
}
