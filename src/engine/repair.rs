//! What an interrupted run left behind: recognised by what was written down before it was begun, never guessed.
//!
//! A killed Proxmox command leaves a `lock:` in the configuration of the guest it worked on (a clone also in that of its
//! source), unfinished snapshots, and volumes that only the storage knows. Only what a record proves to be ours is
//! touched, and only when no task of Proxmox works on it any more: the command of a killed run may still be at it.

use std::time::Duration;

use super::failure::{Result, StepError};
use super::life::{Life, difference, unfinished_clones, verb};
use super::record::Irreversible;
use super::steps;
use crate::command::{Command, Cost};
use crate::host::Host;
use crate::model::GuestId;
use crate::op::{Op, OpValue, Place};
use crate::pve::guest;

/// How long a task that an earlier run began may still take.
const TASK_DEADLINE: Duration = Duration::from_secs(30 * 60);
const PAUSE: Duration = Duration::from_secs(2);
const TASKS: &str = "/var/log/pve/tasks/active";
const LIMIT: u64 = 4 * 1024 * 1024;

/// Makes the guest fit to go on with: what was begun is finished by Proxmox, or taken back.
pub(super) fn repair(life: &mut Life) -> Result<()> {
    let id = life.id();
    let Some(lock) = lock(life, id) else { return settle(life) };
    let begun = life.record.begun.clone().filter(|begun| begun.run != life.run.id).map(|begun| begun.what);
    match (lock.as_str(), begun) {
        ("create", Some(Irreversible::Create)) => remains(life, &[id]),
        ("create" | "clone", Some(Irreversible::Clone { from })) => {
            remains(life, &[id, from])?;
            free_source(life, from)
        }
        (
            "snapshot" | "snapshot-delete",
            Some(Irreversible::Snapshot { name } | Irreversible::RemoveSnapshot { name }),
        ) => unfinished_snapshot(life, &name),
        ("destroyed", Some(Irreversible::Destroy)) => remains(life, &[id]),
        ("disk", _) => free_source(life, id),
        // Somebody else's lock: a command that needs the guest waits for it.
        _ => Ok(()),
    }
}

/// Removes the lock that our own killed clone left on its source.
pub(super) fn free_source(life: &mut Life, source: GuestId) -> Result<()> {
    let locked = lock(life, source).as_deref() == Some("disk");
    if !locked || !unfinished_clones(&life.sight.records, source, &life.run.id) {
        return Ok(());
    }
    settled(life, &[source])?;
    if lock(life, source).as_deref() == Some("disk") {
        unlock(life, source)?;
    }
    Ok(())
}

/// Removes a lock. Guests of one source find its lock at the same time: whoever comes second finds it gone.
fn unlock(life: &mut Life, id: GuestId) -> Result<()> {
    let done = life.command(&life.tool_of(id).unlock());
    life.refresh()?;
    if lock(life, id).is_some() { done.map(|_| ()) } else { Ok(()) }
}

/// Nothing is locked: what was begun is either done or was never started; reading tells which.
fn settle(life: &mut Life) -> Result<()> {
    let Some(begun) = life.record.begun.clone() else { return Ok(()) };
    let Some(present) = life.present() else { return Ok(()) };
    match begun.what {
        Irreversible::Snapshot { name } if present.config.snapshot(&name).is_some() => {
            life.record.stale_snapshots.remove(&name);
        }
        // Nothing is known of it any more but by its next boot.
        Irreversible::Clean if present.running => steps::halt(life)?,
        Irreversible::Template => convert(life)?,
        _ => {}
    }
    life.done()
}

/// Converts the disks of a template that a killed `template` did not come to.
fn convert(life: &mut Life) -> Result<()> {
    settled(life, &[life.id()])?;
    let disks = guest::unconverted(life.defined()?);
    for disk in &disks {
        life.changes(difference(
            disk,
            Some("as it was when a run was interrupted"),
            Some("base of clones"),
            Cost::None,
        ));
        life.command(&life.tool().template_disk(disk))?;
    }
    life.refresh()
}

/// A guest whose creation was cut off holds nothing: it goes, with the volumes that only the storage knows.
fn remains(life: &mut Life, ids: &[GuestId]) -> Result<()> {
    settled(life, ids)?;
    if lock(life, life.id()).is_none() {
        // The command of the killed run came to its end.
        return settle(life);
    }
    let id = life.id();
    life.changes(difference("remains of an interrupted run", Some(&format!("guest {id}")), None, Cost::None));
    let root = format!("/var/lib/lxc/{id}/rootfs");
    if mounted(life, &root)? {
        life.command(&Command::change("umount", ["--recursive", &root]))?;
    }
    unlock(life, id)?;
    let command = life.tool().destroy_remains();
    let output = life.command(&command)?;
    life.refresh()?;
    if life.present().is_some() {
        return Err(StepError::not_as_expected(
            &format!("`{}`", verb(&command)),
            "the guest is still there",
            &command,
            &output,
        ));
    }
    Ok(())
}

fn unfinished_snapshot(life: &mut Life, name: &str) -> Result<()> {
    settled(life, &[life.id()])?;
    if lock(life, life.id()).is_some() {
        unlock(life, life.id())?;
    }
    let half = life.defined()?.config.snapshot(name).is_some_and(|section| section.get("snapstate").is_some());
    if half {
        life.changes(difference("unfinished snapshot", Some(name), None, Cost::None));
        life.command(&life.tool().delsnapshot_remains(name))?;
    }
    life.refresh()?;
    settle(life)
}

fn lock(life: &Life, id: GuestId) -> Option<String> {
    life.sight.inventory.guests.get(&id)?.config.lock().map(str::to_owned)
}

fn mounted(life: &Life, path: &str) -> Result<bool> {
    let text = read(life.handles.host.as_ref(), "/proc/mounts")?;
    Ok(text.lines().any(|line| line.split(' ').nth(1) == Some(path)))
}

/// Waits until no task of Proxmox works on any of these guests, and reads them again.
fn settled(life: &mut Life, ids: &[GuestId]) -> Result<()> {
    let host = life.handles.host.clone();
    let began = host.now();
    while let Some(task) = active_task(host.as_ref(), ids)? {
        life.waiting(&format!("Proxmox's task {task}, begun by an interrupted run"));
        if Duration::try_from(host.now().duration_since(began)).unwrap_or_default() > TASK_DEADLINE {
            return Err(StepError::with_hint(
                format!("Proxmox's task {task} does not end"),
                "look at it in the web interface's task list, and stop it there if it hangs",
            ));
        }
        host.sleep(PAUSE)?;
    }
    life.refresh()
}

/// The type of a task that runs for one of these guests. Lines of finished tasks carry an end; a process id that is
/// gone belongs to a task that was killed.
fn active_task(host: &dyn Host, ids: &[GuestId]) -> Result<Option<String>> {
    for line in read(host, TASKS)?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((pid, kind)) = words.first().filter(|_| words.len() < 3).and_then(|upid| parse_upid(upid, ids)) else {
            continue;
        };
        let process = host.perform(Place::Node, &[Op::Stat { path: format!("/proc/{pid}") }])?;
        if matches!(process.first(), Some(Ok(OpValue::Stat(Some(_))))) {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

/// Process id and type of `UPID:node:pid:pstart:start:type:id:user:` (numbers in hexadecimal) if it is about one of
/// these guests.
fn parse_upid(upid: &str, ids: &[GuestId]) -> Option<(u32, String)> {
    let parts: Vec<&str> = upid.split(':').collect();
    let [first, _, pid, _, _, kind, id, ..] = parts.as_slice() else { return None };
    let id: GuestId = id.parse().ok()?;
    if *first != "UPID" || !ids.contains(&id) {
        return None;
    }
    Some((u32::from_str_radix(pid, 16).ok()?, (*kind).to_owned()))
}

fn read(host: &dyn Host, path: &str) -> Result<String> {
    let op = Op::Read { path: path.to_owned(), limit: LIMIT };
    let results = host.perform(Place::Node, std::slice::from_ref(&op))?;
    match results.into_iter().next() {
        Some(Ok(OpValue::Bytes(Some(bytes)))) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Some(Err(error)) => Err(StepError::op(&op, &error)),
        _ => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tasks_of_the_guest_count() {
        let id: GuestId = 105.try_into().unwrap();
        let upid = "UPID:pve:0000C3A1:0012AB:65F00000:vzcreate:105:root@pam:";
        assert_eq!(parse_upid(upid, &[id]), Some((0xC3A1, "vzcreate".to_owned())));
        assert_eq!(parse_upid("UPID:pve:0000C3A1:0012AB:65F00000:vzcreate:1050:root@pam:", &[id]), None);
        assert_eq!(parse_upid("nonsense", &[id]), None);
    }
}
