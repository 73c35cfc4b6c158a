//! What `pct` and `qm` have in common: a guest of either kind, its locks, its snapshots, what is shown of it.

mod firewall;
mod show;
pub(super) mod snapshot;

pub(super) use firewall::{copy_firewall, remove_firewall};
pub(super) use show::{asked, one_of_two, pending_entries, print_fields, print_pending, state};

use crate::model::{GuestId, GuestKind};
use crate::pve::argv::Call;
use crate::pve::format::split_list;
use crate::pve::inventory::{config_path, lock_path};
use crate::sandbox::session::{Done, Session, fail, fail_with};
use crate::sandbox::world::{Guest, World};

/// What the tools call a guest of this kind.
pub(super) fn noun(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Lxc => "CT",
        GuestKind::Vm => "VM",
    }
}

/// What most commands say about a guest that this node does not have.
fn absent(world: &World, kind: GuestKind, id: GuestId) -> String {
    let path = config_path(&world.node, kind, id);
    format!("Configuration file '{}' does not exist", path.trim_start_matches("/etc/pve/"))
}

/// The guest, which must be on this node.
pub(super) fn here(world: &World, kind: GuestKind, id: GuestId) -> Done<&Guest> {
    let guest = world.guest(id).filter(|guest| guest.kind == kind && guest.node.is_none());
    guest.ok_or_else(|| fail_with(2, absent(world, kind, id)))
}

/// The guest, to be changed.
pub(super) fn here_mut(world: &mut World, kind: GuestKind, id: GuestId) -> Done<&mut Guest> {
    here(world, kind, id)?;
    world.guest_mut(id).ok_or_else(|| fail(format!("{} {id} vanished", noun(kind))))
}

/// Refuses a locked guest.
pub(super) fn unlocked(world: &World, kind: GuestKind, id: GuestId) -> Done {
    match here(world, kind, id)?.config.current.get("lock") {
        Some(lock) => Err(fail(format!("{} is locked ({lock})", noun(kind)))),
        None => Ok(()),
    }
}

/// Takes the guest's lock file.
pub(super) fn flock(s: &mut Session, kind: GuestKind, id: GuestId) -> Done {
    s.flock(&lock_path(kind, id))
}

/// Gives the guest's lock file back.
pub(super) fn unflock(s: &mut Session, kind: GuestKind, id: GuestId) {
    s.unflock(&lock_path(kind, id));
}

/// Pools are not modelled: none exists.
pub(super) fn no_pool(call: &Call) -> Done {
    match call.option("pool") {
        Some(pool) => Err(fail(format!("403 Permission check failed (pool '{pool}' does not exist)"))),
        None => Ok(()),
    }
}

/// A description as it is kept: every line ends, and there is at most one empty line's worth of end.
pub(super) fn description(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

/// Tags as they are kept: in small letters, sorted, each once.
pub(super) fn tags(value: &str) -> String {
    let mut tags: Vec<String> = split_list(value).into_iter().map(str::to_ascii_lowercase).collect();
    tags.retain(|tag| !tag.is_empty());
    tags.sort();
    tags.dedup();
    tags.join(";")
}
