//! Order, limits and skipping, with jobs that only sleep on a host that does nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use phoenix::command::{Command, Output};
use phoenix::engine::scheduler::{self, End, Job, NotStarted, Work};
use phoenix::host::{Host, HostError, HostHandle, RunLock};
use phoenix::model::GuestId;
use phoenix::op::{Op, OpResult, Place};
use phoenix::request::{Request, Response};

/// A host that can only wait: real threads, no emulated time.
#[derive(Default)]
struct Still {
    woken: Mutex<bool>,
    signal: Condvar,
}

impl Host for Still {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        Err(HostError::Unsupported(command.to_string()))
    }
    fn perform(&self, place: Place, _: &[Op]) -> Result<Vec<OpResult>, HostError> {
        Err(HostError::Unsupported(place.to_string()))
    }
    fn request(&self, request: &Request) -> Result<Response, HostError> {
        Err(HostError::Unsupported(request.to_string()))
    }
    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        std::thread::sleep(duration);
        Ok(())
    }
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn actor(&self, _: &str) -> HostHandle {
        Arc::new(Still::default())
    }
    fn park(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = self.signal.wait(woken).unwrap();
        }
    }
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.signal.notify_one();
    }
    fn close_channel(&self, _: Place) {}
    fn lock(&self, _: &str) -> Result<Box<dyn RunLock>, HostError> {
        Ok(Box::new(()))
    }
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    running: Mutex<usize>,
    most: Mutex<usize>,
    failing: BTreeSet<u32>,
    panicking: BTreeSet<u32>,
    stop_after: Option<u32>,
    stopped: Mutex<bool>,
}

impl Log {
    fn say(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
    fn at(&self, line: &str) -> usize {
        let lines = self.lines.lock().unwrap();
        lines.iter().position(|have| have == line).unwrap_or_else(|| panic!("no `{line}` in {lines:?}"))
    }
}

impl Work for Log {
    fn starts(&self, _: &HostHandle, id: GuestId, _: Option<GuestId>) {
        let mut running = self.running.lock().unwrap();
        *running += 1;
        let mut most = self.most.lock().unwrap();
        *most = (*most).max(*running);
        self.say(format!("start {id}"));
    }
    fn run(&self, host: HostHandle, id: GuestId) -> End {
        host.sleep(Duration::from_millis(2)).unwrap();
        *self.running.lock().unwrap() -= 1;
        assert!(!self.panicking.contains(&id.get()), "guest {id} is beyond help");
        if self.stop_after == Some(id.get()) {
            *self.stopped.lock().unwrap() = true;
        }
        self.say(format!("end {id}"));
        if self.failing.contains(&id.get()) { End::Unmet } else { End::Met }
    }
    fn skipped(&self, _: &HostHandle, id: GuestId, why: NotStarted) {
        match why {
            NotStarted::Because(root) => self.say(format!("skip {id} because of {root}")),
            NotStarted::Stopped => self.say(format!("skip {id} stopped")),
        }
    }
    fn panicked(&self, _: &HostHandle, id: GuestId, message: &str) {
        self.say(format!("panic {id}: {message}"));
    }
    fn stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
    }
}

fn id(number: u32) -> GuestId {
    GuestId::try_from(number).unwrap()
}

fn jobs(edges: &[(u32, &[u32])]) -> Vec<Job> {
    edges
        .iter()
        .map(|(job, after)| Job { id: id(*job), after: after.iter().map(|on| id(*on)).collect(), behind: Vec::new() })
        .collect()
}

fn run(log: &Log, edges: &[(u32, &[u32])], limit: usize) {
    let host: HostHandle = Arc::new(Still::default());
    scheduler::run(&host, &jobs(edges), limit, log);
}

const PLATFORM: &[(u32, &[u32])] = &[(900, &[]), (103, &[900]), (101, &[900, 103]), (102, &[900, 103])];

#[test]
fn guests_start_when_what_they_come_after_has_ended() {
    let log = Log::default();
    run(&log, PLATFORM, 8);
    assert!(log.at("end 900") < log.at("start 103"));
    assert!(log.at("end 103") < log.at("start 101"));
    assert!(log.at("start 101") < log.at("start 102"), "plan order breaks ties");
    assert_eq!(*log.most.lock().unwrap(), 2, "101 and 102 side by side");
}

#[test]
fn the_limit_of_jobs_holds() {
    let log = Log::default();
    run(&log, &[(101, &[]), (102, &[]), (103, &[]), (104, &[]), (105, &[])], 2);
    assert_eq!(*log.most.lock().unwrap(), 2);
    let one = Log::default();
    run(&one, PLATFORM, 1);
    let expected = ["start 900", "end 900", "start 103", "end 103", "start 101", "end 101", "start 102", "end 102"];
    assert_eq!(*one.lines.lock().unwrap(), expected);
}

#[test]
fn dependents_of_a_failed_guest_are_skipped_with_the_first_cause_and_others_go_on() {
    let log = Log { failing: [103].into(), ..Log::default() };
    run(&log, &[(900, &[]), (103, &[900]), (101, &[103]), (105, &[101]), (200, &[900])], 1);
    log.at("skip 101 because of 103");
    log.at("skip 105 because of 103");
    log.at("end 200");
}

#[test]
fn a_panic_ends_its_own_guest_only() {
    let log = Log { panicking: [103].into(), ..Log::default() };
    run(&log, &[(103, &[]), (101, &[103]), (200, &[])], 1);
    log.at("panic 103: guest 103 is beyond help");
    log.at("skip 101 because of 103");
    log.at("end 200");
}

#[test]
fn after_an_interrupt_nothing_new_starts() {
    let log = Log { stop_after: Some(900), ..Log::default() };
    run(&log, PLATFORM, 8);
    log.at("end 900");
    log.at("skip 103 stopped");
    log.at("skip 101 stopped");
}

#[test]
fn edges_to_guests_outside_the_run_are_met() {
    let log = Log::default();
    run(&log, &[(101, &[900])], 1);
    log.at("end 101");
}
