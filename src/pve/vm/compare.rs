//! The desired virtual machine against the present one.

use std::collections::BTreeMap;

use super::super::comparison::{Comparison, Doing, Rules, same_list, same_value};
use super::super::difference::Changes;
use super::super::format::split_list;
use super::super::guest_config::{GuestConfig, Heading};
use super::super::inventory::Present;
use super::super::property::Properties;
use super::cloud_init::{decoded_keys, lines};
use super::{Desired, NodeFile, ROOT};
use crate::model::{Address, Nic};

const RULES: Rules = Rules { set: "qm set", at_once, means_nothing };

/// How the present machine differs from the desired one, and what mends it. `source` is the configuration of the
/// machine it was cloned from: tags and vendor data that a clone brought along are dropped.
///
/// What will be in force after the next cold start is compared; what is set already and only waits for it is reported,
/// but not set again. Every change of a key of cloud-init makes it set up the machine again at the next start (users,
/// host keys), so they are compared by what they say, and a running machine takes them only with a restart.
pub fn difference(desired: &Desired, present: &Present, source: Option<&GuestConfig>) -> Changes {
    let mut comparison = Comparison::new(&RULES, present, source);
    for (key, value) in &desired.keys {
        comparison.key(key, value, |is| same(key, is, value));
    }
    if !desired.keys.contains_key("agent") {
        let agent = comparison.properties("agent");
        comparison.parts("agent", agent.as_ref(), &[("enabled", Some("1".to_owned()))]);
    }
    comparison.tags(&desired.tags);
    comparison.startup(desired.startup.0, desired.startup.1);
    for (number, nic) in desired.nics.iter().enumerate() {
        let key = format!("net{number}");
        let model = comparison.properties(&key).and_then(|present| present.get("model").map(str::to_owned));
        comparison.nic(&key, nic_parts(nic, model), "macaddr", nic);
        address(&mut comparison, number, nic);
    }
    if let Some(keys) = &desired.ssh_keys {
        ssh_keys(&mut comparison, keys);
    }
    vendor(&mut comparison, desired);
    if let Some(root) = comparison.properties(ROOT) {
        let of_source = comparison.properties_of_source(ROOT);
        comparison.disk(ROOT, &root, of_source.as_ref(), &desired.root.storage, desired.root.size_gb);
    }
    comparison.waiting();
    seen_by_cloud_init(&mut comparison);
    comparison.changes
}

/// What a running machine takes at once. Keys of cloud-init are stored, but the machine reads them when it starts; its
/// name and its addresses on the network are among them.
fn at_once(key: &str, _doing: Doing) -> bool {
    if key.ends_with(" macaddr") {
        return false;
    }
    let key = key.split(' ').next().unwrap_or(key);
    let hot = ["onboot", "startup", "tags", "description", "protection", "hookscript", "net"];
    let limits = ["balloon", "shares", "cpulimit", "cpuunits"];
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    hot.contains(&stem) || limits.contains(&stem)
}

fn means_nothing(part: &str, value: &str) -> bool {
    matches!((part, value), ("firewall" | "enabled", "0"))
}

/// Whether two values of a key say the same.
fn same(key: &str, is: &str, wanted: &str) -> bool {
    if matches!(key, "nameserver" | "searchdomain") {
        return same_list(is, wanted);
    }
    let parts = |text| {
        let properties = Properties::of_option("qm set", key, text)?;
        let pairs = properties.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(pairs.collect::<BTreeMap<_, _>>())
    };
    same_value(is, wanted) || parts(is).is_some_and(|is| Some(is) == parts(wanted))
}

/// The parts of `netN` that are ours, with their values; absent ones are not to be there. A model that is there stays.
fn nic_parts(nic: &Nic, model: Option<String>) -> Vec<(&'static str, Option<String>)> {
    vec![
        ("model", model.or_else(|| Some("virtio".to_owned()))),
        ("bridge", Some(nic.bridge.clone())),
        ("firewall", nic.firewall.then(|| "1".to_owned())),
        ("tag", nic.vlan.map(|tag| tag.to_string())),
    ]
}

/// `ipconfigN`: cloud-init leaves out interfaces that have none.
fn address(comparison: &mut Comparison<'_>, number: usize, nic: &Nic) {
    let key = format!("ipconfig{number}");
    let (ip, ip6) = match nic.address {
        Address::Manual => {
            comparison.ours.insert(key.clone());
            if comparison.coming.contains_key(&key) {
                comparison.delete(&key);
            }
            return;
        }
        Address::Dhcp => (Some("dhcp".to_owned()), None),
        Address::Static(cidr) if cidr.address.is_ipv4() => (Some(cidr.to_string()), None),
        Address::Static(cidr) => (None, Some(cidr.to_string())),
    };
    let gateway = |v4: bool| nic.gateway.filter(|gateway| gateway.is_ipv4() == v4).map(|gateway| gateway.to_string());
    let parts = [("ip", ip), ("gw", gateway(true)), ("ip6", ip6), ("gw6", gateway(false))];
    let present = comparison.properties(&key);
    comparison.parts(&key, present.as_ref(), &parts);
}

fn ssh_keys(comparison: &mut Comparison<'_>, file: &NodeFile) {
    const KEY: &str = "sshkeys";
    comparison.ours.insert(KEY.to_owned());
    let is = comparison.coming.get(KEY).map(|stored| decoded_keys(stored)).unwrap_or_default();
    let wanted = lines(&file.content);
    if is != wanted {
        let doing = if is.is_empty() { Doing::Add } else { Doing::Change };
        let cost = comparison.cost(KEY, doing);
        let names = |keys: &[String]| {
            (!keys.is_empty()).then(|| keys.iter().map(|key| name(key)).collect::<Vec<_>>().join(", "))
        };
        comparison.changes.add(KEY, names(&is), names(&wanted), cost);
        comparison.set(KEY, file.path.clone());
    }
}

/// A public key by its comment, else by its end.
fn name(key: &str) -> String {
    let mut words = key.split_whitespace().skip(1);
    let (body, comment) = (words.next().unwrap_or(key), words.collect::<Vec<_>>().join(" "));
    if comment.is_empty() {
        format!("...{}", body.chars().skip(body.chars().count().saturating_sub(12)).collect::<String>())
    } else {
        comment
    }
}

/// `cicustom`: the vendor's data of a machine made from an image; what a clone brought along goes.
fn vendor(comparison: &mut Comparison<'_>, desired: &Desired) {
    const KEY: &str = "cicustom";
    if desired.keys.contains_key(KEY) {
        return;
    }
    if let Some(vendor) = &desired.vendor {
        let present = comparison.properties(KEY);
        comparison.parts(KEY, present.as_ref(), &[("vendor", Some(vendor.volume.clone()))]);
        return;
    }
    let of_source = comparison.source.and_then(|source| source.current.get(KEY));
    if of_source.is_some() && comparison.coming.get(KEY).map(String::as_str) == of_source {
        comparison.delete(KEY);
    }
}

/// Keys of ours that a running machine's cloud-init has not seen: Proxmox stores them at once and notes beside what the
/// present drive holds, or that it does not know them yet.
fn seen_by_cloud_init(comparison: &mut Comparison<'_>) {
    let config = &comparison.present.config;
    let Some(seen) = config.section(&Heading::Special("cloudinit".to_owned())).filter(|_| comparison.present.running)
    else {
        return;
    };
    let added = seen.get("added").map(split_list).unwrap_or_default();
    let unseen = seen.entries().map(|(key, value)| (key, Some(value))).filter(|(key, _)| *key != "added");
    let unseen = unseen.chain(added.into_iter().map(|key| (key, None)));
    for (key, was) in unseen {
        let is = config.current.get(key);
        if comparison.ours.contains(key) && is != was {
            comparison.waits(key, was.map(str::to_owned), is.map(str::to_owned));
        }
    }
}
