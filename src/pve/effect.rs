//! When a change of a guest's configuration takes effect: which keys a guest takes while it runs, and which wait for its
//! next start. One table for each kind, complete over the option table.

use super::format::split_list;
use super::guest_config::Section;
use super::version::Version;
use crate::model::GuestKind;

/// What is to happen to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It is not there yet.
    Add,
    /// It has another value.
    Change,
    /// It goes.
    Remove,
}

/// When a running guest takes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// With its next start.
    AtStart,
    /// Whatever happens to it, at once.
    AtOnce,
    /// A new one at once, everything else with its next start.
    New,
    /// The same since this version; before, nothing at once.
    NewSince(Version),
    /// At once, as far as the machine's `hotplug` names this.
    Plugged(&'static str),
    /// A new one at once, as far as the machine's `hotplug` names this.
    NewPlugged(&'static str),
}

use Takes::{AtOnce, AtStart, New, NewPlugged, NewSince, Plugged};

/// Keys of containers, numbered ones by their stem. Raw `lxc.*` lines count at the next start.
const LXC: [(&str, Takes); 29] = [
    ("arch", AtStart),
    ("cmode", AtStart),
    ("console", AtStart),
    ("cores", AtOnce),
    ("cpulimit", AtOnce),
    ("cpuunits", AtOnce),
    ("debug", AtStart),
    ("description", AtOnce),
    ("dev", NewSince(Version::of(9, 0))),
    ("entrypoint", AtStart),
    ("env", AtStart),
    ("features", AtStart),
    ("hookscript", AtOnce),
    ("hostname", AtOnce),
    ("lock", AtOnce),
    ("memory", AtOnce),
    ("mp", New),
    ("nameserver", AtStart),
    ("net", AtOnce),
    ("onboot", AtOnce),
    ("ostype", AtStart),
    ("protection", AtOnce),
    ("rootfs", AtStart),
    ("searchdomain", AtStart),
    ("startup", AtOnce),
    ("swap", AtOnce),
    ("tags", AtOnce),
    ("timezone", AtStart),
    ("tty", AtStart),
];

/// Keys of virtual machines that do not wait for a cold start; all others do. What cloud-init reads, the name among it,
/// is stored at once, but the machine sees it when it starts.
const VM: [(&str, Takes); 20] = [
    ("balloon", AtOnce),
    ("cpulimit", AtOnce),
    ("cpuunits", AtOnce),
    ("description", AtOnce),
    ("hookscript", AtOnce),
    ("hotplug", AtOnce),
    ("ide", AtStart),
    ("lock", AtOnce),
    ("memory", Plugged("memory")),
    ("migrate_downtime", AtOnce),
    ("migrate_speed", AtOnce),
    ("net", Plugged("network")),
    ("onboot", AtOnce),
    ("protection", AtOnce),
    ("scsi", NewPlugged("disk")),
    ("shares", AtOnce),
    ("startup", AtOnce),
    ("tags", AtOnce),
    ("vcpus", Plugged("cpu")),
    ("virtio", NewPlugged("disk")),
];

/// What a machine takes while it runs, when its configuration does not say.
const HOTPLUG: &str = "network,disk,usb";

/// Interfaces of a running container beyond these are removed with its next start only.
const FIRST_INTERFACES: u32 = 10;

/// Whether a running guest takes this at once: a key (`memory`), or a part of one (`net0 macaddr`). `node`: the version of
/// Proxmox VE; the newest if it is not known.
pub fn is_at_once(kind: GuestKind, key: &str, doing: Doing, current: &Section, node: Option<Version>) -> bool {
    let (key, part) = key.split_once(' ').unwrap_or((key, ""));
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let rows: &[(&str, Takes)] = match kind {
        GuestKind::Lxc => &LXC,
        GuestKind::Vm => &VM,
    };
    let plugs = |what: &str| {
        let hotplug = current.get("hotplug").unwrap_or(HOTPLUG);
        let hotplug = if hotplug == "1" { HOTPLUG } else { hotplug };
        split_list(hotplug).contains(&what)
    };
    match rows.iter().find(|(name, _)| *name == key || *name == stem).map(|(_, takes)| takes) {
        // The card itself would have to be another one.
        Some(Plugged("network")) if matches!(part, "macaddr" | "model") => false,
        Some(AtOnce) if kind == GuestKind::Lxc && stem == "net" && doing == Doing::Remove => {
            key[stem.len()..].parse::<u32>().is_ok_and(|number| number < FIRST_INTERFACES)
        }
        Some(AtOnce) => true,
        Some(New) => doing == Doing::Add,
        Some(NewSince(since)) => doing == Doing::Add && node.is_none_or(|node| node >= *since),
        Some(Plugged(what)) => plugs(what),
        Some(NewPlugged(what)) => doing == Doing::Add && plugs(what),
        Some(AtStart) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::guest_config::GuestConfig;
    use crate::pve::table::table;

    fn at_once(kind: GuestKind, key: &str, doing: Doing, config: &str) -> bool {
        is_at_once(kind, key, doing, &GuestConfig::parse(config).current, None)
    }

    #[test]
    fn every_key_of_containers_has_its_row_and_no_row_is_of_nothing() {
        let (_, set) = table().command("pct set").unwrap();
        let no_keys = ["delete", "digest", "revert", "template", "unprivileged", "unused", "vmid"];
        let stem = |name: &String| name.strip_suffix('N').unwrap_or(name).to_owned();
        let keys: Vec<String> = set.options.keys().map(stem).filter(|name| !no_keys.contains(&name.as_str())).collect();
        assert_eq!(keys, LXC.map(|(name, _)| name));
        let (_, set) = table().command("qm set").unwrap();
        let keys: Vec<String> = set.options.keys().map(stem).collect();
        let unknown: Vec<&str> =
            VM.iter().map(|(name, _)| *name).filter(|name| !keys.iter().any(|key| key == name)).collect();
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn containers_take_new_mount_points_and_devices_while_they_run() {
        let lxc = |key, doing| at_once(GuestKind::Lxc, key, doing, "");
        assert!(lxc("mp3", Doing::Add) && lxc("dev0", Doing::Add));
        let before_9 = Some(Version::of(8, 4));
        assert!(!is_at_once(GuestKind::Lxc, "dev0", Doing::Add, &GuestConfig::default().current, before_9));
        assert!(!lxc("mp3", Doing::Change) && !lxc("dev0", Doing::Remove));
        assert!(lxc("net9", Doing::Remove) && !lxc("net10", Doing::Remove));
        assert!(lxc("net0 ip", Doing::Change) && !lxc("features nesting", Doing::Change));
    }

    #[test]
    fn machines_take_what_their_hotplug_says() {
        let vm = |key, doing, config| at_once(GuestKind::Vm, key, doing, config);
        assert!(vm("net0 bridge", Doing::Change, ""));
        assert!(!vm("net0 macaddr", Doing::Change, "") && !vm("net0 model", Doing::Change, ""));
        assert!(!vm("net0 bridge", Doing::Change, "hotplug: disk,usb\n") && !vm("net1", Doing::Add, "hotplug: 0\n"));
        assert!(!vm("memory", Doing::Change, "") && vm("memory", Doing::Change, "hotplug: network,memory\n"));
        assert!(!vm("cores", Doing::Change, "hotplug: network,cpu\n") && !vm("cpu", Doing::Change, ""));
        assert!(!vm("name", Doing::Change, "") && !vm("ipconfig0 ip", Doing::Change, ""));
    }
}
