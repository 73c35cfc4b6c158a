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

/// Guests that somebody else made cannot be made again.
fn absent(look: &Look, guest: &Guest) -> Option<Finding> {
    if !guest.is_imported() || !look.belongs_here(guest) {
        return None;
    }
    let finding = Finding::error("imported-absent", format!("guest {} was imported and is not on the node", guest.id));
    let hint = "declare what it is made from instead of `imported`, or take it out of the configuration";
    Some(look.at(finding.hint(hint), guest.id, "imported"))
}

fn taken(look: &Look, guest: &Guest) -> Option<Finding> {
    let id = guest.id;
    let Some(present) = look.sight.inventory.guests.get(&id) else { return absent(look, guest) };
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
