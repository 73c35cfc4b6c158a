//! What `config`, `pending` and `status` show, whatever kind of guest it is of.

use std::collections::BTreeMap;

use super::super::bad_parameters;
use crate::pve::argv::Call;
use crate::pve::guest_config::encode;
use crate::sandbox::config::{Config, Section};
use crate::sandbox::session::{Done, Session, fail};
use crate::sandbox::world::Guest;

/// Whether a guest runs, in the tools' words.
pub(in super::super) fn state(guest: &Guest) -> &'static str {
    if guest.running.is_some() { "running" } else { "stopped" }
}

/// A snapshot has nothing pending.
pub(in super::super) fn one_of_two(call: &Call) -> Done {
    if call.is_on("current") && call.option("snapshot").is_some_and(|name| !name.is_empty()) {
        let message = "cannot use 'snapshot' parameter with 'current'";
        return Err(bad_parameters(call, &[("current", message), ("snapshot", message)]));
    }
    Ok(())
}

/// The part of the configuration that was asked for: a snapshot's, what is in force, or else what comes.
pub(in super::super) fn asked(call: &Call, config: &Config) -> Done<Section> {
    match call.option("snapshot") {
        Some(name) => {
            let taken = config.snapshots.get(name).cloned();
            taken.ok_or_else(|| fail(format!("snapshot '{name}' does not exist")))
        }
        None if call.is_on("current") => Ok(config.current.clone()),
        None => Ok(config.coming()),
    }
}

/// One key of a configuration: what it is, what it will be, whether it goes (and with force).
pub(in super::super) struct PendingEntry {
    pub(in super::super) key: String,
    pub(in super::super) value: Option<String>,
    pub(in super::super) pending: Option<String>,
    pub(in super::super) delete: Option<bool>,
}

/// All keys of a configuration with what waits for them. `current` is what is in force, as it is shown.
pub(in super::super) fn pending_entries(config: &Config, current: &BTreeMap<String, String>) -> Vec<PendingEntry> {
    let mut keys: Vec<&String> = current.keys().chain(config.pending.keys()).chain(config.deleted.keys()).collect();
    keys.sort();
    keys.dedup();
    let entry = |key: &String| PendingEntry {
        key: key.clone(),
        value: current.get(key).cloned(),
        pending: config.pending.get(key).cloned(),
        delete: config.deleted.get(key).copied(),
    };
    keys.into_iter().map(entry).collect()
}

/// The lines of `pending`.
pub(in super::super) fn print_pending(s: &mut Session, entries: Vec<PendingEntry>) {
    for PendingEntry { key, value, pending, delete } in entries {
        let shown = |text: String| if key == "description" { encode(&text) } else { text };
        let goes = delete.is_some() && value.is_some();
        if let Some(value) = value {
            s.print(format!("{} {key}: {value}", if goes { "del" } else { "cur" }));
        }
        // Of a key that goes it is not told what waits for it.
        if let Some(pending) = pending.filter(|_| !goes) {
            s.print(format!("new {key}: {}", shown(pending)));
        }
    }
}

/// The lines of `status --verbose`.
pub(in super::super) fn print_fields(s: &mut Session, fields: BTreeMap<&'static str, serde_json::Value>) {
    for (key, value) in fields.into_iter().filter(|(key, _)| *key != "cpu") {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        s.print(format!("{key}: {text}"));
    }
}
