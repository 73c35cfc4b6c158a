//! Storages: there, switched on, reachable, for this content, with room, and able to do what is declared.

use std::collections::{BTreeMap, BTreeSet};

use super::{Look, list, size};
use crate::engine::run::EngineError;
use crate::finding::{Finding, Severity, did_you_mean};
use crate::model::{Guest, GuestId, GuestKind, Origin};
use crate::pve::size::GIB;
use crate::pve::storage::{Capability, DiskFormat, Storage};
use crate::pve::usage::{self, Usage};

/// Storages with less room than this are full.
const FULL: u64 = GIB / 2;

/// Everything about storages.
pub(super) fn check(look: &Look) -> Result<Vec<Finding>, EngineError> {
    let output = look.host.run(&usage::ask(look.node()))?;
    let usages = output.ok().then(|| usage::parse(&output.stdout)).flatten();
    let mut findings = Vec::new();
    if usages.is_none() {
        let finding = Finding::warning("storages-silent", "the storages do not say how full they are");
        findings.push(finding.hint(format!("`{}` has to answer", usage::ask(look.node()))));
    }
    let usages = usages.unwrap_or_default();
    let mut told = BTreeSet::new();
    for kind in [GuestKind::Lxc, GuestKind::Vm] {
        let by_storage = look.wanted(|guest| if guest.kind == kind { storages_of(guest) } else { Vec::new() });
        for (id, guests) in by_storage {
            findings
                .extend(state(look, kind, id, &guests, &usages).filter(|finding| told.insert(finding.message.clone())));
        }
    }
    findings.extend(space(look, &usages));
    findings.extend(look.guests().filter_map(|guest| abilities(look, guest)));
    Ok(findings)
}

fn storages_of(guest: &Guest) -> Vec<&str> {
    let volumes = guest.volumes.iter().map(|volume| volume.storage.as_str());
    let all: BTreeSet<&str> = volumes.chain([guest.root.storage.as_str()]).filter(|id| !id.is_empty()).collect();
    all.into_iter().collect()
}

/// The field in which a guest names a storage.
fn field(look: &Look, id: GuestId, storage: &str) -> &'static str {
    let root = look.site.guest(id).is_none_or(|guest| guest.root.storage == storage);
    if root { "storage_pool" } else { "zfs_volumes" }
}

/// Whether it is there and may hold disks of these guests.
fn state(look: &Look, kind: GuestKind, id: &str, guests: &[GuestId], usages: &[Usage]) -> Option<Finding> {
    let content = if kind == GuestKind::Lxc { "rootdir" } else { "images" };
    let inventory = &look.sight.inventory;
    let who = list(guests);
    let finding = match inventory.storage(id) {
        None => {
            let known = || inventory.storages.iter().map(|storage| storage.id.as_str());
            let hint = match did_you_mean(id, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("storages of the node: {}", known().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("storage `{id}` ({who}) is not on node {}", look.node());
            Finding::error("storage-absent", message).hint(hint)
        }
        Some(storage) if storage.disabled => {
            Finding::error("storage-disabled", format!("storage `{id}` ({who}) is disabled"))
                .hint(format!("`pvesm set {id} --disable 0` enables it"))
        }
        Some(storage) if !storage.is_on_node(look.node()) => {
            let nodes: Vec<&str> = storage.nodes.iter().map(String::as_str).chain([look.node()]).collect();
            Finding::error("storage-elsewhere", format!("storage `{id}` ({who}) is not for node {}", look.node()))
                .hint(format!("`pvesm set {id} --nodes {}` allows it, if it can be reached from here", nodes.join(",")))
        }
        Some(storage) if !storage.holds(content) => {
            let all: Vec<&str> = storage.content.iter().map(String::as_str).chain([content]).collect();
            Finding::error("storage-content", format!("storage `{id}` ({who}) does not hold `{content}`"))
                .hint(format!("`pvesm set {id} --content {}` allows it", all.join(",")))
        }
        Some(storage) => inactive(storage, &who, usages)?,
    };
    let first = guests.first()?;
    Some(look.at(finding, *first, field(look, *first, id)))
}

fn inactive(storage: &Storage, who: &str, usages: &[Usage]) -> Option<Finding> {
    let id = &storage.id;
    usages.iter().find(|usage| usage.storage == *id).filter(|usage| !usage.active)?;
    let cause = match storage.kind.as_str() {
        "zfspool" => "`zpool status` tells whether its pool is imported",
        "lvm" | "lvmthin" => "`vgs` and `lvs` tell whether its volume group is there",
        "nfs" | "cifs" => "its server has to be reached: `pvesm status` tries again",
        _ => "is its path mounted? `pvesm status` tries again",
    };
    Some(Finding::error("storage-inactive", format!("storage `{id}` ({who}) is not active")).hint(cause))
}

/// Whether what is declared and not there yet has room.
fn space(look: &Look, usages: &[Usage]) -> Vec<Finding> {
    let mut needed: BTreeMap<&str, (u64, bool, Vec<GuestId>)> = BTreeMap::new();
    for guest in look.guests().filter(|guest| !look.is_there(guest.id)) {
        let root = (guest.root.storage.as_str(), guest.root.size_gb, is_linked(look, guest));
        let volumes = guest.volumes.iter().map(|volume| (volume.storage.as_str(), volume.size_gb, false));
        for (id, gib, linked) in volumes.chain([root]) {
            let Some(storage) = look.sight.inventory.storage(id) else { continue };
            let entry = needed.entry(id).or_default();
            entry.0 += if linked { 0 } else { u64::from(gib) * GIB };
            entry.1 |= takes_at_once(storage, guest.kind);
            if !entry.2.contains(&guest.id) {
                entry.2.push(guest.id);
            }
        }
    }
    let finding = |(id, (bytes, at_once, guests)): (&str, (u64, bool, Vec<GuestId>))| {
        let usage = usages.iter().find(|usage| usage.storage == id && usage.active)?;
        let free = usage.available;
        let who = list(&guests);
        let finding = if free < FULL {
            Finding::error(
                "storage-full",
                format!("storage `{id}` ({who}) is full: {} of {} free", size(free), size(usage.total)),
            )
            .hint(format!("`pvesm list {id}` tells what lies on it; free some, or declare another storage"))
        } else if free < bytes {
            let severity = if at_once { Severity::Error } else { Severity::Warning };
            let message = format!(
                "{who}: disks of {} are declared on storage `{id}`, which has {} free",
                size(bytes),
                size(free)
            );
            let hint = match at_once {
                true => "declare smaller disks or another storage",
                false => "it works until they are filled: declare smaller disks or another storage",
            };
            Finding { severity, ..Finding::error("storage-space", message).hint(hint) }
        } else {
            return None;
        };
        let first = *guests.first()?;
        Some(look.at(finding, first, field(look, first, id)))
    };
    needed.into_iter().filter_map(finding).collect()
}

/// Whether a disk takes its whole size when it is made.
fn takes_at_once(storage: &Storage, kind: GuestKind) -> bool {
    let sparse = storage.properties.get("sparse").is_some_and(|value| value.is_empty() || value == "1");
    storage.kind == "lvm" || (storage.kind == "zfspool" && kind == GuestKind::Vm && !sparse)
}

/// Whether it will be a linked clone, which begins with nothing of its own.
fn is_linked(look: &Look, guest: &Guest) -> bool {
    let Origin::Clone(source) = guest.origin else { return false };
    let Some(source) = look.site.guest(source) else { return false };
    let able = |storage: &Storage| match guest.kind {
        GuestKind::Lxc => storage.can(Capability::ContainerLinkedClone),
        GuestKind::Vm => storage.can(Capability::DiskLinkedClone(format_on(storage))),
    };
    source.is_template
        && source.root.storage == guest.root.storage
        && look.sight.inventory.storage(&guest.root.storage).is_some_and(able)
}

fn format_on(storage: &Storage) -> DiskFormat {
    if storage.keeps_files() { DiskFormat::Qcow2 } else { DiskFormat::Raw }
}

/// What is declared and the storage's type cannot do, unless the configuration says the same type and was told already.
fn abilities(look: &Look, guest: &Guest) -> Option<Finding> {
    let unable = |capability: &dyn Fn(&Storage) -> Capability| {
        let storages = storages_of(guest).into_iter().filter_map(|id| look.sight.inventory.storage(id));
        storages.into_iter().find(|storage| !storage.can(capability(storage)))
    };
    let template = |_: &Storage| match guest.kind {
        GuestKind::Lxc => Capability::ContainerTemplate,
        GuestKind::Vm => Capability::DiskTemplate,
    };
    if let Some(storage) = guest.is_template.then(|| unable(&template)).flatten() {
        let message = format!("storage `{}` ({}) cannot hold templates (guest {})", storage.id, storage.kind, guest.id);
        let finding = Finding::error("no-templates", message)
            .hint("declare a storage on ZFS, LVM-thin, Ceph, btrfs or in a directory, or leave `is_template` out");
        return Some(look.at(finding, guest.id, "is_template"));
    }
    let snapshots = &guest.snapshots;
    let declared = [
        (
            snapshots.before_features.is_some() || snapshots.after_features.is_some(),
            "enable_lifecycle_snapshots",
            "snapshots",
        ),
        (snapshots.template.is_some(), "template_snapshot_name", "template_snapshot_name"),
    ];
    let (_, lxc, vm) = declared.into_iter().find(|(declared, ..)| *declared)?;
    let storage = unable(&|storage| match guest.kind {
        GuestKind::Lxc => Capability::ContainerSnapshot,
        GuestKind::Vm => Capability::DiskSnapshot(format_on(storage)),
    })?;
    let known = look.site.node.storages.iter().find(|declared| declared.id == storage.id);
    if guest.kind == GuestKind::Lxc && known.is_some_and(|known| known.kind == storage.kind) {
        return None;
    }
    let message = format!("storage `{}` ({}) cannot take snapshots of guest {}", storage.id, storage.kind, guest.id);
    let finding = Finding::warning("no-snapshots", message)
        .hint("the snapshot is left out; use a storage on ZFS, LVM-thin, Ceph or btrfs, or `is_template`");
    Some(look.at(finding, guest.id, if guest.kind == GuestKind::Lxc { lxc } else { vm }))
}
