//! Programs. Only those that the model knows itself; what a shell and a flood do is asked of the real channel alone,
//! in `tests/host.rs`.

use phoenix::command::Output;
use std::time::Duration;

use phoenix::op::OpErrorKind::{Failed, NoSuchUser, NotFound, NotRun, Timeout};
use phoenix::op::{Exec, Op, OpValue};
use phoenix::secret::Sealed;

use super::Expect::{Fails, Is, Shows};
use super::{Case, exec, write};

pub fn cases() -> Vec<Case> {
    vec![codes(), input(), failures(), limits(), known_programs()]
}

fn says(stdout: &str) -> super::Expect {
    Is(OpValue::Output(Output::success(stdout)))
}

fn codes() -> Case {
    Case::new("exit status")
        .op(Op::Exec(exec(&["true"])), says(""))
        .op(Op::Exec(exec(&["/bin/true", "ignored"])), says(""))
        .op(Op::Exec(exec(&["false"])), Is(OpValue::Output(Output::failure(1, ""))))
        .op(
            Op::Exec(exec(&["cat", "/srv/nothing"])),
            Is(OpValue::Output(Output::failure(1, "cat: /srv/nothing: No such file or directory\n"))),
        )
}

fn input() -> Case {
    let fed = |text: &str| Op::Exec(Exec { stdin: Some(Sealed::new(text, "***")), ..exec(&["cat"]) });
    let inside = |cwd: &str| Op::Exec(Exec { cwd: Some(cwd.to_owned()), ..exec(&["cat", "relative"]) });
    Case::new("standard input and directory")
        .op(fed("from\0standard input\n\n"), says("from\0standard input\n\n"))
        .op(fed(""), says(""))
        .does(write("/srv/relative", "found"))
        .op(inside("/srv"), says("found"))
        .op(
            inside("/etc"),
            Shows("not found there", |value| matches!(value, OpValue::Output(output) if output.code == 1)),
        )
}

fn failures() -> Case {
    let as_user = |user: &str| Op::Exec(Exec { user: Some(user.to_owned()), ..exec(&["true"]) });
    Case::new("programs that cannot be started")
        .op(Op::Exec(Exec { cwd: Some("/srv/no such place".to_owned()), ..exec(&["true"]) }), Fails(NotFound))
        .op(as_user("nosuchuser"), Fails(NoSuchUser))
        .op(as_user("daemon"), says(""))
        .op(Op::Exec(exec(&[])), Fails(Failed))
}

fn limits() -> Case {
    let slow = |limit| Op::Exec(Exec { timeout: Duration::from_millis(limit), ..exec(&["sleep", "5"]) });
    Case::new("a time limit")
        .op(Op::Exec(exec(&["sleep", "0.1"])), says(""))
        .batch([(slow(300), Fails(Timeout)), (Op::Exec(exec(&["true"])), Fails(NotRun))])
        .op(Op::Exec(exec(&["true"])), says(""))
}

/// Programs that the model has built in answer as the real ones do.
fn known_programs() -> Case {
    let run = |argv: &[&str]| Op::Exec(exec(argv));
    let code = |code| Is(OpValue::Output(Output::failure(code, "")));
    let as_daemon = |argv: &[&str]| Op::Exec(Exec { user: Some("daemon".to_owned()), ..exec(argv) });
    Case::new("built-in programs")
        .op(run(&["echo", "two  words", "*", "$HOME"]), says("two  words * $HOME\n"))
        .op(run(&["echo", "-n", "grün"]), says("grün"))
        .op(run(&["sh", "-c", "echo 'one  word' \"another's\""]), says("one  word another's\n"))
        .op(run(&["id", "-u"]), says("0\n"))
        .op(as_daemon(&["id"]), says("uid=1(daemon) gid=1(daemon) groups=1(daemon)\n"))
        .op(as_daemon(&["id", "-un"]), says("daemon\n"))
        .op(run(&["getent", "passwd", "daemon"]), says("daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"))
        .op(run(&["getent", "group", "nosuchgroup"]), code(2))
        .op(run(&["test", "-d", "/etc"]), code(0))
        .op(run(&["test", "-f", "/etc"]), code(1))
        .op(run(&["[", "!", "-e", "/nothing", "]"]), code(0))
        .does(super::dir("/srv/listed"))
        .does(write("/srv/listed/b", ""))
        .does(write("/srv/listed/a c", ""))
        .op(run(&["ls", "/srv/listed"]), says("a c\nb\n"))
        .op(run(&["dpkg", "--print-architecture"]), says("amd64\n"))
        .op(run(&["uname", "-m"]), says("x86_64\n"))
        .op(run(&["systemctl", "is-active", "multi-user.target"]), says("active\n"))
        .op(run(&["systemctl", "is-system-running"]), Shows("a word", |value| {
            matches!(value, OpValue::Output(output) if ["running\n", "degraded\n"].contains(&&*output.text()))
        }))
}
