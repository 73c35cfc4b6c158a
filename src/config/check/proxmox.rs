//! What Proxmox would refuse, said before anything runs.

use crate::config::guest::Draft;
use crate::finding::Finding;
use crate::model::{GuestKind, NodeStorage, Site};

/// Storages that cannot hold or do what is asked of them.
pub fn check(site: &Site, drafts: &[Draft]) {
    for draft in drafts {
        storages(site, draft);
    }
}

fn storages(site: &Site, draft: &Draft) {
    let guest = &draft.guest;
    let content = match guest.kind {
        GuestKind::Lxc => "rootdir",
        GuestKind::Vm => "images",
    };
    let find = |id: &str| site.node.storages.iter().find(|storage| storage.id == id);
    let mut unable = None;
    let volumes = guest.volumes.iter().map(|volume| (&volume.storage, "zfs_volumes"));
    for (id, field) in std::iter::once((&guest.root.storage, "storage_pool")).chain(volumes) {
        let Some(storage) = find(id) else { continue };
        if !storage.content.iter().any(|held| held == content) {
            let message = format!(
                "the storage {id} holds {}, but no disks of a {}",
                storage.content.join(", "),
                guest.kind.noun()
            );
            let finding = Finding::error("storage-content", message);
            draft.report(finding.hint(format!("add `{content}` to the dataset's `proxmox_content_type`")), field);
        }
        if guest.kind == GuestKind::Lxc && !can_snapshot(storage) {
            unable = Some(storage);
        }
    }
    let Some(storage) = unable else { return };
    let snapshots = &guest.snapshots;
    let declared = [
        (snapshots.before_features.is_some(), "enable_lifecycle_snapshots"),
        (snapshots.template.is_some(), "template_snapshot_name"),
    ];
    for (_, field) in declared.into_iter().filter(|(declared, _)| *declared) {
        let message = format!("the storage {} ({}) cannot take snapshots of containers", storage.id, storage.kind);
        let finding = Finding::warning("no-snapshots", message)
            .hint("the snapshot is left out; use a storage on ZFS, LVM-thin, Ceph or btrfs, or `is_template`");
        draft.report(finding, field);
    }
}

/// Whether containers on a storage can have snapshots.
fn can_snapshot(storage: &NodeStorage) -> bool {
    matches!(storage.kind.as_str(), "zfspool" | "lvmthin" | "rbd" | "btrfs")
}
