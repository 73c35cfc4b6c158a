//! Firewall: the whole `ID.fw`, rendered, compared, replaced.

use std::sync::Arc;

use super::{Done, Life, Result, StepError, difference};
use crate::command::Cost;
use crate::event::Difference;
use crate::op::{Attributes, Content, Op, Place};
use crate::pve;

/// Replaces the guest's firewall file if it says something else than declared.
pub(in crate::engine) fn firewall(life: &mut Life) -> Result<Done> {
    let path = pve::firewall::path(life.id());
    let wanted = pve::firewall::render(&life.guest.firewall);
    let present = present(life);
    let nothing_declared = !life.guest.firewall.enabled && life.guest.firewall.rules.is_empty();
    if present.as_deref() == Some(wanted.as_str()) || (present.is_none() && nothing_declared) {
        return Ok(Done::Unchanged);
    }
    life.touch()?;
    let what = Difference {
        diff: Some(unified(present.as_deref().unwrap_or_default(), &wanted, &path)),
        ..difference("firewall", None, None, Cost::None)
    };
    life.changes(what);
    let write = Op::Write {
        path: path.clone(),
        content: Content::Bytes(Arc::from(wanted.as_bytes())),
        attributes: Attributes::default(),
        guard: None,
    };
    // A node on which nobody ever wrote a rule has no directory for them either.
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    life.perform(Place::Node, &[Op::MakeDir { path: folder, attributes: Attributes::default() }, write])?;
    life.refresh()?;
    if self::present(life).as_deref() != Some(wanted.as_str()) {
        return Err(StepError::new(format!("{path} does not hold what was written to it")));
    }
    Ok(Done::Changed)
}

fn present(life: &Life) -> Option<String> {
    life.sight.inventory.firewalls.get(&life.id().to_string()).cloned()
}

fn unified(old: &str, new: &str, path: &str) -> String {
    similar::TextDiff::from_lines(old, new).unified_diff().header(path, path).to_string()
}
