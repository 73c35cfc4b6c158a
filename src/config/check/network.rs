//! Addresses and gateways that fit together.

use std::net::IpAddr;

use crate::config::decode::Fields;
use crate::config::guest::Draft;
use crate::finding::Finding;
use crate::model::{Cidr, Site};

/// Gateways of the node and of all guests.
pub fn check(site: &Site, drafts: &[Draft], root: &Fields) {
    if let (Some(own), Some(gateway)) = (site.node.address, site.node.gateway)
        && let Some(finding) = outside(own, gateway)
    {
        let place = root.value.at("network.interfaces.gateway").map_or(0..0, |value| value.span.clone());
        root.file.report(finding, place);
    }
    for draft in drafts {
        let Some(nic) = draft.guest.nics.first() else { continue };
        let Some(own) = nic.address.cidr() else { continue };
        if let Some(gateway) = nic.gateway {
            if let Some(finding) = outside(own, gateway) {
                draft.report(finding, "network_config.gw");
            }
            if own.address == gateway {
                draft.report(
                    Finding::error("bad-gateway", "the gateway is the guest's own address"),
                    "network_config.gw",
                );
            }
        }
        if is_reserved(own) {
            let finding = Finding::error("bad-address", format!("{own} is no address of a machine"))
                .hint(format!("the first and the last address of {} are reserved", own.network()));
            draft.report(finding, "network_config.ip");
        }
    }
}

/// A gateway that the address cannot reach. A single address (`/32`) has every gateway outside: Proxmox adds a route.
fn outside(own: Cidr, gateway: IpAddr) -> Option<Finding> {
    let single = own.prefix == if own.address.is_ipv4() { 32 } else { 128 };
    (!single && !own.contains(gateway)).then(|| {
        Finding::error("bad-gateway", format!("the gateway {gateway} is outside {}", own.network()))
            .hint("the gateway must be an address of the same network")
    })
}

/// The address of an IPv4 network itself, or its broadcast address.
fn is_reserved(own: Cidr) -> bool {
    let (IpAddr::V4(address), true) = (own.address, own.prefix < 31) else { return false };
    let hosts = u32::MAX.checked_shr(u32::from(own.prefix)).unwrap_or(0);
    let host = u32::from(address) & hosts;
    host == 0 || host == hosts
}
