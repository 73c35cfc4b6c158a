//! Programs on the node.

use std::time::{Duration, Instant};

use phoenix::command::Command;
use phoenix::host::{Host as _, HostError};
use phoenix::secret::Sealed;

use super::node;

fn sh(script: &str) -> Command {
    Command::change("sh", ["-c", script])
}

#[test]
fn output_exit_status_and_signals_come_back() {
    let host = node();
    let output = host.run(&sh("printf 'a\\0b'; echo words >&2; exit 7")).unwrap();
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (7, &b"a\0b"[..], &b"words\n"[..]));
    assert_eq!(host.run(&sh("kill -9 $$")).unwrap().code, 137);
    let missing = host.run(&Command::read("no-such-program", ["x"]));
    assert_eq!(missing, Err(HostError::NotFound { program: "no-such-program".to_owned() }));
}

#[test]
fn arguments_arrive_as_they_are() {
    let odd = ["two words", "new\nline", "$(id)", "'\"", "-n", "--", "", "grün 雪"];
    let command = Command::read("printf", ["%s|"].into_iter().chain(odd));
    assert_eq!(node().run(&command).unwrap().text(), format!("{}|", odd.join("|")));
}

#[test]
fn the_environment_is_clean() {
    let output = node().run(&Command::read("env", [""; 0])).unwrap().text();
    let mut names: Vec<&str> = output.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH"]);
    assert!(output.contains("LC_ALL=C.UTF-8"), "{output}");
}

#[test]
fn large_input_and_output_flow_at_the_same_time() {
    let text = "0123456789abcdef".repeat(1 << 19);
    let output = node().run(&Command::read("cat", ["-"]).stdin(Sealed::plain(&text))).unwrap();
    assert!(output.text() == text, "8 MiB came back as they went");
}

#[test]
fn a_program_that_does_not_read_its_input_does_no_harm() {
    let text = "x".repeat(1 << 20);
    assert_eq!(node().run(&Command::read("true", [""; 0]).stdin(Sealed::plain(text))).unwrap().code, 0);
}

#[test]
fn without_input_it_is_empty() {
    assert_eq!(node().run(&Command::read("cat", [""; 0])).unwrap().stdout, b"");
}

#[test]
fn a_flood_ends_in_an_error_and_in_bounded_memory() {
    let error = node().run(&sh("yes >&2 & exec yes")).unwrap_err();
    assert!(error.to_string().contains("more than 16 MiB"), "{error}");
}

#[test]
fn at_the_limit_the_whole_group_is_killed() {
    let marker = format!("97{}", std::process::id());
    let start = Instant::now();
    let script = format!("sleep {marker} & sleep {marker} & wait; sleep {marker}");
    let result = node().run(&sh(&script).timeout(Duration::from_millis(300)));
    assert!(matches!(result, Err(HostError::Timeout { .. })), "{result:?}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    std::thread::sleep(Duration::from_millis(100));
    let left = std::process::Command::new("pgrep").args(["-f", &format!("^sleep {marker}")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "no orphan is left");
}

#[test]
fn a_child_that_keeps_the_output_open_does_not_hold_it_up() {
    let start = Instant::now();
    let output = node().run(&sh("sleep 5 & echo done")).unwrap();
    assert_eq!(output.text(), "done\n");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}
