//! The network: bridges, addresses that somebody else has, ways out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::{Look, list};
use crate::engine::run::EngineError;
use crate::finding::{Finding, did_you_mean};
use crate::model::{Guest, GuestId, GuestKind, Nic};
use crate::op::{Op, OpValue, Place};

/// Everything about the network. Who answers is asked for all addresses at once.
pub(super) fn check(look: &Look) -> Result<Vec<Finding>, EngineError> {
    let mut findings = bridges(look);
    let wanted = addresses(look);
    let gateways = gateways(look);
    let asked: BTreeSet<Ipv4Addr> = wanted.keys().chain(gateways.keys()).copied().collect();
    if asked.is_empty() {
        return Ok(findings);
    }
    let results = look.host.perform(Place::Node, &[Op::Neighbours { addresses: asked.into_iter().collect() }])?;
    let Some(Ok(OpValue::Neighbours(present))) = results.into_iter().next() else { return Ok(findings) };
    findings.extend(wanted.into_iter().filter_map(|(address, (guest, path))| {
        let mac = present.get(&address)?;
        let who = owner(look, mac)
            .map_or_else(|| format!("somebody with the hardware address {mac}"), |who| format!("{who} ({mac})"));
        let finding =
            Finding::error("address-taken", format!("{who} answers for {address}, the address of guest {}", guest.id))
                .hint(format!("declare another address; `ip neighbour show {address}` on the node tells more"));
        Some(look.at(finding, guest.id, path))
    }));
    findings.extend(gateways.into_iter().filter(|(gateway, _)| !present.contains_key(gateway)).map(
        |(gateway, guests)| {
            let of = if guests.is_empty() { "of the node".to_owned() } else { list(&guests) };
            let finding =
                Finding::warning("gateway-silent", format!("nobody answers for the gateway {gateway} ({of})")).hint(
                    format!("`ip route` and `ping {gateway}` on the node tell more; guests would have no way out"),
                );
            match guests.first() {
                Some(first) => look.at(finding, *first, "network_config.gw"),
                None => look.at_node(finding, "network.interfaces.gateway"),
            }
        },
    ));
    Ok(findings)
}

fn bridges(look: &Look) -> Vec<Finding> {
    let known = &look.sight.inventory.bridges;
    let of = |guest: &'_ Guest| -> BTreeSet<String> { guest.nics.iter().map(|nic| nic.bridge.clone()).collect() };
    let mut wanted: BTreeMap<String, Vec<GuestId>> = BTreeMap::new();
    for guest in look.guests() {
        for bridge in of(guest).into_iter().filter(|bridge| !bridge.is_empty()) {
            wanted.entry(bridge).or_default().push(guest.id);
        }
    }
    for bridge in &look.site.node.bridges {
        wanted.entry(bridge.clone()).or_default();
    }
    let absent = wanted.into_iter().filter(|(bridge, _)| !known.contains(bridge));
    absent
        .map(|(bridge, guests)| {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            let who = if guests.is_empty() { String::new() } else { format!(" ({})", list(&guests)) };
            let near = did_you_mean(&bridge, names.iter().copied());
            let hint = match (near, names.is_empty()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, true) => "the node has no bridge: make one under System, Network, and reload".to_owned(),
                (None, false) => format!("bridges of the node: {}", names.join(", ")),
            };
            let finding = Finding::error("bridge-absent", format!("bridge `{bridge}`{who} is not on the node"));
            let finding = finding.hint(hint);
            match guests.first().and_then(|id| look.site.guest(*id)) {
                Some(guest) => look.at(finding, guest.id, bridge_field(guest, &bridge)),
                None => look.at_node(finding, "network.interfaces.name"),
            }
        })
        .collect()
}

fn bridge_field(guest: &Guest, bridge: &str) -> &'static str {
    let first = guest.nics.first().is_some_and(|nic| nic.bridge == bridge);
    match (first, guest.kind) {
        (false, _) => "additional_networks",
        (true, GuestKind::Lxc) => "network_config.bridge",
        (true, GuestKind::Vm) => "network_bridge",
    }
}

/// Addresses that nobody may have yet: of guests that do not run, in networks that the node is in itself.
fn addresses<'l>(look: &'l Look) -> BTreeMap<Ipv4Addr, (&'l Guest, &'static str)> {
    let silent = look.guests().filter(|guest| {
        let present = look.sight.inventory.guests.get(&guest.id);
        present.is_none_or(|present| !present.running && present.node == look.node())
    });
    let of = |guest: &'l Guest| {
        let path = |at: usize| if at == 0 { "network_config.ip" } else { "additional_networks" };
        guest.nics.iter().enumerate().filter_map(move |(at, nic)| Some((nearby(look, nic)?, (guest, path(at)))))
    };
    silent.flat_map(of).collect()
}

/// The address of an interface that the node can ask for: untagged, and in a network of its own.
fn nearby(look: &Look, nic: &Nic) -> Option<Ipv4Addr> {
    match nic.address.cidr()?.address {
        IpAddr::V4(address) if nic.vlan.is_none() && look.facts.is_near(address.into()) => Some(address),
        _ => None,
    }
}

/// Gateways of guests, and of the node, that are somebody else and in a network that the node is in itself.
fn gateways(look: &Look) -> BTreeMap<Ipv4Addr, Vec<GuestId>> {
    let mut gateways: BTreeMap<Ipv4Addr, Vec<GuestId>> = BTreeMap::new();
    let of_guests = look.guests().flat_map(|guest| {
        let untagged = guest.nics.iter().filter(|nic| nic.vlan.is_none());
        untagged.filter_map(move |nic| Some((nic.gateway?, Some(guest.id))))
    });
    for (gateway, guest) in of_guests.chain(look.site.node.gateway.map(|gateway| (gateway, None))) {
        if let IpAddr::V4(address) = gateway
            && look.facts.is_near(gateway)
            && !look.facts.is_own(gateway)
            // A guest may be the way out of others.
            && look.site.guests.values().all(|other| other.ip() != Some(gateway))
        {
            gateways.entry(address).or_default().extend(guest);
        }
    }
    gateways
}

/// The guest of this node that has a hardware address.
fn owner(look: &Look, mac: &str) -> Option<String> {
    let mac = mac.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&mac);
    let found = look.sight.inventory.guests.iter().find(|(_, present)| {
        present.config.current.entries().any(|(key, value)| key.starts_with("net") && has(value))
    })?;
    Some(crate::engine::mark::describe(*found.0, found.1))
}
