//! What `pct` shows.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::*;
use crate::pve::guest_config::encode;
use crate::sandbox::config::{Config, Section};
use crate::sandbox::guest::mount;
use crate::sandbox::storage::size_bytes;

/// A section's keys as `pct config` shows them, with the description among them.
pub(in super::super) fn shown(section: &Section) -> BTreeMap<String, String> {
    let mut shown = section.keys.clone();
    if !section.description.is_empty() {
        shown.insert("description".to_owned(), encode(&section.description));
    }
    shown
}

/// A snapshot has nothing pending.
pub(in super::super) fn one_of_two(call: &Call) -> Done {
    if call.is_on("current") && call.option("snapshot").is_some_and(|name| !name.is_empty()) {
        let message = "cannot use 'snapshot' parameter with 'current'";
        return Err(bad_parameters(call, &[("current", message), ("snapshot", message)]));
    }
    Ok(())
}

pub(super) fn config(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    one_of_two(call)?;
    let config = &here(s.world(), id)?.config;
    let section = match call.option("snapshot") {
        Some(name) => {
            let taken = config.snapshots.get(name).cloned();
            taken.ok_or_else(|| fail(format!("snapshot '{name}' does not exist")))?
        }
        None if call.is_on("current") => config.current.clone(),
        None => config.coming(),
    };
    for (key, value) in shown(&section) {
        s.print(format!("{key}: {value}"));
    }
    for (key, value) in &section.raw {
        s.print(format!("{key}: {value}"));
    }
    Ok(0)
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

pub(super) fn pending(s: &mut Session, call: &Call) -> Done<i32> {
    let config = &here(s.world(), id_at(call, 0)?)?.config;
    let entries = pending_entries(config, &shown(&config.current));
    print_pending(s, entries);
    Ok(0)
}

/// The lines of `pct pending` and `qm pending`.
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

pub(super) fn list(s: &mut Session) -> Done<i32> {
    let mut text = String::new();
    let containers = s.world().guests().filter(|guest| guest.kind == GuestKind::Lxc && guest.node.is_none());
    for guest in containers {
        if text.is_empty() {
            let _ = writeln!(text, "{:<10} {:<10} {:<12} {:<20}", "VMID", "Status", "Lock", "Name");
        }
        let config = &guest.config.current;
        let name = config.get("hostname").map_or_else(|| format!("CT{}", guest.id), str::to_owned);
        let status = if guest.running.is_some() { "running" } else { "stopped" };
        let lock = config.get("lock").unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{:<10} {status:<10} {lock:<12} {name:<20}", guest.id);
    }
    s.write(text.as_bytes());
    Ok(0)
}

/// What `status --verbose` and the API tell about a container.
pub(in super::super) fn status_fields(s: &Session, guest: &Guest) -> BTreeMap<&'static str, serde_json::Value> {
    let config = &guest.config.current;
    let mib = |key: &str, or: u64| config.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(or) << 20;
    let size = config.get("rootfs").and_then(|value| {
        let point = mount("rootfs", value);
        point.get("size").and_then(size_bytes)
    });
    let limit = config.get("cores").or_else(|| config.get("cpulimit")).filter(|limit| *limit != "0");
    let whole = |limit: &str| limit.parse::<u64>().map_or_else(|_| limit.into(), serde_json::Value::from);
    let cpus: serde_json::Value = limit.map_or_else(|| s.world().cpus.into(), whole);
    let mut fields: BTreeMap<&'static str, serde_json::Value> = [
        ("cpu", 0.into()),
        ("cpus", cpus),
        ("disk", 0.into()),
        ("diskread", 0.into()),
        ("diskwrite", 0.into()),
        ("maxdisk", size.unwrap_or_default().into()),
        ("maxmem", mib("memory", 512).into()),
        ("maxswap", mib("swap", 0).into()),
        ("mem", 0.into()),
        ("name", config.get("hostname").map_or_else(|| format!("CT{}", guest.id), str::to_owned).into()),
        ("netin", 0.into()),
        ("netout", 0.into()),
        ("status", if guest.running.is_some() { "running" } else { "stopped" }.into()),
        ("swap", 0.into()),
        ("type", "lxc".into()),
        ("uptime", 0.into()),
        ("vmid", guest.id.get().into()),
    ]
    .into();
    if let Some(running) = &guest.running {
        fields.insert("pid", running.pid.into());
        fields.insert("uptime", ((s.now().saturating_sub(running.since)) / 1_000_000).into());
    }
    for key in ["lock", "tags"] {
        if let Some(value) = config.get(key) {
            fields.insert(if key == "lock" { "lock" } else { "tags" }, value.into());
        }
    }
    if config.is_on("template") {
        fields.insert("template", 1.into());
    }
    fields
}

pub(super) fn status(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let guest = here(s.world(), id)?.clone();
    if !call.is_on("verbose") {
        s.print(format!("status: {}", if guest.running.is_some() { "running" } else { "stopped" }));
        return Ok(0);
    }
    let fields = status_fields(s, &guest);
    for (key, value) in fields.into_iter().filter(|(key, _)| *key != "cpu") {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        s.print(format!("{key}: {text}"));
    }
    Ok(0)
}

pub(super) fn cpusets(s: &mut Session) -> Done<i32> {
    let running: Vec<GuestId> = s
        .world()
        .guests()
        .filter(|guest| guest.kind == GuestKind::Lxc && guest.running.is_some())
        .map(|guest| guest.id)
        .collect();
    if running.is_empty() {
        s.print("no running containers");
        return Ok(0);
    }
    let wide = running.iter().map(|id| id.to_string().len()).max().unwrap_or(0);
    let cpus: String = (0..s.world().cpus).map(|cpu| format!(" {cpu}")).collect();
    let line = "-".repeat(wide + 2 + cpus.len());
    s.print(&line);
    for id in running {
        s.print(format!("{id:>wide$}: {cpus}"));
    }
    s.print(&line);
    Ok(0)
}

/// The tree of snapshots.
pub(in super::super) fn tree(config: &Config) -> String {
    let mut text = String::new();
    let root = |section: &Section| section.get("parent").is_none_or(|parent| !config.snapshots.contains_key(parent));
    branch(config, &mut text, 0, &|section| root(section));
    text
}

fn branch(config: &Config, text: &mut String, level: usize, belongs: &dyn Fn(&Section) -> bool) {
    let time =
        |section: &Section| section.get("snaptime").and_then(|time| time.parse::<i64>().ok()).unwrap_or_default();
    let mut here: Vec<(&String, &Section)> = config.snapshots.iter().filter(|(_, section)| belongs(section)).collect();
    here.sort_by_key(|(_, section)| time(section));
    for (name, section) in here {
        let taken = jiff::Timestamp::from_second(time(section)).unwrap_or_default();
        let taken = taken.strftime("%Y-%m-%d %H:%M:%S").to_string();
        leaf(text, level, name, &taken, section.description.lines().next().unwrap_or("no-description"));
        branch(config, text, level + 1, &|section| section.get("parent") == Some(name.as_str()));
    }
    if belongs(&config.current) {
        leaf(text, level, "current", "", "You are here!");
    }
}

fn leaf(text: &mut String, level: usize, name: &str, when: &str, what: &str) {
    let prefix = format!("{}`->", " ".repeat(level));
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{prefix} {name:<width$} {when:<23} {what}", width = 30_usize.saturating_sub(prefix.len()));
}
