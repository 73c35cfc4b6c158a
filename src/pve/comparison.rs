//! A present guest against what is desired, key by key, for both kinds. Parsed values are compared, never their
//! spelling. What only containers or only virtual machines have is in [`super::lxc`] and [`super::vm`].

use std::collections::{BTreeMap, BTreeSet};

use super::difference::{Changes, KeyDifference};
use super::format::split_list;
use super::guest_config::GuestConfig;
use super::inventory::Present;
use super::property::Properties;
use super::size::{self, GIB};
use super::table::grammar_of;
use crate::command::Cost;
use crate::model::Nic;

/// What comparing a kind of guest needs to know about it.
pub(super) struct Rules {
    /// The command that sets keys, by which the option table knows them.
    pub(super) set: &'static str,
    /// Whether a guest that runs takes this at once: a key (`memory`) or a part of one (`net0 macaddr`).
    pub(super) at_once: fn(&str, Doing) -> bool,
    /// Whether a value of this part of a property string says the same as no value.
    pub(super) means_nothing: fn(&str, &str) -> bool,
}

/// A comparison on its way.
pub(super) struct Comparison<'a> {
    rules: &'static Rules,
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
    pub(super) fn new(rules: &'static Rules, present: &'a Present, source: Option<&'a GuestConfig>) -> Comparison<'a> {
        let config = &present.config;
        let keys = config.current.entries().chain(config.pending().into_iter().flat_map(|pending| pending.entries()));
        let coming = keys
            .filter(|(key, _)| *key != "delete")
            .filter_map(|(key, _)| Some((key.to_owned(), config.coming(key)?.to_owned())))
            .collect();
        Comparison { rules, present, source, coming, ours: BTreeSet::new(), changes: Changes::default() }
    }

    /// Whether the guest is there already, and not about to be made.
    pub(super) fn is_there(&self) -> bool {
        self.present.config.current.entries().next().is_some()
    }

    /// What a change of this key costs: what a running guest does not take at once waits for a restart.
    pub(super) fn cost(&self, key: &str, doing: Doing) -> Cost {
        if !self.present.running || (self.rules.at_once)(key, doing) { Cost::None } else { Cost::Restart }
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

    /// The property string of a key, taken apart, as it will be after the next start.
    pub(super) fn properties(&self, key: &str) -> Option<Properties> {
        Properties::of_option(self.rules.set, key, self.coming.get(key)?)
    }

    /// The same of the guest that it was cloned from.
    pub(super) fn properties_of_source(&self, key: &str) -> Option<Properties> {
        Properties::of_option(self.rules.set, key, self.source?.current.get(key)?)
    }

    /// Keys of this stem (`mp` -> `mp0`, `mp1`) by number, with their property strings taken apart.
    pub(super) fn numbered<'k>(
        &self,
        stem: &str,
        keys: impl Iterator<Item = (&'k str, &'k str)>,
    ) -> Vec<(String, Properties)> {
        let number = |key: &str| key.strip_prefix(stem)?.parse::<u32>().ok();
        let parsed = |key: &str, text: &str| Properties::of_option(self.rules.set, key, text);
        let mut found: Vec<(u32, String, Properties)> =
            keys.filter_map(|(key, text)| Some((number(key)?, key.to_owned(), parsed(key, text)?))).collect();
        found.sort_by_key(|(number, ..)| *number);
        found.into_iter().map(|(_, key, properties)| (key, properties)).collect()
    }

    /// Compares the parts of a property string that are ours, leaves the others as they are, and sets the key when any
    /// differs. Parts that Proxmox takes as equal to nothing are given as absent.
    pub(super) fn parts(&mut self, key: &str, present: Option<&Properties>, ours: &[(&str, Option<String>)]) {
        self.ours.insert(key.to_owned());
        let grammar =
            grammar_of(self.rules.set, key).expect("only keys whose values are property strings are compared by parts");
        let mut wanted = present.cloned().unwrap_or_default();
        let mut differing = Vec::new();
        for (part, value) in ours {
            let old = wanted.get(part).map(str::to_owned);
            if old.as_deref().filter(|old| !(self.rules.means_nothing)(part, old)) != value.as_deref() {
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
                // They are set together.
                let costs = differing.iter().map(|(part, ..)| self.cost(&format!("{key} {part}"), Doing::Change));
                let cost = costs.max().unwrap_or_default();
                for (part, from, to) in differing {
                    self.changes.add(format!("{key} {part}"), from, to, cost);
                }
            }
        }
        self.set(key, printed);
    }

    /// Compares a network interface. Without an address Proxmox makes up a new one each time: the present one is always
    /// written again, at the part of this name, unless another is declared.
    pub(super) fn nic(
        &mut self,
        key: &str,
        parts: Vec<(&'static str, Option<String>)>,
        address: &'static str,
        nic: &Nic,
    ) {
        let present = self.properties(key);
        let is = present.as_ref().and_then(|present| present.get(address)).map(str::to_owned);
        let declared = nic.mac.map(|mac| mac.to_string());
        let kept = |is: &String| declared.as_ref().is_none_or(|declared| is.eq_ignore_ascii_case(declared));
        let wanted = is.filter(kept).or(declared.clone());
        let parts: Vec<_> = parts.into_iter().chain([(address, wanted)]).collect();
        self.parts(key, present.as_ref(), &parts);
    }

    /// Compares a plain value, as `same` understands it, and sets it when it differs.
    pub(super) fn key(&mut self, key: &str, wanted: &str, same: impl Fn(&str) -> bool) {
        self.ours.insert(key.to_owned());
        let old = self.coming.get(key).cloned();
        let unset_is_off = key == "onboot" && wanted == "0";
        if old.as_deref().map_or(unset_is_off, same) {
            return;
        }
        let doing = if old.is_some() { Doing::Change } else { Doing::Add };
        let cost = self.cost(key, doing);
        self.changes.add(key, old, Some(wanted.to_owned()), cost);
        self.set(key, wanted.to_owned());
    }

    /// Tags of others stay, but for those that a clone brought along.
    pub(super) fn tags(&mut self, tags: &BTreeSet<String>) {
        self.ours.insert("tags".to_owned());
        let present = self.coming.get("tags").map(|text| split_list(text)).unwrap_or_default();
        let present: BTreeSet<String> = present.into_iter().map(str::to_owned).collect();
        let inherited: BTreeSet<String> =
            self.source.iter().flat_map(|source| source.current.tags()).map(str::to_owned).collect();
        let wanted: BTreeSet<String> = present.difference(&inherited).chain(tags).cloned().collect();
        if wanted != present {
            let joined = |tags: &BTreeSet<String>| tags.iter().map(String::as_str).collect::<Vec<_>>().join(";");
            let cost = self.cost("tags", Doing::Change);
            let from = (!present.is_empty()).then(|| joined(&present));
            self.changes.add("tags", from, Some(joined(&wanted)), cost);
            self.set("tags", joined(&wanted));
        }
    }

    /// Start order and delay in seconds; absent parts are left alone.
    pub(super) fn startup(&mut self, order: Option<u32>, delay: Option<u32>) {
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

    /// A volume that is there: it has to lie on its storage and have its size. It can grow; a smaller one, or one on
    /// another storage, only a new guest can have. A disk that is no larger than the one it was cloned from is as small
    /// as it can be.
    pub(super) fn disk(
        &mut self,
        key: &str,
        present: &Properties,
        of_source: Option<&Properties>,
        storage: &str,
        size_gb: u32,
    ) {
        self.ours.insert(key.to_owned());
        let source = present.get("volume").or_else(|| present.get("file"));
        let lies_on = source.and_then(|volume| volume.split_once(':')).map(|(storage, _)| storage);
        if let Some(other) = lies_on.filter(|other| *other != storage) {
            let (from, to) = (Some(other.to_owned()), Some(storage.to_owned()));
            self.changes.add(format!("{key} storage"), from, to, Cost::Rebuild);
        }
        let wanted = u64::from(size_gb) * GIB;
        let Some(is) = bytes(present).filter(|is| *is != wanted) else { return };
        let grows = is < wanted;
        if !grows && of_source.and_then(bytes).is_some_and(|inherited| is <= inherited) {
            return;
        }
        let cost = if grows { Cost::None } else { Cost::Rebuild };
        self.changes.add(format!("{key} size"), Some(size::print(is)), Some(size::print(wanted)), cost);
        if grows {
            self.changes.resize.push((key.to_owned(), size::print(wanted)));
        }
    }

    /// Keys of ours that are set and wait for the next start.
    pub(super) fn waiting(&mut self) {
        let config = &self.present.config;
        if config.pending().is_none() {
            return;
        }
        for key in self.ours.clone() {
            let (is, comes) = (config.current.get(&key), self.coming.get(&key).cloned());
            if is != comes.as_deref() {
                self.waits(&key, is.map(str::to_owned), comes);
            }
        }
    }

    /// Tells that a key is set and waits for the next start, unless it is set to something else now.
    pub(super) fn waits(&mut self, key: &str, from: Option<String>, to: Option<String>) {
        let told =
            self.changes.set.iter().any(|(set, _)| set == key) || self.changes.delete.iter().any(|one| one == key);
        if !told {
            let key = key.to_owned();
            self.changes.differences.push(KeyDifference { key, from, to, cost: Cost::Restart, waiting: true });
        }
    }
}

/// Keys and values of a map.
pub(super) fn entries(keys: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    keys.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Whether two lists have the same items.
pub(super) fn same_list(one: &str, other: &str) -> bool {
    split_list(one) == split_list(other)
}

/// Whether two plain values are the same; numbers are compared as numbers.
pub(super) fn same_value(one: &str, other: &str) -> bool {
    one == other || one.parse::<u64>().is_ok_and(|number| other.parse() == Ok(number))
}

fn bytes(disk: &Properties) -> Option<u64> {
    disk.get("size").and_then(size::parse).filter(|bytes| *bytes > 0)
}
