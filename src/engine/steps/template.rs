//! Template: the guest converted, for clones to be linked to.

use super::{Done, Life, Result, StepError, difference, verb};
use crate::command::Cost;
use crate::engine::record::Irreversible;

/// Converts the stopped guest. There is no way back.
pub(in crate::engine) fn template(life: &mut Life) -> Result<Done> {
    if life.defined()?.config.is_template() {
        return Ok(Done::Unchanged);
    }
    life.close_channel();
    life.changes(difference("kind", Some(life.guest.kind.noun()), Some("template"), Cost::None));
    life.begin(Irreversible::Template)?;
    let command = life.tool().template();
    let output = life.command(&command)?;
    life.refresh()?;
    // The exit status says nothing: a storage that cannot do it leaves 0.
    if !life.defined()?.config.is_template() {
        return Err(StepError::not_as_expected(
            &format!("`{}`", verb(&command)),
            "the guest is no template",
            &command,
            &output,
        ));
    }
    life.done()?;
    Ok(Done::Changed)
}
