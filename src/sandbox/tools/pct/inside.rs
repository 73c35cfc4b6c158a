//! Programs inside a container: `pct exec`, `lxc-attach`.

use super::*;
use crate::op::{OpErrorKind, OpValue};
use crate::sandbox::guest;

/// What the tools give a program inside to begin with.
const ENVIRONMENT: [(&str, &str); 4] =
    [("PATH", "/sbin:/bin:/usr/sbin:/usr/bin"), ("HOME", "/root"), ("TERM", "linux"), ("container", "lxc")];

fn running(s: &Session, id: GuestId) -> Done {
    if here(s.world(), id)?.running.is_none() {
        return Err(fail(format!("container '{id}' not running!")));
    }
    Ok(())
}

pub(super) fn exec(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    running(s, id)?;
    if call.rest.is_empty() {
        return Err(fail("missing command at /usr/share/perl5/PVE/CLI/pct.pm line 123."));
    }
    attach(s, id, &call.rest)
}

/// There is no terminal to enter.
pub(super) fn enter(s: &mut Session, call: &Call) -> Done<i32> {
    running(s, id_at(call, 0)?)?;
    Err(not_modelled(call))
}

/// Runs a program inside a running container with this session's standard input.
pub(in super::super) fn attach(s: &mut Session, id: GuestId, argv: &[String]) -> Done<i32> {
    running(s, id)?;
    let op = super::exec(s, argv, &ENVIRONMENT);
    let (core, now) = (s.core(), s.now());
    let answer = guest::perform(s.world_mut(), core, id, now, &op);
    s.wait(answer.took)?;
    match answer.result {
        Ok(OpValue::Output(output)) if output.code == 127 && is_not_found(&output.stderr) => Err(no_program(id, argv)),
        // Typed by an operator, a program that nobody knows is a mistake, not something to assume.
        Ok(OpValue::Output(output)) if output.assumed => Err(no_program(id, argv)),
        Ok(OpValue::Output(output)) => {
            s.write(&output.stdout);
            s.write_err(&output.stderr);
            // A container that halts itself takes the program with it.
            let alive = here(s.world(), id).is_ok_and(|guest| guest.running.is_some());
            Ok(if alive { output.code } else { 137 })
        }
        Err(error) if error.kind == OpErrorKind::NotFound => Err(no_program(id, argv)),
        Err(error) => Err(fail(error.message)),
        Ok(_) => Ok(0),
    }
}

fn is_not_found(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).trim_end().ends_with(": No such file or directory")
}

fn no_program(id: GuestId, argv: &[String]) -> Stop {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    fail_with(
        127,
        format!(
            "lxc-attach: {id}: ../src/lxc/attach.c: lxc_attach_run_command: 1841 No such file or directory - \
             Failed to exec \"{program}\""
        ),
    )
}
