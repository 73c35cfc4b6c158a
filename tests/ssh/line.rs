//! Values that cross: hostile ones, many at once, large ones, and the lock.

use std::time::{Duration, Instant};

use phoenix::command::{Command, Effect};
use phoenix::host::interrupt::Interrupt;
use phoenix::host::{Host, HostError};
use phoenix::op::{Attributes, Content, Exec, Op, OpErrorKind, OpValue, Place};
use phoenix::secret::Sealed;

use crate::conformance;
use crate::support::sshd::{Frail, Sshd, node_binary};

/// Bytes of all kinds, the same every time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}

fn digest(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_node_answers_over_ssh_as_it_does_here() {
    let sshd = Sshd::start();
    let host = sshd.open();
    conformance::holds_on_the_node(&host);
}

#[test]
fn hostile_arguments_arrive_as_they_are() {
    let sshd = Sshd::start();
    let host = sshd.open();
    let long = "x".repeat(100 << 10);
    let odd = [
        "two  words",
        "new\nline",
        "tab\t",
        "$(id)",
        "`id`",
        "${HOME}",
        "'",
        "\"",
        "'\"'\"'",
        "\\",
        "\\\\n",
        "a;b",
        "&",
        "|",
        "> /x",
        "-n",
        "--",
        "--help",
        "",
        "*",
        "~",
        "!",
        "#",
        "grün 雪 🦀",
        "\u{1}\u{7f}",
        "phoenix-node:6b1f0e1d7c9a ready",
        &long,
    ];
    let command = Command::read("printf", ["%s\\0"].into_iter().chain(odd));
    let expected: String = odd.iter().map(|word| format!("{word}\0")).collect();
    assert!(host.run(&command).unwrap().text() == expected);
    let exec = Exec {
        argv: ["printf", "%s\\0"].into_iter().chain(odd).map(str::to_owned).collect(),
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(20),
        effect: Effect::Read,
    };
    let results = host.perform(Place::Node, &[Op::Exec(exec)]).unwrap();
    let Ok(OpValue::Output(output)) = &results[0] else { panic!("{results:?}") };
    assert!(output.text() == expected);
    let nul = host.run(&Command::read("printf", ["a\0b"]));
    assert!(matches!(nul, Err(HostError::Io { .. })), "{nul:?}");
    assert_eq!(host.run(&Command::read("no-such", ["x"])), Err(HostError::NotFound { program: "no-such".to_owned() }));
}

#[test]
fn hostile_input_and_bytes_arrive_as_they_are() {
    let sshd = Sshd::start();
    let host = sshd.open();
    // Standard input is text: every character there is, in no order.
    let characters = noise(8 << 20);
    let characters = characters.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], 0]) >> 3);
    let text: String = characters.filter_map(char::from_u32).chain(['\0', '\n', '\r']).collect();
    assert!(text.len() > 2 << 20);
    let output = host.run(&Command::read("sha256sum", [""; 0]).stdin(Sealed::plain(&text))).unwrap();
    assert!(output.text().starts_with(&digest(text.as_bytes())), "{}", output.text());
    let echoed = host.run(&Command::read("cat", ["-"]).stdin(Sealed::plain(&text))).unwrap();
    assert!(echoed.stdout == text.as_bytes());

    let bytes = noise(3 << 20);
    let path = "/var/lib/phoenix/noise".to_owned();
    let write = Op::Write {
        path: path.clone(),
        content: Content::Bytes(bytes.clone().into()),
        attributes: Attributes::default(),
        guard: None,
    };
    let ops = [write, Op::Digest { path: path.clone() }, Op::Read { path, limit: 1 << 30 }];
    let results = host.perform(Place::Node, &ops).unwrap();
    assert_eq!(results[1], Ok(OpValue::Digest(Some(digest(&bytes)))));
    assert!(results[2] == Ok(OpValue::Bytes(Some(bytes))));
}

#[test]
fn eight_actors_at_once() {
    let sshd = Sshd::start();
    let host = sshd.open();
    let began = Instant::now();
    let actors: Vec<_> = (0..8).map(|number| (number, host.actor(&format!("guest {number}")))).collect();
    let threads: Vec<_> = actors
        .into_iter()
        .map(|(number, actor)| {
            std::thread::spawn(move || {
                let slow = Command::change("sh", ["-c", &format!("sleep 1; echo {number}")]);
                assert_eq!(actor.run(&slow).unwrap().text(), format!("{number}\n"));
                for round in 0..50 {
                    let said = format!("{number}.{round}");
                    let write = Op::Write {
                        path: format!("/var/lib/phoenix/{number}"),
                        content: Content::Bytes(said.as_bytes().into()),
                        attributes: Attributes::default(),
                        guard: None,
                    };
                    let read = Op::Read { path: format!("/var/lib/phoenix/{number}"), limit: 100 };
                    let results = actor.perform(Place::Node, &[write, read]).unwrap();
                    assert_eq!(results[1], Ok(OpValue::Bytes(Some(said.into_bytes()))));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(7), "one after another they take eight seconds for sleeping alone");
}

#[test]
fn what_is_too_large_for_one_message_is_told_and_the_line_goes_on() {
    let sshd = Sshd::start();
    let host = sshd.open();
    let path = "/var/lib/phoenix/large".to_owned();
    assert!(host.run(&Command::change("truncate", ["-s", "70M", &path])).unwrap().ok());
    let error = host.perform(Place::Node, &[Op::Read { path: path.clone(), limit: 1 << 30 }]).unwrap_err();
    assert_eq!(error.to_string(), "the node's answer: 70 MiB are more than the 64 MiB that one message may have");
    let content = Content::Bytes(vec![0; 65 << 20].into());
    let write = Op::Write { path: path.clone(), content, attributes: Attributes::default(), guard: None };
    let error = host.perform(Place::Node, &[write]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "what is sent to the node: 65 MiB are more than the 64 MiB that one message may have"
    );
    let results = host.perform(Place::Node, &[Op::Read { path, limit: 1000 }]).unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().kind, OpErrorKind::TooLarge);
}

#[test]
fn secrets_stand_in_no_argument_and_time_is_the_nodes() {
    let sshd = Sshd::start();
    let host = sshd.open();
    let secret = "correct-horse-battery-staple";
    let look = "sleep 0.2; cat /proc/*/cmdline | tr '\\0' ' '; cat >/dev/null";
    let output = host.run(&Command::read("sh", ["-c", look]).stdin(Sealed::new(secret, "***"))).unwrap();
    assert!(output.text().contains("serve"), "{}", output.text());
    assert!(!output.text().contains(secret));
    let there: f64 = host.run(&Command::read("date", ["+%s.%N"])).unwrap().text().trim().parse().unwrap();
    let here = host.now().as_microsecond() as f64 / 1e6;
    assert!((-0.5..0.5).contains(&(here - there)), "{here} is not {there}");
    let began = Instant::now();
    host.sleep(Duration::from_millis(100)).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[test]
fn one_run_at_a_time_wherever_it_comes_from() {
    let sshd = Sshd::start();
    let (one, other) = (sshd.open(), sshd.open());
    let held = one.lock("anna@desk, process 7, `phoenix create 101`").unwrap();
    held.tell("3 of 7 guests done, working on 102");
    // What is told needs no answer; this does, and comes behind it.
    drop(one.perform(Place::Node, &[Op::Os]).unwrap());
    let refused = other.lock("ben@laptop").err().unwrap().to_string();
    let words = "another phoenix run is active on this node: anna@desk, process 7, `phoenix create 101`; 3 of 7 guests \
                 done, working on 102";
    assert_eq!(refused, words);
    drop(held);
    drop(one.perform(Place::Node, &[Op::Os]).unwrap());
    drop(other.lock("ben@laptop").unwrap());
}

#[test]
fn a_lost_line_ends_the_run_and_what_runs_on_the_node_comes_to_its_end() {
    let sshd = Sshd::start();
    let frail = Frail::line(&sshd, 1 << 20);
    let interrupt = Interrupt::new();
    let host = sshd.try_open(&frail.url(), Some(node_binary()), &interrupt).unwrap();
    std::mem::forget(host.lock("anna").unwrap());
    let actor = host.actor("at work");
    let script = "while ! [ -e /var/lib/phoenix/go ]; do sleep 0.1; done; echo whole >/var/lib/phoenix/end";
    let slow = std::thread::spawn(move || actor.run(&Command::change("sh", ["-c", script])));
    std::thread::sleep(Duration::from_millis(300));
    // More than the line takes.
    let flood = host.run(&Command::read("head", ["-c", "3000000", "/dev/zero"]));
    let lost = flood.unwrap_err();
    assert!(lost.to_string().starts_with("the connection to root@127.0.0.1:"), "{lost}");
    assert!(lost.to_string().contains(" was lost: "), "{lost}");
    assert_eq!(slow.join().unwrap(), Err(lost.clone()));
    assert_eq!(interrupt.lost(), Some(lost.clone()));
    assert!(interrupt.is_set());
    assert_eq!(host.run(&Command::read("true", [""; 0])), Err(lost));
    // As long as it runs, the lock is held; then both are over.
    let other = sshd.open();
    assert!(matches!(other.lock("ben").err(), Some(HostError::Locked { by }) if by.owner == "anna"));
    assert!(other.run(&Command::change("touch", ["/var/lib/phoenix/go"])).unwrap().ok());
    let until = Instant::now() + Duration::from_secs(10);
    while other.lock("ben").is_err() {
        assert!(Instant::now() < until, "the lock outlived the session");
        std::thread::sleep(Duration::from_millis(50));
    }
    let end = other.perform(Place::Node, &[Op::Read { path: "/var/lib/phoenix/end".to_owned(), limit: 100 }]).unwrap();
    assert_eq!(end[0], Ok(OpValue::Bytes(Some(b"whole\n".to_vec()))));
    assert!(frail.passed() > 1 << 20);
}

#[test]
#[ignore = "long: a dead line is noticed after a minute"]
fn a_line_that_is_silently_dead_is_noticed_at_both_ends() {
    let sshd = Sshd::start();
    let frail = Frail::line(&sshd, usize::MAX);
    let interrupt = Interrupt::new();
    let host = sshd.try_open(&frail.url(), Some(node_binary()), &interrupt).unwrap();
    std::mem::forget(host.lock("anna").unwrap());
    frail.fall_silent();
    let began = Instant::now();
    let lost = host.run(&Command::read("true", [""; 0])).unwrap_err();
    assert!(lost.to_string().contains("not responding"), "{lost}");
    assert!((30..90).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let other = sshd.open();
    while other.lock("ben").is_err() {
        assert!(began.elapsed().as_secs() < 120, "the lock outlived the session");
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_killed_client_is_a_lost_line_and_a_crashed_session_holds_no_lock() {
    let sshd = Sshd::start();
    let host = sshd.open();
    let lock = host.lock("anna").unwrap();
    let served = host.run(&Command::read("sh", ["-c", "echo $PPID"])).unwrap().text();
    let other = sshd.open();
    assert!(other.run(&Command::change("kill", ["-KILL", served.trim()])).unwrap().ok());
    assert!(matches!(host.run(&Command::read("true", [""; 0])), Err(HostError::Lost { .. })));
    // What is told to nobody harms nobody.
    lock.tell("1 of 2 guests done");
    drop(lock);
    assert!(other.lock("ben").is_ok());
}
