//! Features and the app: run, and remembered with the digests of what they were run with.

use std::collections::BTreeMap;

use super::{Done, Life, Result, StepError};
use crate::engine::record::{Applied, Consumed, Record};
use crate::machine::Machine;
use crate::model::{GuestId, ScriptKind, ScriptSpec, params};
use crate::script::{self, Call, Entry, ScriptError, ScriptReport};

/// Applies one script. Every script of a target is run on every run; what is right already costs it reads only.
///
/// What a rehearsal cannot know ends the script there; whatever would build upon it is not known either.
pub(in crate::engine) fn apply(life: &mut Life, kind: ScriptKind, name: &str) -> Result<Done> {
    let spec = spec(life, kind, name)?;
    let on = match run(life, kind, &spec) {
        Err(StepError::Unknown(on)) => on,
        // It may have missed what an unknown script before it would have done.
        Err(StepError::Failed(failure)) => match life.unknown.first() {
            Some((_, on)) => on.clone(),
            None => return Err(StepError::Failed(failure)),
        },
        other => return other,
    };
    life.run.unknown(life.id(), &spec.publishes, &on);
    life.unknown.push((spec.name, on.clone()));
    Err(StepError::Unknown(on))
}

fn run(life: &mut Life, kind: ScriptKind, spec: &ScriptSpec) -> Result<Done> {
    let builds_on = |(name, _): &&(String, String)| spec.needs.contains(name) || spec.after.contains(name);
    if let Some((_, on)) = life.unknown.iter().find(builds_on) {
        return Err(StepError::Unknown(on.clone()));
    }
    if let Some(on) = life.run.depends_on_unknown(&spec.consumes, &publishers(life)) {
        return Err(StepError::Unknown(on));
    }
    let key = Record::key(kind, &spec.name);
    let applied = applied(life, spec)?;
    if life.record.scripts.get(&key) != Some(&applied) {
        // It will change something, or what it does now counts as new: snapshots of the end are due either way.
        life.touch()?;
    }
    let machine = life.machine();
    let report = call(life, spec, Entry::Apply, machine)?;
    for artifact in &report.published {
        life.run.publish(artifact.clone());
        life.record.published.retain(|kept| kept.name != artifact.name);
        life.record.published.push(artifact.clone());
    }
    life.record.scripts.insert(key, applied);
    if report.changed {
        life.touch()?
    } else {
        life.keep()?
    }
    Ok(match report.skipped {
        Some(reason) => Done::Skipped(reason),
        None => Done::of(report.changed),
    })
}

/// Runs one entry of a script against a machine.
pub(super) fn call(life: &Life, spec: &ScriptSpec, entry: Entry, machine: Machine) -> Result<ScriptReport> {
    let call = Call {
        library: &life.run.library,
        kind: spec.kind,
        name: &spec.name,
        entry,
        site: life.run.site.clone(),
        guest: life.id(),
        params: params(life, spec)?,
        artifacts: life.run.artifacts.clone(),
        publishers: publishers(life),
        secrets: life.run.secrets.through(life.handles.host.clone()),
        interrupt: life.run.stage.interrupt.clone(),
        machine,
    };
    script::run(call).map_err(|error| match error {
        ScriptError::Interrupted => StepError::Interrupted,
        ScriptError::Unknown { place, .. } => StepError::Unknown(place),
        other => StepError::Failed(Box::new(other.failure())),
    })
}

/// What the catalogue says about a script of the guest.
pub(super) fn spec(life: &Life, kind: ScriptKind, name: &str) -> Result<ScriptSpec> {
    let spec = life.run.library.catalogue().get(kind, name).cloned();
    spec.ok_or_else(|| StepError::new(format!("there is no script `{name}`")))
}

fn params(life: &Life, spec: &ScriptSpec) -> Result<BTreeMap<String, serde_json::Value>> {
    params::of_guest(spec, life.guest, life.run.library.catalogue()).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        StepError::new(all.join("; "))
    })
}

/// What running the script now would be remembered as.
pub(in crate::engine) fn applied(life: &Life, spec: &ScriptSpec) -> Result<Applied> {
    let params = params(life, spec)?;
    let publishers = publishers(life);
    let consumed = spec.consumes.iter().filter_map(|name| {
        let artifact = life.run.artifacts.get(name, &publishers)?;
        let consumed = Consumed { publisher: artifact.publisher, digest: Applied::digest(artifact.value.as_bytes()) };
        Some((name.clone(), consumed))
    });
    Ok(Applied {
        script: spec.digest.clone(),
        params: Applied::digest(serde_json::Value::from_iter(params).to_string().as_bytes()),
        consumed: consumed.collect(),
    })
}

/// Scripts of the guest that the record does not hold as they would be applied now, in words.
pub(in crate::engine) fn outdated(life: &Life) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (kind, name) in &life.planned.scripts {
        let key = Record::key(*kind, name);
        if life.record.scripts.get(&key) != Some(&applied(life, &spec(life, *kind, name)?)?) {
            names.push(key);
        }
    }
    Ok(names)
}

/// Whether an artifact that the guest read became another one since.
pub(in crate::engine) fn consumed_others(life: &Life) -> bool {
    let publishers = publishers(life);
    life.record.scripts.values().flat_map(|applied| &applied.consumed).any(|(name, consumed)| {
        let now = life.run.artifacts.get(name, &publishers);
        now.is_some_and(|artifact| Applied::digest(artifact.value.as_bytes()) != consumed.digest)
    })
}

/// Guests whose artifacts a script may read: its own, then those it comes after, nearest first.
fn publishers(life: &Life) -> Vec<GuestId> {
    let mut publishers = vec![life.id()];
    publishers.extend(life.run.graph.ancestors(life.id()));
    publishers
}
