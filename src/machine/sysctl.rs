//! `sysctl`: kernel parameters, now and at boot.

use std::collections::BTreeMap;

use super::{Change, File, Machine, MachineError, change::difference};
use crate::op::{Attributes, Op, OpValue};
use crate::secret::Sealed;

impl Machine {
    /// Brings kernel parameters about: in the drop-in file `/etc/sysctl.d/NAME.conf`, and in the running kernel where its
    /// values can be read.
    ///
    /// # Errors
    /// When the kernel refuses a value, as it does for most of them in unprivileged containers.
    pub fn sysctl(&self, name: &str, values: &BTreeMap<String, String>) -> Result<Change, MachineError> {
        for (key, value) in values {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
            if key.is_empty() || !key.bytes().all(plain) || key.contains("..") || value.contains('\n') {
                return Err(MachineError::Invalid(format!("`{key} = {value}` is no kernel parameter")));
            }
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{name}` cannot name a file of kernel parameters")));
        }
        let lines: String = values.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let text = Sealed::plain(format!("# Written by phoenix.\n{lines}"));
        let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
        let file = self.file(&format!("/etc/sysctl.d/{name}.conf"), &File { attributes, ..File::text(text) })?;
        let reads: Vec<Op> = values.keys().map(|key| Op::Read { path: live(key), limit: 4096 }).collect();
        let mut differences = Vec::new();
        let mut settings = Vec::new();
        for ((key, wanted), answer) in values.iter().zip(self.perform(&reads)?) {
            let present = match answer {
                Ok(OpValue::Bytes(Some(bytes))) => Some(words(&String::from_utf8_lossy(&bytes))),
                _ => None,
            };
            // Without a value to compare with (no such file below /proc/sys) a new line is reason enough.
            let differs = present.as_ref().map_or(file.changed, |present| *present != words(wanted));
            if differs {
                settings.push(format!("{key}={wanted}"));
                if present.is_some() {
                    differences.push(difference(format!("sysctl {key}"), present, Some(wanted.clone())));
                }
            }
        }
        if !settings.is_empty() {
            let argv: Vec<&str> =
                ["sysctl", "-q", "-w"].into_iter().chain(settings.iter().map(String::as_str)).collect();
            self.tool(&argv)?;
        }
        let live = self.done(Change::of("", differences));
        Ok(Change { what: format!("sysctl {name}"), ..file | live })
    }
}

fn live(key: &str) -> String {
    // sysctl(8): a key with slashes keeps its dots.
    if key.contains('/') { format!("/proc/sys/{key}") } else { format!("/proc/sys/{}", key.replace('.', "/")) }
}

fn words(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}
