//! What Proxmox would refuse, said before anything runs.

use crate::config::guest::Draft;
use crate::config::options;
use crate::finding::Finding;
use crate::model::{GuestKind, NodeStorage, Site};
use crate::pve::storage::{Capability, Storage};
use crate::pve::table;

/// Values that the option table refuses, and storages that cannot hold or do what is asked of them.
pub fn check(site: &Site, drafts: &[Draft]) {
    for draft in drafts {
        values(draft);
        snapshot_names(draft);
        storages(site, draft);
    }
}

/// What `pct create` and `qm create` would say against single values. What is typed already (addresses, MACs) is not
/// asked again.
fn values(draft: &Draft) {
    let guest = &draft.guest;
    let mut asked = vec![(
        "searchdomain",
        guest.search_domain.clone().unwrap_or_default(),
        "network_config.searchdomain".to_owned(),
    )];
    for (tag, path) in texts(draft, "tags") {
        // Proxmox would take it for several.
        if tag.contains([' ', ',', ';']) {
            draft.report(
                Finding::error("bad-value", format!("`{tag}` is more than one tag")).hint("one item for each"),
                &path,
            );
        } else {
            asked.push(("tags", tag.to_owned(), path));
        }
    }
    let bridge = guest.nics.first().map(|nic| nic.bridge.as_str()).unwrap_or_default();
    let command = match guest.kind {
        GuestKind::Lxc => {
            asked.push(("hostname", guest.name.clone(), "name".to_owned()));
            asked.push(("storage", guest.root.storage.clone(), "storage_pool".to_owned()));
            for (name, value) in &guest.lxc.features {
                asked.push(("features", format!("{name}={value}"), options::place(&draft.fields, guest.kind, name)));
            }
            if let Some(nic) = guest.nics.first().filter(|_| !bridge.is_empty()) {
                asked.push(("net0", format!("name={},bridge={bridge}", nic.name), "network_config.bridge".to_owned()));
            }
            let volumes = guest.volumes.iter();
            asked.extend(volumes.map(|volume| {
                (
                    "mp0",
                    format!("{}:{},mp={}", volume.storage, volume.size_gb, volume.mount_point),
                    "zfs_volumes".to_owned(),
                )
            }));
            "pct create"
        }
        GuestKind::Vm => {
            asked.push(("name", guest.name.clone(), "name".to_owned()));
            if !bridge.is_empty() {
                asked.push(("net0", format!("virtio,bridge={bridge}"), "network_bridge".to_owned()));
            }
            "qm create"
        }
    };
    for (option, value, path) in asked.into_iter().filter(|(_, value, _)| !value.is_empty()) {
        refuse(draft, command, option, &value, &path);
    }
    let set = if guest.kind == GuestKind::Lxc { "pct set" } else { "qm set" };
    for (option, value) in &guest.options {
        refuse(draft, set, option, value, &options::place(&draft.fields, guest.kind, option));
    }
}

/// The texts of a list in the entry, with their paths.
fn texts<'a>(draft: &'a Draft, list: &'a str) -> impl Iterator<Item = (&'a str, String)> {
    let items = draft.fields.value.get(list).into_iter().flat_map(|list| list.items()).enumerate();
    items.filter_map(move |(at, item)| Some((item.text()?, format!("{list}.{at}"))))
}

/// Names of snapshots; those of the lifecycle are ours and right.
fn snapshot_names(draft: &Draft) {
    let snapshots = &draft.guest.snapshots;
    let (command, own) = match draft.guest.kind {
        GuestKind::Lxc => ("pct snapshot", [None, None]),
        GuestKind::Vm => (
            "qm snapshot",
            [
                snapshots.before_features.as_deref().map(|name| (name, "snapshots.pre-features")),
                snapshots.after_features.as_deref().map(|name| (name, "snapshots.post-features")),
            ],
        ),
    };
    let template = snapshots.template.as_deref().map(|name| (name, "template_snapshot_name"));
    for (name, path) in own.into_iter().chain([template]).flatten() {
        refuse(draft, command, "snapname", name, path);
    }
}

/// Reports what Proxmox says against a value, in its own words.
fn refuse(draft: &Draft, command: &str, option: &str, value: &str, path: &str) {
    if let Err(message) = table::check(command, option, value) {
        let finding = Finding::error("proxmox-refuses", format!("Proxmox refuses `{value}`: {message}"));
        draft.report(finding.hint(format!("the value goes to `{command}` as `--{option}`")), path);
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
    let storage = Storage {
        id: storage.id.clone(),
        kind: storage.kind.clone(),
        content: storage.content.clone(),
        nodes: Vec::new(),
        disabled: false,
        properties: Default::default(),
    };
    storage.can(Capability::ContainerSnapshot)
}
