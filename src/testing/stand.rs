//! A sandbox with one running guest, for one case of a script test.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Declared;
use crate::artifact::{Artifact, Artifacts};
use crate::command::Effect;
use crate::event::{Collect, Event};
use crate::host::interrupt::{Interrupt, Interruptible};
use crate::host::record::{Counts, Recorder};
use crate::host::{HostError, HostHandle};
use crate::machine::{File, Machine, MachineError, Packages, Report, SecretStore};
use crate::model::{GuestId, GuestKind, LxcNeeds, Prepared, ScriptKind, Site, Target};
use crate::op::{Attributes, Op, OpValue, Place};
use crate::pve::tool::Tool;
use crate::pve::{lxc, pct};
use crate::sandbox::{Options, Sandbox, World};
use crate::script::{self, Call, Entry, Library, Maker, Models, ScriptError, ScriptReport, StagedGuest};
use crate::secret::Sealed;

/// Publisher of the artifacts that a test hands in.
const SOMEBODY: u32 = 999_999_999;

/// A running guest in a sandbox of its own.
pub struct Stand {
    library: Library,
    sandbox: Arc<Sandbox>,
    options: Options,
    site: Arc<Site>,
    id: GuestId,
    host: HostHandle,
    machine: Machine,
    events: Arc<Collect>,
    /// Events before this one belong to the setting up.
    began: usize,
    artifacts: Artifacts,
    secrets: SecretStore,
    interrupt: Interrupt,
}

/// Why a stand could not be set up.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StandError {
    /// The description makes no sense.
    #[error("{0}")]
    Declared(String),
    /// The sandbox refused.
    #[error("the guest of the test could not be made: {0}")]
    Host(#[from] HostError),
    /// The guest refused.
    #[error("the guest of the test could not be prepared: {0}")]
    Machine(#[from] MachineError),
}

/// Makes guests for the cases of a test file.
pub(super) fn maker(library: &Library, models: &Models) -> Maker {
    let (library, models) = (library.clone(), models.clone());
    Arc::new(move |declared| {
        let declared: Declared = serde_json::from_value(declared).map_err(|error| format!("`guest`: {error}"))?;
        let stand = Stand::new(&library, &models, &declared).map_err(|error| error.to_string())?;
        Ok(Arc::new(stand))
    })
}

impl Stand {
    /// Makes the guest, starts it and puts into it what the declaration says is there already.
    ///
    /// # Errors
    /// [`StandError`].
    pub fn new(library: &Library, models: &Models, declared: &Declared) -> Result<Stand, StandError> {
        let site = Arc::new(declared.site().map_err(StandError::Declared)?);
        let guest = declared.guest().map_err(StandError::Declared)?;
        let options = Options { programs: Arc::new(models.clone()), strict: true, ..Options::default() };
        let world = World::fresh(&site);
        // What `prepare` of whoever needs them would ask for.
        let devices = world.devices.iter().filter(|_| !guest.lxc.gpus.is_empty());
        let devices = devices.map(|path| (path.clone(), "0666".to_owned())).collect();
        let prepared = Prepared { devices, ..Prepared::default() };
        let sandbox = Arc::new(Sandbox::in_memory(world, options.clone()));
        let mut stand = Stand::on(sandbox, options, library, site, guest.id);

        let desired = lxc::desired(&stand.site, &guest, LxcNeeds::default(), &prepared);
        for command in [
            pct::create(guest.id, &declared.template, &desired.create_options()),
            Tool::of(guest.kind, guest.id).start(),
        ] {
            let output = stand.host.run(&command)?;
            if !output.ok() {
                return Err(StandError::Declared(format!("`{command}` failed: {}", output.tail(5))));
            }
        }
        booted(&stand.host, stand.machine.place())?;
        stand.furnish(declared)?;
        stand.began = stand.events.events().len();
        Ok(stand)
    }

    /// The same guest as a dry run would see it: nothing here is ever changed, and what nobody models is not known.
    pub fn rehearsal(&self) -> Stand {
        let sandbox = Arc::new(Sandbox::rehearse(self.sandbox.world(), None, self.options.clone()));
        let stand = Stand::on(sandbox, self.options.clone(), &self.library, Arc::clone(&self.site), self.id);
        Stand { artifacts: self.artifacts.clone(), ..stand }
    }

    fn on(sandbox: Arc<Sandbox>, options: Options, library: &Library, site: Arc<Site>, id: GuestId) -> Stand {
        let events = Arc::new(Collect::default());
        let interrupt = Interrupt::new();
        let bare: HostHandle = Arc::clone(&sandbox) as HostHandle;
        let recorded = Arc::new(Recorder::new(bare, events.clone(), Some(id), Counts::default()));
        let host: HostHandle = Arc::new(Interruptible::new(recorded, interrupt.clone()));
        let report = Report { guest: Some(id), events: events.clone() };
        Stand {
            library: library.clone(),
            site,
            id,
            machine: Machine::new(host.clone(), Place::Guest(id, GuestKind::Lxc), report),
            events,
            began: 0,
            artifacts: Artifacts::default(),
            secrets: SecretStore::new(host.clone(), Arc::new(|_| None)),
            interrupt,
            host,
            sandbox,
            options,
        }
    }

    /// Puts into the guest what the declaration says is there already.
    fn furnish(&self, declared: &Declared) -> Result<(), StandError> {
        if !declared.packages.is_empty() {
            self.machine.packages(&declared.packages, &Packages::default())?;
        }
        for (path, text) in &declared.files {
            if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
                self.machine.dir(above, &Attributes::default())?;
            }
            self.machine.file(path, &File::text(Sealed::plain(text.as_str())))?;
        }
        let somebody = GuestId::try_from(SOMEBODY).map_err(|error| StandError::Declared(error.to_string()))?;
        for (name, value) in &declared.artifacts {
            self.artifacts.publish(Artifact { name: name.clone(), publisher: somebody, value: value.clone() });
        }
        Ok(())
    }

    /// The node that the guest runs on.
    pub fn host(&self) -> &HostHandle {
        &self.host
    }

    /// Ends whatever runs here as the operator would.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// What was reported since the guest was ready.
    pub fn events(&self) -> Vec<Event> {
        self.events.events().into_iter().skip(self.began).map(|stamped| stamped.event).collect()
    }

    fn call(&self, entry: Entry, name: &str, given: &Value) -> Result<ScriptReport, ScriptError> {
        let kinds = [ScriptKind::Feature, ScriptKind::App];
        let kind = kinds.into_iter().find(|kind| self.library.contains(*kind, name));
        let kind = kind.ok_or_else(|| ScriptError::Absent(format!("there is no feature and no app `{name}`")))?;
        let Some(spec) = self.library.catalogue().get(kind, name) else {
            return Err(ScriptError::Invalid(self.library.check(kind, name)));
        };
        let given = match given {
            Value::Object(given) => given.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            _ => std::collections::BTreeMap::new(),
        };
        let params = script::params(spec, Some(&given)).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            ScriptError::Absent(all.join("; "))
        })?;
        let publishers = self.artifacts.all().into_iter().map(|artifact| artifact.publisher).collect();
        script::run(Call {
            library: &self.library,
            kind,
            name,
            entry,
            machine: match entry == Entry::Prepare || spec.targets == [Target::Node] {
                true => Machine::new(self.host.clone(), Place::Node, self.machine.report().clone()),
                false => self.machine.clone(),
            },
            site: Arc::clone(&self.site),
            guest: self.id,
            params,
            artifacts: self.artifacts.clone(),
            publishers,
            secrets: self.secrets.clone(),
            interrupt: self.interrupt.clone(),
        })
    }
}

impl StagedGuest for Stand {
    fn id(&self) -> GuestId {
        self.id
    }

    fn run(&self, entry: Entry, script: &str, params: &Value) -> Result<ScriptReport, ScriptError> {
        self.call(entry, script, params)
    }

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn artifact(&self, name: &str) -> Option<String> {
        self.artifacts.get(name, &[self.id]).map(|artifact| artifact.value)
    }

    fn did(&self) -> Vec<String> {
        let prefix = format!("{}: ", self.machine.place());
        let changes = self.events().into_iter().filter_map(|event| match event {
            Event::Did { what, effect: Effect::Change, .. } => Some(what),
            _ => None,
        });
        changes.filter_map(|what| what.strip_prefix(&prefix).map(str::to_owned)).collect()
    }
}

/// Waits until init has finished.
fn booted(host: &HostHandle, place: Place) -> Result<(), StandError> {
    for _ in 0..120 {
        let answer = host.perform(place, &[Op::SystemState])?.pop();
        if matches!(&answer, Some(Ok(OpValue::SystemState(word))) if word == "running" || word == "degraded") {
            return Ok(());
        }
        host.sleep(Duration::from_secs(1))?;
    }
    Err(StandError::Declared("the guest of the test does not come up".to_owned()))
}
