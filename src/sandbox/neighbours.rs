//! Who is on the emulated node's networks: guests that run, and machines that the world names.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::body::Answer;
use super::guest::{addresses, nic};
use super::vm;
use super::world::World;
use crate::model::{Cidr, GuestKind, Site};
use crate::op::OpValue;

/// A machine on a network of the node that is no guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its hardware address.
    #[serde(default = "router")]
    pub mac: String,
}

fn router() -> String {
    "02:00:00:00:00:01".to_owned()
}

impl Neighbour {
    /// A router with this address.
    pub(super) fn router(address: Ipv4Addr) -> Neighbour {
        Neighbour { address, mac: router() }
    }
}

/// What the kernel waits for those that are silent.
const PATIENCE: Duration = Duration::from_millis(1200);

/// Who answers for these addresses.
pub(super) fn ask(world: &World, asked: &[Ipv4Addr]) -> Answer {
    let own: Vec<Cidr> = world.bridges.iter().filter_map(|bridge| bridge.address.as_deref()?.parse().ok()).collect();
    let reached = |address: &Ipv4Addr| {
        let address = IpAddr::from(*address);
        own.iter().any(|net| net.contains(address)) && own.iter().all(|net| net.address != address)
    };
    let mut present: BTreeMap<IpAddr, String> =
        world.neighbours.iter().map(|other| (other.address.into(), other.mac.to_uppercase())).collect();
    for guest in world.guests().filter(|guest| guest.running.is_some()) {
        let mac = guest.config.current.get("net0").and_then(|text| match guest.kind {
            GuestKind::Lxc => nic(text).get("hwaddr").map(str::to_owned),
            GuestKind::Vm => vm::nic(text).get("macaddr").map(str::to_owned),
        });
        let mac = mac.unwrap_or_default();
        present.extend(addresses(world, guest.id).into_iter().map(|cidr| (cidr.address, mac.clone())));
    }
    let answer = |address: &Ipv4Addr| Some((*address, present.get(&IpAddr::from(*address))?.clone()));
    let found: BTreeMap<Ipv4Addr, String> =
        asked.iter().filter(|address| reached(address)).filter_map(answer).collect();
    let took = if found.len() < asked.len() { PATIENCE } else { Duration::ZERO };
    Answer { result: Ok(OpValue::Neighbours(found)), took }
}

impl World {
    /// The ways out that a configuration names; the node's own addresses are none.
    pub(super) fn add_gateways(&mut self, site: &Site) {
        let declared = site.guests.values().flat_map(|guest| &guest.nics).filter_map(|nic| nic.gateway);
        for gateway in site.node.gateway.into_iter().chain(declared) {
            let own = site.node.address.is_some_and(|own| own.address == gateway);
            let known = self.neighbours.iter().any(|other| IpAddr::from(other.address) == gateway);
            if let (IpAddr::V4(address), false, false) = (gateway, own, known) {
                self.neighbours.push(Neighbour::router(address));
            }
        }
    }
}
