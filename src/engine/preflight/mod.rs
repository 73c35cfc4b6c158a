//! What the node lacks for what is declared, found before anything is begun: everything at once, each finding with what
//! mends it and, where the configuration may be to blame, with its place there. Nothing is changed.
//!
//! | file | what |
//! |---|---|
//! | `facts` | what is read of the node beside its guests |
//! | `storages`, `origins`, `ids` | where guests lie, what they are made from, whose their ids are |
//! | `network`, `nfs`, `firewall` | bridges, addresses, ways out, exports, the switch of the firewall |
//! | `resources`, `devices` | memory and cores, GPUs, shared ids |
//! | `cluster`, `tools` | name, version and quorum of the node, its clock, its tools, our directory |

mod cluster;
mod devices;
mod facts;
mod firewall;
mod ids;
mod network;
mod nfs;
mod origins;
mod resources;
mod storages;
mod tools;

use std::collections::BTreeMap;

use self::facts::Facts;
pub use self::facts::{cpus, memory_total};
use super::run::{EngineError, observe};
use super::sight::Sight;
use crate::finding::{Finding, Place};
use crate::host::Host;
use crate::model::{Guest, GuestId, Site};

/// Something that is declared, by its path: `network_config.ip` of a guest, `network.hostname` of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot<'a> {
    /// Of a guest.
    Guest(GuestId, &'a str),
    /// Of the node.
    Node(&'a str),
}

/// Where in which file something is declared.
pub type Locate<'a> = dyn Fn(Spot<'_>) -> Option<Place> + 'a;

/// What is compared with the node.
pub struct Preflight<'a> {
    /// What is declared.
    pub site: &'a Site,
    /// Where it is declared.
    pub locate: &'a Locate<'a>,
    /// Digests of large files are computed too.
    pub digests: bool,
}

/// The node beside what is declared.
struct Look<'a> {
    asked: &'a Preflight<'a>,
    site: &'a Site,
    sight: Sight,
    facts: Facts,
    host: &'a dyn Host,
}

impl Preflight<'_> {
    /// Everything on the node that the declarations would fail on.
    ///
    /// # Errors
    /// When the node cannot be read.
    pub fn run(&self, host: &dyn Host) -> Result<Vec<Finding>, EngineError> {
        let sight = observe(host)?;
        let facts = Facts::read(self.site, host)?;
        let look = Look { asked: self, site: self.site, sight, facts, host };
        let mut findings = cluster::check(&look);
        findings.extend(tools::check(&look));
        findings.extend(ids::check(&look));
        findings.extend(storages::check(&look)?);
        findings.extend(origins::check(&look)?);
        findings.extend(network::check(&look)?);
        findings.extend(nfs::check(&look));
        findings.extend(firewall::check(&look));
        findings.extend(resources::check(&look));
        findings.extend(devices::check(&look));
        Ok(findings)
    }
}

impl Look<'_> {
    /// Name of the node.
    fn node(&self) -> &str {
        &self.sight.inventory.node
    }

    /// Whether a guest is on the node already.
    fn is_there(&self, id: GuestId) -> bool {
        self.sight.inventory.guests.contains_key(&id)
    }

    /// Whether a guest belongs on this node.
    fn belongs_here(&self, guest: &Guest) -> bool {
        guest.node.as_deref().is_none_or(|node| node == self.node())
    }

    /// Guests that belong on this node.
    fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.site.guests.values().filter(|guest| self.belongs_here(guest))
    }

    /// Which guests want a thing, by the thing.
    fn wanted<'s>(&'s self, things: impl Fn(&'s Guest) -> Vec<&'s str>) -> BTreeMap<&'s str, Vec<GuestId>> {
        let mut by_thing: BTreeMap<&str, Vec<GuestId>> = BTreeMap::new();
        for guest in self.guests() {
            for thing in things(guest) {
                by_thing.entry(thing).or_default().push(guest.id);
            }
        }
        by_thing
    }

    /// The finding at what a guest declares.
    fn at(&self, finding: Finding, id: GuestId, path: &str) -> Finding {
        Finding { place: (self.asked.locate)(Spot::Guest(id, path)), ..finding }
    }

    /// The finding at what is declared about the node.
    fn at_node(&self, finding: Finding, path: &str) -> Finding {
        Finding { place: (self.asked.locate)(Spot::Node(path)), ..finding }
    }
}

/// `guest 101`, `guests 101, 102`.
fn list(guests: &[GuestId]) -> String {
    let ids: Vec<String> = guests.iter().map(GuestId::to_string).collect();
    format!("{} {}", if ids.len() == 1 { "guest" } else { "guests" }, ids.join(", "))
}

/// `1.5 GiB`, `300 MiB`.
fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    match bytes {
        0 => "nothing".to_owned(),
        bytes if bytes < GIB => format!("{} MiB", bytes >> 20),
        bytes if bytes.is_multiple_of(GIB) => format!("{} GiB", bytes / GIB),
        bytes => format!("{:.1} GiB", bytes as f64 / GIB as f64),
    }
}
