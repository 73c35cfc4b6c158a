//! The node as read at one moment: plain reads of its files, no process.

use std::collections::BTreeMap;

use super::failure::Result;
use super::record::{self, Record};
use crate::host::Host;
use crate::model::GuestId;
use crate::op::Place;
use crate::pve::inventory::{self, Inventory};

/// The node as read at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Guests, storages, firewalls.
    pub inventory: Inventory,
    /// What phoenix keeps about its guests.
    pub records: BTreeMap<GuestId, Record>,
}

/// The name of the node.
///
/// # Errors
/// When it cannot be reached, or is no Proxmox VE node.
pub fn node_name(host: &dyn Host) -> Result<String> {
    let results = host.perform(Place::Node, &[inventory::node_name_op()])?;
    Ok(results.first().map(inventory::node_name).transpose()?.unwrap_or_default())
}

/// Guests, storages, firewalls and records, in one round trip; where virtual machines have pid files, in two.
///
/// # Errors
/// When the node cannot be reached, or a file is not what it should be.
pub fn look(host: &dyn Host, node: &str) -> Result<Sight> {
    let mut ops = inventory::ops(node);
    ops.push(record::read_all());
    let mut results = host.perform(Place::Node, &ops)?;
    let records = results.pop().map(|result| record::parse_all(&result)).transpose()?.unwrap_or_default();
    Ok(Sight { inventory: confirmed(host, inventory::parse(&results)?)?, records })
}

/// Guests, storages and firewalls, read again.
///
/// # Errors
/// As [`look`].
pub fn inventory(host: &dyn Host, node: &str) -> Result<Inventory> {
    confirmed(host, inventory::parse(&host.perform(Place::Node, &inventory::ops(node))?)?)
}

/// A pid file whose QEMU is gone is no running machine.
fn confirmed(host: &dyn Host, mut inventory: Inventory) -> Result<Inventory> {
    let ops = inventory::processes(&inventory);
    if !ops.is_empty() {
        inventory.confirm(&host.perform(Place::Node, &ops)?);
    }
    Ok(inventory)
}
