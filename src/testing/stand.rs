//! One guest in a test's hand.

use std::sync::Arc;

use serde_json::Value;

use super::declared::Declared;
use super::ground::{Ground, Made, Store};
use super::killed;
use crate::command::Effect;
use crate::event::{Event, Failure};
use crate::host::interrupt::Interrupt;
use crate::host::{HostError, HostHandle};
use crate::machine::{Machine, MachineError, SecretStore};
use crate::model::{GuestId, ScriptKind, Target};
use crate::op::Place;
use crate::pve::tool::Tool;
use crate::sandbox::Fault;
use crate::script::{self, Call, Entry, Library, Maker, Models, ScriptError, ScriptReport, StagedGuest, Stub, Trouble};

/// A guest on a node of the test's own.
#[derive(Clone)]
pub struct Stand {
    pub(super) ground: Arc<Ground>,
    pub(super) id: GuestId,
    pub(super) place: Place,
}

/// Why a stand could not be set up.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StandError {
    /// The description makes no sense.
    #[error("{0}")]
    Declared(String),
    /// What was to be applied before the test failed.
    #[error("{}", .0.message)]
    Applied(Box<Failure>),
    /// The sandbox refused.
    #[error("the guest of the test could not be made: {0}")]
    Host(#[from] HostError),
    /// The guest refused.
    #[error("the guest of the test could not be prepared: {0}")]
    Machine(#[from] MachineError),
}

impl From<StandError> for Failure {
    fn from(error: StandError) -> Failure {
        match error {
            StandError::Applied(failure) => *failure,
            StandError::Machine(error) => Failure { message: error.to_string(), ..error.failure() },
            other => Failure::new(other.to_string()),
        }
    }
}

/// Makes guests for the cases of test files.
pub(super) fn maker(library: &Library, models: &Models, store: &Arc<Store>) -> Maker {
    let (library, models, store) = (library.clone(), models.clone(), Arc::clone(store));
    Arc::new(move |described| {
        let described = described.into_iter().map(Declared::read).collect::<Result<Vec<_>, _>>()?;
        let made = store.made(&library, &models, &described)?;
        let ground = Arc::new(Ground::new(&library, &models, &made));
        Ok(made.stands(&ground).into_iter().map(|stand| Arc::new(stand) as Arc<dyn StagedGuest>).collect())
    })
}

impl Stand {
    /// Makes the guest, starts it and puts into it what the declaration says is there already.
    ///
    /// # Errors
    /// [`StandError`].
    pub fn new(library: &Library, models: &Models, declared: &Declared) -> Result<Stand, StandError> {
        let made = Made::of(library, models, std::slice::from_ref(declared))?;
        let ground = Arc::new(Ground::new(library, models, &made));
        let mut stands = made.stands(&ground).into_iter();
        stands.next().ok_or_else(|| StandError::Declared("no guest was described".to_owned()))
    }

    pub(super) fn at(ground: &Arc<Ground>, id: GuestId, place: Place) -> Stand {
        Stand { ground: Arc::clone(ground), id, place }
    }

    /// The same guest as a dry run would see it: nothing here is ever changed, and what nobody models is not known.
    pub fn rehearsal(&self) -> Stand {
        Stand::at(&self.ground.rehearsal(), self.id, self.place)
    }

    /// The node that the guest runs on.
    pub fn host(&self) -> HostHandle {
        self.ground.live().host
    }

    /// Ends whatever runs here as the operator would.
    pub fn interrupt(&self) -> Interrupt {
        self.ground.live().interrupt
    }

    /// What was reported since the guest was ready.
    pub fn events(&self) -> Vec<Event> {
        self.ground.events.events().into_iter().map(|stamped| stamped.event).collect()
    }

    pub(super) fn call(&self, entry: Entry, name: &str, given: &Value) -> Result<ScriptReport, ScriptError> {
        let library = &self.ground.library;
        let (kinds, name) = ScriptKind::of_name(name);
        let kind = kinds.iter().copied().find(|kind| library.contains(*kind, name));
        let kind = kind.ok_or_else(|| ScriptError::Absent(format!("there is no feature and no app `{name}`")))?;
        let Some(spec) = library.catalogue().get(kind, name) else {
            return Err(ScriptError::Invalid(library.check(kind, name)));
        };
        let given = match given {
            Value::Object(given) => given.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            _ => std::collections::BTreeMap::new(),
        };
        let params = script::params(spec, Some(&given)).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            ScriptError::Absent(all.join("; "))
        })?;
        let live = self.ground.live();
        let artifacts = self.ground.artifacts.clone();
        let publishers = artifacts.all().into_iter().map(|artifact| artifact.publisher).collect();
        let of_node = entry == Entry::Prepare || spec.targets == [Target::Node];
        let place = if of_node { Place::Node } else { self.place };
        script::run(Call {
            library,
            kind,
            name,
            entry,
            machine: self.ground.machine(self.id, place),
            site: Arc::clone(&self.ground.site),
            guest: self.id,
            params,
            artifacts,
            publishers,
            secrets: SecretStore::new(live.host, Arc::new(|_| None)),
            interrupt: live.interrupt,
        })
        .map_err(|error| advised(error, name))
    }
}

/// A program that nobody models is told with what to do about it.
fn advised(error: ScriptError, script: &str) -> ScriptError {
    const UNMODELLED: &str = "nobody models `";
    let ScriptError::Failed(mut failure) = error else { return error };
    if let Some((_, command)) = failure.message.split_once(UNMODELLED)
        && let Some((command, _)) = command.rsplit_once('`')
    {
        let command: String = command.chars().take(60).collect();
        failure.hint = Some(format!(
            "say what it answers, `g.stub({command:?}, #{{ stdout: ... }})`, write `fn run` in {script}.model.rhai, or \
             take all such programs to succeed: `guest(#{{ strict: false }})`"
        ));
    }
    ScriptError::Failed(failure)
}

impl StagedGuest for Stand {
    fn id(&self) -> GuestId {
        self.id
    }

    fn run(&self, entry: Entry, script: &str, params: &Value) -> Result<ScriptReport, ScriptError> {
        self.call(entry, script, params)
    }

    fn rehearse(&self, script: &str, params: &Value) -> Result<ScriptReport, ScriptError> {
        self.rehearsal().call(Entry::Apply, script, params)
    }

    fn apply_killed_everywhere(&self, script: &str, params: &Value) -> Result<usize, Failure> {
        killed::everywhere(self, script, params)
    }

    fn machine(&self) -> Machine {
        self.ground.machine(self.id, self.place)
    }

    fn artifact(&self, name: &str) -> Option<String> {
        self.ground.artifacts.get(name, &[self.id]).map(|artifact| artifact.value)
    }

    fn did(&self) -> Vec<String> {
        let prefix = format!("{}: ", self.place);
        let changes = self.events().into_iter().filter_map(|event| match event {
            Event::Did { what, effect: Effect::Change, .. } => Some(what),
            _ => None,
        });
        changes.filter_map(|what| what.strip_prefix(&prefix).map(str::to_owned)).collect()
    }

    fn stub(&self, stub: Stub) {
        self.ground.stubs.add(stub);
    }

    fn trouble(&self, trouble: Trouble) -> Result<(), Failure> {
        let sandbox = self.ground.live().sandbox;
        let Place::Guest(id, kind) = self.place else {
            return Err(Failure::new("this can happen to guests only, not to the node"));
        };
        match trouble {
            Trouble::Next(what) => sandbox.inflict(Fault::Next(id, what)),
            Trouble::FullDisk(path) => sandbox.inflict(Fault::Disk(id, path)),
            Trouble::NoMirror => sandbox.inflict(Fault::Mirror(id)),
            Trouble::Lost(after) => sandbox.inflict(Fault::Lost(id, sandbox.changes_inside(id) + after + 1)),
            Trouble::Cut(after) => sandbox.inflict(Fault::Cut(sandbox.changes() + after + 1)),
            Trouble::Over => {
                sandbox.mend();
                let there = sandbox.status().guests.into_iter().any(|guest| guest.id == id && !guest.running);
                if there {
                    self.host().run(&Tool::of(kind, id).start()).map_err(|error| Failure::new(error.to_string()))?;
                }
            }
        }
        Ok(())
    }
}
