//! One wake that is kept until somebody waits for it: how actors in real time park.

use std::sync::{Condvar, Mutex, PoisonError};

/// The wake of one actor.
#[derive(Debug, Default)]
pub(super) struct Permit {
    given: Mutex<bool>,
    changed: Condvar,
}

impl Permit {
    pub(super) fn give(&self) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    pub(super) fn wait(&self) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        while !*given {
            given = self.changed.wait(given).unwrap_or_else(PoisonError::into_inner);
        }
        *given = false;
    }
}
