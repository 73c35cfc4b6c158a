//! The emulated node as a host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::bodies::Bodies;
use super::clock::{ActorId, Clock, Moment};
use super::core::{Core, State};
use super::fault::{Doom, Fate, Fault, Refused, When};
use super::file::{Store, WorldFile, WorldFileError};
use super::programs::{NoPrograms, Programs};
use super::record::Touched;
use super::rehearsal::Rehearsal;
use super::session::{FLOCK_LIMIT, Session};
use super::time::Time;
use super::world::{Guest, NODE, World};
use super::{guest, locale, node_files, pace, random, requests, tools, vm};
use crate::command::{Command, Effect, LOCALE, Output};
use crate::host::lock::FileLock;
use crate::host::{Holder, Host, HostError, HostHandle, RunLock};
use crate::model::{GuestId, GuestKind};
use crate::op::{Op, OpError, OpErrorKind, OpResult, Place};
use crate::request::{Request, Response};

/// An emulated node, as one actor sees it.
pub struct Sandbox {
    core: Arc<Core>,
    actor: ActorId,
}

/// What a sandbox is opened with beside its world.
#[derive(Clone)]
pub struct Options {
    /// Answers for programs, packages and units that modelled machines do not know themselves.
    pub programs: Arc<dyn Programs>,
    /// What goes wrong, beside what the world file says.
    pub faults: Vec<Fault>,
    /// A program that nobody models fails instead of being assumed to succeed.
    pub strict: bool,
    /// Real seconds that one second of the node's time takes, at least 0.
    pub pace: f64,
    /// Real insides for its containers; the node's time is this machine's then.
    pub bodies: Option<Arc<dyn Bodies>>,
}

impl Default for Options {
    fn default() -> Options {
        Options { programs: Arc::new(NoPrograms), faults: Vec::new(), strict: false, pace: 0.0, bodies: None }
    }
}

/// Between two uses of a world its clock goes on so far, so that moments of different runs differ.
const MEANWHILE: u64 = 60_000_000;

impl Sandbox {
    /// The node that the file keeps. A file that is not there is made by the first change, out of `fresh`.
    ///
    /// # Errors
    /// When the file is no world, or another process has it open.
    pub fn open(path: &Path, fresh: impl FnOnce() -> World, options: Options) -> Result<Sandbox, WorldFileError> {
        let (file, kept) = WorldFile::open(path)?;
        let world = kept.unwrap_or_else(fresh);
        let sandbox = Sandbox::start(world, Store::File(file), options, None);
        sandbox.settle().map_err(|error| WorldFileError::Bodies { path: path.to_owned(), error })?;
        Ok(sandbox)
    }

    /// A node that ends with the process.
    pub fn in_memory(world: World, options: Options) -> Sandbox {
        Sandbox::start(world, Store::Memory, options, None)
    }

    /// A rehearsal on this world, which nobody keeps. What machines of the `real` node hold is read there, as long as
    /// no predicted change touched it; nothing that may change anything is ever sent to it.
    pub fn rehearse(mut world: World, real: Option<HostHandle>, options: Options) -> Sandbox {
        let rehearsal = Rehearsal::new(real, &mut world);
        Sandbox::start(world, Store::Memory, options, Some(rehearsal))
    }

    fn start(mut world: World, store: Store, options: Options, rehearsal: Option<Rehearsal>) -> Sandbox {
        world.begin();
        // A world that begins has not been changed: looking at it keeps nothing.
        world.touched = Touched::default();
        let mut faults = options.faults;
        if rehearsal.is_none() {
            faults.extend(world.faults.iter().cloned());
        }
        let dies = |id: &GuestId| faults.iter().any(|fault| matches!(fault, Fault::AgentDies(guest, _) if guest == id));
        world.dead_agents.retain(dies);
        world.in_force.clone_from(&faults);
        let doom = Doom::new(faults, world.seed);
        let (clock, actor) = if options.bodies.is_some() {
            Time::real()
        } else {
            let seed = random::mix(&[world.seed, world.now]);
            let (clock, actor) = Clock::new(world.now + MEANWHILE, seed, options.pace);
            (Time::Emulated(clock), actor)
        };
        let programs = (options.programs, options.strict);
        let core = Core::new(clock, world, store, doom, programs, rehearsal, options.bodies);
        Sandbox { core: Arc::new(core), actor }
    }

    /// Brings real insides and the world together again: a machine that went down meanwhile has stopped.
    fn settle(&self) -> Result<(), HostError> {
        let Some(bodies) = &self.core.bodies else { return Ok(()) };
        let mut state = self.core.state();
        let containers = |guest: &&Guest| guest.kind == GuestKind::Lxc && guest.node.is_none();
        let running = state.world.guests().filter(containers).filter(|guest| guest.running.is_some());
        let running: BTreeSet<GuestId> = running.map(|guest| guest.id).collect();
        let names = state.world.bodies().keys().filter(|name| *name != NODE).cloned().collect();
        let alive = bodies.settle(&names, &running)?;
        for id in running.difference(&alive) {
            guest::stop(&mut state.world, *id);
        }
        let now = self.core.clock.shown();
        state.commit(now).map(drop)
    }

    /// Writes a world to a file, in place of what is there.
    ///
    /// # Errors
    /// When another process has the file open, or it cannot be written.
    pub fn keep(path: &Path, mut world: World) -> Result<(), WorldFileError> {
        WorldFile::write(path, &mut world)
    }

    /// Deletes a world file; answers whether there was one.
    ///
    /// # Errors
    /// When another process has it open, or it cannot be deleted.
    pub fn reset(path: &Path) -> Result<bool, WorldFileError> {
        WorldFile::delete(path)
    }

    /// Runs one command of the node as if it had been typed there.
    ///
    /// # Errors
    /// When the world cannot be kept.
    pub fn exec(&self, argv: &[String], stdin: &str) -> Result<Output, HostError> {
        let keeps_text = locale::keeps_text_in(&self.core.state().world.environment);
        let session = Session::new(&self.core, self.actor, stdin.to_owned(), None);
        tools::run(session.under_locale(keeps_text), argv)
    }

    /// The world as it is now.
    pub fn world(&self) -> World {
        self.core.state().world.clone()
    }

    /// How many changing values this sandbox was given.
    pub fn changes(&self) -> u64 {
        self.core.changes()
    }

    /// How many of them were inside this guest.
    pub fn changes_inside(&self, id: GuestId) -> u64 {
        self.core.changes_inside(id)
    }

    /// Whether a fault has cut off the way to this node. Its world can still be taken over by another.
    pub fn is_gone(&self) -> bool {
        self.core.is_gone()
    }

    /// From now on this goes wrong, beside what does already.
    pub fn inflict(&self, fault: Fault) {
        self.core.inflict(fault);
    }

    /// From now on nothing goes wrong on purpose any more.
    pub fn mend(&self) {
        self.core.mend();
    }

    /// What there is, in short.
    pub fn status(&self) -> Status {
        let state = self.core.state();
        let world = &state.world;
        let guests = world.guests().map(|guest| {
            let config = &guest.config.current;
            let name = config.get(if guest.kind == GuestKind::Lxc { "hostname" } else { "name" });
            GuestStatus {
                id: guest.id,
                kind: guest.kind,
                name: name.unwrap_or_default().to_owned(),
                running: guest.running.is_some(),
                template: config.is_on("template"),
                lock: config.get("lock").map(str::to_owned),
                snapshots: guest.config.snapshots.keys().cloned().collect(),
            }
        });
        Status {
            node: world.node.clone(),
            now: guest::timestamp(self.core.clock.shown()),
            guests: guests.collect(),
            storages: world.storages.iter().map(|storage| storage.id.clone()).collect(),
            volumes: world.volumes().len(),
        }
    }
}

/// What there is on an emulated node, in short.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Name of the node.
    pub node: String,
    /// Its clock.
    pub now: jiff::Timestamp,
    /// Its guests by id.
    pub guests: Vec<GuestStatus>,
    /// Ids of its storages.
    pub storages: Vec<String>,
    /// Number of volumes.
    pub volumes: usize,
}

/// A guest, in short.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GuestStatus {
    /// Id.
    pub id: GuestId,
    /// Kind.
    pub kind: GuestKind,
    /// Host name of a container, name of a virtual machine.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// Whether it is a template.
    pub template: bool,
    /// Lock that an operation holds or left behind.
    pub lock: Option<String>,
    /// Names of its snapshots.
    pub snapshots: Vec<String>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.core.clock.leave(self.actor);
    }
}

impl Host for Sandbox {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        if let Some(real) = self.core.rehearsal.as_ref().and_then(Rehearsal::real)
            && command.effect == Effect::Read
            && !tools::is_emulated(&command.program)
        {
            return real.run(command);
        }
        let fate = self.core.fate(command.effect, None)?;
        let ends = match fate {
            Fate::Fails => {
                self.core.clock.sleep(self.actor, pace::startup(&command.program));
                return Ok(Output::failure(255, "injected fault\n"));
            }
            Fate::Ends { when: When::Midway, abort } => Some(abort),
            _ => None,
        };
        let stdin = command.stdin.as_ref().map(|stdin| stdin.expose().to_owned()).unwrap_or_default();
        let argv: Vec<String> = std::iter::once(&command.program).chain(&command.args).cloned().collect();
        let began = self.core.clock.now(self.actor);
        let keeps_text = locale::keeps_text(|name| (name == LOCALE.0).then_some(LOCALE.1));
        let session = Session::new(&self.core, self.actor, stdin, ends).under_locale(keeps_text);
        let output = tools::run(session, &argv)?;
        if Duration::from_micros(self.core.clock.shown() - began) > command.timeout {
            return Err(HostError::Timeout { what: command.to_string(), after: command.timeout });
        }
        self.after(fate)?;
        Ok(output)
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let changes = ops.iter().filter(|op| op.effect() == Effect::Change).count();
        let effect = if changes == 0 { Effect::Read } else { Effect::Change };
        let guest = match place {
            Place::Node => None,
            Place::Guest(id, _) => Some(id),
        };
        let fate = self.core.fate(effect, guest)?;
        self.core.clock.sleep(self.actor, if guest.is_some() { pace::CHANNEL } else { pace::NODE });
        self.core.alive()?;

        if let (Some(bodies), Place::Guest(id, GuestKind::Lxc)) = (&self.core.bodies, place) {
            return self.perform_really(bodies.as_ref(), id, ops);
        }
        if let (Some(bodies), Place::Node) = (&self.core.bodies, place)
            && ops.iter().any(|op| matches!(op, Op::Fetch { .. }))
        {
            return self.fetch_really(bodies.as_ref(), ops);
        }
        let blocked = self.wait_for_guards(ops)?;
        let mut batch = Batch { core: &self.core, place, fate, blocked, cut: ops.len(), took: Duration::ZERO };
        if matches!(fate, Fate::Ends { when: When::Midway, .. } | Fate::Lost | Fate::AgentDies) {
            let lot = random::mix(&[ops.len() as u64, self.core.changes()]);
            batch.cut = usize::try_from(lot % (ops.len() as u64 + 1)).unwrap_or_default();
        }
        let results = batch.perform(ops);
        if !batch.took.is_zero() {
            self.core.clock.sleep(self.actor, batch.took);
        }
        self.after(fate)?;
        results
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        let fate = self.core.fate(request.effect, None)?;
        self.core.clock.sleep(self.actor, pace::REQUEST);
        self.core.alive()?;
        if let Fate::Fails | Fate::Ends { when: When::Midway, .. } = fate {
            self.after(fate)?;
            return Err(HostError::Unreachable { what: request.url.clone(), reason: "injected fault".to_owned() });
        }
        if let Some(bodies) = &self.core.bodies
            && !requests::is_for_modelled(&self.core.state().world, request)
        {
            return bodies.request(request);
        }
        let mut state = self.core.state();
        let now = self.core.clock.shown();
        let response = requests::answer(&mut state.world, &self.core, request, now);
        state.commit(now)?;
        drop(state);
        self.after(fate)?;
        response
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        if let Some(bodies) = &self.core.bodies {
            return bodies.host().sleep(duration);
        }
        self.core.clock.sleep(self.actor, duration);
        self.core.alive()
    }

    fn now(&self) -> jiff::Timestamp {
        guest::timestamp(self.core.clock.now(self.actor))
    }

    fn actor(&self, name: &str) -> HostHandle {
        Arc::new(Sandbox { core: Arc::clone(&self.core), actor: self.core.clock.join(name) })
    }

    fn park(&self) {
        self.core.clock.park(self.actor);
    }

    fn wake(&self) {
        self.core.clock.wake(self.actor);
    }

    fn close_channel(&self, place: Place) {
        if let Some(bodies) = &self.core.bodies {
            bodies.host().close_channel(place);
        }
    }

    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        let mut held = self.core.run_lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(by) = &*held {
            return Err(HostError::Locked { by: by.clone() });
        }
        let path = self.core.state().run_lock();
        let file = path.map(|path| FileLock::take(&path, owner).map(|lock| (path, lock))).transpose()?;
        *held = Some(Holder { owner: owner.to_owned(), progress: String::new() });
        Ok(Box::new(HeldLock { held: Arc::clone(&self.core.run_lock), file }))
    }
}

impl Sandbox {
    /// Ops inside a container with a real inside. Others act meanwhile.
    fn perform_really(&self, bodies: &dyn Bodies, id: GuestId, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let place = Place::Guest(id, GuestKind::Lxc);
        let unreachable = |reason: String| HostError::Unreachable { what: place.to_string(), reason };
        match self.core.state().world.guest(id) {
            Some(guest) if guest.kind == GuestKind::Lxc && guest.running.is_some() => {}
            Some(_) => return Err(unreachable("it is not running".to_owned())),
            None => return Err(unreachable(format!("there is no {} {id}", GuestKind::Lxc.noun()))),
        }
        let carried: Vec<Op> = ops.iter().map(|op| node_files::carried(op, bodies)).collect();
        bodies.host().perform(place, &carried)
    }

    /// Ops on the node of which some fetch files, where these are needed by real machines.
    fn fetch_really(&self, bodies: &dyn Bodies, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let mut results: Vec<OpResult> = Vec::with_capacity(ops.len());
        let mut failed = false;
        for op in ops {
            let result = match op {
                _ if failed => Err(OpError::new(OpErrorKind::NotRun, "an earlier change failed")),
                Op::Fetch { path, .. } => node_files::fetch(&self.core, bodies, op, path)?,
                op => self.perform(Place::Node, std::slice::from_ref(op))?.remove(0),
            };
            failed |= op.effect() == Effect::Change && result.is_err();
            results.push(result);
        }
        self.core.state().commit(self.core.clock.shown())?;
        Ok(results)
    }

    /// Waits for the lock files under which these Ops replace files, as the tools do; answers those that were not to
    /// be had. Nobody else runs from then to the end of the batch, so they need not be taken.
    fn wait_for_guards(&self, ops: &[Op]) -> Result<Vec<String>, HostError> {
        let mut blocked = Vec::new();
        let limit = u64::try_from(FLOCK_LIMIT.as_micros()).unwrap_or(u64::MAX);
        for lock in ops.iter().filter_map(guard_of) {
            let deadline = self.core.clock.shown() + limit;
            while self.core.flocks().is_held(lock) {
                let left = deadline.saturating_sub(self.core.clock.shown());
                if left == 0 {
                    blocked.push(lock.clone());
                    break;
                }
                self.core.clock.wait(self.actor, lock, Duration::from_micros(left));
                self.core.alive()?;
            }
        }
        Ok(blocked)
    }

    /// The end of a value that ends after it was done.
    fn after(&self, fate: Fate) -> Result<(), HostError> {
        match fate {
            Fate::Ends { abort, .. } => Err(self.core.end(abort)),
            _ => Ok(()),
        }
    }
}

/// The lock file under which an Op replaces its file.
fn guard_of(op: &Op) -> Option<&String> {
    match op {
        Op::Write { guard: Some(guard), .. } => Some(&guard.lock),
        _ => None,
    }
}

/// The run lock, given back when dropped.
struct HeldLock {
    held: Arc<Mutex<Option<Holder>>>,
    /// For other processes, which find the world in use.
    file: Option<(PathBuf, FileLock)>,
}

impl RunLock for HeldLock {
    fn tell(&self, progress: &str) {
        if let Some(holder) = &mut *self.held.lock().unwrap_or_else(PoisonError::into_inner) {
            progress.clone_into(&mut holder.progress);
        }
        if let Some((_, lock)) = &self.file {
            lock.tell(progress);
        }
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some((path, _)) = &self.file {
            // Nothing beside the world outlives the run; one that cannot be removed is taken by the next.
            drop(std::fs::remove_file(path));
        }
    }
}

/// A batch of Ops at work.
struct Batch<'a> {
    core: &'a Core,
    place: Place,
    fate: Fate,
    /// Lock files that were not to be had.
    blocked: Vec<String>,
    /// So many of its Ops are done before the end that is due.
    cut: usize,
    took: Duration,
}

impl Batch<'_> {
    fn perform(&mut self, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let core = self.core;
        let mut state = core.state();
        let now = core.clock.shown();
        self.reach(&state, now)?;
        if let Some(results) = core.rehearsal.as_ref().and_then(|it| it.look(&state.world, self.place, ops)) {
            return results;
        }
        let mut results: Vec<OpResult> = Vec::with_capacity(ops.len());
        let mut failed = false;
        let guest = match self.place {
            Place::Guest(id, _) => Some(id),
            Place::Node => None,
        };
        for op in &ops[..self.cut] {
            let change = op.effect() == Effect::Change;
            let blocked = guard_of(op).filter(|lock| self.blocked.contains(lock));
            let refused = guest.filter(|_| !failed).and_then(|id| state.doom.refuses(id, op));
            let without_mirror = guest.filter(|_| refused == Some(Refused::WithoutMirror)).map(Fault::Mirror);
            state.world.in_force.extend(without_mirror.clone());
            let result = if failed {
                Err(OpError::new(OpErrorKind::NotRun, "an earlier change failed"))
            } else if let Some(lock) = blocked {
                Err(OpError::new(OpErrorKind::Timeout, format!("can't lock file '{lock}' - got timeout")))
            } else if change && self.fate == Fate::Fails {
                Err(OpError::new(OpErrorKind::Failed, "injected fault"))
            } else if let Some(Refused::With(result)) = &refused {
                result.clone()
            } else {
                self.reach(&state, now)?;
                let rehearsal = core.rehearsal.as_ref();
                let world = &mut state.world;
                let rehearsed = rehearsal.and_then(|it| it.perform(world, core, now, self.place, op)).transpose()?;
                let answer = match (rehearsed, self.place) {
                    (Some(answer), _) => answer,
                    (None, Place::Node) => node_files::perform(world, core, now, op),
                    (None, Place::Guest(id, _)) => guest::perform(world, core, id, now, op),
                };
                self.took += answer.took;
                if let (Op::Fetch { url, path, .. }, Ok(_), Place::Node) = (op, &answer.result, self.place) {
                    state.world.remember_image(core, url, path, now);
                }
                answer.result
            };
            if without_mirror.is_some() {
                state.world.in_force.pop();
            }
            failed |= change && result.is_err();
            results.push(result);
        }
        let lost = match (self.fate, self.place) {
            (Fate::Lost, Place::Guest(id, _)) => {
                guest::stop(&mut state.world, id);
                Some("it stopped (injected fault)")
            }
            (Fate::AgentDies, Place::Guest(id, _)) => {
                state.world.lose_agent(id);
                Some("its agent died (injected fault)")
            }
            _ => None,
        };
        state.commit(now)?;
        if let Some(reason) = lost {
            return Err(HostError::Lost { place: self.place.to_string(), reason: reason.to_owned() });
        }
        Ok(results)
    }

    /// A guest is reached only while it runs, a virtual machine only while its agent answers.
    fn reach(&self, state: &State, now: Moment) -> Result<(), HostError> {
        let Place::Guest(id, kind) = self.place else { return Ok(()) };
        let guest = state.world.guest(id).filter(|guest| guest.kind == kind);
        let reason = match guest {
            None => format!("there is no {} {id}", kind.noun()),
            Some(guest) if guest.running.is_none() => "it is not running".to_owned(),
            Some(_) if kind == GuestKind::Vm => match vm::agent(&state.world, self.core, id, now) {
                vm::Agent::Answers => return Ok(()),
                vm::Agent::None => {
                    "it was started without a channel for its agent (`agent` takes effect when it is stopped and \
                     started)"
                        .to_owned()
                }
                vm::Agent::Silent => "its agent does not answer".to_owned(),
            },
            Some(_) => return Ok(()),
        };
        Err(HostError::Unreachable { what: self.place.to_string(), reason })
    }
}
