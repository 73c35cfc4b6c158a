//! `qm`: virtual machines.

mod agent;
mod clone;
mod cloud_init;
mod create;
mod destroy;
mod disk;
mod keys;
mod power;
mod resize;
mod set;
mod show;
mod template;

use super::both::{self, no_pool, snapshot};
use super::{Exit, bad_parameter, bad_parameters, id_at, not_modelled, task, work_for};
use crate::model::{GuestId, GuestKind};
use crate::pve::argv::Call;
use crate::pve::inventory::lock_path;
use crate::sandbox::session::{Done, Session, Stop, fail, fail_with};
use crate::sandbox::world::{Guest, World};

pub(super) use power::{start_now, stop_now};
pub(super) use show::{shown, status_fields};

const KIND: GuestKind = GuestKind::Vm;

/// Runs one command of `qm`.
pub(super) fn run(s: &mut Session, call: &Call) -> Done<i32> {
    let command = call.command.strip_prefix("qm ").unwrap_or(&call.command);
    match command {
        "create" => create::create(s, call),
        "clone" => clone::clone(s, call),
        "set" => set::set(s, call),
        "start" => power::start(s, call),
        "stop" => power::stop(s, call),
        "shutdown" => power::shutdown(s, call),
        "reboot" => power::reboot(s, call),
        "reset" => power::reset(s, call),
        "suspend" => power::suspend(s, call),
        "resume" => power::resume(s, call),
        "wait" => power::wait(s, call),
        "snapshot" => snapshot::snapshot(s, KIND, call),
        "delsnapshot" => snapshot::delsnapshot(s, KIND, call),
        "rollback" => snapshot::rollback(s, KIND, call),
        "listsnapshot" => snapshot::listsnapshot(s, KIND, call),
        "template" => template::template(s, call),
        "destroy" => destroy::destroy(s, call),
        "disk resize" => resize::resize(s, call),
        "disk import" => disk::import(s, call),
        "disk move" => disk::move_disk(s, call),
        "disk rescan" => disk::rescan(s, call),
        "disk unlink" => disk::unlink(s, call),
        "cloudinit dump" => cloud_init::dump(s, call),
        "cloudinit pending" => cloud_init::pending(s, call),
        "cloudinit update" => cloud_init::update(s, call),
        "guest cmd" => agent::cmd(s, call),
        "guest exec" => agent::exec(s, call),
        "guest exec-status" => agent::exec_status(s, call),
        "guest passwd" => agent::passwd(s, call),
        "migrate" => migrate(s, call),
        "config" => show::config(s, call),
        "pending" => show::pending(s, call),
        "status" => show::status(s, call),
        "list" => show::list(s),
        "unlock" => unlock(s, call),
        _ => Err(not_modelled(call)),
    }
}

/// The machine, which must be on this node.
fn here(world: &World, id: GuestId) -> Done<&Guest> {
    both::here(world, KIND, id)
}

/// The machine, to be changed.
fn here_mut(world: &mut World, id: GuestId) -> Done<&mut Guest> {
    both::here_mut(world, KIND, id)
}

/// What `stop`, `shutdown`, `reboot` and `clone` say about a machine that this node does not have.
fn found(world: &World, id: GuestId) -> Done<&Guest> {
    let missing = format!("unable to find configuration file for VM {id} on node '{}'", world.node);
    here(world, id).map_err(|_| fail(missing))
}

fn is_running(s: &Session, id: GuestId) -> bool {
    here(s.world(), id).is_ok_and(|guest| guest.running.is_some())
}

/// Refuses a locked machine.
fn unlocked(world: &World, id: GuestId) -> Done {
    both::unlocked(world, KIND, id)
}

/// Refuses a locked machine unless `--skiplock` passes over it.
fn unlocked_or_skipped(s: &Session, id: GuestId, call: &Call) -> Done {
    if call.is_on("skiplock") { Ok(()) } else { unlocked(s.world(), id) }
}

/// Refuses a configuration that is not the one the caller saw, in the words of `qm set` and `qm resize`.
fn unmodified(world: &World, id: GuestId, call: &Call) -> Done {
    match call.option("digest") {
        Some(digest) if here(world, id)?.config.digest(GuestKind::Vm) != digest => {
            Err(fail("checksum mismatch (file change by other user?)"))
        }
        _ => Ok(()),
    }
}

/// Refuses what would take a volume from a protected machine.
fn unprotected(world: &World, id: GuestId, what: &str) -> Done {
    if here(world, id)?.config.current.is_on("protection") {
        return Err(fail(format!("{what} - protection mode enabled")));
    }
    Ok(())
}

/// Takes the machine's lock file.
fn flock(s: &mut Session, id: GuestId) -> Done {
    both::flock(s, KIND, id)
}

/// There is nowhere to go: what is said before anything moves.
fn migrate(s: &mut Session, call: &Call) -> Done<i32> {
    let target = call.positionals.get(1).map(String::as_str).unwrap_or_default();
    super::other_node(s.world(), call, target)?;
    let id = id_at(call, 0)?;
    unlocked(s.world(), id)?;
    if is_running(s, id) && !call.is_on("online") {
        return Err(fail("can't migrate running VM without --online"));
    }
    Err(not_modelled(call))
}

/// Silent when there is no lock, unlike `pct unlock`.
fn unlock(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    flock(s, id)?;
    if here(s.world(), id)?.config.current.get("lock").is_some() {
        here_mut(s.world_mut(), id)?.config.current.remove("lock");
    }
    Ok(0)
}
