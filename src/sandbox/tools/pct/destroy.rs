//! `pct destroy`.

use super::*;
use crate::op::Op;
use crate::sandbox::pending::volume_of;
use crate::sandbox::{guest, pace};

pub(super) fn destroy(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    unlocked(s.world(), id)?;
    let guest = here(s.world(), id)?;
    if guest.config.current.is_on("protection") {
        return Err(fail(format!("can't remove CT {id} - protection mode enabled")));
    }
    if guest.running.is_some() && !call.is_on("force") {
        return Err(fail(format!("unable to destroy CT {id} - container is running")));
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked(s.world(), id)?;
        if here(s.world(), id)?.running.is_some() {
            s.print(format!("forced to stop CT {id} before destroying!"));
            power::stop_now(s, id)?;
        }
        here_mut(s.world_mut(), id)?.config.current.set("lock", "destroyed");
        work_for(s, pace::DESTROY)?;
        free_volumes(s, call, id)?;
        s.world_mut().remove_guest(id);
        remove_firewall(s, id);
        Ok(())
    })
}

/// Frees what the configuration and its snapshots name, and on request everything else that belongs to the id.
fn free_volumes(s: &mut Session, call: &Call, id: GuestId) -> Done {
    let config = &here(s.world(), id)?.config;
    let mut named: Vec<String> = Vec::new();
    for section in std::iter::once(&config.current).chain(config.snapshots.values()) {
        let keys = section.keys.iter().filter_map(|(key, value)| volume_of(key, value));
        named.extend(keys);
    }
    named.sort();
    named.dedup();
    // Without the option unreferenced volumes go too, unlike those of a virtual machine.
    if call.option("destroy-unreferenced-disks") != Some("0") {
        let all = s.world().volumes().iter().filter(|(volid, volume)| volume.owner == id && !named.contains(volid));
        let unnamed: Vec<String> = all.map(|(volid, _)| volid.clone()).collect();
        named.extend(unnamed);
    }
    for volid in &named {
        let foreign = s.world().volumes().get(volid).is_some_and(|volume| volume.owner != id);
        if foreign {
            continue;
        }
        if s.world().clone_on(volid).is_some() {
            // What was freed before stays freed, and the lock stays.
            return Err(fail(format!("base volume '{volid}' is still in use by linked clones")));
        }
        s.world_mut().remove_volume(volid);
    }
    Ok(())
}

pub(in super::super) fn remove_firewall(s: &mut Session, id: GuestId) {
    let remove = Op::Remove { path: format!("/etc/pve/firewall/{id}.fw"), recursive: false };
    let (core, now) = (s.core(), s.now());
    guest::node_inside(s.world_mut(), core, now, |body, around| body.perform(&remove, around));
}
