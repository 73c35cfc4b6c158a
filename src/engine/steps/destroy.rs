//! Destroy: the guest with its volumes, then its record. Directories of the node that it only showed stay.

use super::{Done, Life, Result, StepError, difference, verb};
use crate::command::Cost;
use crate::engine::record::Irreversible;
use crate::pve::guest;

/// Destroys the stopped guest.
pub(in crate::engine) fn destroy(life: &mut Life) -> Result<Done> {
    let Some(present) = life.present() else {
        return forgotten(life);
    };
    if present.config.current.is_on("protection") {
        let (id, tool) = (life.id(), life.tool());
        return Err(StepError::with_hint(
            "it is protected (`protection: 1`)",
            format!("`{tool} set {id} --protection 0` lifts the protection"),
        ));
    }
    let linked = guest::linked_to(&life.sight.inventory, life.id());
    if !linked.is_empty() {
        let list = linked.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(StepError::with_hint(
            format!("its disks are in use: {list} {} linked to it", if linked.len() == 1 { "is" } else { "are" }),
            format!("delete {list} first"),
        ));
    }
    life.changes(difference("guest", Some(&life.guest.name.clone()), None, Cost::None));
    life.begin(Irreversible::Destroy)?;
    let command = life.tool().destroy();
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
    life.forget()?;
    Ok(Done::Changed)
}

/// A guest that is not there needs no record either.
fn forgotten(life: &mut Life) -> Result<Done> {
    let remembered = life.sight.records.contains_key(&life.id());
    if remembered {
        life.forget()?;
    }
    Ok(Done::of(remembered))
}
