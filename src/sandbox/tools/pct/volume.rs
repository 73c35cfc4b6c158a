//! Volumes of containers: moved, checked, mounted, found again.

use super::*;
use crate::sandbox::guest::{is_host_path, mount as mount_point};
use crate::sandbox::{mount_point, pace};
use crate::sandbox::pending::disuse;

pub(super) fn move_volume(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let key = call.positionals.get(1).cloned().unwrap_or_default();
    let Some(target) = call.positionals.get(2).cloned() else { return Err(not_modelled(call)) };
    here(s.world(), id)?;
    let Some(value) = here(s.world(), id)?.config.current.get(&key).map(str::to_owned) else {
        return Err(resize::no_such_mount_point());
    };
    let storage = s.world().usable_storage(&target).map_err(fail)?.clone();
    flock(s, id)?;
    unlocked(s.world(), id)?;
    if here(s.world(), id)?.running.is_some() {
        return Err(fail("cannot move volumes of a running container"));
    }
    let mut point = mount_point(&key, &value);
    let volume = point.get("volume").unwrap_or_default().to_owned();
    if is_host_path(&volume) {
        return Err(fail("you can't move a volume of type bind"));
    }
    task(s, Exit::Follows, |s| {
        let size = s.world().volumes().get(&volume).map_or(0, |volume| volume.size);
        let copy = s.world_mut().allocate(&storage, id, size).map_err(fail)?;
        here_mut(s.world_mut(), id)?.config.current.set("lock", "disk");
        unflock(s, id);
        work_for(s, pace::MOVE_VOLUME)?;
        point.set("volume", copy);
        let config = &mut here_mut(s.world_mut(), id)?.config.current;
        config.set(&key, mount_point::print(&key, &point));
        config.remove("lock");
        if call.is_on("delete") {
            s.world_mut().remove_volume(&volume);
        } else {
            disuse(s.world_mut(), id, &key, &value);
        }
        Ok(())
    })
}

pub(super) fn rescan(s: &mut Session, call: &Call) -> Done<i32> {
    s.print("rescan volumes...");
    if let Some(id) = call.option("vmid").and_then(|id| id.parse().ok()) {
        here(s.world(), id)?;
    }
    Ok(0)
}

pub(super) fn fsck(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    if here(s.world(), id)?.running.is_some() {
        return Err(fail("cannot run fsck when container is running"));
    }
    unlocked(s.world(), id)?;
    s.wait(pace::GROW_UNMOUNTED / 2)?;
    Ok(0)
}

pub(super) fn fstrim(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    unlocked(s.world(), id)?;
    s.print(format!("/var/lib/lxc/{id}/rootfs/: 0 B (0 bytes) trimmed"));
    Ok(0)
}

pub(super) fn mount(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    flock(s, id)?;
    unlocked(s.world(), id)?;
    if here(s.world(), id)?.running.is_none() {
        here_mut(s.world_mut(), id)?.config.current.set("lock", "mounted");
    }
    s.print(format!("mounted CT {id} in '/var/lib/lxc/{id}/rootfs'"));
    Ok(0)
}

pub(super) fn unmount(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    flock(s, id)?;
    if here(s.world(), id)?.config.current.get("lock") != Some("mounted") {
        // Two blanks, as the real tool has them.
        return Err(fail("no lock found trying to remove 'mounted'  lock"));
    }
    here_mut(s.world_mut(), id)?.config.current.remove("lock");
    Ok(0)
}
