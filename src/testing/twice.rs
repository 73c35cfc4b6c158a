//! The case that every script has: it and whatever it needs are created by the engine in a sandbox, then created again,
//! and the second time nothing may change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Declared;
use crate::engine::{self, Consent, Engine};
use crate::event::{Discard, Failure, Outcome};
use crate::host::HostHandle;
use crate::host::interrupt::Interrupt;
use crate::model::{GuestId, ScriptKind, Site};
use crate::plan;
use crate::sandbox::{Options, Sandbox, World};
use crate::script::{Library, Models};

/// Creates a guest with the script twice; `guest` says what else it is, as [`Declared`] takes it.
pub(super) fn run(
    library: &Library,
    models: &Models,
    script: (ScriptKind, &str),
    params: &BTreeMap<String, Value>,
    guest: &Map<String, Value>,
) -> Result<(), Failure> {
    let site = Arc::new(site(library, script, params, guest)?);
    let target: Vec<GuestId> = site.guests.keys().copied().collect();
    let options = Options { programs: Arc::new(models.clone()), strict: true, ..Options::default() };
    let sandbox = Arc::new(Sandbox::in_memory(World::fresh(&site), options));
    create(&sandbox, library, &site, &target)?;
    let before = sandbox.changes();
    let changed = create(&sandbox, library, &site, &target)?;
    let did = sandbox.changes() - before;
    if !changed.is_empty() || did > 0 {
        let steps = if changed.is_empty() { String::new() } else { format!(" in {}", changed.join(", ")) };
        return Err(Failure {
            hint: Some("guard `exec`, and compare before writing: verbs do so by themselves".to_owned()),
            ..Failure::new(format!("the second time still changes something{steps} ({did} changing values)"))
        });
    }
    Ok(())
}

/// Runs the production engine; answers the steps that changed something.
fn create(
    sandbox: &Arc<Sandbox>,
    library: &Library,
    site: &Arc<Site>,
    targets: &[GuestId],
) -> Result<Vec<String>, Failure> {
    let request = plan::Request::new(plan::Verb::Create, targets.iter().copied());
    let plan = plan::make(site, library.catalogue(), &request).map_err(|error| Failure::new(error.to_string()))?;
    let host: HostHandle = Arc::clone(sandbox) as HostHandle;
    let summary = engine::run(Engine {
        host,
        site: Arc::clone(site),
        library: Arc::new(library.clone()),
        plan,
        events: Arc::new(Discard),
        interrupt: Interrupt::new(),
        outside: Arc::new(|_| None),
        options: engine::Options { command: "feature test".to_owned(), jobs: 1, consent: Consent::Given },
    })
    .map_err(|error| Failure::new(error.to_string()))?;
    let mut changed = Vec::new();
    for guest in summary.guests {
        if let Outcome::Failed { cause } = guest.outcome {
            return Err(cause);
        }
        for (step, outcome) in guest.steps {
            match outcome {
                Outcome::Changed => changed.push(format!("{step} of {}", guest.name)),
                Outcome::Failed { cause } => return Err(cause),
                Outcome::Unchanged | Outcome::Skipped { .. } => {}
            }
        }
    }
    Ok(changed)
}

/// A site whose first guest has the script and what it needs, and others that publish what it reads.
pub(super) fn site(
    library: &Library,
    (kind, name): (ScriptKind, &str),
    params: &BTreeMap<String, Value>,
    guest: &Map<String, Value>,
) -> Result<Site, Failure> {
    let mut guests = Guests { library, made: Vec::new(), publishers: BTreeSet::new() };
    guests.add(kind, name, params);
    let Guests { made, .. } = guests;
    let mut made = made.into_iter().rev();
    let mut first = described(made.next().unwrap_or_default(), guest)?;
    first.others = made.collect();
    first.site().map_err(Failure::new)
}

/// The guest with what `const GUEST` says about it.
fn described(guest: Declared, members: &Map<String, Value>) -> Result<Declared, Failure> {
    let described: Declared = serde_json::from_value(Value::Object(members.clone()))
        .map_err(|error| Failure::new(format!("`const GUEST`: {error}")))?;
    let Declared { id, name, ip, params, roles, features, app, .. } = guest;
    Ok(Declared { id, name, ip, params, roles, features, app, ..described })
}

struct Guests<'a> {
    library: &'a Library,
    made: Vec<Declared>,
    /// Scripts that have a guest already.
    publishers: BTreeSet<String>,
}

impl Guests<'_> {
    fn add(&mut self, kind: ScriptKind, name: &str, params: &BTreeMap<String, Value>) {
        let catalogue = self.library.catalogue();
        let Some(spec) = catalogue.get(kind, name) else { return };
        self.publishers.insert(name.to_owned());
        let mut features = Vec::new();
        let mut consumes = spec.consumes.clone();
        let mut open: Vec<String> = spec.needs.clone();
        while let Some(need) = open.pop() {
            if features.contains(&need) {
                continue;
            }
            if let Some(needed) = catalogue.features.get(&need) {
                open.extend(needed.needs.clone());
                consumes.extend(needed.consumes.clone());
            }
            features.push(need);
        }
        features.reverse();
        let own: Vec<String> = features.iter().cloned().chain([name.to_owned()]).collect();
        for artifact in consumes {
            let publisher = catalogue.features.values().find(|spec| spec.publishes.contains(&artifact));
            if let Some(publisher) = publisher.filter(|spec| !own.contains(&spec.name))
                && !self.publishers.contains(&publisher.name)
            {
                self.add(publisher.kind, &publisher.name, &BTreeMap::new());
            }
        }
        let number = 100 + u32::try_from(self.made.len()).unwrap_or_default();
        let app = (kind == ScriptKind::App).then(|| name.to_owned());
        if kind == ScriptKind::Feature {
            features.push(name.to_owned());
        }
        self.made.push(Declared {
            id: number,
            name: name.replace('_', "-"),
            ip: format!("192.0.2.{number}/24"),
            params: BTreeMap::from([(name.to_owned(), params.clone())]),
            // What a platform would say about it: apps look for guests by their role.
            roles: vec![name.to_owned()],
            features,
            app,
            ..Declared::default()
        });
    }
}
