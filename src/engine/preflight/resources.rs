//! Memory and cores of the node against what is declared.

use super::{Look, size};
use crate::finding::Finding;
use crate::model::{Guest, GuestKind};

const MIB: u64 = 1 << 20;

/// More than the node has: of one guest, of all that are to run.
pub(super) fn check(look: &Look) -> Vec<Finding> {
    let mut findings: Vec<Finding> = look.guests().filter_map(|guest| cores(look, guest)).collect();
    findings.extend(memory(look));
    findings
}

fn cores(look: &Look, guest: &Guest) -> Option<Finding> {
    let has = look.facts.cpus.filter(|has| guest.cores > *has)?;
    let message = format!("guest {} is to have {} cores, the node has {has}", guest.id, guest.cores);
    // Proxmox starts no machine with more CPUs than the node has; a container merely gets no more.
    let finding = match guest.kind {
        GuestKind::Vm => Finding::error("too-many-cores", message).hint("Proxmox would not start it: declare fewer"),
        GuestKind::Lxc => Finding::warning("too-many-cores", message).hint("it gets no more than there are"),
    };
    Some(look.at(finding, guest.id, "cores"))
}

fn memory(look: &Look) -> Vec<Finding> {
    let Some(has) = look.facts.memory else { return Vec::new() };
    let of = |guest: &Guest| u64::from(guest.memory_mb) * MIB;
    let runs = |guest: &&Guest| guest.meant_to_run(look.site.is_clone_source(guest.id));
    let mut findings: Vec<Finding> = look
        .guests()
        .filter(|guest| of(guest) > has)
        .map(|guest| {
            let message =
                format!("guest {} is to have {} of memory, the node has {}", guest.id, size(of(guest)), size(has));
            let finding = match guest.kind {
                GuestKind::Vm => Finding::error("too-much-memory", message).hint("it would not start: declare less"),
                GuestKind::Lxc => Finding::warning("too-much-memory", message).hint("declare less"),
            };
            look.at(finding, guest.id, "memory_mb")
        })
        .collect();
    let declared: u64 = look.guests().filter(runs).map(of).sum();
    let others: u64 = look
        .sight
        .inventory
        .guests
        .iter()
        .filter(|(id, present)| present.running && look.site.guest(**id).is_none())
        .filter_map(|(_, present)| present.config.current.get("memory")?.parse::<u64>().ok())
        .map(|memory| memory * MIB)
        .sum();
    if declared + others > has && findings.is_empty() && declared > 0 {
        let beside = if others > 0 { format!(" and others use {}", size(others)) } else { String::new() };
        let message =
            format!("guests that run are to have {} of memory{beside}, the node has {}", size(declared), size(has));
        let finding = Finding::warning("memory-overcommitted", message);
        findings.push(finding.hint("it works until they use it; then the kernel ends one of them"));
    }
    findings
}
