//! Everything there is on an emulated node: the node itself, its storages, its guests and the inside of them all.
//!
//! The node's part has the form of the conformance corpus; `docs/sandbox.md` describes the whole. Whoever changes
//! anything does it through the methods here, which remember what was touched: [`World::take_record`] answers the
//! difference since the last time, [`World::apply`] does it again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::body::{Body, Data};
use super::clock::Moment;
use super::config::Config;
use super::fault::Fault;
use super::ha::Resource;
use super::neighbours::Neighbour;
use super::random;
use super::record::{Edit, Touched};
use super::storage::{Storage, Volume};
use crate::model::{GuestId, GuestKind};
use crate::pve::version::Version;

/// The moment at which an emulated node's time begins: 2026-01-01 00:00:00 UTC.
pub(super) const BEGINNING: Moment = 1_767_225_600_000_000;

/// An emulated node with everything on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    /// What this world is, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Name of the node.
    pub node: String,
    /// Package versions, by package.
    #[serde(default)]
    pub version: BTreeMap<String, String>,
    /// The cluster it belongs to.
    #[serde(default)]
    pub cluster: Cluster,
    /// Guests that the HA manager looks after, by its names for them (`ct:101`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ha: BTreeMap<String, Resource>,
    /// Who calls the tools: `root@pam`.
    #[serde(default = "root")]
    pub caller: String,
    /// CPU cores.
    #[serde(default = "four")]
    pub cpus: u32,
    /// Memory of the node in MiB.
    #[serde(default = "plenty")]
    pub memory: u64,
    /// The node's `/etc/resolv.conf`.
    #[serde(default, rename = "resolv.conf")]
    pub resolv_conf: String,
    /// The node's time zone.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Bridges.
    #[serde(default)]
    pub bridges: Vec<Bridge>,
    /// The node's default gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<std::net::IpAddr>,
    /// Machines on the node's networks that are no guests, its gateway among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbours: Vec<Neighbour>,
    /// Storages, in the order of `storage.cfg`.
    #[serde(default)]
    pub storages: Vec<Storage>,
    /// Container templates.
    #[serde(default)]
    pub templates: Vec<Template>,
    /// Cloud images that were fetched: SHA-256 of the file -> its vendor's file name; empty for spoilt bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) images: BTreeMap<String, String>,
    /// Files that the node had from the beginning.
    #[serde(default)]
    pub files: BTreeMap<String, NodeFile>,
    /// Directories that the node had from the beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<String>,
    /// Device nodes below `/dev`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Environment of the tools.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Remark of the corpus about the ids it uses.
    #[serde(default, rename = "guest-ids", skip_serializing_if = "Option::is_none")]
    pub guest_ids: Option<String>,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What every generated value and every broken tie follows from.
    #[serde(default)]
    pub seed: u64,
    /// Where the sequence of generated values stands.
    #[serde(default)]
    pub(super) random: u64,
    /// The node's clock at the last change, in microseconds since 1970.
    #[serde(default = "beginning")]
    pub(super) now: Moment,
    #[serde(default, with = "guest_list")]
    pub(super) guests: BTreeMap<GuestId, Guest>,
    #[serde(default)]
    pub(super) volumes: BTreeMap<String, Volume>,
    #[serde(skip)]
    pub(super) bodies: BTreeMap<String, Body>,
    /// What goes wrong in this process: the world's own faults and those of the command line.
    #[serde(skip)]
    pub(super) in_force: Vec<Fault>,
    /// Machines whose agent died by a fault.
    #[serde(skip)]
    pub(super) dead_agents: BTreeSet<GuestId>,
    /// Bodies that hold only what a rehearsal asked of a real machine, and what it predicted there.
    #[serde(skip)]
    known_in_part: BTreeSet<String>,
    /// In a rehearsal on a real node: insides that cannot be known, because they are copies of such.
    #[serde(skip)]
    unknowable: Option<BTreeSet<String>>,
    /// The node's inside as it was before anything happened.
    #[serde(skip)]
    origin: Option<Body>,
    #[serde(skip)]
    pub(super) touched: Touched,
}

fn root() -> String {
    "root@pam".to_owned()
}

fn four() -> u32 {
    4
}

/// 64 GiB.
fn plenty() -> u64 {
    64 << 10
}

fn utc() -> String {
    "Etc/UTC".to_owned()
}

fn beginning() -> Moment {
    BEGINNING
}

/// The cluster that the node belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Names of all nodes.
    pub members: Vec<String>,
    /// Whether changes are possible.
    pub quorate: bool,
    /// Whether guests are managed by it.
    pub ha: bool,
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster { members: Vec::new(), quorate: true, ha: false }
    }
}

/// A bridge of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// The node's address on it, with prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its MTU.
    #[serde(default = "ethernet")]
    pub mtu: u32,
}

fn ethernet() -> u32 {
    1500
}

/// A container template on a storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its volume id.
    pub volid: String,
    /// Bytes of the archive.
    pub size: u64,
    /// Proxmox's word for the archive's kind: `tzst`, `tgz` ...
    pub format: String,
    /// What is inside.
    pub os: TemplateOs,
    /// Peculiarities of the inside, in the corpus's words.
    #[serde(default)]
    pub inside: serde_json::Value,
}

/// The operating system of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateOs {
    /// Proxmox's `ostype`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version.
    pub version: String,
    /// Architecture in Debian's words.
    pub arch: String,
}

/// A file that the node has from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NodeFile {
    /// With this text.
    Text(String),
    /// With so many zero bytes.
    Zeros {
        /// How many.
        zeros: u64,
    },
    /// With bytes that nobody has at hand.
    Digest {
        /// Their SHA-256 in lower-case hex.
        sha256: String,
    },
}

impl NodeFile {
    /// Its content.
    pub(super) fn data(&self) -> Data {
        match self {
            NodeFile::Text(text) => Data::text(text),
            NodeFile::Zeros { zeros } => Data::of(vec![0; usize::try_from(*zeros).unwrap_or(usize::MAX)]),
            NodeFile::Digest { sha256 } => Data::Digest { sha256: sha256.clone() },
        }
    }
}

/// A guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Its id.
    pub id: GuestId,
    /// Container or virtual machine.
    pub kind: GuestKind,
    /// The cluster's node that it is on; absent: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its configuration file.
    #[serde(with = "config_text")]
    pub config: Config,
    /// Since when and as what it runs; absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// Its counter in `.vmlist`, one up with every change.
    #[serde(default)]
    pub version: u64,
}

/// A running guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// Process number of its init or QEMU on the node.
    pub pid: u32,
    /// When it was started, in microseconds since 1970.
    pub since: Moment,
    /// Host name it was started with.
    pub hostname: String,
    /// From when on the agent inside a virtual machine answers, if it has one; microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_from: Option<Moment>,
}

/// What the node's own inside grows out of.
pub(super) const NODE_TEMPLATE: super::body::Template = super::body::Template::Debian13;

/// The name of the node's own inside among the bodies.
pub(super) const NODE: &str = "node";

/// The name of a guest's inside among the bodies.
pub(super) fn body_of(id: GuestId) -> String {
    id.to_string()
}

/// The name of a snapshot's inside among the bodies.
pub(super) fn body_at(id: GuestId, snapshot: &str) -> String {
    format!("{id}@{snapshot}")
}

impl World {
    /// An empty node of this name.
    pub fn empty(node: &str) -> World {
        World {
            about: None,
            node: node.to_owned(),
            version: current_versions(),
            cluster: Cluster { members: vec![node.to_owned()], ..Cluster::default() },
            ha: BTreeMap::new(),
            caller: root(),
            cpus: four(),
            memory: plenty(),
            resolv_conf: String::new(),
            timezone: utc(),
            bridges: Vec::new(),
            gateway: None,
            neighbours: Vec::new(),
            storages: Vec::new(),
            templates: Vec::new(),
            images: BTreeMap::new(),
            files: BTreeMap::new(),
            directories: Vec::new(),
            devices: Vec::new(),
            environment: BTreeMap::new(),
            guest_ids: None,
            faults: Vec::new(),
            seed: 0,
            random: 0,
            now: BEGINNING,
            guests: BTreeMap::new(),
            volumes: BTreeMap::new(),
            bodies: BTreeMap::new(),
            in_force: Vec::new(),
            dead_agents: BTreeSet::new(),
            known_in_part: BTreeSet::new(),
            unknowable: None,
            origin: None,
            touched: Touched::default(),
        }
    }

    /// All guests.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.values()
    }

    /// A guest.
    pub fn guest(&self, id: GuestId) -> Option<&Guest> {
        self.guests.get(&id)
    }

    /// What differs inside a guest between two worlds: paths, packages, units.
    pub fn differences(&self, other: &World, id: GuestId) -> Vec<String> {
        let (one, other) = (self.body(&body_of(id)), other.body(&body_of(id)));
        one.zip(other).map(|(one, other)| one.differences(other)).unwrap_or_default()
    }

    /// The same world a day later, with other random numbers to come.
    pub fn stirred(mut self) -> World {
        self.random();
        self.now += 24 * 60 * 60 * 1_000_000;
        self
    }

    /// A guest that is to be changed.
    pub(super) fn guest_mut(&mut self, id: GuestId) -> Option<&mut Guest> {
        let guest = self.guests.get_mut(&id)?;
        self.touched.guests.insert(id);
        guest.version += 1;
        guest.config.rewrite();
        Some(guest)
    }

    /// A new guest, or another one in its place.
    pub(super) fn put_guest(&mut self, guest: Guest) {
        self.touched.guests.insert(guest.id);
        self.guests.insert(guest.id, guest);
    }

    /// The guest and its inside are gone; its volumes are not.
    pub(super) fn remove_guest(&mut self, id: GuestId) {
        self.touched.guests.insert(id);
        self.guests.remove(&id);
        let own = body_of(id);
        let snapshots = format!("{id}@");
        let names: Vec<String> =
            self.bodies.keys().filter(|name| **name == own || name.starts_with(&snapshots)).cloned().collect();
        for name in names {
            self.drop_body(&name);
        }
    }

    /// All volumes by volume id.
    pub fn volumes(&self) -> &BTreeMap<String, Volume> {
        &self.volumes
    }

    /// A volume that is to be changed.
    pub(super) fn volume_mut(&mut self, volid: &str) -> Option<&mut Volume> {
        let volume = self.volumes.get_mut(volid)?;
        self.touched.volumes.insert(volid.to_owned());
        Some(volume)
    }

    /// A new volume.
    pub(super) fn put_volume(&mut self, volid: &str, volume: Volume) {
        self.touched.volumes.insert(volid.to_owned());
        self.volumes.insert(volid.to_owned(), volume);
    }

    /// The volume is gone.
    pub(super) fn remove_volume(&mut self, volid: &str) -> Option<Volume> {
        self.touched.volumes.insert(volid.to_owned());
        self.volumes.remove(volid)
    }

    /// The storages, to be changed.
    pub(super) fn storages_mut(&mut self) -> &mut Vec<Storage> {
        self.touched.storages = true;
        &mut self.storages
    }

    /// The images, to be changed.
    pub(super) fn images_mut(&mut self) -> &mut BTreeMap<String, String> {
        self.touched.images = true;
        &mut self.images
    }

    /// What the HA manager looks after, to be changed.
    pub(super) fn ha_mut(&mut self) -> &mut BTreeMap<String, Resource> {
        self.touched.ha = true;
        &mut self.ha
    }

    /// The node's version of Proxmox VE, as far as the world says.
    pub fn pve_version(&self) -> Option<Version> {
        self.version.get("pve-manager")?.parse().ok()
    }

    /// The templates, to be changed.
    pub(super) fn templates_mut(&mut self) -> &mut Vec<Template> {
        self.touched.templates = true;
        &mut self.templates
    }

    /// The next generated number.
    pub(super) fn random(&mut self) -> u64 {
        random::next(&mut self.random)
    }

    /// The inside of a machine.
    pub(super) fn body(&self, name: &str) -> Option<&Body> {
        self.bodies.get(name)
    }

    /// The inside of a machine, to be changed.
    pub(super) fn body_mut(&mut self, name: &str) -> Option<&mut Body> {
        let body = self.bodies.get_mut(name)?;
        self.touched.bodies.insert(name.to_owned());
        Some(body)
    }

    /// A guest's inside and the node's, both to be changed.
    pub(super) fn body_and_node(&mut self, name: &str) -> Option<(&mut Body, &mut Body)> {
        self.touched.bodies.extend([name.to_owned(), NODE.to_owned()]);
        let (mut found, mut node) = (None, None);
        for (other, body) in &mut self.bodies {
            if other == name {
                found = Some(body);
            } else if other == NODE {
                node = Some(body);
            }
        }
        found.zip(node)
    }

    /// Takes over a machine's inside as it is: what a file or a node's inventory says. Not recorded.
    pub(super) fn place_body(&mut self, name: &str, body: Body) {
        self.bodies.insert(name.to_owned(), body);
    }

    /// Makes the node's inside as it was before anything happened, and answers it.
    pub(super) fn begin(&mut self) -> &mut Body {
        if self.origin.is_none() {
            let mut origin = self.fresh_node();
            self.bodies.insert(NODE.to_owned(), origin.fork());
            self.origin = Some(origin);
        }
        self.origin.as_mut().expect("it was put there a line above")
    }

    /// Machines that a world file need not keep, because they are made again: the node's origin and the templates.
    pub(super) fn known(&self) -> impl Iterator<Item = (&'static str, Body)> {
        let origin = self.origin.clone().into_iter().map(|origin| (NODE, origin));
        let used = |template: &Template| super::body::Template::of_file(&template.volid);
        let machines = self.guests.values().any(|guest| guest.kind == GuestKind::Vm);
        let clouds = super::body::Template::CLOUD.into_iter().filter(|_| machines);
        let mut templates: Vec<_> =
            self.templates.iter().filter_map(used).chain([NODE_TEMPLATE]).chain(clouds).collect();
        templates.sort();
        templates.dedup();
        origin.chain(templates.into_iter().map(|template| (template.name(), Body::of_template(template))))
    }

    /// All machines' insides.
    pub(super) fn bodies(&self) -> &BTreeMap<String, Body> {
        &self.bodies
    }

    /// From now on a machine without a body is one of a real node.
    pub(super) fn rehearses(&mut self) {
        self.unknowable = Some(BTreeSet::new());
    }

    /// Whether this is a rehearsal on a real node.
    pub(super) fn is_rehearsal(&self) -> bool {
        self.unknowable.is_some()
    }

    /// Whether a machine's inside cannot be known.
    pub(super) fn is_unknowable(&self, name: &str) -> bool {
        self.unknowable.as_ref().is_some_and(|names| names.contains(name))
    }

    /// Whether a body holds only what a rehearsal asked of the real machine, and what it predicted there.
    pub(super) fn is_known_in_part(&self, name: &str) -> bool {
        self.known_in_part.contains(name)
    }

    /// Takes over a real machine's inside, as far as it is known.
    pub(super) fn place_known(&mut self, name: &str, body: Body) {
        self.known_in_part.insert(name.to_owned());
        self.place_body(name, body);
    }

    /// A machine has another inside than before: a whole one, or one that cannot be known.
    fn renew_body(&mut self, name: &str, body: Option<Body>) {
        self.known_in_part.remove(name);
        if let Some(unknowable) = &mut self.unknowable {
            if body.is_some() {
                unknowable.remove(name)
            } else {
                unknowable.insert(name.to_owned())
            };
        }
        match body {
            Some(body) => _ = self.bodies.insert(name.to_owned(), body),
            None => _ = self.bodies.remove(name),
        }
    }

    /// A machine comes out of a template.
    pub(super) fn unpack_body(&mut self, name: &str, template: &str) {
        let modelled = super::body::Template::of_file(template).is_some();
        let body = (modelled || self.unknowable.is_none()).then(|| self.unpacked(template));
        self.renew_body(name, body);
        self.touched.edits.push((name.to_owned(), Edit::Unpacked(template.to_owned())));
    }

    /// What comes out of a template; nothing that is known where it is not modelled.
    pub(super) fn unpacked(&self, volid: &str) -> Body {
        super::body::Template::of_file(volid).map(Body::of_template).unwrap_or_default()
    }

    /// Whether there is an inside to copy. A virtual machine with blank disks has none; where insides are not all known,
    /// it may have one.
    pub(super) fn has_inside(&self, kind: GuestKind, name: &str) -> bool {
        kind == GuestKind::Lxc || self.bodies.contains_key(name) || self.unknowable.is_some()
    }

    /// A machine becomes a copy of another.
    pub(super) fn fork_body(&mut self, from: &str, to: &str) {
        self.tell_body(from);
        let whole = !self.is_known_in_part(from);
        let body = match self.bodies.get_mut(from).filter(|_| whole).map(Body::fork) {
            None if self.unknowable.is_none() => Some(self.assumed_body(from)),
            body => body,
        };
        self.renew_body(to, body);
        self.touched.edits.push((to.to_owned(), Edit::Forked(from.to_owned())));
    }

    /// What is taken to be in a machine that a world has, but not its inside. A virtual machine that others are cloned
    /// from has an agent.
    fn assumed_body(&self, name: &str) -> Body {
        let source = name.split('@').next().and_then(|id| id.parse().ok()).and_then(|id| self.guest(id));
        match source.map(|guest| guest.kind) {
            Some(GuestKind::Vm) => Body::cloud_with_agent(),
            _ => Body::of_template(super::body::Template::Debian12),
        }
    }

    /// A machine's inside is gone.
    pub(super) fn drop_body(&mut self, name: &str) {
        self.touched.bodies.remove(name);
        self.known_in_part.remove(name);
        if let Some(unknowable) = &mut self.unknowable {
            unknowable.remove(name);
        }
        if self.bodies.remove(name).is_some() {
            self.touched.edits.push((name.to_owned(), Edit::Dropped));
        }
    }

    /// Writes down what changed inside a machine.
    pub(super) fn tell_body(&mut self, name: &str) {
        let changes = self.bodies.get_mut(name).map(Body::take_changes).unwrap_or_default();
        if !changes.is_empty() {
            self.touched.edits.push((name.to_owned(), Edit::Changed(changes)));
        }
    }
}

/// Versions of the Proxmox VE release that the emulator is true to.
fn current_versions() -> BTreeMap<String, String> {
    [
        ("pve-manager", "9.2.11"),
        ("pve-container", "6.1.10"),
        ("qemu-server", "9.2.6"),
        ("pve-storage", "9.1.7"),
        ("qemu", "10.0"),
    ]
    .map(|(package, version)| (package.to_owned(), version.to_owned()))
    .into()
}

/// A guest's configuration is kept as the text of its file. Which kind of guest it is only decides how a pending
/// section is headed, and [`Config::parse`] reads both.
mod config_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Config;
    use crate::model::GuestKind;

    pub(super) fn serialize<S: Serializer>(config: &Config, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&config.render(GuestKind::Lxc))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Config, D::Error> {
        String::deserialize(deserializer).map(|text| Config::parse(&text))
    }
}

/// Guests are a list in the file.
mod guest_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Guest;
    use crate::model::GuestId;

    pub(super) fn serialize<S: Serializer>(
        guests: &BTreeMap<GuestId, Guest>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(guests.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<GuestId, Guest>, D::Error> {
        let guests = Vec::<Guest>::deserialize(deserializer)?;
        Ok(guests.into_iter().map(|guest| (guest.id, guest)).collect())
    }
}
