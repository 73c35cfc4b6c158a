//! The case that every script has: it and whatever it needs are created by the engine in a sandbox, then created again,
//! and the second time nothing may change; a rehearsal of that must say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::declared::number;
use super::{Declared, create, ground};
use crate::event::Failure;
use crate::host::HostHandle;
use crate::model::{Guest, GuestId, ScriptKind};
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
    let declared = declared(library, script, params, guest)?;
    let site = Arc::new(declared.site().map_err(Failure::new)?);
    let target: Vec<GuestId> = site.guests.values().filter(|guest| is_made(guest)).map(|guest| guest.id).collect();
    let options = Options { programs: Arc::new(models.clone()), strict: declared.strict, ..Options::default() };
    let sandbox = Arc::new(Sandbox::in_memory(World::fresh(&site), options.clone()));
    ground::keep_secrets(&(Arc::clone(&sandbox) as HostHandle), &declared.secrets)?;
    create::run(&sandbox, library, &site, &target)?;
    let advice = "guard `exec`, and compare before writing: verbs do so by themselves";
    let rehearsal = Arc::new(Sandbox::rehearse(sandbox.world(), None, options));
    let predicted = create::run(&rehearsal, library, &site, &target)?;
    let before = sandbox.changes();
    let changed = create::run(&sandbox, library, &site, &target)?;
    let did = sandbox.changes() - before;
    let problem = if !changed.is_empty() || did > 0 {
        let steps = if changed.is_empty() { String::new() } else { format!(" in {}", changed.join(", ")) };
        format!("the second time still changes something{steps} ({did} changing values)")
    } else if !predicted.is_empty() {
        format!("a rehearsal of the second time predicts changes in {}", predicted.join(", "))
    } else {
        return Ok(());
    };
    Err(Failure { hint: Some(advice.to_owned()), ..Failure::new(problem) })
}

/// A guest that has the script and what it needs, with others that publish what it reads.
pub(super) fn declared(
    library: &Library,
    (kind, name): (ScriptKind, &str),
    params: &BTreeMap<String, Value>,
    guest: &Map<String, Value>,
) -> Result<Declared, Failure> {
    let mut guests = Guests { library, made: Vec::new(), publishers: BTreeSet::new() };
    guests.add(kind, name, params);
    let Guests { made, .. } = guests;
    let mut made = made.into_iter().rev();
    let mut first = described(made.next().unwrap_or_default(), guest)?;
    first.others.extend(made);
    number(std::slice::from_mut(&mut first));
    Ok(first)
}

/// Whether a guest has anything to do with the script; others are only declared.
fn is_made(guest: &Guest) -> bool {
    guest.app.is_some() || !guest.features.is_empty()
}

/// The guest with what `const GUEST` says about it.
fn described(guest: Declared, members: &Map<String, Value>) -> Result<Declared, Failure> {
    let described = Declared::read(Value::Object(members.clone()))?;
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
