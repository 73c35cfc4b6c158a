//! Checks that need more than one field: between guests, against Proxmox's rules and against what scripts declare.

mod cycle;
mod firewall;
mod flows;
mod network;
mod proxmox;
mod references;
mod scripts;
mod unique;

use super::decode::Fields;
use super::guest::Draft;
use crate::model::{Catalogue, Site};

pub use scripts::Conditional;

/// Checks everything and puts the guests into the site. Findings go to the files they concern; what concerns only
/// requests for some guests is returned.
pub fn check(site: &mut Site, drafts: &[Draft], root: &Fields, catalogue: &Catalogue) -> Vec<Conditional> {
    unique::check(drafts, site, root);
    for draft in drafts {
        site.guests.entry(draft.guest.id).or_insert_with(|| draft.guest.clone());
    }
    references::check(site, drafts);
    cycle::check(site, drafts, catalogue);
    network::check(site, drafts, root);
    firewall::check(site, drafts);
    proxmox::check(site, drafts);
    flows::check(site, drafts, root, catalogue);
    scripts::check(site, drafts, catalogue)
}
