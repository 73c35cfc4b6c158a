//! `pct`: containers.

mod clone;
mod create;
mod destroy;
mod files;
mod inside;
mod keys;
mod power;
mod resize;
mod set;
mod show;
mod template;
mod volume;

use super::both::{self, no_pool, snapshot};
use super::{Exit, bad_parameter, bad_parameters, exec, id_at, not_modelled, task, work_for};
use crate::model::{GuestId, GuestKind};
use crate::pve::argv::Call;
use crate::sandbox::session::{Done, Session, Stop, fail, fail_with};
use crate::sandbox::world::{Guest, World};

pub(super) use destroy::btrfs_missing;
pub(super) use inside::attach;
pub(super) use power::{start_now, stop_now};
pub(super) use show::{shown, status_fields};

const KIND: GuestKind = GuestKind::Lxc;

/// Runs one command of `pct`.
pub(super) fn run(s: &mut Session, call: &Call) -> Done<i32> {
    let command = call.command.strip_prefix("pct ").unwrap_or(&call.command);
    match command {
        "create" => create::create(s, call),
        "clone" => clone::clone(s, call),
        "set" => set::set(s, call),
        "start" => power::start(s, call),
        "stop" => power::stop(s, call),
        "shutdown" => power::shutdown(s, call),
        "reboot" => power::reboot(s, call),
        "suspend" => power::suspend(s, call),
        "resume" => power::resume(s, call),
        "snapshot" => snapshot::snapshot(s, KIND, call),
        "delsnapshot" => snapshot::delsnapshot(s, KIND, call),
        "rollback" => snapshot::rollback(s, KIND, call),
        "listsnapshot" => snapshot::listsnapshot(s, KIND, call),
        "template" => template::template(s, call),
        "destroy" => destroy::destroy(s, call),
        "resize" => resize::resize(s, call),
        "move-volume" => volume::move_volume(s, call),
        "rescan" => volume::rescan(s, call),
        "fsck" => volume::fsck(s, call),
        "fstrim" => volume::fstrim(s, call),
        "df" => volume::df(s, call),
        "mount" => volume::mount(s, call),
        "unmount" => volume::unmount(s, call),
        "config" => show::config(s, call),
        "pending" => show::pending(s, call),
        "status" => show::status(s, call),
        "list" => show::list(s),
        "cpusets" => show::cpusets(s),
        "unlock" => unlock(s, call),
        "exec" => inside::exec(s, call),
        "enter" => inside::enter(s, call),
        "console" => inside::console(s, call),
        "migrate" => migrate(s, call),
        "push" => files::push(s, call),
        "pull" => files::pull(s, call),
        _ => Err(not_modelled(call)),
    }
}

/// The container, which must be on this node.
fn here(world: &World, id: GuestId) -> Done<&Guest> {
    both::here(world, KIND, id)
}

/// The container, to be changed.
fn here_mut(world: &mut World, id: GuestId) -> Done<&mut Guest> {
    both::here_mut(world, KIND, id)
}

/// Refuses a locked container.
fn unlocked(world: &World, id: GuestId) -> Done {
    both::unlocked(world, KIND, id)
}

/// Takes the container's lock file.
fn flock(s: &mut Session, id: GuestId) -> Done {
    both::flock(s, KIND, id)
}

/// Gives the container's lock file back.
fn unflock(s: &mut Session, id: GuestId) {
    both::unflock(s, KIND, id);
}

/// Refuses a configuration that is not the one the caller saw.
fn unmodified(world: &World, id: GuestId, call: &Call) -> Done {
    let Some(digest) = call.option("digest") else { return Ok(()) };
    if here(world, id)?.config.digest(GuestKind::Lxc) == digest {
        return Ok(());
    }
    Err(fail("detected modified configuration - file changed by other user? Try again."))
}

/// An id that no guest of the cluster has.
fn free_id(world: &World, id: GuestId) -> Done {
    let Some(guest) = world.guest(id) else { return Ok(()) };
    let noun = both::noun(guest.kind);
    let node = guest.node.as_deref().unwrap_or(&world.node);
    Err(fail_with(2, format!("{noun} {id} already exists on node '{node}'")))
}

/// There is nowhere to go: what is said before anything moves.
fn migrate(s: &mut Session, call: &Call) -> Done<i32> {
    let target = call.positionals.get(1).map(String::as_str).unwrap_or_default();
    super::other_node(s.world(), call, target)?;
    let guest = here(s.world(), id_at(call, 0)?)?;
    if guest.running.is_some() && !call.is_on("online") && !call.is_on("restart") {
        return Err(fail("can't migrate running container without --online or --restart"));
    }
    Err(not_modelled(call))
}

fn unlock(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    flock(s, id)?;
    if here(s.world(), id)?.config.current.get("lock").is_none() {
        return Err(fail("no lock found trying to remove any lock"));
    }
    here_mut(s.world_mut(), id)?.config.current.remove("lock");
    Ok(0)
}
