//! Root disk, volumes and directories of the node. Mount points are known by their path inside, never by their number.

use super::super::comparison::{Comparison, entries};
use super::super::effect::Doing;
use super::super::property::Properties;
use super::{Desired, raw};
use crate::model::{BindMount, Volume};

pub(super) fn compare(comparison: &mut Comparison<'_>, desired: &Desired) {
    comparison.root("rootfs", &desired.root);
    let present = comparison.numbered("mp", entries(&comparison.coming));
    // Also those that go with the next start only.
    let current = comparison.numbered("mp", comparison.present.config.current.entries());
    let ours = present.iter().chain(&current).filter(|(_, at)| is_ours(desired, at));
    comparison.ours.extend(ours.map(|(key, _)| key.clone()));
    let of_source =
        comparison.source.map(|source| comparison.numbered("mp", source.current.entries())).unwrap_or_default();
    for volume in &desired.volumes {
        comparison.declares(format!("mount {}", volume.mount_point));
        let own = mounted_at(&present, &volume.mount_point);
        match own.filter(|(_, properties)| !is_bind(properties)) {
            Some((key, properties)) => {
                let inherited = mounted_at(&of_source, &volume.mount_point).map(|(_, source)| source);
                comparison.disk(key, properties, inherited, &volume.storage, volume.size_gb);
                comparison.options(key, properties, &volume.options);
            }
            None => allocate(comparison, own.map(|(key, _)| key.clone()), volume),
        }
    }
    for bind in &desired.binds {
        comparison.declares(format!("mount {}", bind.container_path));
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
    for path in comparison.gone("mount ") {
        if let Some((key, _)) = mounted_at(&present, &path) {
            comparison.drops(format!("mount {path}"));
            if !comparison.changes.delete.contains(key) {
                comparison.delete(key);
            }
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

fn bind_parts(bind: &BindMount) -> Vec<(&'static str, Option<String>)> {
    let parts = [
        ("volume", Some(bind.host_path.clone())),
        ("mp", Some(bind.container_path.clone())),
        ("ro", bind.read_only.then(|| "1".to_owned())),
    ];
    parts.into_iter().chain(bind.id_map.clone().map(|map| ("idmap", Some(map)))).collect()
}

/// A new volume, at the number of what it replaces or at a free one.
fn allocate(comparison: &mut Comparison<'_>, replaced: Option<String>, volume: &Volume) {
    let doing = if replaced.is_some() { Doing::Change } else { Doing::Add };
    let from = replaced.as_ref().and_then(|key| comparison.coming.get(key).cloned());
    let key = replaced.unwrap_or_else(|| comparison.free_key("mp"));
    let mut value = format!("{}:{},mp={}", volume.storage, volume.size_gb, volume.mount_point);
    for (part, of_volume) in &volume.options {
        comparison.declares(format!("{key} {part}"));
        value.push_str(&format!(",{part}={of_volume}"));
    }
    let cost = comparison.cost(&key, doing);
    comparison.changes.add(key.clone(), from, Some(value.clone()), cost);
    comparison.set(&key, value);
}
