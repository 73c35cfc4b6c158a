//! NFS: what virtual machines mount from the node has to be exported by it.

use super::{Look, list};
use crate::finding::Finding;

/// Directories that are to be mounted from the node and are not among its exports.
pub(super) fn check(look: &Look) -> Vec<Finding> {
    let exported: Vec<&str> = look
        .facts
        .exports
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .map(|path| path.trim_matches('"').trim_end_matches('/'))
        .collect();
    let is_below = |path: &str, above: &&str| {
        path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let wanted = look.wanted(|guest| {
        let own =
            guest.vm.nfs.iter().filter(|volume| volume.server.parse().is_ok_and(|server| look.facts.is_own(server)));
        own.map(|volume| volume.path.as_str()).collect()
    });
    wanted
        .into_iter()
        .filter(|(path, _)| !exported.iter().any(|above| is_below(path, above)))
        .map(|(path, guests)| {
            let message = format!("the node does not export {path} ({})", list(&guests));
            let finding = Finding::error("export-absent", message).hint(format!(
                "add `{path} CLIENTS(rw,sync,no_subtree_check,no_root_squash)` to /etc/exports, then `exportfs -ra`"
            ));
            look.at(finding, guests[0], "volumes")
        })
        .collect()
}
