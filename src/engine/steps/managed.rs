//! Guests that Proxmox's high availability looks after: for them `start` and `shutdown` only file a request. What was asked
//! for is waited for by reading.

use std::time::Duration;

use super::{Life, Result, StepError};
use crate::pve::ha::{self, Managed};

/// How long the HA manager may take: it looks every ten seconds, and a guest may take its minute to shut down.
const DEADLINE: Duration = Duration::from_secs(5 * 60);
const PAUSE: Duration = Duration::from_secs(2);

/// Waits until a managed guest is in the state that was asked for; one that is not managed is already, or never will be.
pub(super) fn settled(life: &mut Life, running: bool) -> Result<()> {
    let host = life.handles.host.clone();
    let began = host.now();
    while let Some(managed) = life.sight.inventory.ha.manages(life.id()).cloned() {
        stays(life)?;
        if life.running() == running {
            return Ok(());
        }
        let late = Duration::try_from(host.now().duration_since(began)).unwrap_or_default() > DEADLINE;
        if managed.is_in_error() || late {
            return Err(not_done(life, &managed, running));
        }
        let verb = if running { "starts" } else { "stops" };
        life.waiting(&format!("Proxmox's HA manager, which looks after the guest and {verb} it on request"));
        host.sleep(PAUSE)?;
        life.refresh()?;
    }
    Ok(())
}

/// The manager may move a guest wherever it wants.
fn stays(life: &Life) -> Result<()> {
    match life.present().filter(|present| present.node != life.run.node) {
        Some(present) => Err(StepError::with_hint(
            format!("Proxmox's HA manager moved it to node `{}`", present.node),
            format!("run phoenix there, or bring it back: `ha-manager migrate {} {}`", name(life), life.run.node),
        )),
        None => Ok(()),
    }
}

fn not_done(life: &Life, managed: &Managed, running: bool) -> StepError {
    let verb = if running { "start" } else { "stop" };
    let name = name(life);
    if managed.is_in_error() {
        return StepError::with_hint(
            format!("Proxmox's HA manager gave it up: `{name}` is in state `error`"),
            format!(
                "mend what keeps it from starting, then `ha-manager set {name} --state disabled` and run this again"
            ),
        );
    }
    let state = managed.state.as_deref().unwrap_or("not noticed yet");
    StepError::with_hint(
        format!(
            "Proxmox's HA manager did not {verb} it within {} min (asked for: `{}`, state: `{state}`)",
            DEADLINE.as_secs() / 60,
            managed.asked
        ),
        "`ha-manager status` shows what it waits for; are `pve-ha-crm` and `pve-ha-lrm` running?".to_owned(),
    )
}

fn name(life: &Life) -> String {
    ha::sid(life.guest.kind, life.id())
}
