//! The desired container against the present one.

use std::collections::BTreeSet;

use super::super::comparison::{Comparison, Doing, Rules, entries, same_list, same_value};
use super::super::difference::Changes;
use super::super::guest_config::GuestConfig;
use super::super::inventory::Present;
use super::super::property::Properties;
use super::{Desired, mounts, nic_parts, raw};
use crate::command::Cost;

const RULES: Rules = Rules { set: "pct set", at_once, means_nothing };

/// How the present container differs from the desired one, and what mends it. `source` is the configuration of the
/// guest it was cloned from: what a clone brought along and does not declare is dropped.
///
/// What will be in force after the next start is compared; what is set already and only waits for it is reported, but
/// not set again.
pub fn difference(desired: &Desired, present: &Present, source: Option<&GuestConfig>) -> Changes {
    let mut comparison = Comparison::new(&RULES, present, source);
    unprivileged(&mut comparison, desired);
    for (key, value) in &desired.keys {
        comparison.key(key, value, |is| match *key {
            "nameserver" | "searchdomain" => same_list(is, value),
            _ => same_value(is, value),
        });
    }
    features(&mut comparison, desired);
    comparison.tags(&desired.tags);
    comparison.startup(desired.startup.0, desired.startup.1);
    for (number, nic) in desired.nics.iter().enumerate() {
        comparison.nic(&format!("net{number}"), nic_parts(nic), "hwaddr", nic);
    }
    mounts::compare(&mut comparison, desired);
    devices(&mut comparison, desired);
    raw_lines(&mut comparison, desired);
    comparison.waiting();
    comparison.changes
}

/// Containers take most keys while they run.
fn at_once(key: &str, doing: Doing) -> bool {
    let key = key.split(' ').next().unwrap_or(key);
    match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "memory" | "swap" | "cores" | "hostname" | "onboot" | "startup" | "tags" | "net" => true,
        "mp" | "dev" => doing == Doing::Add,
        _ => false,
    }
}

fn means_nothing(part: &str, value: &str) -> bool {
    matches!((part, value), ("ip" | "ip6", "manual") | ("firewall" | "ro", "0"))
        || value == "0" && matches!(part, "nesting" | "keyctl" | "fuse" | "mknod" | "force_rw_sys")
}

fn unprivileged(comparison: &mut Comparison<'_>, desired: &Desired) {
    let is = comparison.present.config.current.is_on("unprivileged");
    if comparison.is_there() && is != desired.unprivileged {
        let word = |on: bool| Some(u8::from(on).to_string());
        comparison.changes.add("unprivileged", word(is), word(desired.unprivileged), Cost::Rebuild);
    }
}

fn features(comparison: &mut Comparison<'_>, desired: &Desired) {
    if desired.features.is_empty() {
        return;
    }
    let present = comparison
        .coming
        .get("features")
        .map(|text| Properties::of_option("pct set", "features", text).unwrap_or_default());
    let names: BTreeSet<&str> = desired.features.keys().map(String::as_str).collect();
    let others = present.iter().flat_map(|present| present.iter().map(|(name, _)| name));
    let all: BTreeSet<String> = names.into_iter().chain(others).map(str::to_owned).collect();
    let parts: Vec<(&str, Option<String>)> = all
        .iter()
        .map(|name| (name.as_str(), desired.features.get(name).filter(|value| *value != "0").cloned()))
        .collect();
    comparison.parts("features", present.as_ref(), &parts);
}

fn devices(comparison: &mut Comparison<'_>, desired: &Desired) {
    let present = comparison.numbered("dev", entries(&comparison.coming));
    for (path, mode) in &desired.devices {
        let own = present.iter().find(|(_, properties)| properties.get("path") == Some(path));
        let parts = [("path", Some(path.clone())), ("mode", Some(mode.clone()))];
        match own {
            Some((key, properties)) => comparison.parts(key, Some(properties), &parts),
            None => {
                let key = comparison.free_key("dev");
                comparison.parts(&key, None, &parts);
            }
        }
    }
}

fn raw_lines(comparison: &mut Comparison<'_>, desired: &Desired) {
    let present: Vec<raw::Line> =
        comparison.present.config.current.raw().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let merged = raw::merge(&present, &desired.raw, |line| {
        let inherited = comparison.source.is_some_and(|source| raw::is_inherited_mount(line, source));
        inherited || desired.binds.iter().any(|bind| raw::mounts_at(line, &bind.container_path))
    });
    if merged == present {
        return;
    }
    let cost = comparison.cost("lxc", Doing::Change);
    for (from, to) in raw::changes(&present, &merged) {
        let key = from.as_ref().or(to.as_ref()).map_or_else(String::new, |(key, _)| key.clone());
        let value = |line: Option<raw::Line>| line.map(|(_, value)| value);
        comparison.changes.add(key, value(from), value(to), cost);
    }
    comparison.changes.raw = Some(merged);
}
