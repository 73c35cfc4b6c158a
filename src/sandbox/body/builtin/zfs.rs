//! `zpool` and `zfs`: pools and datasets of the node, as far as scripts make, read and set them.
//!
//! They are kept where ZFS keeps what it has to import at boot, in `/etc/zfs/zpool.cache`, here as JSON. A disk is a
//! regular file below `/dev` whose text says what is on it (`disks`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::command::Output;
use crate::sandbox::body::around::Unmodelled;
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

use super::{disks, failure, lines, words};

/// Where pools and datasets are kept.
const CACHE: &str = "/etc/zfs/zpool.cache";

/// What a pool has that nobody set.
const POOL: [(&str, &str); 4] = [("ashift", "0"), ("autotrim", "off"), ("autoexpand", "off"), ("comment", "-")];
/// What a dataset has that nobody set, and whether those below it have it too.
const DATASET: [(&str, &str, bool); 19] = [
    ("acltype", "off", true),
    ("atime", "on", true),
    ("canmount", "on", false),
    ("casesensitivity", "sensitive", false),
    ("checksum", "on", true),
    ("compression", "on", true),
    ("copies", "1", true),
    ("dedup", "off", true),
    ("encryption", "off", false),
    ("normalization", "none", false),
    ("quota", "0", false),
    ("readonly", "off", true),
    ("recordsize", "131072", true),
    ("refquota", "0", false),
    ("relatime", "on", true),
    ("reservation", "0", false),
    ("snapdir", "hidden", true),
    ("sync", "standard", true),
    ("xattr", "on", true),
];

type Properties = BTreeMap<String, String>;

/// All that ZFS knows of.
#[derive(Default, Serialize, Deserialize)]
struct Cache {
    pools: BTreeMap<String, Pool>,
    /// What was set of each dataset, by name.
    datasets: BTreeMap<String, Properties>,
}

#[derive(Default, Serialize, Deserialize)]
struct Pool {
    /// Virtual devices: kind (empty for a single disk) and disks.
    vdevs: Vec<(String, Vec<String>)>,
    options: Properties,
}

/// What is kept of datasets that storages of a node lie on, each on a pool of one disk.
pub(in crate::sandbox) fn cache_of<'a>(datasets: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut cache = Cache::default();
    for dataset in datasets.filter(|dataset| !dataset.is_empty()) {
        let pool = dataset.split('/').next().unwrap_or(dataset);
        let vdevs = vec![(String::new(), vec![format!("/dev/disk/by-id/ata-{}", pool.to_uppercase())])];
        cache.pools.entry(pool.to_owned()).or_insert_with(|| Pool { vdevs, ..Pool::default() });
        let names = dataset.match_indices('/').map(|(at, _)| &dataset[..at]).chain([dataset]);
        names.for_each(|name| _ = cache.datasets.entry(name.to_owned()).or_default());
    }
    serde_json::to_vec(&cache).unwrap_or_default()
}

impl Cache {
    fn of(within: &Within) -> Cache {
        let text = within.body.state.tree.text(CACHE).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn keep(&self, within: &mut Within) -> Output {
        super::done(within.body.place(CACHE, 0o644, serde_json::to_vec(self).unwrap_or_default()))
    }

    /// A property as `get -p` shows it.
    fn property(&self, name: &str, key: &str) -> Option<String> {
        let set = |name: &str| self.datasets.get(name).and_then(|set| set.get(key)).cloned();
        if key == "name" {
            return Some(name.to_owned());
        }
        if key == "mountpoint" {
            return Some(self.mountpoint(name));
        }
        let (_, fallback, inherited) = DATASET.iter().find(|(known, ..)| *known == key)?;
        let above = name.match_indices('/').rev().map(|(at, _)| &name[..at]);
        let from_above = || above.into_iter().find_map(set).filter(|_| *inherited);
        Some(set(name).or_else(from_above).unwrap_or_else(|| (*fallback).to_owned()))
    }

    fn mountpoint(&self, name: &str) -> String {
        let own = self.datasets.get(name).and_then(|set| set.get("mountpoint")).cloned();
        own.unwrap_or_else(|| match name.rsplit_once('/') {
            None => format!("/{name}"),
            Some((above, leaf)) => match self.mountpoint(above).as_str() {
                nowhere @ ("none" | "legacy") => nowhere.to_owned(),
                "/" => format!("/{leaf}"),
                path => format!("{path}/{leaf}"),
            },
        })
    }

    /// The directory that a new dataset is mounted at.
    fn mount(&self, name: &str, within: &mut Within) {
        let path = self.mountpoint(name);
        if path.starts_with('/') {
            // What is in the way of a mount point is in the way of a mount, which ZFS only warns of.
            let _ = within.body.place_dir(&path);
        }
    }
}

/// Whether the outcome of a change is anybody's guess: on a real node that is rehearsed on.
fn is_rehearsed(within: &Within) -> bool {
    within.around.unmodelled == Unmodelled::Unknown
}

/// `zpool list -H -o name [POOL]`, `zpool get -H -p -o property,value NAMES POOL`, `zpool status -P -L POOL`,
/// `zpool create [-o K=V] [-O K=V] POOL VDEV...`, `zpool set K=V POOL`
pub(super) fn zpool(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let mut cache = Cache::of(within);
    match words(call)[..] {
        ["list", "-H", "-o", "name"] => Some(lines(cache.pools.keys())),
        ["list", "-H", "-o", "name", name] => {
            Some(if cache.pools.contains_key(name) { lines([name]) } else { no_pool(name) })
        }
        ["get", "-H", "-p", "-o", "property,value", names, name] => {
            let Some(pool) = cache.pools.get(name) else { return Some(no_pool(name)) };
            let value = |key: &str| match key {
                "name" => Some(name.to_owned()),
                "health" => Some("ONLINE".to_owned()),
                _ => {
                    let (_, fallback) = POOL.iter().find(|(known, _)| *known == key)?;
                    Some(pool.options.get(key).cloned().unwrap_or_else(|| (*fallback).to_owned()))
                }
            };
            Some(rows(names, value, "bad property list: invalid property"))
        }
        ["status", "-P", "-L", name] => Some(match cache.pools.get(name) {
            Some(pool) => status(name, pool, within),
            None => no_pool(name),
        }),
        ["create", ..] if !is_rehearsed(within) => create(&words(call)[1..], cache, within),
        ["set", setting, name] if !is_rehearsed(within) => {
            let (key, value) = setting.split_once('=')?;
            let Some(pool) = cache.pools.get_mut(name) else { return Some(no_pool(name)) };
            if key == "ashift" {
                return Some(failure(1, format!("cannot set property for '{name}': property '{key}' is readonly")));
            }
            pool.options.insert(key.to_owned(), value.to_owned());
            Some(cache.keep(within))
        }
        _ => None,
    }
}

fn no_pool(name: &str) -> Output {
    failure(1, format!("cannot open '{name}': no such pool"))
}

/// `property<TAB>value` of each name; a name that is none is refused.
fn rows(names: &str, value: impl Fn(&str) -> Option<String>, refusal: &str) -> Output {
    let mut all = Vec::new();
    for key in names.split(',') {
        match value(key) {
            Some(value) => all.push(format!("{key}\t{value}")),
            None => return failure(2, format!("{refusal} '{key}'")),
        }
    }
    lines(all)
}

fn status(name: &str, pool: &Pool, within: &Within) -> Output {
    let mut rows = vec![(0, name.to_owned())];
    for (index, (kind, disks)) in pool.vdevs.iter().enumerate() {
        let depth = if kind.is_empty() { 2 } else { 4 };
        rows.extend((!kind.is_empty()).then(|| (2, format!("{kind}-{index}"))));
        rows.extend(disks.iter().map(|disk| (depth, format!("{}1", disks::real(disk, within)))));
    }
    let row = |(depth, name): (usize, String)| format!("\t{}{name}  ONLINE  0  0  0\n", " ".repeat(depth));
    let rows: String = rows.into_iter().map(row).collect();
    let head = format!("  pool: {name}\n state: ONLINE\nconfig:\n\n\tNAME  STATE  READ WRITE CKSUM\n");
    Output::success(format!("{head}{rows}\nerrors: No known data errors\n"))
}

fn create(words: &[&str], mut cache: Cache, within: &mut Within) -> Option<Output> {
    let (mut options, mut properties, mut rest) = (Properties::new(), Properties::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let into = match *word {
            "-o" => &mut options,
            "-O" => &mut properties,
            word if word.starts_with('-') => return None,
            word => {
                rest.push(word);
                continue;
            }
        };
        let (key, value) = words.next()?.split_once('=')?;
        into.insert(key.to_owned(), value.to_owned());
    }
    let (name, devices) = rest.split_first()?;
    if cache.pools.contains_key(*name) {
        return Some(failure(1, format!("cannot create '{name}': pool already exists")));
    }
    let mut vdevs: Vec<(String, Vec<String>)> = Vec::new();
    for word in devices {
        match (word.starts_with('/'), vdevs.last_mut()) {
            (false, _) => vdevs.push(((*word).to_owned(), Vec::new())),
            (true, Some((kind, disks))) if !kind.is_empty() => disks.push((*word).to_owned()),
            (true, _) => vdevs.push((String::new(), vec![(*word).to_owned()])),
        }
    }
    let all: BTreeSet<String> =
        vdevs.iter().flat_map(|(_, disks)| disks).map(|disk| disks::real(disk, within)).collect();
    for disk in &all {
        match disks::on(disk, within).as_deref() {
            None => return Some(failure(1, format!("cannot open '{disk}': no such device in /dev"))),
            Some("") => {}
            Some(kind) => {
                let said = format!(
                    "invalid vdev specification\nuse '-f' to override the following errors:\n\
                     {disk} contains a filesystem of type '{kind}'"
                );
                return Some(failure(1, said));
            }
        }
    }
    for disk in &all {
        disks::write(disk, "zfs_member", within);
    }
    cache.pools.insert((*name).to_owned(), Pool { vdevs, options });
    cache.datasets.insert((*name).to_owned(), told(properties));
    cache.mount(name, within);
    Some(cache.keep(within))
}

/// `zfs get -H -p -o property,value NAMES DATASET`, `zfs list -H -o name`, `zfs create [-p] [-o K=V] DATASET`,
/// `zfs set K=V DATASET`
pub(super) fn zfs(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let mut cache = Cache::of(within);
    let absent = |name: &str| failure(1, format!("cannot open '{name}': dataset does not exist"));
    match words(call)[..] {
        ["list", "-H", "-o", "name"] => Some(lines(cache.datasets.keys())),
        ["get", "-H", "-p", "-o", "property,value", names, name] => Some(match cache.datasets.contains_key(name) {
            true => rows(names, |key| cache.property(name, key), "bad property list: invalid property"),
            false => absent(name),
        }),
        ["create", ..] if !is_rehearsed(within) => {
            let (mut properties, mut name, mut parents) = (Properties::new(), None, false);
            let all = words(call);
            let mut words = all[1..].iter();
            while let Some(word) = words.next() {
                match *word {
                    "-p" => parents = true,
                    "-o" => {
                        let (key, value) = words.next()?.split_once('=')?;
                        properties.insert(key.to_owned(), value.to_owned());
                    }
                    word if word.starts_with('-') => return None,
                    word => name = Some(word),
                }
            }
            let name = name?;
            let refused = |reason: &str| Some(failure(1, format!("cannot create '{name}': {reason}")));
            if !cache.pools.contains_key(name.split('/').next()?) {
                return refused(&format!("no such pool '{}'", name.split('/').next()?));
            }
            if cache.datasets.contains_key(name) && !parents {
                return refused("dataset already exists");
            }
            let above: Vec<String> = name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect();
            if let Some(missing) = above.iter().find(|above| !cache.datasets.contains_key(*above))
                && !parents
            {
                return refused(&format!("parent does not exist: {missing}"));
            }
            let new: Vec<String> = above.into_iter().filter(|above| !cache.datasets.contains_key(above)).collect();
            for above in &new {
                cache.datasets.insert(above.clone(), Properties::new());
                cache.mount(above, within);
            }
            cache.datasets.insert(name.to_owned(), told(properties));
            cache.mount(name, within);
            Some(cache.keep(within))
        }
        ["set", setting, name] if !is_rehearsed(within) => {
            let (key, value) = setting.split_once('=')?;
            let Some(set) = cache.datasets.get_mut(name) else { return Some(absent(name)) };
            set.extend(told([(key.to_owned(), value.to_owned())].into()));
            cache.mount(name, within);
            Some(cache.keep(within))
        }
        _ => None,
    }
}

/// Properties as `get -p` tells them: sizes in bytes, no limit as 0.
fn told(properties: Properties) -> Properties {
    let value = |key: &str, value: String| match key {
        "quota" | "refquota" | "reservation" if value == "none" => "0".to_owned(),
        "quota" | "refquota" | "reservation" | "recordsize" => in_bytes(&value).unwrap_or(value),
        _ => value,
    };
    properties.into_iter().map(|(key, text)| (key.clone(), value(&key, text))).collect()
}

fn in_bytes(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let exponent = match &text[digits.len()..] {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return None,
    };
    Some((digits.parse::<u64>().ok()? << exponent).to_string())
}
