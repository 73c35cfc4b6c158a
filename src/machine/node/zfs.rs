//! What pools and datasets have in common: properties, and values that mean the same.

use std::collections::BTreeMap;

use crate::event::Difference;
use crate::machine::change::difference;
use crate::machine::{Exec, Machine, MachineError, PROBE_TIMEOUT};

/// Properties by name.
pub(super) type Properties = BTreeMap<String, String>;

impl Machine {
    /// Values of these properties, in bytes where they are sizes; none if there is no such pool or dataset.
    pub(super) fn zfs_get(
        &self,
        tool: &str,
        name: &str,
        properties: &Properties,
    ) -> Result<Option<Properties>, MachineError> {
        // The name alone tells whether it is there.
        let asked: Vec<&str> = ["name"].into_iter().chain(properties.keys().map(String::as_str)).collect();
        let words = [tool, "get", "-H", "-p", "-o", "property,value", &asked.join(","), name].map(str::to_owned);
        let output = self.probe(&words, &Exec { timeout: PROBE_TIMEOUT, ..Exec::default() })?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.ok() {
            let pair = |line: &str| line.split_once('\t').map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
            return Ok(Some(output.text().lines().filter_map(pair).collect()));
        }
        if said.contains("does not exist") || said.contains("no such pool") {
            return Ok(None);
        }
        Err(crate::machine::exec::failed(&words.join(" "), &output))
    }

    /// Sets what differs, and answers the differences.
    pub(super) fn zfs_set(
        &self,
        tool: &str,
        name: &str,
        present: &Properties,
        wanted: &Properties,
        fixed: &[&str],
    ) -> Result<Vec<Difference>, MachineError> {
        let mut differences = Vec::new();
        for (key, value) in wanted {
            let found = present.get(key).map_or("-", String::as_str);
            if same(found, value) {
                continue;
            }
            if fixed.contains(&key.as_str()) {
                return Err(MachineError::Conflict {
                    what: format!("{tool} {name}"),
                    reason: format!("has {key}={found}, and {key}={value} is declared"),
                    hint: Some(format!("`{key}` is chosen when it is made and stays: declare what is there")),
                });
            }
            self.node_tool(&[tool, "set", &format!("{key}={value}"), name])?;
            differences.push(difference(format!("{name} {key}"), Some(found.to_owned()), Some(value.clone())));
        }
        Ok(differences)
    }
}

/// Whether a value that ZFS tells is the declared one: sizes with their suffix, and the words for nothing.
pub(super) fn same(found: &str, wanted: &str) -> bool {
    let number = |text: &str| match text {
        "none" | "-" => Some(0),
        _ => bytes(text),
    };
    found == wanted || number(found).is_some_and(|found| Some(found) == number(wanted))
}

/// A size as `zfs` takes it: `128K`, `1.5T`, `4096`.
fn bytes(text: &str) -> Option<u64> {
    let upper = text.to_ascii_uppercase();
    let upper = upper.trim_end_matches('B').trim_end_matches('I');
    let digits = upper.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &upper[digits.len()..] {
        "" => 1u64,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        "P" => 1 << 50,
        _ => return None,
    };
    let number: f64 = digits.parse().ok().filter(|number: &f64| *number >= 0.0)?;
    // Sizes of disks are far below 2^53.
    Some((number * factor as f64).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_as_bytes() {
        assert!(same("131072", "128K") && same("0", "none") && same("1649267441664", "1.5T") && same("lz4", "lz4"));
        assert!(!same("131072", "64K") && !same("off", "on") && !same("-", "lz4"));
    }
}
