//! How far a run is, told to whoever finds its lock held.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::host::RunLock;
use crate::model::GuestId;

/// The lock of a run and what it says. A run that only asks has no lock, and tells nobody.
pub(super) struct Progress {
    lock: Option<Box<dyn RunLock>>,
    guests: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: usize,
    working: BTreeSet<GuestId>,
}

impl Progress {
    /// A run over so many guests, none of which has begun.
    pub(super) fn new(lock: Option<Box<dyn RunLock>>, guests: usize) -> Progress {
        let progress = Progress { lock, guests, state: Mutex::default() };
        progress.change(|_| {});
        progress
    }

    /// Work on a guest begins.
    pub(super) fn begins(&self, id: GuestId) {
        self.change(|state| {
            state.working.insert(id);
        });
    }

    /// Nothing more will be done to a guest.
    pub(super) fn ends(&self, id: GuestId) {
        self.change(|state| {
            state.working.remove(&id);
            state.done += 1;
        });
    }

    /// Told while the state is held, so that what was told last is what is so.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if let Some(lock) = &self.lock {
            lock.tell(&words(&state, self.guests));
        }
    }
}

fn words(state: &State, guests: usize) -> String {
    let noun = if guests == 1 { "guest" } else { "guests" };
    let done = format!("{} of {guests} {noun} done", state.done);
    if state.working.is_empty() {
        return done;
    }
    let working: Vec<String> = state.working.iter().map(GuestId::to_string).collect();
    format!("{done}, working on {}", working.join(", "))
}
