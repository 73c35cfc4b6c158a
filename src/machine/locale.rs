//! `locale`: the language of the system.

use super::{Change, Exec, Line, Machine, MachineError};
use crate::secret::Sealed;

impl Machine {
    /// Brings a locale about (`en_US.UTF-8`, `C.UTF-8`): made if it is not built in, and the system's default. Needs the
    /// package `locales` for all but `C` and `POSIX`.
    ///
    /// # Errors
    /// When the name is none, or the package is missing.
    pub fn locale(&self, name: &str) -> Result<Change, MachineError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{name}` is no locale name")));
        }
        let built_in = matches!(name.split('.').next(), Some("C" | "POSIX"));
        let generated = if built_in { Change::default() } else { self.generated(name)? };
        let variable = |key: &str| {
            let options = Line { matching: Some(format!("^\\s*{key}=")), ..Line::default() };
            self.line("/etc/default/locale", &Sealed::plain(format!("{key}={name}")), &options)
        };
        let change = generated | variable("LANG")?;
        Ok(Change { what: format!("locale {name}"), ..change })
    }

    fn generated(&self, name: &str) -> Result<Change, MachineError> {
        if !self.facts()?.packages.contains_key("locales") {
            return Err(MachineError::Conflict {
                what: format!("locale {name}"),
                reason: "package locales is not installed".to_owned(),
                hint: Some("declare it with `packages` before".to_owned()),
            });
        }
        // locale.gen: NAME CHARSET; a name without a charset is ISO-8859-1 by glibc's tables, which nobody means today.
        let charset = name.split_once('.').map_or("UTF-8", |(_, charset)| charset.split('@').next().unwrap_or(charset));
        let line = format!("{name} {charset}");
        let matching = format!("^#?\\s*{}\\s*$", regex::escape(&line));
        let options = Line { matching: Some(matching), ..Line::default() };
        let listed = self.line("/etc/locale.gen", &Sealed::plain(line), &options)?;
        let watch = vec!["/etc/locale.gen".to_owned()];
        let run = self.exec(&["locale-gen".to_owned()], &Exec { watch, ..Exec::default() })?;
        Ok(listed | run.change)
    }
}
