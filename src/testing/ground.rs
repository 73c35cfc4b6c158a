//! A node of a test's own with the guests that it described running on it: made once for each description, then copied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::declared::{self, Declared, Kind, Unit};
use super::stubs::Stubs;
use super::{Stand, StandError, create};
use crate::artifact::{Artifact, Artifacts};
use crate::event::{Collect, Discard};
use crate::host::HostHandle;
use crate::host::interrupt::{Interrupt, Interruptible};
use crate::host::record::{Counts, Recorder};
use crate::machine::{self, File, Group, Machine, Packages, Report, SECRETS_DIR, Service};
use crate::model::{Guest, GuestId, GuestKind, LxcNeeds, Origin, Prepared, Site};
use crate::op::{Attributes, Op, OpValue, Place};
use crate::pve::tool::Tool;
use crate::pve::{lxc, pct};
use crate::sandbox::{Fault, Options, Sandbox, World};
use crate::script::{Entry, Library, Models};
use crate::secret::Sealed;

/// Publisher of the artifacts that a test hands in.
const SOMEBODY: u32 = 999_999_999;

/// Guests as they are when a test gets them.
#[derive(Clone)]
pub(super) struct Made {
    world: World,
    site: Arc<Site>,
    artifacts: Vec<Artifact>,
    places: Vec<(GuestId, Place)>,
    strict: bool,
}

/// A node with its guests, in the hands of one test.
pub(super) struct Ground {
    pub library: Library,
    pub site: Arc<Site>,
    pub artifacts: Artifacts,
    pub events: Arc<Collect>,
    pub stubs: Arc<Stubs>,
    options: Options,
    live: Mutex<Live>,
}

/// A sandbox and the way to it.
#[derive(Clone)]
pub(super) struct Live {
    pub sandbox: Arc<Sandbox>,
    pub host: HostHandle,
    pub interrupt: Interrupt,
}

impl Live {
    fn of(sandbox: Sandbox, events: &Arc<Collect>) -> Live {
        let sandbox = Arc::new(sandbox);
        let bare: HostHandle = Arc::clone(&sandbox) as HostHandle;
        let recorded = Arc::new(Recorder::new(bare, events.clone(), None, Counts::default()));
        let interrupt = Interrupt::new();
        let host: HostHandle = Arc::new(Interruptible::new(recorded, interrupt.clone()));
        Live { sandbox, host, interrupt }
    }
}

impl Made {
    /// Makes guests, starts them and puts into them what is said to be there already.
    ///
    /// # Errors
    /// [`StandError`].
    pub fn of(library: &Library, models: &Models, described: &[Declared]) -> Result<Made, StandError> {
        let mut described = described.to_vec();
        declared::number(&mut described);
        let site = Arc::new(declared::site(&described).map_err(StandError::Declared)?);
        let strict = described.iter().all(|guest| guest.strict);
        let mut places = Vec::new();
        for guest in &described {
            let id = guest.guest().map_err(StandError::Declared)?.id;
            let place = match guest.kind {
                Kind::Lxc => Place::Guest(id, GuestKind::Lxc),
                Kind::Vm => Place::Guest(id, GuestKind::Vm),
                Kind::Node => Place::Node,
            };
            places.push((id, place));
        }
        let begin = Made { world: World::fresh(&site), site, artifacts: Vec::new(), places, strict };
        let ground = Arc::new(Ground::new(library, models, &begin));
        ground.make_machines(&begin.places)?;
        for (guest, (id, place)) in described.iter().zip(&begin.places) {
            if let (Kind::Lxc, Some(declared)) = (guest.kind, begin.site.guest(*id)) {
                ground.make_container(declared)?;
            }
            ground.furnish(guest, *place)?;
            for script in &guest.applied {
                let applied =
                    Stand::at(&ground, *id, *place).call(Entry::Apply, script, &json!(guest.params.get(script)));
                applied.map_err(|error| StandError::Applied(Box::new(error.failure())))?;
            }
        }
        for (guest, (id, place)) in described.iter().zip(&begin.places) {
            if let (false, Place::Guest(_, kind)) = (guest.running, place) {
                ground.live().host.run(&Tool::of(*kind, *id).stop())?;
            }
        }
        Ok(Made { world: ground.live().sandbox.world(), artifacts: ground.artifacts.all(), ..begin })
    }

    /// The guests, in the order of their description.
    pub fn stands(&self, ground: &Arc<Ground>) -> Vec<Stand> {
        self.places.iter().map(|(id, place)| Stand::at(ground, *id, *place)).collect()
    }
}

impl Ground {
    /// A copy of what was made.
    pub fn new(library: &Library, models: &Models, made: &Made) -> Ground {
        let stubs = Arc::new(Stubs::new(models));
        let options = Options { programs: Arc::clone(&stubs) as _, strict: made.strict, ..Options::default() };
        let events = Arc::new(Collect::default());
        let sandbox = Sandbox::in_memory(made.world.clone(), options.clone());
        Ground {
            library: library.clone(),
            site: Arc::clone(&made.site),
            artifacts: of(&made.artifacts),
            live: Mutex::new(Live::of(sandbox, &events)),
            events,
            stubs,
            options,
        }
    }

    /// The way to the node; after a cut a new one to where it stands.
    pub fn live(&self) -> Live {
        let mut live = self.held();
        if live.sandbox.is_gone() {
            *live = Live::of(Sandbox::in_memory(live.sandbox.world(), self.options.clone()), &self.events);
        }
        live.clone()
    }

    fn held(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same node in this state, for trying something, where this goes wrong.
    pub fn copy(&self, world: World, faults: &[Fault]) -> Arc<Ground> {
        let options = Options { faults: faults.to_vec(), ..self.options.clone() };
        self.another(Sandbox::in_memory(world, options))
    }

    /// The same node as a dry run would see it: nothing here is ever changed, and what nobody models is not known.
    pub fn rehearsal(&self) -> Arc<Ground> {
        self.another(Sandbox::rehearse(self.live().sandbox.world(), None, self.options.clone()))
    }

    fn another(&self, sandbox: Sandbox) -> Arc<Ground> {
        let events = Arc::new(Collect::default());
        Arc::new(Ground {
            library: self.library.clone(),
            site: Arc::clone(&self.site),
            artifacts: of(&self.artifacts.all()),
            live: Mutex::new(Live::of(sandbox, &events)),
            events,
            stubs: Arc::clone(&self.stubs),
            options: self.options.clone(),
        })
    }

    /// A machine of this node that nothing is known of yet.
    pub fn machine(&self, id: GuestId, place: Place) -> Machine {
        Machine::new(self.live().host, place, Report { guest: Some(id), events: self.events.clone() })
    }

    /// A container as the engine makes it.
    fn make_container(&self, guest: &Guest) -> Result<(), StandError> {
        let Live { sandbox, host, .. } = self.live();
        // What `prepare` of whoever needs them would ask for.
        let devices = sandbox.world().devices.into_iter().filter(|_| !guest.lxc.gpus.is_empty());
        let devices = devices.map(|path| (path, "0666".to_owned())).collect();
        let prepared = Prepared { devices, ..Prepared::default() };
        let desired = lxc::desired(&self.site, guest, LxcNeeds::default(), &prepared);
        let Origin::Template(template) = &guest.origin else { return Ok(()) };
        let create = pct::create(guest.id, template, &desired.create_options());
        for command in [create, Tool::of(guest.kind, guest.id).start()] {
            let output = host.run(&command)?;
            if !output.ok() {
                return Err(StandError::Declared(format!("`{command}` failed: {}", output.tail(5))));
            }
        }
        booted(&host, Place::Guest(guest.id, guest.kind))
    }

    /// Virtual machines, made by the engine: there is more to them than a few commands.
    fn make_machines(&self, places: &[(GuestId, Place)]) -> Result<(), StandError> {
        let machines = places.iter().filter(|(_, place)| matches!(place, Place::Guest(_, GuestKind::Vm)));
        let machines: Vec<GuestId> = machines.map(|(id, _)| *id).collect();
        if machines.is_empty() {
            return Ok(());
        }
        let mut site = Site::clone(&self.site);
        for guest in site.guests.values_mut() {
            (guest.features, guest.app) = (Vec::new(), None);
        }
        create::run(&self.live().sandbox, &self.library, &Arc::new(site), &machines)
            .map(drop)
            .map_err(|failure| StandError::Applied(Box::new(failure)))
    }

    /// Puts into a machine what is said to be there already.
    fn furnish(&self, declared: &Declared, place: Place) -> Result<(), StandError> {
        let somebody = GuestId::try_from(SOMEBODY).map_err(|error| StandError::Declared(error.to_string()))?;
        for (name, value) in &declared.artifacts {
            self.artifacts.publish(Artifact { name: name.clone(), publisher: somebody, value: value.clone() });
        }
        keep_secrets(&self.live().host, &declared.secrets)?;
        furnish(&self.machine(somebody, place), declared)
    }
}

/// Puts into a machine what is said to be there already.
///
/// # Errors
/// When the machine refuses.
pub(super) fn furnish(machine: &Machine, declared: &Declared) -> Result<(), StandError> {
    for (name, user) in &declared.users {
        for group in &user.groups {
            machine.group(group, &Group::default())?;
        }
        let (home, shell) = (user.home.clone(), user.shell.clone());
        let user = machine::User { system: user.system, home, shell, groups: user.groups.clone(), uid: None };
        machine.user(name, &user)?;
    }
    if !declared.packages.is_empty() {
        machine.packages(&declared.packages, &Packages::default())?;
    }
    for (path, file) in &declared.files {
        put(machine, path, file)?;
    }
    for (name, described) in &declared.units {
        unit(machine, name, described)?;
    }
    Ok(())
}

fn unit(machine: &Machine, name: &str, unit: &Unit) -> Result<(), StandError> {
    let there = match machine.host().perform(machine.place(), &[Op::Units { names: vec![name.to_owned()] }])?.pop() {
        Some(Ok(OpValue::Units(units))) => units.iter().any(|unit| unit.load == "loaded"),
        _ => false,
    };
    let plain = || {
        format!(
            "[Unit]\nDescription={name}\n\n[Service]\nExecStart=/usr/bin/sleep infinity\n\n[Install]\nWantedBy=multi-user.target\n"
        )
    };
    if let Some(content) = unit.content.clone().or_else(|| (!there).then(plain)) {
        machine.unit(name, &Sealed::plain(content))?;
    }
    let state = Service { running: Some(unit.running), enabled: Some(unit.enabled), ..Service::default() };
    machine.service(name, &state)?;
    Ok(())
}

/// A store that holds these.
fn of(artifacts: &[Artifact]) -> Artifacts {
    let store = Artifacts::default();
    for artifact in artifacts {
        store.publish(artifact.clone());
    }
    store
}

/// Puts secrets to where the node keeps them.
///
/// # Errors
/// When the node refuses.
pub(super) fn keep_secrets(host: &HostHandle, secrets: &BTreeMap<String, String>) -> Result<(), StandError> {
    let node = Machine::new(host.clone(), Place::Node, Report { guest: None, events: Arc::new(Discard) });
    for (name, value) in secrets {
        let file = declared::File { text: value.clone(), mode: Some("0600".to_owned()), ..declared::File::default() };
        put(&node, &format!("{SECRETS_DIR}/{name}"), &file)?;
    }
    Ok(())
}

/// Puts a file there with the directories above it.
fn put(machine: &Machine, path: &str, file: &declared::File) -> Result<(), StandError> {
    if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        machine.dir(above, &Attributes::default())?;
    }
    let mode = file.mode.as_deref().map(machine::mode).transpose()?;
    let attributes = Attributes { mode, owner: file.owner.clone(), group: file.group.clone() };
    machine.file(path, &File { attributes, ..File::text(Sealed::plain(file.text.as_str())) })?;
    Ok(())
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

/// What was made already, by what it was made of. Tests describe the same few guests again and again.
#[derive(Default)]
pub(super) struct Store(Mutex<BTreeMap<String, Arc<Made>>>);

impl Store {
    /// These guests, made or copied.
    ///
    /// # Errors
    /// [`StandError`].
    pub fn made(&self, library: &Library, models: &Models, described: &[Declared]) -> Result<Arc<Made>, StandError> {
        let key = serde_json::to_string(described).map_err(|error| StandError::Declared(error.to_string()))?;
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = kept().get(&key) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(Made::of(library, models, described)?);
        kept().insert(key, Arc::clone(&made));
        Ok(made)
    }
}
