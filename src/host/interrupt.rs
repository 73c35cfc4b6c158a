//! Ctrl-C: a flag that everybody can see, and a host that stops answering once it is up. A node that is lost raises it
//! too: what is not begun is left, what was done is told.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::command::{Command, Output};
use crate::host::{Host, HostError, HostHandle, RunLock};
use crate::op::{Op, OpResult, Place};
use crate::request::{Request, Response};

/// The operator's wish to stop. Clones share it; once set it stays set.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    set: Mutex<bool>,
    changed: Condvar,
    lost: OnceLock<HostError>,
}

impl Interrupt {
    /// A wish that nobody has uttered yet.
    pub fn new() -> Interrupt {
        Interrupt::default()
    }

    /// Utters it; whoever sleeps on it wakes.
    pub fn set(&self) {
        *self.flag() = true;
        self.0.changed.notify_all();
    }

    /// The node is gone, for this reason, and whoever acts on it may as well stop.
    pub fn lose(&self, why: HostError) {
        // What was lost first took the rest with it.
        drop(self.0.lost.set(why));
        self.set();
    }

    /// Why the node is gone, if it is.
    pub fn lost(&self) -> Option<HostError> {
        self.0.lost.get().cloned()
    }

    /// Whether it was uttered.
    pub fn is_set(&self) -> bool {
        *self.flag()
    }

    /// Waits in real time for `duration`, or until it is uttered. Answers whether it was.
    pub fn wait(&self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        let mut set = self.flag();
        while !*set {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            set = self.0.changed.wait_timeout(set, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn flag(&self) -> MutexGuard<'_, bool> {
        self.0.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host whose every call after the interrupt answers [`HostError::Interrupted`]. What already runs comes to its end.
pub struct Interruptible {
    inner: HostHandle,
    interrupt: Interrupt,
}

impl Interruptible {
    /// `inner`, obeying `interrupt`.
    pub fn new(inner: HostHandle, interrupt: Interrupt) -> Interruptible {
        Interruptible { inner, interrupt }
    }

    fn check(&self) -> Result<(), HostError> {
        if self.interrupt.is_set() { Err(HostError::Interrupted) } else { Ok(()) }
    }

    /// What was under way when the node was lost was interrupted with everything else.
    fn settle<T>(&self, result: Result<T, HostError>) -> Result<T, HostError> {
        match result {
            Err(error) if self.interrupt.lost() == Some(error.clone()) => Err(HostError::Interrupted),
            result => result,
        }
    }
}

impl Host for Interruptible {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        self.check()?;
        self.settle(self.inner.run(command))
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        self.check()?;
        self.settle(self.inner.perform(place, ops))
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        self.check()?;
        self.settle(self.inner.request(request))
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        self.check()?;
        self.inner.sleep(duration)?;
        self.check()
    }

    fn now(&self) -> jiff::Timestamp {
        self.inner.now()
    }

    fn actor(&self, name: &str) -> HostHandle {
        Arc::new(Interruptible { inner: self.inner.actor(name), interrupt: self.interrupt.clone() })
    }

    fn park(&self) {
        self.inner.park();
    }

    fn wake(&self) {
        self.inner.wake();
    }

    fn close_channel(&self, place: Place) {
        self.inner.close_channel(place);
    }

    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        self.check()?;
        self.inner.lock(owner)
    }
}
