//! Commands in line for what they claim. The host beneath runs a command until the test ends it, and tells who waits,
//! so that nothing here depends on time.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use phoenix::command::{Claim, Command, Output, Resource};
use phoenix::host::claims::Queue;
use phoenix::host::{Host, HostError, HostHandle, RunLock};
use phoenix::model::GuestId;
use phoenix::op::{Op, OpResult, Place};
use phoenix::request::{Request, Response};

fn guest(id: u32) -> Resource {
    Resource::Guest(GuestId::try_from(id).unwrap())
}

fn storage() -> Resource {
    Resource::Storage("local-zfs".to_owned())
}

/// What happens at the moment, and what happened.
#[derive(Default)]
struct Stage {
    log: Vec<String>,
    /// Commands that may end.
    ended: BTreeSet<String>,
    /// Actors that wait, and actors with a wake.
    parked: BTreeSet<String>,
    woken: BTreeSet<String>,
}

/// A host whose actors are named as the commands they run.
#[derive(Clone, Default)]
struct Played {
    actor: String,
    stage: Arc<(Mutex<Stage>, Condvar)>,
}

impl Played {
    /// Notes something.
    fn note(&self, line: String) {
        self.act(|stage| {
            stage.log.push(line.clone());
            Some(())
        });
    }

    /// Changes the stage, or waits until it can be changed.
    fn act<T>(&self, mut act: impl FnMut(&mut Stage) -> Option<T>) -> T {
        let (stage, changed) = &*self.stage;
        let mut guard = stage.lock().unwrap();
        loop {
            if let Some(value) = act(&mut guard) {
                changed.notify_all();
                return value;
            }
            let (next, waited) = changed.wait_timeout(guard, Duration::from_secs(20)).unwrap();
            assert!(!waited.timed_out(), "{} waits for ever: {:?}", self.actor, next.log);
            guard = next;
        }
    }
}

impl Host for Played {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        let name = &command.program;
        self.note(format!("+{name}"));
        self.act(|stage| stage.ended.contains(name).then_some(()));
        self.note(format!("-{name}"));
        Ok(Output::default())
    }

    fn perform(&self, _: Place, _: &[Op]) -> Result<Vec<OpResult>, HostError> {
        Ok(Vec::new())
    }

    fn request(&self, _: &Request) -> Result<Response, HostError> {
        Ok(Response::default())
    }

    fn sleep(&self, _: Duration) -> Result<(), HostError> {
        Ok(())
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn actor(&self, name: &str) -> HostHandle {
        Arc::new(Played { actor: name.to_owned(), ..self.clone() })
    }

    fn park(&self) {
        self.act(|stage| Some(stage.parked.insert(self.actor.clone())));
        self.act(|stage| stage.woken.remove(&self.actor).then_some(()));
        self.act(|stage| Some(stage.parked.remove(&self.actor)));
    }

    fn wake(&self) {
        self.act(|stage| Some(stage.woken.insert(self.actor.clone())));
    }

    fn close_channel(&self, _: Place) {}

    fn lock(&self, _: &str) -> Result<Box<dyn RunLock>, HostError> {
        Ok(Box::new(()))
    }
}

/// A line of commands, each run by an actor of its name.
struct Play {
    played: Played,
    queue: HostHandle,
    running: Vec<JoinHandle<()>>,
}

impl Play {
    fn new() -> Play {
        let played = Played::default();
        Play { queue: Arc::new(Queue::new(Arc::new(played.clone()))), played, running: Vec::new() }
    }

    fn begin(&mut self, name: &str, claims: Vec<Claim>) -> HostHandle {
        let actor = self.queue.actor(name);
        let (own, command) = (Arc::clone(&actor), Command { claims, ..Command::change(name, [""; 0]) });
        self.running.push(std::thread::spawn(move || assert!(own.run(&command).unwrap().ok())));
        actor
    }

    /// Begins a command that must start at once.
    fn starts(&mut self, name: &str, claims: Vec<Claim>) {
        self.begin(name, claims);
        self.started(name);
    }

    /// Begins a command that must wait.
    fn waits(&mut self, name: &str, claims: Vec<Claim>) -> HostHandle {
        let actor = self.begin(name, claims);
        self.played.act(|stage| stage.parked.contains(name).then_some(()));
        actor
    }

    fn started(&self, name: &str) {
        self.played.act(|stage| stage.log.contains(&format!("+{name}")).then_some(()));
    }

    fn end(&self, name: &str) {
        self.played.act(|stage| Some(stage.ended.insert(name.to_owned())));
        self.played.act(|stage| stage.log.contains(&format!("-{name}")).then_some(()));
    }

    fn waiting(&self) -> Vec<String> {
        self.played.act(|stage| Some(stage.parked.difference(&stage.woken).cloned().collect()))
    }

    fn finish(self) {
        self.running.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn exclusive_claims_wait_for_each_other_in_order() {
    let mut play = Play::new();
    let claim = || vec![Claim::exclusive(guest(900))];
    play.starts("a", claim());
    play.waits("b", claim());
    play.waits("c", claim());
    play.end("a");
    play.started("b");
    assert_eq!(play.waiting(), ["c"]);
    play.end("b");
    play.started("c");
    play.end("c");
    play.finish();
}

#[test]
fn what_claims_nothing_in_common_runs_side_by_side() {
    let mut play = Play::new();
    play.starts("a", vec![Claim::exclusive(guest(101))]);
    play.starts("b", vec![Claim::exclusive(guest(102))]);
    play.starts("c", vec![]);
    // A waiter holds up only those who claim what it waits for.
    play.waits("d", vec![Claim::exclusive(guest(101))]);
    play.starts("e", vec![Claim::exclusive(guest(103))]);
    ["a", "b", "c", "e"].iter().for_each(|name| play.end(name));
    play.started("d");
    play.end("d");
    play.finish();
}

#[test]
fn shared_claims_share_and_nobody_passes_who_waits() {
    let mut play = Play::new();
    let shared = || vec![Claim::shared(guest(9000))];
    play.starts("a", shared());
    play.starts("b", shared());
    play.waits("x", vec![Claim::exclusive(guest(9000))]);
    // Could share with a and b, but would make x wait longer.
    play.waits("c", shared());
    play.waits("d", shared());
    play.end("a");
    assert_eq!(play.waiting(), ["c", "d", "x"]);
    play.end("b");
    play.started("x");
    assert_eq!(play.waiting(), ["c", "d"]);
    play.end("x");
    play.started("c");
    play.started("d");
    play.end("c");
    play.end("d");
    play.finish();
}

#[test]
fn counted_claims_run_so_many_at_once() {
    let mut play = Play::new();
    let claim = || vec![Claim::counted(storage(), 2)];
    play.starts("a", claim());
    play.starts("b", claim());
    play.waits("c", claim());
    play.end("b");
    play.started("c");
    play.end("a");
    play.end("c");
    play.finish();
}

#[test]
fn all_claims_are_taken_at_once_or_none() {
    let mut play = Play::new();
    play.starts("a", vec![Claim::exclusive(guest(101))]);
    play.waits("b", vec![Claim::exclusive(guest(102)), Claim::exclusive(guest(101))]);
    // b does not hold 102, but it is next in line for it.
    play.waits("c", vec![Claim::exclusive(guest(102))]);
    play.end("a");
    play.started("b");
    play.end("b");
    play.started("c");
    play.end("c");
    play.finish();
}

#[test]
fn a_resource_named_twice_is_taken_once_and_as_strictly_as_asked() {
    let mut play = Play::new();
    play.starts("a", vec![Claim::shared(guest(101)), Claim::exclusive(guest(101)), Claim::shared(guest(101))]);
    play.waits("b", vec![Claim::shared(guest(101))]);
    play.end("a");
    play.started("b");
    play.end("b");
    play.finish();
}

#[test]
fn crossing_claims_never_deadlock() {
    let mut play = Play::new();
    let resources = [guest(101), guest(102), guest(103)];
    let names: Vec<String> = (0..30).map(|index| format!("command {index}")).collect();
    for (index, name) in names.iter().enumerate() {
        let (a, b) = (index % 3, (index * 2 + 1) % 3);
        let claims = vec![Claim::exclusive(resources[a].clone()), Claim::exclusive(resources[b].clone())];
        play.begin(name, claims);
    }
    // All at once: who came first is anybody's guess here.
    play.played.act(|stage| {
        stage.ended.extend(names.iter().cloned());
        Some(())
    });
    play.finish();
}

#[test]
fn a_wake_meant_for_something_else_is_handed_on() {
    let mut play = Play::new();
    let claim = || vec![Claim::exclusive(guest(900))];
    play.starts("a", claim());
    let b = play.waits("b", claim());
    b.wake();
    // Woken for nothing, it waits again.
    play.played.act(|stage| (stage.woken.is_empty() && stage.parked.contains("b")).then_some(()));
    play.end("a");
    play.started("b");
    play.end("b");
    play.finish();
    // The wake is still there for whom it was meant.
    b.park();
}
