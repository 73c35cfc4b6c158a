//! What may be there only once.

use std::collections::HashMap;
use std::hash::Hash;

use crate::config::decode::Fields;
use crate::config::guest::Draft;
use crate::finding::Finding;
use crate::model::{GuestId, Site};

/// Ids, names, addresses and MACs over all guests, paths inside each guest.
pub fn check(drafts: &[Draft], site: &Site, root: &Fields) {
    each_once(
        drafts,
        "duplicate-id",
        |draft| Some((draft.guest.id, "vmid")),
        |id, _| format!("the id {id} is declared twice"),
    );
    each_once(
        drafts,
        "duplicate-name",
        |draft| (!draft.guest.name.is_empty()).then(|| (draft.guest.name.to_lowercase(), "name")),
        |name, other| format!("the name `{name}` belongs to {other} already"),
    );
    each_once(
        drafts,
        "duplicate-address",
        |draft| draft.guest.ip().map(|ip| (ip, "network_config.ip")),
        |ip, other| format!("the address {ip} belongs to {other} already"),
    );
    each_once(
        drafts,
        "duplicate-mac",
        |draft| draft.guest.nics.first().and_then(|nic| nic.mac).map(|mac| (mac, "mac_address")),
        |mac, other| format!("the MAC address {mac} belongs to {other} already"),
    );
    let node = site.node.address.map(|cidr| cidr.address);
    for draft in drafts.iter().filter(|draft| node.is_some() && draft.guest.ip() == node) {
        let finding = Finding::error(
            "duplicate-address",
            format!("the address {} is the node's own", draft.guest.ip().map_or_else(String::new, |ip| ip.to_string())),
        );
        let place = root.value.at("network.interfaces.address").map_or(0..0, |value| value.span.clone());
        draft.report(finding.related(&root.file.source, place, "declared here"), "network_config.ip");
    }
    for draft in drafts {
        paths(draft);
    }
}

/// Reports every guest after the first that has the same key.
fn each_once<K: Eq + Hash>(
    drafts: &[Draft],
    code: &'static str,
    key: impl Fn(&Draft) -> Option<(K, &'static str)>,
    message: impl Fn(&K, GuestId) -> String,
) {
    let mut first: HashMap<K, &Draft> = HashMap::with_capacity(drafts.len());
    for draft in drafts {
        let Some((key, path)) = key(draft) else { continue };
        match first.get(&key) {
            Some(other) => {
                let finding = Finding::error(code, message(&key, other.guest.id)).related(
                    &other.fields.file.source,
                    other.span(path),
                    "first declared here",
                );
                draft.report(finding, path);
            }
            None => {
                first.insert(key, draft);
            }
        }
    }
}

/// Paths at which something is mounted inside one guest.
fn paths(draft: &Draft) {
    let lists = [("zfs_volumes", "mount_point"), ("volumes", "mount_point"), ("mount_points", "container_path")];
    let mut first: HashMap<&str, std::ops::Range<usize>> = HashMap::new();
    for (list, key) in lists {
        let items = draft.fields.value.get(list).into_iter().flat_map(|list| list.items());
        for value in items.filter_map(|item| item.get(key)) {
            let Some(path) = value.text().map(|path| path.trim_end_matches('/')) else { continue };
            if let Some(other) = first.insert(path, value.span.clone()) {
                let file = draft.fields.file;
                let finding = Finding::error("duplicate-path", format!("`{path}` is mounted twice in this guest"));
                file.report(finding.related(&file.source, other, "first mounted here"), value.span.clone());
            }
        }
    }
}
