//! HTTP requests as the node sees the network: the running guest that listens at the address answers.

use std::net::IpAddr;

use super::clock::Moment;
use super::core::Core;
use super::double;
use super::guest;
use super::world::World;
use crate::command::Effect;
use crate::host::HostError;
use crate::model::GuestKind;
use crate::op::{Op, OpValue};
use crate::request::{Request, Response};

/// Answers a request in the name of the running guest that listens at its address and port.
pub(super) fn answer(world: &mut World, core: &Core, request: &Request, now: Moment) -> Result<Response, HostError> {
    let unreachable = |reason: String| HostError::Unreachable { what: request.url.clone(), reason };
    let (address, port) = target(request).ok_or_else(|| unreachable("no such host".to_owned()))?;
    let ids: Vec<_> = world.guests().filter(|guest| guest.running.is_some()).map(|guest| guest.id).collect();
    for id in ids {
        if let Some(rehearsal) = &core.rehearsal
            && let Some(real) = rehearsal.real()
            && (rehearsal.is_real(world, id) || rehearsal.is_dark(world, id))
            && guest::addresses(world, id).iter().any(|cidr| cidr.address == address)
        {
            if request.effect == Effect::Read
                && rehearsal.is_real(world, id)
                && rehearsal.serves_as_before(world, core, now, id, (port, request))
            {
                return real.request(request);
            }
            // What a real service would do is known to nobody.
            return Err(HostError::Unknown(request.to_string()));
        }
        let answer = guest::inside(world, core, id, now, |body, around| {
            let here = around.addresses.iter().any(|cidr| cidr.address == address);
            let ports = if here { body.perform(&Op::Listening, around).result } else { return None };
            let listens = matches!(ports, Ok(OpValue::Ports(ports)) if ports.contains(&port));
            listens.then(|| double::answer(body, around, port, request))
        });
        if let Some(answer) = answer.flatten() {
            return answer.map_err(unreachable);
        }
    }
    Err(unreachable("connection refused".to_owned()))
}

/// Whether a request goes to a machine that is only modelled, on a node whose containers are real.
pub(super) fn is_for_modelled(world: &World, request: &Request) -> bool {
    let Some((address, _)) = target(request) else { return false };
    let machines = world.guests().filter(|guest| guest.kind == GuestKind::Vm && guest.running.is_some());
    machines.into_iter().any(|guest| guest::addresses(world, guest.id).iter().any(|cidr| cidr.address == address))
}

/// Address and port that a request goes to. Names are nobody's: the node asks no resolver here.
fn target(request: &Request) -> Option<(IpAddr, u16)> {
    if let Some(address) = request.connect_to {
        return Some((address.ip(), address.port()));
    }
    let (scheme, rest) = request.url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
    let standard = if scheme == "https" { 443 } else { 80 };
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    Some((host.parse().ok()?, port.map_or(Some(standard), |port| port.parse().ok())?))
}
