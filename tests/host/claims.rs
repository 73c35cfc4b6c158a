//! Commands in line for what they claim.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phoenix::command::{Claim, Command, Resource};
use phoenix::host::HostHandle;
use phoenix::host::claims::Queue;
use phoenix::model::GuestId;

use super::node;

fn guest(id: u32) -> Resource {
    Resource::Guest(GuestId::try_from(id).unwrap())
}

fn storage() -> Resource {
    Resource::Storage("local-zfs".to_owned())
}

/// Notes its name in a file, twice with a pause in between.
fn command(log: &str, name: &str, claims: Vec<Claim>) -> Command {
    let script = format!("echo +{name} >>{log}; sleep 0.1; echo -{name} >>{log}");
    Command { claims, ..Command::change("sh", ["-c", &script]) }
}

/// Runs commands in threads of their own, begun one after the other; answers the log.
fn run(commands: impl FnOnce(&str) -> Vec<Command>) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let queue: HostHandle = Arc::new(Queue::new(Arc::new(node())));
    let threads: Vec<_> = commands(log.path().to_str().unwrap())
        .into_iter()
        .map(|command| {
            let actor = queue.actor("guest");
            let thread = std::thread::spawn(move || actor.run(&command).unwrap());
            std::thread::sleep(Duration::from_millis(30));
            thread
        })
        .collect();
    threads.into_iter().for_each(|thread| assert!(thread.join().unwrap().ok()));
    std::fs::read_to_string(log.path()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn exclusive_claims_wait_for_each_other() {
    let log = run(|log| {
        ["a", "b", "c"].map(|name| command(log, name, vec![Claim::exclusive(guest(900))])).into_iter().collect()
    });
    assert_eq!(log, ["+a", "-a", "+b", "-b", "+c", "-c"]);
}

#[test]
fn what_claims_nothing_in_common_runs_side_by_side() {
    let log = run(|log| {
        vec![
            command(log, "a", vec![Claim::exclusive(guest(101))]),
            command(log, "b", vec![Claim::exclusive(guest(102))]),
            command(log, "c", vec![]),
        ]
    });
    assert_eq!(log[..3], ["+a", "+b", "+c"]);
}

#[test]
fn shared_claims_share_and_nobody_passes_who_waits() {
    let log = run(|log| {
        let shared = || vec![Claim::shared(guest(9000))];
        vec![
            command(log, "a", shared()),
            command(log, "x", vec![Claim::exclusive(guest(9000))]),
            // Could share with a, but would make x wait longer.
            command(log, "b", shared()),
            command(log, "c", shared()),
        ]
    });
    assert_eq!(log[..4], ["+a", "-a", "+x", "-x"]);
    assert!(log[4..6].iter().all(|line| line.starts_with('+')), "b and c go on together: {log:?}");
}

#[test]
fn counted_claims_run_so_many_at_once() {
    let log = run(|log| {
        ["a", "b", "c"].map(|name| command(log, name, vec![Claim::counted(storage(), 2)])).into_iter().collect()
    });
    assert_eq!(log[..2], ["+a", "+b"]);
    assert_ne!(log[2], "+c", "the third waits: {log:?}");
}

#[test]
fn a_resource_named_twice_is_taken_once() {
    let log = run(|log| vec![command(log, "a", vec![Claim::shared(guest(101)), Claim::exclusive(guest(101))])]);
    assert_eq!(log, ["+a", "-a"]);
}

#[test]
fn crossing_claims_never_deadlock() {
    let queue: HostHandle = Arc::new(Queue::new(Arc::new(node())));
    let active = Arc::new(AtomicU32::new(0));
    let resources = [guest(101), guest(102), guest(103)];
    let threads: Vec<_> = (0..6)
        .map(|index| {
            let (actor, active, resources) = (queue.actor("guest"), Arc::clone(&active), resources.clone());
            std::thread::spawn(move || {
                for round in 0..10 {
                    let (a, b) = ((index + round) % 3, (index + 2 * round + 1) % 3);
                    let claims = vec![Claim::exclusive(resources[a].clone()), Claim::exclusive(resources[b].clone())];
                    actor.run(&Command { claims, ..Command::change("true", [""; 0]) }).unwrap();
                    active.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(active.load(Ordering::Relaxed), 60);
}

#[test]
fn a_wake_meant_for_something_else_is_handed_on() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let queue: HostHandle = Arc::new(Queue::new(Arc::new(node())));
    let claims = vec![Claim::exclusive(guest(900))];
    let slow = Command { claims: claims.clone(), ..Command::change("sleep", ["0.2"]) };
    let holder = {
        let (actor, slow) = (queue.actor("holder"), slow.clone());
        std::thread::spawn(move || actor.run(&slow).unwrap())
    };
    std::thread::sleep(Duration::from_millis(50));
    let waiting = queue.actor("waiting");
    let waiter = {
        let (actor, log) = (Arc::clone(&waiting), Arc::clone(&log));
        std::thread::spawn(move || {
            actor.run(&Command { claims, ..Command::change("true", [""; 0]) }).unwrap();
            log.lock().unwrap().push("ran");
            actor.park();
            log.lock().unwrap().push("woken");
        })
    };
    std::thread::sleep(Duration::from_millis(50));
    waiting.wake();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(*log.lock().unwrap(), [""; 0], "a wake is no turn");
    holder.join().unwrap();
    waiter.join().unwrap();
    assert_eq!(*log.lock().unwrap(), ["ran", "woken"]);
}
