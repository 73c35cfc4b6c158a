//! What `qm` shows.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::*;
use crate::sandbox::config::Section;
use crate::sandbox::disk::boot_disk_size;

/// A section's keys as `qm config` shows them: with the description among them, without the password.
pub(in super::super) fn shown(section: &Section) -> BTreeMap<String, String> {
    let mut shown = section.keys.clone();
    if !section.description.is_empty() {
        let description = crate::pve::guest_config::encode(section.description.trim_end_matches('\n'));
        shown.insert("description".to_owned(), description);
    }
    if let Some(password) = shown.get_mut("cipassword") {
        "**********".clone_into(password);
    }
    shown
}

pub(super) fn config(s: &mut Session, call: &Call) -> Done<i32> {
    both::one_of_two(call)?;
    let section = both::asked(call, &here(s.world(), id_at(call, 0)?)?.config)?;
    for (key, value) in shown(&section) {
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

fn name(guest: &Guest) -> String {
    guest.config.current.get("name").map_or_else(|| format!("VM {}", guest.id), str::to_owned)
}

/// Memory in MiB.
fn memory(section: &Section) -> u64 {
    let value = section.get("memory").and_then(|memory| memory.rsplit('=').next());
    value.and_then(|memory| memory.parse().ok()).unwrap_or(512)
}

pub(super) fn list(s: &mut Session) -> Done<i32> {
    let mut text = String::new();
    for guest in s.world().guests().filter(|guest| guest.kind == GuestKind::Vm && guest.node.is_none()) {
        if text.is_empty() {
            let [name, status, memory, disk] = ["NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)"];
            // Writing into a String cannot fail; so below.
            let _ = writeln!(text, "{:>10} {name:<20} {status:<10} {memory:<10} {disk:>12} {:<10}", "VMID", "PID");
        }
        let (config, name) = (&guest.config.current, name(guest));
        let pid = guest.running.as_ref().map_or(0, |running| running.pid);
        let disk = boot_disk_size(config) as f64 / f64::from(1 << 30);
        let (state, memory) = (both::state(guest), memory(config));
        let _ = writeln!(text, "{:>10} {name:<20} {state:<10} {memory:<10} {disk:>12.2} {pid:<10}", guest.id);
    }
    s.write(text.as_bytes());
    Ok(0)
}

/// What the API tells about a machine in lists.
pub(in super::super) fn status_fields(s: &Session, guest: &Guest) -> BTreeMap<&'static str, serde_json::Value> {
    let config = &guest.config.current;
    let count = |key: &str| config.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    let mut fields: BTreeMap<&'static str, serde_json::Value> = [
        ("cpu", 0.into()),
        ("cpus", config.get("vcpus").map_or_else(|| count("sockets") * count("cores"), |_| count("vcpus")).into()),
        ("disk", 0.into()),
        ("maxdisk", boot_disk_size(config).into()),
        ("maxmem", (memory(config) << 20).into()),
        ("mem", 0.into()),
        ("memhost", 0.into()),
        ("name", name(guest).into()),
        ("netin", 0.into()),
        ("netout", 0.into()),
        ("status", both::state(guest).into()),
        ("uptime", 0.into()),
        ("vmid", guest.id.get().into()),
    ]
    .into();
    if let Some(running) = &guest.running {
        fields.insert("pid", running.pid.into());
        fields.insert("uptime", (s.now().saturating_sub(running.since) / 1_000_000).into());
    }
    for key in ["lock", "tags"] {
        if let Some(value) = config.get(key) {
            fields.insert(key, value.into());
        }
    }
    if config.is_on("template") {
        fields.insert("template", 1.into());
    }
    fields
}

pub(super) fn status(s: &mut Session, call: &Call) -> Done<i32> {
    let guest = here(s.world(), id_at(call, 0)?)?.clone();
    if !call.is_on("verbose") {
        s.print(format!("status: {}", both::state(&guest)));
        return Ok(0);
    }
    let mut fields = status_fields(s, &guest);
    fields.insert("qmpstatus", both::state(&guest).into());
    both::print_fields(s, fields);
    Ok(0)
}
