//! What follows from all files together: storages and bridges in use, template volumes, what clones inherit.

use std::collections::{BTreeMap, BTreeSet};

use super::guest::Draft;
use super::legacy;
use crate::finding::Finding;
use crate::model::{GuestId, GuestKind, NodeStorage, Origin, Site};

/// Completes the drafts and the node.
pub fn resolve(site: &mut Site, drafts: &mut [Draft]) {
    for draft in drafts.iter_mut() {
        template(draft, &site.node.storages);
        snapshots_of_templates(draft);
        if draft.guest.kind == GuestKind::Vm && draft.guest.search_domain.is_none() && !draft.guest.is_imported() {
            draft.guest.search_domain = Some(site.domain.clone()).filter(|domain| !domain.is_empty());
        }
    }
    inherit_privilege(drafts);
    site.node.storages.extend(undescribed_storages(&site.node.storages, drafts));
    let bridges = drafts.iter().flat_map(|draft| &draft.guest.nics).map(|nic| &nic.bridge);
    let bridges: BTreeSet<&String> =
        bridges.filter(|bridge| !bridge.is_empty() && !site.node.bridges.contains(bridge)).collect();
    let bridges: Vec<String> = bridges.into_iter().cloned().collect();
    site.node.bridges.extend(bridges);
}

/// The volume id of a template given as a path: storages are asked by id.
fn template(draft: &mut Draft, storages: &[NodeStorage]) {
    let Origin::Template(template) = &draft.guest.origin else { return };
    if template.is_empty() || template.contains(":vztmpl/") {
        return;
    }
    match legacy::template_volume(template, storages) {
        Some(volume) => draft.guest.origin = Origin::Template(volume),
        None if template.starts_with('/') => {
            let finding = Finding::warning("template-path", format!("`{template}` lies in no declared storage for templates"))
                .hint("it must be on the node already; a volume id like local:vztmpl/NAME.tar.zst can be looked up and downloaded");
            draft.report(finding, "template");
        }
        None => {
            let finding = Finding::error("bad-template", format!("`{template}` is no template"))
                .hint("a volume id like local:vztmpl/NAME.tar.zst, or an absolute path");
            draft.report(finding, "template");
        }
    }
}

/// A template takes no snapshots: Proxmox converts no guest that has any, and clones come from the template itself.
fn snapshots_of_templates(draft: &mut Draft) {
    if !draft.guest.is_template {
        return;
    }
    let taken = std::mem::take(&mut draft.guest.snapshots);
    let fields = [
        (taken.template.is_some(), "template_snapshot_name"),
        (taken.before_features.is_some() && draft.guest.kind == GuestKind::Lxc, "enable_lifecycle_snapshots"),
        (
            draft.guest.kind == GuestKind::Vm && (taken.before_features.is_some() || taken.after_features.is_some()),
            "snapshots",
        ),
    ];
    for (_, field) in fields.into_iter().filter(|(declared, _)| *declared) {
        let finding = Finding::warning("template-snapshot", format!("`{field}` has no effect beside `is_template`"))
            .hint("a template takes no snapshots; clones are made from the template itself");
        draft.report(finding, field);
    }
}

/// Whether root inside is root outside is decided when a container is made from its template: clones follow.
fn inherit_privilege(drafts: &mut [Draft]) {
    let lxc = drafts.iter().filter(|draft| draft.guest.kind == GuestKind::Lxc);
    let declared: BTreeMap<GuestId, (bool, Option<GuestId>)> = lxc
        .map(|draft| {
            let source = match draft.guest.origin {
                Origin::Clone(source) => Some(source),
                _ => None,
            };
            (draft.guest.id, (draft.guest.lxc.unprivileged, source))
        })
        .collect();
    for draft in drafts {
        let Origin::Clone(source) = draft.guest.origin else { continue };
        // A chain longer than all guests is a cycle, which is reported elsewhere.
        let mut next = Some(source);
        let mut inherited = None;
        for _ in 0..declared.len() {
            let Some((unprivileged, source)) = next.and_then(|id| declared.get(&id)) else { break };
            inherited = Some(*unprivileged);
            next = *source;
        }
        let Some(inherited) = inherited else { continue };
        let says = draft.fields.value.get("unprivileged").is_some();
        if says && draft.guest.lxc.unprivileged != inherited {
            let finding = Finding::error(
                "cannot-change",
                format!("a clone is as its source is: `unprivileged` is {inherited} in the container it comes from"),
            );
            draft.report(finding.hint("Proxmox cannot change this after a container was made"), "unprivileged");
        }
        draft.guest.lxc.unprivileged = inherited;
    }
}

/// Storages that guests name and no dataset describes. The names of Proxmox's installer tell their type; of others
/// the one that can do everything is assumed, which matters to a fresh sandbox only.
fn undescribed_storages(described: &[NodeStorage], drafts: &[Draft]) -> Vec<NodeStorage> {
    let mut uses: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for draft in drafts {
        let guest = &draft.guest;
        let content = if guest.kind == GuestKind::Lxc { "rootdir" } else { "images" };
        uses.entry(guest.root.storage.clone()).or_default().insert(content);
        for volume in &guest.volumes {
            uses.entry(volume.storage.clone()).or_default().insert(content);
        }
        if let Origin::Template(template) = &guest.origin
            && let Some((storage, _)) = template.split_once(':')
        {
            uses.entry(storage.to_owned()).or_default().insert("vztmpl");
        }
    }
    uses.retain(|id, _| !id.is_empty() && !described.iter().any(|storage| storage.id == *id));
    let storage = |(id, content): (String, BTreeSet<&str>)| {
        let (kind, location, usual) = match id.as_str() {
            "local" => ("dir", "/var/lib/vz".to_owned(), &["backup", "iso", "vztmpl"][..]),
            "local-lvm" => ("lvmthin", "pve/data".to_owned(), &["images", "rootdir"][..]),
            "local-zfs" => ("zfspool", "rpool/data".to_owned(), &["images", "rootdir"][..]),
            _ if content.contains("vztmpl") => ("dir", format!("/mnt/{id}"), &[][..]),
            _ => ("zfspool", id.clone(), &[][..]),
        };
        let content: BTreeSet<&str> = content.into_iter().chain(usual.iter().copied()).collect();
        NodeStorage { kind: kind.to_owned(), location, content: content.into_iter().map(str::to_owned).collect(), id }
    };
    uses.into_iter().map(storage).collect()
}
