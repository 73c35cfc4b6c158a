//! Whole runs over ssh, and runs that break in the middle.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use phoenix::host::Host as _;
use phoenix::op::{Op, Place};
use tempfile::TempDir;

use crate::support::program::Ended;
use crate::support::sshd::{Frail, Sshd};

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// How many changing values a run sent.
fn changing(ran: &Ended) -> serde_json::Value {
    let summary: serde_json::Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    summary["summary"]["changing"].clone()
}

#[test]
fn a_whole_run_and_another_that_changes_nothing() {
    let sshd = Sshd::start();
    let home = home();
    let at = |words: &[&str]| Ended::of(&mut sshd.workstation(home.path(), &sshd.url(), words));
    at(&["create", "900", "103", "--dry-run"]).ends(0).says("2 to change").says("copying phoenix to root@127.0.0.1");
    at(&["plan", "900", "103", "--detailed-exitcode"]).ends(5);
    at(&["status"]).ends(0).says("absent");
    at(&["create", "900", "103"]).ends(0).says("2 guests: 2 changed");
    let again = at(&["--json", "create", "900", "103"]).ends(0);
    assert_eq!(changing(&again), 0, "{}", again.out);
    at(&["plan", "900", "103", "--detailed-exitcode"]).ends(0).says("2 unchanged");
    at(&["status", "103"]).ends(0).says("running");
    at(&["health", "103"]).ends(0);
    at(&["check"]).ends(0);
}

#[test]
fn a_line_that_breaks_anywhere_leaves_a_run_that_another_workstation_finishes() {
    let sshd = Sshd::start();
    let (desk, laptop) = (home(), home());
    let whole = Frail::line(&sshd, usize::MAX);
    let at = |home: &TempDir, url: &str, words: &[&str]| Ended::of(&mut sshd.workstation(home.path(), url, words));
    // Without the copy of the program, which is there from now on.
    at(&desk, &sshd.url(), &["status"]).ends(0);
    at(&desk, &whole.url(), &["create", "900", "103"]).ends(0);
    let all = whole.passed();
    for percent in [10, 25, 40, 55, 70, 85, 95] {
        std::fs::remove_file(sshd.path("world")).unwrap();
        let frail = Frail::line(&sshd, all * percent / 100);
        let lost = at(&desk, &frail.url(), &["create", "900", "103"]).ends(4);
        let lost = lost.says(&format!("the connection to root@127.0.0.1:{} was lost: ", frail.port()));
        lost.says("the same command continues what was begun, from here or from any other workstation");
        // What was running on the node comes to its end there; until then it is in use.
        let until = Instant::now() + Duration::from_secs(20);
        let finished = loop {
            let next = at(&laptop, &sshd.url(), &["create", "900", "103"]);
            if next.code != Some(4) || Instant::now() > until {
                break next;
            }
        };
        finished.ends(0);
        let again = at(&desk, &sshd.url(), &["--json", "create", "900", "103"]).ends(0);
        assert_eq!(changing(&again), 0, "cut at {percent} %: {}", again.out);
    }
}

#[test]
fn a_second_workstation_is_told_who_is_at_work() {
    let sshd = Sshd::start();
    let laptop = home();
    Ended::of(&mut sshd.workstation(laptop.path(), &sshd.url(), &["create", "900"])).ends(0);
    let first = sshd.open_world();
    let held = first.lock("anna@desk, process 4711, `phoenix up`").unwrap();
    held.tell("3 of 7 guests done, working on 102");
    // What is told needs no answer; this does, and comes behind it.
    drop(first.perform(Place::Node, &[Op::Os]).unwrap());
    let second = || Ended::of(&mut sshd.workstation(laptop.path(), &sshd.url(), &["create", "900"]));
    let told = second().ends(4).says("is in use by another process: anna@desk, process 4711, `phoenix up`; ");
    told.says("3 of 7 guests done, working on 102").says("wait for it");
    drop(held);
    drop(first);
    second().ends(0);
}

#[test]
fn ctrl_c_ends_the_run_and_not_the_line() {
    let sshd = Sshd::start();
    let home = home();
    let mut command = sshd.workstation(home.path(), &sshd.url(), &["create", "900", "103", "101", "102"]);
    // As on a terminal, where it reaches the whole process group.
    let command = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let first = command.spawn().unwrap();
    let group = rustix::process::Pid::from_raw(first.id().try_into().unwrap()).unwrap();
    while !sshd.path("world").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    let output = first.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(!err.contains("was lost"), "{err}");
    let at = |words: &[&str]| Ended::of(&mut sshd.workstation(home.path(), &sshd.url(), words));
    at(&["create", "900", "103", "101", "102"]).ends(0);
}

#[test]
fn a_killed_ssh_leaves_a_run_that_goes_on_by_the_same_command() {
    let sshd = Sshd::start();
    let home = home();
    let four = ["create", "900", "103", "101", "102"];
    let mut first = sshd.workstation(home.path(), &sshd.url(), &four);
    let first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !sshd.path("world").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = first.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let ssh = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(ssh, rustix::process::Signal::KILL).unwrap();
    let output = first.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("was lost: the node's end of the line is gone"), "{text}");
    // Nothing is told as failed that was only cut off, and nothing twice.
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!told.contains("failed") && !text.contains("warning"), "{told}\n{text}");
    let until = Instant::now() + Duration::from_secs(20);
    let next = loop {
        let next = Ended::of(&mut sshd.workstation(home.path(), &sshd.url(), &four));
        if next.code != Some(4) || Instant::now() > until {
            break next;
        }
    };
    next.ends(0);
}

#[test]
fn words_that_name_no_node_are_refused_before_anything_is_started() {
    let home = home();
    let phoenix = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/etc");
        command.env_clear().env("HOME", home.path()).env("PATH", home.path());
        command.args(["--config", config]).args(words).stdin(Stdio::null());
        Ended::of(&mut command)
    };
    let ssh = |url: &str| phoenix(&["--host", url, "status"]);
    ssh("ssh://-oProxyCommand=id").ends(2).says("is no name of a host").says("`ssh://[user@]host[:port]`");
    let secret = ssh("ssh://root:hunter2@pve").ends(2).says("it holds a password");
    assert!(!secret.err.contains("hunter2"), "{}", secret.err);
    phoenix(&["--host", "ssh://pve", "--fault", "fail:1", "status"])
        .ends(2)
        .says("`--fault` is for the emulated node only");
    phoenix(&["--sandbox", "--node-binary", "x", "status"])
        .ends(2)
        .says("`--node-binary` is for `--host ssh://...` only");
    phoenix(&["--host", "ssh://pve", "--node-binary", "/nowhere", "status"]).ends(2).says("/nowhere: No such file");
    // Where there is no ssh at all.
    phoenix(&["--host", "ssh://pve", "status"]).ends(4).says("install OpenSSH's client");
}
