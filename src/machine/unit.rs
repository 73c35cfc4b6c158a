//! `unit`: a systemd unit file.

use super::{Change, File, Machine, MachineError};
use crate::op::{Attributes, Op, OpValue};
use crate::secret::Sealed;

impl Machine {
    /// Brings a unit file in `/etc/systemd/system` about, and has systemd read it when it changed.
    ///
    /// # Errors
    /// When the name is none, or systemd refuses.
    pub fn unit(&self, name: &str, content: &Sealed) -> Result<Change, MachineError> {
        let name = unit_name(name)?;
        let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
        let file = File { attributes, ..File::text(content.clone()) };
        let mut change = self.file(&format!("/etc/systemd/system/{name}"), &file)?;
        change.what = format!("unit {name}");
        // A run that was killed between the two leaves a unit that systemd does not know, or knows as it was.
        if change.changed || self.needs_reload(&name)? {
            self.one(Op::ReloadUnits)?;
        }
        Ok(change)
    }

    fn needs_reload(&self, name: &str) -> Result<bool, MachineError> {
        match self.one(Op::Units { names: vec![name.to_owned()] })? {
            OpValue::Units(states) => Ok(states.first().is_some_and(|state| state.load == "not-found")),
            _ => Err(self.broken("another answer than asked for about a unit")),
        }
    }
}

/// A unit's full name: without a type it is a service.
pub(super) fn unit_name(name: &str) -> Result<String, MachineError> {
    const TYPES: [&str; 9] = ["service", "socket", "timer", "target", "mount", "automount", "path", "slice", "swap"];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(MachineError::Invalid(format!("`{name}` is no unit name")));
    }
    match name.rsplit_once('.') {
        Some((_, kind)) if TYPES.contains(&kind) => Ok(name.to_owned()),
        _ => Ok(format!("{name}.service")),
    }
}
