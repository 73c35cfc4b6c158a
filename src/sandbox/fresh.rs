//! How a world begins: with what a configuration names, or with what a real node has.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::config::Config;
use super::disk;
use super::guest::mount;
use super::ha::Resource as HaResource;
use super::neighbours::Neighbour;
use super::node_files;
use super::pending::volume_of;
use super::storage::{Storage, Volume, is_base, size_bytes, split};
use super::world::{Bridge, Cluster, NodeFile, Running, Template, TemplateOs, World};
use crate::host::{Host, HostError};
use crate::model::{Cidr, Guest, GuestId, IdMap, Image, NfsVolume, Origin, Site};
use crate::op::{Op, OpValue, Place};
use crate::pve::ha::sid;
use crate::pve::inventory::{self, Inventory, Present};

/// What a few files of a real node say.
struct NodeText {
    resolv_conf: String,
    timezone: String,
    /// Interfaces with an address of their own (interfaces(5)), with prefix.
    interfaces: Vec<(String, String)>,
}

impl NodeText {
    fn read(real: &dyn Host) -> Result<NodeText, HostError> {
        let paths = ["/etc/resolv.conf", "/etc/timezone", "/etc/network/interfaces"];
        let ops = paths.map(|path| Op::Read { path: path.to_owned(), limit: 1 << 20 });
        let mut texts = real.perform(Place::Node, &ops)?.into_iter().map(|result| match result {
            Ok(OpValue::Bytes(Some(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        });
        let mut next = || texts.next().unwrap_or_default();
        let (resolv_conf, timezone) = (next(), next().trim().to_owned());
        Ok(NodeText { resolv_conf, timezone, interfaces: addresses(&next()) })
    }
}

/// Addresses with prefix in a file as ifupdown reads it, by interface.
fn addresses(interfaces: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut current = None;
    for line in interfaces.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["iface", name, "inet", ..] => current = Some(name),
            ["iface", ..] => current = None,
            ["address", address] if address.parse::<Cidr>().is_ok() => {
                found.extend(current.map(|name| (name.to_owned(), address.to_owned())));
            }
            _ => {}
        }
    }
    found
}

/// The kernel gives no process a greater id. Those of a real node's containers are not asked for: they begin here.
const BEYOND_ALL_PIDS: u32 = 1 << 22;

/// Bytes of an archive of which nothing but the name is known.
const ARCHIVE_SIZE: u64 = 128 << 20;

/// MiB that the node itself needs.
const NODE_MEMORY: u64 = 4 << 10;

impl World {
    /// A node that has what the configuration names: storages, bridges, templates, paths, devices. No guests.
    pub fn fresh(site: &Site) -> World {
        let mut world = World::empty(site.node.name.as_deref().unwrap_or("pve"));
        world.about = Some("An emulated Proxmox VE node, made from a configuration.".to_owned());
        world.timezone = site.node.timezone.clone().unwrap_or_else(|| "Etc/UTC".to_owned());
        world.resolv_conf = site.node.gateway.map(|gateway| format!("nameserver {gateway}\n")).unwrap_or_default();
        let others = site.guests.values().filter_map(|guest| guest.node.clone());
        let mut members: Vec<String> = others.chain([world.node.clone()]).collect();
        members.sort();
        members.dedup();
        world.cluster = Cluster { members, ..Cluster::default() };
        world.add_storages(site);
        world.add_bridges(site);
        for guest in site.guests.values() {
            match &guest.origin {
                Origin::Template(archive) => world.add_template(archive),
                Origin::Image(image) => world.add_image(image),
                Origin::Clone(_) | Origin::Existing => {}
            }
            world.add_paths(guest);
        }
        world.add_gpus(site);
        world.add_exports(site);
        world.gateway = site.node.gateway;
        world.add_gateways(site);
        world.add_what_guests_need(site);
        world
    }

    /// A node as Proxmox's installer makes it, with one container template.
    pub fn installed() -> World {
        let storage = |id: &str, kind: &str, path: &str, content: &[&str]| Storage {
            id: id.to_owned(),
            kind: kind.to_owned(),
            path: path.to_owned(),
            content: content.iter().map(|word| (*word).to_owned()).collect(),
            size: None,
            disable: false,
            options: std::collections::BTreeMap::new(),
            can: serde_json::Value::Null,
        };
        let mut world = World::empty("pve");
        world.about = Some("An emulated Proxmox VE node, as it is installed.".to_owned());
        world.storages = vec![
            storage("local", "dir", "/var/lib/vz", &["backup", "import", "iso", "vztmpl"]),
            storage("local-zfs", "zfspool", "rpool/data", &["images", "rootdir"]),
        ];
        world.bridges = vec![Bridge { name: "vmbr0".to_owned(), address: Some("192.0.2.2/24".to_owned()), mtu: 1500 }];
        let gateway = std::net::Ipv4Addr::new(192, 0, 2, 1);
        world.gateway = Some(gateway.into());
        world.neighbours = vec![Neighbour::router(gateway)];
        world.resolv_conf = format!("nameserver {gateway}\n");
        world.add_template("local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst");
        world
    }

    /// As many cores and as much memory as guests are declared to have, ids that they may share with the node, and the
    /// switch without which nobody's firewall rules count.
    fn add_what_guests_need(&mut self, site: &Site) {
        let guests = || site.guests.values();
        self.cpus = guests().map(|guest| guest.cores).chain([self.cpus]).max().unwrap_or(self.cpus);
        let memory: u64 = guests().map(|guest| u64::from(guest.memory_mb)).sum();
        self.memory = self.memory.max(memory + NODE_MEMORY);
        let holes: Vec<&IdMap> = guests().flat_map(|guest| &guest.lxc.id_maps).collect();
        for (file, other) in [("/etc/subuid", "g"), ("/etc/subgid", "u")] {
            let holes = holes.iter().filter(|hole| !other.starts_with(&hole.kind));
            let lines: String = holes.map(|hole| format!("root:{}:{}\n", hole.host_id, hole.size)).collect();
            if !lines.is_empty() {
                let text = format!("{}{lines}", node_files::SUBORDINATE);
                self.files.entry(file.to_owned()).or_insert(NodeFile::Text(text));
            }
        }
        let snippets = self.storages.iter().any(|storage| storage.takes("snippets"));
        let of_images = guests().any(|guest| matches!(guest.origin, Origin::Image(_)));
        if let Some(files) =
            self.storages.iter_mut().find(|storage| storage.is_path_based()).filter(|_| of_images && !snippets)
        {
            files.content.push("snippets".to_owned());
        }
        if site.node.firewall.enabled {
            let text = "[OPTIONS]\n\nenable: 1\n".to_owned();
            self.files.entry("/etc/pve/firewall/cluster.fw".to_owned()).or_insert(NodeFile::Text(text));
        }
    }

    /// A cloud image that is to lie on the node; one with a URL is fetched from there.
    fn add_image(&mut self, image: &Image) {
        if image.source.contains("://") {
            return;
        }
        let text = || NodeFile::Text(format!("modelled image {}\n", image.source));
        let file = image.sha256.clone().map_or_else(text, |sha256| NodeFile::Digest { sha256 });
        let path = self.path_of(&image.source);
        self.files.entry(path).or_insert(file);
    }

    /// Directories that the node is to export to virtual machines, and its `/etc/exports`. Whatever other servers
    /// export is taken to be there.
    fn add_exports(&mut self, site: &Site) {
        let Some(own) = site.node.address else { return };
        let volumes = site.guests.values().flat_map(|guest| &guest.vm.nfs);
        let (here, elsewhere): (Vec<&NfsVolume>, Vec<&NfsVolume>) =
            volumes.partition(|volume| volume.server.parse() == Ok(own.address));
        let mut others: Vec<&str> = elsewhere.iter().map(|volume| volume.server.as_str()).collect();
        others.sort_unstable();
        others.dedup();
        if let (Some(about), false) = (&mut self.about, others.is_empty()) {
            // Writing into a String cannot fail.
            let _ = write!(about, " NFS servers that are taken to be reachable: {}.", others.join(", "));
        }
        let mut paths: Vec<&str> = here.iter().map(|volume| volume.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        if paths.is_empty() {
            return;
        }
        let export = |path: &&str| format!("{path} {}(rw,sync,no_subtree_check,no_root_squash)\n", own.network());
        let text = paths.iter().map(export).collect();
        self.files.entry("/etc/exports".to_owned()).or_insert(NodeFile::Text(text));
        self.directories.extend(paths.into_iter().map(str::to_owned));
    }

    fn add_storages(&mut self, site: &Site) {
        for storage in &site.node.storages {
            self.storages.push(Storage {
                id: storage.id.clone(),
                kind: storage.kind.clone(),
                path: storage.location.clone(),
                content: storage.content.clone(),
                size: None,
                disable: false,
                options: std::collections::BTreeMap::new(),
                can: serde_json::Value::Null,
            });
        }
        if self.storage("local").is_none() {
            self.storages.push(Storage {
                id: "local".to_owned(),
                kind: "dir".to_owned(),
                path: "/var/lib/vz".to_owned(),
                content: ["backup", "import", "iso", "snippets", "vztmpl"].map(str::to_owned).into(),
                size: None,
                disable: false,
                options: std::collections::BTreeMap::new(),
                can: serde_json::Value::Null,
            });
        }
        for guest in site.guests.values() {
            self.need_storage(&guest.root.storage, &["rootdir", "images"]);
            for volume in &guest.volumes {
                self.need_storage(&volume.storage, &["rootdir", "images"]);
            }
            let file = match &guest.origin {
                Origin::Template(archive) => Some((archive, "vztmpl")),
                Origin::Image(image) if !image.source.contains("://") => Some((&image.source, "import")),
                Origin::Image(_) | Origin::Clone(_) | Origin::Existing => None,
            };
            if let Some(((storage, _), content)) = file.and_then(|(file, content)| Some((split(file)?, content))) {
                self.need_storage(storage, &[content]);
            }
        }
    }

    /// A storage that is only known by name: a directory where the name says so, else a ZFS pool.
    fn need_storage(&mut self, id: &str, content: &[&str]) {
        if id.is_empty() || self.storage(id).is_some() {
            return;
        }
        let words = ["local", "dir", "nfs", "iso", "backup"];
        let directory = words.contains(&id) || id.split(['-', '_']).any(|word| words[1..].contains(&word));
        let files = content.iter().any(|content| matches!(*content, "vztmpl" | "import")) || directory;
        self.storages.push(Storage {
            id: id.to_owned(),
            kind: if files { "dir" } else { "zfspool" }.to_owned(),
            path: if files { format!("/mnt/pve/{id}") } else { id.replace('-', "/") },
            content: content.iter().map(|content| (*content).to_owned()).collect(),
            size: None,
            disable: false,
            options: std::collections::BTreeMap::new(),
            can: serde_json::Value::Null,
        });
    }

    fn add_bridges(&mut self, site: &Site) {
        let named = site.guests.values().flat_map(|guest| guest.nics.iter().map(|nic| &nic.bridge));
        for name in site.node.bridges.iter().chain(named) {
            if !name.is_empty() && !self.bridges.iter().any(|bridge| bridge.name == *name) {
                let first = self.bridges.is_empty();
                let address = site.node.address.filter(|_| first).as_ref().map(Cidr::to_string);
                self.bridges.push(Bridge { name: name.clone(), address, mtu: 1500 });
            }
        }
    }

    /// A template of which nothing but the name is known, unless it is there already.
    pub(super) fn add_template(&mut self, archive: &str) {
        if self.templates.iter().any(|template| template.volid == archive) {
            return;
        }
        let file = archive.rsplit('/').next().unwrap_or(archive);
        let mut words = file.split(['-', '_']);
        let (kind, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let systemd = match (kind, version) {
            ("debian", "12") => 252,
            ("ubuntu", "22.04") => 249,
            ("ubuntu", "24.04") => 255,
            _ => 257,
        };
        let format = match file.rsplit('.').next() {
            Some("gz" | "tgz") => "tgz",
            Some("xz" | "txz") => "txz",
            _ => "tzst",
        };
        self.templates_mut().push(Template {
            volid: archive.to_owned(),
            size: ARCHIVE_SIZE,
            format: format.to_owned(),
            os: TemplateOs { kind: kind.to_owned(), version: version.to_owned(), arch: "amd64".to_owned() },
            inside: serde_json::json!({"init": "systemd", "systemd": systemd, "sshd": true, "shell": "bash"}),
        });
    }

    /// Directories and devices of the node that a guest is to see.
    fn add_paths(&mut self, guest: &Guest) {
        for mount in &guest.mounts {
            if mount.file {
                self.files.entry(mount.host_path.clone()).or_insert(NodeFile::Text(String::new()));
            } else {
                self.directories.push(mount.host_path.clone());
            }
        }
        let entries = guest.lxc.raw.iter().filter(|(key, _)| key == "lxc.mount.entry");
        let named = entries.filter_map(|(_, entry)| entry.split_whitespace().next().map(str::to_owned));
        for path in named {
            if !path.starts_with("/dev/") {
                self.directories.push(path);
            } else if !self.devices.contains(&path) {
                self.devices.push(path);
            }
        }
        self.directories.sort();
        self.directories.dedup();
    }
}

/// The format that a volume's name tells.
fn format_of(volid: &str) -> &'static str {
    match volid.rsplit('.').next() {
        Some("qcow2") => "qcow2",
        Some("vmdk") => "vmdk",
        _ if volid.contains("subvol") || volid.contains("basevol") => "subvol",
        _ => "raw",
    }
}

/// The base that a linked clone's volume id names: all but its own part.
fn base_of(volid: &str) -> Option<String> {
    let (storage, name) = split(volid)?;
    let above = name.rsplit_once('/')?.0;
    let base = |name: &str| Some(format!("{storage}:{name}")).filter(|base| is_base(base));
    // On storages that keep files the machine's directory stands between both.
    base(above).or_else(|| base(above.rsplit_once('/')?.0))
}

impl World {
    /// A node like a real one, as far as its files tell: guests, storages, bridges, templates. What is inside its
    /// guests is not part of it.
    ///
    /// # Errors
    /// When the real node does not answer.
    pub fn of_node(inventory: &Inventory, real: &dyn Host) -> Result<World, HostError> {
        let mut inventory = inventory.clone();
        let details = real.perform(Place::Node, &inventory::details(&inventory))?;
        inventory.complete(&details);
        let inventory = &inventory;
        let mut world = World::empty(&inventory.node);
        world.about = Some(format!("The Proxmox VE node {}, as it was when it was looked at.", inventory.node));
        if let Some(version) = &inventory.version {
            world.version.insert("pve-manager".to_owned(), version.to_string());
        }
        let places = ["path", "pool", "vgname"];
        for storage in &inventory.storages {
            let place = places.iter().find_map(|key| storage.properties.get(*key)).cloned().unwrap_or_default();
            world.storages.push(Storage {
                id: storage.id.clone(),
                kind: storage.kind.clone(),
                path: place,
                content: storage.content.clone(),
                size: None,
                disable: storage.disabled,
                options: std::collections::BTreeMap::new(),
                can: serde_json::Value::Null,
            });
        }
        let files = NodeText::read(real)?;
        world.resolv_conf = files.resolv_conf;
        if !files.timezone.is_empty() {
            world.timezone = files.timezone;
        }
        let address =
            |name: &str| files.interfaces.iter().find(|(known, _)| known == name).map(|(_, cidr)| cidr.clone());
        let bridge = |name: &String| Bridge { name: name.clone(), address: address(name), mtu: 1500 };
        world.bridges = inventory.bridges.iter().map(bridge).collect();
        let others = inventory.guests.values().map(|guest| guest.node.clone());
        world.cluster.members = others.chain([inventory.node.clone()]).collect();
        world.cluster.members.extend(inventory.members.keys().cloned());
        world.cluster.members.sort();
        world.cluster.members.dedup();
        world.cluster.quorate = inventory.quorate;
        for (id, managed) in inventory.ha.resources() {
            let resource = HaResource { failed: managed.is_in_error(), ..HaResource::of(managed.asked) };
            world.ha.insert(sid(managed.kind, id), resource);
        }
        for (id, present) in &inventory.guests {
            world.take_over(*id, present, inventory);
        }
        world.find_templates(real)?;
        world.now = u64::try_from(real.now().as_microsecond()).unwrap_or(world.now);
        Ok(world)
    }

    fn take_over(&mut self, id: GuestId, present: &Present, inventory: &Inventory) {
        let config = Config::parse(&present.config.render());
        let name = present.name().map_or_else(|| format!("CT{id}"), str::to_owned);
        let pid = inventory.pid(id).unwrap_or(BEYOND_ALL_PIDS + id.get());
        let running = present.running.then_some(Running { pid, since: self.now, hostname: name, agent_from: Some(0) });
        let mut volumes: BTreeMap<String, Volume> = BTreeMap::new();
        let sections = std::iter::once((None, &config.current))
            .chain(config.snapshots.iter().map(|(name, section)| (Some(name), section)));
        for (snapshot, section) in sections {
            for (key, value) in &section.keys {
                let Some(volid) = volume_of(key, value) else { continue };
                let point = if disk::is_drive(key) { disk::drive(key, value) } else { mount(key, value) };
                let volume = volumes.entry(volid.clone()).or_insert_with(|| Volume {
                    owner: id,
                    size: point.get("size").and_then(size_bytes).unwrap_or_default(),
                    format: format_of(&volid).to_owned(),
                    base: base_of(&volid),
                    snapshots: Vec::new(),
                });
                volume.snapshots.extend(snapshot.cloned());
            }
        }
        for (volid, volume) in volumes {
            self.put_volume(&volid, volume);
        }
        let node = (present.node != inventory.node).then(|| present.node.clone());
        self.put_guest(super::world::Guest { id, kind: present.kind, node, config, running, version: 1 });
    }

    /// Templates are files in their storages' directories.
    fn find_templates(&mut self, real: &dyn Host) -> Result<(), HostError> {
        let storages: Vec<Storage> = self
            .storages
            .iter()
            .filter(|storage| storage.takes("vztmpl") && !storage.path.is_empty())
            .cloned()
            .collect();
        let list = |storage: &Storage| Op::List { path: storage.path_of("vztmpl/").trim_end_matches('/').to_owned() };
        let ops: Vec<Op> = storages.iter().map(list).collect();
        if ops.is_empty() {
            return Ok(());
        }
        for (storage, result) in storages.iter().zip(real.perform(Place::Node, &ops)?) {
            let Ok(OpValue::Entries(Some(entries))) = result else { continue };
            for entry in entries {
                self.add_template(&format!("{}:vztmpl/{}", storage.id, entry.name));
            }
        }
        Ok(())
    }
}
