//! Started and stopped, and read back: Proxmox's tools may succeed without having done it.

use std::time::Duration;

use super::{Done, Life, Result, StepError, difference, managed};
use crate::command::{Command, Cost};
use crate::engine::record::Irreversible;

/// How long init may take to end before the guest is stopped hard.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// Starts the guest; one that runs is restarted if differences wait for that and it was consented to.
pub(in crate::engine) fn start(life: &mut Life) -> Result<Done> {
    if life.running() {
        if !life.restarts {
            return Ok(Done::Unchanged);
        }
        life.changes(difference("state", Some("running"), Some("restarted"), Cost::Restart));
        halt(life)?;
    } else {
        life.changes(difference("state", Some("stopped"), Some("running"), Cost::None));
    }
    turn(life, life.tool().start(), true)?;
    life.restarts = false;
    life.record.restart_due = false;
    life.keep()?;
    Ok(Done::Changed)
}

/// Stops the guest.
pub(in crate::engine) fn stop(life: &mut Life) -> Result<Done> {
    if !life.running() {
        return Ok(Done::Unchanged);
    }
    life.changes(difference("state", Some("running"), Some("stopped"), Cost::None));
    halt(life)?;
    if life.record.begun.as_ref().is_some_and(|begun| begun.what == Irreversible::Clean) {
        life.done()?;
    }
    Ok(Done::Changed)
}

pub(in crate::engine) fn halt(life: &mut Life) -> Result<()> {
    life.close_channel();
    turn(life, life.tool().shutdown(SHUTDOWN), false)
}

fn turn(life: &mut Life, command: Command, running: bool) -> Result<()> {
    let output = life.command(&command)?;
    life.refresh()?;
    managed::settled(life, running)?;
    if life.running() != running {
        let found = if running { "it does not run" } else { "it still runs" };
        return Err(StepError::not_as_expected("the command succeeded, but", found, &command, &output));
    }
    Ok(())
}
