//! What a node offers, read without changing anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::command::Command;
use crate::engine::{EngineError, Sight, observe};
use crate::host::Host;
use crate::model::{Cidr, GuestId};
use crate::op::{Op, OpValue, Place};
use crate::pve::firewall;
use crate::pve::inventory::{self, Inventory};
use crate::pve::storage::Storage;
use crate::pve::usage::{self, Usage};

/// Limit of files that are read here.
const LIMIT: u64 = 1 << 20;

/// A network of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Network {
    /// Its bridge.
    pub(super) bridge: String,
    /// The node's address in it.
    pub(super) own: Cidr,
    /// The way out that lies in it.
    pub(super) gateway: Option<Ipv4Addr>,
}

/// What there is.
pub struct Survey {
    pub(super) sight: Sight,
    pub(super) networks: Vec<Network>,
    pub(super) usages: Vec<Usage>,
    /// Container templates that are on the node, as volume ids.
    pub(super) templates: Vec<String>,
    /// Container templates that the vendor offers, by file name; only asked for where none is on the node.
    pub(super) offered: Vec<String>,
    pub(super) nameservers: Vec<IpAddr>,
    pub(super) domain: Option<String>,
    pub(super) cpus: Option<u32>,
    /// Bytes.
    pub(super) memory: Option<u64>,
}

impl Survey {
    /// Looks at the node.
    ///
    /// # Errors
    /// When it cannot be reached or read.
    pub fn of(host: &dyn Host) -> Result<Survey, EngineError> {
        let mut sight = observe(host)?;
        let details = inventory::details(&sight.inventory);
        sight.inventory.complete(&host.perform(Place::Node, &details)?);
        let text = |path: &str| Op::Read { path: path.to_owned(), limit: LIMIT };
        let archives = archive_directories(&sight.inventory);
        let mut ops = vec![
            Op::Network,
            text("/proc/net/route"),
            text("/etc/resolv.conf"),
            text("/proc/meminfo"),
            text("/sys/devices/system/cpu/online"),
        ];
        ops.extend(archives.iter().map(|(_, path)| Op::List { path: path.clone() }));
        let mut results = host.perform(Place::Node, &ops)?.into_iter();
        let addresses = match results.next() {
            Some(Ok(OpValue::Network { addresses, .. })) => {
                addresses.iter().filter_map(|one| one.parse().ok()).collect()
            }
            _ => Vec::new(),
        };
        let mut texts = results.by_ref().take(4).map(|result| match result {
            Ok(OpValue::Bytes(Some(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        });
        let [routes, resolver, memory, cpus] = std::array::from_fn(|_| texts.next().unwrap_or_default());
        drop(texts);
        let mut templates = Vec::new();
        for ((storage, _), result) in archives.iter().zip(results) {
            if let Ok(OpValue::Entries(Some(entries))) = result {
                let archive = |name: &String| [".tar.zst", ".tar.gz", ".tar.xz"].iter().any(|end| name.ends_with(end));
                let names = entries.into_iter().map(|entry| entry.name).filter(archive);
                templates.extend(names.map(|name| format!("{storage}:vztmpl/{name}")));
            }
        }
        let usages = host.run(&usage::ask(&sight.inventory.node))?;
        let offered = match templates.is_empty() {
            true => offered(&host.run(&Command::read("pveam", ["available", "--section", "system"]))?.text()),
            false => Vec::new(),
        };
        let (nameservers, domain) = resolver_of(&resolver);
        Ok(Survey {
            networks: networks(&sight.inventory.bridges, &addresses, &routes),
            usages: usage::parse(&usages.stdout).unwrap_or_default(),
            templates,
            offered,
            nameservers,
            domain,
            cpus: crate::engine::cpus(&cpus),
            memory: crate::engine::memory_total(&memory),
            sight,
        })
    }

    /// Name of the node.
    pub(super) fn node(&self) -> &str {
        &self.sight.inventory.node
    }

    /// Storages that can be used on this node, with what they say of themselves.
    pub(super) fn storages(&self) -> impl Iterator<Item = (&Storage, &Usage)> {
        let inventory = &self.sight.inventory;
        let here = inventory.storages.iter().filter(|storage| storage.is_on_node(&inventory.node));
        here.filter_map(|storage| {
            let usage = self.usages.iter().find(|usage| usage.storage == storage.id)?;
            usage.active.then_some((storage, usage))
        })
    }

    /// Whether a guest of the cluster has this id.
    pub(super) fn has(&self, id: GuestId) -> bool {
        self.sight.inventory.guests.contains_key(&id)
    }

    /// Whether the firewall of the cluster is on.
    pub(super) fn filters(&self) -> bool {
        let cluster = self.sight.inventory.firewalls.get("cluster");
        cluster.is_some_and(|text| firewall::parse(text).firewall.enabled)
    }

    /// Addresses that guests of this node are configured to have, whether they run or not, and those of the node.
    pub(super) fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        let configs = self.sight.inventory.guests.values().map(|present| &present.config.current);
        let values = configs.flat_map(|config| {
            config.entries().filter(|(key, _)| key.starts_with("net") || key.starts_with("ipconfig"))
        });
        let parts = values.flat_map(|(_, value)| value.split(','));
        let declared = parts.filter_map(|part| part.strip_prefix("ip=")?.split('/').next()?.parse().ok());
        let own = self.networks.iter().filter_map(|network| match network.own.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        declared.chain(own).collect()
    }
}

/// Directories with container templates: storage and path.
fn archive_directories(inventory: &Inventory) -> Vec<(String, String)> {
    let usable = inventory.storages.iter().filter(|one| one.is_on_node(&inventory.node) && one.holds("vztmpl"));
    usable.filter_map(|storage| Some((storage.id.clone(), storage.directory("vztmpl")?))).collect()
}

/// The file names of `SECTION  FILE`.
fn offered(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

/// Name servers that guests can use too, and the search domain.
fn resolver_of(text: &str) -> (Vec<IpAddr>, Option<String>) {
    let values = |key: &str| -> Vec<String> {
        let lines =
            text.lines().filter_map(|line| line.trim().strip_prefix(key)).filter(|rest| rest.starts_with([' ', '\t']));
        lines.flat_map(|rest| rest.split_whitespace().map(str::to_owned)).collect()
    };
    let servers = values("nameserver").into_iter().filter_map(|word| word.parse::<IpAddr>().ok());
    let domain = values("search")
        .into_iter()
        .chain(values("domain"))
        .next()
        .filter(|domain| domain != "." && domain.contains('.'));
    (servers.filter(|server| !server.is_loopback()).collect(), domain)
}

/// The networks of the bridges: the kernel's routes tell which of the node's addresses is on which bridge, and where the
/// way out lies. Addresses in routes are hexadecimal, last byte first.
fn networks(bridges: &BTreeSet<String>, addresses: &[Cidr], routes: &str) -> Vec<Network> {
    let hex = |word: &str| u32::from_str_radix(word, 16).ok().map(|number| Ipv4Addr::from(number.swap_bytes()));
    let mut connected: Vec<(String, Ipv4Addr, u8)> = Vec::new();
    let mut ways: BTreeMap<String, Ipv4Addr> = BTreeMap::new();
    for line in routes.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, to, by, _, _, _, _, mask, ..] = words[..] else { continue };
        let (Some(to), Some(by), Some(mask)) = (hex(to), hex(by), hex(mask)) else { continue };
        if by.is_unspecified() {
            let prefix = u32::from(mask).leading_ones();
            connected.push((name.to_owned(), to, u8::try_from(prefix).unwrap_or(32)));
        } else if mask.is_unspecified() {
            ways.entry(name.to_owned()).or_insert(by);
        }
    }
    let mut networks: Vec<Network> = Vec::new();
    for (bridge, network, prefix) in connected.into_iter().filter(|(name, ..)| bridges.contains(name)) {
        let is_own = |own: &&Cidr| own.prefix == prefix && own.network().address == IpAddr::from(network);
        if let Some(own) = addresses.iter().find(is_own) {
            let gateway = ways.get(&bridge).copied().filter(|gateway| own.contains((*gateway).into()));
            networks.push(Network { bridge, own: *own, gateway });
        }
    }
    // The way out first.
    networks.sort_by_key(|network| network.gateway.is_none());
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_tell_which_bridge_is_in_which_network() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                      vmbr1\t00010A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                      vmbr0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      vmbr0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                      tun0\t00000008\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n";
        let bridges = ["vmbr0", "vmbr1"].map(str::to_owned).into();
        let addresses = ["10.10.1.1/24", "192.0.2.2/24", "8.0.0.1/8"].map(|text| text.parse().unwrap());
        let found = networks(&bridges, &addresses, routes);
        let told: Vec<_> = found.iter().map(|one| (one.bridge.as_str(), one.own.to_string(), one.gateway)).collect();
        let gateway = Some(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(told, [("vmbr0", "192.0.2.2/24".to_owned(), gateway), ("vmbr1", "10.10.1.1/24".to_owned(), None)]);
    }

    #[test]
    fn only_resolvers_that_guests_reach_count() {
        let (servers, domain) = resolver_of("search lan.example.org .\nnameserver 127.0.0.1\nnameserver 192.0.2.1\n");
        assert_eq!((servers, domain.as_deref()), (vec!["192.0.2.1".parse().unwrap()], Some("lan.example.org")));
        assert_eq!(resolver_of("search lan\n"), (Vec::new(), None));
    }
}
