//! `qm destroy`.

use super::super::both::remove_firewall;
use super::*;
use crate::sandbox::pace;
use crate::sandbox::pending::volume_of;

pub(super) fn destroy(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    unlocked_or_skipped(s, id, call)?;
    unprotected(s.world(), id, &format!("can't remove VM {id}"))?;
    if is_running(s, id) {
        return Err(fail_with(25, format!("VM {id} is running - destroy failed")));
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked_or_skipped(s, id, call)?;
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
    let sections = std::iter::once(&config.current).chain(config.snapshots.values());
    let keys = sections.flat_map(|section| section.keys.iter());
    let mut named: Vec<String> = keys.filter_map(|(key, value)| volume_of(key, value)).collect();
    named.extend(config.pending.iter().filter_map(|(key, value)| volume_of(key, value)));
    named.sort();
    named.dedup();
    if call.is_on("destroy-unreferenced-disks") {
        let all = s.world().volumes().iter().filter(|(volid, volume)| volume.owner == id && !named.contains(volid));
        let unnamed: Vec<String> = all.map(|(volid, _)| volid.clone()).collect();
        named.extend(unnamed);
    }
    named.retain(|volid| s.world().volumes().get(volid).is_none_or(|volume| volume.owner == id));
    // A base that is used keeps everything.
    if let Some(base) = named.iter().find(|volid| s.world().clone_on(volid).is_some()) {
        return Err(fail(format!("base volume '{base}' is still in use by linked cloned")));
    }
    for volid in named {
        s.world_mut().remove_volume(&volid);
    }
    Ok(())
}
