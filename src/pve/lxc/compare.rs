//! The desired container against the present one, key by key. Parsed values are compared, never their spelling.

use std::collections::{BTreeMap, BTreeSet};

use super::super::difference::{Changes, KeyDifference};
use super::super::format::split_list;
use super::super::guest_config::GuestConfig;
use super::super::inventory::Present;
use super::super::property::Properties;
use super::super::table::{Grammar, grammar_of};
use super::{Desired, mounts, nic_parts, raw};
use crate::command::Cost;

/// How the present container differs from the desired one, and what mends it. `source` is the configuration of the
/// guest it was cloned from: what a clone brought along and does not declare is dropped.
///
/// What will be in force after the next start is compared; what is set already and only waits for it is reported, but
/// not set again.
pub fn difference(desired: &Desired, present: &Present, source: Option<&GuestConfig>) -> Changes {
    let mut comparison = Comparison::new(present, source);
    comparison.unprivileged(desired);
    comparison.keys(desired);
    comparison.features(desired);
    comparison.tags(desired);
    comparison.startup(desired);
    comparison.nics(desired);
    mounts::compare(&mut comparison, desired);
    comparison.devices(desired);
    comparison.raw(desired);
    comparison.waiting();
    comparison.changes
}

/// A comparison on its way.
pub(super) struct Comparison<'a> {
    pub(super) present: &'a Present,
    pub(super) source: Option<&'a GuestConfig>,
    /// Keys as they will be after the next start.
    pub(super) coming: BTreeMap<String, String>,
    /// Keys that are ours.
    pub(super) ours: BTreeSet<String>,
    pub(super) changes: Changes,
}

/// What is to happen to a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Add,
    Change,
    Remove,
}

impl<'a> Comparison<'a> {
    fn new(present: &'a Present, source: Option<&'a GuestConfig>) -> Comparison<'a> {
        let config = &present.config;
        let keys = config.current.entries().chain(config.pending().into_iter().flat_map(|pending| pending.entries()));
        let coming = keys
            .filter(|(key, _)| *key != "delete")
            .filter_map(|(key, _)| Some((key.to_owned(), config.coming(key)?.to_owned())))
            .collect();
        Comparison { present, source, coming, ours: BTreeSet::new(), changes: Changes::default() }
    }

    /// What a change of this key costs: containers take most keys while they run, the others wait for a restart.
    pub(super) fn cost(&self, key: &str, doing: Doing) -> Cost {
        let at_once = match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "memory" | "swap" | "cores" | "hostname" | "onboot" | "startup" | "tags" | "net" => true,
            "mp" | "dev" => doing == Doing::Add,
            _ => false,
        };
        if at_once || !self.present.running { Cost::None } else { Cost::Restart }
    }

    /// Sets a key.
    pub(super) fn set(&mut self, key: &str, value: String) {
        self.changes.set.push((key.to_owned(), value));
    }

    /// Deletes a key.
    pub(super) fn delete(&mut self, key: &str) {
        let from = self.coming.get(key).cloned();
        let cost = self.cost(key, Doing::Remove);
        self.changes.add(key, from, None, cost);
        self.changes.delete.push(key.to_owned());
    }

    /// The lowest number that no key of this stem has (`mp` -> `mp2`), taken.
    pub(super) fn free_key(&mut self, stem: &str) -> String {
        let taken = |key: &String| self.coming.contains_key(key) || self.ours.contains(key);
        let current = &self.present.config.current;
        let key = (0..=255)
            .map(|number| format!("{stem}{number}"))
            .find(|key| !taken(key) && current.get(key).is_none())
            .unwrap_or_else(|| format!("{stem}255"));
        self.ours.insert(key.clone());
        key
    }

    /// Compares the parts of a property string that are ours, leaves the others as they are, and sets the key when any
    /// differs. Parts that Proxmox takes as equal to nothing are given as absent.
    pub(super) fn parts(&mut self, key: &str, present: Option<&Properties>, ours: &[(&str, Option<String>)]) {
        self.ours.insert(key.to_owned());
        let grammar = grammar(key);
        let mut wanted = present.cloned().unwrap_or_default();
        let mut differing = Vec::new();
        for (part, value) in ours {
            let old = wanted.get(part).map(str::to_owned);
            if old.as_deref().filter(|old| !means_nothing(part, old)) != value.as_deref() {
                differing.push((*part, old, value.clone()));
                wanted.put(part, value.clone());
            }
        }
        if differing.is_empty() {
            return;
        }
        let printed = wanted.print(grammar);
        match present {
            None => {
                let cost = self.cost(key, Doing::Add);
                self.changes.add(key, None, Some(printed.clone()), cost);
            }
            Some(_) => {
                let cost = self.cost(key, Doing::Change);
                for (part, from, to) in differing {
                    self.changes.add(format!("{key} {part}"), from, to, cost);
                }
            }
        }
        self.set(key, printed);
    }

    fn unprivileged(&mut self, desired: &Desired) {
        let is = self.present.config.current.is_on("unprivileged");
        let there = self.present.config.current.entries().next().is_some();
        if there && is != desired.unprivileged {
            let word = |on: bool| Some(u8::from(on).to_string());
            self.changes.add("unprivileged", word(is), word(desired.unprivileged), Cost::Rebuild);
        }
    }

    fn keys(&mut self, desired: &Desired) {
        for (key, value) in &desired.keys {
            self.ours.insert((*key).to_owned());
            let old = self.coming.get(*key);
            if same_value(key, old.map(String::as_str), value) {
                continue;
            }
            let doing = if old.is_some() { Doing::Change } else { Doing::Add };
            let (from, cost) = (old.cloned(), self.cost(key, doing));
            self.changes.add(*key, from, Some(value.clone()), cost);
            self.set(key, value.clone());
        }
    }

    fn features(&mut self, desired: &Desired) {
        if desired.features.is_empty() {
            return;
        }
        let present = self
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
        self.parts("features", present.as_ref(), &parts);
    }

    /// Tags of others stay, but for those that a clone brought along.
    fn tags(&mut self, desired: &Desired) {
        self.ours.insert("tags".to_owned());
        let present: BTreeSet<String> = self.tags_of(&self.coming);
        let inherited: BTreeSet<String> =
            self.source.iter().flat_map(|source| source.current.tags()).map(str::to_owned).collect();
        let wanted: BTreeSet<String> = present.difference(&inherited).chain(&desired.tags).cloned().collect();
        if wanted != present {
            let joined = |tags: &BTreeSet<String>| tags.iter().map(String::as_str).collect::<Vec<_>>().join(";");
            let cost = self.cost("tags", Doing::Change);
            let from = (!present.is_empty()).then(|| joined(&present));
            self.changes.add("tags", from, Some(joined(&wanted)), cost);
            self.set("tags", joined(&wanted));
        }
    }

    fn tags_of(&self, keys: &BTreeMap<String, String>) -> BTreeSet<String> {
        let tags = keys.get("tags").map(|text| split_list(text)).unwrap_or_default();
        tags.into_iter().map(str::to_owned).collect()
    }

    fn startup(&mut self, desired: &Desired) {
        let (order, delay) = desired.startup;
        if order.is_none() && delay.is_none() {
            return;
        }
        self.ours.insert("startup".to_owned());
        let old = self.coming.get("startup").cloned();
        let mut parts: BTreeMap<String, String> = BTreeMap::new();
        for part in old.iter().flat_map(|text| text.split(',')) {
            let (key, value) = part.trim().split_once('=').unwrap_or(("order", part.trim()));
            parts.insert(key.to_owned(), value.to_owned());
        }
        let before = parts.clone();
        parts.extend(order.map(|order| ("order".to_owned(), order.to_string())));
        parts.extend(delay.map(|delay| ("up".to_owned(), delay.to_string())));
        if parts != before {
            let names = ["order", "up", "down"].into_iter();
            let text: Vec<String> = names.filter_map(|name| Some(format!("{name}={}", parts.get(name)?))).collect();
            let cost = self.cost("startup", Doing::Change);
            self.changes.add("startup", old, Some(text.join(",")), cost);
            self.set("startup", text.join(","));
        }
    }

    fn nics(&mut self, desired: &Desired) {
        for (number, nic) in desired.nics.iter().enumerate() {
            let key = format!("net{number}");
            let present = self.coming.get(&key).and_then(|text| Properties::of_option("pct set", &key, text));
            let mut parts = nic_parts(nic);
            let address = present.as_ref().and_then(|present| present.get("hwaddr")).map(str::to_owned);
            let declared = nic.mac.map(|mac| mac.to_string());
            // Without an address Proxmox makes up a new one each time: the present one is always written again.
            let hwaddr = match (&address, declared) {
                (Some(is), Some(wanted)) if is.eq_ignore_ascii_case(&wanted) => address,
                (_, Some(wanted)) => Some(wanted),
                (_, None) => address,
            };
            parts.push(("hwaddr", hwaddr));
            self.parts(&key, present.as_ref(), &parts);
        }
    }

    fn devices(&mut self, desired: &Desired) {
        let present = numbered("dev", entries(&self.coming));
        for (path, mode) in &desired.devices {
            let own = present.iter().find(|(_, properties)| properties.get("path") == Some(path));
            let parts = [("path", Some(path.clone())), ("mode", Some(mode.clone()))];
            match own {
                Some((key, properties)) => self.parts(key, Some(properties), &parts),
                None => {
                    let key = self.free_key("dev");
                    self.parts(&key, None, &parts);
                }
            }
        }
    }

    fn raw(&mut self, desired: &Desired) {
        let present: Vec<raw::Line> =
            self.present.config.current.raw().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let merged = raw::merge(&present, &desired.raw, |line| {
            let inherited = self.source.is_some_and(|source| raw::is_inherited_mount(line, source));
            inherited || desired.binds.iter().any(|bind| raw::mounts_at(line, &bind.container_path))
        });
        if merged == present {
            return;
        }
        let cost = self.cost("lxc", Doing::Change);
        for (from, to) in raw::changes(&present, &merged) {
            let key = from.as_ref().or(to.as_ref()).map_or_else(String::new, |(key, _)| key.clone());
            let value = |line: Option<raw::Line>| line.map(|(_, value)| value);
            self.changes.add(key, value(from), value(to), cost);
        }
        self.changes.raw = Some(merged);
    }

    /// Keys of ours that are set and wait for the next start.
    fn waiting(&mut self) {
        let config = &self.present.config;
        for key in &self.ours {
            let (is, comes) = (config.current.get(key), self.coming.get(key).map(String::as_str));
            let told = self.changes.set.iter().any(|(set, _)| set == key) || self.changes.delete.contains(key);
            if config.pending().is_some() && is != comes && !told {
                self.changes.differences.push(KeyDifference {
                    key: key.clone(),
                    from: is.map(str::to_owned),
                    to: comes.map(str::to_owned),
                    cost: Cost::Restart,
                    waiting: true,
                });
            }
        }
    }
}

/// Keys and values of a map.
pub(super) fn entries(keys: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    keys.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Keys of this stem (`mp` -> `mp0`, `mp1`) by number, with their property strings taken apart.
pub(super) fn numbered<'k>(stem: &str, keys: impl Iterator<Item = (&'k str, &'k str)>) -> Vec<(String, Properties)> {
    let number = |key: &str| key.strip_prefix(stem)?.parse::<u32>().ok();
    let mut found: Vec<(u32, String, Properties)> = keys
        .filter_map(|(key, text)| Some((number(key)?, key.to_owned(), Properties::of_option("pct set", key, text)?)))
        .collect();
    found.sort_by_key(|(number, ..)| *number);
    found.into_iter().map(|(_, key, properties)| (key, properties)).collect()
}

fn grammar(key: &str) -> &'static Grammar {
    grammar_of("pct set", key).expect("only keys whose values are property strings are compared by parts")
}

/// Values that say the same as no value at all.
fn means_nothing(part: &str, value: &str) -> bool {
    matches!((part, value), ("ip" | "ip6", "manual") | ("firewall" | "ro", "0"))
        || value == "0" && matches!(part, "nesting" | "keyctl" | "fuse" | "mknod" | "force_rw_sys")
}

/// Whether a plain value is the wanted one; lists are compared item by item, numbers as numbers.
fn same_value(key: &str, is: Option<&str>, wanted: &str) -> bool {
    match (key, is) {
        ("onboot", None) => wanted == "0",
        (_, None) => false,
        ("nameserver" | "searchdomain", Some(is)) => split_list(is) == split_list(wanted),
        (_, Some(is)) => is == wanted || is.parse::<u64>().is_ok_and(|number| wanted.parse() == Ok(number)),
    }
}
