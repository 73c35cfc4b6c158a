//! `qm template`.

use super::*;
use crate::sandbox::disk::{drives, file, is_cdrom, print};
use crate::sandbox::pace;
use crate::sandbox::storage::{base_name, split};

pub(super) fn template(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    flock(s, id)?;
    unlocked(s.world(), id)?;
    let guest = here(s.world(), id)?;
    if !guest.config.snapshots.is_empty() {
        return Err(fail("unable to create template, because VM contains snapshots"));
    }
    if guest.config.current.is_on("template") && call.option("disk").is_none() {
        return Err(fail("you can't convert a template to a template"));
    }
    if guest.running.is_some() {
        return Err(fail_with(25, "you can't convert a VM to template if VM is running"));
    }
    let only = call.option("disk").map(str::to_owned);
    if let Some(key) = only.as_deref().filter(|key| guest.config.current.get(key).is_none()) {
        return Err(fail(format!("unable to find disk '{key}'")));
    }
    task(s, Exit::Lost, |s| convert(s, id, only.as_deref()))
}

/// Volumes become bases. What fails here leaves exit status 0: only reading the configuration tells.
fn convert(s: &mut Session, id: GuestId, only: Option<&str>) -> Done {
    here_mut(s.world_mut(), id)?.config.current.set("template", "1");
    work_for(s, pace::TEMPLATE)?;
    let drives = drives(&here(s.world(), id)?.config.current).into_iter();
    let disks: Vec<_> = drives.filter(|(key, drive)| !is_cdrom(drive) && only.is_none_or(|only| only == key)).collect();
    for (key, mut drive) in disks {
        let volume = file(&drive).to_owned();
        let able = s.world().storage_of(&volume).filter(|storage| storage.can_template());
        let (Some(storage), Some((_, name))) = (able, split(&volume)) else {
            return Err(fail(format!("Template feature is not available for '{volume}'")));
        };
        let base = format!("{}:{}", storage.id, base_name(storage, name));
        let world = s.world_mut();
        if let Some(known) = world.remove_volume(&volume) {
            world.put_volume(&base, known);
        }
        drive.set("file", base);
        here_mut(world, id)?.config.current.set(&key, print(&key, &drive));
    }
    Ok(())
}
