//! The queueing host: a command starts only when everything it claims is free, so that what Proxmox cannot do at once
//! waits in line here and does not fail there.
//!
//! All claims of a command are taken at once or not at all, therefore nothing can deadlock. Who waits is served in the
//! order of arrival: a later command may pass an earlier one only when the two claim nothing in common. Waiting is
//! done by [`Host::park`] and [`Host::wake`] alone, so that it costs emulated time nothing and its order is fixed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::command::{Claim, Command, Mode, Output, Resource};
use crate::host::{Host, HostError, HostHandle, RunLock};
use crate::op::{Op, OpResult, Place};
use crate::request::{Request, Response};

/// A host that makes commands wait for what they claim. Actors made from it wait in the same line.
pub struct Queue {
    inner: HostHandle,
    line: Arc<Mutex<Line>>,
}

/// What is taken, and who waits.
#[derive(Default)]
struct Line {
    held: BTreeMap<Resource, Held>,
    waiting: VecDeque<Waiter>,
    next_ticket: u64,
}

/// How one resource is taken at the moment.
#[derive(Default)]
struct Held {
    exclusive: bool,
    shared: u32,
    counted: u32,
}

struct Waiter {
    ticket: u64,
    claims: Vec<Claim>,
    actor: HostHandle,
}

impl Queue {
    /// `inner` behind an empty line.
    pub fn new(inner: HostHandle) -> Queue {
        Queue { inner, line: Arc::default() }
    }

    /// `inner`, the handle of another actor, behind the same line.
    pub fn behind(&self, inner: HostHandle) -> Queue {
        Queue { inner, line: Arc::clone(&self.line) }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when all claims are ours.
    fn take(&self, claims: Vec<Claim>) -> Taken<'_> {
        let ticket = {
            let mut line = self.line();
            if line.free(&claims, line.waiting.len()) {
                line.hold(&claims);
                return Taken { queue: self, claims };
            }
            let ticket = line.next_ticket;
            line.next_ticket += 1;
            let waiter = Waiter { ticket, claims: claims.clone(), actor: Arc::clone(&self.inner) };
            line.waiting.push_back(waiter);
            ticket
        };
        let mut meant_for_others = false;
        loop {
            self.inner.park();
            if self.line().waiting.iter().all(|waiter| waiter.ticket != ticket) {
                break;
            }
            meant_for_others = true;
        }
        if meant_for_others {
            // Somebody woke this actor for another reason: it shall find that wake when it parks for that reason.
            self.inner.wake();
        }
        Taken { queue: self, claims }
    }
}

impl Line {
    /// Whether these claims can be held now, without passing one of the first `ahead` waiters in anything.
    fn free(&self, claims: &[Claim], ahead: usize) -> bool {
        claims.iter().all(|claim| {
            let passes = self.waiting.iter().take(ahead).any(|waiter| waiter.claims_resource(&claim.resource));
            !passes && self.held.get(&claim.resource).is_none_or(|held| held.admits(claim.mode))
        })
    }

    fn hold(&mut self, claims: &[Claim]) {
        for claim in claims {
            self.held.entry(claim.resource.clone()).or_default().add(claim.mode);
        }
    }

    /// Gives claims back; answers the actors that may go on now, in the order of the line.
    fn release(&mut self, claims: &[Claim]) -> Vec<HostHandle> {
        for claim in claims {
            if let Some(held) = self.held.get_mut(&claim.resource) {
                held.remove(claim.mode);
                if held.is_free() {
                    self.held.remove(&claim.resource);
                }
            }
        }
        let mut served = Vec::new();
        let mut index = 0;
        while let Some(waiter) = self.waiting.get(index) {
            if self.free(&waiter.claims, index) {
                let claims = waiter.claims.clone();
                self.hold(&claims);
                served.extend(self.waiting.remove(index).map(|waiter| waiter.actor));
            } else {
                index += 1;
            }
        }
        served
    }
}

impl Held {
    fn admits(&self, mode: Mode) -> bool {
        match mode {
            Mode::Exclusive => self.is_free(),
            Mode::Shared => !self.exclusive,
            Mode::Counted(limit) => !self.exclusive && self.counted < limit.max(1),
        }
    }

    fn add(&mut self, mode: Mode) {
        match mode {
            Mode::Exclusive => self.exclusive = true,
            Mode::Shared => self.shared += 1,
            Mode::Counted(_) => self.counted += 1,
        }
    }

    fn remove(&mut self, mode: Mode) {
        match mode {
            Mode::Exclusive => self.exclusive = false,
            Mode::Shared => self.shared -= 1,
            Mode::Counted(_) => self.counted -= 1,
        }
    }

    fn is_free(&self) -> bool {
        !self.exclusive && self.shared == 0 && self.counted == 0
    }
}

impl Waiter {
    fn claims_resource(&self, resource: &Resource) -> bool {
        self.claims.iter().any(|claim| claim.resource == *resource)
    }
}

/// Claims that are ours until this is dropped.
struct Taken<'a> {
    queue: &'a Queue,
    claims: Vec<Claim>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let served = self.queue.line().release(&self.claims);
        for actor in served {
            actor.wake();
        }
    }
}

/// One claim per resource, sorted by resource; of several the strictest counts.
fn canonical(claims: &[Claim]) -> Vec<Claim> {
    let strictness = |mode: Mode| match mode {
        Mode::Exclusive => (0, 0),
        Mode::Counted(limit) => (1, limit),
        Mode::Shared => (2, 0),
    };
    let mut sorted = claims.to_vec();
    sorted.sort_by(|a, b| (&a.resource, strictness(a.mode)).cmp(&(&b.resource, strictness(b.mode))));
    sorted.dedup_by(|later, first| later.resource == first.resource);
    sorted
}

impl Host for Queue {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        let _taken = self.take(canonical(&command.claims));
        self.inner.run(command)
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        self.inner.perform(place, ops)
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        self.inner.request(request)
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        self.inner.sleep(duration)
    }

    fn now(&self) -> jiff::Timestamp {
        self.inner.now()
    }

    fn actor(&self, name: &str) -> HostHandle {
        Arc::new(Queue { inner: self.inner.actor(name), line: Arc::clone(&self.line) })
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
        self.inner.lock(owner)
    }
}
