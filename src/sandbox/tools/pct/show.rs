//! What `pct` shows.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::*;
use crate::pve::guest_config::encode;
use crate::sandbox::config::Section;
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

pub(super) fn config(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    both::one_of_two(call)?;
    let section = both::asked(call, &here(s.world(), id)?.config)?;
    for (key, value) in shown(&section) {
        s.print(format!("{key}: {value}"));
    }
    for (key, value) in &section.raw {
        s.print(format!("{key}: {value}"));
    }
    Ok(0)
}

pub(super) fn pending(s: &mut Session, call: &Call) -> Done<i32> {
    let config = &here(s.world(), id_at(call, 0)?)?.config;
    let entries = both::pending_entries(config, &shown(&config.current));
    both::print_pending(s, entries);
    Ok(0)
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
        let status = both::state(guest);
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
        ("status", both::state(guest).into()),
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
        s.print(format!("status: {}", both::state(&guest)));
        return Ok(0);
    }
    let fields = status_fields(s, &guest);
    both::print_fields(s, fields);
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
