//! What all handles of one sandbox share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bodies::Bodies;
use super::clock::Moment;
use super::fault::{Doom, Fate, Fault, When};
use super::file::Store;
use super::ha;
use super::programs::Programs;
use super::rehearsal::Rehearsal;
use super::session::Flocks;
use super::time::Time;
use super::world::World;
use crate::command::Effect;
use crate::host::{Holder, HostError};
use crate::model::GuestId;

/// The emulated node behind all handles.
pub(super) struct Core {
    pub(super) clock: Time,
    state: Mutex<State>,
    flocks: Mutex<Flocks>,
    pub(super) run_lock: Arc<Mutex<Option<Holder>>>,
    pub(super) programs: Arc<dyn Programs>,
    /// A program that nobody models fails.
    pub(super) strict: bool,
    /// Present when this is a rehearsal.
    pub(super) rehearsal: Option<Rehearsal>,
    /// Real insides of containers.
    pub(super) bodies: Option<Arc<dyn Bodies>>,
    gone: AtomicBool,
}

/// The world and where it is kept.
pub(super) struct State {
    pub(super) world: World,
    store: Store,
    pub(super) doom: Doom,
    bodies: Option<Arc<dyn Bodies>>,
}

impl State {
    /// The file beside the world whose lock a run holds; none for a world that nobody keeps.
    pub(super) fn run_lock(&self) -> Option<PathBuf> {
        match &self.store {
            Store::Memory => None,
            Store::File(file) => Some(file.run_lock()),
        }
    }

    /// Keeps what changed; answers whether anything did.
    pub(super) fn commit(&mut self, now: Moment) -> Result<bool, HostError> {
        let Some(record) = self.world.take_record(now) else { return Ok(false) };
        // What really happened is written down; what was not is undone when the world is opened again.
        if let Some(bodies) = &self.bodies {
            record.embody(bodies.as_ref(), &self.world)?;
        }
        if let Store::File(file) = &mut self.store {
            file.append(&record, &self.world)
                .map_err(|error| HostError::Io { what: "keeping the world".to_owned(), reason: error.to_string() })?;
        }
        Ok(true)
    }
}

impl Core {
    pub(super) fn new(
        clock: Time,
        world: World,
        store: Store,
        doom: Doom,
        (programs, strict): (Arc<dyn Programs>, bool),
        rehearsal: Option<Rehearsal>,
        bodies: Option<Arc<dyn Bodies>>,
    ) -> Core {
        Core {
            clock,
            state: Mutex::new(State { world, store, doom, bodies: bodies.clone() }),
            flocks: Mutex::default(),
            run_lock: Arc::default(),
            programs,
            strict,
            rehearsal,
            bodies,
            gone: AtomicBool::new(false),
        }
    }

    /// The world as it is now, with what the HA manager did until now.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        ha::settle(&mut state.world, self, self.clock.shown());
        state
    }

    pub(super) fn flocks(&self) -> MutexGuard<'_, Flocks> {
        self.flocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails once the node is gone.
    pub(super) fn alive(&self) -> Result<(), HostError> {
        if self.is_gone() { Err(lost()) } else { Ok(()) }
    }

    /// Whether the node is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Counts a value with this effect, inside a guest or not, and says what is to become of it. A value that ends
    /// before it began is ended here.
    pub(super) fn fate(&self, effect: Effect, inside: Option<GuestId>) -> Result<Fate, HostError> {
        self.alive()?;
        if effect == Effect::Read {
            return Ok(Fate::Fine);
        }
        match self.state().doom.next(inside) {
            Fate::Ends { when: When::Before, abort } => Err(self.end(abort)),
            fate => Ok(fate),
        }
    }

    /// Ends the process, or only the node for everybody who still asks.
    pub(super) fn end(&self, abort: bool) -> HostError {
        if abort {
            std::process::abort();
        }
        self.gone.store(true, Ordering::Relaxed);
        lost()
    }

    /// How many changing values there were inside a guest.
    pub(super) fn changes_inside(&self, id: GuestId) -> u64 {
        self.state().doom.count_inside(id)
    }

    /// From now on this goes wrong too.
    pub(super) fn inflict(&self, fault: Fault) {
        let mut state = self.state();
        state.world.in_force.push(fault.clone());
        state.doom.add(fault);
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn mend(&self) {
        let mut state = self.state();
        state.world.in_force.clear();
        state.doom.clear();
    }

    /// How many changing values there were.
    pub(super) fn changes(&self) -> u64 {
        self.state().doom.count()
    }
}

fn lost() -> HostError {
    HostError::Lost { place: "node".to_owned(), reason: "the connection was cut (injected fault)".to_owned() }
}
