//! `unit`: a systemd unit file.

use super::{Change, File, Machine, MachineError, change::difference};
use crate::op::{Attributes, Op};
use crate::secret::Sealed;

impl Machine {
    /// Brings a unit file in `/etc/systemd/system` about, and has systemd read it when it changed.
    ///
    /// # Errors
    /// When the name is none, or systemd refuses.
    pub fn unit(&self, name: &str, content: &Sealed) -> Result<Change, MachineError> {
        let name = unit_name(name)?;
        let path = format!("/etc/systemd/system/{name}");
        let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
        let mut change = self.file(&path, &File { attributes, ..File::text(content.clone()) })?;
        // Watched, because a run that is killed between the two leaves a unit that systemd knows as it was.
        let watch = self.watch(&format!("unit-{name}"), &[path])?;
        if watch.differs() {
            self.one(Op::ReloadUnits)?;
            self.keep_watch(&watch)?;
            if !change.changed {
                let read = difference(format!("unit {name}"), None, Some("read by systemd".to_owned()));
                change = self.done(Change::of("", vec![read]));
            }
        }
        Ok(Change { what: format!("unit {name}"), ..change })
    }
}

/// What a unit can be called after the last dot of its name.
pub(crate) const UNIT_TYPES: [&str; 9] =
    ["service", "socket", "timer", "target", "mount", "automount", "path", "slice", "swap"];

/// A unit's full name: without a type it is a service.
pub(super) fn unit_name(name: &str) -> Result<String, MachineError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(MachineError::Invalid(format!("`{name}` is no unit name")));
    }
    match name.rsplit_once('.') {
        Some((_, kind)) if UNIT_TYPES.contains(&kind) => Ok(name.to_owned()),
        _ => Ok(format!("{name}.service")),
    }
}
