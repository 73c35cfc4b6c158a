//! Keys of a machine's configuration: how values are stored, and which of them a running machine takes at once.

use super::*;
use crate::pve::property::Properties;
use crate::pve::table::{Kind, grammar_of, table};
use crate::sandbox::body::sha256;
use crate::sandbox::config::number;
use crate::sandbox::disk::is_drive;
use crate::sandbox::guest;
use crate::sandbox::pending;

/// Keys that only decide how the node treats the machine: stored at once.
const STORED_AT_ONCE: [&str; 14] = [
    "description",
    "hookscript",
    "hotplug",
    "lock",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "onboot",
    "protection",
    "shares",
    "startup",
    "tags",
    "template",
    "vmstatestorage",
];

/// Keys that a running machine takes at once.
const HOT: [&str; 3] = ["balloon", "cpulimit", "cpuunits"];

/// Parameters of `qm create` and `qm set` that are no keys of the configuration.
const NO_KEYS: [&str; 16] = [
    "archive",
    "bwlimit",
    "delete",
    "digest",
    "force",
    "ha-managed",
    "import-working-storage",
    "live-restore",
    "node",
    "pool",
    "revert",
    "skiplock",
    "start",
    "storage",
    "unique",
    "vmid",
];

/// Whether a parameter is a key of the configuration.
pub(super) fn is_key(name: &str) -> bool {
    !NO_KEYS.contains(&name)
}

/// Whether a machine has such a key at all.
pub(super) fn exists(name: &str) -> bool {
    const KEPT: [&str; 8] =
        ["meta", "parent", "runningcpu", "runningmachine", "snaptime", "vmstate", "bootdisk", "running-nets-host-mtu"];
    let known = |name: &str| table().command("qm set").is_some_and(|(_, spec)| spec.option(name).is_some());
    (is_key(name) && known(name)) || KEPT.contains(&name)
}

/// Whether cloud-init reads a key.
pub(super) fn is_cloud_init(key: &str) -> bool {
    const KEYS: [&str; 8] =
        ["cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "nameserver", "searchdomain", "sshkeys"];
    KEYS.contains(&key) || number(key, "ipconfig").is_some()
}

/// Whether a running machine takes a value at once. `old` is the value it has.
pub(super) fn is_hot(key: &str, old: Option<&str>) -> bool {
    let plugged = is_drive(key) && (number(key, "scsi").is_some() || number(key, "virtio").is_some());
    STORED_AT_ONCE.contains(&key)
        || HOT.contains(&key)
        || is_cloud_init(key)
        || number(key, "net").is_some()
        || number(key, "unused").is_some()
        || (plugged && old.is_none())
}

/// Whether a running machine loses a key at once.
pub(super) fn is_removed_at_once(key: &str) -> bool {
    is_hot(key, None)
}

/// A value as it is stored: interfaces canonical (one without address gets one), tags sorted, whole numbers without
/// leading zeros, passwords hashed, everything else as it was given. Drives are stored when their volumes are made.
pub(super) fn stored(world: &mut World, key: &str, value: &str) -> String {
    if number(key, "net").is_some() {
        let mut nic = nic(value);
        match nic.get("macaddr").map(str::to_ascii_uppercase) {
            Some(given) => nic.set("macaddr", given),
            None => nic.set("macaddr", pending::new_mac(world)),
        }
        return print_nic(&nic);
    }
    match key {
        "tags" => return both::tags(value),
        "cipassword" if !value.starts_with('$') => {
            let salt = format!("{:016x}", world.random());
            return format!("$5${salt}${}", &sha256(format!("{salt}{value}").as_bytes())[..43]);
        }
        "vmgenid" if value == "1" => return uuid(world),
        _ => {}
    }
    let schema = table().command("qm set").and_then(|(_, spec)| spec.option(key));
    match schema.map(|schema| schema.kind) {
        Some(Kind::Integer) => value.parse::<i64>().map_or_else(|_| value.to_owned(), |number| number.to_string()),
        _ => value.to_owned(),
    }
}

/// A `netN` of a machine, taken apart.
pub(super) fn nic(value: &str) -> Properties {
    Properties::of_option("qm set", "net0", value).unwrap_or_default()
}

/// A `netN` in canonical order.
pub(super) fn print_nic(nic: &Properties) -> String {
    grammar_of("qm set", "net0").map(|grammar| nic.print(grammar)).unwrap_or_default()
}

/// A random UUID.
pub(super) fn uuid(world: &mut World) -> String {
    let (high, low) = (world.random(), world.random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

/// The options of a call, with the text of `--sshkeys`' file in the place of its path, encoded as Proxmox stores it.
pub(super) fn options(s: &mut Session, call: &Call) -> Done<Vec<(String, String)>> {
    let mut options = call.options.clone();
    for (key, value) in &mut options {
        if key == "sshkeys" {
            *value = ssh_keys(s, value)?;
        }
    }
    options.sort();
    Ok(options)
}

fn ssh_keys(s: &mut Session, path: &str) -> Done<String> {
    let (core, now) = (s.core(), s.now());
    let Some(bytes) = guest::node_file(s.world_mut(), core, path, now) else {
        return Err(fail_with(2, format!("can't open '{path}' - No such file or directory")));
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let is_key = |line: &str| line.starts_with("ssh-") || line.starts_with("ecdsa-") || line.starts_with("sk-");
    if !text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).all(is_key) {
        return Err(fail("SSH public key validation error"));
    }
    Ok(url_encode(&text))
}

fn url_encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!*'()".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
