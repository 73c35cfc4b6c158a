//! Interfaces: `net0`, `net1` ... in a row.

use serde_json::{Map, Value, json};

use super::options::number;
use crate::model::GuestKind;
use crate::pve::format::split_list;
use crate::pve::guest_config::Section;
use crate::pve::property::Properties;

/// Adds the interfaces, as far as they are numbered without a gap.
pub(super) fn add(kind: GuestKind, config: &Section, entry: &mut Map<String, Value>) {
    let command = if kind == GuestKind::Lxc { "pct set" } else { "qm set" };
    let parts = |key: &str| Properties::of_option(command, key, config.get(key)?);
    let mut others = Vec::new();
    for at in 0..32 {
        let Some(nic) = parts(&format!("net{at}")) else { break };
        let address = match kind {
            GuestKind::Lxc => nic.clone(),
            GuestKind::Vm => parts(&format!("ipconfig{at}")).unwrap_or_default(),
        };
        let Some(mut network) = network(kind, &nic, &address) else { break };
        let hardware = nic.get(if kind == GuestKind::Lxc { "hwaddr" } else { "macaddr" });
        if at > 0 {
            network.extend(hardware.map(|address| ("mac_address".to_owned(), address.into())));
            others.push(Value::Object(network));
            continue;
        }
        if kind == GuestKind::Vm {
            entry.extend(network.shift_remove("bridge").map(|bridge| ("network_bridge".to_owned(), bridge)));
        }
        let servers: Vec<&str> = config.get("nameserver").map(split_list).unwrap_or_default();
        let list = if kind == GuestKind::Lxc { "nameservers" } else { "nameserver" };
        if !servers.is_empty() {
            network.insert(list.to_owned(), servers.join(" ").into());
        }
        network.extend(config.get("searchdomain").map(|domain| ("searchdomain".to_owned(), domain.into())));
        entry.insert("network_config".to_owned(), Value::Object(network));
        entry.extend(hardware.map(|address| ("mac_address".to_owned(), address.into())));
    }
    if !others.is_empty() {
        entry.insert("additional_networks".to_owned(), others.into());
    }
}

/// One interface; none without a bridge.
fn network(kind: GuestKind, nic: &Properties, address: &Properties) -> Option<Map<String, Value>> {
    let mut network = Map::new();
    if kind == GuestKind::Lxc {
        network.insert("name".to_owned(), nic.get("name")?.into());
    }
    network.insert("bridge".to_owned(), nic.get("bridge")?.into());
    network.insert("ip".to_owned(), address.get("ip").unwrap_or("manual").into());
    for part in ["gw", "ip6", "gw6"] {
        network.extend(address.get(part).map(|value| (part.to_owned(), value.into())));
    }
    for (part, field) in [("tag", "vlan"), ("mtu", "mtu"), ("rate", "rate")] {
        network.extend(nic.get(part).and_then(number).map(|value| (field.to_owned(), value)));
    }
    if let Some(model) = nic.get("model").filter(|model| ["e1000", "e1000e", "vmxnet3"].contains(model)) {
        network.insert("model".to_owned(), model.into());
    }
    network.insert("firewall".to_owned(), json!(nic.is_on("firewall")));
    Some(network)
}
