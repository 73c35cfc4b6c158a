//! How a guest's settings on the node differ from its declaration, as far as the node's files tell: nothing inside the
//! guest is looked at, and nothing that a script's `prepare` would ask for.

use super::sight::Sight;
use crate::model::{Catalogue, Guest, GuestKind, Origin, Prepared, Site};
use crate::plan::order;
use crate::pve::difference::KeyDifference;
use crate::pve::lxc;

/// The differing settings of a container that is there; none for guests that are not, and for virtual machines.
pub fn drift(site: &Site, catalogue: &Catalogue, sight: &Sight, guest: &Guest) -> Vec<KeyDifference> {
    let Some(present) = sight.inventory.guests.get(&guest.id).filter(|present| present.kind == guest.kind) else {
        return Vec::new();
    };
    if guest.kind == GuestKind::Vm {
        return Vec::new();
    }
    let source = match guest.origin {
        Origin::Clone(source) => sight.inventory.guests.get(&source).map(|source| &source.config),
        _ => None,
    };
    let needs = order::lxc_needs(site, guest, &order::scripts(guest, catalogue), catalogue);
    let desired = lxc::desired(site, guest, needs, &Prepared::default());
    lxc::difference(&desired, present, source).differences
}
