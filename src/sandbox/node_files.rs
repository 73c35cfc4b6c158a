//! Files of the node that are rendered from the world: `/etc/pve`, `/proc/net/unix`, pid files, interfaces.
//!
//! An Op on one of them is done on a copy of the node's own file system into which the rendered files were put, so
//! that it behaves like any other file. What was written to a guest's configuration is then taken back into the world.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::bodies::Bodies;
use super::body::{Answer, BodyChange, Data, Power, Runtime, cache_of};
use super::clock::Moment;
use super::config::Config;
use super::core::Core;
use super::guest::node_inside;
use super::ha;
use super::storage::Storage;
use super::world::{Guest, NODE, NODE_TEMPLATE, World};
use super::{gpu, neighbours, vm};
use crate::command::Effect;
use crate::host::HostError;
use crate::model::{Cidr, GuestId, GuestKind};
use crate::op::{Attributes, Content, Op, OpError, OpErrorKind, OpResult, OpValue, Place};
use crate::pve::inventory::config_path;

/// Directories and files below which something is rendered.
const RENDERED: [&str; 9] = [
    "/etc/pve",
    "/proc",
    "/sys/class/net",
    "/sys/devices/system/cpu/online",
    "/var/run/qemu-server",
    "/run/qemu-server",
    "/usr/share/perl5/PVE/pvecfg.pm",
    "/var/lib/lxc",
    "/etc/resolv.conf",
];

/// Below these nothing but the node's own files lies, though they are within a rendered directory.
const OWN: [&str; 4] = ["/etc/pve/firewall", "/etc/pve/priv", "/proc/devices", "/proc/driver"];

/// Ids that containers of a node may have on it: `/etc/subuid`, `/etc/subgid`.
pub(super) const SUBORDINATE: &str = "root:100000:65536\n";

/// What keeps a node's clock right.
const CHRONY: &str = "[Unit]\nDescription=chrony, an NTP client/server\n\n[Service]\nType=forking\n\
                      ExecStart=/usr/sbin/chronyd\n\n[Install]\nWantedBy=multi-user.target\n";

/// Directories that every node has.
const OWN_DIRECTORIES: [&str; 5] = [
    "/etc/pve/firewall",
    "/etc/pve/nodes/NODE/lxc",
    "/etc/pve/nodes/NODE/qemu-server",
    "/run/lock/lxc",
    "/run/lock/qemu-server",
];

/// Does an Op on the node's own file system.
pub(super) fn perform(world: &mut World, core: &Core, now: Moment, op: &Op) -> Answer {
    let absent = || Answer {
        result: Err(OpError::new(OpErrorKind::Failed, "the node has no modelled inside")),
        took: Duration::ZERO,
    };
    let own = |world: &mut World| {
        node_inside(world, core, now, |body, around| body.perform(op, around)).unwrap_or_else(absent)
    };
    if let Op::Neighbours { addresses } = op {
        return neighbours::ask(world, addresses);
    }
    if let Some(path) = path_of(op).filter(|path| is_below(path, "/etc/pve"))
        && op.effect() == Effect::Change
        && !world.cluster.quorate
    {
        // Without quorum nobody can write there, root included.
        let result = Err(OpError::new(OpErrorKind::PermissionDenied, format!("{path}: Permission denied")));
        return Answer { result, took: Duration::ZERO };
    }
    let Some(path) = path_of(op).filter(|path| is_rendered(world, path)) else { return own(world) };
    let path = real_path(world, path);
    let changes = op.effect() == Effect::Change;
    if changes && guest_of(world, &path).is_none() {
        return own(world);
    }
    let files = rendered(world, &path);
    let op = &at(op, &path);
    let answer = node_inside(world, core, now, |body, around| {
        let mut copy = body.clone();
        for (path, bytes) in files {
            // Directories of these names are the node's own; nothing else could be in the way.
            let _ = copy.place(&path, 0o640, bytes);
        }
        let answer = copy.perform(op, around);
        let written = match copy.perform(&Op::Read { path: path.clone(), limit: u64::MAX }, around).result {
            Ok(OpValue::Bytes(bytes)) => bytes,
            _ => None,
        };
        (answer, written)
    });
    let Some((answer, written)) = answer else { return absent() };
    if !changes || answer.result.is_err() {
        return answer;
    }
    let result = take_back(world, &path, written.as_deref()).and(answer.result);
    Answer { result, took: answer.took }
}

/// The same Op where containers are real: a file that the node fetched is carried from where it really is.
pub(super) fn carried(op: &Op, bodies: &dyn Bodies) -> Op {
    let mut op = op.clone();
    if let Op::Write { content: Content::NodeFile { path, .. }, .. } = &mut op {
        *path = bodies.node_path(path);
    }
    op
}

/// Fetches a file for a node whose containers are real: really, to where it is carried from. The node knows its digest.
///
/// # Errors
/// As the fetch.
pub(super) fn fetch(core: &Core, bodies: &dyn Bodies, fetch: &Op, path: &str) -> Result<OpResult, HostError> {
    let there = bodies.node_path(path);
    let mut fetch = fetch.clone();
    if let Op::Fetch { path, .. } = &mut fetch {
        path.clone_from(&there);
    }
    let directory = there.rsplit_once('/').map_or("/", |(directory, _)| directory).to_owned();
    let ops = [Op::MakeDir { path: directory, attributes: Attributes::default() }, fetch, Op::Digest { path: there }];
    let mut results = bodies.host().perform(Place::Node, &ops)?;
    let (digest, fetched) = (results.pop(), results.pop());
    let sha256 = match (digest, fetched) {
        (_, Some(Err(error))) => return Ok(Err(error)),
        (Some(Ok(OpValue::Digest(Some(sha256)))), _) => sha256,
        _ => return Ok(Err(OpError::new(OpErrorKind::Failed, format!("{path} was not fetched")))),
    };
    let mut state = core.state();
    let node = state.world.body_mut(NODE);
    let placed = node.map_or(Ok(()), |node| node.place_data(path, 0o644, Data::Digest { sha256 }));
    Ok(placed.map(|()| OpValue::Done))
}

/// Whether an Op is about what is rendered from the world, and not about the node's own files.
pub(super) fn is_answered_by_world(world: &World, op: &Op) -> bool {
    path_of(op).is_some_and(|path| is_rendered(world, path))
}

/// The one path that an Op is about.
fn path_of(op: &Op) -> Option<&str> {
    match op {
        Op::Stat { path }
        | Op::Read { path, .. }
        | Op::Digest { path }
        | Op::List { path }
        | Op::ReadAll { path, .. }
        | Op::Write { path, .. }
        | Op::Append { path, .. }
        | Op::Remove { path, .. }
        | Op::MakeDir { path, .. }
        | Op::SetAttributes { path, .. } => Some(path),
        _ => None,
    }
}

/// The same Op at another path.
fn at(op: &Op, to: &str) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Stat { path }
        | Op::Read { path, .. }
        | Op::Digest { path }
        | Op::List { path }
        | Op::ReadAll { path, .. }
        | Op::Write { path, .. }
        | Op::Append { path, .. }
        | Op::Remove { path, .. }
        | Op::MakeDir { path, .. }
        | Op::SetAttributes { path, .. } => to.clone_into(path),
        _ => {}
    }
    op
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_rendered(world: &World, path: &str) -> bool {
    let fixed = RENDERED.iter().any(|rendered| is_below(path, rendered));
    let archive = || world.templates.iter().any(|template| is_below(&world.path_of(&template.volid), path));
    (fixed && !OWN.iter().any(|own| is_below(path, own))) || archive()
}

/// `/etc/pve/lxc` is a link to the node's own directory, as is `/etc/pve/local`.
fn real_path(world: &World, path: &str) -> String {
    for folder in ["lxc", "qemu-server"] {
        if let Some(rest) =
            path.strip_prefix(&format!("/etc/pve/{folder}")).filter(|r| r.is_empty() || r.starts_with('/'))
        {
            return format!("/etc/pve/nodes/{}/{folder}{rest}", world.node);
        }
    }
    match path.strip_prefix("/etc/pve/local").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        Some(rest) => format!("/etc/pve/nodes/{}{rest}", world.node),
        None => path.to_owned(),
    }
}

/// Rendered files at a path and below it.
fn rendered(world: &World, path: &str) -> Vec<(String, Arc<[u8]>)> {
    let mut files: Vec<(String, Arc<[u8]>)> = Vec::new();
    let mut file = |name: &str, text: &dyn Fn() -> String| {
        if is_below(name, path) {
            files.push((name.to_owned(), text().into_bytes().into()));
        }
    };
    file("/etc/pve/.vmlist", &|| vm_list(world));
    file("/etc/pve/.members", &|| members(world));
    file("/etc/pve/storage.cfg", &|| storage_cfg(world));
    if !world.ha.is_empty() {
        file("/etc/pve/ha/resources.cfg", &|| ha::resources_cfg(world));
        file("/etc/pve/ha/manager_status", &|| ha::manager_status(world));
    }
    file("/etc/resolv.conf", &|| world.resolv_conf.clone());
    file("/proc/net/unix", &|| unix_sockets(world));
    file("/proc/net/route", &|| routes(world));
    file("/proc/meminfo", &|| format!("MemTotal: {:>15} kB\n", world.memory << 10));
    file("/sys/devices/system/cpu/online", &|| format!("0-{}\n", world.cpus.saturating_sub(1)));
    file("/usr/share/perl5/PVE/pvecfg.pm", &|| version(world));
    for guest in world.guests() {
        let node = guest.node.as_deref().unwrap_or(&world.node);
        file(&config_path(node, guest.kind, guest.id), &|| guest.config.render(guest.kind));
        if let (GuestKind::Vm, Some(running)) = (guest.kind, &guest.running) {
            for directory in ["/var/run/qemu-server", "/run/qemu-server"] {
                file(&format!("{directory}/{}.pid", guest.id), &|| format!("{}\n", running.pid));
            }
            let line = format!("/usr/bin/kvm\0-id\0{}\0", guest.id);
            file(&format!("/proc/{}/cmdline", running.pid), &|| line.clone());
            if vm::has_agent(&guest.config.current) {
                for directory in ["/var/run/qemu-server", "/run/qemu-server"] {
                    // A socket, in truth.
                    file(&format!("{directory}/{}.qga", guest.id), &String::new);
                }
            }
        }
    }
    for template in &world.templates {
        // The archive itself is nowhere; its size is told by `pvesm list`.
        file(&world.path_of(&template.volid), &String::new);
    }
    for bridge in &world.bridges {
        file(&format!("/sys/class/net/{}/bridge/bridge_id", bridge.name), &String::new);
        file(&format!("/sys/class/net/{}/mtu", bridge.name), &|| format!("{}\n", bridge.mtu));
    }
    files
}

/// Takes what was written to a rendered file back into the world.
fn take_back(world: &mut World, path: &str, bytes: Option<&[u8]>) -> OpResult {
    let refused = || OpError::new(OpErrorKind::PermissionDenied, format!("{path}: Permission denied"));
    let (kind, id) = guest_of(world, path).ok_or_else(refused)?;
    match bytes {
        None => world.remove_guest(id),
        Some(bytes) => {
            let config = Config::parse(&String::from_utf8_lossy(bytes));
            match world.guest_mut(id) {
                Some(guest) if guest.kind == kind => guest.config = config,
                Some(_) => return Err(OpError::new(OpErrorKind::Exists, format!("{path}: File exists"))),
                None => world.put_guest(Guest { id, kind, node: None, config, running: None, version: 1 }),
            }
        }
    }
    Ok(OpValue::Done)
}

/// The guest of this node whose configuration file this is.
fn guest_of(world: &World, path: &str) -> Option<(GuestKind, GuestId)> {
    let rest = path.strip_prefix(&format!("/etc/pve/nodes/{}/", world.node))?;
    let (folder, file) = rest.split_once('/')?;
    let kind = match folder {
        "lxc" => GuestKind::Lxc,
        "qemu-server" => GuestKind::Vm,
        _ => return None,
    };
    Some((kind, file.strip_suffix(".conf")?.parse().ok()?))
}

fn vm_list(world: &World) -> String {
    let mut version = 1;
    let ids: serde_json::Map<String, serde_json::Value> = world
        .guests()
        .map(|guest| {
            version += guest.version;
            let kind = match guest.kind {
                GuestKind::Lxc => "lxc",
                GuestKind::Vm => "qemu",
            };
            let node = guest.node.as_deref().unwrap_or(&world.node);
            (guest.id.to_string(), serde_json::json!({"node": node, "type": kind, "version": guest.version}))
        })
        .collect();
    format!("{:#}\n", serde_json::json!({"version": version, "ids": ids}))
}

fn members(world: &World) -> String {
    let mut members = serde_json::json!({"nodename": world.node, "version": 0});
    let cluster = &world.cluster;
    if cluster.members.len() > 1 || !cluster.quorate {
        let nodes = world.cluster.members.iter().zip(1..);
        let list: serde_json::Map<String, serde_json::Value> = nodes
            .map(|(node, id)| {
                let online = u8::from(cluster.quorate || *node == world.node);
                (node.clone(), serde_json::json!({"id": id, "online": online}))
            })
            .collect();
        members["version"] = 1.into();
        members["cluster"] = serde_json::json!({"nodes": list.len(), "quorate": u8::from(world.cluster.quorate)});
        members["nodelist"] = list.into();
    }
    format!("{members:#}\n")
}

fn storage_cfg(world: &World) -> String {
    let mut text = String::new();
    for storage in &world.storages {
        let place = match storage.kind.as_str() {
            "zfspool" => "pool",
            "lvm" | "lvmthin" => "vgname",
            "rbd" => "pool",
            _ => "path",
        };
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "{}: {}\n\t{place} {}\n\tcontent {}\n",
            storage.kind,
            storage.id,
            storage.path,
            storage.content.join(",")
        );
        if storage.disable {
            text.push_str("\tdisable\n");
        }
        for (name, value) in &storage.options {
            let _ = writeln!(text, "\t{name} {value}");
        }
        text.push('\n');
    }
    text
}

/// A running container is known by its command socket.
fn unix_sockets(world: &World) -> String {
    let mut text = "Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned();
    let running = world.guests().filter(|guest| guest.kind == GuestKind::Lxc && guest.running.is_some());
    for guest in running {
        let inode = 40_000 + guest.id.get();
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "0000000000000000: 00000002 00000000 00010000 0001 01 {inode} @/var/lib/lxc/{}/command",
            guest.id
        );
    }
    text
}

/// Networks of the bridges and the way out, as the kernel tells them: addresses are hexadecimal, last byte first.
fn routes(world: &World) -> String {
    let hex = |address: Ipv4Addr| format!("{:08X}", u32::from(address).swap_bytes());
    let mut text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n".to_owned();
    for bridge in &world.bridges {
        let Some(own) = bridge.address.as_deref().and_then(|text| text.parse::<Cidr>().ok()) else { continue };
        let IpAddr::V4(network) = own.network().address else { continue };
        let name = &bridge.name;
        if let Some(IpAddr::V4(gateway)) = world.gateway.filter(|gateway| own.contains(*gateway)) {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name}\t00000000\t{}\t0003\t0\t0\t0\t00000000\t0\t0\t0", hex(gateway));
        }
        let mask = Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(own.prefix)).unwrap_or(0));
        let _ = writeln!(text, "{name}\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0", hex(network), hex(mask));
    }
    text
}

fn version(world: &World) -> String {
    let version = world.version.get("pve-manager").map(String::as_str).unwrap_or_default();
    format!("package PVE::pvecfg;\n\nuse strict;\n\nsub version {{\n    return '{version}';\n}}\n\n1;\n")
}

/// Disks of the node that nobody uses, and their names by maker and number.
const BLANK_DISKS: [(&str, &str); 2] = [("/dev/sdy", "ata-SAMPLE_1"), ("/dev/sdz", "ata-SAMPLE_2")];

impl World {
    /// The node's own file system as it is before anything happened.
    pub(super) fn fresh_node(&self) -> super::body::Body {
        let mut body = super::body::Body::of_template(NODE_TEMPLATE);
        for (path, file) in &self.files {
            // A world that names a file below another file has none of them.
            let _ = body.place_data(path, 0o644, file.data());
        }
        let own = OWN_DIRECTORIES.iter().map(|path| path.replace("NODE", &self.node));
        let storages = self.storages.iter().flat_map(Storage::directories);
        for path in own.chain(storages).chain(self.directories.iter().cloned()) {
            let _ = body.place_dir(&path);
        }
        let _ = body.apply(BodyChange::Power(Power::On { since: jiff::Timestamp::UNIX_EPOCH }));
        self.furnish(&mut body);
        for device in &self.devices {
            if let Some((above, _)) = device.rsplit_once('/') {
                let _ = body.place_dir(above);
            }
            let numbers = Some(gpu::numbers(device));
            let change = BodyChange::Other { path: device.clone(), mode: 0o666, uid: 0, gid: 0, device: numbers };
            let _ = body.apply(change);
        }
        body
    }

    /// What Proxmox VE's packages bring, as far as anybody looks for it.
    fn furnish(&self, body: &mut super::body::Body) {
        for tool in ["pct", "qm", "pvesm", "pvesh", "pveam", "pve-firewall", "zfs", "zpool"] {
            // Nothing else is there.
            let _ = body.place(&format!("/usr/sbin/{tool}"), 0o755, Vec::new());
        }
        let _ = body.place("/usr/bin/lxc-attach", 0o755, Vec::new());
        let pools = self.storages.iter().filter(|storage| storage.kind == "zfspool");
        let datasets = pools.map(|storage| storage.path.as_str()).chain(["rpool/data"]);
        let _ = body.place("/etc/zfs/zpool.cache", 0o644, cache_of(datasets));
        let local = BodyChange::Link { path: "/etc/pve/local".into(), target: format!("nodes/{}", self.node) };
        let _ = body.apply(local);
        for (disk, link) in BLANK_DISKS {
            let _ = body.place(disk, 0o660, Vec::new());
            let link = BodyChange::Link { path: format!("/dev/disk/by-id/{link}"), target: disk.to_owned() };
            let _ = body.place_dir("/dev/disk/by-id").map(|()| body.apply(link));
        }
        for file in ["/etc/subuid", "/etc/subgid"].into_iter().filter(|file| !self.files.contains_key(*file)) {
            let _ = body.place(file, 0o644, SUBORDINATE.as_bytes());
        }
        // A unit of the world's own in its place is not started.
        if self.files.contains_key("/etc/systemd/system/chrony.service") {
            return;
        }
        let _ = body.place("/usr/lib/systemd/system/chrony.service", 0o644, CHRONY.as_bytes());
        let runtime = Runtime { active: "active".into(), sub: "running".into(), loaded: CHRONY.into() };
        let _ = body.apply(BodyChange::Unit { name: "chrony.service".into(), runtime: Some(runtime) });
    }
}
