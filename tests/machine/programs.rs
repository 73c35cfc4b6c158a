//! `exec`, `probe`, `wait_for`, `http`.

use std::time::Duration;

use phoenix::command::Output;
use phoenix::event::Event;
use phoenix::host::HostError;
use phoenix::machine::{Condition, Exec, MachineError, Ran, Wait, shell};
use phoenix::op::{Attributes, Op, OpErrorKind};
use phoenix::request::{Request, Response};

use super::bench::{Bench, Models, converges, silent};

/// `touch PATH` makes a file, `fail` says so and fails, `test -e PATH` looks.
fn bench() -> Bench {
    let mut models = Models::default();
    models.programs.insert("touch", |call, inside| {
        let (path, bytes) = (call.args()[0].clone(), b"x".to_vec());
        inside.perform(&Op::Append { path, bytes, sync: false }).ok().map(|_| Output::success("done\n"))
    });
    models.programs.insert("fail", |_, _| Some(Output::failure(3, "first\nlast words\n")));
    models.programs.insert("there", |call, inside| {
        let found = inside.perform(&Op::Stat { path: call.args()[0].clone() });
        let there = matches!(found, Ok(phoenix::op::OpValue::Stat(Some(_))));
        Some(if there { Output::success("") } else { Output::failure(1, "") })
    });
    let bench = Bench::with(models);
    for program in ["touch", "fail", "there"] {
        let path = format!("/usr/bin/{program}");
        bench.put(&path, "#!");
        bench
            .prepare(Op::SetAttributes { path, attributes: Attributes { mode: Some(0o755), ..Attributes::default() } });
    }
    bench
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn ran(bench: &Bench, words: &[&str], options: &Exec) -> bool {
    let execution = bench.machine().exec(&argv(words), options).unwrap();
    assert_eq!(execution.change.changed, execution.ran != Ran::NotNeeded);
    execution.change.changed
}

#[test]
fn guards_keep_a_program_from_running() {
    let bench = bench();
    let touch = argv(&["touch", "/srv/x"]);
    let creates = Exec { creates: Some("/srv/x".to_owned()), ..Exec::default() };
    let unless = Exec { unless: argv(&["there", "/srv/x"]), ..Exec::default() };
    converges(&bench, |machine| Ok(machine.exec(&touch, &creates)?.change));
    converges(&bench, |machine| Ok(machine.exec(&touch, &unless)?.change));
    let only_if = Exec { only_if: argv(&["there", "/srv/x"]), ..Exec::default() };
    assert!(!ran(&bench, &["touch", "/srv/x"], &only_if));
    bench.put("/srv/x", "");
    assert!(ran(&bench, &["touch", "/srv/x"], &only_if));
    assert!(!ran(&bench, &["touch", "/srv/x"], &creates));
}

#[test]
fn without_a_guard_it_runs_every_time() {
    let bench = bench();
    assert!(ran(&bench, &["touch", "/srv/x"], &Exec::default()));
    assert!(ran(&bench, &["touch", "/srv/x"], &Exec::default()));
    assert_eq!(bench.text("/srv/x").unwrap(), "xx");
}

#[test]
fn a_watch_runs_it_once_per_state_of_the_files() {
    let bench = bench();
    bench.put("/etc/w/a", "1");
    let options = Exec { watch: argv(&["/etc/w", "/etc/later"]), ..Exec::default() };
    assert!(ran(&bench, &["touch", "/srv/x"], &options));
    assert!(!ran(&bench, &["touch", "/srv/x"], &options));
    bench.put("/etc/w/deep/b", "1");
    assert!(ran(&bench, &["touch", "/srv/x"], &options));
    bench.put("/etc/later", "1");
    assert!(ran(&bench, &["touch", "/srv/x"], &options));
    assert!(!ran(&bench, &["touch", "/srv/x"], &options));
    // Another program watches for itself, and one that failed watches on.
    assert!(ran(&bench, &["touch", "/srv/y"], &options));
    bench.put("/etc/w/a", "2");
    let failing = bench.machine().exec(&argv(&["fail"]), &options);
    assert!(failing.is_err());
    assert!(bench.machine().exec(&argv(&["fail"]), &options).is_err());
}

#[test]
fn a_kill_after_the_write_still_runs_it() {
    let bench = bench();
    let options = Exec { watch: argv(&["/etc/w"]), ..Exec::default() };
    bench.put("/etc/w", "1");
    assert!(ran(&bench, &["touch", "/srv/x"], &options));
    // One run writes the file and is killed before it reacts.
    bench.put("/etc/w", "2");
    bench.cut_off_after(0);
    assert!(bench.machine().exec(&argv(&["touch", "/srv/x"]), &options).is_err());
    bench.cut_off_after(100);
    assert!(ran(&bench, &["touch", "/srv/x"], &options));
    silent(&bench, |machine| Ok(machine.exec(&argv(&["touch", "/srv/x"]), &options)?.change));
}

#[test]
fn a_failure_is_told_with_its_last_lines() {
    let bench = bench();
    let error = bench.machine().exec(&argv(&["fail", "a b"]), &Exec::default()).unwrap_err();
    let failure = error.failure();
    assert_eq!(failure.message, "`fail 'a b'` failed with exit status 3");
    assert_eq!(failure.output.as_deref(), Some("first\nlast words"));
    let lenient = Exec { check: false, ..Exec::default() };
    let execution = bench.machine().exec(&argv(&["fail"]), &lenient).unwrap();
    assert!(matches!(execution.ran, Ran::Output(output) if output.code == 3));
    let empty = bench.machine().exec(&[], &Exec::default());
    assert!(matches!(empty, Err(MachineError::Invalid(_))));
}

#[test]
fn a_probe_never_fails_and_changes_nothing() {
    let bench = bench();
    bench.quiet();
    let machine = bench.machine();
    assert_eq!(machine.probe(&argv(&["fail"]), &Exec::default()).unwrap().code, 3);
    bench.fail("'gone' x", OpErrorKind::NotFound, "no such file");
    bench.fail("gone x", OpErrorKind::NotFound, "no such file");
    assert_eq!(machine.probe(&argv(&["gone", "x"]), &Exec::default()).unwrap().code, 127);
    bench.fail("slow x", OpErrorKind::Timeout, "too slow");
    assert_eq!(machine.probe(&argv(&["slow", "x"]), &Exec::default()).unwrap().code, 124);
    assert_eq!(bench.changes(), Vec::<String>::new());
}

#[test]
fn what_a_rehearsal_cannot_know_is_told_apart() {
    let bench = bench();
    bench.fail("there /x", OpErrorKind::Unknown, "not known before it runs");
    let error = bench.machine().probe(&argv(&["there", "/x"]), &Exec::default()).unwrap_err();
    assert!(error.is_unknown() && !error.is_interrupted());
    bench.fail("touch /x", OpErrorKind::Unknown, "not known before it runs");
    let execution = bench.machine().exec(&argv(&["touch", "/x"]), &Exec::default()).unwrap();
    assert!(execution.change.changed && execution.ran == Ran::Unknown);
    assert!(MachineError::from(HostError::Interrupted).is_interrupted());
}

#[test]
fn a_shell_line_is_shown_as_written() {
    let bench = bench();
    let execution = bench.machine().exec(&shell("touch /srv/x"), &Exec::default()).unwrap();
    assert_eq!(execution.change.what, "exec touch /srv/x");
}

#[test]
fn waiting_ends_with_the_condition_or_at_the_deadline() {
    let bench = bench();
    let wait = Wait { timeout: Duration::from_secs(10), every: Duration::from_secs(2) };
    let (machine, events) = bench.reporting();
    let began = bench.now();
    let error = machine.wait_for(&Condition::File("/srv/x".to_owned()), wait).unwrap_err();
    assert_eq!(error.to_string(), "waited 10 s for /srv/x: does not exist");
    assert!(bench.now().duration_since(began) <= jiff::SignedDuration::from_secs(12));
    let waits = events.events().iter().filter(|e| matches!(e.event, Event::Waiting { .. })).count();
    assert_eq!(waits, 1);
    bench.put("/srv/x", "");
    machine.wait_for(&Condition::File("/srv/x".to_owned()), wait).unwrap();
    machine.wait_for(&Condition::Command(argv(&["there", "/srv/x"])), wait).unwrap();
    let error = machine.wait_for(&Condition::Command(argv(&["fail"])), wait).unwrap_err();
    assert!(error.to_string().contains("exit status 3\nfirst\nlast words"), "{error}");
    let error = machine.wait_for(&Condition::Port(9000), wait).unwrap_err();
    assert_eq!(error.to_string(), "waited 10 s for port 9000: nothing listens there");
    let error = machine.wait_for(&Condition::Unit("none".to_owned()), wait).unwrap_err();
    assert!(error.to_string().starts_with("waited 10 s for unit none.service: inactive"), "{error}");
}

#[test]
fn waiting_for_http_goes_on_through_refusals() {
    let bench = bench();
    let mut left = 2;
    bench.answers(move |request| {
        left -= 1;
        match left {
            1 => Err(HostError::Unreachable { what: request.url.clone(), reason: "refused".to_owned() }),
            0 => Ok(Response { status: 503, ..Response::default() }),
            _ => Ok(Response { status: 200, ..Response::default() }),
        }
    });
    let condition = Condition::Http(Box::new(Request::get("https://192.0.2.1:9000/health")));
    bench.machine().wait_for(&condition, Wait::default()).unwrap();
    bench.answers(|_| Err(HostError::Interrupted));
    assert!(bench.machine().wait_for(&condition, Wait::default()).unwrap_err().is_interrupted());
    bench.answers(|_| Ok(Response { status: 404, ..Response::default() }));
    let error = bench.machine().wait_for(&condition, Wait::default()).unwrap_err();
    assert_eq!(error.to_string(), "waited 60 s for GET https://192.0.2.1:9000/health: status 404");
    assert_eq!(bench.machine().http(&Request::get("http://192.0.2.1/")).unwrap().status, 404);
}
