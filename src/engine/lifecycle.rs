//! A guest's life: which step does what, and which of them a guest goes through in this run.
//!
//! The order of the steps is the plan's; one table serves every kind of guest and every verb.

use super::failure::{Result, StepError};
use super::journal::Entry;
use super::life::{Life, difference};
use super::mark::Standing;
use super::repair;
use super::run::Run;
use super::stage::Handles;
use super::steps::{self, Done};
use crate::command::Cost;
use crate::event::{Difference, Event, Outcome};
use crate::model::{Guest, ScriptKind, Step};
use crate::plan::{PlannedGuest, Rest, Wanted};
use crate::pve::guest;

/// What a guest's turn came to.
pub(super) struct Turn {
    pub(super) outcome: Outcome,
    /// Whether guests that come after it may start.
    pub(super) met: bool,
    pub(super) steps: Vec<(Step, Outcome)>,
    pub(super) pending: Vec<Difference>,
}

impl Turn {
    /// A turn without steps.
    pub(super) fn ended(outcome: Outcome) -> Turn {
        Turn { outcome, met: false, steps: Vec::new(), pending: Vec::new() }
    }

    /// Nothing is to be done with a guest that is not meant to run.
    pub(super) fn left_alone(rest: Rest) -> Turn {
        Turn { met: true, ..Turn::ended(Outcome::Skipped { reason: format!("it {rest}") }) }
    }
}

/// How a guest goes through its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// Every step.
    Whole,
    /// It is finished and not meant to run: compared, but not started; its scripts count as applied.
    Resting,
    /// It is finished and only depended on: running and healthy is enough.
    Healthy,
    /// It is finished, only depended on, and not meant to run: nothing is to be done.
    Met,
}

/// Takes a guest through its steps.
pub(super) fn run(run: &Run, planned: &PlannedGuest, guest: &Guest, handles: Handles) -> Turn {
    let mut life = match Life::open(run, planned, guest, handles) {
        Ok(life) => life,
        Err(error) => return Turn::ended(outcome(Err(error))),
    };
    let mut taken = Vec::new();
    let ended = walk(&mut life, &mut taken);
    let met = ended.is_ok();
    let outcome = match ended {
        Ok(()) if taken.iter().any(|(_, outcome)| *outcome == Outcome::Changed) => Outcome::Changed,
        Ok(()) => Outcome::Unchanged,
        Err(error) => outcome(Err(error)),
    };
    Turn { outcome, met, steps: taken, pending: life.pending }
}

fn walk(life: &mut Life, taken: &mut Vec<(Step, Outcome)>) -> Result<()> {
    let makes_or_ends = [Step::Define, Step::Destroy].iter().any(|step| life.planned.steps.contains(step));
    let id = life.id();
    match life.standing {
        Standing::Ours | Standing::HalfMade if makes_or_ends => repair::repair(life)?,
        Standing::Absent if !makes_or_ends => {
            return Err(StepError::with_hint("it is not on the node", format!("`phoenix create {id}` makes it")));
        }
        Standing::HalfMade => {
            let hint = format!("`phoenix create {id}` finishes it, `phoenix delete {id}` removes it");
            return Err(StepError::with_hint("its creation was cut off", hint));
        }
        _ => {}
    }
    let course = course(life)?;
    for step in life.planned.steps.clone() {
        if !takes(course, life, &step) {
            continue;
        }
        let outcome = take(life, course, &step)?;
        taken.push((step, outcome.clone()));
        if let Outcome::Failed { cause } = outcome {
            return Err(StepError::Failed(Box::new(cause)));
        }
    }
    match course {
        Course::Whole | Course::Resting => finish(life, taken),
        Course::Healthy | Course::Met => Ok(()),
    }
}

/// One step, told and noted.
fn take(life: &mut Life, course: Course, step: &Step) -> Result<Outcome> {
    let began = life.handles.keeper.now();
    life.tell(Event::StepStarted { guest: life.id(), step: step.clone() });
    let outcome = match perform(life, course, step) {
        Err(StepError::Interrupted) => return Err(StepError::Interrupted),
        other => outcome(other),
    };
    let ended = life.handles.keeper.now();
    let elapsed = ended.duration_since(began).try_into().unwrap_or_default();
    if *step == Step::Start && outcome == Outcome::Changed {
        life.run.boot.started(life.id(), ended);
    }
    life.note(Entry::Step { guest: life.id(), step: step.clone(), outcome: outcome.clone() });
    life.tell(Event::StepFinished { guest: life.id(), step: step.clone(), outcome: outcome.clone(), elapsed });
    Ok(outcome)
}

/// The table.
fn perform(life: &mut Life, course: Course, step: &Step) -> Result<Done> {
    match step {
        Step::Prepare => steps::prepare(life),
        Step::Define => steps::define(life),
        Step::Configure => steps::configure(life),
        Step::Storage => steps::storage(life),
        Step::Firewall => steps::firewall(life),
        Step::Start => steps::start(life),
        Step::Ready => steps::ready(life),
        Step::Snapshot(name) => steps::snapshot(life, name),
        Step::Feature(_) | Step::App(_) if course == Course::Resting => Ok(Done::Unchanged),
        Step::Feature(name) => steps::apply(life, ScriptKind::Feature, name),
        Step::App(name) => steps::apply(life, ScriptKind::App, name),
        Step::Health => steps::health(life),
        Step::Mount => steps::mount(life),
        Step::Clean => steps::clean(life),
        Step::Stop => steps::stop(life),
        Step::Template => steps::template(life),
        Step::Destroy => steps::destroy(life),
    }
}

/// Which steps a guest goes through.
fn takes(course: Course, life: &Life, step: &Step) -> bool {
    match course {
        Course::Whole => true,
        Course::Healthy => matches!(step, Step::Start | Step::Ready | Step::Health),
        Course::Met => false,
        Course::Resting => match step {
            Step::Start | Step::Ready | Step::Mount | Step::Health | Step::Clean => false,
            // A template has none; a source retakes its own when its configuration was changed.
            Step::Snapshot(_) => !life.guest.is_template,
            _ => true,
        },
    }
}

fn course(life: &mut Life) -> Result<Course> {
    let provisions = life.planned.steps.contains(&Step::Define);
    let known = matches!(life.standing, Standing::Ours | Standing::Adopted);
    let there = provisions && known && life.present().is_some();
    let target = life.planned.wanted == Wanted::Target;
    if there && life.defined()?.config.is_template() {
        // The last step of a template's life is the one that cannot be half done: whatever came before it is done.
        if target {
            rebuilds(life)?;
        }
        return Ok(if target { Course::Resting } else { Course::Met });
    }
    if !there || !finished(life)? {
        return Ok(Course::Whole);
    }
    if life.planned.rest.is_none() {
        // A dependency is only brought up to date when an artifact that it read became another one.
        let stale = !target && steps::consumed_others(life);
        return Ok(if target || stale { Course::Whole } else { Course::Healthy });
    }
    Ok(match (target, steps::outdated(life)?.is_empty(), life.running()) {
        (true, true, false) => Course::Resting,
        (true, ..) => Course::Whole,
        (false, ..) => Course::Met,
    })
}

/// What a template can only get by being made anew.
fn rebuilds(life: &mut Life) -> Result<()> {
    for script in &steps::outdated(life)? {
        let (then, now) = ("as it was when the template was made", "as it is now");
        life.leaves(difference(script, Some(then), Some(now), Cost::Rebuild));
    }
    if !life.guest.is_template {
        life.leaves(difference("kind", Some("template"), Some(life.guest.kind.noun()), Cost::Rebuild));
    }
    Ok(())
}

/// Whether an earlier run took it through every step, and the snapshot that clones come from is still there.
fn finished(life: &Life) -> Result<bool> {
    if life.record.finished_by.is_none() || life.record.begun.is_some() || life.guest.is_template {
        return Ok(false);
    }
    let present = life.defined()?;
    // Where the storage cannot take it, clones come from the guest as it is.
    let impossible = || guest::snapshot_obstacle(present, &life.sight.inventory).is_some();
    let of_clones = life.guest.snapshots.template.as_deref().filter(|_| life.run.site.is_clone_source(life.id()));
    Ok(of_clones.is_none_or(|name| present.config.snapshot(name).is_some() || impossible()))
}

/// After the last step: what the run leaves behind is written down.
fn finish(life: &mut Life, taken: &[(Step, Outcome)]) -> Result<()> {
    let whole = life.planned.steps.contains(&Step::Define);
    if !whole || life.present().is_none() {
        return Ok(());
    }
    let changed = taken.iter().any(|(_, outcome)| *outcome == Outcome::Changed);
    if changed || life.record.finished_by.is_none() {
        life.record.finished_by = Some(life.run.id.clone());
        life.record.name.clone_from(&life.guest.name);
        life.keep()?;
    }
    Ok(())
}

fn outcome(result: Result<Done>) -> Outcome {
    match result {
        Ok(Done::Changed) => Outcome::Changed,
        Ok(Done::Unchanged) => Outcome::Unchanged,
        Ok(Done::Skipped(reason)) => Outcome::Skipped { reason },
        Err(StepError::Unknown(on)) => Outcome::unknown(&on),
        Err(StepError::Interrupted) => Outcome::Skipped { reason: "interrupted".to_owned() },
        Err(StepError::Failed(failure)) => Outcome::Failed { cause: *failure },
    }
}
