//! `qm create`.

use super::*;
use crate::sandbox::config::Config;
use crate::sandbox::disk::{default_boot_order, is_drive, print_boot_order};
use crate::sandbox::pace;
use crate::sandbox::storage::Volume;

/// QEMU that a new machine is noted to be made by.
const QEMU: &str = "10.0.2";

pub(super) fn create(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    if call.option("archive").is_some() {
        return Err(not_modelled(call));
    }
    no_pool(call)?;
    let options = keys::options(s, call)?;
    for (key, value) in options.iter().filter(|(key, _)| is_drive(key)) {
        disk::check_storage(s.world(), call, key, value)?;
    }
    flock(s, id)?;
    let unable = |message: String| format!("unable to create VM {id} - {message}");
    free_id(s.world(), id).map_err(|message| fail(unable(message)))?;

    let before: Vec<String> = s.world().volumes().keys().cloned().collect();
    let mut config = Config::default();
    config.current.set("lock", "create");
    s.world_mut().put_guest(Guest { id, kind: GuestKind::Vm, node: None, config, running: None, version: 1 });
    s.commit()?;
    task(s, Exit::Follows, |s| match make(s, call, id, &options) {
        Err(Stop::Failed { code, message }) => {
            forget(s.world_mut(), id, &before);
            Err(fail_with(code, unable(message)))
        }
        done => done,
    })
}

/// An id that no guest of the cluster has.
fn free_id(world: &World, id: GuestId) -> Result<(), String> {
    let Some(guest) = world.guest(id) else { return Ok(()) };
    let kind = if guest.kind == GuestKind::Lxc { "CT" } else { "VM" };
    let node = guest.node.as_deref().unwrap_or(&world.node);
    Err(format!("{kind} {id} already exists on node '{node}'"))
}

/// The task: volumes, then the configuration.
fn make(s: &mut Session, call: &Call, id: GuestId, options: &[(String, String)]) -> Done {
    let mut config = Config::default().current;
    for (key, value) in options.iter().filter(|(key, _)| keys::is_key(key)) {
        match key.as_str() {
            key if is_drive(key) => {
                let value = disk::realise(s, id, key, value)?;
                // The next drive may look at this one.
                here_mut(s.world_mut(), id)?.config.current.set(key, value.clone());
                config.set(key, value);
            }
            "description" => config.description = both::description(value),
            _ => {
                let value = keys::stored(s.world_mut(), key, value);
                config.set(key, value);
            }
        }
    }
    work_for(s, pace::ALLOCATE)?;
    let uuid = keys::uuid(s.world_mut());
    for (key, value) in [("smbios1", format!("uuid={uuid}")), ("vmgenid", keys::uuid(s.world_mut()))] {
        if config.get(key).is_none() {
            config.set(key, value);
        }
    }
    config.set("meta", format!("creation-qemu={QEMU},ctime={}", s.now() / 1_000_000));
    if config.get("boot").is_none() {
        let order = default_boot_order(&config);
        config.set("boot", print_boot_order(&order));
    }
    here_mut(s.world_mut(), id)?.config.current = config;
    s.commit()?;
    if call.is_on("start") {
        // A machine that does not start is there all the same.
        s.print("Execute autostart");
        if let Err(Stop::Failed { message, .. }) = power::start_now(s, id) {
            s.warn(message);
        }
    }
    Ok(())
}

/// A machine that could not be made leaves nothing behind but what its id had `before`.
pub(super) fn forget(world: &mut World, id: GuestId, before: &[String]) {
    let new = |(volid, volume): &(&String, &Volume)| volume.owner == id && !before.contains(volid);
    let new: Vec<String> = world.volumes().iter().filter(new).map(|(volid, _)| volid.clone()).collect();
    for volid in new {
        world.remove_volume(&volid);
    }
    world.remove_guest(id);
}
