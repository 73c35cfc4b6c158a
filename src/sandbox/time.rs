//! The node's time: emulated ([`Clock`]), or this machine's own where guests have real insides.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::clock::{ActorId, Clock, Moment};

/// How long whoever waits for a lock file waits before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The node's time, and the actors that live by it.
pub(super) enum Time {
    /// One actor at a time, and the clock jumps.
    Emulated(Clock),
    /// Everybody at once, and what is only emulated takes no time.
    Real(Permits),
}

/// Actors of which each may wait to be woken.
#[derive(Default)]
pub(super) struct Permits {
    next: AtomicU64,
    woken: Mutex<BTreeSet<ActorId>>,
    changed: Condvar,
}

impl Time {
    /// The machine's own, with the calling thread as its first actor.
    pub(super) fn real() -> (Time, ActorId) {
        let permits = Permits::default();
        let first = permits.next.fetch_add(1, Ordering::Relaxed);
        (Time::Real(permits), first)
    }

    /// A new actor, live at once.
    pub(super) fn join(&self, name: &str) -> ActorId {
        match self {
            Time::Emulated(clock) => clock.join(name),
            Time::Real(permits) => permits.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The actor's thread is done.
    pub(super) fn leave(&self, id: ActorId) {
        if let Time::Emulated(clock) = self {
            clock.leave(id);
        }
    }

    /// What the clock shows to this actor.
    pub(super) fn now(&self, id: ActorId) -> Moment {
        match self {
            Time::Emulated(clock) => clock.now(id),
            Time::Real(_) => self.shown(),
        }
    }

    /// What the clock shows, asked by nobody in particular.
    pub(super) fn shown(&self) -> Moment {
        match self {
            Time::Emulated(clock) => clock.shown(),
            Time::Real(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
            }
        }
    }

    /// An emulated doing takes this long.
    pub(super) fn sleep(&self, id: ActorId, duration: Duration) {
        if let Time::Emulated(clock) = self {
            clock.sleep(id, duration);
        }
    }

    /// Waits until somebody calls [`Time::notify`] with this key, for at most `limit`; maybe less.
    pub(super) fn wait(&self, id: ActorId, key: &str, limit: Duration) {
        match self {
            Time::Emulated(clock) => clock.wait(id, key, limit),
            Time::Real(_) => std::thread::sleep(limit.min(LOOK_AGAIN)),
        }
    }

    /// Ends the wait of everybody who waits for `key`.
    pub(super) fn notify(&self, key: &str) {
        if let Time::Emulated(clock) = self {
            clock.notify(key);
        }
    }

    /// Waits for [`Time::wake`]; one that came before is not lost.
    pub(super) fn park(&self, id: ActorId) {
        match self {
            Time::Emulated(clock) => clock.park(id),
            Time::Real(permits) => {
                let mut woken = permits.woken.lock().unwrap_or_else(PoisonError::into_inner);
                while !woken.remove(&id) {
                    woken = permits.changed.wait(woken).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Ends the park of another actor.
    pub(super) fn wake(&self, id: ActorId) {
        match self {
            Time::Emulated(clock) => clock.wake(id),
            Time::Real(permits) => {
                permits.woken.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                permits.changed.notify_all();
            }
        }
    }
}
