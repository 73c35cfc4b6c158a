//! High availability as the node's manager does it: what was asked for is brought about some seconds later, whoever
//! looks.
//!
//! Nothing runs in the background here. Whenever the world is looked at, [`settle`] does what the manager would have
//! done until then: a guest that is not as it was asked for is noticed, and a cycle later it is started, stopped or
//! moved.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::core::Core;
use super::world::World;
use super::{guest, vm};
use crate::model::{GuestId, GuestKind};
use crate::pve::ha::{Asked, of_sid, sid};

/// From a request, or from when something went wrong, to its effect: the manager looks every ten seconds.
const CYCLE: Duration = Duration::from_secs(10);

/// A guest that the manager looks after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// What was asked for.
    pub state: Asked,
    /// Other properties as they stand in `resources.cfg`: `max_restart`, `comment` ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// The manager gave up on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// The node that it is to be moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// When the manager brings about what was asked for; absent: it noticed nothing yet. Microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<Moment>,
}

impl Resource {
    /// A guest that is to be in this state.
    pub fn of(state: Asked) -> Resource {
        Resource { state, properties: BTreeMap::new(), failed: false, target: None, due: None }
    }
}

fn micros(duration: Duration) -> Moment {
    Moment::try_from(duration.as_micros()).unwrap_or(Moment::MAX)
}

/// Whether the tools only file requests for this guest.
pub(super) fn is_managed(world: &World, kind: GuestKind, id: GuestId) -> bool {
    world.ha.get(&sid(kind, id)).is_some_and(|resource| resource.state != Asked::Ignored)
}

/// Files a request: the guest is to be in this state.
pub(super) fn ask(world: &mut World, name: &str, state: Asked, now: Moment) {
    if let Some(resource) = world.ha_mut().get_mut(name) {
        resource.state = state;
        resource.due = Some(now + micros(CYCLE));
        if state == Asked::Disabled {
            resource.failed = false;
        }
    }
}

/// Files a request: the guest is to be moved to this node.
pub(super) fn ask_to_move(world: &mut World, name: &str, node: &str, now: Moment) {
    if let Some(resource) = world.ha_mut().get_mut(name) {
        resource.target = Some(node.to_owned());
        resource.due = Some(now + micros(CYCLE));
    }
}

/// Does what the manager would have done until now.
pub(super) fn settle(world: &mut World, core: &Core, now: Moment) {
    if world.ha.is_empty() || !world.cluster.quorate {
        return;
    }
    for name in world.ha.keys().cloned().collect::<Vec<_>>() {
        let Some((kind, id)) = of_sid(&name) else { continue };
        let Some(due) = left_to_do(world, &name, kind, id) else { continue };
        match due {
            None => set_due(world, &name, Some(now + micros(CYCLE))),
            Some(at) if at <= now => {
                act(world, core, &name, (kind, id), at);
                set_due(world, &name, None);
            }
            Some(_) => {}
        }
    }
}

/// Whether this guest is not as it was asked for: then when the manager is due to act, as far as it noticed.
fn left_to_do(world: &World, name: &str, kind: GuestKind, id: GuestId) -> Option<Option<Moment>> {
    let resource = world.ha.get(name)?;
    let guest = world.guest(id).filter(|guest| guest.kind == kind && guest.node.is_none())?;
    let config = &guest.config.current;
    let busy = config.get("lock").is_some() || resource.failed || resource.state == Asked::Ignored;
    let runs = guest.running.is_some();
    let as_asked = runs == (resource.state == Asked::Started && !config.is_on("template"));
    let stays = resource.target.as_ref().is_none_or(|target| *target == world.node);
    (!(busy || as_asked && stays)).then_some(resource.due)
}

fn set_due(world: &mut World, name: &str, due: Option<Moment>) {
    if let Some(resource) = world.ha_mut().get_mut(name) {
        resource.due = due;
    }
}

/// What the manager does about a guest.
fn act(world: &mut World, core: &Core, name: &str, (kind, id): (GuestKind, GuestId), now: Moment) {
    let target = world.ha_mut().get_mut(name).and_then(|resource| resource.target.take());
    if let Some(target) = target.filter(|target| *target != world.node) {
        guest::stop(world, id);
        if let Some(guest) = world.guest_mut(id) {
            guest.node = Some(target);
        }
        return;
    }
    if world.guest(id).is_some_and(|guest| guest.running.is_some()) {
        guest::stop(world, id);
        return;
    }
    let started = match kind {
        GuestKind::Lxc => guest::start(world, core, id, now).map_err(|trouble| trouble.message),
        GuestKind::Vm => vm::check(world, id).and_then(|()| vm::start(world, core, id, now)),
    };
    if started.is_err()
        && let Some(resource) = world.ha_mut().get_mut(name)
    {
        resource.failed = true;
    }
}

/// The manager's own word for how a guest is.
pub(super) fn state(world: &World, name: &str) -> &'static str {
    let Some(resource) = world.ha.get(name) else { return "queued" };
    let runs = of_sid(name).and_then(|(_, id)| world.guest(id)).is_some_and(|guest| guest.running.is_some());
    match (resource.state, runs) {
        _ if resource.failed => "error",
        (Asked::Started, _) => "started",
        (Asked::Stopped | Asked::Disabled, true) => "request_stop",
        (Asked::Stopped | Asked::Disabled, false) => "stopped",
        (Asked::Ignored, _) => "ignored",
    }
}

/// `/etc/pve/ha/resources.cfg`.
pub(super) fn resources_cfg(world: &World) -> String {
    let mut text = String::new();
    for (name, resource) in &world.ha {
        text += &format!("{}\n", name.replacen(':', ": ", 1));
        text.extend(properties(resource).into_iter().map(|(key, value)| format!("\t{key} {value}\n")));
        text.push('\n');
    }
    text
}

/// Properties of a resource with its state, by name.
pub(super) fn properties(resource: &Resource) -> BTreeMap<String, String> {
    let mut all = resource.properties.clone();
    all.insert("state".to_owned(), resource.state.word().to_owned());
    all
}

/// `/etc/pve/ha/manager_status`.
pub(super) fn manager_status(world: &World) -> String {
    let managed = world.ha.iter().filter(|(_, resource)| resource.state != Asked::Ignored);
    let services: serde_json::Map<String, serde_json::Value> = managed
        .map(|(name, _)| {
            let node = of_sid(name).and_then(|(_, id)| world.guest(id)).and_then(|guest| guest.node.as_deref());
            let service = serde_json::json!({
                "node": node.unwrap_or(&world.node), "state": state(world, name), "uid": name.replace(':', ""),
            });
            (name.clone(), service)
        })
        .collect();
    let nodes: BTreeMap<&String, &str> = world.cluster.members.iter().map(|node| (node, "online")).collect();
    let status = serde_json::json!({
        "master_node": world.node, "node_status": nodes, "service_status": services, "timestamp": world.now / 1_000_000,
    });
    format!("{status}\n")
}
