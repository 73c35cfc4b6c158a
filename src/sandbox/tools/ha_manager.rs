//! `ha-manager`: guests that are kept in the state that was asked for.

use super::both::noun;
use super::not_modelled;
use crate::model::{GuestId, GuestKind};
use crate::pve::argv::Call;
use crate::pve::format::split_list;
use crate::pve::ha::{Asked, of_sid, sid};
use crate::sandbox::clock::Moment;
use crate::sandbox::ha::{self, Resource};
use crate::sandbox::pace;
use crate::sandbox::session::{Done, Session, fail};
use crate::sandbox::world::World;

/// Runs one command of `ha-manager`.
pub(super) fn run(s: &mut Session, call: &Call) -> Done<i32> {
    let command = call.command.strip_prefix("ha-manager ").unwrap_or(&call.command);
    match command {
        "add" => add(s, call),
        "set" => set(s, call),
        "remove" => remove(s, call),
        "config" => config(s),
        "status" => status(s),
        "crm-command migrate" | "crm-command relocate" => migrate(s, call),
        "crm-command stop" => stop(s, call),
        _ => Err(not_modelled(call)),
    }
}

/// Files a request of this resource with the manager.
type Filed = fn(&mut World, &str, &Call, Moment);

/// What happens instead of a command of `pct` or `qm` for a guest that is managed: a request is filed, and that is all.
/// Nothing for all others. A guest that is destroyed has to be purged.
pub(super) fn instead(s: &mut Session, call: &Call) -> Done<Option<i32>> {
    let Some((kind, id, command)) = about(call).filter(|(kind, id, _)| s.world().ha.contains_key(&sid(*kind, *id)))
    else {
        return Ok(None);
    };
    let noun = noun(kind);
    if command == "destroy" && !call.is_on("purge") {
        return Err(fail(format!("unable to remove {noun} {id} - used in HA resources and purge parameter not set.")));
    }
    let here = s.world().guest(id).filter(|guest| guest.kind == kind && guest.node.is_none());
    let Some(runs) = here.map(|guest| guest.running.is_some()).filter(|_| ha::is_managed(s.world(), kind, id)) else {
        return Ok(None);
    };
    let name = sid(kind, id);
    let (words, request): (String, Filed) = match (command, runs) {
        ("start", false) => (format!("start for {noun} {id}"), |world, name, _, now| {
            ha::ask(world, name, Asked::Started, now);
        }),
        ("stop" | "shutdown", true) => (format!("stop for {noun} {id}"), |world, name, _, now| {
            ha::ask(world, name, Asked::Stopped, now);
        }),
        ("migrate", _) => {
            let target = target_node(s.world(), call)?;
            (format!("migration for {noun} {id} to node {target}"), |world, name, call, now| {
                ha::ask_to_move(world, name, call.positionals.get(1).map_or("", String::as_str), now);
            })
        }
        // What cannot be is said in the tool's own words.
        _ => return Ok(None),
    };
    s.print(format!("Requesting HA {words}"));
    s.wait(pace::startup("ha-manager"))?;
    let now = s.now();
    request(s.world_mut(), &name, call, now);
    Ok(Some(0))
}

/// What a command that succeeded means to the manager: a new guest is looked after if that was asked for, one that is gone
/// is not any more.
pub(super) fn follow(s: &mut Session, call: &Call) {
    match about(call) {
        Some((kind, id, "create")) if call.is_on("ha-managed") => {
            s.print("Add as HA resource");
            let state = if call.is_on("start") { Asked::Started } else { Asked::Stopped };
            s.world_mut().ha_mut().insert(sid(kind, id), Resource::of(state));
        }
        Some((kind, id, "destroy")) if s.world().ha.contains_key(&sid(kind, id)) => {
            s.world_mut().ha_mut().remove(&sid(kind, id));
            s.print(format!("NOTE: removed {} {id} from HA resource configuration.", noun(kind)));
        }
        _ => {}
    }
}

/// The guest that a command of `pct` or `qm` is about, and the command.
fn about(call: &Call) -> Option<(GuestKind, GuestId, &str)> {
    let (tool, command) = call.command.split_once(' ')?;
    let kind = match tool {
        "pct" => GuestKind::Lxc,
        "qm" => GuestKind::Vm,
        _ => return None,
    };
    Some((kind, call.positionals.first()?.parse().ok()?, command))
}

/// The node that a guest is to be moved to.
fn target_node(world: &World, call: &Call) -> Done<String> {
    let node = call.positionals.get(1).cloned().unwrap_or_default();
    if world.cluster.members.contains(&node) { Ok(node) } else { Err(fail(format!("no such cluster node '{node}'"))) }
}

/// The name of a resource as it was given: `ct:101`, or a bare id.
fn named(world: &World, given: &str) -> Done<String> {
    if let Ok(id) = given.parse::<GuestId>() {
        let guest = world.guest(id);
        let kind = guest.map(|guest| guest.kind);
        return kind
            .map(|kind| sid(kind, id))
            .ok_or_else(|| fail(format!("unable to detect SID from VMID - VM/CT {id} does not exist")));
    }
    of_sid(given).map(|(kind, id)| sid(kind, id)).ok_or_else(|| fail(format!("unable to parse service id '{given}'")))
}

fn first(call: &Call) -> &str {
    call.positionals.first().map(String::as_str).unwrap_or_default()
}

/// The options that stand in the file, and the state that is asked for.
fn given(call: &Call) -> (Vec<(String, String)>, Option<Asked>) {
    let no_property = ["state", "delete", "digest", "type", "purge"];
    let properties = call.options.iter().filter(|(key, _)| !no_property.contains(&key.as_str()));
    (properties.cloned().collect(), call.option("state").and_then(Asked::of_word))
}

fn add(s: &mut Session, call: &Call) -> Done<i32> {
    let name = named(s.world(), first(call))?;
    let Some((kind, id)) = of_sid(&name) else { return Err(fail(format!("unable to parse service id '{name}'"))) };
    match s.world().guest(id) {
        None => return Err(fail(format!("resource '{name}' does not exist in cluster"))),
        Some(guest) if guest.kind != kind => {
            let other = if kind == GuestKind::Lxc { "container" } else { "VM" };
            return Err(fail(format!("resource '{name}' - guest with ID {id} is not a {other}")));
        }
        Some(_) => {}
    }
    if s.world().ha.contains_key(&name) {
        return Err(fail(format!("create resource failed: resource ID '{name}' already defined")));
    }
    let (properties, state) = given(call);
    let resource =
        Resource { properties: properties.into_iter().collect(), ..Resource::of(state.unwrap_or(Asked::Started)) };
    s.world_mut().ha_mut().insert(name, resource);
    Ok(0)
}

fn set(s: &mut Session, call: &Call) -> Done<i32> {
    let name = known(s.world(), first(call))?;
    let (properties, state) = given(call);
    let now = s.now();
    if let Some(resource) = s.world_mut().ha_mut().get_mut(&name) {
        for key in call.option("delete").map(split_list).unwrap_or_default() {
            resource.properties.remove(key);
        }
        resource.properties.extend(properties);
    }
    if let Some(state) = state {
        ha::ask(s.world_mut(), &name, state, now);
    }
    Ok(0)
}

fn known(world: &World, given: &str) -> Done<String> {
    let name = named(world, given)?;
    if world.ha.contains_key(&name) { Ok(name) } else { Err(fail(format!("no such resource '{name}'"))) }
}

fn remove(s: &mut Session, call: &Call) -> Done<i32> {
    let name = named(s.world(), first(call))?;
    if s.world_mut().ha_mut().remove(&name).is_none() {
        return Err(fail(format!("cannot delete service '{name}', not HA managed!")));
    }
    Ok(0)
}

fn stop(s: &mut Session, call: &Call) -> Done<i32> {
    let name = known(s.world(), first(call))?;
    let now = s.now();
    ha::ask(s.world_mut(), &name, Asked::Stopped, now);
    Ok(0)
}

fn migrate(s: &mut Session, call: &Call) -> Done<i32> {
    let name = known(s.world(), first(call))?;
    let node = target_node(s.world(), call)?;
    let now = s.now();
    ha::ask_to_move(s.world_mut(), &name, &node, now);
    Ok(0)
}

fn config(s: &mut Session) -> Done<i32> {
    let all: Vec<_> = s.world().ha.iter().map(|(name, resource)| (name.clone(), ha::properties(resource))).collect();
    for (name, properties) in all {
        s.print(name);
        for (key, value) in properties {
            s.print(format!("\t{key} {value}"));
        }
        s.print("");
    }
    Ok(0)
}

fn status(s: &mut Session) -> Done<i32> {
    let world = s.world();
    let mut lines = vec![match world.cluster.quorate {
        true => "quorum OK".to_owned(),
        false => format!("quorum No quorum on node '{}'!", world.node),
    }];
    if !world.ha.is_empty() {
        lines.push(format!("master {} (active)", world.node));
        lines.extend(world.cluster.members.iter().map(|node| format!("lrm {node} (active)")));
    }
    lines.extend(world.ha.keys().map(|name| {
        let node = of_sid(name).and_then(|(_, id)| world.guest(id)).and_then(|guest| guest.node.as_deref());
        format!("service {name} ({}, {})", node.unwrap_or(&world.node), ha::state(world, name))
    }));
    lines.into_iter().for_each(|line| s.print(line));
    Ok(0)
}
