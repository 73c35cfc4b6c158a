//! Ids: free, or ours.

use super::Look;
use crate::engine::mark::describe;
use crate::finding::Finding;
use crate::model::Guest;
use crate::pve::tool::Tool;

/// Declared guests whose id somebody else has.
pub(super) fn check(look: &Look) -> Vec<Finding> {
    look.site.guests.values().filter_map(|guest| taken(look, guest)).collect()
}

fn taken(look: &Look, guest: &Guest) -> Option<Finding> {
    let id = guest.id;
    let present = look.sight.inventory.guests.get(&id)?;
    let what = describe(id, present);
    let place = if guest.kind == crate::model::GuestKind::Vm { "vmid" } else { "" };
    if present.kind != guest.kind {
        let text = format!("guest {id} is declared as {}, but is a {what}", guest.kind.noun());
        return Some(look.at(Finding::error("id-of-other-kind", text).hint("declare another id"), id, place));
    }
    let declared = guest.node.as_deref().unwrap_or(look.node());
    if present.node != declared {
        let text = format!("{what} is on node `{}`, declared for `{declared}`", present.node);
        let hint = format!(
            "write \"node\": \"{}\", or move it with `{} migrate {id} {declared}`",
            present.node,
            Tool::of(present.kind, id)
        );
        return Some(look.at(Finding::error("id-elsewhere", text).hint(hint), id, "node"));
    }
    let ours = present.is_marked() && look.sight.records.contains_key(&id);
    if ours || present.node != look.node() {
        return None;
    }
    let text = format!("id {id} is taken by {what}, which phoenix did not make");
    let hint = format!("declare another id, or take it over with `phoenix create {id} --adopt {id}`");
    Some(look.at(Finding::error("id-taken", text).hint(hint), id, place))
}
