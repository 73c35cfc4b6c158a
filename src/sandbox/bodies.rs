//! Real insides for containers of an emulated node.
//!
//! The world decides: which guests there are, what may be done to them, what is refused. Where it has [`Bodies`], what
//! happens to a container's inside happens to a real one too, in the same order (`record::Edit`), and whoever acts
//! inside acts there. Without, the model is all there is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::body::Bind;
use super::config::Section;
use super::guest::{self, nic};
use super::start_files::{self, StartFile};
use super::world::World;
use crate::host::{Host, HostError};
use crate::model::{Cidr, GuestId};
use crate::request::{Request, Response};

/// Whoever keeps real insides. Insides are named after their guest (`101`), at a snapshot `101@NAME`. What was done is done
/// again after a crash, so everything may be asked for twice.
pub trait Bodies: Send + Sync {
    /// An inside comes out of a template, named by its volume.
    ///
    /// # Errors
    /// When there is none like it.
    fn unpack(&self, name: &str, template: &str) -> Result<(), HostError>;

    /// An inside becomes a copy of another.
    ///
    /// # Errors
    /// When the other is not there.
    fn fork(&self, from: &str, to: &str) -> Result<(), HostError>;

    /// An inside is gone.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn forget(&self, name: &str) -> Result<(), HostError>;

    /// The guest's machine boots: returns when its init runs.
    ///
    /// # Errors
    /// When it does not, in words for the operator.
    fn boot(&self, boot: &Boot) -> Result<(), HostError>;

    /// The guest's machine shuts down; at once when `patience` is over.
    ///
    /// # Errors
    /// When it still runs.
    fn halt(&self, id: GuestId, patience: Duration) -> Result<(), HostError>;

    /// Begins anew after whatever happened since: insides of other names are gone, machines of other guests than these do
    /// not run. Answers those of them that run.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn settle(&self, names: &BTreeSet<String>, running: &BTreeSet<GuestId>) -> Result<BTreeSet<GuestId>, HostError>;

    /// An HTTP request on the guests' network.
    ///
    /// # Errors
    /// As [`Host::request`].
    fn request(&self, request: &Request) -> Result<Response, HostError>;

    /// Where a file that the node fetched is on this machine.
    fn node_path(&self, path: &str) -> String;

    /// The way into the machines, and the real time.
    fn host(&self) -> &dyn Host;
}

/// What a container is booted with.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Whose machine it is.
    pub id: GuestId,
    /// Its host name.
    pub hostname: String,
    /// Its ids are others than the node's.
    pub unprivileged: bool,
    /// Containers may run in it.
    pub nesting: bool,
    /// Its interfaces.
    pub nics: Vec<BootNic>,
    /// What it sees of the node.
    pub binds: Vec<Bind>,
    /// Directories that are there at its start: where its volumes are mounted.
    pub directories: Vec<String>,
    /// Files that Proxmox writes into it.
    pub files: Vec<StartFile>,
}

/// An interface of a container.
#[derive(Clone, Debug)]
pub struct BootNic {
    /// Its name inside.
    pub name: String,
    /// The bridge that it is on.
    pub bridge: String,
    /// The node's own address there.
    pub bridge_address: Option<Cidr>,
    /// Hardware address.
    pub mac: Option<String>,
    /// Its addresses.
    pub addresses: Vec<Cidr>,
    /// Its next hops.
    pub gateways: Vec<IpAddr>,
}

impl Boot {
    /// What a container that is about to start is booted with; nothing if there is none.
    pub(super) fn of(world: &World, id: GuestId) -> Option<Boot> {
        let config = &world.guest(id)?.config.current;
        let hostname = guest::hostname(id, config);
        let addresses = guest::addresses(world, id);
        let directories = config
            .mount_points()
            .into_iter()
            .filter_map(|(key, text)| {
                let point = guest::mount(key, text);
                let own = point.get("volume").is_some_and(|volume| !guest::is_host_path(volume));
                point.get("mp").filter(|_| own).map(str::to_owned)
            })
            .collect();
        Some(Boot {
            id,
            unprivileged: config.is_on("unprivileged"),
            nesting: config.get("features").is_some_and(|features| features.split(',').any(|one| one == "nesting=1")),
            nics: nics(world, id, config),
            binds: guest::binds_of(world, id),
            directories,
            files: start_files::files(&hostname, &addresses, config, &world.resolv_conf),
            hostname,
        })
    }
}

fn nics(world: &World, id: GuestId, config: &Section) -> Vec<BootNic> {
    let of = |text: &str| {
        let nic = nic(text);
        let bridge = nic.get("bridge").unwrap_or_default().to_owned();
        let there = world.bridges.iter().find(|known| known.name == bridge);
        BootNic {
            name: nic.get("name").unwrap_or("eth0").to_owned(),
            bridge_address: there.and_then(|bridge| bridge.address.as_deref()?.parse().ok()),
            mac: nic.get("hwaddr").map(str::to_owned),
            addresses: guest::addresses_of(world, id, &nic),
            gateways: ["gw", "gw6"].iter().filter_map(|key| nic.get(key)?.parse().ok()).collect(),
            bridge,
        }
    };
    config.numbered("net").into_iter().map(|(_, text)| of(text)).collect()
}
