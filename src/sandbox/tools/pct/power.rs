//! Starting and stopping containers.

use std::time::Duration;

use super::*;
use crate::sandbox::bodies::Boot;
use crate::sandbox::guest::{self, Trouble, mount};
use crate::sandbox::pace;

fn is_running(s: &Session, id: GuestId) -> bool {
    here(s.world(), id).is_ok_and(|guest| guest.running.is_some())
}

/// `--skiplock` passes over a lock; that of `pct mount` neither a start nor a stop minds.
fn unlocked_or_skipped(s: &Session, id: GuestId, call: &Call) -> Done {
    let mounted = here(s.world(), id)?.config.current.get("lock") == Some("mounted");
    if call.is_on("skiplock") || mounted { Ok(()) } else { unlocked(s.world(), id) }
}

/// `--timeout`, by default a minute.
fn limit(call: &Call) -> Duration {
    Duration::from_secs(call.option("timeout").and_then(|seconds| seconds.parse().ok()).unwrap_or(60))
}

pub(super) fn start(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    if is_running(s, id) {
        return Err(fail(format!("CT {id} already running")));
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        let config = &here(s.world(), id)?.config.current;
        if config.is_on("template") {
            return Err(fail("you can't start a CT if it's a template"));
        }
        let quota = |(key, value): &(&str, &str)| mount(key, value).is_on("quota");
        let quotas = config.is_on("unprivileged") && config.mount_points().iter().any(quota);
        unlocked_or_skipped(s, id, call)?;
        if quotas {
            return Err(fail("Quotas are not supported by unprivileged containers."));
        }
        if is_running(s, id) {
            return Err(fail(format!("CT {id} already running")));
        }
        start_now(s, id)
    })
}

/// From a stopped container to a running init.
pub(in super::super) fn start_now(s: &mut Session, id: GuestId) -> Done {
    s.wait(pace::START)?;
    let (core, now) = (s.core(), s.now());
    guest::start(s.world_mut(), core, id, now).map_err(|trouble| failed(s, trouble))?;
    let Some(boot) = Boot::of(s.world(), id) else { return Ok(()) };
    let booted = s.really(|bodies| bodies.boot(&boot));
    if booted.is_err() {
        guest::stop(s.world_mut(), id);
    }
    booted.map(drop)
}

/// A running container goes down, after `patience` at once.
fn halt(s: &mut Session, id: GuestId, patience: Duration) -> Done {
    s.really(|bodies| bodies.halt(id, patience))?;
    guest::stop(s.world_mut(), id);
    Ok(())
}

fn failed(s: &mut Session, trouble: Trouble) -> Stop {
    trouble.lines.iter().for_each(|line| s.print(line));
    fail(trouble.message)
}

pub(super) fn stop(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    if !is_running(s, id) {
        return Err(fail(format!("CT {id} not running")));
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked_or_skipped(s, id, call)?;
        stop_now(s, id)
    })
}

/// From a running container to a stopped one.
pub(in super::super) fn stop_now(s: &mut Session, id: GuestId) -> Done {
    s.wait(pace::STOP)?;
    halt(s, id, Duration::ZERO)
}

pub(super) fn shutdown(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    if !is_running(s, id) {
        return Err(fail(format!("CT {id} not running")));
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        unlocked(s.world(), id)?;
        s.wait(pace::SHUTDOWN.min(limit(call)))?;
        halt(s, id, limit(call))
    })
}

/// The lock is looked at only when it is to be started again: a locked container ends up stopped.
pub(super) fn reboot(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    if !is_running(s, id) {
        return Err(fail(format!("VM {id} not running")));
    }
    task(s, Exit::Follows, |s| {
        flock(s, id)?;
        s.wait(pace::SHUTDOWN.min(limit(call)))?;
        halt(s, id, limit(call))?;
        work_for(s, pace::STOP)?;
        // The hook before the start looks at the lock.
        if unlocked(s.world(), id).is_err() {
            return Err(failed(s, Trouble::in_hook(id)));
        }
        start_now(s, id)
    })
}

pub(super) fn suspend(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    if !is_running(s, id) {
        return Err(fail(format!("CT {id} not running")));
    }
    unlocked(s.world(), id)?;
    Err(not_modelled(call))
}

pub(super) fn resume(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    if is_running(s, id) {
        return Err(fail(format!("CT {id} already running")));
    }
    task(s, Exit::Follows, |s| {
        s.print(format!(
            "lxc-checkpoint: {id}: ../src/lxc/tools/lxc_checkpoint.c: lxc_checkpoint_main: 217 {id} is not defined"
        ));
        let dump = "/var/lib/vz/dump";
        Err(fail(format!("command 'lxc-checkpoint -n {id} -r --foreground -D {dump}' failed: exit code 1")))
    })
}
