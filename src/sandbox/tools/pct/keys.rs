//! Keys of a container's configuration: how values are stored, and which of them a running container takes at once.

use crate::pve::property::Properties;
use crate::pve::table::{Kind, grammar_of, table};
use crate::pve::version::Version;
use crate::sandbox::config::number;
use crate::sandbox::pending;
use crate::sandbox::world::World;

/// Keys that only decide how the node treats the container: stored at once.
const STORED_AT_ONCE: [&str; 9] =
    ["cores", "description", "hookscript", "hostname", "lock", "onboot", "protection", "startup", "tags"];

/// Keys that a running container takes at once.
const HOT: [&str; 4] = ["memory", "swap", "cpulimit", "cpuunits"];

/// Parameters of `pct create` and `pct set` that are no keys of the configuration.
const NO_KEYS: [&str; 15] = [
    "delete",
    "revert",
    "digest",
    "storage",
    "password",
    "ssh-public-keys",
    "start",
    "pool",
    "force",
    "restore",
    "unique",
    "ignore-unpack-errors",
    "bwlimit",
    "ha-managed",
    "node",
];

/// Whether a parameter is a key of the configuration.
pub(super) fn is_key(name: &str) -> bool {
    !NO_KEYS.contains(&name)
}

/// Whether a container has such a key at all.
pub(super) fn exists(name: &str) -> bool {
    let known = |name: &str| table().command("pct set").is_some_and(|(_, spec)| spec.option(name).is_some());
    (is_key(name) && known(name)) || matches!(name, "parent" | "snaptime")
}

/// Whether a running container takes a new value at once. `old` is the value it has. Before Proxmox VE 9 new devices
/// waited for the next start.
pub(super) fn is_hot(world: &World, key: &str, old: Option<&str>) -> bool {
    let new = old.is_none();
    let takes_devices = world.pve_version().is_none_or(|version| version >= Version::of(9, 0));
    STORED_AT_ONCE.contains(&key)
        || HOT.contains(&key)
        || number(key, "net").is_some()
        || number(key, "unused").is_some()
        || (new && number(key, "mp").is_some())
        || (new && takes_devices && number(key, "dev").is_some())
}

/// Whether a running container loses the key at once. Interfaces beyond the tenth wait: a quirk of the real tools.
pub(super) fn is_removed_at_once(key: &str) -> bool {
    STORED_AT_ONCE.contains(&key)
        || (HOT.contains(&key) && key != "memory")
        || number(key, "unused").is_some()
        || number(key, "net").is_some_and(|n| n < 10)
}

/// A value as it is in force: interfaces canonical (one without address gets one), whole numbers without leading
/// zeros, everything else as it was given. Mount points are realised where their volumes are.
pub(super) fn stored(world: &mut World, key: &str, value: &str) -> String {
    if number(key, "net").is_some() {
        return pending::container_nic(world, value);
    }
    let schema = table().command("pct set").and_then(|(_, spec)| spec.option(key));
    match schema.map(|schema| schema.kind) {
        Some(Kind::Integer) => value.parse::<i64>().map_or_else(|_| value.to_owned(), |number| number.to_string()),
        _ => value.to_owned(),
    }
}

/// A property string in canonical order.
pub(super) fn print(option: &str, properties: &Properties) -> String {
    grammar_of("pct set", option).map(|grammar| properties.print(grammar)).unwrap_or_default()
}
