//! `qm disk resize`. Every check is made within the task, whose result is lost: the exit status is always 0.

use super::*;
use crate::sandbox::disk::{drive, file, is_cdrom, print};
use crate::sandbox::pace;
use crate::sandbox::storage::{size_bytes, size_text, split};

pub(super) fn resize(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let word = |at: usize| call.positionals.get(at).cloned().unwrap_or_default();
    let (key, size) = (word(1), word(2));
    task(s, Exit::Lost, |s| {
        here(s.world(), id)?;
        flock(s, id)?;
        unmodified(s.world(), id, call)?;
        unlocked_or_skipped(s, id, call)?;
        grow(s, id, &key, &size)
    })
}

fn grow(s: &mut Session, id: GuestId, key: &str, size: &str) -> Done {
    let config = &here(s.world(), id)?.config.current;
    let value = config.get(key).ok_or_else(|| fail(format!("disk '{key}' does not exist")))?;
    let mut drive = drive(key, value);
    let volume = file(&drive).to_owned();
    if split(&volume).is_none() {
        return Err(fail(format!("unable to parse volume ID '{volume}'")));
    }
    if is_cdrom(&drive) {
        return Err(fail("you can't resize a cdrom"));
    }
    let missing = || fail(format!("volume '{volume}' does not exist"));
    let old = s.world().volumes().get(&volume).ok_or_else(missing)?.size;
    let wanted = size_bytes(size.trim_start_matches('+')).unwrap_or_default();
    let new = if size.starts_with('+') { old + wanted } else { wanted };
    if new < old {
        return Err(fail("shrinking disks is not supported"));
    }
    if new == old {
        return Ok(());
    }
    let storage = s.world().storage_of(&volume).cloned().ok_or_else(missing)?;
    s.world().space(&storage, split(&volume).map_or("", |(_, name)| name)).map_err(fail)?;
    s.wait(pace::GROW_MOUNTED)?;
    if let Some(volume) = s.world_mut().volume_mut(&volume) {
        volume.size = new;
    }
    drive.set("size", size_text(new));
    here_mut(s.world_mut(), id)?.config.current.set(key, print(key, &drive));
    Ok(())
}
