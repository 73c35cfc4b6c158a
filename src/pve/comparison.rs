//! A present guest against what is desired, key by key, for both kinds. Parsed values are compared, never their
//! spelling. What only containers or only virtual machines have is in [`super::lxc`] and [`super::vm`].
//!
//! What is declared is noted by names that stay (see [`Changes::declared`]). What was declared before and is not any more
//! goes; what phoenix never declared is not touched.

use std::collections::{BTreeMap, BTreeSet};

use super::difference::{Changes, KeyDifference, Known};
use super::effect::{Doing, is_at_once};
use super::format::split_list;
use super::guest_config::GuestConfig;
use super::inventory::Present;
use super::property::Properties;
use super::size::{self, GIB};
use super::table::grammar_of;
use super::version::Version;
use crate::command::Cost;
use crate::model::{Boot, GuestKind, Nic, RootDisk};

/// The key that stands in comment lines.
const DESCRIPTION: &str = "description";

/// What comparing a kind of guest needs to know about it.
pub(super) struct Rules {
    pub(super) kind: GuestKind,
    /// The command that sets keys, by which the option table knows them.
    pub(super) set: &'static str,
    /// Whether a value of this part of a property string says the same as no value.
    pub(super) means_nothing: fn(&str, &str) -> bool,
}

/// A comparison on its way.
pub(super) struct Comparison<'a> {
    rules: &'static Rules,
    pub(super) present: &'a Present,
    pub(super) source: Option<&'a GuestConfig>,
    /// What was declared before.
    before: &'a BTreeSet<String>,
    node: Option<Version>,
    /// Keys as they will be after the next start.
    pub(super) coming: BTreeMap<String, String>,
    /// Keys that are ours.
    pub(super) ours: BTreeSet<String>,
    pub(super) changes: Changes,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(rules: &'static Rules, present: &'a Present, known: &'a Known) -> Comparison<'a> {
        let config = &present.config;
        let keys = config.current.entries().chain(config.pending().into_iter().flat_map(|pending| pending.entries()));
        let mut coming: BTreeMap<String, String> = keys
            .filter(|(key, _)| *key != "delete")
            .filter_map(|(key, _)| Some((key.to_owned(), config.coming(key)?.to_owned())))
            .collect();
        let description = config.current.description();
        if !description.is_empty() {
            coming.insert(DESCRIPTION.to_owned(), description.trim_end_matches('\n').to_owned());
        }
        Comparison {
            rules,
            present,
            source: known.source,
            before: &known.ours,
            node: known.node,
            coming,
            ours: BTreeSet::new(),
            changes: Changes::default(),
        }
    }

    /// Whether the guest is there already, and not about to be made.
    pub(super) fn is_there(&self) -> bool {
        self.present.config.current.entries().next().is_some()
    }

    /// What a change of this key costs: what a running guest does not take at once waits for a restart.
    pub(super) fn cost(&self, key: &str, doing: Doing) -> Cost {
        let current = &self.present.config.current;
        let at_once = !self.present.running || is_at_once(self.rules.kind, key, doing, current, self.node);
        if at_once { Cost::None } else { Cost::Restart }
    }

    /// Notes that something is declared.
    pub(super) fn declares(&mut self, name: impl Into<String>) {
        self.changes.declared.insert(name.into());
    }

    /// Whether something was declared before.
    pub(super) fn was_declared(&self, name: &str) -> bool {
        self.before.contains(name)
    }

    /// Names that were declared before, after this beginning (`mount ` -> `/data`), and are not any more.
    pub(super) fn gone(&self, start: &str) -> Vec<String> {
        let gone = self.before.iter().filter(|name| !self.changes.declared.contains(*name));
        gone.filter_map(|name| name.strip_prefix(start)).map(str::to_owned).collect()
    }

    /// Notes that something that was declared before goes.
    pub(super) fn drops(&mut self, name: impl Into<String>) {
        self.changes.dropped.insert(name.into());
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

    /// Deletes whole keys that were declared before and are not any more; `instead` is what some are set to then.
    pub(super) fn forgotten(&mut self, instead: impl Fn(&str) -> Option<&'static str>) {
        // Proxmox deletes none of these.
        const ALWAYS_THERE: [&str; 6] = ["arch", "memory", "ostype", "rootfs", "hostname", "name"];
        let by_parts = |key: &String| {
            let start = format!("{key} ");
            self.changes.declared.iter().any(|name| name.starts_with(&start))
        };
        let mut keys = self.gone("");
        let can_go = |key: &String| instead(key).is_some() || !ALWAYS_THERE.contains(&key.as_str());
        keys.retain(|key| !key.contains(' ') && can_go(key) && !by_parts(key));
        for key in keys {
            if !self.coming.contains_key(&key) || self.changes.delete.contains(&key) {
                continue;
            }
            self.drops(key.clone());
            match instead(&key) {
                Some(value) => {
                    self.key(&key, value, |is| is == value);
                    self.changes.declared.remove(&key);
                }
                None => self.delete(&key),
            }
        }
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

    /// Compares the parts of a property string that are ours, and those that were, leaves the others as they are, and sets
    /// the key when any differs. Parts that Proxmox takes as equal to nothing are given as absent.
    pub(super) fn parts(&mut self, key: &str, present: Option<&Properties>, ours: &[(&str, Option<String>)]) {
        self.ours.insert(key.to_owned());
        let grammar =
            grammar_of(self.rules.set, key).expect("only keys whose values are property strings are compared by parts");
        for (part, _) in ours.iter().filter(|(_, value)| value.is_some()) {
            self.declares(format!("{key} {part}"));
        }
        let start = format!("{key} ");
        let gone: Vec<String> =
            self.gone(&start).into_iter().filter(|part| !ours.iter().any(|(name, _)| name == part)).collect();
        let all = ours.iter().map(|(part, value)| (*part, value.clone()));
        let all = all.chain(gone.iter().map(|part| (part.as_str(), None)));
        let mut wanted = present.cloned().unwrap_or_default();
        let mut differing = Vec::new();
        for (part, value) in all {
            let old = wanted.get(part).map(str::to_owned);
            let nothing = |value: &&str| (self.rules.means_nothing)(part, value);
            if old.as_deref().filter(|old| !nothing(old)) != value.as_deref().filter(|value| !nothing(value)) {
                differing.push((part.to_owned(), old, value.clone()));
                wanted.put(part, value);
            }
        }
        if differing.is_empty() {
            return;
        }
        for (part, ..) in differing.iter().filter(|(part, ..)| gone.contains(part)) {
            self.changes.dropped.insert(format!("{key} {part}"));
        }
        let printed = wanted.print(grammar);
        if printed.is_empty() {
            self.delete(key);
            return;
        }
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
        self.declares(key);
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
        self.declares(key);
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
        for tag in tags {
            self.declares(format!("tag {tag}"));
        }
        let gone: BTreeSet<String> = self.gone("tag ").into_iter().collect();
        let present = self.coming.get("tags").map(|text| split_list(text)).unwrap_or_default();
        let present: BTreeSet<String> = present.into_iter().map(str::to_owned).collect();
        let inherited: BTreeSet<String> =
            self.source.iter().flat_map(|source| source.current.tags()).map(str::to_owned).collect();
        let theirs = present.iter().filter(|tag| !inherited.contains(*tag) && !gone.contains(*tag));
        let wanted: BTreeSet<String> = theirs.chain(tags).cloned().collect();
        if wanted != present {
            for tag in gone.intersection(&present) {
                self.drops(format!("tag {tag}"));
            }
            let joined = |tags: &BTreeSet<String>| tags.iter().map(String::as_str).collect::<Vec<_>>().join(";");
            let cost = self.cost("tags", Doing::Change);
            let from = (!present.is_empty()).then(|| joined(&present));
            self.changes.add("tags", from, Some(joined(&wanted)), cost);
            self.set("tags", joined(&wanted));
        }
    }

    /// Place in the start order, and seconds to wait after its start and for its end. Absent parts are left alone, unless
    /// they were declared.
    pub(super) fn startup(&mut self, boot: &Boot) {
        const KEY: &str = "startup";
        let declared = [("order", boot.order), ("up", boot.delay), ("down", boot.shutdown_timeout)];
        let old = self.coming.get(KEY).cloned();
        let mut parts: BTreeMap<String, String> = BTreeMap::new();
        for part in old.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or(("order", part));
            parts.insert(key.to_owned(), value.to_owned());
        }
        let before = parts.clone();
        for (part, value) in declared.iter().filter_map(|(part, value)| Some((*part, (*value)?))) {
            self.declares(format!("{KEY} {part}"));
            parts.insert(part.to_owned(), value.to_string());
        }
        if declared.iter().any(|(_, value)| value.is_some()) {
            self.ours.insert(KEY.to_owned());
        }
        for part in self.gone("startup ") {
            if parts.remove(&part).is_some() {
                self.ours.insert(KEY.to_owned());
                self.drops(format!("{KEY} {part}"));
            }
        }
        if parts == before {
            return;
        }
        let names = ["order", "up", "down"].into_iter();
        let text: Vec<String> = names.filter_map(|name| Some(format!("{name}={}", parts.get(name)?))).collect();
        if text.is_empty() {
            return self.delete(KEY);
        }
        let cost = self.cost(KEY, Doing::Change);
        self.changes.add(KEY, old, Some(text.join(",")), cost);
        self.set(KEY, text.join(","));
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
        if let Some(other) = lies_on.filter(|other| *other != storage && !storage.is_empty()) {
            let (from, to) = (Some(other.to_owned()), Some(storage.to_owned()));
            let verb = match self.rules.kind {
                GuestKind::Lxc => "pct move-volume",
                GuestKind::Vm => "qm disk move",
            };
            let way = format!("`{verb}` moves it; or declare where it is: {other}");
            self.changes.rebuild(format!("{key} storage"), from, to, &way);
        }
        let wanted = u64::from(size_gb) * GIB;
        let Some(is) = bytes(present).filter(|is| *is != wanted && wanted > 0) else { return };
        let grows = is < wanted;
        if !grows && of_source.and_then(bytes).is_some_and(|inherited| is <= inherited) {
            return;
        }
        let (from, to) = (Some(size::print(is)), Some(size::print(wanted)));
        if grows {
            self.changes.add(format!("{key} size"), from, to, Cost::None);
            self.changes.resize.push((key.to_owned(), size::print(wanted)));
        } else {
            let way =
                format!("disks only grow: declare {} GiB, or delete the guest and create it again", is.div_ceil(GIB));
            self.changes.rebuild(format!("{key} size"), from, to, &way);
        }
    }

    /// The root disk: its storage, its size, its declared options.
    pub(super) fn root(&mut self, key: &'static str, declared: &RootDisk) {
        let Some(root) = self.properties(key) else { return };
        let of_source = self.properties_of_source(key);
        self.disk(key, &root, of_source.as_ref(), &declared.storage, declared.size_gb);
        self.options(key, &root, &declared.options);
    }

    /// Declared options of a disk that is there.
    pub(super) fn options(&mut self, key: &str, present: &Properties, declared: &BTreeMap<String, String>) {
        let parts: Vec<_> = declared.iter().map(|(part, value)| (part.as_str(), Some(value.clone()))).collect();
        self.parts(key, Some(present), &parts);
    }

    /// Keys of ours that are set and wait for the next start.
    pub(super) fn waiting(&mut self) {
        let config = &self.present.config;
        if config.pending().is_none() {
            return;
        }
        let deleted = config.pending().and_then(|pending| pending.get("delete")).map(split_list).unwrap_or_default();
        let deleted: Vec<String> = deleted.into_iter().map(|key| key.trim_start_matches('!').to_owned()).collect();
        let ours = self.ours.iter().chain(deleted.iter().filter(|key| self.was_declared(key)));
        for key in ours.filter(|key| *key != DESCRIPTION).cloned().collect::<BTreeSet<_>>() {
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
            if to.is_none() && self.was_declared(&key) {
                self.drops(key.clone());
            }
            self.changes.differences.push(KeyDifference {
                key,
                from,
                to,
                cost: Cost::Restart,
                waiting: true,
                way: None,
            });
        }
    }
}

/// Keys and values of a map.
pub(super) fn entries(keys: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    keys.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Whether two plain values of a key say the same: lists by their items, numbers as numbers, property strings by their
/// parts, texts without the newlines at their end.
pub(super) fn same(set: &str, key: &str, is: &str, wanted: &str) -> bool {
    match key {
        "nameserver" | "searchdomain" => return split_list(is) == split_list(wanted),
        DESCRIPTION => return is.trim_end_matches('\n') == wanted.trim_end_matches('\n'),
        _ => {}
    }
    let number = |text: &str| text.parse::<f64>().ok();
    let parts = |text| {
        let properties = Properties::of_option(set, key, text)?;
        let pairs = properties.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(pairs.collect::<BTreeMap<_, _>>())
    };
    is == wanted
        || number(is).is_some_and(|is| number(wanted) == Some(is))
        || parts(is).is_some_and(|is| Some(is) == parts(wanted))
}

fn bytes(disk: &Properties) -> Option<u64> {
    disk.get("size").and_then(size::parse).filter(|bytes| *bytes > 0)
}
