//! A verb and its targets become a plan.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::order::{self, Script};
use super::{Edge, Graph, steps};
use crate::model::{Catalogue, Guest, GuestId, LxcNeeds, ScriptKind, Site, Step};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Named guests as declared; what they need is there and healthy.
    Create,
    /// Named guests and all they need as declared.
    Converge,
    /// The same; those that are finished and stopped are started one after another, as at boot.
    Up,
    /// Started, what they need first.
    Start,
    /// Stopped.
    Stop,
    /// Stopped and started.
    Restart,
    /// Destroyed.
    Delete,
    /// Asked how they are.
    Health,
}

/// A request for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub verb: Verb,
    /// The guests that were named, in the order typed.
    pub targets: Vec<GuestId>,
    /// Only the named guests, whatever they need.
    pub no_deps: bool,
    /// For stop, restart and delete: everything that needs the named guests too.
    pub with_dependents: bool,
    /// Guests without phoenix's mark that may be taken over.
    pub adopt: BTreeSet<GuestId>,
    /// The guests that are on the node; absent: all that are declared. Only guests that are there hinder a deletion.
    pub present: Option<BTreeSet<GuestId>>,
}

impl Request {
    /// A request without any options.
    pub fn new(verb: Verb, targets: impl IntoIterator<Item = GuestId>) -> Request {
        Request {
            verb,
            targets: targets.into_iter().collect(),
            no_deps: false,
            with_dependents: false,
            adopt: BTreeSet::new(),
            present: None,
        }
    }
}

/// Why a guest is in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// It was named: its whole configuration and every script is checked and applied.
    Target,
    /// Another guest needs it: created if absent, finished if it never was, else made sure to be healthy.
    Dependency,
}

/// Why a guest is not meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rest {
    /// It is a template.
    Template,
    /// Others are cloned from it, and it is not started at boot.
    Source,
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rest::Template => "is a template",
            Rest::Source => "is only cloned from",
        })
    }
}

/// One guest of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedGuest {
    /// Guest.
    pub id: GuestId,
    /// Why it is in the plan.
    pub wanted: Wanted,
    /// Why it is not meant to run; absent: it is.
    pub rest: Option<Rest>,
    /// May be taken over although it has no mark.
    pub adopt: bool,
    /// Guests of this plan that have to be finished before. When guests are stopped or deleted these are the guests that
    /// need this one.
    pub after: Vec<Edge>,
    /// Steps in order; none: there is nothing to do, and `rest` says why.
    pub steps: Vec<Step>,
    /// Its features in the order in which they run, then its app.
    pub scripts: Vec<Script>,
    /// What its scripts, and the features of the guests it is cloned from, need of Proxmox.
    pub needs: LxcNeeds,
}

/// Guests in order, each with its steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What was asked for.
    pub verb: Verb,
    /// In an order that respects all edges; guests without edges between them may run side by side.
    pub guests: Vec<PlannedGuest>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A target is not declared.
    #[error("guest {0} is not declared")]
    Unknown(GuestId),
    /// A guest needs one that is not declared.
    #[error("guest {guest} needs guest {} ({}), which is not declared", wants.on, wants.why)]
    Missing {
        /// Who needs it.
        guest: GuestId,
        /// What is not declared.
        wants: Edge,
    },
    /// A guest needs itself.
    #[error("guests need each other in a circle: {}", path(.0))]
    Cycle(Vec<GuestId>),
    /// Guests that are to be deleted are needed by others.
    #[error("guest {id} is needed by {}: delete them too, or first", list(dependents))]
    Dependents {
        /// Who is needed.
        id: GuestId,
        /// By whom, nearest first.
        dependents: Vec<GuestId>,
    },
}

fn path(ids: &[GuestId]) -> String {
    ids.iter().map(GuestId::to_string).collect::<Vec<_>>().join(" -> ")
}

fn list(ids: &[GuestId]) -> String {
    ids.iter().map(GuestId::to_string).collect::<Vec<_>>().join(", ")
}

/// Makes the plan.
///
/// # Errors
/// When targets are not declared, needs cannot be met, or a deletion would leave dependents without what they need.
pub fn make(site: &Site, catalogue: &Catalogue, request: &Request) -> Result<Plan, PlanError> {
    let graph = Graph::new(site, catalogue);
    if let Some(unknown) = request.targets.iter().find(|id| !graph.contains(**id)) {
        return Err(PlanError::Unknown(*unknown));
    }
    let ids = match request.verb {
        Verb::Create | Verb::Converge | Verb::Up | Verb::Start => upwards(&graph, request)?,
        Verb::Health => chosen(&graph, &request.targets),
        Verb::Restart => chosen(&graph, &with_dependents(&graph, request)),
        Verb::Stop => downwards(&graph, &with_dependents(&graph, request)),
        Verb::Delete => {
            let targets = with_dependents(&graph, request);
            no_dependents_left(&graph, &targets, request)?;
            downwards(&graph, &targets)
        }
    };
    let planned: HashSet<GuestId> = ids.iter().copied().collect();
    let guest =
        |id: &GuestId| site.guest(*id).map(|guest| plan_guest(site, guest, &graph, catalogue, request, &planned));
    Ok(Plan { verb: request.verb, guests: ids.iter().filter_map(guest).collect() })
}

/// A plan that runs one script on one guest and nothing else: started if it is stopped, ready, then the script.
/// The script need not be declared for the guest.
///
/// # Errors
/// When the guest is not declared.
pub fn one_script(site: &Site, catalogue: &Catalogue, id: GuestId, script: Script) -> Result<Plan, PlanError> {
    let mut plan = make(site, catalogue, &Request { no_deps: true, ..Request::new(Verb::Create, [id]) })?;
    let step = match script.0 {
        ScriptKind::Feature => Step::Feature(script.1.clone()),
        ScriptKind::App => Step::App(script.1.clone()),
    };
    for guest in &mut plan.guests {
        guest.scripts = vec![script.clone()];
        guest.steps = match guest.rest {
            Some(Rest::Template) => Vec::new(),
            _ => vec![Step::Start, Step::Ready, step.clone()],
        };
    }
    Ok(plan)
}

/// A plan that only takes guests over: the mark, and settings that differ.
///
/// # Errors
/// When a guest is not declared.
pub fn adoption(site: &Site, catalogue: &Catalogue, ids: &[GuestId]) -> Result<Plan, PlanError> {
    let adopt = ids.iter().copied().collect();
    let request = Request { no_deps: true, adopt, ..Request::new(Verb::Create, ids.iter().copied()) };
    let mut plan = make(site, catalogue, &request)?;
    for guest in &mut plan.guests {
        guest.steps.retain(|step| matches!(step, Step::Define | Step::Configure));
    }
    Ok(plan)
}

fn plan_guest(
    site: &Site,
    guest: &Guest,
    graph: &Graph,
    catalogue: &Catalogue,
    request: &Request,
    planned: &HashSet<GuestId>,
) -> PlannedGuest {
    let named = request.targets.contains(&guest.id);
    let rest = rest(guest, graph);
    let scripts = order::scripts(guest, catalogue);
    let left_alone = match (request.verb, rest) {
        (Verb::Start, Some(Rest::Source)) => !named,
        (Verb::Start | Verb::Restart | Verb::Health, Some(_)) => true,
        _ => false,
    };
    let steps = match left_alone {
        true => Vec::new(),
        false => steps::of(request.verb, guest, rest, &scripts, catalogue),
    };
    let mut after = match request.verb {
        Verb::Stop | Verb::Delete => needed_by(guest.id, graph),
        // Everybody is asked, whatever the others say.
        Verb::Health => Vec::new(),
        _ => graph.needs(guest.id),
    };
    after.retain(|edge| planned.contains(&edge.on));
    PlannedGuest {
        id: guest.id,
        wanted: match request.verb {
            Verb::Create | Verb::Start if !named => Wanted::Dependency,
            _ => Wanted::Target,
        },
        rest,
        adopt: request.adopt.contains(&guest.id),
        after,
        steps,
        needs: order::lxc_needs(site, guest, &scripts, catalogue),
        scripts,
    }
}

fn rest(guest: &Guest, graph: &Graph) -> Option<Rest> {
    if guest.is_template {
        Some(Rest::Template)
    } else {
        (!guest.meant_to_run(graph.is_clone_source(guest.id))).then_some(Rest::Source)
    }
}

/// The edges by which others need a guest, each pointing to the one that needs it.
fn needed_by(id: GuestId, graph: &Graph) -> Vec<Edge> {
    let edges = |other: GuestId| {
        let needs = graph.needs(other).into_iter().filter(move |edge| edge.on == id);
        needs.map(move |edge| Edge { on: other, why: edge.why })
    };
    graph.needed_by(id).into_iter().flat_map(edges).collect()
}

/// The targets and what they need, needs first.
fn upwards(graph: &Graph, request: &Request) -> Result<Vec<GuestId>, PlanError> {
    if request.no_deps {
        return Ok(chosen(graph, &request.targets));
    }
    if let Some(cycle) = graph.cycle() {
        return Err(PlanError::Cycle(cycle));
    }
    let order = graph.order(&request.targets);
    match graph.missing().iter().find(|missing| order.contains(&missing.guest)) {
        Some(missing) => Err(PlanError::Missing { guest: missing.guest, wants: missing.wants.clone() }),
        None => Ok(order),
    }
}

/// Exactly these guests, needs first.
fn chosen(graph: &Graph, targets: &[GuestId]) -> Vec<GuestId> {
    let mut order = graph.order(targets);
    order.retain(|id| targets.contains(id));
    order
}

/// Exactly these guests, needs last.
fn downwards(graph: &Graph, targets: &[GuestId]) -> Vec<GuestId> {
    let mut order = chosen(graph, targets);
    order.reverse();
    order
}

fn with_dependents(graph: &Graph, request: &Request) -> Vec<GuestId> {
    let mut targets = request.targets.clone();
    if request.with_dependents {
        for id in &request.targets {
            let more: Vec<GuestId> = graph.dependents(*id).into_iter().filter(|id| !targets.contains(id)).collect();
            targets.extend(more);
        }
    }
    targets
}

fn no_dependents_left(graph: &Graph, targets: &[GuestId], request: &Request) -> Result<(), PlanError> {
    let is_there = |id: &GuestId| request.present.as_ref().is_none_or(|present| present.contains(id));
    for id in targets {
        let mut dependents = graph.dependents(*id);
        dependents.retain(|other| !targets.contains(other) && is_there(other));
        if !dependents.is_empty() {
            return Err(PlanError::Dependents { id: *id, dependents });
        }
    }
    Ok(())
}
