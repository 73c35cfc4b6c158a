//! `pct resize`.

use super::*;
use crate::sandbox::guest::{is_host_path, mount};
use crate::sandbox::storage::{size_bytes, size_text};
use crate::sandbox::{mount_point, pace};

pub(super) fn resize(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let word = |at: usize| call.positionals.get(at).cloned().unwrap_or_default();
    let (disk, size) = (word(1), word(2));
    here(s.world(), id)?;
    flock(s, id)?;
    unlocked(s.world(), id)?;
    unmodified(s.world(), id, call)?;
    let config = &here(s.world(), id)?.config.current;
    let Some(value) = config.get(&disk) else { return Err(no_such_mount_point()) };
    let mut point = mount(&disk, value);
    let volume = point.get("volume").unwrap_or_default().to_owned();
    if is_host_path(&volume) {
        return Err(fail(format!("unable to parse volume ID '{volume}'")));
    }
    let known = s.world().volumes().get(&volume).cloned();
    let known = known.ok_or_else(|| fail(format!("volume '{volume}' does not exist")))?;
    if known.owner != id {
        let place = "at /usr/share/perl5/PVE/API2/LXC.pm line 2311.";
        return Err(fail(format!("can't resize mount point owned by another container ({}) {place}", known.owner)));
    }
    let old = known.size;
    let wanted = size_bytes(size.trim_start_matches('+')).unwrap_or_default();
    let new = if size.starts_with('+') { old + wanted } else { wanted };
    if new < old {
        return Err(fail("unable to shrink disk size"));
    }
    if new == old {
        return Err(fail("disk is already at specified size"));
    }
    task(s, Exit::Lost, |s| {
        let mounted = here(s.world(), id)?.running.is_some() || known.format == "subvol";
        s.wait(if mounted { pace::GROW_MOUNTED } else { pace::GROW_UNMOUNTED })?;
        if let Some(volume) = s.world_mut().volume_mut(&volume) {
            volume.size = new;
        }
        point.set("size", size_text(new));
        here_mut(s.world_mut(), id)?.config.current.set(&disk, mount_point::print(&disk, &point));
        Ok(())
    })
}

/// What the tools make of a mount point that is not there.
pub(super) fn no_such_mount_point() -> Stop {
    fail(
        "format error\nmp: property is missing and it is not optional\nvolume: property is missing and it is not optional\n",
    )
}
