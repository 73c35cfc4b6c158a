//! `pct template`.

use super::*;
use crate::sandbox::guest::{is_host_path, mount};
use crate::sandbox::storage::{base_name, split};
use crate::sandbox::{mount_point, pace};

pub(super) fn template(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    flock(s, id)?;
    let guest = here(s.world(), id)?;
    unlocked(s.world(), id)?;
    if !guest.config.snapshots.is_empty() {
        return Err(fail("unable to create template, because CT contains snapshots"));
    }
    if guest.config.current.is_on("template") {
        return Err(fail("you can't convert a template to a template"));
    }
    if guest.running.is_some() {
        return Err(fail("you can't convert a CT to template if the CT is running"));
    }
    task(s, Exit::Lost, |s| convert(s, id))
}

/// Volumes become bases. What fails here leaves exit status 0: only reading the configuration tells.
fn convert(s: &mut Session, id: GuestId) -> Done {
    s.wait(pace::TEMPLATE)?;
    let config = here(s.world(), id)?.config.current.clone();
    for (key, value) in config.mount_points() {
        let volume = mount(key, value).get("volume").unwrap_or_default().to_owned();
        let able = s.world().storage_of(&volume).is_some_and(|storage| storage.can_template());
        if is_host_path(&volume) || !able {
            return Err(fail(format!("Template feature is not available for '{volume}'")));
        }
    }
    let world = s.world_mut();
    for (key, value) in config.mount_points() {
        let mut point = mount(key, value);
        let volume = point.get("volume").unwrap_or_default().to_owned();
        let (Some(storage), Some((_, name))) = (world.storage_of(&volume), split(&volume)) else { continue };
        let base = format!("{}:{}", storage.id, base_name(storage, name));
        if let Some(known) = world.remove_volume(&volume) {
            world.put_volume(&base, known);
        }
        point.set("volume", base);
        here_mut(world, id)?.config.current.set(key, mount_point::print(key, &point));
    }
    here_mut(world, id)?.config.current.set("template", "1");
    Ok(())
}
