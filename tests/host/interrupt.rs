//! Waiting, waking, Ctrl-C, and the lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use phoenix::command::Command;
use phoenix::host::interrupt::{Interrupt, Interruptible};
use phoenix::host::local::{Local, Paths};
use phoenix::host::{Holder, Host, HostError};
use phoenix::op::{Op, Place};

use super::node;

#[test]
fn a_wake_that_came_before_is_not_lost() {
    let host = node();
    host.wake();
    host.wake();
    host.park();
    let parked = host.actor("parked");
    let waker = Arc::clone(&parked);
    let start = Instant::now();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        waker.wake();
    });
    parked.park();
    assert!(start.elapsed() >= Duration::from_millis(50));
    thread.join().unwrap();
}

#[test]
fn ctrl_c_ends_a_sleep_and_refuses_what_comes_after() {
    let interrupt = Interrupt::new();
    let host = Interruptible::new(Arc::new(Local::new(interrupt.clone()).unwrap()), interrupt.clone());
    host.sleep(Duration::from_millis(1)).unwrap();
    let start = Instant::now();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        interrupt.set();
    });
    assert_eq!(host.sleep(Duration::from_secs(60)), Err(HostError::Interrupted));
    assert!(start.elapsed() < Duration::from_secs(30));
    thread.join().unwrap();
    assert_eq!(host.run(&Command::read("true", [""; 0])), Err(HostError::Interrupted));
    assert_eq!(host.perform(Place::Node, &[Op::Os]), Err(HostError::Interrupted));
}

#[test]
fn ctrl_c_lets_the_running_command_finish() {
    let interrupt = Interrupt::new();
    let host = Interruptible::new(Arc::new(Local::new(interrupt.clone()).unwrap()), interrupt.clone());
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        interrupt.set();
    });
    let output = host.run(&Command::change("sh", ["-c", "sleep 0.3; echo whole"])).unwrap();
    assert_eq!(output.text(), "whole\n");
    thread.join().unwrap();
}

#[test]
fn one_run_at_a_time_and_the_other_is_told_who() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths { lock: dir.path().join("state/lock"), ..Paths::default() };
    let one = Local::with_paths(Interrupt::new(), paths.clone()).unwrap();
    let held = one.lock("phoenix create 101, process 7").unwrap();
    let other = Local::with_paths(Interrupt::new(), paths.clone()).unwrap();
    let mut holder = Holder { owner: "phoenix create 101, process 7".to_owned(), ..Holder::default() };
    let refused = other.lock("phoenix create 102").err();
    assert_eq!(refused, Some(HostError::Locked { by: holder.clone() }));
    held.tell("3 of 7 guests done, working on 102");
    holder.progress = "3 of 7 guests done, working on 102".to_owned();
    let refused = other.lock("phoenix create 102").err().unwrap();
    assert_eq!(refused, HostError::Locked { by: holder });
    let words = "process 7; 3 of 7 guests done, working on 102";
    assert!(refused.to_string().ends_with(words), "{refused}");
    drop(held);
    drop(other.lock("x").unwrap());
}
