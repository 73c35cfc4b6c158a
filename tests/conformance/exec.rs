//! Programs. Only those that the model knows itself; what a shell and a flood do is asked of the real channel alone,
//! in `tests/host.rs`.

use phoenix::command::Output;
use phoenix::op::OpErrorKind::{Failed, NoSuchUser, NotFound};
use phoenix::op::{Exec, Op, OpValue};
use phoenix::secret::Sealed;

use super::Expect::{Fails, Is, Shows};
use super::{Case, exec, write};

pub fn cases() -> Vec<Case> {
    vec![codes(), input(), failures()]
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
