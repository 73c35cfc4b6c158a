//! Network interfaces: `network_config` is the first, `additional_networks` are the others.

use super::asked::Kind;
use super::decode::Fields;
use crate::model::{Address, Address6, Guest, GuestKind, Nic};

/// Emulated network cards of virtual machines.
const MODELS: [&str; 4] = ["virtio", "e1000", "e1000e", "vmxnet3"];

/// The interface that `network_config` describes, with `network` opened already; hardware address and bridge of
/// virtual machines stand in the entry.
pub fn first(entry: &Fields, network: &Fields, bridge: Option<String>, guest: &Guest) -> Nic {
    let nic = nic(network, "eth0", guest);
    Nic { bridge: bridge.unwrap_or_default(), mac: entry.parsed("mac_address", Kind::Mac), ..nic }
}

/// The interfaces after the first.
pub fn additional(entry: &Fields, guest: &mut Guest) {
    for (number, network) in entry.maps("additional_networks").into_iter().enumerate() {
        network.require("bridge", "a bridge of the node, for example vmbr1");
        network.require("ip", "an address with prefix length like 192.0.2.10/24, `dhcp` or `manual`");
        let nic = Nic {
            bridge: network.string("bridge").unwrap_or_default(),
            mac: network.parsed("mac_address", Kind::Mac),
            ..nic(&network, &format!("eth{}", number + 1), guest)
        };
        network.finish();
        guest.nics.push(nic);
    }
}

/// What all interfaces declare alike.
fn nic(network: &Fields, name: &str, guest: &Guest) -> Nic {
    let address = network.parsed("ip", Kind::GuestAddress).unwrap_or(Address::Dhcp);
    let address6: Option<Address6> = network.parsed("ip6", Kind::Text);
    if address6.is_some() && address.cidr().is_some_and(|cidr| cidr.address.is_ipv6()) {
        network.reject("two-values", "ip6", "and `ip` both are IPv6 addresses");
    }
    let virtual_machine = guest.kind == GuestKind::Vm;
    let models = MODELS.map(|model| (model, model.to_owned()));
    Nic {
        gateway: network.parsed("gw", Kind::Address),
        address6,
        gateway6: network.parsed("gw6", Kind::Address),
        model: virtual_machine.then(|| network.choice("model", &models)).flatten(),
        vlan: network.whole("vlan", 1..=4094),
        firewall: network.flag("firewall").unwrap_or(guest.firewall.enabled),
        mtu: network.whole("mtu", if virtual_machine { 1..=65520 } else { 64..=65535 }),
        rate: network.decimal("rate", 0.0, 1_000_000.0),
        ..Nic::new(network.string("name").unwrap_or_else(|| name.to_owned()), "", address)
    }
}
