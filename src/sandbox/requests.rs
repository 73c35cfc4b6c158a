//! HTTP requests as the node sees the network: who listens there.

use std::net::IpAddr;

use super::clock::Moment;
use super::core::Core;
use super::guest;
use super::world::World;
use crate::host::HostError;
use crate::op::{Op, OpValue};
use crate::request::{Request, Response};

/// Answers a request in the name of the running guest that listens at its address and port.
pub(super) fn answer(world: &mut World, core: &Core, request: &Request, now: Moment) -> Result<Response, HostError> {
    let refused = |reason: &str| HostError::Unreachable { what: request.url.clone(), reason: reason.to_owned() };
    let (address, port) = target(request).ok_or_else(|| refused("no such host"))?;
    let ids: Vec<_> = world.guests().filter(|guest| guest.running.is_some()).map(|guest| guest.id).collect();
    for id in ids {
        let listens = guest::inside(world, core, id, now, |body, around| {
            let here = around.addresses.iter().any(|cidr| cidr.address == address);
            let ports = if here { body.perform(&Op::Listening, around).result } else { return None };
            matches!(ports, Ok(OpValue::Ports(ports)) if ports.contains(&port)).then_some(())
        });
        if listens.flatten().is_some() {
            return Err(refused("nobody models the service there"));
        }
    }
    Err(refused("connection refused"))
}

/// Address and port that a request goes to.
fn target(request: &Request) -> Option<(IpAddr, u16)> {
    if let Some(address) = request.connect_to {
        return Some((address.ip(), address.port()));
    }
    let (scheme, rest) = request.url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let standard = if scheme == "https" { 443 } else { 80 };
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port = port.strip_prefix(':').map_or(Some(standard), |port| port.parse().ok())?;
        return Some((address.parse().ok()?, port));
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    Some((host.parse().ok()?, port.map_or(Some(standard), |port| port.parse().ok())?))
}
