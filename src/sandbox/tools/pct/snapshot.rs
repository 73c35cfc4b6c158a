//! Snapshots of containers.

use super::*;
use crate::sandbox::config::{Section, number};
use crate::sandbox::guest::{is_host_path, mount};
use crate::sandbox::pace;
use crate::sandbox::pending::{disuse, volume_of};
use crate::sandbox::world::{body_at, body_of};

const RESERVED: [&str; 2] = ["current", "vzdump"];

/// Volumes of a section, without the node's own paths.
fn volumes(section: &Section) -> Vec<String> {
    let points = section.mount_points().into_iter();
    points.filter_map(|(key, value)| volume_of(key, value)).collect()
}

fn name_of(call: &Call) -> String {
    call.positionals.get(1).cloned().unwrap_or_default()
}

pub(super) fn snapshot(s: &mut Session, call: &Call) -> Done<i32> {
    let (id, name) = (id_at(call, 0)?, name_of(call));
    here(s.world(), id)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(fail(format!("unable to use snapshot name '{name}' (reserved name)")));
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        prepare(s, call, id, &name)?;
        unflock(s, id);
        work_for(s, pace::SNAPSHOT)?;
        take(s, id, &name)
    })
}

/// Writes the half-made snapshot down, under its lock.
fn prepare(s: &mut Session, call: &Call, id: GuestId, name: &str) -> Done {
    let config = &here(s.world(), id)?.config;
    if config.current.is_on("template") {
        return Err(fail("you can't take a snapshot if it's a template"));
    }
    unlocked(s.world(), id)?;
    let config = &here(s.world(), id)?.config;
    if config.snapshots.contains_key(name) {
        return Err(fail(format!("snapshot name '{name}' already used")));
    }
    for (key, value) in config.current.mount_points() {
        let point = mount(key, value);
        let volume = point.get("volume").unwrap_or_default();
        let format = s.world().volumes().get(volume).map_or("raw", |volume| volume.format.as_str());
        let able = s.world().storage_of(volume).is_some_and(|storage| storage.can_snapshot(format));
        if is_host_path(volume) || !able {
            return Err(fail("snapshot feature is not available"));
        }
    }
    let now = s.now() / 1_000_000;
    let config = &mut here_mut(s.world_mut(), id)?.config;
    let mut section = config.current.clone();
    section.keys.retain(|key, _| key != "lock" && number(key, "unused").is_none());
    section.description = call.option("description").map(set::description).unwrap_or_default();
    section.set("snaptime", now.to_string());
    section.set("snapstate", "prepare");
    config.snapshots.insert(name.to_owned(), section);
    config.current.set("lock", "snapshot");
    Ok(())
}

fn take(s: &mut Session, id: GuestId, name: &str) -> Done {
    let world = s.world_mut();
    for volume in volumes(&here(world, id)?.config.current) {
        if let Some(volume) = world.volume_mut(&volume) {
            volume.snapshots.push(name.to_owned());
        }
    }
    world.fork_body(&body_of(id), &body_at(id, name));
    if let Some(body) = world.body_mut(&body_at(id, name)) {
        // Memory is never part of a container's snapshot.
        body.halt();
    }
    let config = &mut here_mut(world, id)?.config;
    if let Some(section) = config.snapshots.get_mut(name) {
        section.remove("snapstate");
    }
    config.current.set("parent", name);
    config.current.remove("lock");
    Ok(())
}

fn missing(name: &str) -> Stop {
    fail(format!("snapshot '{name}' does not exist"))
}

pub(super) fn delsnapshot(s: &mut Session, call: &Call) -> Done<i32> {
    let (id, name) = (id_at(call, 0)?, name_of(call));
    here(s.world(), id)?;
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        let config = &here(s.world(), id)?.config;
        if !config.snapshots.contains_key(&name) {
            return Err(missing(&name));
        }
        unlocked(s.world(), id)?;
        if config.current.is_on("template") {
            return Err(fail("you can't delete a snapshot if vm is a template"));
        }
        let config = &mut here_mut(s.world_mut(), id)?.config;
        config.current.set("lock", "snapshot-delete");
        if let Some(section) = config.snapshots.get_mut(&name) {
            section.set("snapstate", "delete");
        }
        unflock(s, id);
        work_for(s, pace::SNAPSHOT)?;
        delete(s, id, &name)
    })
}

fn delete(s: &mut Session, id: GuestId, name: &str) -> Done {
    let world = s.world_mut();
    let owned: Vec<String> =
        world.volumes().iter().filter(|(_, v)| v.owner == id).map(|(volid, _)| volid.clone()).collect();
    for volid in owned {
        if let Some(volume) = world.volume_mut(&volid) {
            volume.snapshots.retain(|snapshot| snapshot != name);
        }
    }
    world.drop_body(&body_at(id, name));
    let config = &mut here_mut(world, id)?.config;
    let parent = config.snapshots.remove(name).and_then(|mut section| section.remove("parent"));
    for section in std::iter::once(&mut config.current).chain(config.snapshots.values_mut()) {
        if section.get("parent") == Some(name) {
            match &parent {
                Some(parent) => section.set("parent", parent.clone()),
                None => _ = section.remove("parent"),
            }
        }
    }
    config.current.remove("lock");
    Ok(())
}

pub(super) fn rollback(s: &mut Session, call: &Call) -> Done<i32> {
    let (id, name) = (id_at(call, 0)?, name_of(call));
    here(s.world(), id)?;
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        check_rollback(s, id, &name)?;
        if here(s.world(), id)?.running.is_some() {
            power::stop_now(s, id)?;
        }
        let config = &mut here_mut(s.world_mut(), id)?.config;
        config.current.set("lock", "rollback");
        unflock(s, id);
        work_for(s, pace::SNAPSHOT)?;
        go_back(s, id, &name)?;
        if call.is_on("start") { power::start_now(s, id) } else { Ok(()) }
    })
}

fn check_rollback(s: &mut Session, id: GuestId, name: &str) -> Done {
    let config = &here(s.world(), id)?.config;
    if config.current.is_on("template") {
        return Err(fail("you can't rollback if vm is a template"));
    }
    let section = config.snapshots.get(name).ok_or_else(|| missing(name))?;
    if section.get("snapstate").is_some() {
        return Err(fail(format!(
            "unable to rollback to incomplete snapshot (snapstate = {})",
            section.get("snapstate").unwrap_or_default()
        )));
    }
    for volid in volumes(section) {
        let newest_only = s.world().storage_of(&volid).is_some_and(|storage| storage.rolls_back_only_newest());
        let newest = s.world().volumes().get(&volid).and_then(|volume| volume.snapshots.last());
        if newest_only && newest.is_some_and(|newest| newest != name) {
            return Err(fail(format!("can't rollback, '{name}' is not most recent snapshot on '{volid}'")));
        }
    }
    unlocked(s.world(), id)
}

/// Configuration and volumes as they were; volumes that came later become unused.
fn go_back(s: &mut Session, id: GuestId, name: &str) -> Done {
    let world = s.world_mut();
    let config = here(world, id)?.config.clone();
    let mut section = config.snapshots.get(name).cloned().ok_or_else(|| missing(name))?;
    for key in ["snaptime", "snapstate"] {
        section.remove(key);
    }
    section.set("parent", name);
    section.description.clone_from(&config.current.description);
    for (key, value) in config.current.numbered("unused") {
        section.set(key, value);
    }
    let kept = volumes(&section);
    let guest = here_mut(world, id)?;
    guest.config.current = section;
    guest.config.pending.clear();
    guest.config.deleted.clear();
    let later = config.current.mount_points().into_iter();
    for (key, value) in later.filter(|(key, value)| volume_of(key, value).is_some_and(|v| !kept.contains(&v))) {
        disuse(world, id, key, value);
    }
    world.fork_body(&body_at(id, name), &body_of(id));
    Ok(())
}

pub(super) fn listsnapshot(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let tree = show::tree(&here(s.world(), id)?.config);
    s.write(tree.as_bytes());
    Ok(0)
}
