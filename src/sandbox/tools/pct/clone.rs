//! `pct clone`.

use super::super::both::copy_firewall;
use super::*;
use crate::sandbox::config::{Config, Section, number};
use crate::sandbox::guest::{is_host_path, mount, nic};
use crate::sandbox::mount_point;
use crate::sandbox::pace;
use crate::sandbox::pending;
use crate::sandbox::storage::split;
use crate::sandbox::world::{Guest, World, body_at, body_of};

/// Keys that a copy does not inherit.
const NOT_INHERITED: [&str; 6] = ["lock", "template", "parent", "snaptime", "snapstate", "digest"];

pub(super) fn clone(s: &mut Session, call: &Call) -> Done<i32> {
    let (source, id) = (id_at(call, 0)?, id_at(call, 1)?);
    if let Some(node) = call.option("target")
        && !s.world().cluster.members.iter().any(|member| member == node)
    {
        return Err(fail(format!("no such cluster node '{node}'")));
    }
    no_pool(call)?;
    if let Some(storage) = call.option("storage") {
        s.world().usable_storage(storage).map_err(fail)?;
    }
    here(s.world(), source)?;
    flock(s, source)?;
    let plan = prepare(s.world(), call, source, id)?;
    lock_both(s, source, id)?;
    unflock(s, source);

    let before: Vec<String> = s.world().volumes().keys().cloned().collect();
    let copied = task(s, Exit::Follows, |s| match copy(s, call, source, id, &plan) {
        Err(Stop::Failed { code, message }) => {
            create::forget(s.world_mut(), id, &before);
            Err(fail_with(code, format!("clone failed: {message}")))
        }
        done => done,
    })?;
    here_mut(s.world_mut(), source)?.config.current.remove("lock");
    Ok(copied)
}

/// What is to be copied.
struct Plan {
    config: Section,
    snapshot: Option<String>,
    /// Mount points: key, value, whether only linked.
    points: Vec<(String, String, bool)>,
}

/// Everything that can be refused, before anything is touched.
fn prepare(world: &World, call: &Call, source: GuestId, id: GuestId) -> Done<Plan> {
    unlocked(world, source)?;
    free_id(world, id)?;
    let guest = here(world, source)?;
    let full = call.option("full").map_or(!guest.config.current.is_on("template"), |full| full == "1");
    if !full && call.option("storage").is_some() {
        return Err(fail("parameter 'storage' not allowed for linked clones"));
    }
    let snapshot = call.option("snapname").map(str::to_owned);
    let config = match &snapshot {
        None => guest.config.current.clone(),
        Some(name) => {
            let taken = guest.config.snapshots.get(name).cloned();
            taken.ok_or_else(|| fail_with(2, format!("snapshot '{name}' does not exist")))?
        }
    };
    // Refused in the order of the keys, copied in that of the mount points.
    let mut keys: Vec<(&str, &str)> = config.mount_points();
    keys.sort_unstable();
    for (key, value) in keys {
        let point = mount(key, value);
        let volume = point.get("volume").unwrap_or_default();
        if is_host_path(volume) {
            let kind = if volume.starts_with("/dev/") { "device" } else { "bind" };
            return Err(fail(format!("unable to clone mountpoint '{key}' (type {kind})")));
        }
        if full && guest.running.is_some() && snapshot.is_none() {
            return Err(fail_with(2, "Full clone of a running container is only possible from a snapshot"));
        }
        let name = split(volume).map_or(volume, |(_, name)| name);
        let storage = world.storage_of(volume).ok_or_else(|| fail(format!("volume '{volume}' does not exist")))?;
        if !full && !storage.can_link(name, snapshot.as_deref()) {
            return Err(fail_with(2, format!("Linked clone feature for '{volume}' is not available")));
        }
    }
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned(), !full);
    let points = config.mount_points().into_iter().map(own).collect();
    Ok(Plan { config, snapshot, points })
}

fn lock_both(s: &mut Session, source: GuestId, id: GuestId) -> Done {
    here_mut(s.world_mut(), source)?.config.current.set("lock", "disk");
    let mut config = Config::default();
    config.current.set("lock", "create");
    s.world_mut().put_guest(Guest { id, kind: GuestKind::Lxc, node: None, config, running: None, version: 1 });
    s.commit()
}

/// The task.
fn copy(s: &mut Session, call: &Call, source: GuestId, id: GuestId, plan: &Plan) -> Done {
    s.print(format!("creating a clone of container {source} with ID {id}"));
    let mut config = plan.config.clone();
    config.keys.retain(|key, _| !NOT_INHERITED.contains(&key.as_str()) && number(key, "unused").is_none());
    for (key, value, linked) in &plan.points {
        let mut point = mount(key, value);
        let volume = point.get("volume").unwrap_or_default().to_owned();
        let what = if *linked { "linked clone of mount point" } else { "full clone of mountpoint" };
        s.print(format!("create {what} {key} ({volume})"));
        let copy = copy_volume(s.world_mut(), call, &volume, id, *linked)?;
        work_for(s, if *linked { pace::LINKED_CLONE } else { pace::FULL_CLONE })?;
        point.set("volume", copy);
        config.set(key, mount_point::print(key, &point));
    }
    let from = plan.snapshot.as_ref().map_or_else(|| body_of(source), |name| body_at(source, name));
    s.world_mut().fork_body(&from, &body_of(id));
    forget_identity(s.world_mut(), id);
    let nics: Vec<(String, String)> =
        config.numbered("net").into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    for (key, value) in nics {
        let mut nic = nic(&value);
        nic.set("hwaddr", pending::new_mac(s.world_mut()));
        config.set(&key, keys::print("net0", &nic));
    }
    if let Some(hostname) = call.option("hostname") {
        config.set("hostname", hostname);
    }
    if let Some(description) = call.option("description") {
        config.description = both::description(description);
    }
    copy_firewall(s, source, id);
    here_mut(s.world_mut(), id)?.config.current = config;
    Ok(())
}

fn copy_volume(world: &mut World, call: &Call, volume: &str, id: GuestId, linked: bool) -> Done<String> {
    let target = call.option("storage").or_else(|| split(volume).map(|(storage, _)| storage)).unwrap_or_default();
    let storage = world.usable_storage(target).map_err(fail)?.clone();
    let known = world.volumes().get(volume).cloned();
    let known = known.ok_or_else(|| fail(format!("volume '{volume}' does not exist")))?;
    if linked {
        return world.link(&storage, volume, id).ok_or_else(|| fail(format!("volume '{volume}' does not exist")));
    }
    world.allocate(&storage, id, known.size).map_err(fail)
}

/// A copy gets a machine id of its own at its first boot. Nothing else inside is made new, host keys least of all.
fn forget_identity(world: &mut World, id: GuestId) {
    let Some(body) = world.body_mut(&body_of(id)) else { return };
    body.halt();
    // Only a directory of this name could refuse.
    let _ = body.place("/etc/machine-id", 0o444, Vec::new());
}
