//! The desired container against the present one.

use super::super::comparison::{Comparison, Rules, entries, same};
use super::super::difference::{Changes, Known};
use super::super::effect::Doing;
use super::super::inventory::Present;
use super::super::property::Properties;
use super::{Desired, mounts, nic_parts, raw};
use crate::model::GuestKind;

const SET: &str = "pct set";
const RULES: Rules = Rules { kind: GuestKind::Lxc, set: SET, means_nothing };

/// How the present container differs from the desired one, and what mends it. What a clone brought along and does not
/// declare is dropped.
///
/// What will be in force after the next start is compared; what is set already and only waits for it is reported, but
/// not set again.
pub fn difference(desired: &Desired, present: &Present, known: &Known) -> Changes {
    let mut comparison = Comparison::new(&RULES, present, known);
    unprivileged(&mut comparison, desired);
    for (key, value) in &desired.keys {
        comparison.key(key, value, |is| same(SET, key, is, value));
    }
    features(&mut comparison, desired);
    comparison.tags(&desired.tags);
    comparison.startup(&desired.startup);
    for (number, nic) in desired.nics.iter().enumerate() {
        comparison.nic(&format!("net{number}"), nic_parts(nic), "hwaddr", nic);
    }
    mounts::compare(&mut comparison, desired);
    devices(&mut comparison, desired);
    raw_lines(&mut comparison, desired);
    comparison.forgotten(|_| None);
    comparison.waiting();
    comparison.changes
}

fn means_nothing(part: &str, value: &str) -> bool {
    matches!((part, value), ("ip" | "ip6", "manual") | ("firewall" | "ro" | "deny-write", "0"))
        || value == "0" && matches!(part, "nesting" | "keyctl" | "fuse" | "mknod" | "force_rw_sys")
}

fn unprivileged(comparison: &mut Comparison<'_>, desired: &Desired) {
    let is = comparison.present.config.current.is_on("unprivileged");
    if comparison.is_there() && is != desired.unprivileged {
        let word = |on: bool| Some(u8::from(on).to_string());
        let way = format!(
            "no container can be made so afterwards: delete it and create it again, declare it under another id, or \
             declare it as it is: `unprivileged: {is}`"
        );
        comparison.changes.rebuild("unprivileged", word(is), word(desired.unprivileged), &way);
    }
}

/// Features of others stay, but for those that a clone brought along.
fn features(comparison: &mut Comparison<'_>, desired: &Desired) {
    const KEY: &str = "features";
    let present = comparison.coming.get(KEY).map(|text| Properties::of_option(SET, KEY, text).unwrap_or_default());
    let inherited = comparison.properties_of_source(KEY).unwrap_or_default();
    let inherited = inherited.iter().map(|(name, _)| name).filter(|name| !desired.features.contains_key(*name));
    let declared = desired.features.iter().map(|(name, value)| (name.as_str(), Some(value.clone())));
    let parts: Vec<(&str, Option<String>)> = declared.chain(inherited.map(|name| (name, None))).collect();
    if !parts.is_empty() || !comparison.gone("features ").is_empty() {
        comparison.parts(KEY, present.as_ref(), &parts);
    }
}

/// Devices are known by their path, never by their number.
fn devices(comparison: &mut Comparison<'_>, desired: &Desired) {
    let present = comparison.numbered("dev", entries(&comparison.coming));
    let at = |path: &str| present.iter().find(|(_, properties)| properties.get("path") == Some(path));
    for device in &desired.devices {
        comparison.declares(format!("device {}", device.path));
        let declared = [
            ("mode", device.mode.clone()),
            ("uid", device.uid.map(|id| id.to_string())),
            ("gid", device.gid.map(|id| id.to_string())),
            ("deny-write", device.deny_write.then(|| "1".to_owned())),
        ];
        let mut parts = vec![("path", Some(device.path.clone()))];
        parts.extend(declared.into_iter().filter(|(_, value)| value.is_some()));
        match at(&device.path) {
            Some((key, properties)) => comparison.parts(key, Some(properties), &parts),
            None => {
                let key = comparison.free_key("dev");
                comparison.parts(&key, None, &parts);
            }
        }
    }
    for path in comparison.gone("device ") {
        if let Some((key, _)) = at(&path) {
            comparison.drops(format!("device {path}"));
            comparison.delete(key);
        }
    }
}

fn raw_lines(comparison: &mut Comparison<'_>, desired: &Desired) {
    let present: Vec<raw::Line> =
        comparison.present.config.current.raw().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let name = |(key, value): &raw::Line| format!("line {key} {value}");
    for line in &desired.raw {
        comparison.declares(name(line));
    }
    let gone = comparison.gone("line ");
    let is_gone = |(key, value): &raw::Line| gone.contains(&format!("{key} {value}"));
    let merged = raw::merge(&present, &desired.raw, |line| {
        let inherited = comparison.source.is_some_and(|source| raw::is_inherited_mount(line, source));
        inherited || is_gone(line) || desired.binds.iter().any(|bind| raw::mounts_at(line, &bind.container_path))
    });
    for line in present.iter().filter(|line| is_gone(line)) {
        comparison.drops(name(line));
    }
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
