//! What containers share with the node: GPUs, ids.

use std::collections::BTreeSet;

use super::Look;
use crate::finding::Finding;
use crate::model::{Guest, IdMap, Site};

/// Devices without which no GPU is used.
const NVIDIA: [&str; 2] = ["/dev/nvidiactl", "/dev/nvidia-uvm"];

/// Device files that declared guests need.
pub(super) fn declared(site: &Site) -> Vec<String> {
    let paths: BTreeSet<String> = site.guests.values().flat_map(of_guest).collect();
    paths.into_iter().collect()
}

fn of_guest(guest: &Guest) -> Vec<String> {
    let devices = guest.lxc.devices.iter().map(|device| device.path.clone());
    gpus_of(guest).into_iter().chain(devices).collect()
}

fn gpus_of(guest: &Guest) -> Vec<String> {
    let gpus = guest.lxc.gpus.iter().map(|gpu| format!("/dev/nvidia{gpu}"));
    let shared = NVIDIA.into_iter().filter(|_| !guest.lxc.gpus.is_empty()).map(str::to_owned);
    gpus.chain(shared).collect()
}

/// GPUs and ids that the node does not have or give.
pub(super) fn check(look: &Look) -> Vec<Finding> {
    let mut findings = Vec::new();
    for guest in look.guests() {
        findings.extend(gpus(look, guest));
        findings.extend(devices(look, guest));
        findings.extend(ids(look, guest));
    }
    findings
}

fn devices(look: &Look, guest: &Guest) -> Option<Finding> {
    let mut missing = guest.lxc.devices.iter().filter(|device| !look.facts.devices.contains(&device.path));
    let path = &missing.next()?.path;
    let finding = Finding::error("device-absent", format!("the node has no {path} (guest {})", guest.id));
    let finding = finding.hint("its driver makes it: load the kernel module, or leave the device out");
    Some(look.at(finding, guest.id, "devices"))
}

fn gpus(look: &Look, guest: &Guest) -> Option<Finding> {
    let missing: Vec<String> = gpus_of(guest).into_iter().filter(|path| !look.facts.devices.contains(path)).collect();
    if !missing.is_empty() {
        let message = format!("the node has no {} (guest {})", missing.join(", "), guest.id);
        let hint = match &look.facts.nvidia {
            Some(_) => "`nvidia-modprobe -u -c=0` makes the device files; `nvidia-smi -L` lists the GPUs",
            None => "NVIDIA's driver is not loaded on the node: `nvidia-smi` has to work there first",
        };
        return Some(look.at(Finding::error("device-absent", message).hint(hint), guest.id, "gpu_assignment"));
    }
    let wanted = guest.lxc.nvidia.as_ref()?.driver_version.as_deref()?;
    let has = look.facts.nvidia.as_deref().filter(|has| *has != wanted)?;
    let message = format!("guest {} is to have NVIDIA's driver {wanted}, the node runs {has}", guest.id);
    let finding = Finding::error("driver-version", message)
        .hint(format!("both have to be the same: write \"nvidia_driver_version\": \"{has}\", or change the node's"));
    Some(look.at(finding, guest.id, "nvidia_driver_version"))
}

/// Ids of the node that an unprivileged container may not have.
fn ids(look: &Look, guest: &Guest) -> Vec<Finding> {
    if !guest.lxc.unprivileged {
        return Vec::new();
    }
    let files = [("u", "/etc/subuid"), ("g", "/etc/subgid")];
    let mut findings = Vec::new();
    for hole in &guest.lxc.id_maps {
        for ((kind, file), text) in files.iter().zip(&look.facts.subordinate) {
            if (hole.kind == *kind || hole.kind == "both") && !allows(text, hole) {
                let line = format!("root:{}:{}", hole.host_id, hole.size);
                let message = format!("the node does not let guest {} have its id {}", guest.id, hole.host_id);
                let finding = Finding::error("id-not-allowed", message);
                findings.push(look.at(finding.hint(format!("`echo {line} >> {file}` allows it")), guest.id, "id_maps"));
            }
        }
    }
    findings
}

/// Whether root may give these ids away: `root:FIRST:COUNT`.
fn allows(text: &str, hole: &IdMap) -> bool {
    text.lines().any(|line| {
        let mut parts = line.trim().split(':');
        let root = parts.next().is_some_and(|user| matches!(user, "root" | "0"));
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
        let (Some(first), Some(count)) = (number(), number()) else { return false };
        let wanted = u64::from(hole.host_id)..u64::from(hole.host_id) + u64::from(hole.size);
        root && first <= wanted.start && wanted.end <= first + count
    })
}
