//! Virtual machines at work: started, booted, reached through their agent.
//!
//! Everything that a boot does inside is done when the machine is switched on; the moment from which the agent answers
//! is kept with the running machine, and nobody gets in before.

use std::time::Duration;

use super::clock::Moment;
use super::config::{Config, Section};
use super::core::Core;
use super::disk::{cloud_init_drive, drives, file, is_cdrom};
use super::guest::inside;
use super::seed::Seed;
use super::storage::split;
use super::world::{Running, World, body_of};
use super::{guest, pace, pending};
use crate::model::{Cidr, GuestId};
use crate::pve::format::split_list;
use crate::pve::property::Properties;

/// The agent's unit.
const AGENT: &str = "qemu-guest-agent.service";

/// A `netN` of a machine, taken apart.
pub(super) fn nic(value: &str) -> Properties {
    Properties::of_option("qm set", "net0", value).unwrap_or_default()
}

/// Whether a configuration gives the machine an agent's channel.
pub(super) fn has_agent(config: &Section) -> bool {
    let agent = Properties::of_option("qm set", "agent", config.get("agent").unwrap_or_default());
    agent.is_some_and(|agent| agent.is_on("enabled"))
}

/// Whether the agent of a running machine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agent {
    /// The machine was started without a channel for it.
    None,
    /// It does not (yet).
    Silent,
    /// It does.
    Answers,
}

/// The state of a machine's agent at this moment.
pub(super) fn agent(world: &World, core: &Core, id: GuestId, now: Moment) -> Agent {
    let Some((guest, running)) = world.guest(id).and_then(|guest| Some((guest, guest.running.as_ref()?))) else {
        return Agent::Silent;
    };
    if !has_agent(&guest.config.current) {
        return Agent::None;
    }
    let Some(late) = world.agent_delay(id) else { return Agent::Silent };
    let Some(body) = world.body(&body_of(id)) else {
        // In a rehearsal the real one is asked.
        return if core.rehearsal.is_some() { Agent::Answers } else { Agent::Silent };
    };
    let booted = running.agent_from.is_some_and(|from| from + micros(late) <= now);
    let overlaid = core.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.is_real(world, id));
    if overlaid || (booted && body.is_active(AGENT)) { Agent::Answers } else { Agent::Silent }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Whether nothing that could boot is on the machine's disks.
pub(super) fn is_empty(world: &World, id: GuestId) -> bool {
    world.body(&body_of(id)).is_none()
}

/// What a start needs of the node.
///
/// # Errors
/// Proxmox's words about what is missing.
pub(super) fn check(world: &World, id: GuestId) -> Result<(), String> {
    let Some(config) = world.guest(id).map(|guest| guest.config.coming()) else {
        return Err(format!("VM {id} does not exist"));
    };
    for (_, drive) in drives(&config) {
        let volume = file(&drive);
        if split(volume).is_some() && !is_cdrom(&drive) && !world.volumes().contains_key(volume) {
            return Err(format!("volume '{volume}' does not exist"));
        }
    }
    for (_, value) in config.numbered("net") {
        let nic = nic(value);
        let bridge = nic.get("bridge").unwrap_or_default();
        if !bridge.is_empty() && !world.bridges.iter().any(|known| known.name == bridge) {
            return Err(format!("bridge '{bridge}' does not exist"));
        }
    }
    Ok(())
}

/// Switches a stopped machine on: pending changes come into force, the cloud-init drive is made anew.
///
/// # Errors
/// Proxmox's words about what is missing on the node.
pub(super) fn start(world: &mut World, core: &Core, id: GuestId, now: Moment) -> Result<(), String> {
    pending::apply(world, id);
    let Some(guest) = world.guest_mut(id) else { return Err(format!("VM {id} does not exist")) };
    guest.config.cloud_init.clear();
    let config = guest.config.current.clone();
    if cloud_init_drive(&config).is_some() {
        Seed::with_own_files(world, core, id, &config, now)?;
    }
    let pid = 2000 + u32::try_from(world.random() % 30_000).unwrap_or_default();
    let hostname = config.get("name").map_or_else(|| format!("VM{id}"), str::to_owned);
    if let Some(guest) = world.guest_mut(id) {
        guest.running = Some(Running { pid, since: now, hostname, agent_from: None });
    }
    boot(world, core, id, now);
    Ok(())
}

/// The configuration that the present cloud-init drive was made of.
fn baked(config: &Config) -> Section {
    let mut baked = config.current.clone();
    for added in config.cloud_init.get("added").map(|added| split_list(added)).unwrap_or_default() {
        baked.remove(added);
    }
    for (key, value) in config.cloud_init.iter().filter(|(key, _)| *key != "added") {
        baked.set(key, value);
    }
    baked
}

/// What is inside begins anew: at a start, at a reset, when it reboots itself.
pub(super) fn boot(world: &mut World, core: &Core, id: GuestId, now: Moment) {
    world.revive_agent(id);
    if core.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.is_real(world, id)) {
        // The real one goes on; its agent answers.
        return;
    }
    let Some(config) = world.guest(id).map(|guest| guest.config.clone()) else { return };
    let seed = match cloud_init_drive(&config.current) {
        // What is missing was told at the start.
        Some(_) => Seed::with_own_files(world, core, id, &baked(&config), now).ok(),
        None => None,
    };
    let init = now + micros(pace::VM_FIRMWARE);
    let interfaces: Vec<String> = config
        .current
        .numbered("net")
        .into_iter()
        .map(|(_, value)| nic(value).get("macaddr").unwrap_or_default().to_ascii_lowercase())
        .collect();
    let first = inside(world, core, id, init, |body, around| {
        body.halt();
        body.show_interfaces(&interfaces);
        seed.as_ref().is_some_and(|seed| {
            body.cloud_init_begin(&seed.instance_id, &seed.user, &seed.network, seed.vendor.as_deref(), around)
        })
    });
    let Some(first) = first else { return };
    // The network is another one now.
    let done = inside(world, core, id, init, |body, around| {
        body.boot(around);
        if has_agent(&config.current) {
            // As udev does when it finds the channel; what is not installed is not started.
            body.start_if_there(AGENT, around);
        }
        let early = body.is_active(AGENT);
        let took = body.cloud_init_finish(first, around);
        (early, took)
    });
    let Some((early, took)) = done else { return };
    let ready = init + micros(if early { pace::VM_SERVICES } else { took });
    if let Some(running) = world.guest_mut(id).and_then(|guest| guest.running.as_mut()) {
        running.agent_from = Some(ready);
    }
}

/// What a configuration says about the network of a machine whose inside nobody knows.
fn declared_network(config: &Section) -> (Vec<Cidr>, bool) {
    let parts = || config.numbered("ipconfig").into_iter().flat_map(|(_, value)| value.split(','));
    let addresses = parts().filter_map(|part| part.strip_prefix("ip=")?.parse().ok()).collect();
    (addresses, parts().any(|part| part.starts_with("gw=")))
}

/// Addresses of a running machine, and whether it has a default route: what its own network configuration says about
/// the interfaces that it has.
pub(super) fn network(world: &World, id: GuestId) -> (Vec<Cidr>, bool) {
    let Some(guest) = world.guest(id) else { return (Vec::new(), false) };
    let name = body_of(id);
    let Some(body) = world.body(&name).filter(|_| !world.is_known_in_part(&name)) else {
        return declared_network(&guest.config.current);
    };
    let (mut addresses, mut routed) = (Vec::new(), false);
    for interface in body.configured_interfaces() {
        let nics = guest.config.current.numbered("net");
        let mut nics = nics.iter().map(|(_, value)| nic(value));
        let own = nics.find(|nic| nic.get("macaddr").is_some_and(|mac| mac.eq_ignore_ascii_case(&interface.mac)));
        let Some(own) = own else { continue };
        addresses.extend(interface.addresses);
        if interface.dhcp {
            addresses.extend(own.get("bridge").and_then(|bridge| guest::lease(world, id, bridge)));
        }
        routed |= interface.routed || interface.dhcp;
    }
    (addresses, routed)
}
