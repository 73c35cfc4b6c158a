//! The program on a terminal: a real pseudo-terminal, whose screen is drawn by an emulator of terminals.

use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::User;
use crate::support::program::Ended;

/// Longer than this nothing takes, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program at work on a terminal.
struct OnTerminal {
    child: Child,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    columns: u16,
    raw: Vec<u8>,
}

impl OnTerminal {
    /// Starts it on a terminal of this size; `environment` is what a shell would be told before the command.
    fn start(user: &User, columns: u16, environment: &str, words: &[&str]) -> OnTerminal {
        let rows: u16 = 24;
        let phoenix = user.command(words);
        let typed = std::iter::once(phoenix.get_program()).chain(phoenix.get_args());
        let typed = shlex::try_join(typed.map(|word| word.to_str().unwrap())).unwrap();
        let mut script = std::process::Command::new("script");
        script
            .args([
                "-qefc",
                &format!("stty cols {columns} rows {rows}; export {environment}; exec {typed}"),
                "/dev/null",
            ])
            .env_clear()
            .env("HOME", user.home.path())
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .current_dir(user.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = script.spawn().expect("`script` belongs to every Debian system");
        let mut stdout = child.stdout.take().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let parser = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
        OnTerminal { child, output, parser, columns, raw: Vec::new() }
    }

    fn screen(&self) -> Vec<String> {
        let lines = self.parser.screen().rows(0, self.columns).map(|line| line.trim_end().to_owned());
        let lines: Vec<String> = lines.collect();
        let last = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines[..last].to_vec()
    }

    /// Goes on until the screen is like this, and answers it.
    #[track_caller]
    fn until(&mut self, like: impl Fn(&[String]) -> bool) -> Vec<String> {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if like(&screen) {
                return screen;
            }
            match self.output.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
                Ok(bytes) => {
                    self.parser.process(&bytes);
                    self.raw.extend(bytes);
                }
                Err(RecvTimeoutError::Timeout) => panic!("still not: {screen:#?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("ended with {screen:#?}"),
            }
        }
    }

    fn press(&mut self, key: &str) {
        self.child.stdin.as_mut().unwrap().write_all(key.as_bytes()).unwrap();
    }

    /// The last screen, everything that was written, and the exit code.
    fn end(mut self) -> (Vec<String>, String, Option<i32>) {
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.parser.process(&bytes);
            self.raw.extend(bytes);
        }
        let code = self.child.wait().unwrap().code();
        (self.screen(), String::from_utf8_lossy(&self.raw).into_owned(), code)
    }
}

const CREATE: [&str; 7] = ["--pace", "0.02", "create", "900", "103", "101", "102"];

fn both_at_work(screen: &[String]) -> bool {
    let living = |id: &str, name: &str| {
        screen.iter().any(|line| line.trim_start().starts_with(&format!("{id} {name}")) && line.contains('s'))
    };
    living("101", "gateway") && living("102", "router")
}

#[test]
fn guests_at_work_live_and_finished_ones_stay() {
    for columns in [80, 40] {
        let user = User::new();
        let mut run = OnTerminal::start(&user, columns, "LC_ALL=C.UTF-8", &CREATE);
        let during = run.until(both_at_work);
        assert!(during.last().unwrap().starts_with("2 of 4 guests done in "), "{during:#?}");
        assert!(during.iter().all(|line| line.chars().count() <= columns.into()), "{during:#?}");
        let (end, raw, code) = run.end();
        assert_eq!(code, Some(0), "{end:#?}");
        assert!(raw.contains("\u{1b}[J"));
        let text = end.join("\n");
        assert!(!text.contains("guests done in"), "living lines are gone: {text}");
        for id in ["900", "103", "101", "102"] {
            let told = end.iter().filter(|line| line.contains(&format!("{id} ")) && line.contains("done")).count();
            assert_eq!(told, 1, "{id} is told once: {text}");
        }
        assert!(end.iter().any(|line| line.starts_with("4 guests: 4 changed in ")), "{text}");
        let path = end.iter().position(|line| line.starts_with("critical path: 900 (")).unwrap();
        assert!(end[path..].join(" ").contains("-> 103 ("), "{text}");
    }
}

#[test]
fn ctrl_c_tells_what_is_being_finished_and_the_next_run_goes_on() {
    let user = User::new();
    let mut run = OnTerminal::start(&user, 80, "LC_ALL=C.UTF-8", &CREATE);
    run.until(both_at_work);
    run.press("\u{3}");
    run.until(|screen| screen.iter().any(|line| line.contains("finishing ") && line.contains("gateway (")));
    let (end, _, code) = run.end();
    assert_eq!(code, Some(130), "{end:#?}");
    assert!(end.concat().contains("interrupted: run the same command again to go on"), "{end:#?}");
    user.run(&["create", "900", "103", "101", "102"]).ends(0);
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_leaves_a_clean_screen() {
    let user = User::new();
    // So slow that nothing ends by itself.
    let words = ["--pace", "5", "create", "900"];
    let mut run = OnTerminal::start(&user, 80, "LC_ALL=C.UTF-8", &words);
    run.until(|screen| screen.iter().any(|line| line.contains("900 base define")));
    run.press("\u{3}");
    run.until(|screen| screen.iter().any(|line| line.contains("finishing these")));
    run.press("\u{3}");
    let (end, _, code) = run.end();
    assert_eq!(code, Some(130), "{end:#?}");
    assert!(!end.join("\n").contains("finishing these"), "{end:#?}");
}

#[test]
fn terminals_that_cannot_and_operators_who_will_not() {
    let user = User::new();
    let (_, raw, code) = OnTerminal::start(&user, 80, "TERM=dumb", &["--pace", "0.002", "create", "900"]).end();
    assert_eq!(code, Some(0), "{raw}");
    assert!(!raw.contains('\u{1b}'), "no codes for a dumb terminal: {raw:?}");
    assert_eq!(raw.matches("feature base_setup").count(), 1, "every line once: {raw}");

    let (_, raw, code) = OnTerminal::start(&user, 80, "NO_COLOR=1", &["--pace", "0.01", "create", "103"]).end();
    assert_eq!(code, Some(0), "{raw}");
    assert!(raw.contains("\u{1b}[J") && !raw.contains("\u{1b}[2m") && !raw.contains("\u{1b}[3"), "{raw:?}");

    let (_, raw, _) = OnTerminal::start(&user, 80, "LC_ALL=C", &["--pace", "0.01", "-q", "create", "102"]).end();
    assert!(!raw.contains("\u{1b}[J") && !raw.contains("done"), "{raw:?}");
    let (_, raw, _) = OnTerminal::start(&user, 80, "LC_ALL=C", &["-v", "create", "102"]).end();
    assert!(raw.contains("unchanged"), "{raw:?}");
}

#[test]
fn a_pace_is_for_the_emulated_node() {
    let user = User::new();
    for pace in ["-1", "fast", "NaN", "1e9"] {
        user.run(&[&format!("--pace={pace}"), "create", "900"]).ends(2).says("from 0 to 100");
    }
    let config = user.config.to_str().unwrap();
    let words = ["--config", config, "--pace", "1", "create", "900"];
    let real = std::process::Command::new(env!("CARGO_BIN_EXE_phoenix")).args(words).output().unwrap();
    Ended::from(&real).ends(2).says("`--pace` is for the emulated node only");
}
