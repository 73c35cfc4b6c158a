//! Firewall: the whole `ID.fw`, rendered, compared by what it says, replaced.

use std::sync::Arc;

use super::{Done, Life, Result, StepError, difference};
use crate::command::Cost;
use crate::event::{Difference, Level};
use crate::model::Firewall;
use crate::op::{Attributes, Content, Op, Place};
use crate::pve::firewall::{self, Switches};

/// Replaces the guest's firewall file if it says something else than declared.
pub(in crate::engine) fn firewall(life: &mut Life) -> Result<Done> {
    let declared = &life.guest.firewall;
    let done = match present(life) {
        None if *declared == Firewall::default() => Done::Unchanged,
        Some(_) if *declared == Firewall::default() && life.guest.is_imported() => Done::Unchanged,
        Some(text) if firewall::says(&text, declared) => Done::Unchanged,
        present => {
            replace(life, &present.unwrap_or_default())?;
            Done::Changed
        }
    };
    // Nobody but the operator switches the node's firewall on: it may lock everybody out.
    if let Some(unfiltered) = switches(life).and_then(|switches| switches.complaint()) {
        life.says(Level::Warning, unfiltered);
    }
    Ok(done)
}

fn replace(life: &mut Life, present: &str) -> Result<()> {
    let path = firewall::path(life.id());
    let wanted = firewall::render(&life.guest.firewall);
    life.touch()?;
    let what =
        Difference { diff: Some(unified(present, &wanted, &path)), ..difference("firewall", None, None, Cost::None) };
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
    if !self::present(life).is_some_and(|text| firewall::says(&text, &life.guest.firewall)) {
        return Err(StepError::new(format!("{path} does not say what was written to it")));
    }
    Ok(())
}

fn present(life: &Life) -> Option<String> {
    life.sight.inventory.firewalls.get(&life.id().to_string()).cloned()
}

/// How the switches stand, of a guest that is to be filtered.
fn switches(life: &Life) -> Option<Switches> {
    let firewalls = &life.sight.inventory.firewalls;
    let config = &life.present()?.config;
    life.guest.firewall.enabled.then(|| Switches::of(firewalls.get("cluster").map(String::as_str), config))
}

fn unified(old: &str, new: &str, path: &str) -> String {
    similar::TextDiff::from_lines(old, new).unified_diff().header(path, path).to_string()
}
