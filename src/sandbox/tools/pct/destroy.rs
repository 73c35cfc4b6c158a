//! `pct destroy`.

use super::super::both::remove_firewall;
use super::*;
use crate::sandbox::config::Config;
use crate::sandbox::pace;
use crate::sandbox::pending::volume_of;
use crate::sandbox::storage::{is_allocation, split};

pub(super) fn destroy(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    removable(s.world(), id)?;
    let running = |s: &Session| here(s.world(), id).is_ok_and(|guest| guest.running.is_some());
    let refused = || fail(format!("unable to destroy CT {id} - container is running"));
    if running(s) && !call.is_on("force") {
        return Err(refused());
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        removable(s.world(), id)?;
        if running(s) {
            s.warn(format!("forced to stop CT {id} before destroying!"));
            power::stop_now(s, id)?;
        }
        free_volumes(s, call, id)?;
        // What is left of it until nothing names it any more.
        let mut remains = Config::default();
        remains.current.set("lock", "destroyed");
        here_mut(s.world_mut(), id)?.config = remains;
        work_for(s, pace::DESTROY)?;
        s.world_mut().remove_guest(id);
        remove_firewall(s, id);
        if call.is_on("purge") {
            s.print(format!("purging CT {id} from related configurations.."));
        }
        Ok(())
    })
}

/// A protected or locked container stays.
fn removable(world: &World, id: GuestId) -> Done {
    if here(world, id)?.config.current.is_on("protection") {
        return Err(fail(format!("can't remove CT {id} - protection mode enabled")));
    }
    unlocked(world, id)
}

/// Frees what the configuration names, what waits in it, and on request everything else that belongs to the id. What
/// was freed before a failure stays freed.
fn free_volumes(s: &mut Session, call: &Call, id: GuestId) -> Done {
    let config = here(s.world(), id)?.config.clone();
    let points = config.current.mount_points().into_iter().chain(config.current.numbered("unused"));
    let pending = config.pending.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut named: Vec<String> = Vec::new();
    for volume in points.chain(pending).filter_map(|(key, value)| volume_of(key, value)) {
        // A pending allocation has no volume yet.
        let allocated = split(&volume).is_some_and(|(_, name)| !is_allocation(name));
        if allocated && !named.contains(&volume) {
            named.push(volume);
        }
    }
    for volume in &named {
        free_volume(s, id, volume)?;
    }
    // Without the option unreferenced volumes go too, unlike those of a virtual machine.
    if call.option("destroy-unreferenced-disks") != Some("0") {
        let mine = s.world().volumes().iter().filter(|(_, volume)| volume.owner == id);
        let unnamed: Vec<String> = mine.map(|(volid, _)| volid.clone()).collect();
        for volume in unnamed {
            match free_volume(s, id, &volume) {
                Err(Stop::Failed { message, .. }) => s.warn(message),
                done => done?,
            }
        }
    }
    Ok(())
}

/// Frees a volume as its storage does it: another guest's is left alone, an absent one is an error on btrfs only, a
/// directory that a template made immutable stays for ever.
pub(super) fn free_volume(s: &mut Session, id: GuestId, volume: &str) -> Done {
    let owner = s.world().volumes().get(volume).map(|known| known.owner);
    let named_after = split(volume).and_then(|(_, name)| owner_in(name));
    if owner.or(named_after).is_some_and(|owner| owner != id) {
        s.warn(format!("ignore deletion of '{volume}', CT {id} isn't the owner!"));
        return Ok(());
    }
    if s.world().clone_on(volume).is_some() {
        return Err(fail(format!("base volume '{volume}' is still in use by linked clones")));
    }
    if s.world_mut().remove_volume(volume).is_none() {
        let storage = s.world().storage_of(volume).cloned();
        let path = s.world().path_of(volume);
        match storage.filter(|storage| storage.kind == "btrfs") {
            Some(_) => return Err(fail(btrfs_missing(&path))),
            None => s.warn(format!("disk image '{path}' does not exist")),
        }
    }
    Ok(())
}

/// What btrfs says about a subvolume that is not there.
pub(in super::super) fn btrfs_missing(path: &str) -> String {
    let path = path.trim_end_matches("/disk.raw");
    format!("command 'btrfs subvolume delete -- {path}' failed: ERROR: Could not statfs: No such file or directory")
}

/// The guest that a volume is named after.
fn owner_in(name: &str) -> Option<GuestId> {
    let leaf = name.rsplit('/').next().unwrap_or(name);
    leaf.split('-').nth(1)?.parse().ok()
}
