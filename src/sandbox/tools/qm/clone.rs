//! `qm clone`.

use super::super::both::copy_firewall;
use super::*;
use crate::pve::property::Properties;
use crate::sandbox::config::{Config, Section, number};
use crate::sandbox::disk::{CLOUD_INIT_SIZE, drives, file, is_cdrom, is_cloud_init, print};
use crate::sandbox::pace;
use crate::sandbox::pending;
use crate::sandbox::storage::{size_text, split};
use crate::sandbox::world::{body_at, body_of};

/// Keys that a copy does not inherit.
const NOT_INHERITED: [&str; 8] =
    ["lock", "template", "parent", "snaptime", "snapstate", "vmstate", "runningmachine", "runningcpu"];

pub(super) fn clone(s: &mut Session, call: &Call) -> Done<i32> {
    let (source, id) = (id_at(call, 0)?, id_at(call, 1)?);
    if let Some(node) = call.option("target")
        && !s.world().cluster.members.iter().any(|member| member == node)
    {
        return Err(fail(format!("no such cluster node '{node}'")));
    }
    no_pool(call)?;
    if let Some(storage) = call.option("storage") {
        let storage = s.world().usable_storage(storage).map_err(fail)?;
        if !storage.takes("images") {
            let message = format!("storage '{}' does not support vm images", storage.id);
            return Err(bad_parameter(call, "storage", &message));
        }
    }
    let running = found(s.world(), source)?.running.is_some();
    // Many copies of a stopped machine are made side by side; of a running one only one.
    if running {
        s.flock(&lock_path(GuestKind::Vm, source))?;
    } else {
        s.flock_shared(&lock_path(GuestKind::Vm, source))?;
    }
    let plan = prepare(s.world(), call, source, id)?;
    flock(s, id)?;
    let mut config = Config::default();
    config.current.set("lock", "clone");
    s.world_mut().put_guest(Guest { id, kind: GuestKind::Vm, node: None, config, running: None, version: 1 });
    s.commit()?;

    let before: Vec<String> = s.world().volumes().keys().cloned().collect();
    task(s, Exit::Follows, |s| match copy(s, call, source, id, &plan) {
        Err(Stop::Failed { code, message }) => {
            create::forget(s.world_mut(), id, &before);
            Err(fail_with(code, format!("clone failed: {message}")))
        }
        done => done,
    })
}

/// What is to be copied.
struct Plan {
    config: Section,
    snapshot: Option<String>,
    /// Drives: key, value taken apart, whether only linked.
    drives: Vec<(String, Properties, bool)>,
}

/// Everything that can be refused, before anything is touched.
fn prepare(world: &World, call: &Call, source: GuestId, id: GuestId) -> Done<Plan> {
    unlocked(world, source)?;
    let guest = here(world, source)?;
    let snapshot = call.option("snapname").map(str::to_owned);
    let config = match &snapshot {
        None => guest.config.current.clone(),
        Some(name) => {
            let taken = guest.config.snapshots.get(name).cloned();
            taken.ok_or_else(|| fail_with(2, format!("snapshot '{name}' does not exist")))?
        }
    };
    let full = call.option("full").map_or(!guest.config.current.is_on("template"), |full| full == "1");
    for option in ["storage", "format"] {
        if !full && call.option(option).is_some() {
            return Err(fail(format!("parameter '{option}' not allowed for linked clones")));
        }
    }
    match world.guest(id) {
        Some(other) if other.kind == GuestKind::Vm && other.node.is_none() => {
            return Err(fail_with(2, format!("unable to create VM {id}: config file already exists")));
        }
        Some(_) => {
            let path = crate::pve::inventory::config_path(&world.node, GuestKind::Vm, id);
            return Err(fail(format!("close (rename) atomic file '{path}' failed: File exists")));
        }
        None => {}
    }
    let mut plan = Vec::new();
    let mut drives = drives(&config);
    drives.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (key, drive) in drives {
        if is_cdrom(&drive) && !is_cloud_init(&drive) {
            continue;
        }
        let linked = !full && !is_cloud_init(&drive);
        check_drive(world, &key, &drive, linked, snapshot.as_deref())?;
        plan.push((key, drive, linked));
    }
    Ok(Plan { config, snapshot, drives: plan })
}

fn check_drive(world: &World, key: &str, drive: &Properties, linked: bool, snapshot: Option<&str>) -> Done {
    let volume = file(drive);
    let missing = || fail(format!("volume '{volume}' does not exist"));
    let storage = world.storage_of(volume).ok_or_else(missing)?;
    let known = world.volumes().get(volume).ok_or_else(missing)?;
    let name = split(volume).map_or(volume, |(_, name)| name);
    let (kind, able) = if linked {
        ("Linked", storage.can_link_disk(name, &known.format, snapshot))
    } else {
        ("Full", snapshot.is_none() || is_cloud_init(drive) || storage.can_copy_snapshot())
    };
    if able {
        return Ok(());
    }
    let of = if snapshot.is_some() { " a snapshot of" } else { "" };
    Err(fail(format!("{kind} clone feature is not supported for{of} '{volume}' ({key})")))
}

/// The task.
fn copy(s: &mut Session, call: &Call, source: GuestId, id: GuestId, plan: &Plan) -> Done {
    s.print(format!("creating a clone of VM {source} with ID {id}"));
    let mut config = plan.config.clone();
    config.keys.retain(|key, _| !NOT_INHERITED.contains(&key.as_str()) && number(key, "unused").is_none());
    for (key, drive, linked) in &plan.drives {
        let value = copy_drive(s, call, id, key, drive, *linked)?;
        config.set(key, value);
    }
    let from = plan.snapshot.as_ref().map_or_else(|| body_of(source), |name| body_at(source, name));
    if s.world().has_inside(KIND, &from) {
        s.world_mut().fork_body(&from, &body_of(id));
        if let Some(body) = s.world_mut().body_mut(&body_of(id)) {
            body.halt();
        }
    }
    renew(s.world_mut(), &mut config);
    let source_name = plan.config.get("name").map_or_else(|| format!("VM-{source}"), |name| format!("VM-{name}"));
    config.set("name", call.option("name").map_or_else(|| format!("Copy-of-{source_name}"), str::to_owned));
    if let Some(description) = call.option("description") {
        config.description = both::description(description);
    }
    copy_firewall(s, source, id);
    here_mut(s.world_mut(), id)?.config.current = config;
    Ok(())
}

fn copy_drive(s: &mut Session, call: &Call, id: GuestId, key: &str, drive: &Properties, linked: bool) -> Done<String> {
    let volume = file(drive).to_owned();
    let mut drive = drive.clone();
    let kind = if linked { "linked" } else { "full" };
    s.print(format!("create {kind} clone of drive {key} ({volume})"));
    let missing = || fail(format!("volume '{volume}' does not exist"));
    let known = s.world().volumes().get(&volume).cloned().ok_or_else(missing)?;
    let target = call.option("storage").filter(|_| !linked).or_else(|| split(&volume).map(|(storage, _)| storage));
    let storage = s.world().usable_storage(target.unwrap_or_default()).map_err(fail)?.clone();
    let copy = if is_cloud_init(&drive) {
        drive.set("size", size_text(CLOUD_INIT_SIZE));
        disk::cloud_init_volume(s, &storage, id, call.option("format").or(Some(&known.format)))?
    } else if linked {
        s.world_mut().link(&storage, &volume, id).ok_or_else(missing)?
    } else {
        let asked = call.option("format").unwrap_or(&known.format);
        let format = if storage.has_format(asked) { asked } else { "raw" }.to_owned();
        s.world_mut().allocate_as(&storage, id, known.size, &format).map_err(fail)?
    };
    if !linked {
        s.print(format!("allocated target volume '{copy}'"));
    }
    let quick = linked || is_cloud_init(&drive);
    work_for(s, if quick { pace::LINKED_CLONE } else { pace::FULL_CLONE })?;
    drive.set("file", copy);
    Ok(print(key, &drive))
}

/// What a copy has anew: hardware addresses, and the numbers that its firmware shows.
fn renew(world: &mut World, config: &mut Section) {
    let nics: Vec<(String, String)> =
        config.numbered("net").into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    for (key, value) in nics {
        let mut nic = keys::nic(&value);
        nic.set("macaddr", pending::new_mac(world));
        config.set(&key, keys::print_nic(&nic));
    }
    let uuid = format!("uuid={}", keys::uuid(world));
    let smbios = config.get("smbios1").map(|old| {
        let others = old.split(',').filter(|part| !part.starts_with("uuid="));
        std::iter::once(uuid.as_str()).chain(others).collect::<Vec<_>>().join(",")
    });
    config.set("smbios1", smbios.unwrap_or_else(|| uuid.clone()));
    if config.get("vmgenid").is_some() {
        config.set("vmgenid", keys::uuid(world));
    }
}
