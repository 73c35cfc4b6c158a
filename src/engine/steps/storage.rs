//! Storage: disks that are smaller than declared are grown. Volumes are known by their mount path; making and mounting
//! them is a matter of keys, and done with all others.

use super::configure::{as_difference, is_size};
use super::{Done, Life, Result, StepError, verb};
use crate::command::Cost;

/// Grows disks. Nothing is ever shrunk.
pub(in crate::engine) fn storage(life: &mut Life) -> Result<Done> {
    let changes = life.differences()?;
    let growing = changes.differences.iter().filter(|one| is_size(one) && one.cost != Cost::Rebuild).map(as_difference);
    if life.defined()?.config.is_template() {
        for one in growing {
            life.leaves(crate::event::Difference { cost: Cost::Rebuild, ..one });
        }
        return Ok(Done::Unchanged);
    }
    growing.for_each(|one| life.changes(one));
    for (disk, size) in &changes.resize {
        life.touch()?;
        let command = life.tool().resize(disk, size);
        let output = life.command(&command)?;
        life.refresh()?;
        // The exit status says nothing.
        if life.differences()?.resize.iter().any(|(small, _)| small == disk) {
            return Err(StepError::not_as_expected(
                &format!("`{}`", verb(&command)),
                "the disk is as small as before",
                &command,
                &output,
            ));
        }
    }
    Ok(Done::of(!changes.resize.is_empty()))
}
