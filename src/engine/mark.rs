//! Whose a guest is: ours by its mark (the tag `phoenix` and its record on this node), or somebody else's.

use super::failure::StepError;
use super::record::{Irreversible, Record};
use crate::model::{Guest, GuestId};
use crate::pve::inventory::Present;
use crate::pve::tool::Tool;

/// How a declared guest stands on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none with its id.
    Absent,
    /// Made by phoenix, or taken over before.
    Ours,
    /// Its creation was begun by us and cut off; nothing in it is worth keeping.
    HalfMade,
    /// Somebody else's, to be taken over now.
    Adopted,
}

/// Whose the guest with this id is. `adopt`: the operator said to take it over.
///
/// # Errors
/// It is somebody else's, of another kind, or on another node: it must not be touched.
pub fn judge(
    guest: &Guest,
    node: &str,
    present: Option<&Present>,
    record: Option<&Record>,
    adopt: bool,
) -> Result<Standing, StepError> {
    if let Some(declared) = guest.node.as_deref().filter(|declared| *declared != node) {
        return Err(StepError::with_hint(
            format!("it belongs on node `{declared}`, this is `{node}`"),
            format!("run phoenix on `{declared}`, or change `node` of guest {}", guest.id),
        ));
    }
    let Some(present) = present else { return Ok(Standing::Absent) };
    if present.node != node {
        return Err(StepError::with_hint(
            format!("{} is on node `{}`, not on `{node}`", describe(guest.id, present), present.node),
            format!(
                "declare `node` for guest {0}, or move it with `{1} migrate {0}`",
                guest.id,
                Tool::of(present.kind, guest.id)
            ),
        ));
    }
    if present.kind != guest.kind {
        return Err(StepError::with_hint(
            format!("{} is declared as a {}", describe(guest.id, present), guest.kind.noun()),
            "give the declared guest another id",
        ));
    }
    let marked = present.is_marked();
    let begun = record.and_then(|record| record.begun.as_ref()).map(|begun| &begun.what);
    let defining = matches!(begun, Some(Irreversible::Create | Irreversible::Clone { .. }));
    match (marked, record.is_some(), present.config.lock()) {
        (_, true, Some("create" | "clone")) if defining => Ok(Standing::HalfMade),
        (true, true, _) => Ok(Standing::Ours),
        _ if adopt => Ok(Standing::Adopted),
        (true, false, _) => {
            Err(foreign(guest.id, present, "it carries the tag `phoenix`, but this node has no record of it"))
        }
        (false, true, _) => {
            Err(foreign(guest.id, present, "there is a record of it, but it does not carry the tag `phoenix`"))
        }
        (false, false, _) => Err(foreign(guest.id, present, "phoenix did not make it")),
    }
}

fn foreign(id: GuestId, present: &Present, why: &str) -> StepError {
    StepError::with_hint(
        format!("{} is left alone: {why}", describe(id, present)),
        format!(
            "`--adopt {id}` takes it over and brings it in line with its declaration; else give the declared guest another id"
        ),
    )
}

/// A present guest in words: ``container 999 (`web`, running)``.
pub fn describe(id: GuestId, present: &Present) -> String {
    let state = match (present.config.is_template(), present.running) {
        (true, _) => "template",
        (false, true) => "running",
        (false, false) => "stopped",
    };
    match present.name() {
        Some(name) => format!("{} {id} (`{name}`, {state})", present.kind.noun()),
        None => format!("{} {id} ({state})", present.kind.noun()),
    }
}
