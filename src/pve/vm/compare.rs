//! The desired virtual machine against the present one.

use super::super::comparison::{Comparison, Rules, same};
use super::super::difference::{Changes, Known};
use super::super::effect::Doing;
use super::super::format::split_list;
use super::super::guest_config::Heading;
use super::super::inventory::Present;
use super::cloud_init::{decoded_keys, lines};
use super::{Desired, HARDWARE, NodeFile, ROOT};
use crate::model::{Address, GuestKind, Nic};

const SET: &str = "qm set";
const RULES: Rules = Rules { kind: GuestKind::Vm, set: SET, means_nothing };

/// How the present machine differs from the desired one, and what mends it. Tags and vendor data that a clone brought
/// along are dropped.
///
/// What will be in force after the next cold start is compared; what is set already and only waits for it is reported,
/// but not set again. Every change of a key of cloud-init makes it set up the machine again at the next start (users,
/// host keys), so they are compared by what they say, and a running machine takes them only with a restart.
pub fn difference(desired: &Desired, present: &Present, known: &Known) -> Changes {
    let mut comparison = Comparison::new(&RULES, present, known);
    for (key, value) in &desired.keys {
        comparison.key(key, value, |is| same(SET, key, is, value));
    }
    if desired.agent && !desired.keys.contains_key("agent") {
        agent(&mut comparison);
    }
    comparison.tags(&desired.tags);
    comparison.startup(&desired.startup);
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
    comparison.root(ROOT, &desired.root);
    // A machine made from an image needs its console, whatever was declared once.
    comparison.forgotten(|key| HARDWARE.iter().find(|(name, _)| *name == key).map(|(_, value)| *value));
    comparison.waiting();
    seen_by_cloud_init(&mut comparison);
    comparison.changes
}

fn means_nothing(part: &str, value: &str) -> bool {
    matches!((part, value), ("firewall" | "enabled", "0"))
}

/// The agent is on; of what was declared of it as a whole before, nothing stays.
fn agent(comparison: &mut Comparison<'_>) {
    const KEY: &str = "agent";
    let present = comparison.properties(KEY);
    let mut parts = vec![("enabled", Some("1".to_owned()))];
    if comparison.was_declared(KEY) {
        let others = present.iter().flat_map(|present| present.iter().map(|(part, _)| part));
        parts.extend(others.filter(|part| *part != "enabled").map(|part| (part, None)));
    }
    if parts.len() > 1 {
        comparison.drops(KEY);
    }
    comparison.parts(KEY, present.as_ref(), &parts);
}

/// The parts of `netN` that are ours, with their values; absent ones are not to be there. A model that is there stays.
fn nic_parts(nic: &Nic, model: Option<String>) -> Vec<(&'static str, Option<String>)> {
    let mut parts = vec![
        ("model", nic.model.clone().or(model).or_else(|| Some("virtio".to_owned()))),
        ("bridge", Some(nic.bridge.clone())),
        ("firewall", nic.firewall.then(|| "1".to_owned())),
        ("tag", nic.vlan.map(|tag| tag.to_string())),
    ];
    let optional = [("mtu", nic.mtu.map(|mtu| mtu.to_string())), ("rate", nic.rate.clone())];
    parts.extend(optional.into_iter().filter(|(_, value)| value.is_some()));
    parts
}

/// `ipconfigN`: cloud-init leaves out interfaces that have none.
fn address(comparison: &mut Comparison<'_>, number: usize, nic: &Nic) {
    let key = format!("ipconfig{number}");
    let (ip, ip6) = match nic.address {
        Address::Manual if nic.address6.is_none() => {
            comparison.ours.insert(key.clone());
            if comparison.coming.contains_key(&key) {
                comparison.delete(&key);
            }
            return;
        }
        Address::Manual => (None, None),
        Address::Dhcp => (Some("dhcp".to_owned()), None),
        Address::Static(cidr) if cidr.address.is_ipv4() => (Some(cidr.to_string()), None),
        Address::Static(cidr) => (None, Some(cidr.to_string())),
    };
    let gateway = |v4: bool| nic.gateway.filter(|gateway| gateway.is_ipv4() == v4).map(|gateway| gateway.to_string());
    comparison.declares(key.clone());
    let ip6 = ip6.or(nic.address6.map(|address| address.to_string()));
    let gw6 = gateway(false).or(nic.gateway6.map(|gateway| gateway.to_string()));
    let mut parts = vec![("ip", ip), ("gw", gateway(true))];
    parts.extend([("ip6", ip6), ("gw6", gw6)].into_iter().filter(|(_, value)| value.is_some()));
    let present = comparison.properties(&key);
    comparison.parts(&key, present.as_ref(), &parts);
}

fn ssh_keys(comparison: &mut Comparison<'_>, file: &NodeFile) {
    const KEY: &str = "sshkeys";
    comparison.ours.insert(KEY.to_owned());
    comparison.declares(KEY);
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
