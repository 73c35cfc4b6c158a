//! The firewall: rules of guests count only while the switch of the whole cluster is on.

use super::{Look, list};
use crate::finding::Finding;
use crate::model::GuestId;
use crate::pve::firewall;

/// Declared rules that would have no effect.
pub(super) fn check(look: &Look) -> Option<Finding> {
    let filtered: Vec<GuestId> = look.guests().filter(|guest| guest.firewall.enabled).map(|guest| guest.id).collect();
    let cluster = look.sight.inventory.firewalls.get("cluster");
    let on = cluster.is_some_and(|text| firewall::parse(text).firewall.enabled);
    let first = *filtered.first().filter(|_| !on)?;
    let message = format!("the firewall of the cluster is off: the rules of {} have no effect", list(&filtered));
    let finding = Finding::warning("firewall-off", message).hint(
        "allow yourself SSH and port 8006 first (Datacenter, Firewall), then `pvesh set /cluster/firewall/options --enable 1`",
    );
    Some(look.at(finding, first, "firewall.enabled"))
}
