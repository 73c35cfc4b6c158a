//! A guest's inside: what it is told about the world around it, and how it is reached, started and stopped.

use std::net::IpAddr;
use std::time::Duration;

use super::body::{Answer, Around, Bind, Body, Power, Unmodelled};
use super::clock::Moment;
use super::config::Section;
use super::core::Core;
use super::programs::Identity;
use super::world::{NODE, Running, World, body_of};
use super::{mount_point, pending, start_files, vm};
use crate::model::{Cidr, GuestId, GuestKind};
use crate::op::{Op, OpError, OpErrorKind, OpValue, Place};
use crate::pve::property::Properties;

/// A moment as the machines' clocks show it.
pub(super) fn timestamp(now: Moment) -> jiff::Timestamp {
    let micros = i64::try_from(now).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX)
}

/// A `netN`, taken apart.
pub(super) fn nic(text: &str) -> Properties {
    Properties::of_option("pct set", "net0", text).unwrap_or_default()
}

/// A `rootfs` or `mpN`, taken apart.
pub(super) fn mount(key: &str, text: &str) -> Properties {
    Properties::of_option("pct set", if key == "rootfs" { "rootfs" } else { "mp0" }, text).unwrap_or_default()
}

/// Whether a mount point shows a directory or device of the node.
pub(super) fn is_host_path(volume: &str) -> bool {
    volume.starts_with('/')
}

/// Does something with a guest's inside, told what is around it; nothing if the guest has none.
pub(super) fn inside<T>(
    world: &mut World,
    core: &Core,
    id: GuestId,
    now: Moment,
    work: impl FnOnce(&mut Body, &mut Around) -> T,
) -> Option<T> {
    let guest = world.guest(id)?;
    let config = &guest.config.current;
    let (addresses, default_route) = match guest.kind {
        GuestKind::Lxc => (addresses(world, id), config.numbered("net").iter().any(|(_, text)| has_route(&nic(text)))),
        GuestKind::Vm => vm::network(world, id),
    };
    let binds = if guest.kind == GuestKind::Lxc { binds(config) } else { Vec::new() };
    let (faults, node_addresses) = (world.faults_inside(Some(id)), node_addresses(world));
    let identity = Identity {
        id: Some(id),
        kind: Some(guest.kind),
        name: match (guest.kind, &guest.running) {
            (GuestKind::Vm, _) => world.body(&body_of(id)).map_or_else(String::new, Body::host_name),
            (GuestKind::Lxc, Some(running)) => running.hostname.clone(),
            (GuestKind::Lxc, None) => hostname(id, config),
        },
        ip: addresses.first().map(|cidr| cidr.address),
        now: timestamp(now),
    };
    let (body, node) = world.body_and_node(&body_of(id))?;
    let mut around = Around {
        identity,
        addresses,
        node_addresses,
        default_route,
        programs: &*core.programs,
        node: Some(node),
        binds: &binds,
        unmodelled: core.unmodelled(),
        faults,
    };
    Some(work(body, &mut around))
}

/// Does an Op inside a running guest; a guest that halts itself is stopped.
pub(super) fn perform(world: &mut World, core: &Core, id: GuestId, now: Moment, op: &Op) -> Answer {
    let answer = inside(world, core, id, now, |body, around| body.perform(op, around));
    if world.body(&body_of(id)).map(Body::power) == Some(Power::Off) {
        stop(world, id);
    }
    answer.unwrap_or_else(|| Answer {
        result: Err(OpError::new(OpErrorKind::Failed, "this machine has no modelled inside")),
        took: Duration::ZERO,
    })
}

/// Does something with the node's own inside.
pub(super) fn node_inside<T>(
    world: &mut World,
    core: &Core,
    now: Moment,
    work: impl FnOnce(&mut Body, &mut Around) -> T,
) -> Option<T> {
    let addresses: Vec<Cidr> =
        world.bridges.iter().filter_map(|bridge| bridge.address.as_deref()?.parse().ok()).collect();
    let faults = world.faults_inside(None);
    let node_addresses = node_addresses(world);
    let identity = Identity {
        id: None,
        kind: None,
        name: world.node.clone(),
        ip: addresses.first().map(|cidr| cidr.address),
        now: timestamp(now),
    };
    let body = world.body_mut(NODE)?;
    let mut around = Around {
        identity,
        addresses,
        node_addresses,
        default_route: true,
        programs: &*core.programs,
        node: None,
        binds: &[],
        unmodelled: core.unmodelled(),
        faults,
    };
    Some(work(body, &mut around))
}

impl Core {
    /// What a program that nobody models comes to here.
    pub(super) fn unmodelled(&self) -> Unmodelled {
        match (&self.rehearsal, self.strict) {
            (Some(_), _) => Unmodelled::Unknown,
            (None, true) => Unmodelled::Refused,
            (None, false) => Unmodelled::Assumed,
        }
    }
}

pub(super) fn hostname(id: GuestId, config: &Section) -> String {
    config.get("hostname").map_or_else(|| format!("CT{id}"), str::to_owned)
}

fn has_route(nic: &Properties) -> bool {
    nic.get("gw").is_some() || nic.get("gw6").is_some() || nic.get("ip") == Some("dhcp")
}

/// The node's own addresses.
fn node_addresses(world: &World) -> Vec<IpAddr> {
    let cidrs = world.bridges.iter().filter_map(|bridge| bridge.address.as_deref()?.parse::<Cidr>().ok());
    cidrs.map(|cidr| cidr.address).collect()
}

/// A container's addresses: the declared ones, and for DHCP one out of the bridge's net. A machine's are what it says
/// itself.
pub(super) fn addresses(world: &World, id: GuestId) -> Vec<Cidr> {
    if world.guest(id).is_some_and(|guest| guest.kind == GuestKind::Vm) {
        return vm::network(world, id).0;
    }
    let mut addresses = Vec::new();
    let nics = world.guest(id).map(|guest| guest.config.current.numbered("net")).unwrap_or_default();
    for (_, text) in nics {
        addresses.extend(addresses_of(world, id, &nic(text)));
    }
    addresses
}

/// The addresses of one interface.
pub(super) fn addresses_of(world: &World, id: GuestId, nic: &Properties) -> Vec<Cidr> {
    let v4 = match nic.get("ip") {
        Some("dhcp") => nic.get("bridge").and_then(|bridge| lease(world, id, bridge)),
        Some(text) => text.parse().ok(),
        None => None,
    };
    let v6 = nic.get("ip6").and_then(|text| text.parse::<Cidr>().ok());
    v4.into_iter().chain(v6).collect()
}

pub(super) fn lease(world: &World, id: GuestId, bridge: &str) -> Option<Cidr> {
    let bridge = world.bridges.iter().find(|known| known.name == bridge)?;
    // Which net a bridge of a real node leads to, a rehearsal need not know: some address is leased there.
    let somewhere = || world.is_rehearsal().then_some("192.0.2.1/24");
    let net: Cidr = bridge.address.as_deref().or_else(somewhere)?.parse().ok()?;
    let IpAddr::V4(address) = net.network().address else { return None };
    let address = IpAddr::V4((u32::from(address) + 100 + id.get() % 100).into());
    Some(Cidr { address, prefix: net.prefix })
}

/// Id of the node that is root in an unprivileged container.
const UNPRIVILEGED_ROOT: u32 = 100_000;

/// What a guest shows of the node.
pub(super) fn binds_of(world: &World, id: GuestId) -> Vec<Bind> {
    let container = world.guest(id).filter(|guest| guest.kind == GuestKind::Lxc);
    container.map(|guest| binds(&guest.config.current)).unwrap_or_default()
}

/// Directories and devices of the node that the guest sees: `mpN`, `devN` and raw `lxc.mount.entry` lines, and with
/// NVIDIA's devices what the driver says about itself.
fn binds(config: &Section) -> Vec<Bind> {
    let root_id = if config.is_on("unprivileged") { UNPRIVILEGED_ROOT } else { 0 };
    let mut binds = Vec::new();
    for (key, text) in config.mount_points() {
        let point = mount(key, text);
        if let (Some(from), Some(at)) = (point.get("volume").filter(|volume| is_host_path(volume)), point.get("mp")) {
            binds.push(Bind { at: at.to_owned(), from: from.to_owned(), read_only: point.is_on("ro"), root_id });
        }
    }
    for (_, text) in config.numbered("dev") {
        let path =
            text.split(',').find_map(|part| part.strip_prefix("path=").or((!part.contains('=')).then_some(part)));
        binds.extend(path.map(|path| Bind {
            at: path.to_owned(),
            from: path.to_owned(),
            read_only: false,
            root_id: 0,
        }));
    }
    for (_, entry) in config.raw.iter().filter(|(key, _)| key == "lxc.mount.entry") {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [from, at, _, options, ..] = words[..] else { continue };
        let options: Vec<&str> = options.split(',').collect();
        if from.starts_with('/') && (options.contains(&"bind") || options.contains(&"rbind")) {
            let at = format!("/{}", at.trim_start_matches('/'));
            binds.push(Bind { at, from: from.to_owned(), read_only: options.contains(&"ro"), root_id });
        }
    }
    // The kernel tells about its driver in every container; it counts where one of its devices is.
    if binds.iter().any(|bind| bind.from.starts_with("/dev/nvidia")) {
        let driver = "/proc/driver/nvidia".to_owned();
        binds.push(Bind { at: driver.clone(), from: driver, read_only: true, root_id: 0 });
    }
    binds
}

/// Why a container does not start.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// What is said before, on standard error, or by LXC on standard output.
    pub(super) lines: Vec<String>,
    /// The reason.
    pub(super) message: String,
}

impl From<String> for Trouble {
    fn from(message: String) -> Trouble {
        Trouble { lines: Vec::new(), message }
    }
}

impl Trouble {
    /// LXC's own words when its hook before a start fails.
    pub(super) fn in_hook(id: GuestId) -> Trouble {
        let lines = [
            "run_buffer: 571 Script exited with status 2".to_owned(),
            format!("lxc_init: 845 Failed to run lxc.hook.pre-start for container \"{id}\""),
            format!("__lxc_start: 2034 Failed to initialize container \"{id}\""),
        ];
        Trouble { lines: lines.into(), message: format!("startup for container '{id}' failed") }
    }
}

/// Starts a stopped container: pending changes come into force, Proxmox writes its files, init runs.
///
/// # Errors
/// Proxmox's words about what is missing on the node.
pub(super) fn start(world: &mut World, core: &Core, id: GuestId, now: Moment) -> Result<(), Trouble> {
    pending::apply(world, id);
    let Some(guest) = world.guest(id) else { return Err(format!("CT {id} does not exist").into()) };
    let config = guest.config.current.clone();
    check(world, core, id, &config, now)?;
    let hostname = hostname(id, &config);
    let pid = 2000 + u32::try_from(world.random() % 30_000).unwrap_or_default();
    if let Some(guest) = world.guest_mut(id) {
        guest.running = Some(Running { pid, since: now, hostname, agent_from: None });
    }
    if let Some(rehearsal) = core.rehearsal.as_ref().filter(|rehearsal| rehearsal.is_real(world, id)) {
        rehearsal.restarted(world, core, id, now, &config);
        return Ok(());
    }
    // A real inside boots by itself.
    if core.bodies.is_some() {
        return Ok(());
    }
    let resolv_conf = world.resolv_conf.clone();
    inside(world, core, id, now, |body, around| {
        start_files::write(body, around, &config, &resolv_conf);
        body.boot(around);
    });
    Ok(())
}

/// What a start needs of the node.
fn check(world: &mut World, core: &Core, id: GuestId, config: &Section, now: Moment) -> Result<(), Trouble> {
    lxc_config(world, core, config, now)?;
    let volumes: Vec<String> = config
        .mount_points()
        .into_iter()
        .map(|(key, text)| mount(key, text).get("volume").unwrap_or_default().to_owned())
        .collect();
    for volume in volumes.iter().filter(|volume| !is_host_path(volume)) {
        mount_point::check_name(world, volume)?;
        if !world.volumes().contains_key(volume) {
            return Err(format!("volume '{volume}' does not exist").into());
        }
    }
    if let Some(script) = config.get("hookscript") {
        let path = world.path_of(script);
        if !is_on_node(world, core, &path, now) {
            let why = format!("script '{script}' does not exist");
            return Err(format!("hookscript error for {id} on pre-start: {why}\n").into());
        }
    }
    // What the hook mounts and writes into.
    let missing = volumes.iter().any(|volume| is_host_path(volume) && !is_on_node(world, core, volume, now));
    let managed = config.get("ostype") != Some("unmanaged");
    let read_only = config.get("rootfs").is_some_and(|root| mount("rootfs", root).is_on("ro"));
    if missing || (managed && read_only) { Err(Trouble::in_hook(id)) } else { Ok(()) }
}

/// What LXC's own configuration of a container needs: its architecture, its devices, the bridges of its interfaces.
///
/// # Errors
/// Proxmox's words about the first thing that is missing, after Perl's.
pub(super) fn lxc_config(world: &mut World, core: &Core, config: &Section, now: Moment) -> Result<(), Trouble> {
    if config.is_on("template") {
        return Ok(());
    }
    if config.get("arch").is_none() {
        return Err("missing 'arch' - internal error at /usr/share/perl5/PVE/LXC.pm line 655.".to_owned().into());
    }
    for bind in binds(config).iter().filter(|bind| bind.from.starts_with("/dev/")) {
        if !is_on_node(world, core, &bind.from, now) {
            return Err(format!("Device {} does not exist", bind.from).into());
        }
    }
    let mut nics = config.numbered("net");
    nics.sort_unstable();
    for (key, text) in nics {
        let nic = nic(text);
        let bridge = nic.get("bridge").unwrap_or_default();
        let Some(known) = world.bridges.iter().find(|known| known.name == bridge) else {
            let unset = "Use of uninitialized value $bridge in concatenation (.) or string at \
                         /usr/share/perl5/PVE/Network.pm line 73.";
            let lines = if bridge.is_empty() { vec![unset.to_owned(); 2] } else { Vec::new() };
            return Err(Trouble { lines, message: format!("bridge '{bridge}' does not exist") });
        };
        match nic.get("mtu").and_then(|mtu| mtu.parse::<u32>().ok()) {
            Some(mtu) if mtu > known.mtu => {
                let message = format!("{key}: MTU size '{mtu}' is bigger than bridge MTU '{}'", known.mtu);
                return Err(message.into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the node has this path.
pub(super) fn is_on_node(world: &mut World, core: &Core, path: &str, now: Moment) -> bool {
    matches!(ask_node(world, core, &Op::Stat { path: path.to_owned() }, path, now), Some(OpValue::Stat(Some(_))))
}

/// What tools read of the node is small.
const NODE_FILE_LIMIT: u64 = 1 << 20;

/// The bytes of a file of the node.
pub(super) fn node_file(world: &mut World, core: &Core, path: &str, now: Moment) -> Option<Vec<u8>> {
    match ask_node(world, core, &Op::Read { path: path.to_owned(), limit: NODE_FILE_LIMIT }, path, now) {
        Some(OpValue::Bytes(bytes)) => bytes,
        _ => None,
    }
}

/// A read about a path of the node: of the real one, unless a rehearsal predicted something there.
fn ask_node(world: &mut World, core: &Core, op: &Op, path: &str, now: Moment) -> Option<OpValue> {
    if let Some(rehearsal) = core.rehearsal.as_ref().filter(|rehearsal| !rehearsal.predicted_on_node(path))
        && let Some(real) = rehearsal.real()
    {
        return real.perform(Place::Node, std::slice::from_ref(op)).ok()?.into_iter().next()?.ok();
    }
    node_inside(world, core, now, |body, around| body.perform(op, around).result)?.ok()
}

/// Kills a running guest; pending changes come into force.
pub(super) fn stop(world: &mut World, id: GuestId) {
    let name = body_of(id);
    // What is known of a real machine is known of the one that runs.
    if !world.is_known_in_part(&name)
        && let Some(body) = world.body_mut(&name)
    {
        body.halt();
    }
    if let Some(guest) = world.guest_mut(id) {
        guest.running = None;
    }
    pending::apply(world, id);
}
