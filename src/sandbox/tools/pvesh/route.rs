//! Which paths of the API there are, and the parameters that each of their methods takes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::firewall::{Owner, place};
use crate::pve::table::{CommandSpec, Schema, table};

/// Parameters of paths that no command of the other tools has.
static PARAMETERS: LazyLock<BTreeMap<String, BTreeMap<String, Schema>>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("parameters.json")).expect("parameters.json is part of the program and tested")
});

/// Where the parameters of a method are listed.
enum Parameters {
    /// Those of a command, without those that stand in the path.
    Of(&'static str),
    /// A list of our own.
    Named(&'static str),
}

/// What `pvesh METHOD PATH` takes: its own options and the parameters of the path, if there is such a path. Without
/// one it takes its own options only.
pub(super) fn specification(method: &str, parts: &[&str]) -> CommandSpec {
    let mut spec = table().command(&format!("pvesh {method}")).map(|(_, spec)| spec.clone()).unwrap_or_default();
    let more = match find(method, parts) {
        Some(Parameters::Named(name)) => PARAMETERS.get(name).cloned().unwrap_or_default(),
        Some(Parameters::Of(command)) => {
            let mut options = table().command(command).map(|(_, spec)| spec.options.clone()).unwrap_or_default();
            for name in in_path(parts) {
                options.remove(*name);
            }
            options
        }
        None => BTreeMap::new(),
    };
    spec.options.extend(more);
    spec
}

/// Whether a list of our own has a parameter.
pub(super) fn has(list: &str, name: &str) -> bool {
    PARAMETERS.get(list).is_some_and(|list| list.contains_key(name))
}

/// Whether the path has this method.
pub(super) fn exists(method: &str, parts: &[&str]) -> bool {
    find(method, parts).is_some()
}

/// Parameters that the path itself gives.
fn in_path(parts: &[&str]) -> &'static [&'static str] {
    match parts {
        ["nodes", _, "lxc" | "qemu", _, "snapshot", _, ..] => &["vmid", "snapname", "node"],
        ["nodes", _, "lxc" | "qemu", _, ..] => &["vmid", "node"],
        _ => &["node"],
    }
}

fn find(method: &str, parts: &[&str]) -> Option<Parameters> {
    use Parameters::{Named, Of};
    if let Some((owner, rest)) = place(parts) {
        return firewall(method, owner, rest).map(Named);
    }
    Some(match (method, parts) {
        ("get", [] | ["version" | "nodes" | "cluster" | "access"] | ["nodes", _] | ["nodes", _, "version"]) => {
            Named("none")
        }
        ("get", ["pools"]) => Named("pools"),
        ("get", ["storage"] | ["storage", _]) => Named("none"),
        ("get", ["cluster", "nextid"]) => Named("free id"),
        ("get", ["cluster", "resources"]) => Named("resources"),
        ("get", ["nodes", _, "storage"]) => Named("storages"),
        ("get", ["nodes", _, "storage", _] | ["nodes", _, "storage", _, "status"]) => Named("none"),
        ("get", ["nodes", _, "storage", _, "content"]) => Named("content"),
        ("get", ["nodes", _, "lxc"]) => Named("none"),
        ("get", ["nodes", _, "qemu"]) => Named("machines"),
        ("create", ["nodes", _, "lxc"]) => Of("pct create"),
        ("create", ["nodes", _, "qemu"]) => Of("qm create"),
        (method, ["nodes", _, "lxc", _, rest @ ..]) => return guest(method, rest, "pct"),
        (method, ["nodes", _, "qemu", _, rest @ ..]) => return guest(method, rest, "qm"),
        _ => return None,
    })
}

/// What can be done below a guest.
fn guest(method: &str, rest: &[&str], tool: &'static str) -> Option<Parameters> {
    use Parameters::{Named, Of};
    let of = |pct: &'static str, qm: &'static str| Some(Of(if tool == "pct" { pct } else { qm }));
    match (method, rest) {
        ("get", [] | ["status"] | ["status", "current"] | ["pending"] | ["snapshot"] | ["snapshot", _]) => {
            Some(Named("none"))
        }
        ("get", ["snapshot", _, "config"]) => Some(Named("none")),
        ("get", ["config"]) => Some(Named("configuration")),
        ("get", ["feature"]) => Some(Named("feature")),
        ("get", ["interfaces"]) if tool == "pct" => Some(Named("none")),
        ("delete", []) => of("pct destroy", "qm destroy"),
        ("set", ["config"]) => of("pct set", "qm set"),
        ("create", ["config"]) if tool == "qm" => Some(Of("qm set")),
        ("set", ["resize"]) => of("pct resize", "qm disk resize"),
        ("create", ["clone"]) => of("pct clone", "qm clone"),
        ("create", ["template"]) => of("pct template", "qm template"),
        ("create", ["snapshot"]) => of("pct snapshot", "qm snapshot"),
        ("create", ["snapshot", _, "rollback"]) => of("pct rollback", "qm rollback"),
        ("delete", ["snapshot", _]) => of("pct delsnapshot", "qm delsnapshot"),
        ("create", ["status", "start"]) => of("pct start", "qm start"),
        ("create", ["status", "stop"]) => of("pct stop", "qm stop"),
        ("create", ["status", "shutdown"]) => of("pct shutdown", "qm shutdown"),
        ("create", ["status", "reboot"]) => of("pct reboot", "qm reboot"),
        ("create", ["status", "suspend"]) => of("pct suspend", "qm suspend"),
        ("create", ["status", "resume"]) => of("pct resume", "qm resume"),
        ("create", ["status", "reset"]) if tool == "qm" => Some(Of("qm reset")),
        ("create", ["move_volume"]) if tool == "pct" => Some(Of("pct move-volume")),
        ("create", ["move_disk"]) if tool == "qm" => Some(Of("qm disk move")),
        ("set", ["unlink"]) if tool == "qm" => Some(Of("qm disk unlink")),
        _ => None,
    }
}

/// What can be done with a firewall; `rest` is the path below it.
fn firewall(method: &str, owner: Owner, rest: &[&str]) -> Option<&'static str> {
    let (cluster, node) = (owner == Owner::Cluster, matches!(owner, Owner::Node(_)));
    Some(match (method, rest) {
        ("get", [] | ["options"] | ["rules"] | ["rules", _]) => "none",
        ("set", ["options"]) => owner.options(),
        ("create", ["rules"]) => "rule",
        ("set", ["rules", _]) => "rule update",
        ("delete", ["rules", _]) => "digest",
        // A node has rules and options only.
        _ if node => return None,
        ("get", ["refs"]) => "refs",
        ("get", ["aliases"] | ["aliases", _] | ["ipset"] | ["ipset", _] | ["ipset", _, _]) => "none",
        ("create", ["aliases"]) => "alias",
        ("set", ["aliases", _]) => "alias update",
        ("delete", ["aliases", _] | ["ipset", _, _]) => "digest",
        ("create", ["ipset"]) => "set",
        ("delete", ["ipset", _]) => "set delete",
        ("create", ["ipset", _]) => "entry",
        ("set", ["ipset", _, _]) => "entry update",
        ("get", ["groups"] | ["groups", _] | ["groups", _, _]) if cluster => "none",
        ("create", ["groups"]) if cluster => "group",
        ("create", ["groups", _]) if cluster => "rule",
        ("set", ["groups", _, _]) if cluster => "rule update",
        ("delete", ["groups", _]) if cluster => "none",
        ("delete", ["groups", _, _]) if cluster => "digest",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_list_exists() {
        let paths = ["nodes/n/lxc/1/firewall", "nodes/n/firewall", "cluster/firewall"];
        let below = ["options", "rules", "rules/0", "aliases", "aliases/a", "ipset", "ipset/a", "ipset/a/b", "refs"];
        for (path, rest) in paths.iter().flat_map(|path| below.iter().map(move |rest| (path, rest))) {
            let whole = format!("{path}/{rest}");
            let parts: Vec<&str> = whole.split('/').collect();
            for method in ["get", "set", "create", "delete"] {
                if let Some(Parameters::Named(name)) = find(method, &parts) {
                    assert!(PARAMETERS.contains_key(name), "{method} {whole}: {name}");
                }
            }
        }
    }

    #[test]
    fn what_stands_in_the_path_is_no_parameter() {
        let spec = specification("create", &["nodes", "n", "lxc", "101", "clone"]);
        assert!(spec.option("newid").is_some() && spec.option("vmid").is_none());
        let spec = specification("create", &["nodes", "n", "lxc"]);
        assert!(spec.option("vmid").is_some_and(|schema| !schema.optional));
        assert!(specification("get", &["nosuch"]).option("output-format").is_some());
    }
}
