//! Running one entry of one script against one machine.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use rhai::{CallFnOptions, Dynamic, Scope};
use serde_json::Value;

use super::api::{Subject, from_json};
use super::blame::{End, Scene, explain};
use super::context::{Run, State};
use super::error::{Raised, ScriptError, Thrown};
use super::{Library, engine, params, prepare};
use crate::artifact::{Artifact, Artifacts};
use crate::event::{Event, Failure, Level};
use crate::finding::Severity;
use crate::host::interrupt::Interrupt;
use crate::machine::{Machine, SecretStore};
use crate::model::{GuestId, Prepared, ScriptKind, ScriptSpec, Site};
use crate::op::Place;
use crate::secret::SecretName;

/// Which function of a script is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `apply(guest, params)`: brings it about.
    Apply,
    /// `health(guest, params)`: whether it is healthy; may only look.
    Health,
    /// `prepare(node, guest, params)`: what the guest needs before it is configured; may only look at the node.
    Prepare,
    /// `remove(guest, params)`: takes it away again.
    Remove,
}

impl Entry {
    /// Name of the function.
    pub const fn function(self) -> &'static str {
        match self {
            Entry::Apply => "apply",
            Entry::Health => "health",
            Entry::Prepare => "prepare",
            Entry::Remove => "remove",
        }
    }

    /// Number of its parameters.
    pub const fn arity(self) -> usize {
        match self {
            Entry::Prepare => 3,
            _ => 2,
        }
    }

    /// Whether it must not change anything.
    pub const fn only_looks(self) -> bool {
        matches!(self, Entry::Health | Entry::Prepare)
    }
}

/// One run of one entry of one script.
pub struct Call<'a> {
    /// Where the script is.
    pub library: &'a Library,
    /// Feature or app.
    pub kind: ScriptKind,
    /// Its name.
    pub name: &'a str,
    /// The function to call.
    pub entry: Entry,
    /// The machine it acts in; for [`Entry::Prepare`] the node.
    pub machine: Machine,
    /// The declared site.
    pub site: Arc<Site>,
    /// The guest it is about.
    pub guest: GuestId,
    /// Parameters as [`params()`](super::params()) answers them: complete and checked.
    pub params: BTreeMap<String, Value>,
    /// What was published in this run of the program.
    pub artifacts: Artifacts,
    /// Guests whose artifacts may be read, nearest first.
    pub publishers: Vec<GuestId>,
    /// The secret store.
    pub secrets: SecretStore,
    /// The operator's wish to stop.
    pub interrupt: Interrupt,
}

/// What a script did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScriptReport {
    /// Whether anything was changed.
    pub changed: bool,
    /// Why it ended early by its own wish.
    pub skipped: Option<String>,
    /// What it published.
    pub published: Vec<Artifact>,
    /// What its `prepare` asks for.
    pub prepared: Prepared,
}

/// Runs a script on the thread of the caller, which needs [`STACK`](super::STACK) bytes of stack: make it with
/// [`thread()`](super::thread()). A script without the function (`apply` excepted) has nothing to say.
///
/// # Errors
/// [`ScriptError::Invalid`] before anything ran when its files have errors; else whatever ended it.
pub fn run(call: Call) -> Result<ScriptReport, ScriptError> {
    let Call { library, kind, name, entry, .. } = call;
    let absent = || ScriptError::Absent(format!("there is no {} `{name}`", kind_word(kind)));
    let script = library.script(kind, name).ok_or_else(absent)?;
    let errors: Vec<_> =
        library.check(kind, name).into_iter().filter(|finding| finding.severity == Severity::Error).collect();
    if !errors.is_empty() {
        return Err(ScriptError::Invalid(errors));
    }
    let spec = library.catalogue().get(kind, name).ok_or_else(absent)?.clone();
    let Some(function) = script.syntax.function(entry.function(), entry.arity()) else {
        return Ok(ScriptReport::default());
    };
    let (run, params) = prepared_run(call, spec)?;
    let mut arguments = vec![params];
    arguments.insert(0, Dynamic::from(subject(entry, &run)));
    if entry == Entry::Prepare {
        arguments.insert(1, Dynamic::from(Subject::Declared));
    }

    let mut engine = engine::for_run(Dynamic::from(Arc::clone(&run)), run.interrupt.clone(), library);
    let printed = Arc::clone(&run);
    engine.on_print(move |text| {
        let text = printed.mask(text);
        printed.tell(|guest| Event::Message { guest: Some(guest), level: Level::Debug, text: text.clone() });
    });
    let called = catch_unwind(AssertUnwindSafe(|| {
        let options = CallFnOptions::new();
        engine.call_fn_with_options::<Dynamic>(options, &mut Scope::new(), &script.ast, entry.function(), arguments)
    }));
    let Ok(called) = called else {
        let message = format!("`{name}` ran into a mistake of this program");
        return Err(ScriptError::Failed(Box::new(Failure {
            hint: Some("the lines above are worth a bug report".to_owned()),
            ..Failure::new(message)
        })));
    };
    let mut report = ScriptReport::default();
    match called {
        Ok(answer) if entry == Entry::Prepare => report.prepared = prepare::read(&answer).map_err(plain)?,
        Ok(_) => {}
        Err(error) => {
            let scene = Scene {
                source: &script.source,
                file: &|path| library.file(path),
                entry: function.at,
                last_call: run.state().last_call.take(),
                mask: &|text| run.mask(text),
            };
            match explain(error, &scene) {
                End::Skipped(reason) => report.skipped = Some(reason),
                End::Error(error) => return Err(error),
            }
        }
    }
    let mut state = run.state();
    report.changed = state.changed;
    report.published = std::mem::take(&mut state.published);
    Ok(report)
}

/// The context of a run, and its parameters with secrets in place.
fn prepared_run(call: Call, spec: ScriptSpec) -> Result<(Arc<Run>, Dynamic), ScriptError> {
    let deadline = spec.timeout.map(|limit| call.machine.host().now() + limit);
    let mut state = State::default();
    let mut values = rhai::Map::new();
    for (name, value) in &call.params {
        let value = match params::secret_name(value) {
            Some(secret) => {
                let secret = SecretName(secret.to_owned());
                let value = call.secrets.get(&secret).map_err(|error| raised(error.into()))?;
                state.vault.secret(&secret, value).into()
            }
            None => from_json(value),
        };
        values.insert(name.as_str().into(), value);
    }
    let run = Run {
        library: call.library.clone(),
        spec,
        entry: call.entry,
        machine: call.machine,
        site: call.site,
        id: call.guest,
        artifacts: call.artifacts,
        publishers: call.publishers,
        secrets: call.secrets,
        interrupt: call.interrupt,
        deadline,
        state: Mutex::new(state),
    };
    Ok((Arc::new(run), values.into()))
}

fn subject(entry: Entry, run: &Run) -> Subject {
    match (entry, run.machine.place()) {
        (Entry::Prepare, _) | (_, Place::Node) => Subject::Node,
        _ => Subject::Guest,
    }
}

const fn kind_word(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Feature => "feature",
        ScriptKind::App => "app",
    }
}

fn raised(raised: Raised) -> ScriptError {
    match raised {
        Raised::Error(thrown) => plain(thrown),
        Raised::End(super::error::Ended::Interrupted) => ScriptError::Interrupted,
        Raised::End(super::error::Ended::Lost(thrown)) => plain(*thrown),
        Raised::End(super::error::Ended::Unknown(what)) => {
            ScriptError::Unknown { place: "its parameters".to_owned(), what }
        }
        Raised::End(super::error::Ended::Skipped(reason)) => plain(Thrown::invalid(reason)),
        Raised::Script(error) => plain(Thrown::invalid(error.to_string())),
    }
}

/// A failure without a place in the script.
fn plain(thrown: Thrown) -> ScriptError {
    ScriptError::Failed(Box::new(Failure {
        message: thrown.message,
        command: thrown.command,
        output: thrown.output,
        trace: None,
        hint: thrown.hint,
    }))
}
