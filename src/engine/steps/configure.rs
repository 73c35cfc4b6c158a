//! Configure: every differing key in one `set`, raw lines by an edit under Proxmox's own lock.

use std::collections::BTreeSet;

use super::{Done, Life, Result, StepError, difference, host_paths, node_files};
use crate::command::Cost;
use crate::event::Difference;
use crate::op::{Content, Op, OpErrorKind, Place};
use crate::pve::difference::{Changes, KeyDifference};

/// Brings the configuration in line. What a running guest only takes with a restart waits for consent.
pub(in crate::engine) fn configure(life: &mut Life) -> Result<Done> {
    let paths = host_paths::ensure(life)? | node_files::ensure(life)?;
    let mut changes = life.differences()?;
    match life.restart(&changes) {
        Restart::NotNeeded => {}
        Restart::Allowed => {
            life.restarts = true;
            life.record.restart_due = true;
        }
        Restart::Denied => hold_back(&mut changes),
    }
    changes.resize.clear();
    for told in changes.differences.iter().filter(|one| one.cost != Cost::Rebuild && !one.waiting && !is_size(one)) {
        life.changes(as_difference(told));
    }
    if changes.is_settled() {
        life.record.settings = changes.ours();
        life.keep()?;
        return Ok(Done::of(paths));
    }
    // Written down first: what a run that is cut off has set is ours too.
    life.record.settings.extend(changes.declared.iter().cloned());
    life.touch()?;
    if let Some(options) = changes.set_options() {
        life.command(&life.tool().set(&options))?;
        life.refresh()?;
    }
    if changes.raw.is_some() {
        raw_lines(life)?;
    }
    life.record.settings = read_back(life, &changes)?;
    life.keep()?;
    Ok(Done::Changed)
}

/// Most bytes that a file of Proxmox's cluster file system can hold.
const LARGEST: usize = 1024 * 1024;

/// Edits the raw lines of the configuration file. When somebody else changed the file meanwhile, what is there now is
/// looked at once more.
fn raw_lines(life: &mut Life) -> Result<()> {
    let mut again = true;
    loop {
        life.unlocked()?;
        let changes = life.differences()?;
        let present = life.defined()?;
        let Some(edit) = changes.edit(&life.run.node, life.guest.kind, life.id(), &present.config) else {
            return Ok(());
        };
        if let Op::Write { path, content: Content::Bytes(bytes), .. } = &edit
            && bytes.len() > LARGEST
        {
            return Err(StepError::with_hint(
                format!("{path} would hold {} bytes, and Proxmox holds no file of more than {LARGEST}", bytes.len()),
                "declare fewer lines in `lxc_options`, or shorten the guest's description",
            ));
        }
        let result = life.handles.host.perform(Place::Node, std::slice::from_ref(&edit))?.into_iter().next();
        match result {
            Some(Err(error)) if error.kind == OpErrorKind::Conflict && again => {
                again = false;
                life.refresh()?;
            }
            Some(Err(error)) => return Err(StepError::op(&edit, &error)),
            Some(Ok(_)) | None => return life.refresh(),
        }
    }
}

/// What needs a restart that may not be done is not written either: nothing lies in wait for the next start.
fn hold_back(changes: &mut Changes) {
    let held: Vec<String> =
        changes.differences.iter().filter(|one| needs_restart(one)).map(|one| option(&one.key).to_owned()).collect();
    changes.set.retain(|(key, _)| !held.contains(key));
    changes.delete.retain(|key| !held.contains(key));
    if changes.differences.iter().any(|one| needs_restart(one) && one.key.starts_with("lxc.")) {
        changes.raw = None;
    }
    changes.differences.retain(|one| !needs_restart(one));
}

/// Proxmox's tools succeed without having done it, now and then. Answers what of the configuration is ours now.
fn read_back(life: &mut Life, done: &Changes) -> Result<BTreeSet<String>> {
    let left = life.differences()?;
    let still = |key: &str| left.set.iter().any(|(set, _)| set == key) || left.delete.iter().any(|set| set == key);
    let set = done.set.iter().map(|(key, _)| key).chain(&done.delete).find(|key| still(key));
    let raw = (done.raw.is_some() && left.raw.is_some()).then_some("raw lines");
    match set.map(String::as_str).or(raw) {
        Some(key) => {
            let value = life.defined()?.config.coming(key).unwrap_or("absent").to_owned();
            Err(StepError::new(format!("`{key}` was set, but reads `{value}`")))
        }
        None => Ok(left.ours()),
    }
}

/// `net0` of `net0 ip`.
fn option(key: &str) -> &str {
    key.split(' ').next().unwrap_or(key)
}

fn needs_restart(one: &KeyDifference) -> bool {
    one.cost == Cost::Restart
}

/// Sizes are the next step's.
pub(super) fn is_size(one: &KeyDifference) -> bool {
    one.key.ends_with(" size")
}

pub(super) fn as_difference(one: &KeyDifference) -> Difference {
    Difference {
        what: one.key.clone(),
        from: one.from.clone(),
        to: one.to.clone(),
        diff: None,
        cost: one.cost,
        way: one.way.clone(),
    }
}

/// Whether the changes need a restart of the running guest.
enum Restart {
    NotNeeded,
    Allowed,
    Denied,
}

impl Life<'_> {
    /// Whether these changes need a restart, and may have it. Differences that are left as they are get told.
    fn restart(&mut self, changes: &Changes) -> Restart {
        let told = |cost| changes.differences.iter().filter(move |one| one.cost == cost).map(as_difference);
        for one in told(Cost::Rebuild) {
            self.leaves(one);
        }
        let mut waiting: Vec<Difference> = told(Cost::Restart).collect();
        if self.record.restart_due {
            // Raw lines say nowhere whether they are in effect.
            waiting.push(difference("restart", Some("due since an interrupted run"), None, Cost::Restart));
        }
        if waiting.is_empty() || !self.running() {
            return Restart::NotNeeded;
        }
        if self.consents(&waiting) {
            return Restart::Allowed;
        }
        for one in waiting {
            self.leaves(one);
        }
        Restart::Denied
    }
}
