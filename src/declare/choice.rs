//! What is chosen of that which a node offers, and why.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::survey::Survey;
use super::{Chosen, Wishes};
use crate::host::{Host, HostError};
use crate::model::{Cidr, GuestId};
use crate::op::{Op, OpValue, Place};
use crate::pve::storage::{Capability, DiskFormat, Storage};
use crate::pve::usage::Usage;

/// Why there is no starting configuration.
#[derive(Debug, thiserror::Error)]
pub enum Unable {
    /// Something cannot be chosen, or a wish cannot be granted.
    #[error("{message}")]
    Choose {
        /// What.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The node does not answer.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Unable {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Unable {
        Unable::Choose { message: message.into(), hint: hint.into() }
    }
}

/// What was chosen so far, with its reasons.
#[derive(Default)]
pub(super) struct Choices(pub(super) Vec<Chosen>);

impl Choices {
    pub(super) fn note(&mut self, what: &'static str, value: impl Into<String>, why: impl Into<String>) {
        self.0.push(Chosen { what, value: value.into(), why: why.into() });
    }
}

/// The network of the guests. Without a subnet addresses come by DHCP.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) bridge: String,
    /// The node's own address on the bridge.
    pub(super) own: Option<Cidr>,
    pub(super) subnet: Option<Cidr>,
    pub(super) gateway: Option<Ipv4Addr>,
}

impl Ground {
    /// `network_config` of a guest with this address.
    pub(super) fn network_config(&self, address: Option<Ipv4Addr>) -> serde_json::Value {
        let mut config = serde_json::json!({ "bridge": self.bridge });
        match (address, self.subnet) {
            (Some(address), Some(subnet)) => {
                config["ip"] = format!("{address}/{}", subnet.prefix).into();
                if let Some(gateway) = self.gateway {
                    config["gw"] = gateway.to_string().into();
                }
            }
            _ => config["ip"] = "dhcp".into(),
        }
        config
    }
}

/// Bridge, subnet and way out.
pub(super) fn ground(survey: &Survey, wishes: &Wishes, choices: &mut Choices) -> Result<Ground, Unable> {
    let bridges = &survey.sight.inventory.bridges;
    let names = || bridges.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = wishes.bridge.as_ref().filter(|bridge| !bridges.contains(*bridge)) {
        let near = crate::finding::did_you_mean(unknown, bridges.iter().map(String::as_str));
        let hint =
            near.map_or_else(|| format!("bridges of the node: {}", names()), |near| format!("did you mean `{near}`?"));
        return Err(Unable::new(format!("the node has no bridge `{unknown}`"), hint));
    }
    let fits = |network: &&super::survey::Network| {
        wishes.bridge.as_ref().is_none_or(|bridge| network.bridge == *bridge)
            && wishes.subnet.is_none_or(|subnet| subnet.contains(network.own.address))
    };
    let found = survey.networks.iter().find(fits);
    let bridge = match (&wishes.bridge, found) {
        (Some(bridge), _) => {
            choices.note("bridge", bridge, "as asked for");
            bridge.clone()
        }
        (None, Some(network)) => {
            let why = match network.gateway {
                Some(gateway) => format!("the node's way out, {gateway}, is there"),
                None => format!("the node is there itself, as {}", network.own),
            };
            choices.note("bridge", &network.bridge, why);
            network.bridge.clone()
        }
        (None, None) => {
            let Some(first) = bridges.first() else {
                return Err(Unable::new("the node has no bridge", "make one under System, Network, and apply it"));
            };
            choices.note("bridge", first, "the first of the node; the node has no address on any");
            first.clone()
        }
    };
    let own = found.map(|network| network.own);
    let subnet = wishes.subnet.map(|subnet| subnet.network()).or(own.map(|own| own.network()));
    let subnet = subnet.filter(|subnet| subnet.address.is_ipv4());
    let Some(subnet) = subnet else {
        choices.note("addresses", "dhcp", format!("the node has no IPv4 address on {bridge} that tells the subnet"));
        return Ok(Ground { bridge, own, subnet: None, gateway: None });
    };
    choices.note("subnet", subnet.to_string(), if wishes.subnet.is_some() { "as asked for" } else { "the bridge's" });
    let inside = |address: &Ipv4Addr| subnet.contains((*address).into());
    if let Some(outside) = wishes.gateway.filter(|gateway| !inside(gateway)) {
        let message = format!("the gateway {outside} is outside {subnet}");
        return Err(Unable::new(message, "`--subnet` and `--gateway` have to fit together"));
    }
    let known = found.and_then(|network| network.gateway).filter(inside);
    let node = own.and_then(|own| match own.address {
        IpAddr::V4(address) if inside(&address) => Some(address),
        _ => None,
    });
    let gateway = match (wishes.gateway, known, node) {
        (Some(wished), ..) => {
            choices.note("gateway", wished.to_string(), "as asked for");
            wished
        }
        (None, Some(known), _) => {
            choices.note("gateway", known.to_string(), "the node's own");
            known
        }
        (None, None, Some(node)) => {
            let why =
                "the node itself: nothing else is known in this network. It has to forward for it (NAT or routes)";
            choices.note("gateway", node.to_string(), why);
            node
        }
        (None, None, None) => {
            let message = format!("the way out of {subnet} is not known: the node has no address there");
            return Err(Unable::new(message, "name it with `--gateway ADDRESS`"));
        }
    };
    Ok(Ground { bridge, own, subnet: Some(subnet), gateway: Some(gateway) })
}

/// The storage for disks with this content: one that can do everything before others, the emptiest of them.
pub(super) fn storage<'s>(
    survey: &'s Survey,
    wishes: &Wishes,
    contents: &[&str],
    choices: &mut Choices,
) -> Result<&'s Storage, Unable> {
    let all = || survey.sight.inventory.storages.iter();
    if let Some(wished) = &wishes.storage {
        let known = all().find(|storage| storage.id == *wished);
        let near = crate::finding::did_you_mean(wished, all().map(|storage| storage.id.as_str()));
        let names: Vec<&str> = all().map(|storage| storage.id.as_str()).collect();
        let hint = near.map_or_else(
            || format!("storages of the node: {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        let storage = known.ok_or_else(|| Unable::new(format!("the node has no storage `{wished}`"), hint))?;
        choices.note("storage", &storage.id, "as asked for");
        return Ok(storage);
    }
    let holds = |storage: &Storage| contents.iter().all(|content| storage.holds(content));
    // Containers and machines both live on these; others may be told to.
    let might = |storage: &Storage| {
        matches!(storage.kind.as_str(), "dir" | "zfspool" | "lvmthin" | "btrfs" | "lvm" | "nfs" | "cifs" | "rbd")
    };
    let rank = |(storage, usage): &(&Storage, &Usage)| (holds(storage), is_able(storage), usage.available);
    let best = survey.storages().filter(|(storage, _)| might(storage)).max_by_key(rank);
    let Some((storage, usage)) = best else {
        let message = "the node has no active storage for disks of guests";
        return Err(Unable::new(message, "`pvesm status` tells what there is; `pvesm add` adds one"));
    };
    let can = match is_able(storage) {
        true => "with snapshots and linked clones",
        false => "without snapshots and linked clones of containers: clones are full copies",
    };
    let gib = usage.available >> 30;
    choices.note("storage", &storage.id, format!("{}, {can}; {gib} GiB free", storage.kind));
    Ok(storage)
}

/// Whether it takes snapshots and makes linked clones of containers and machines.
pub(super) fn is_able(storage: &Storage) -> bool {
    storage.can(Capability::ContainerSnapshot)
        && storage.can(Capability::ContainerLinkedClone)
        && storage.can(Capability::DiskSnapshot(DiskFormat::Raw))
}

/// Templates that features know how to provision, best first.
const PREFERRED: [&str; 5] =
    ["debian-13-standard", "debian-12-standard", "ubuntu-24.04-standard", "ubuntu-22.04-standard", "debian-"];
/// What is downloaded where nobody tells what there is.
const USUAL: &str = "debian-13-standard_13.1-2_amd64.tar.zst";

/// The container template: one that is on the node, else one to be downloaded.
pub(super) fn template(survey: &Survey, choices: &mut Choices) -> Result<String, Unable> {
    let file = |volume: &str| volume.rsplit('/').next().unwrap_or(volume).to_owned();
    if let Some(found) = best(&survey.templates, file) {
        choices.note("template", found, "on the node already");
        return Ok(found.clone());
    }
    let storages = &survey.sight.inventory.storages;
    let usable = |storage: &&Storage| storage.is_on_node(survey.node()) && storage.directory("vztmpl").is_some();
    let storage = storages.iter().filter(usable).max_by_key(|storage| storage.holds("vztmpl"));
    let Some(storage) = storage else {
        let message = "the node has no storage for container templates";
        return Err(Unable::new(message, "add one of type `dir` with the content `vztmpl`: `pvesm add dir ...`"));
    };
    let usual = USUAL.to_owned();
    let (archive, why) = match best(&survey.offered, |name| name.to_owned()) {
        Some(archive) => (archive, "the newest that Proxmox offers; it has to be downloaded"),
        None => (&usual, "`pveam update` was never run; it has to be downloaded"),
    };
    let volume = format!("{}:vztmpl/{archive}", storage.id);
    choices.note("template", &volume, why);
    Ok(volume)
}

/// Of the first preferred stem the last by name: the newest.
fn best(all: &[String], file: impl Fn(&str) -> String) -> Option<&String> {
    PREFERRED.iter().find_map(|stem| all.iter().filter(|one| file(one).starts_with(stem)).max())
}

/// Free ids: the preferred ones where they are free, else the next; all in a row where the operator named the first.
pub(super) fn ids(survey: &Survey, wishes: &Wishes, preferred: &[u32], choices: &mut Choices) -> Vec<GuestId> {
    let mut taken: BTreeSet<GuestId> = BTreeSet::new();
    let mut next = wishes.first_id.map(GuestId::get);
    let mut found = Vec::new();
    for wanted in preferred {
        let begin = next.unwrap_or(*wanted);
        let free = (begin..)
            .filter_map(|number| GuestId::try_from(number).ok())
            .find(|id| !survey.has(*id) && !taken.contains(id));
        // There are far more ids than guests.
        let Some(id) = free else { break };
        next = next.map(|_| id.get() + 1);
        taken.insert(id);
        found.push(id);
    }
    let list: Vec<String> = found.iter().map(GuestId::to_string).collect();
    let why = match (wishes.first_id, found.iter().map(|id| id.get()).eq(preferred.iter().copied())) {
        (Some(_), _) => "from the asked for one on, as far as they are free",
        (None, true) => "free in the whole cluster",
        (None, false) => "the next free ones in the whole cluster",
    };
    choices.note("ids", list.join(", "), why);
    found
}

/// How often other addresses are tried before the network counts as full.
const ROUNDS: usize = 40;

/// Addresses of the subnet that nobody has: those with the preferred host numbers, else the next.
pub(super) fn addresses(
    survey: &Survey,
    host: &dyn Host,
    ground: &Ground,
    preferred: &[u32],
    choices: &mut Choices,
) -> Result<Vec<Option<Ipv4Addr>>, Unable> {
    let Some(subnet) = ground.subnet else { return Ok(vec![None; preferred.len()]) };
    let (IpAddr::V4(network), IpAddr::V4(last)) = (subnet.address, subnet.last()) else {
        return Ok(vec![None; preferred.len()]);
    };
    let (first, last) = (u32::from(network) + 1, u32::from(last).saturating_sub(1));
    let mut taken = survey.addresses();
    taken.extend(ground.gateway);
    let mut silent: BTreeSet<Ipv4Addr> = BTreeSet::new();
    let mut others = 0;
    for _ in 0..ROUNDS {
        let mut found: Vec<Ipv4Addr> = Vec::new();
        for wanted in preferred {
            let begin = (u32::from(network) + wanted).clamp(first, last.max(first));
            let candidates = (begin..=last).chain(first..begin).map(Ipv4Addr::from);
            let free = candidates.into_iter().find(|address| !taken.contains(address) && !found.contains(address));
            let hint = "name another network with `--subnet`, or free some addresses";
            found.push(free.ok_or_else(|| Unable::new(format!("{subnet} has no free addresses"), hint))?);
        }
        let asked: Vec<Ipv4Addr> = found.iter().filter(|address| !silent.contains(*address)).copied().collect();
        let answer = host.perform(Place::Node, &[Op::Neighbours { addresses: asked.clone() }])?;
        let present = match answer.into_iter().next() {
            Some(Ok(OpValue::Neighbours(present))) => present,
            _ => Default::default(),
        };
        silent.extend(asked.iter().filter(|address| !present.contains_key(*address)));
        if present.is_empty() {
            let list: Vec<String> = found.iter().map(ToString::to_string).collect();
            let beside = if others > 0 { format!("; {others} others answered") } else { String::new() };
            let why = format!("nobody answers there{beside}. Keep them out of your DHCP server's range");
            choices.note("addresses", list.join(", "), why);
            return Ok(found.into_iter().map(Some).collect());
        }
        others += present.len();
        taken.extend(present.into_keys());
    }
    Err(Unable::new(format!("nearly every address of {subnet} answers"), "name another network with `--subnet`"))
}

/// The suffix of names.
pub(super) fn domain(survey: &Survey, choices: &mut Choices) -> String {
    match &survey.domain {
        Some(domain) => {
            choices.note("domain", domain, "the node's search domain");
            domain.clone()
        }
        None => {
            choices.note(
                "domain",
                "home.arpa",
                "the name that is meant for private networks; the node has no search domain",
            );
            "home.arpa".to_owned()
        }
    }
}
