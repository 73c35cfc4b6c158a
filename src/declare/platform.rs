//! The platform that comes with phoenix, moved to a node: its bridge, subnet, storages, free ids and silent addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value};

use super::choice::{self, Choices, Unable};
use super::survey::Survey;
use super::{Chosen, Proposal, Wishes, layout};
use crate::config::{Dir, HYPERVISOR, LXC, VM};
use crate::host::Host;
use crate::model::{Cidr, GuestId};

/// Memory of a machine is halved down to this where the node has less than all need.
const LEAST_MEMORY: u64 = 2048;

pub(super) fn propose(survey: &Survey, host: &dyn Host, wishes: &Wishes) -> Result<Proposal, Unable> {
    let shipped = Shipped::read();
    let mut choices = Choices::default();
    let ground = choice::ground(survey, wishes, &mut choices)?;
    let (Some(subnet), Some(gateway)) = (ground.subnet, ground.gateway) else {
        return Err(Unable::Choose {
            message: format!(
                "the platform needs addresses of its own, and the subnet of {} is not known",
                ground.bridge
            ),
            hint: "name it: `--subnet 192.0.2.0/24 --gateway 192.0.2.1`".to_owned(),
        });
    };
    let storage = choice::storage(survey, wishes, &["rootdir", "images"], &mut choices)?;
    let able = choice::is_able(storage);
    let template = choice::template(survey, &mut choices)?;
    let old_ids: Vec<u32> = shipped.guests().map(|(id, _)| id).collect();
    let ids = choice::ids(survey, wishes, &old_ids, &mut choices);
    let old_addresses: Vec<Ipv4Addr> = shipped.guests().filter_map(|(_, guest)| address_of(guest)).collect();
    let hosts: Vec<u32> = old_addresses.iter().map(|address| u32::from(address.octets()[3])).collect();
    let addresses = choice::addresses(survey, host, &ground, &hosts, &mut choices)?;
    let domain = choice::domain(survey, &mut choices);
    if ids.len() < old_ids.len() {
        return Err(super::minimal::no_ids());
    }

    let old = shipped.network();
    let mut moved: BTreeMap<Ipv4Addr, Ipv4Addr> =
        old_addresses.iter().copied().zip(addresses.into_iter().flatten()).collect();
    moved.extend([(old.gateway, gateway), (old.network, v4(subnet.address).unwrap_or(gateway))]);
    moved.insert(old.node, ground.own.and_then(|own| v4(own.address)).unwrap_or(gateway));
    let resolvers = match &survey.nameservers[..] {
        [] => vec![gateway.to_string()],
        servers => servers.iter().map(ToString::to_string).collect(),
    };
    choices.note("name servers", resolvers.join(" "), "those of the node; until `setup` has made one for the platform");
    let filtered = survey.filters();
    let why = match filtered {
        true => "the firewall of the cluster is on",
        false => {
            "the firewall of the cluster is off: rules are written down, and `enabled` is false on node and guests"
        }
    };
    choices.note("firewall", if filtered { "on" } else { "off" }, why);
    choices.note(
        "NFS volumes",
        "none",
        "what the shipped machines mount is exported by another node; `volumes` declares yours",
    );
    let port = Move {
        addresses: moved,
        subnet,
        ids: old_ids.iter().copied().zip(ids.iter().copied()).collect(),
        domain: (shipped.domain(), domain),
        bridge: (old.bridge.clone(), ground.bridge.clone()),
        storage: storage.id.clone(),
        template,
        resolvers,
        filtered,
        able,
        most_cores: survey.cpus.unwrap_or(u32::MAX),
        memory: survey.memory.map(|bytes| bytes >> 20),
    };
    if !able {
        let why = format!("storage {} takes none of containers", storage.id);
        choices.0.push(Chosen { what: "snapshots", value: "none".to_owned(), why });
    }
    let files = port.files(shipped, survey.node(), ground.own);
    // What all others lead to comes last in the files.
    Ok(Proposal { files, chosen: choices.0, guests: ids })
}

/// The files that come with phoenix.
struct Shipped {
    hypervisor: Value,
    lxc: Value,
    vm: Value,
    stacks: Vec<(String, String)>,
}

/// The network that they are written for.
struct OldNetwork {
    bridge: String,
    node: Ipv4Addr,
    network: Ipv4Addr,
    gateway: Ipv4Addr,
}

impl Shipped {
    fn read() -> Shipped {
        let dir = Dir::Embedded;
        let json = |name: &str| {
            let text = dir.read(name).expect("the platform is part of the binary");
            serde_json::from_str(&text).expect("a test reads the platform's files")
        };
        let files = dir
            .stacks()
            .into_iter()
            .flat_map(|(folder, _)| ["docker-compose.yml", "phoenix.json"].map(|file| format!("{folder}/{file}")));
        let stacks = files.filter_map(|name| Some((name.clone(), dir.read(&name).ok()?))).collect();
        Shipped { hypervisor: json(HYPERVISOR), lxc: json(LXC), vm: json(VM), stacks }
    }

    /// Guests with their ids, bases first, in the order of the files.
    fn guests(&self) -> impl Iterator<Item = (u32, &Value)> {
        let containers = self.lxc["lxc_configs"].as_object().into_iter().flatten();
        let containers = containers.filter_map(|(id, guest)| Some((id.parse().ok()?, guest)));
        let machines = self.vm["vms"].as_array().into_iter().flatten();
        containers.chain(machines.filter_map(|guest| Some((u32::try_from(guest["vmid"].as_u64()?).ok()?, guest))))
    }

    fn domain(&self) -> String {
        self.hypervisor["domain_name"].as_str().unwrap_or_default().to_owned()
    }

    fn network(&self) -> OldNetwork {
        let interface = &self.hypervisor["network"]["interfaces"];
        let text = |key: &str| interface[key].as_str().unwrap_or_default();
        let own: Cidr = text("address").parse().expect("the platform's node has an address");
        let gateway = text("gateway").parse().expect("the platform's node has a gateway");
        let network = v4(own.network().address).expect("the platform's network is of IPv4");
        let node = v4(own.address).expect("the platform's network is of IPv4");
        OldNetwork { bridge: text("name").to_owned(), node, network, gateway }
    }
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn address_of(guest: &Value) -> Option<Ipv4Addr> {
    v4(guest["network_config"]["ip"].as_str()?.parse::<Cidr>().ok()?.address)
}

/// What becomes what.
struct Move {
    addresses: BTreeMap<Ipv4Addr, Ipv4Addr>,
    subnet: Cidr,
    ids: BTreeMap<u32, GuestId>,
    domain: (String, String),
    bridge: (String, String),
    storage: String,
    template: String,
    resolvers: Vec<String>,
    filtered: bool,
    able: bool,
    most_cores: u32,
    memory: Option<u64>,
}

impl Move {
    fn files(&self, shipped: Shipped, node: &str, own: Option<Cidr>) -> Vec<(String, String)> {
        let Shipped { mut hypervisor, mut lxc, mut vm, stacks } = shipped;
        self.texts(&mut hypervisor);
        self.texts(&mut lxc);
        self.texts(&mut vm);
        self.hypervisor(&mut hypervisor, node, own);
        self.containers(&mut lxc);
        self.machines(&mut vm);
        let mut files: Vec<(String, String)> = [(HYPERVISOR, hypervisor), (LXC, lxc), (VM, vm)]
            .map(|(name, value)| (name.to_owned(), layout::file(&value)))
            .into();
        files.extend(stacks.into_iter().map(|(name, text)| (name, self.text(&text))));
        files
    }

    /// Addresses, domain and bridge in all texts of a file.
    fn texts(&self, value: &mut Value) {
        match value {
            Value::String(text) if *text == self.bridge.0 => text.clone_from(&self.bridge.1),
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.texts(item)),
            Value::Object(map) => map.values_mut().for_each(|value| self.texts(value)),
            _ => {}
        }
    }

    fn text(&self, text: &str) -> String {
        let text = text.replace(&self.domain.0, &self.domain.1);
        let mut moved = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
            moved.push_str(&rest[..begin]);
            rest = &rest[begin..];
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let known = word.parse().ok().and_then(|address: Ipv4Addr| self.addresses.get(&address));
            match known {
                Some(address) => {
                    moved.push_str(&address.to_string());
                    rest = after;
                    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
                    if let Some(prefix) = after.strip_prefix('/').filter(|prefix| digits(prefix) > 0) {
                        moved.push_str(&format!("/{}", self.subnet.prefix));
                        rest = &prefix[digits(prefix)..];
                    }
                }
                None => {
                    moved.push_str(word);
                    rest = after;
                }
            }
        }
        moved.push_str(rest);
        moved
    }

    fn hypervisor(&self, file: &mut Value, node: &str, own: Option<Cidr>) {
        file["comment"] = format!(
            "Written by `phoenix init --platform` for node {node}: a private CA, a router, a gateway, Portainer and a Docker host. \
             Storages of the node are used as they are."
        )
        .into();
        if let Some(map) = file.as_object_mut() {
            // Pools, exports and their server are the shipped node's.
            map.shift_remove("zfs");
            map.shift_remove("nfs");
        }
        if let Some(network) = file["network"].as_object_mut() {
            network.shift_remove("nfs_server");
            network.shift_insert(0, "hostname".to_owned(), node.into());
            match own {
                Some(own) => network["interfaces"]["address"] = own.to_string().into(),
                None => _ = network.shift_remove("interfaces"),
            }
        }
        if let Some(interface) = file["network"]["interfaces"].as_object_mut() {
            interface.insert("dns_nameservers".to_owned(), self.resolvers.clone().into());
            let gateway = interface.get("gateway").and_then(Value::as_str).and_then(|text| text.parse::<IpAddr>().ok());
            if own.is_some_and(|own| {
                Some(own.address) == gateway || gateway.is_some_and(|gateway| !own.contains(gateway))
            }) {
                interface.shift_remove("gateway");
            }
        }
        file["dns_server"]["upstream_servers"] = self.resolvers.clone().into();
        file["firewall"]["enabled"] = self.filtered.into();
    }

    fn containers(&self, file: &mut Value) {
        let Some(guests) = file["lxc_configs"].as_object_mut() else { return };
        let mut moved = Map::new();
        for (id, mut guest) in std::mem::take(guests) {
            guest["storage_pool"] = self.storage.clone().into();
            if guest.get("template").is_some() {
                guest["template"] = self.template.clone().into();
            }
            guest["network_config"]["nameservers"] = self.resolvers.join(" ").into();
            self.guest(&mut guest, "clone_from_ctid");
            let id = id.parse().ok().and_then(|id: u32| self.ids.get(&id)).map_or(id, GuestId::to_string);
            moved.insert(id, guest);
        }
        *guests = moved;
    }

    fn machines(&self, file: &mut Value) {
        file["vm_defaults"]["storage_pool"] = self.storage.clone().into();
        let common = file["vm_defaults"]["memory_mb"].as_u64().unwrap_or_default();
        let Some(machines) = file["vms"].as_array_mut() else { return };
        let memory = |guest: &Value| guest["memory_mb"].as_u64().unwrap_or(common);
        // Half of the node is for machines.
        let room = self.memory.map_or(u64::MAX, |memory| memory / 2);
        while machines.iter().map(memory).sum::<u64>() > room
            && machines.iter().any(|guest| memory(guest) > LEAST_MEMORY)
        {
            for guest in machines.iter_mut().filter(|guest| memory(guest) > LEAST_MEMORY) {
                guest["memory_mb"] = (memory(guest) / 2).max(LEAST_MEMORY).into();
            }
        }
        for guest in machines {
            if let Some(map) = guest.as_object_mut() {
                // What they mount is exported by the shipped node.
                map.shift_remove("volumes");
            }
            if guest["network_config"].get("nameserver").is_some() {
                guest["network_config"]["nameserver"] = self.resolvers.join(" ").into();
            }
            if let Some(id) = guest["vmid"].as_u64().and_then(|id| self.ids.get(&u32::try_from(id).ok()?)) {
                guest["vmid"] = id.get().into();
            }
            self.guest(guest, "clone_from_vmid");
        }
    }

    /// What both kinds have.
    fn guest(&self, guest: &mut Value, clone_from: &str) {
        let moved = |id: &Value| id.as_u64().and_then(|id| self.ids.get(&u32::try_from(id).ok()?)).map(|id| id.get());
        if let Some(source) = guest.get(clone_from).and_then(moved) {
            guest[clone_from] = source.into();
        }
        if let Some(needs) = guest.get_mut("dependencies").and_then(Value::as_array_mut) {
            needs.iter_mut().for_each(|id| *id = moved(id).map_or(id.clone(), Value::from));
        }
        if let Some(cores) = guest.get("cores").and_then(Value::as_u64) {
            guest["cores"] = cores.min(self.most_cores.into()).into();
        }
        if guest.get("firewall").is_some() {
            guest["firewall"]["enabled"] = self.filtered.into();
        }
        if let Some(map) = guest.as_object_mut() {
            // Two nodes on one network must not have the same.
            map.shift_remove("mac_address");
            if !self.able {
                map.shift_remove("enable_lifecycle_snapshots");
            }
        }
    }
}
