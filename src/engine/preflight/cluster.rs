//! The node itself: its name, its cluster, its clock.

use std::collections::BTreeSet;

use super::Look;
use super::facts::CLOCKS;
use crate::engine::unsupported::unsupported;
use crate::finding::{Finding, did_you_mean};
use crate::model::LxcNeeds;
use crate::pve::version::Version;

/// The oldest version that has everything phoenix needs.
const OLDEST: Version = Version::of(8, 1);
/// The first version that phoenix was not tried with.
const UNTRIED: Version = Version::of(10, 0);

/// Everything about the node as a whole.
pub(super) fn check(look: &Look) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(name(look));
    findings.extend(version(look));
    findings.extend(quorum(look));
    findings.extend(nodes(look));
    findings.extend(clock(look));
    findings
}

fn name(look: &Look) -> Option<Finding> {
    let declared = look.site.node.name.as_deref().filter(|declared| *declared != look.node())?;
    let message = format!("the configuration is for node `{declared}`, this is `{}`", look.node());
    let finding = Finding::error("other-node", message).hint("run phoenix on that node, or change `network.hostname`");
    Some(look.at_node(finding, "network.hostname"))
}

/// A version that phoenix was not made for, and what is declared that comes with a later one.
fn version(look: &Look) -> Vec<Finding> {
    let Some(has) = look.sight.inventory.version else {
        let finding = Finding::warning("version-unknown", "which version of Proxmox VE the node has cannot be told");
        return vec![finding.hint("`pveversion` on the node has to answer")];
    };
    if has < OLDEST {
        let message = format!("the node has Proxmox VE {has}, phoenix needs {} or later", OLDEST.release());
        return vec![Finding::error("version-too-old", message).hint("upgrade the node")];
    }
    let mut findings = Vec::new();
    if has >= UNTRIED {
        let message = format!("the node has Proxmox VE {has}, which phoenix was not tried with");
        let finding = Finding::warning("version-too-new", message);
        findings.push(finding.hint("`phoenix plan` only reads; a newer phoenix may know this version"));
    }
    let guests = look.guests().map(|guest| (guest, LxcNeeds::default()));
    let unsupported = unsupported(look.site, guests, &look.sight.inventory);
    findings.extend(unsupported.iter().map(|one| one.finding(look.asked.locate)));
    findings
}

fn quorum(look: &Look) -> Option<Finding> {
    let inventory = &look.sight.inventory;
    if inventory.quorate {
        return None;
    }
    let offline = inventory.members.iter().filter(|(_, online)| !**online).map(|(name, _)| name.as_str());
    let offline: Vec<&str> = offline.collect();
    let who = if offline.is_empty() { String::new() } else { format!(" ({} offline)", offline.join(", ")) };
    let finding = Finding::error("no-quorum", format!("the cluster has no quorum{who}: nothing can be changed"));
    Some(finding.hint("`pvecm status` tells who is missing; bring the other nodes back"))
}

/// Guests of nodes that nobody knows.
fn nodes(look: &Look) -> Vec<Finding> {
    let known: BTreeSet<&str> = look.sight.inventory.members.keys().map(String::as_str).collect();
    let elsewhere = look.site.guests.values().filter_map(|guest| Some((guest.id, guest.node.as_deref()?)));
    elsewhere
        .filter(|(_, node)| !known.contains(node))
        .map(|(id, node)| {
            let hint = match did_you_mean(node, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("nodes of the cluster: {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            let finding = Finding::error("unknown-node", format!("guest {id} belongs on node `{node}`, which is none"));
            look.at(finding.hint(hint), id, "node")
        })
        .collect()
}

fn clock(look: &Look) -> Option<Finding> {
    let states = &look.facts.clocks;
    if states.is_empty() || states.iter().any(|state| state.active == "active") {
        return None;
    }
    let finding = Finding::warning("clock-alone", "nothing keeps the clock of the node right");
    Some(finding.hint(format!(
        "certificates and clusters need it: `apt install chrony` or `systemctl start {}`",
        states.iter().find(|state| state.load == "loaded").map_or(CLOCKS[0], |state| state.name.as_str())
    )))
}
