//! Root disk, volumes and directories of the node. Mount points are known by their path inside, never by their number.

use super::super::comparison::{Comparison, Doing, entries};
use super::super::property::Properties;
use super::{Desired, raw};
use crate::model::{BindMount, Volume};

pub(super) fn compare(comparison: &mut Comparison<'_>, desired: &Desired) {
    if let Some(root) = comparison.properties("rootfs") {
        let of_source = comparison.properties_of_source("rootfs");
        comparison.disk("rootfs", &root, of_source.as_ref(), &desired.root.storage, desired.root.size_gb);
    }
    let present = comparison.numbered("mp", entries(&comparison.coming));
    // Also those that go with the next start only.
    let current = comparison.numbered("mp", comparison.present.config.current.entries());
    let ours = present.iter().chain(&current).filter(|(_, at)| is_ours(desired, at));
    comparison.ours.extend(ours.map(|(key, _)| key.clone()));
    let of_source =
        comparison.source.map(|source| comparison.numbered("mp", source.current.entries())).unwrap_or_default();
    for volume in &desired.volumes {
        let own = mounted_at(&present, &volume.mount_point);
        match own.filter(|(_, properties)| !is_bind(properties)) {
            Some((key, properties)) => {
                let inherited = mounted_at(&of_source, &volume.mount_point).map(|(_, source)| source);
                comparison.disk(key, properties, inherited, &volume.storage, volume.size_gb);
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

fn bind_parts(bind: &BindMount) -> [(&'static str, Option<String>); 3] {
    [
        ("volume", Some(bind.host_path.clone())),
        ("mp", Some(bind.container_path.clone())),
        ("ro", bind.read_only.then(|| "1".to_owned())),
    ]
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
