//! A container as a declaration.

use serde_json::{Map, Value, json};

use super::{network, options};
use crate::model::GuestKind;
use crate::pve::inventory::Present;
use crate::pve::property::Properties;

/// Its entry in `lxc_configs`.
pub(super) fn entry(present: &Present) -> Map<String, Value> {
    let config = &present.config.current;
    let mut entry = Map::new();
    entry.insert("name".to_owned(), config.get("hostname").unwrap_or_default().into());
    entry.insert("imported".to_owned(), true.into());
    common(present, &mut entry);
    entry.extend(whole(config.get("swap")).map(|swap| ("swap_mb".to_owned(), swap)));
    if let Some(root) = config.get("rootfs").and_then(|text| Properties::of_option("pct set", "rootfs", text)) {
        disk(&root, "volume", &mut entry, ("storage_pool", "storage_size_gb"));
        let of_itself = ["volume", "size"];
        let others = root.iter().filter(|(part, _)| !of_itself.contains(part));
        let others: Vec<Value> = others.map(|(part, value)| format!("{part}={value}").into()).collect();
        if !others.is_empty() {
            entry.insert("disk_options".to_owned(), others.into());
        }
    }
    network::add(GuestKind::Lxc, config, &mut entry);
    entry.insert("unprivileged".to_owned(), config.is_on("unprivileged").into());
    mounts(present, &mut entry);
    devices(present, &mut entry);
    let features = config.get("features").and_then(|text| Properties::of_option("pct set", "features", text));
    let features: Vec<Value> =
        features.iter().flat_map(Properties::iter).map(|(name, value)| format!("{name}={value}").into()).collect();
    if !features.is_empty() {
        entry.insert("pct_options".to_owned(), features.into());
    }
    options::add(GuestKind::Lxc, config, |_| false, &mut entry);
    let raw: Vec<Value> = config.raw().map(|(key, value)| format!("{key}: {value}").into()).collect();
    if !raw.is_empty() {
        entry.insert("lxc_options".to_owned(), raw.into());
    }
    entry
}

/// What both kinds say alike, but for the name.
pub(super) fn common(present: &Present, entry: &mut Map<String, Value>) {
    let config = &present.config.current;
    let tags: Vec<Value> = config.tags().into_iter().filter(|tag| *tag != crate::pve::MARK).map(Value::from).collect();
    if !tags.is_empty() {
        entry.insert("tags".to_owned(), tags.into());
    }
    if present.config.is_template() {
        entry.insert("is_template".to_owned(), true.into());
    }
    for (key, field) in [("cores", "cores"), ("memory", "memory_mb")] {
        entry.extend(whole(config.get(key)).map(|value| (field.to_owned(), value)));
    }
    if config.is_on("onboot") {
        entry.insert("start_at_boot".to_owned(), true.into());
    }
    for part in config.get("startup").into_iter().flat_map(|text| text.split(',')) {
        let (key, value) = part.trim().split_once('=').unwrap_or(("order", part.trim()));
        let field = match key {
            "order" => "boot_order",
            "up" => "boot_delay",
            "down" => "shutdown_timeout",
            _ => continue,
        };
        entry.extend(whole(Some(value)).map(|value| (field.to_owned(), value)));
    }
}

fn whole(text: Option<&str>) -> Option<Value> {
    text?.parse::<u64>().ok().map(Value::from)
}

/// Storage and, if it is whole, size of a disk.
pub(super) fn disk(disk: &Properties, source: &str, entry: &mut Map<String, Value>, fields: (&str, &str)) -> bool {
    let volume = disk.get(source).unwrap_or_default();
    let Some((storage, _)) = volume.split_once(':').filter(|_| !volume.starts_with('/')) else { return false };
    entry.insert(fields.0.to_owned(), storage.into());
    let bytes = disk.get("size").and_then(crate::pve::size::parse).unwrap_or_default();
    let gib = crate::pve::size::GIB;
    if bytes > 0 && bytes.is_multiple_of(gib) {
        entry.insert(fields.1.to_owned(), (bytes / gib).into());
    }
    true
}

/// `mpN`: volumes and directories.
fn mounts(present: &Present, entry: &mut Map<String, Value>) {
    let (mut volumes, mut binds) = (Vec::new(), Vec::new());
    for (_, text) in present.config.current.entries().filter(|(key, _)| is_numbered(key, "mp")) {
        let Some(point) = Properties::of_option("pct set", "mp0", text) else { continue };
        let (Some(source), Some(path)) = (point.get("volume"), point.get("mp")) else { continue };
        let mut item = Map::new();
        if source.starts_with('/') {
            // Devices are no directories.
            if source.starts_with("/dev/") {
                continue;
            }
            item.insert("host_path".to_owned(), source.into());
            item.insert("container_path".to_owned(), path.into());
            if point.is_on("ro") {
                item.insert("read_only".to_owned(), true.into());
            }
            item.extend(point.get("idmap").map(|map| ("idmap".to_owned(), map.into())));
            binds.push(Value::Object(item));
            continue;
        }
        if !disk(&point, "volume", &mut item, ("pool", "size_gb")) || !item.contains_key("size_gb") {
            continue;
        }
        item.insert("mount_point".to_owned(), path.into());
        for (part, field) in
            [("backup", "backup"), ("replicate", "replicate"), ("ro", "read_only"), ("acl", "acl"), ("quota", "quota")]
        {
            item.extend(point.get(part).map(|value| (field.to_owned(), json!(value == "1"))));
        }
        if let Some(options) = point.get("mountoptions") {
            item.insert("mount_options".to_owned(), options.split(';').map(Value::from).collect());
        }
        volumes.push(Value::Object(item));
    }
    for (field, items) in [("zfs_volumes", volumes), ("mount_points", binds)] {
        if !items.is_empty() {
            entry.insert(field.to_owned(), items.into());
        }
    }
}

/// `devN`.
fn devices(present: &Present, entry: &mut Map<String, Value>) {
    let mut devices = Vec::new();
    for (_, text) in present.config.current.entries().filter(|(key, _)| is_numbered(key, "dev")) {
        let Some(device) = Properties::of_option("pct set", "dev0", text) else { continue };
        let Some(path) = device.get("path") else { continue };
        let mut item = Map::new();
        item.insert("path".to_owned(), path.into());
        item.extend(device.get("mode").map(|mode| ("mode".to_owned(), mode.into())));
        for part in ["uid", "gid"] {
            item.extend(whole(device.get(part)).map(|value| (part.to_owned(), value)));
        }
        if device.is_on("deny-write") {
            item.insert("deny_write".to_owned(), true.into());
        }
        devices.push(Value::Object(item));
    }
    if !devices.is_empty() {
        entry.insert("devices".to_owned(), devices.into());
    }
}

fn is_numbered(key: &str, stem: &str) -> bool {
    key.strip_prefix(stem).is_some_and(|number| number.parse::<u32>().is_ok())
}
