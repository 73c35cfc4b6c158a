//! The queueing host: a command starts only when everything it claims is free, so that what Proxmox cannot do at once
//! waits in line here and does not fail there.
//!
//! All claims of a command are taken at once or not at all, therefore nothing can deadlock. Who waits is served in the
//! order of arrival: a later command may pass an earlier one only when the two claim nothing in common. Waiting is
//! done by [`Host::park`] and [`Host::wake`] alone, so that it costs emulated time nothing and its order is fixed. Who
//! waits tells for what, and for whom.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::command::{Claim, Command, Mode, Output, Resource};
use crate::event::{Event, Events, Stamped};
use crate::host::{Host, HostError, HostHandle, RunLock};
use crate::model::GuestId;
use crate::op::{Op, OpResult, Place};
use crate::request::{Request, Response};

/// A host that makes commands wait for what they claim. Actors made from it wait in the same line.
pub struct Queue {
    inner: HostHandle,
    line: Arc<Mutex<Line>>,
    told: Option<Told>,
}

/// For which guest commands are run, and who is told when they have to wait.
#[derive(Clone)]
struct Told {
    guest: GuestId,
    events: Events,
}

/// What is taken, and who waits.
#[derive(Default)]
struct Line {
    held: BTreeMap<Resource, Held>,
    waiting: VecDeque<Waiter>,
    next_ticket: u64,
}

/// How one resource is taken at the moment, and by whom.
#[derive(Default)]
struct Held(Vec<(Mode, Arc<Work>)>);

/// A command that holds claims or waits for them.
#[derive(Debug, PartialEq, Eq)]
struct Work {
    guest: Option<GuestId>,
    command: String,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.guest {
            Some(guest) => write!(f, "guest {guest}: `{}`", self.command),
            None => write!(f, "`{}`", self.command),
        }
    }
}

struct Waiter {
    ticket: u64,
    claims: Vec<Claim>,
    work: Arc<Work>,
    actor: HostHandle,
}

impl Queue {
    /// `inner` behind an empty line.
    pub fn new(inner: HostHandle) -> Queue {
        Queue { inner, line: Arc::default(), told: None }
    }

    /// `inner`, the handle of another actor, behind the same line.
    pub fn behind(&self, inner: HostHandle) -> Queue {
        Queue { inner, line: Arc::clone(&self.line), told: None }
    }

    /// The same for commands of this guest, which tells when they have to wait.
    pub fn on_behalf_of(self, guest: GuestId, events: Events) -> Queue {
        Queue { told: Some(Told { guest, events }), ..self }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when all claims are ours.
    fn take(&self, command: &Command) -> Taken<'_> {
        let claims = canonical(&command.claims);
        let guest = self.told.as_ref().map(|told| told.guest);
        let work = Arc::new(Work { guest, command: command.to_string() });
        let taken = Taken { queue: self, claims: claims.clone(), work: Arc::clone(&work) };
        let (ticket, on) = {
            let mut line = self.line();
            let Some((resource, before)) = line.in_the_way(&claims, line.waiting.len()) else {
                line.hold(&claims, &work);
                return taken;
            };
            let on = format!("{resource} ({before})");
            let ticket = line.next_ticket;
            line.next_ticket += 1;
            line.waiting.push_back(Waiter { ticket, claims, work, actor: Arc::clone(&self.inner) });
            (ticket, on)
        };
        if let Some(Told { guest, events }) = &self.told {
            events.emit(Stamped { at: self.inner.now(), event: Event::Waiting { guest: *guest, on } });
        }
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
        taken
    }
}

impl Line {
    /// What keeps these claims from being held now: a resource, and who has it, or which of the first `ahead` waiters
    /// would be passed.
    fn in_the_way(&self, claims: &[Claim], ahead: usize) -> Option<(Resource, Arc<Work>)> {
        claims.iter().find_map(|claim| {
            let passed = self.waiting.iter().take(ahead).find(|waiter| waiter.claims_resource(&claim.resource));
            let holder = self.held.get(&claim.resource).and_then(|held| held.refuses(claim.mode));
            let work = holder.or(passed.map(|waiter| &waiter.work))?;
            Some((claim.resource.clone(), Arc::clone(work)))
        })
    }

    fn hold(&mut self, claims: &[Claim], work: &Arc<Work>) {
        for claim in claims {
            self.held.entry(claim.resource.clone()).or_default().0.push((claim.mode, Arc::clone(work)));
        }
    }

    /// Gives claims back; answers the actors that may go on now, in the order of the line.
    fn release(&mut self, claims: &[Claim], work: &Arc<Work>) -> Vec<HostHandle> {
        for claim in claims {
            if let Some(held) = self.held.get_mut(&claim.resource) {
                held.0.retain(|(_, holder)| !Arc::ptr_eq(holder, work));
                if held.0.is_empty() {
                    self.held.remove(&claim.resource);
                }
            }
        }
        let mut served = Vec::new();
        let mut index = 0;
        while let Some(waiter) = self.waiting.get(index) {
            if self.in_the_way(&waiter.claims, index).is_none() {
                let (claims, work) = (waiter.claims.clone(), Arc::clone(&waiter.work));
                self.hold(&claims, &work);
                served.extend(self.waiting.remove(index).map(|waiter| waiter.actor));
            } else {
                index += 1;
            }
        }
        served
    }
}

impl Held {
    /// Whoever keeps the resource from being taken like this, too.
    fn refuses(&self, mode: Mode) -> Option<&Arc<Work>> {
        let counted = || self.0.iter().filter(|(held, _)| matches!(held, Mode::Counted(_))).count();
        let full = match mode {
            Mode::Exclusive => true,
            Mode::Shared => false,
            Mode::Counted(limit) => counted() >= usize::try_from(limit.max(1)).unwrap_or(usize::MAX),
        };
        let excludes = |held: &Mode| *held == Mode::Exclusive || full;
        self.0.iter().find(|(held, _)| excludes(held)).map(|(_, work)| work)
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
    work: Arc<Work>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let served = self.queue.line().release(&self.claims, &self.work);
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
        let _taken = self.take(command);
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
        Arc::new(Queue { inner: self.inner.actor(name), line: Arc::clone(&self.line), told: self.told.clone() })
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
