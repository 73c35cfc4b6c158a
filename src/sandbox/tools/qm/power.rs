//! Starting and stopping machines.

use std::time::Duration;

use super::*;
use crate::sandbox::{guest, pace, vm};

/// `--timeout`, by default a minute.
fn limit(call: &Call) -> Duration {
    Duration::from_secs(call.option("timeout").and_then(|seconds| seconds.parse().ok()).unwrap_or(60))
}

pub(super) fn start(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked_or_skipped(s, id, call)?;
        if is_running(s, id) {
            return Err(fail(format!("VM {id} already running")));
        }
        if here(s.world(), id)?.config.current.is_on("template") {
            return Err(fail("you can't start a vm if it's a template"));
        }
        start_now(s, id)
    })
}

/// From a stopped machine to a running QEMU; what is inside boots from then on.
pub(in super::super) fn start_now(s: &mut Session, id: GuestId) -> Done {
    vm::check(s.world(), id).map_err(fail)?;
    if crate::sandbox::disk::cloud_init_drive(&here(s.world(), id)?.config.coming()).is_some() {
        s.print("generating cloud-init ISO");
    }
    s.wait(pace::VM_START)?;
    let (core, now) = (s.core(), s.now());
    vm::start(s.world_mut(), core, id, now).map_err(fail)
}

pub(super) fn stop(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    found(s.world(), id)?;
    if !is_running(s, id) {
        // Also when it is locked.
        return Ok(0);
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked_or_skipped(s, id, call)?;
        stop_now(s, id)
    })
}

/// From a running machine to a stopped one.
pub(in super::super) fn stop_now(s: &mut Session, id: GuestId) -> Done {
    s.wait(pace::VM_STOP)?;
    guest::stop(s.world_mut(), id);
    Ok(())
}

/// What is said of a machine that cannot be shut down: a missing one twice.
fn absent_twice(s: &mut Session, id: GuestId) -> Done {
    if let Err(Stop::Failed { code, message }) = found(s.world(), id).map(drop) {
        s.warn(&message);
        return Err(fail_with(code, message));
    }
    Ok(())
}

pub(super) fn shutdown(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    absent_twice(s, id)?;
    if !is_running(s, id) {
        s.warn(format!("VM {id} not running"));
        return Ok(0);
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked_or_skipped(s, id, call)?;
        match power_down(s, id, limit(call)) {
            Err(Stop::Failed { .. }) if call.is_on("forceStop") => stop_now(s, id),
            done => done,
        }
    })
}

/// Asks the agent where one is configured, else presses the power button.
fn power_down(s: &mut Session, id: GuestId, limit: Duration) -> Done {
    let asked = vm::agent(s.world(), s.core(), id, s.now());
    if asked == vm::Agent::Silent {
        s.wait(pace::AGENT_SILENT)?;
        s.warn(format!("QEMU Guest Agent is not running - VM {id} qga command 'guest-ping' failed - got timeout"));
    }
    if vm::is_empty(s.world(), id) || limit < pace::VM_SHUTDOWN {
        s.wait(limit)?;
        return Err(fail("VM quit/powerdown failed - got timeout"));
    }
    s.wait(pace::VM_SHUTDOWN)?;
    guest::stop(s.world_mut(), id);
    Ok(())
}

fn must_run(s: &Session, id: GuestId) -> Done {
    if is_running(s, id) { Ok(()) } else { Err(fail(format!("VM {id} not running"))) }
}

/// Shuts down and starts again, so that pending changes come into force.
pub(super) fn reboot(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    absent_twice(s, id)?;
    if let Err(Stop::Failed { code, message }) = must_run(s, id) {
        s.warn(&message);
        return Err(fail_with(code, message));
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked(s.world(), id)?;
        power_down(s, id, limit(call))?;
        start_now(s, id)
    })
}

/// The reset button: what is inside begins anew, pending changes stay pending.
pub(super) fn reset(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    must_run(s, id)?;
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked_or_skipped(s, id, call)?;
        let (core, now) = (s.core(), s.now());
        vm::boot(s.world_mut(), core, id, now);
        Ok(())
    })
}

pub(super) fn suspend(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    must_run(s, id)?;
    Err(not_modelled(call))
}

pub(super) fn resume(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    must_run(s, id)?;
    Ok(0)
}

/// Returns when the machine does not run any more.
pub(super) fn wait(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let seconds: Option<u64> = call.option("timeout").and_then(|seconds| seconds.parse().ok()).filter(|s| *s > 0);
    let mut waited = 0;
    while is_running(s, id) {
        match seconds {
            Some(seconds) if waited >= seconds => return Err(fail("wait failed - got timeout")),
            // Nobody would ever wake a command that waits without limit for a machine that nobody stops.
            None if waited > 24 * 3600 => return Err(not_modelled(call)),
            _ => s.wait(Duration::from_secs(1))?,
        }
        waited += 1;
    }
    Ok(0)
}
