//! Guests side by side: each job is an actor on a thread of its own, started when what it comes after has ended well.
//!
//! Nothing here knows what a job does. The order is deterministic on a host with emulated time: whoever ends registers
//! the successors with the host before it lets go of its own handle, so time never runs past a job that may start.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};

use crate::host::HostHandle;
use crate::model::GuestId;

/// Stack of a job's thread: scripts recurse through the evaluator of their language.
const STACK: usize = 16 * 1024 * 1024;

/// One job and what it comes after. Ids that are no jobs themselves are met from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whose job.
    pub id: GuestId,
    /// What must have ended well before it starts.
    pub after: Vec<GuestId>,
    /// What must have ended before it starts, well or not.
    pub behind: Vec<GuestId>,
}

/// How a job ended, as far as those that come after it care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Those that come after it may start.
    Met,
    /// Those that come after it are skipped.
    Unmet,
}

/// Why a job was never started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// This job did not end well: the first cause, which may lie several edges away.
    Because(GuestId),
    /// The run was asked to stop.
    Stopped,
}

/// What jobs do.
pub trait Work: Sync {
    /// A job is about to start, because `by` has ended; called by whoever starts it, in a fixed order.
    fn starts(&self, host: &HostHandle, id: GuestId, by: Option<GuestId>);
    /// The job itself, on its own thread with its own handle.
    fn run(&self, host: HostHandle, id: GuestId) -> End;
    /// A job will not be started.
    fn skipped(&self, host: &HostHandle, id: GuestId, why: NotStarted);
    /// The job's thread panicked.
    fn panicked(&self, host: &HostHandle, id: GuestId, message: &str);
    /// No further jobs may start.
    fn stopped(&self) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Met,
    /// Ended badly or skipped; the job that began it.
    Unmet(GuestId),
    /// Not started because the run was asked to stop.
    Stopped,
}

struct Board<'a> {
    jobs: &'a [Job],
    limit: usize,
    work: &'a dyn Work,
    conductor: HostHandle,
    states: Mutex<BTreeMap<GuestId, State>>,
}

/// Runs all jobs, at most `limit` at once (at least one), and returns when the last has ended. Jobs that may start at
/// the same time start in the order given.
pub fn run(host: &HostHandle, jobs: &[Job], limit: usize, work: &dyn Work) {
    let states = jobs.iter().map(|job| (job.id, State::Waiting)).collect();
    let board = Board { jobs, limit: limit.max(1), work, conductor: host.clone(), states: Mutex::new(states) };
    std::thread::scope(|scope| {
        board.advance(scope, host, None);
        while !board.finished() {
            host.park();
        }
    });
}

impl Board<'_> {
    fn states(&self) -> MutexGuard<'_, BTreeMap<GuestId, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self) -> bool {
        self.states().values().all(|state| !matches!(state, State::Waiting | State::Running))
    }

    /// Skips what can never start and starts what may, on behalf of the actor that owns `host`, after `ended` has.
    fn advance<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, host: &HostHandle, ended: Option<GuestId>) {
        // Decided under the lock, done outside of it: a host call may park this actor.
        let (skip, start) = self.decide(self.work.stopped());
        for (id, why) in skip {
            self.work.skipped(host, id, why);
        }
        for id in start {
            self.work.starts(host, id, ended);
            let actor = host.actor(&id.to_string());
            let spawned = Builder::new().name(format!("guest {id}")).stack_size(STACK).spawn_scoped(scope, {
                let actor = actor.clone();
                move || self.act(scope, actor, id)
            });
            if let Err(error) = spawned {
                self.work.panicked(host, id, &format!("no thread for it: {error}"));
                self.end(scope, &actor, id, State::Unmet(id));
            }
        }
    }

    fn decide(&self, stopped: bool) -> (Vec<(GuestId, NotStarted)>, Vec<GuestId>) {
        let mut states = self.states();
        let mut skip = Vec::new();
        let mut start = Vec::new();
        loop {
            let before = skip.len();
            for job in self.jobs {
                if states.get(&job.id) != Some(&State::Waiting) {
                    continue;
                }
                let root = job.after.iter().find_map(|on| match states.get(on) {
                    Some(State::Unmet(root)) => Some(*root),
                    _ => None,
                });
                if stopped {
                    states.insert(job.id, State::Stopped);
                    skip.push((job.id, NotStarted::Stopped));
                } else if let Some(root) = root {
                    states.insert(job.id, State::Unmet(root));
                    skip.push((job.id, NotStarted::Because(root)));
                }
            }
            if skip.len() == before {
                break;
            }
        }
        let mut running = states.values().filter(|state| **state == State::Running).count();
        for job in self.jobs {
            let met = job.after.iter().all(|on| states.get(on).is_none_or(|state| *state == State::Met));
            let open = |on: &GuestId| matches!(states.get(on), Some(State::Waiting | State::Running));
            if running < self.limit
                && met
                && !job.behind.iter().any(open)
                && states.get(&job.id) == Some(&State::Waiting)
            {
                states.insert(job.id, State::Running);
                start.push(job.id);
                running += 1;
            }
        }
        (skip, start)
    }

    /// The body of a job's thread. `host` is the job's own handle and lives until its successors are registered.
    fn act<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, host: HostHandle, id: GuestId) {
        let end = catch_unwind(AssertUnwindSafe(|| self.work.run(host.clone(), id))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            self.work.panicked(&host, id, &text);
            End::Unmet
        });
        self.end(scope, &host, id, if end == End::Met { State::Met } else { State::Unmet(id) });
    }

    fn end<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, host: &HostHandle, id: GuestId, state: State) {
        self.states().insert(id, state);
        self.advance(scope, host, Some(id));
        if self.finished() {
            self.conductor.wake();
        }
    }
}
