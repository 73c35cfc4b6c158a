//! Programs inside a container: `pct exec`, `lxc-attach`.

use std::time::Duration;

use super::*;
use crate::op::{Op, OpErrorKind, OpValue, Place};
use crate::sandbox::body::Answer;
use crate::sandbox::guest;
use crate::sandbox::node_files;

/// What the tools give a program inside to begin with.
const ENVIRONMENT: [(&str, &str); 2] = [("TERM", "linux"), ("container", "lxc")];
/// Where the tools look for programs; who enters with a clean environment gets the usual path.
const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin";
const CLEAN_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    attach(s, id, &call.rest, call.option("keep-env") != Some("0"))
}

/// A shell that reads what there is on standard input.
pub(super) fn enter(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    running(s, id)?;
    attach(s, id, &["sh".to_owned()], call.option("keep-env") != Some("0"))
}

/// There is no terminal.
pub(super) fn console(s: &mut Session, call: &Call) -> Done<i32> {
    here(s.world(), id_at(call, 0)?)?;
    Err(not_modelled(call))
}

/// Runs a program inside a running container with this session's standard input, in the caller's environment or in a
/// clean one.
pub(in super::super) fn attach(s: &mut Session, id: GuestId, argv: &[String], keep: bool) -> Done<i32> {
    running(s, id)?;
    let caller = s.world().environment.clone();
    let mut env: Vec<(&str, &str)> = Vec::new();
    if keep {
        env.push(("HOME", "/root"));
        env.extend(caller.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    env.push(("PATH", if keep { PATH } else { CLEAN_PATH }));
    env.extend(ENVIRONMENT);
    let op = super::exec(s, argv, &env);
    let answer = perform(s, id, &op)?;
    let (core, now) = (s.core(), s.now());
    s.wait(answer.took)?;
    match answer.result {
        Ok(OpValue::Output(output)) if output.code == 127 && is_not_found(&output.stderr) => Err(no_program(id, argv)),
        // Typed by an operator, a program that nobody knows is a mistake, not something to assume.
        Ok(OpValue::Output(output)) if output.assumed => {
            let program = argv.first().map(String::as_str).unwrap_or_default();
            let there = guest::inside(s.world_mut(), core, id, now, |body, _| body.has_program(program));
            if there != Some(true) {
                return Err(no_program(id, argv));
            }
            Err(fail(format!("sandbox: `{}` is not modelled inside guests", argv.join(" "))))
        }
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

/// An Op inside a running container.
pub(super) fn perform(s: &mut Session, id: GuestId, op: &Op) -> Done<Answer> {
    let place = Place::Guest(id, GuestKind::Lxc);
    let done = s.really(|bodies| bodies.host().perform(place, &[node_files::carried(op, bodies)]))?;
    if let Some(result) = done.and_then(|mut results| results.pop()) {
        return Ok(Answer { result, took: Duration::ZERO });
    }
    let (core, now) = (s.core(), s.now());
    Ok(guest::perform(s.world_mut(), core, id, now, op))
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
