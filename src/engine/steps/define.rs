//! Define: the guest is made from an archive or an image, cloned from another guest, or taken over.

use super::{Done, Life, Result, StepError, difference, host_paths, image, node_files};
use crate::command::{Command, Cost};
use crate::engine::mark::Standing;
use crate::engine::record::Irreversible;
use crate::engine::repair;
use crate::model::{GuestId, Origin};
use crate::pve::guest;
use crate::pve::tool::Clone;

/// Makes the guest if it is not there.
pub(in crate::engine) fn define(life: &mut Life) -> Result<Done> {
    if life.present().is_some() {
        return match life.standing {
            Standing::Adopted => take_over(life),
            _ => Ok(Done::Unchanged),
        };
    }
    host_paths::ensure(life)?;
    let create = |life: &Life, from: &str| life.desired().create(life.id(), from, &life.sight.inventory);
    let (what, command, words) = match life.guest.origin.clone() {
        Origin::Existing => {
            let id = life.id();
            return Err(StepError::with_hint(
                "it was imported and is not on the node any more",
                format!("declare what it is made from instead of `imported`, or take {id} out of the configuration"),
            ));
        }
        Origin::Template(archive) => (Irreversible::Create, create(life, &archive), format!("created from {archive}")),
        Origin::Image(image) => {
            let from = image::on_the_node(life, &image)?;
            (Irreversible::Create, create(life, &from), format!("created from {}", image.source))
        }
        Origin::Clone(source) => {
            repair::free_source(life, source)?;
            let clone = clone_of(life, source)?;
            let words = match &clone.snapname {
                Some(snapshot) => format!("cloned from {source} at {snapshot}"),
                None if clone.full => format!("cloned from {source}"),
                None => format!("linked to {source}"),
            };
            (Irreversible::Clone { from: source }, life.tool_of(source).clone(life.id(), &clone), words)
        }
    };
    node_files::ensure(life)?;
    life.changes(difference("guest", None, Some(&words), Cost::None));
    life.begin(what)?;
    make(life, &command)?;
    life.done()?;
    Ok(Done::Changed)
}

fn make(life: &mut Life, command: &Command) -> Result<()> {
    let output = match life.command(command) {
        Ok(output) => output,
        Err(error) => {
            // Proxmox takes back what it began. A record of nothing would only be in the way; one that stays is harmless.
            if life.refresh().is_ok() && life.present().is_none() {
                life.forget().ok();
            }
            return Err(error);
        }
    };
    life.refresh()?;
    match life.present() {
        Some(present) if present.config.lock().is_none() => Ok(()),
        Some(_) => {
            Err(StepError::not_as_expected("the command succeeded, but", "the guest is locked", command, &output))
        }
        None => Err(StepError::not_as_expected("the command succeeded, but", "there is no guest", command, &output)),
    }
}

fn take_over(life: &mut Life) -> Result<Done> {
    life.changes(difference("guest", Some("somebody else's"), Some("taken over"), Cost::None));
    life.keep()?;
    Ok(Done::Changed)
}

/// How the guest is cloned: linked to a template where the storage can, else copied, from the snapshot meant for it.
fn clone_of(life: &Life, source: GuestId) -> Result<Clone> {
    let Some(present) = life.sight.inventory.guests.get(&source) else {
        let hint = format!("`phoenix create {source}` makes it");
        return Err(StepError::with_hint(format!("guest {source}, which it is cloned from, is not on the node"), hint));
    };
    let storage = life.guest.root.storage.clone();
    let copy = Clone {
        name: Some(life.guest.name.clone()),
        snapname: None,
        full: true,
        storage: Some(storage.clone()),
        running: present.running,
    };
    if present.config.is_template() {
        return Ok(Clone { full: !guest::can_link(present, &life.sight.inventory, &storage), ..copy });
    }
    let wanted = life.run.site.guest(source).and_then(|guest| guest.snapshots.template.clone());
    match wanted {
        Some(name) if present.config.snapshot(&name).is_some() => Ok(Clone { snapname: Some(name), ..copy }),
        Some(name) if guest::snapshot_obstacle(present, &life.sight.inventory).is_none() => Err(StepError::with_hint(
            format!("guest {source} has no snapshot `{name}` to clone from"),
            format!("`phoenix create {source}` takes it"),
        )),
        _ if present.running => Err(StepError::with_hint(
            format!("guest {source} runs and has no snapshot to clone from"),
            format!("declare `is_template` or `template_snapshot_name` for {source}, or stop it"),
        )),
        _ => Ok(copy),
    }
}
