//! How a guest's settings on the node differ from its declaration, as far as the node's files tell: nothing inside the
//! guest is looked at, and nothing that a script's `prepare` would ask for.

use super::sight::Sight;
use crate::model::{Catalogue, Guest, Origin, Prepared, Site};
use crate::plan::order;
use crate::pve::difference::{KeyDifference, Known};
use crate::pve::guest::Desired;

/// The differing settings of a guest that is there; none for guests that are not.
pub fn drift(site: &Site, catalogue: &Catalogue, sight: &Sight, guest: &Guest) -> Vec<KeyDifference> {
    let guests = &sight.inventory.guests;
    let Some(present) = guests.get(&guest.id).filter(|present| present.kind == guest.kind) else {
        return Vec::new();
    };
    let mut known = Known::default();
    if let Origin::Clone(source) = guest.origin {
        known.source = guests.get(&source).map(|source| &source.config);
    }
    if let Some(record) = sight.records.get(&guest.id) {
        known.ours.clone_from(&record.settings);
    }
    let needs = order::lxc_needs(site, guest, &order::scripts(guest, catalogue), catalogue);
    let desired = Desired::of(site, guest, &sight.inventory, needs, &Prepared::default());
    desired.difference(present, &known).differences
}
