//! `sysctl`: kernel parameters, now and at boot.

use std::collections::BTreeMap;

use super::{Change, Machine, MachineError, change::difference};
use crate::op::{Attributes, Op, OpValue};
use crate::secret::Sealed;

/// All parameters that phoenix declares, one per line.
const FILE: &str = "/etc/sysctl.d/90-phoenix.conf";

impl Machine {
    /// Brings kernel parameters about: a line for each in a drop-in file, and the running kernel's values where they can
    /// be read.
    ///
    /// # Errors
    /// When the kernel refuses a value, as it does for most of them in unprivileged containers.
    pub fn sysctl(&self, values: &BTreeMap<String, String>) -> Result<Change, MachineError> {
        for (key, value) in values {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
            if key.is_empty() || !key.bytes().all(plain) || key.contains("..") || value.contains('\n') {
                return Err(MachineError::Invalid(format!("`{key} = {value}` is no kernel parameter")));
            }
        }
        let what = format!("sysctl {}", values.keys().cloned().collect::<Vec<_>>().join(" "));
        let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
        let file = self
            .edit(what.clone(), FILE, &attributes, |old| Ok(Sealed::plain(merged(old.unwrap_or_default(), values))))?;
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
        Ok(Change { what, ..file | live })
    }
}

fn live(key: &str) -> String {
    // sysctl(8): a key with slashes keeps its dots.
    if key.contains('/') { format!("/proc/sys/{key}") } else { format!("/proc/sys/{}", key.replace('.', "/")) }
}

fn words(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn merged(old: &str, values: &BTreeMap<String, String>) -> String {
    let mut all: BTreeMap<String, String> = old
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect();
    all.extend(values.clone());
    let lines: String = all.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("# Written by phoenix.\n{lines}")
}
