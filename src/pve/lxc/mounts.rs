//! Root disk, volumes and directories of the node. Mount points are known by their path inside, never by their number.

use super::super::property::Properties;
use super::super::size::{self, GIB};
use super::compare::{Comparison, Doing, entries, numbered};
use super::{Desired, raw};
use crate::command::Cost;
use crate::model::{BindMount, Volume};

pub(super) fn compare(comparison: &mut Comparison<'_>, desired: &Desired) {
    let root = comparison.coming.get("rootfs").and_then(|text| Properties::of_option("pct set", "rootfs", text));
    if let Some(root) = root {
        let of_source = comparison.source.and_then(|source| source.current.get("rootfs"));
        let inherited = of_source.and_then(|text| bytes(&Properties::of_option("pct set", "rootfs", text)?));
        disk(comparison, "rootfs", &root, &desired.root.storage, desired.root.size_gb, inherited);
    }
    let present = numbered("mp", entries(&comparison.coming));
    // Also those that go with the next start only.
    let current = numbered("mp", comparison.present.config.current.entries());
    let ours = present.iter().chain(&current).filter(|(_, at)| is_ours(desired, at));
    comparison.ours.extend(ours.map(|(key, _)| key.clone()));
    let of_source = comparison.source.map(|source| numbered("mp", source.current.entries())).unwrap_or_default();
    for volume in &desired.volumes {
        let own = mounted_at(&present, &volume.mount_point);
        match own.filter(|(_, properties)| !is_bind(properties)) {
            Some((key, properties)) => {
                let inherited = mounted_at(&of_source, &volume.mount_point).and_then(|(_, source)| bytes(source));
                disk(comparison, key, properties, &volume.storage, volume.size_gb, inherited);
            }
            None => allocate(comparison, own.map(|(key, _)| key.clone()), volume),
        }
    }
    for bind in &desired.binds {
        let own = mounted_at(&present, &bind.container_path);
        let key = own.map_or_else(|| comparison.free_key("mp"), |(key, _)| key.clone());
        // What is of another kind is replaced as a whole; its volume stays as unused.
        let kept = own.map(|(_, properties)| properties).filter(|properties| is_bind(properties));
        comparison.parts(&key, kept, &bind_parts(bind));
    }
    for (key, properties) in &present {
        let path = properties.get("mp").unwrap_or_default();
        // The same directory is desired as a raw line.
        if is_bind(properties) && desired.raw.iter().any(|line| raw::mounts_at(line, path)) {
            comparison.delete(key);
        }
    }
}

fn is_ours(desired: &Desired, properties: &Properties) -> bool {
    let path = properties.get("mp").unwrap_or_default();
    let volumes = desired.volumes.iter().map(|volume| &volume.mount_point);
    let mut paths = volumes.chain(desired.binds.iter().map(|bind| &bind.container_path));
    paths.any(|own| same_path(own, path)) || desired.raw.iter().any(|line| raw::mounts_at(line, path))
}

fn same_path(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

fn mounted_at<'a>(present: &'a [(String, Properties)], path: &str) -> Option<&'a (String, Properties)> {
    present.iter().find(|(_, properties)| properties.get("mp").is_some_and(|mp| same_path(mp, path)))
}

fn is_bind(properties: &Properties) -> bool {
    properties.get("volume").is_some_and(|volume| volume.starts_with('/'))
}

fn bytes(properties: &Properties) -> Option<u64> {
    properties.get("size").and_then(size::parse).filter(|bytes| *bytes > 0)
}

fn bind_parts(bind: &BindMount) -> [(&'static str, Option<String>); 3] {
    [
        ("volume", Some(bind.host_path.clone())),
        ("mp", Some(bind.container_path.clone())),
        ("ro", bind.read_only.then(|| "1".to_owned())),
    ]
}

/// A volume that is there: it has to lie on its storage and have its size. It can grow; a smaller one, or one on another
/// storage, only a new guest can have. A disk that is no larger than the one it was cloned from (`inherited`, bytes) is
/// as small as it can be.
fn disk(
    comparison: &mut Comparison<'_>,
    key: &str,
    present: &Properties,
    storage: &str,
    size_gb: u32,
    inherited: Option<u64>,
) {
    comparison.ours.insert(key.to_owned());
    let lies_on = present.get("volume").and_then(|volume| volume.split_once(':')).map(|(storage, _)| storage);
    if let Some(other) = lies_on.filter(|other| *other != storage) {
        let (from, to) = (Some(other.to_owned()), Some(storage.to_owned()));
        comparison.changes.add(format!("{key} storage"), from, to, Cost::Rebuild);
    }
    let wanted = u64::from(size_gb) * GIB;
    let Some(is) = bytes(present).filter(|is| *is != wanted) else { return };
    let grows = is < wanted;
    if !grows && inherited.is_some_and(|inherited| is <= inherited) {
        return;
    }
    let cost = if grows { Cost::None } else { Cost::Rebuild };
    comparison.changes.add(format!("{key} size"), Some(size::print(is)), Some(size::print(wanted)), cost);
    if grows {
        comparison.changes.resize.push((key.to_owned(), size::print(wanted)));
    }
}

/// A new volume, at the number of what it replaces or at a free one.
fn allocate(comparison: &mut Comparison<'_>, replaced: Option<String>, volume: &Volume) {
    let doing = if replaced.is_some() { Doing::Change } else { Doing::Add };
    let from = replaced.as_ref().and_then(|key| comparison.coming.get(key).cloned());
    let key = replaced.unwrap_or_else(|| comparison.free_key("mp"));
    let value = format!("{}:{},mp={}", volume.storage, volume.size_gb, volume.mount_point);
    let cost = comparison.cost(&key, doing);
    comparison.changes.add(key.clone(), from, Some(value.clone()), cost);
    comparison.set(&key, value);
}
