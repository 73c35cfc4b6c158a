//! The state of a node from its files: every guest, what runs, storages, bridges. No process is started.
//!
//! One batch of reads ([`ops`], [`parse`]) tells everything about containers. Two things need what the first batch
//! found: whether the pid files of virtual machines are stale, because a QEMU that crashed leaves its own behind
//! ([`processes`], [`Inventory::confirm`]), and which interfaces are bridges ([`details`], [`Inventory::complete`],
//! which ask for both).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::guest_config::GuestConfig;
use super::ha::Ha;
use super::storage::{self, Storage};
use super::version::Version;
use crate::model::{GuestId, GuestKind};
use crate::op::{FileKind, Op, OpError, OpResult, OpValue};

/// A guest that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Kind.
    pub kind: GuestKind,
    /// The node it belongs to.
    pub node: String,
    /// Its configuration; empty for guests of other nodes.
    pub config: GuestConfig,
    /// Whether it runs; never for guests of other nodes.
    pub running: bool,
}

impl Present {
    /// Whether it carries phoenix's mark. Its record on the node has to confirm it.
    pub fn is_marked(&self) -> bool {
        self.config.current.tags().contains(&super::MARK)
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        let key = match self.kind {
            GuestKind::Lxc => "hostname",
            GuestKind::Vm => "name",
        };
        self.config.current.get(key)
    }
}

/// The state of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Name of the node.
    pub node: String,
    /// Version of Proxmox VE; absent when it cannot be told.
    pub version: Option<Version>,
    /// The cluster's nodes, and whether each is online; only this one where there is no cluster.
    pub members: BTreeMap<String, bool>,
    /// Whether the cluster can be changed: without quorum `/etc/pve` is read-only. Always where there is no cluster.
    pub quorate: bool,
    /// Guests that the HA manager looks after.
    pub ha: Ha,
    /// All guests of the cluster.
    pub guests: BTreeMap<GuestId, Present>,
    /// Storages, in the order of the file.
    pub storages: Vec<Storage>,
    /// Network interfaces of the node.
    pub interfaces: BTreeSet<String>,
    /// Those of them that are bridges; known after [`Inventory::complete`].
    pub bridges: BTreeSet<String>,
    /// Firewall files by stem: `cluster`, `101`.
    pub firewalls: BTreeMap<String, String>,
    /// Process ids that the pid files of virtual machines name.
    pids: BTreeMap<GuestId, u32>,
}

/// Why the state of a node cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PveError {
    /// A file could not be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// Path on the node.
        path: String,
        /// What the node said.
        error: OpError,
    },
    /// A file that Proxmox VE always has is missing.
    #[error("{path} is missing: Proxmox VE does not run on this machine, or its cluster file system is down")]
    Missing {
        /// Path on the node.
        path: String,
    },
    /// A file has another form than expected.
    #[error("cannot understand {path}: {reason}")]
    Malformed {
        /// Path on the node.
        path: String,
        /// Why.
        reason: String,
    },
}

const MEMBERS: &str = "/etc/pve/.members";
const VM_LIST: &str = "/etc/pve/.vmlist";
const STORAGE_CFG: &str = "/etc/pve/storage.cfg";
const UNIX_SOCKETS: &str = "/proc/net/unix";
const VERSION: &str = "/usr/share/perl5/PVE/pvecfg.pm";
const FIREWALLS: &str = "/etc/pve/firewall";
const PID_FILES: &str = "/var/run/qemu-server";
const INTERFACES: &str = "/sys/class/net";
const HA_RESOURCES: &str = "/etc/pve/ha/resources.cfg";
const HA_STATUS: &str = "/etc/pve/ha/manager_status";
const LIMIT: u64 = 16 << 20;

/// Where the configuration of a guest is.
pub fn config_path(node: &str, kind: GuestKind, id: GuestId) -> String {
    format!("/etc/pve/nodes/{node}/{}/{id}.conf", folder(kind))
}

/// Where Proxmox's lock of a guest is.
pub fn lock_path(kind: GuestKind, id: GuestId) -> String {
    match kind {
        GuestKind::Lxc => format!("/run/lock/lxc/pve-config-{id}.lock"),
        GuestKind::Vm => format!("/var/lock/qemu-server/lock-{id}.conf"),
    }
}

fn folder(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Lxc => "lxc",
        GuestKind::Vm => "qemu-server",
    }
}

/// The read that tells the name of the node; [`node_name`] understands its result.
pub fn node_name_op() -> Op {
    Op::Read { path: MEMBERS.into(), limit: LIMIT }
}

/// The name of the node.
///
/// # Errors
/// When the file is missing (no Proxmox VE) or not understood.
pub fn node_name(result: &OpResult) -> Result<String, PveError> {
    Ok(members(result)?.nodename)
}

/// `.members`: the node itself, and where there is one its cluster.
#[derive(Deserialize)]
struct Members {
    nodename: String,
    cluster: Option<Cluster>,
    #[serde(default)]
    nodelist: BTreeMap<String, Member>,
}

#[derive(Deserialize)]
struct Cluster {
    quorate: u8,
}

#[derive(Deserialize)]
struct Member {
    online: u8,
}

fn members(result: &OpResult) -> Result<Members, PveError> {
    json(MEMBERS, required(MEMBERS, result)?)
}

/// The reads of the first batch, for this node.
pub fn ops(node: &str) -> Vec<Op> {
    let read = |path: &str| Op::Read { path: path.to_owned(), limit: LIMIT };
    let all = |path: String, suffix: &str| Op::ReadAll { path, suffix: suffix.to_owned() };
    vec![
        read(MEMBERS),
        read(VM_LIST),
        all(format!("/etc/pve/nodes/{node}/{}", folder(GuestKind::Lxc)), ".conf"),
        all(format!("/etc/pve/nodes/{node}/{}", folder(GuestKind::Vm)), ".conf"),
        read(STORAGE_CFG),
        read(UNIX_SOCKETS),
        all(PID_FILES.to_owned(), ".pid"),
        all(FIREWALLS.to_owned(), ".fw"),
        Op::List { path: INTERFACES.to_owned() },
        read(VERSION),
        read(HA_RESOURCES),
        read(HA_STATUS),
    ]
}

/// Understands the results of [`ops`].
///
/// # Errors
/// When a file that always exists is missing, unreadable or of another form.
pub fn parse(results: &[OpResult]) -> Result<Inventory, PveError> {
    let [members, vm_list, lxc, vm, storages, sockets, pids, firewalls, interfaces, version, resources, status] =
        results
    else {
        let reason = format!("{} answers came to {} reads", results.len(), ops("").len());
        return Err(PveError::Malformed { path: "/etc/pve".into(), reason });
    };
    let Members { nodename: node, cluster, nodelist } = self::members(members)?;
    let mut members: BTreeMap<String, bool> =
        nodelist.into_iter().map(|(node, member)| (node, member.online != 0)).collect();
    members.entry(node.clone()).or_insert(true);
    let sockets = optional(UNIX_SOCKETS, sockets)?.unwrap_or_default();
    let running = running_containers(&sockets);
    let pids = pid_files(&files(PID_FILES, pids)?);
    let mut guests = listed_guests(&required(VM_LIST, vm_list)?)?;
    for (kind, result) in [(GuestKind::Lxc, lxc), (GuestKind::Vm, vm)] {
        for (name, text) in files(&format!("/etc/pve/nodes/{node}/{}", folder(kind)), result)? {
            let Some(id) = stem_id(&name) else { continue };
            let running = match kind {
                GuestKind::Lxc => running.contains(&id),
                GuestKind::Vm => pids.contains_key(&id),
            };
            guests.insert(id, Present { kind, node: node.clone(), config: GuestConfig::parse(&text), running });
        }
    }
    let interfaces = match interfaces {
        Ok(OpValue::Entries(entries)) => entries.iter().flatten().map(|entry| entry.name.clone()).collect(),
        other => return Err(unexpected(INTERFACES, other)),
    };
    let firewalls = files(FIREWALLS, firewalls)?
        .into_iter()
        .map(|(name, text)| (name.trim_end_matches(".fw").to_owned(), text))
        .collect();
    Ok(Inventory {
        version: optional(VERSION, version)?.as_deref().and_then(Version::in_pvecfg),
        members,
        quorate: cluster.is_none_or(|cluster| cluster.quorate != 0),
        ha: Ha::parse(
            &optional(HA_RESOURCES, resources)?.unwrap_or_default(),
            &optional(HA_STATUS, status)?.unwrap_or_default(),
        ),
        storages: storage::parse_cfg(&optional(STORAGE_CFG, storages)?.unwrap_or_default()),
        bridges: BTreeSet::new(),
        node,
        guests,
        interfaces,
        firewalls,
        pids,
    })
}

/// The reads that tell whose process ids the pid files name; none where no virtual machine has one.
pub fn processes(inventory: &Inventory) -> Vec<Op> {
    let process = |pid: &u32| Op::Read { path: format!("/proc/{pid}/cmdline"), limit: LIMIT };
    inventory.pids.values().map(process).collect()
}

/// The reads of the second batch: what interfaces are, and whose process ids the pid files name.
pub fn details(inventory: &Inventory) -> Vec<Op> {
    let bridge = |name: &String| Op::Stat { path: format!("{INTERFACES}/{name}/bridge") };
    inventory.interfaces.iter().map(bridge).chain(processes(inventory)).collect()
}

impl Inventory {
    /// Process id of a virtual machine's QEMU, by its pid file.
    pub fn pid(&self, id: GuestId) -> Option<u32> {
        self.pids.get(&id).copied()
    }

    /// A virtual machine runs only if the process that its pid file names is its QEMU: what the results of
    /// [`processes`] tell.
    pub fn confirm(&mut self, results: &[OpResult]) {
        let alive = |(id, result): (&GuestId, &OpResult)| match result {
            Ok(OpValue::Bytes(Some(line))) if runs_guest(line, *id) => None,
            _ => Some(*id),
        };
        let stale: Vec<GuestId> = self.pids.keys().zip(results).filter_map(alive).collect();
        for id in stale {
            self.pids.remove(&id);
            if let Some(guest) = self.guests.get_mut(&id).filter(|guest| guest.kind == GuestKind::Vm) {
                guest.running = false;
            }
        }
    }

    /// Adds what the results of [`details`] tell.
    pub fn complete(&mut self, results: &[OpResult]) {
        let (bridges, processes) = results.split_at(self.interfaces.len().min(results.len()));
        self.bridges = self
            .interfaces
            .iter()
            .zip(bridges)
            .filter(|(_, result)| matches!(result, Ok(OpValue::Stat(Some(stat))) if stat.kind == FileKind::Directory))
            .map(|(name, _)| name.clone())
            .collect();
        self.confirm(processes);
    }

    /// Where a file lies that is named by an absolute path or as a volume of a storage that keeps files
    /// (`local:vztmpl/x.tar.zst`); absent when its storage is not there.
    pub fn path_of(&self, file: &str) -> Option<String> {
        if file.starts_with('/') {
            return Some(file.to_owned());
        }
        let (storage, name) = file.split_once(':')?;
        let (content, name) = name.split_once('/')?;
        Some(format!("{}/{name}", self.storage(storage)?.directory(content)?))
    }

    /// The storage of this id.
    pub fn storage(&self, id: &str) -> Option<&Storage> {
        self.storages.iter().find(|storage| storage.id == id)
    }
}

/// Whether a command line (`\0` between words) is that of the QEMU of this guest.
fn runs_guest(command_line: &[u8], id: GuestId) -> bool {
    let id = id.to_string();
    let words: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair[0] == b"-id" && pair[1] == id.as_bytes())
}

/// Containers whose command socket `@/var/lib/lxc/ID/command` exists.
fn running_containers(sockets: &str) -> BTreeSet<GuestId> {
    let id = |line: &str| line.split_once("@/var/lib/lxc/")?.1.strip_suffix("/command")?.parse().ok();
    sockets.lines().filter_map(|line| id(line.trim_end())).collect()
}

fn pid_files(files: &BTreeMap<String, String>) -> BTreeMap<GuestId, u32> {
    files.iter().filter_map(|(name, text)| Some((stem_id(name)?, text.trim().parse().ok()?))).collect()
}

fn stem_id(name: &str) -> Option<GuestId> {
    name.rsplit_once('.')?.0.parse().ok()
}

fn listed_guests(text: &str) -> Result<BTreeMap<GuestId, Present>, PveError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        ids: BTreeMap<String, Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        node: String,
        #[serde(rename = "type")]
        kind: String,
    }
    let list: List = json(VM_LIST, text.to_owned())?;
    let present = |(id, listed): (String, Listed)| {
        let kind = if listed.kind == "qemu" { GuestKind::Vm } else { GuestKind::Lxc };
        let config = GuestConfig::default();
        Some((id.parse().ok()?, Present { kind, node: listed.node, config, running: false }))
    };
    Ok(list.ids.into_iter().filter_map(present).collect())
}

fn json<T: serde::de::DeserializeOwned>(path: &str, text: String) -> Result<T, PveError> {
    serde_json::from_str(&text).map_err(|e| PveError::Malformed { path: path.to_owned(), reason: e.to_string() })
}

fn optional(path: &str, result: &OpResult) -> Result<Option<String>, PveError> {
    match result {
        Ok(OpValue::Bytes(bytes)) => Ok(bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())),
        other => Err(unexpected(path, other)),
    }
}

fn required(path: &str, result: &OpResult) -> Result<String, PveError> {
    optional(path, result)?.ok_or_else(|| PveError::Missing { path: path.to_owned() })
}

fn files(path: &str, result: &OpResult) -> Result<BTreeMap<String, String>, PveError> {
    match result {
        Ok(OpValue::Files(files)) => {
            let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            Ok(files.iter().map(|(name, bytes)| (name.clone(), text(bytes))).collect())
        }
        other => Err(unexpected(path, other)),
    }
}

fn unexpected(path: &str, result: &OpResult) -> PveError {
    match result {
        Err(error) => PveError::Unreadable { path: path.to_owned(), error: error.clone() },
        Ok(_) => PveError::Malformed { path: path.to_owned(), reason: "the answer is that of another read".into() },
    }
}
