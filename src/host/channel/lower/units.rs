//! systemd's units.

use std::time::Duration;

use crate::host::channel::call::Call;
use crate::host::channel::lower::seconds;
use crate::host::facts;
use crate::op::{Op, OpError, OpErrorKind, OpValue, UnitAction};

/// Limit of one action; a unit's own limits are shorter.
const ACTION: Duration = Duration::from_secs(10 * 60);

pub(super) fn states(names: &[String]) -> Result<Call, OpError> {
    if names.is_empty() {
        // Without names systemctl shows the manager itself.
        return Ok(Call::new("true").reads(|_, _| Some(OpValue::Units(Vec::new()))));
    }
    for name in names {
        check(name)?;
    }
    Ok(Call::new("unit_states").args(names).reads(|op, answer| {
        let Op::Units { names } = op else { return None };
        facts::units(names, &answer.text(0)?).map(OpValue::Units)
    }))
}

pub(super) fn act(name: &str, action: UnitAction) -> Result<Call, OpError> {
    check(name)?;
    Ok(Call::new("unit").arg(seconds(ACTION)).arg(action.word()).arg(name).takes(ACTION))
}

pub(super) fn reload() -> Call {
    let limit = Duration::from_secs(60);
    Call::new("program").arg(seconds(limit)).arg("systemctl").arg("daemon-reload").takes(limit)
}

/// systemctl takes patterns where it takes names; an Op means one unit.
fn check(name: &str) -> Result<(), OpError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
    if !name.is_empty() && name.chars().all(allowed) {
        return Ok(());
    }
    Err(OpError::new(OpErrorKind::Failed, format!("`{name}` is no name of a unit")))
}
