//! Snapshots of guests. Memory is never part of them here.

use std::fmt::Write;

use super::super::{Exit, id_at, not_modelled, pct, qm, task, work_for};
use super::{description, flock, here, here_mut, unflock, unlocked};
use crate::model::{GuestId, GuestKind};
use crate::pve::argv::Call;
use crate::sandbox::config::{Config, Section, number};
use crate::sandbox::disk::{drives, file, is_cdrom, is_cloud_init};
use crate::sandbox::guest::{is_host_path, mount};
use crate::sandbox::pace;
use crate::sandbox::pending::{disuse, volume_of};
use crate::sandbox::session::{Done, Session, Stop, fail};
use crate::sandbox::vm::has_agent;
use crate::sandbox::world::{body_at, body_of};

/// Names that no snapshot of this kind of guest may have.
fn reserved(kind: GuestKind) -> [&'static str; 2] {
    match kind {
        GuestKind::Lxc => ["current", "vzdump"],
        GuestKind::Vm => ["current", "pending"],
    }
}

/// Keys and volumes that are part of a snapshot; directories of the node and discs are not.
fn volumes(kind: GuestKind, section: &Section) -> Vec<(String, String)> {
    match kind {
        GuestKind::Lxc => {
            let points = section.mount_points().into_iter();
            points.filter_map(|(key, value)| Some((key.to_owned(), volume_of(key, value)?))).collect()
        }
        GuestKind::Vm => {
            let drives = drives(section).into_iter().filter(|(_, drive)| !is_cdrom(drive) || is_cloud_init(drive));
            drives.map(|(key, drive)| (key, file(&drive).to_owned())).collect()
        }
    }
}

fn name_of(call: &Call) -> String {
    call.positionals.get(1).cloned().unwrap_or_default()
}

pub(in super::super) fn snapshot(s: &mut Session, kind: GuestKind, call: &Call) -> Done<i32> {
    let (id, name) = (id_at(call, 0)?, name_of(call));
    let running = here(s.world(), kind, id)?.running.is_some();
    if reserved(kind).contains(&name.as_str()) {
        return Err(fail(format!("unable to use snapshot name '{name}' (reserved name)")));
    }
    if call.is_on("vmstate") && running {
        return Err(not_modelled(call));
    }
    task(s, Exit::Follows, |s| {
        flock(s, kind, id)?;
        prepare(s, kind, call, id, &name)?;
        unflock(s, kind, id);
        work_for(s, pace::SNAPSHOT)?;
        take(s, kind, id, &name)
    })
}

/// Writes the half-made snapshot down, under its lock.
fn prepare(s: &mut Session, kind: GuestKind, call: &Call, id: GuestId, name: &str) -> Done {
    let config = &here(s.world(), kind, id)?.config;
    if config.current.is_on("template") {
        return Err(fail("you can't take a snapshot if it's a template"));
    }
    unlocked(s.world(), kind, id)?;
    if config.snapshots.contains_key(name) {
        return Err(fail(format!("snapshot name '{name}' already used")));
    }
    let shows_the_node = |(key, value): (&str, &str)| is_host_path(mount(key, value).get("volume").unwrap_or_default());
    let unable = |volume: &String| {
        let format = s.world().volumes().get(volume).map_or("raw", |volume| volume.format.as_str());
        !s.world().storage_of(volume).is_some_and(|storage| storage.can_snapshot(format))
    };
    if kind == GuestKind::Lxc && config.current.mount_points().into_iter().any(shows_the_node)
        || volumes(kind, &config.current).iter().any(|(_, volume)| unable(volume))
    {
        return Err(fail("snapshot feature is not available"));
    }
    let now = s.now() / 1_000_000;
    let config = &mut here_mut(s.world_mut(), kind, id)?.config;
    let mut section = config.current.clone();
    section.keys.retain(|key, _| key != "lock" && number(key, "unused").is_none());
    section.description = call.option("description").map(description).unwrap_or_default();
    section.set("snaptime", now.to_string());
    section.set("snapstate", "prepare");
    config.snapshots.insert(name.to_owned(), section);
    config.current.set("lock", "snapshot");
    Ok(())
}

fn take(s: &mut Session, kind: GuestKind, id: GuestId, name: &str) -> Done {
    let guest = here(s.world(), kind, id)?;
    let volumes = volumes(kind, &guest.config.current);
    if kind == GuestKind::Vm && guest.running.is_some() && !has_agent(&guest.config.current) {
        s.print("skipping guest filesystem freeze - disabled in VM options");
    }
    let world = s.world_mut();
    for (_, volume) in &volumes {
        if let Some(volume) = world.volume_mut(volume) {
            volume.snapshots.push(name.to_owned());
        }
    }
    if world.has_inside(kind, &body_of(id)) {
        world.fork_body(&body_of(id), &body_at(id, name));
    }
    if let Some(body) = world.body_mut(&body_at(id, name)) {
        body.halt();
    }
    let config = &mut here_mut(world, kind, id)?.config;
    if let Some(section) = config.snapshots.get_mut(name) {
        section.remove("snapstate");
    }
    config.current.set("parent", name);
    config.current.remove("lock");
    if kind == GuestKind::Vm {
        for (key, volume) in volumes {
            s.print(format!("snapshotting 'drive-{key}' ({volume})"));
        }
    }
    Ok(())
}

fn missing(name: &str) -> Stop {
    fail(format!("snapshot '{name}' does not exist"))
}

pub(in super::super) fn delsnapshot(s: &mut Session, kind: GuestKind, call: &Call) -> Done<i32> {
    let (id, name) = (id_at(call, 0)?, name_of(call));
    here(s.world(), kind, id)?;
    task(s, Exit::Follows, |s| {
        flock(s, kind, id)?;
        let config = &here(s.world(), kind, id)?.config;
        if !config.snapshots.contains_key(&name) {
            return Err(missing(&name));
        }
        unlocked(s.world(), kind, id)?;
        if config.current.is_on("template") {
            return Err(fail("you can't delete a snapshot if vm is a template"));
        }
        let config = &mut here_mut(s.world_mut(), kind, id)?.config;
        config.current.set("lock", "snapshot-delete");
        if let Some(section) = config.snapshots.get_mut(&name) {
            section.set("snapstate", "delete");
        }
        unflock(s, kind, id);
        work_for(s, pace::SNAPSHOT)?;
        delete(s, kind, id, &name)
    })
}

fn delete(s: &mut Session, kind: GuestKind, id: GuestId, name: &str) -> Done {
    let world = s.world_mut();
    let owned: Vec<String> =
        world.volumes().iter().filter(|(_, v)| v.owner == id).map(|(volid, _)| volid.clone()).collect();
    for volid in owned {
        if let Some(volume) = world.volume_mut(&volid) {
            volume.snapshots.retain(|snapshot| snapshot != name);
        }
    }
    world.drop_body(&body_at(id, name));
    let config = &mut here_mut(world, kind, id)?.config;
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

pub(in super::super) fn rollback(s: &mut Session, kind: GuestKind, call: &Call) -> Done<i32> {
    let (id, name) = (id_at(call, 0)?, name_of(call));
    let (start, stop): (Power, Power) = match kind {
        GuestKind::Lxc => (pct::start_now, pct::stop_now),
        GuestKind::Vm => (qm::start_now, qm::stop_now),
    };
    here(s.world(), kind, id)?;
    task(s, Exit::Follows, |s| {
        flock(s, kind, id)?;
        check_rollback(s, kind, id, &name)?;
        if here(s.world(), kind, id)?.running.is_some() {
            stop(s, id)?;
        }
        here_mut(s.world_mut(), kind, id)?.config.current.set("lock", "rollback");
        unflock(s, kind, id);
        work_for(s, pace::SNAPSHOT)?;
        go_back(s, kind, id, &name)?;
        if call.is_on("start") { start(s, id) } else { Ok(()) }
    })
}

/// Starts or stops a guest.
type Power = fn(&mut Session, GuestId) -> Done;

fn check_rollback(s: &mut Session, kind: GuestKind, id: GuestId, name: &str) -> Done {
    let config = &here(s.world(), kind, id)?.config;
    if config.current.is_on("template") {
        return Err(fail("you can't rollback if vm is a template"));
    }
    let section = config.snapshots.get(name).ok_or_else(|| missing(name))?;
    if let Some(state) = section.get("snapstate") {
        return Err(fail(format!("unable to rollback to incomplete snapshot (snapstate = {state})")));
    }
    for (_, volid) in volumes(kind, section) {
        let newest_only = s.world().storage_of(&volid).is_some_and(|storage| storage.rolls_back_only_newest());
        let newest = s.world().volumes().get(&volid).and_then(|volume| volume.snapshots.last());
        if newest_only && newest.is_some_and(|newest| newest != name) {
            return Err(fail(format!("can't rollback, '{name}' is not most recent snapshot on '{volid}'")));
        }
    }
    unlocked(s.world(), kind, id)
}

/// Configuration and volumes as they were; volumes that came later become unused.
fn go_back(s: &mut Session, kind: GuestKind, id: GuestId, name: &str) -> Done {
    let world = s.world_mut();
    let config = here(world, kind, id)?.config.clone();
    let mut section = config.snapshots.get(name).cloned().ok_or_else(|| missing(name))?;
    for key in ["snaptime", "snapstate"] {
        section.remove(key);
    }
    section.set("parent", name);
    section.description.clone_from(&config.current.description);
    for (key, value) in config.current.numbered("unused") {
        section.set(key, value);
    }
    let kept: Vec<String> = volumes(kind, &section).into_iter().map(|(_, volume)| volume).collect();
    let guest = here_mut(world, kind, id)?;
    guest.config.current = section;
    guest.config.pending.clear();
    guest.config.deleted.clear();
    guest.config.cloud_init.clear();
    let later = volumes(kind, &config.current).into_iter().filter(|(_, volume)| !kept.contains(volume));
    for (key, _) in later {
        disuse(world, id, &key, config.current.get(&key).unwrap_or_default());
    }
    if world.has_inside(kind, &body_at(id, name)) {
        world.fork_body(&body_at(id, name), &body_of(id));
    }
    Ok(())
}

pub(in super::super) fn listsnapshot(s: &mut Session, kind: GuestKind, call: &Call) -> Done<i32> {
    let tree = tree(&here(s.world(), kind, id_at(call, 0)?)?.config);
    s.write(tree.as_bytes());
    Ok(0)
}

/// The tree of snapshots.
fn tree(config: &Config) -> String {
    let mut text = String::new();
    let root = |section: &Section| section.get("parent").is_none_or(|parent| !config.snapshots.contains_key(parent));
    branch(config, &mut text, 0, &|section| root(section));
    text
}

fn branch(config: &Config, text: &mut String, level: usize, belongs: &dyn Fn(&Section) -> bool) {
    let time =
        |section: &Section| section.get("snaptime").and_then(|time| time.parse::<i64>().ok()).unwrap_or_default();
    let mut here: Vec<(&String, &Section)> = config.snapshots.iter().filter(|(_, section)| belongs(section)).collect();
    here.sort_by_key(|(_, section)| time(section));
    for (name, section) in here {
        let taken = jiff::Timestamp::from_second(time(section)).unwrap_or_default();
        let taken = taken.strftime("%Y-%m-%d %H:%M:%S").to_string();
        leaf(text, level, name, &taken, section.description.lines().next().unwrap_or("no-description"));
        branch(config, text, level + 1, &|section| section.get("parent") == Some(name.as_str()));
    }
    if belongs(&config.current) {
        leaf(text, level, "current", "", "You are here!");
    }
}

fn leaf(text: &mut String, level: usize, name: &str, when: &str, what: &str) {
    let prefix = format!("{}`->", " ".repeat(level));
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{prefix} {name:<width$} {when:<23} {what}", width = 30_usize.saturating_sub(prefix.len()));
}
