//! Snapshots of a guest's life: one before its first feature ever, and those of the end, retaken when it was changed.

use super::{Done, Life, Result, StepError, difference, verb};
use crate::command::Cost;
use crate::engine::record::Irreversible;
use crate::pve::guest;

/// Takes the snapshot of this name if the guest's life asks for it now.
pub(in crate::engine) fn snapshot(life: &mut Life, name: &str) -> Result<Done> {
    if life.guest.snapshots.before_features.as_deref() == Some(name) {
        return before_features(life, name);
    }
    let present = exists(life, name)?;
    if present && !life.record.stale_snapshots.contains(name) {
        return Ok(Done::Unchanged);
    }
    if let Some(reason) = impossible(life)? {
        return Ok(Done::Skipped(reason));
    }
    life.close_channel();
    let words = if present { format!("{name} taken again") } else { name.to_owned() };
    life.changes(difference("snapshot", None, Some(&words), Cost::None));
    if present {
        life.begin(Irreversible::RemoveSnapshot { name: name.to_owned() })?;
        life.command(&life.tool().delsnapshot(name))?;
    }
    take(life, name)?;
    Ok(Done::Changed)
}

fn before_features(life: &mut Life, name: &str) -> Result<Done> {
    if exists(life, name)? {
        return Ok(Done::Unchanged);
    }
    if !life.record.scripts.is_empty() {
        return Ok(Done::Skipped("features were applied before".to_owned()));
    }
    if let Some(reason) = impossible(life)? {
        return Ok(Done::Skipped(reason));
    }
    life.close_channel();
    life.changes(difference("snapshot", None, Some(name), Cost::None));
    take(life, name)?;
    Ok(Done::Changed)
}

fn take(life: &mut Life, name: &str) -> Result<()> {
    life.begin(Irreversible::Snapshot { name: name.to_owned() })?;
    let command = life.tool().snapshot(name);
    let output = life.command(&command)?;
    life.refresh()?;
    if !exists(life, name)? {
        return Err(StepError::not_as_expected(
            &format!("`{}`", verb(&command)),
            "there is no such snapshot",
            &command,
            &output,
        ));
    }
    life.record.stale_snapshots.remove(name);
    life.done()
}

/// Exactly this name: `final-form` is not `final-form-old`.
fn exists(life: &Life, name: &str) -> Result<bool> {
    let snapshot = life.defined()?.config.snapshot(name);
    Ok(snapshot.is_some_and(|section| section.get("snapstate").is_none()))
}

/// Why Proxmox cannot take a snapshot of this guest.
fn impossible(life: &Life) -> Result<Option<String>> {
    Ok(guest::snapshot_obstacle(life.defined()?, &life.sight.inventory))
}
