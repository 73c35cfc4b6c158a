//! What only the node has: pools and datasets of ZFS, Proxmox's storages, NFS exports, the firewall of node and cluster,
//! records of its DNS server, timers.
//!
//! Nothing here destroys: what is there and differs in a way that only a new one could have is a
//! [`MachineError::Conflict`], and what others made (exports, storages, rules, records) stays as it is. Settings go into
//! files of their own beside those of others wherever the program reads several.

mod dns_record;
mod firewall;
mod nfs_export;
mod storage;
mod timer;
mod zfs;
mod zfs_dataset;
mod zfs_pool;

pub use firewall::{NodeFirewall, Scope};
pub use nfs_export::NfsExport;
pub use storage::NodeStorage;
pub use timer::Timer;
pub use zfs_dataset::ZfsDataset;
pub use zfs_pool::ZfsPool;

use super::exec::EXEC_TIMEOUT;
use super::{Machine, MachineError};
use crate::op::{Attributes, Place};

impl Machine {
    /// Refuses what a guest does not have.
    fn on_the_node(&self, what: &str) -> Result<(), MachineError> {
        match self.place() {
            Place::Node => Ok(()),
            Place::Guest(..) => Err(MachineError::Invalid(format!("`{what}` is for the node, not for guests"))),
        }
    }

    /// Runs a program that changes the node. A rehearsal that cannot know its answer takes it to succeed.
    fn node_tool(&self, argv: &[&str]) -> Result<(), MachineError> {
        match self.tool_within(argv, EXEC_TIMEOUT) {
            Err(error) if !error.is_unknown() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Of files that everybody may read.
fn readable() -> Attributes {
    Attributes { mode: Some(0o644), ..Attributes::default() }
}

/// A word for a file's name out of a path: `srv-share` of `/srv/share`.
fn slug(path: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' };
    path.trim_matches('/').chars().map(letter).collect()
}
