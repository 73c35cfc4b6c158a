//! A host that tells what was asked of it: one [`Event::Did`] per command, op and request, and running totals.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::command::{Command, Effect, Output};
use crate::event::{Asked, Event, Events, Stamped};
use crate::host::{Host, HostError, HostHandle, RunLock, node};
use crate::model::GuestId;
use crate::op::{Op, OpErrorKind, OpResult, Place};
use crate::pve;
use crate::request::{Request, Response};

/// Totals of what was asked of a host. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Totals>);

#[derive(Debug, Default)]
struct Totals {
    commands: AtomicU64,
    ops: AtomicU64,
    requests: AtomicU64,
    changes: AtomicU64,
    proxmox: AtomicU64,
    programs: AtomicU64,
    channels: AtomicU64,
    round_trips: AtomicU64,
    /// Guests into which a channel is open, as far as hosts keep them: from the first batch until one fails or the
    /// channel is closed.
    open: Mutex<BTreeSet<Place>>,
}

impl Counts {
    /// Programs run on the node; each is one process.
    pub fn commands(&self) -> u64 {
        self.0.commands.load(Ordering::Relaxed)
    }

    /// What was asked of the node altogether.
    pub fn asked(&self) -> Asked {
        let of = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Asked {
            proxmox: of(&self.0.proxmox),
            programs: of(&self.0.programs),
            channels: of(&self.0.channels),
            round_trips: of(&self.0.round_trips),
        }
    }

    /// Plain reads and writes inside machines.
    pub fn ops(&self) -> u64 {
        self.0.ops.load(Ordering::Relaxed)
    }

    /// HTTP requests.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// How many of all these could change something.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    fn add(&self, total: &AtomicU64, effect: Effect) {
        total.fetch_add(1, Ordering::Relaxed);
        if effect == Effect::Change {
            self.0.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn program(&self, program: &str) {
        let total = if pve::is_tool(program) { &self.0.proxmox } else { &self.0.programs };
        total.fetch_add(1, Ordering::Relaxed);
        self.0.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// A batch that was performed, or failed.
    fn batch(&self, place: Place, ops: &[Op], performed: bool) {
        self.0.round_trips.fetch_add(1, Ordering::Relaxed);
        if place == Place::Node {
            let programs = ops.iter().filter(|op| node::runs_program(op)).count();
            self.0.programs.fetch_add(programs as u64, Ordering::Relaxed);
            return;
        }
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.contains(&place) {
            self.0.channels.fetch_add(1, Ordering::Relaxed);
        }
        if performed {
            open.insert(place);
        } else {
            open.remove(&place);
        }
    }

    fn closed(&self, place: Place) {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
    }
}

/// A host that emits and counts what is asked of it, on behalf of one guest or of none.
pub struct Recorder {
    inner: HostHandle,
    events: Events,
    guest: Option<GuestId>,
    counts: Counts,
}

impl Recorder {
    /// `inner`, told to `events` as done for `guest`.
    pub fn new(inner: HostHandle, events: Events, guest: Option<GuestId>, counts: Counts) -> Recorder {
        Recorder { inner, events, guest, counts }
    }

    fn tell(&self, what: String, effect: Effect, process: bool, ok: bool, elapsed: Duration) {
        let event = Event::Did { guest: self.guest, what, effect, process, ok, elapsed };
        self.events.emit(Stamped { at: self.inner.now(), event });
    }

    fn since(&self, start: jiff::Timestamp) -> Duration {
        Duration::try_from(self.inner.now().duration_since(start)).unwrap_or_default()
    }
}

impl Host for Recorder {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        self.counts.add(&self.counts.0.commands, command.effect);
        self.counts.program(&command.program);
        let start = self.inner.now();
        let result = self.inner.run(command);
        let ok = result.as_ref().is_ok_and(Output::ok);
        self.tell(command.to_string(), command.effect, true, ok, self.since(start));
        result
    }

    /// Every op of the batch is an event of its own; the batch's time stands on the last one, because only the whole
    /// round trip can be measured.
    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let start = self.inner.now();
        let results = self.inner.perform(place, ops);
        let elapsed = self.since(start);
        self.counts.batch(place, ops, results.is_ok());
        for (index, op) in ops.iter().enumerate() {
            let result = results.as_ref().ok().and_then(|all| all.get(index));
            if matches!(result, Some(Err(error)) if error.kind == OpErrorKind::NotRun) {
                continue;
            }
            self.counts.add(&self.counts.0.ops, op.effect());
            let took = if index + 1 == ops.len() { elapsed } else { Duration::ZERO };
            let ok = result.is_some_and(Result::is_ok);
            self.tell(format!("{place}: {op}"), op.effect(), false, ok, took);
        }
        results
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        self.counts.add(&self.counts.0.requests, request.effect);
        self.counts.0.round_trips.fetch_add(1, Ordering::Relaxed);
        let start = self.inner.now();
        let result = self.inner.request(request);
        let ok = result.as_ref().is_ok_and(|response| response.status < 400);
        self.tell(request.to_string(), request.effect, false, ok, self.since(start));
        result
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        self.inner.sleep(duration)
    }

    fn now(&self) -> jiff::Timestamp {
        self.inner.now()
    }

    fn actor(&self, name: &str) -> HostHandle {
        let inner = self.inner.actor(name);
        Arc::new(Recorder::new(inner, self.events.clone(), self.guest, self.counts.clone()))
    }

    fn park(&self) {
        self.inner.park();
    }

    fn wake(&self) {
        self.inner.wake();
    }

    fn close_channel(&self, place: Place) {
        self.counts.closed(place);
        self.inner.close_channel(place);
    }

    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        self.inner.lock(owner)
    }
}
