//! `timezone`: the time zone of the system.

use super::{Change, File, Machine, MachineError};
use crate::op::Attributes;
use crate::secret::Sealed;

impl Machine {
    /// Brings a time zone about (`Europe/Berlin`, `Etc/UTC`): `/etc/localtime`, and Debian's own `/etc/timezone`.
    ///
    /// # Errors
    /// When the machine does not know the zone.
    pub fn timezone(&self, zone: &str) -> Result<Change, MachineError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_/+-".contains(&byte);
        if zone.is_empty() || zone.starts_with('/') || !zone.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{zone}` is no time zone")));
        }
        let target = format!("/usr/share/zoneinfo/{zone}");
        if !self.exists(&target)? {
            return Err(MachineError::Conflict {
                what: format!("time zone {zone}"),
                reason: "is not known to the machine".to_owned(),
                hint: Some("check the spelling (Area/City); package tzdata holds the zones".to_owned()),
            });
        }
        let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
        let file = File { attributes, ..File::text(Sealed::plain(format!("{zone}\n"))) };
        let change = self.link("/etc/localtime", &target)? | self.file("/etc/timezone", &file)?;
        Ok(Change { what: format!("timezone {zone}"), ..change })
    }
}
