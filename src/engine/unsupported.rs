//! What is declared and the node's version of Proxmox VE does not have, found before anything is begun.

use std::collections::BTreeMap;

use super::preflight::{Locate, Spot};
use crate::finding::Finding;
use crate::model::{Guest, GuestId, GuestKind, LxcNeeds, Prepared, Site, Step};
use crate::plan::Plan;
use crate::pve::difference::Known;
use crate::pve::guest::Desired;
use crate::pve::inventory::{Inventory, Present};
use crate::pve::tool::Tool;
use crate::pve::version::{Missing, missing};

/// An option of a guest that the node does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Guest.
    pub guest: GuestId,
    /// The option, since when there is one, and what the node has.
    pub missing: Missing,
    /// The field that declares it.
    field: String,
}

impl Unsupported {
    /// The same as a finding, at its place in the configuration.
    pub fn finding(&self, locate: &Locate) -> Finding {
        let finding = Finding::error("option-too-new", format!("guest {}: {}", self.guest, self.missing));
        let finding = Finding { place: locate(Spot::Guest(self.guest, &self.field)), ..finding };
        finding.hint(format!("leave it out, or upgrade the node to {} or later", self.missing.since.release()))
    }
}

/// What these guests declare, with what their scripts need, and the node does not have. Nothing where the node does not
/// say its version.
pub(super) fn unsupported<'a>(
    site: &Site,
    guests: impl IntoIterator<Item = (&'a Guest, LxcNeeds)>,
    inventory: &Inventory,
) -> Vec<Unsupported> {
    let Some(node) = inventory.version else { return Vec::new() };
    let mut found = Vec::new();
    for (guest, needs) in guests {
        let nothing = Present { kind: guest.kind, node: String::new(), config: Default::default(), running: false };
        let set = Desired::of(site, guest, inventory, needs, &Prepared::default())
            .difference(&nothing, &Known::default())
            .set;
        let declared = guest.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let options: BTreeMap<&str, &str> =
            declared.chain(set.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect();
        let command = format!("{} set", Tool::of(guest.kind, guest.id));
        let lacks = missing(node, &command, options).into_iter();
        found.extend(lacks.map(|missing| Unsupported {
            guest: guest.id,
            field: field(guest, &missing.option),
            missing,
        }));
    }
    found
}

/// The same of the guests that a plan configures.
pub(super) fn planned(site: &Site, plan: &Plan, inventory: &Inventory) -> Vec<Unsupported> {
    let configured = plan.guests.iter().filter(|planned| planned.steps.contains(&Step::Define));
    let guests = configured.filter_map(|planned| Some((site.guest(planned.id)?, planned.needs)));
    unsupported(site, guests, inventory)
}

/// The field of a declaration that an option follows from.
fn field(guest: &Guest, option: &str) -> String {
    let key = option.split('.').next().unwrap_or(option);
    let declares = |field: &str| guest.config.get(field).is_some();
    let candidates: &[&str] = match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "net" => &["network_config"],
        "mp" => &["mount_points", "zfs_volumes"],
        "dev" => &["devices"],
        "rootfs" | "scsi" => &["disk_options"],
        _ if guest.kind == GuestKind::Lxc => &["pct_options"],
        _ => &["qm_options"],
    };
    let mut all = std::iter::once(key).chain(candidates.iter().copied());
    all.find(|field| declares(field)).unwrap_or_default().to_owned()
}

/// How many there are, in words.
pub(super) fn count(all: &[Unsupported]) -> String {
    match all {
        [one] => format!("guest {}: {}", one.guest, one.missing),
        [first, rest @ ..] => format!("guest {}: {} (and {} more)", first.guest, first.missing, rest.len()),
        [] => "nothing is missing".to_owned(),
    }
}
