//! Owners across the border of an unprivileged container: id `n` inside is `root + n` on the node, and what nobody
//! inside can own is shown as `nobody`.

use std::sync::Arc;

use super::tree::{Kind, Meta, Node};

/// Ids that are mapped.
const COUNT: u32 = 65_536;
/// The owner that stands for all others.
const NOBODY: u32 = 65_534;

/// A directory of the node as the guest sees it.
pub(super) fn inside(node: &Arc<Node>, root: u32) -> Arc<Node> {
    if root == 0 {
        return Arc::clone(node);
    }
    let id = |id: u32| id.checked_sub(root).filter(|id| *id < COUNT).unwrap_or(NOBODY);
    let meta = Meta { uid: id(node.meta.uid), gid: id(node.meta.gid), ..node.meta };
    let kind = match &node.kind {
        Kind::Dir(entries) => {
            Kind::Dir(entries.iter().map(|(name, entry)| (Arc::clone(name), inside(entry, root))).collect())
        }
        other => other.clone(),
    };
    Arc::new(Node { meta, kind })
}

/// What the guest made of it, as the node has it. Owners that the guest only knows as `nobody` stay as they were.
pub(super) fn outside(node: &Arc<Node>, original: Option<&Arc<Node>>, root: u32) -> Arc<Node> {
    if root == 0 {
        return Arc::clone(node);
    }
    let id = |id: u32, before: Option<u32>| match before {
        Some(before) if id == NOBODY && !(root..root + COUNT).contains(&before) => before,
        _ => root + id,
    };
    let before = original.map(|original| original.meta);
    let uid = id(node.meta.uid, before.map(|meta| meta.uid));
    let gid = id(node.meta.gid, before.map(|meta| meta.gid));
    let kind = match &node.kind {
        Kind::Dir(entries) => {
            let known = original.and_then(|original| original.entries());
            let entry = |(name, entry): (&Arc<str>, &Arc<Node>)| {
                let original = known.and_then(|known| known.get(name));
                (Arc::clone(name), outside(entry, original, root))
            };
            Kind::Dir(entries.iter().map(entry).collect())
        }
        other => other.clone(),
    };
    Arc::new(Node { meta: Meta { uid, gid, ..node.meta }, kind })
}
