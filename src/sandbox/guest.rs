//! A guest's inside: what it is told about the world around it, what Proxmox writes into it at a start, and how it is
//! started and stopped.

use std::net::IpAddr;
use std::time::Duration;

use super::body::{Answer, Around, Bind, Body, Faults, Power, Unmodelled};
use super::clock::Moment;
use super::config::Section;
use super::core::Core;
use super::programs::Identity;
use super::rehearsal::Rehearsal;
use super::storage::split;
use super::world::{NODE, Running, World, body_of};
use crate::model::{Cidr, GuestId, GuestKind};
use crate::op::{Attributes, Op, OpError, OpErrorKind, OpValue, Place};
use crate::pve::property::Properties;

/// Where Proxmox's part of a file of the guest begins and ends.
const BEGIN: &str = "# --- BEGIN PVE ---";
const END: &str = "# --- END PVE ---";

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
    let addresses = addresses(world, id);
    let default_route = config.numbered("net").iter().any(|(_, text)| has_route(&nic(text)));
    let binds = binds(config);
    let identity = Identity {
        id: Some(id),
        kind: Some(guest.kind),
        name: guest.running.as_ref().map_or_else(|| hostname(id, config), |running| running.hostname.clone()),
        ip: addresses.first().map(|cidr| cidr.address),
        now: timestamp(now),
    };
    let (body, node) = world.body_and_node(&body_of(id))?;
    let mut around = Around {
        identity,
        addresses,
        default_route,
        programs: &*core.programs,
        node: Some(node),
        binds: &binds,
        unmodelled: core.unmodelled(),
        faults: Faults::default(),
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
        default_route: true,
        programs: &*core.programs,
        node: None,
        binds: &[],
        unmodelled: core.unmodelled(),
        faults: Faults::default(),
    };
    Some(work(body, &mut around))
}

impl Core {
    /// What a program that nobody models comes to here.
    pub(super) fn unmodelled(&self) -> Unmodelled {
        if self.rehearsal.is_some() { Unmodelled::Unknown } else { Unmodelled::Assumed }
    }
}

fn hostname(id: GuestId, config: &Section) -> String {
    config.get("hostname").map_or_else(|| format!("CT{id}"), str::to_owned)
}

fn has_route(nic: &Properties) -> bool {
    nic.get("gw").is_some() || nic.get("gw6").is_some() || nic.get("ip") == Some("dhcp")
}

/// The guest's addresses: the declared ones, and for DHCP one out of the bridge's net.
pub(super) fn addresses(world: &World, id: GuestId) -> Vec<Cidr> {
    let mut addresses = Vec::new();
    let nics = world.guest(id).map(|guest| guest.config.current.numbered("net")).unwrap_or_default();
    for (_, text) in nics {
        let nic = nic(text);
        let leased = || lease(world, id, nic.get("bridge")?);
        let v4 = match nic.get("ip") {
            Some("dhcp") => leased(),
            Some(text) => text.parse().ok(),
            None => None,
        };
        addresses.extend(v4);
        addresses.extend(nic.get("ip6").and_then(|text| text.parse::<Cidr>().ok()));
    }
    addresses
}

fn lease(world: &World, id: GuestId, bridge: &str) -> Option<Cidr> {
    let bridge = world.bridges.iter().find(|known| known.name == bridge)?;
    let net: Cidr = bridge.address.as_deref()?.parse().ok()?;
    let IpAddr::V4(address) = net.network().address else { return None };
    let address = IpAddr::V4((u32::from(address) + 100 + id.get() % 100).into());
    Some(Cidr { address, prefix: net.prefix })
}

/// Id of the node that is root in an unprivileged container.
const UNPRIVILEGED_ROOT: u32 = 100_000;

/// Directories and devices of the node that the guest sees: `mpN`, `devN` and raw `lxc.mount.entry` lines.
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
    binds
}

/// Starts a stopped container: pending changes come into force, Proxmox writes its files, init runs.
///
/// # Errors
/// Proxmox's words about what is missing on the node.
pub(super) fn start(world: &mut World, core: &Core, id: GuestId, now: Moment) -> Result<(), String> {
    apply_pending(world, id);
    let Some(guest) = world.guest(id) else { return Err(format!("CT {id} does not exist")) };
    let config = guest.config.current.clone();
    check(world, core, &config, now)?;
    let hostname = hostname(id, &config);
    let pid = 2000 + u32::try_from(world.random() % 30_000).unwrap_or_default();
    if let Some(guest) = world.guest_mut(id) {
        guest.running = Some(Running { pid, since: now, hostname });
    }
    let resolv_conf = world.resolv_conf.clone();
    inside(world, core, id, now, |body, around| {
        write_files(body, around, &config, &resolv_conf);
        body.boot(around);
    });
    Ok(())
}

/// What a start needs of the node.
fn check(world: &mut World, core: &Core, config: &Section, now: Moment) -> Result<(), String> {
    for (key, text) in config.mount_points() {
        let point = mount(key, text);
        let volume = point.get("volume").unwrap_or_default();
        if is_host_path(volume) {
            if !is_on_node(world, core, volume, now) {
                return Err(format!("directory '{volume}' does not exist"));
            }
        } else if !world.volumes().contains_key(volume) {
            return Err(format!("volume '{volume}' does not exist"));
        }
    }
    for (_, text) in config.numbered("net") {
        let nic = nic(text);
        let bridge = nic.get("bridge").unwrap_or_default();
        if !bridge.is_empty() && !world.bridges.iter().any(|known| known.name == bridge) {
            return Err(format!("bridge '{bridge}' does not exist"));
        }
    }
    for bind in binds(config).iter().filter(|bind| bind.from.starts_with("/dev/")) {
        if !is_on_node(world, core, &bind.from, now) {
            return Err(format!("Device {} does not exist", bind.from));
        }
    }
    Ok(())
}

/// Whether the node has this path.
pub(super) fn is_on_node(world: &mut World, core: &Core, path: &str, now: Moment) -> bool {
    let stat = Op::Stat { path: path.to_owned() };
    if let Some(real) = core.rehearsal.as_ref().and_then(Rehearsal::real) {
        let found = real.perform(Place::Node, std::slice::from_ref(&stat));
        return matches!(found.as_deref(), Ok([Ok(OpValue::Stat(Some(_)))]));
    }
    let found = node_inside(world, core, now, |body, around| body.perform(&stat, around).result);
    matches!(found, Some(Ok(OpValue::Stat(Some(_)))))
}

/// Kills a running guest; pending changes come into force.
pub(super) fn stop(world: &mut World, id: GuestId) {
    if let Some(body) = world.body_mut(&body_of(id)) {
        body.halt();
    }
    if let Some(guest) = world.guest_mut(id) {
        guest.running = None;
    }
    apply_pending(world, id);
}

/// Pending changes of a container come into force: removals first, so that a value set before its key's removal wins.
pub(super) fn apply_pending(world: &mut World, id: GuestId) {
    let Some(guest) = world.guest(id).filter(|guest| guest.kind == GuestKind::Lxc) else { return };
    if guest.config.pending.is_empty() && guest.config.deleted.is_empty() {
        return;
    }
    let Some(guest) = world.guest_mut(id) else { return };
    let pending = std::mem::take(&mut guest.config.pending);
    let deleted = std::mem::take(&mut guest.config.deleted);
    for key in deleted.keys() {
        remove_key(world, id, key);
    }
    for (key, value) in pending {
        if let Some(old) = world.guest(id).and_then(|guest| guest.config.current.get(&key)).map(str::to_owned) {
            if volume_of(&key, &old) != volume_of(&key, &value) {
                disuse(world, id, &key, &old);
            }
        }
        if let Some(guest) = world.guest_mut(id) {
            guest.config.current.set(&key, value);
        }
    }
}

/// Removes a key from what is in force; the volume of a mount point becomes `unusedN`.
pub(super) fn remove_key(world: &mut World, id: GuestId, key: &str) {
    let Some(old) = world.guest_mut(id).and_then(|guest| guest.config.current.remove(key)) else { return };
    disuse(world, id, key, &old);
}

/// The volume that a mount point's value names; nothing for other keys and for the node's own paths.
pub(super) fn volume_of(key: &str, value: &str) -> Option<String> {
    let point = key == "rootfs" || super::config::number(key, "mp").is_some();
    let volume = if point {
        mount(key, value).get("volume")?.to_owned()
    } else if super::config::number(key, "unused").is_some() {
        value.split(',').next()?.to_owned()
    } else {
        return None;
    };
    split(&volume).is_some().then_some(volume)
}

/// Enters the volume of a former mount point under the lowest free `unusedN`.
pub(super) fn disuse(world: &mut World, id: GuestId, key: &str, value: &str) {
    if super::config::number(key, "unused").is_some() {
        return;
    }
    let Some(volume) = volume_of(key, value) else { return };
    let Some(guest) = world.guest_mut(id) else { return };
    let config = &mut guest.config.current;
    if config.numbered("unused").iter().any(|(_, unused)| *unused == volume) {
        return;
    }
    let free = (0..).map(|n| format!("unused{n}")).find(|key| config.get(key).is_none()).unwrap_or_default();
    config.set(&free, volume);
}

/// Writes what Proxmox writes into every managed container before its start.
fn write_files(body: &mut Body, around: &mut Around, config: &Section, resolv_conf: &str) {
    for (key, text) in config.mount_points() {
        if let Some(path) = mount(key, text).get("mp") {
            // A file in the way shows at the real start, too late for this model.
            let attributes = Attributes::default();
            body.perform(&Op::MakeDir { path: path.to_owned(), attributes }, around);
        }
    }
    if config.get("ostype") == Some("unmanaged") {
        return;
    }
    let name = around.identity.name.clone();
    let short = name.split('.').next().unwrap_or(&name).to_owned();
    put(body, around, "/etc/hostname", format!("{short}\n"));

    let domain = config.get("searchdomain").and_then(|domains| domains.split([' ', ',', ';']).next());
    let names = match (name.contains('.'), domain) {
        (true, _) => format!("{name} {short}"),
        (false, Some(domain)) => format!("{short}.{domain} {short}"),
        (false, None) => short,
    };
    let lines: Vec<String> = around.addresses.iter().map(|cidr| format!("{} {names}", cidr.address)).collect();
    let lines = if lines.is_empty() { vec![format!("127.0.1.1 {names}")] } else { lines };
    put_section(body, around, "/etc/hosts", &lines);

    let mut lines: Vec<String> = Vec::new();
    match (config.get("nameserver"), config.get("searchdomain")) {
        (None, None) => lines.extend(resolv_conf.lines().map(str::to_owned)),
        (servers, domains) => {
            lines.extend(domains.map(|domains| format!("search {}", domains.replace([',', ';'], " "))));
            let servers = servers.unwrap_or_default().split([' ', ',', ';']).filter(|server| !server.is_empty());
            lines.extend(servers.map(|server| format!("nameserver {server}")));
        }
    }
    put_section(body, around, "/etc/resolv.conf", &lines);

    let mut text = "auto lo\niface lo inet loopback\n".to_owned();
    for (_, value) in config.numbered("net") {
        let nic = nic(value);
        let name = nic.get("name").unwrap_or("eth0");
        let stanza = match nic.get("ip") {
            Some("dhcp") => "dhcp\n".to_owned(),
            Some("manual") | None => "manual\n".to_owned(),
            Some(address) => {
                let gateway = nic.get("gw").map(|gw| format!("\tgateway {gw}\n")).unwrap_or_default();
                format!("static\n\taddress {address}\n{gateway}")
            }
        };
        text += &format!("\nauto {name}\niface {name} inet {stanza}");
    }
    put(body, around, "/etc/network/interfaces", text);
}

/// Replaces a file, unless a `.pve-ignore.NAME` beside it says to leave it alone.
fn put(body: &mut Body, around: &mut Around, path: &str, text: String) {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let ignore = Op::Stat { path: format!("{directory}/.pve-ignore.{name}") };
    let present = |body: &mut Body, around: &mut Around, op: &Op| {
        matches!(body.perform(op, around).result, Ok(OpValue::Stat(Some(_))))
    };
    if present(body, around, &ignore) || !present(body, around, &Op::Stat { path: directory.to_owned() }) {
        return;
    }
    // The directory is there, so only a directory in the file's place could be in the way; Proxmox fails there too.
    let _ = body.place(path, 0o644, text.into_bytes());
}

/// Replaces Proxmox's part of a file, or puts it at the file's end.
fn put_section(body: &mut Body, around: &mut Around, path: &str, lines: &[String]) {
    let read = Op::Read { path: path.to_owned(), limit: 1 << 20 };
    let old = match body.perform(&read, around).result {
        Ok(OpValue::Bytes(Some(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    };
    let section = format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"));
    let text = match (old.find(BEGIN), old.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            let rest = old[end + END.len()..].trim_start_matches('\n');
            format!("{}{section}{rest}", &old[..begin])
        }
        _ => format!("{old}{section}"),
    };
    put(body, around, path, text);
}
