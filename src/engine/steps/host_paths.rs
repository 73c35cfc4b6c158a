//! Directories and files of the node that a container shows: made if they are missing, and handed to the declared
//! owner as long as nobody inside can own them. What is in them, and what the guest's own scripts made of their owner,
//! is never touched.

use std::sync::Arc;

use super::{Life, Result, StepError, difference};
use crate::command::Cost;
use crate::model::{BindMount, Guest};
use crate::op::{Attributes, Content, FileKind, Op, OpValue, Place, Stat};

/// First id of the node that an unprivileged container's ids are mapped to.
const ID_BASE: u32 = 100_000;
/// How many of its ids are mapped.
const ID_COUNT: u32 = 65_536;

/// Makes every path exist with its owner. Answers whether anything was changed.
pub(super) fn ensure(life: &mut Life) -> Result<bool> {
    let mounts: Vec<BindMount> = life.guest.mounts.iter().chain(&life.prepared.mounts).cloned().collect();
    if mounts.is_empty() {
        return Ok(false);
    }
    let looks: Vec<Op> = mounts.iter().map(|mount| Op::Stat { path: mount.host_path.clone() }).collect();
    let mut ops = Vec::new();
    for (mount, answer) in mounts.iter().zip(life.perform(Place::Node, &looks)?) {
        let OpValue::Stat(stat) = answer else { continue };
        ops.extend(mend(life, mount, stat.as_ref())?);
    }
    if !ops.is_empty() {
        life.perform(Place::Node, &ops)?;
    }
    Ok(!ops.is_empty())
}

/// What brings one path in line.
fn mend(life: &Life, mount: &BindMount, stat: Option<&Stat>) -> Result<Vec<Op>> {
    let path = &mount.host_path;
    let uid = mount.owner_uid.map(|uid| on_the_node(life.guest, mount, "u", uid));
    let gid = mount.owner_gid.map(|gid| on_the_node(life.guest, mount, "g", gid));
    let owner = Attributes { mode: None, owner: uid.map(|id| id.to_string()), group: gid.map(|id| id.to_string()) };
    let Some(stat) = stat else {
        life.changes(difference(&format!("path {path}"), None, Some("made on the node"), Cost::None));
        return Ok(make(mount, owner));
    };
    if mount.file == (stat.kind == FileKind::Directory) {
        let wanted = if mount.file { "a file" } else { "a directory" };
        return Err(StepError::new(format!("{path} on the node is not {wanted}, as its mount declares")));
    }
    let visible = |id: u32| !life.guest.lxc.unprivileged || (ID_BASE..ID_BASE + ID_COUNT).contains(&id);
    // Whose owner is right has a group of somebody's choice.
    let settled = uid.map_or_else(|| gid.is_none_or(|gid| gid == stat.gid), |uid| uid == stat.uid);
    if settled || visible(stat.uid) {
        return Ok(Vec::new());
    }
    let from = format!("{}:{}", stat.uid, stat.gid);
    let to = format!("{}:{}", uid.unwrap_or(stat.uid), gid.unwrap_or(stat.gid));
    life.changes(difference(&format!("owner of {path}"), Some(&from), Some(&to), Cost::None));
    Ok(vec![Op::SetAttributes { path: path.clone(), attributes: owner }])
}

fn make(mount: &BindMount, attributes: Attributes) -> Vec<Op> {
    let path = mount.host_path.clone();
    if !mount.file {
        return vec![Op::MakeDir { path, attributes }];
    }
    let parent = path.rsplit_once('/').map(|(parent, _)| parent.to_owned()).filter(|parent| !parent.is_empty());
    let mut ops: Vec<Op> =
        parent.into_iter().map(|path| Op::MakeDir { path, attributes: Attributes::default() }).collect();
    ops.push(Op::Write { path, content: Content::Bytes(Arc::from([])), attributes, guard: None });
    ops
}

/// The id of the node that an id inside the container is, for this mount.
fn on_the_node(guest: &Guest, mount: &BindMount, kind: &str, id: u32) -> u32 {
    if let Some(mapped) = mount.id_map.as_deref().and_then(|map| mapped(map, kind, id)) {
        return mapped;
    }
    if !guest.lxc.unprivileged {
        return id;
    }
    let hole = guest.lxc.id_maps.iter().find(|map| {
        (map.kind == kind || map.kind == "both") && (map.container_id..map.container_id + map.size).contains(&id)
    });
    hole.map_or(ID_BASE + id, |map| map.host_id + (id - map.container_id))
}

/// The id of the node by the mount's own mapping: `passthrough`, or `u:INSIDE:NODE:COUNT;...`.
fn mapped(map: &str, kind: &str, id: u32) -> Option<u32> {
    if map == "passthrough" {
        return Some(id);
    }
    map.split(';').find_map(|range| {
        let (of, numbers) = range.split_once(':')?;
        let numbers: Vec<u32> = numbers.split(':').filter_map(|number| number.parse().ok()).collect();
        let [inside, node, count] = numbers[..] else { return None };
        let offset = id.checked_sub(inside).filter(|offset| of == kind && *offset < count)?;
        Some(node + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_s_own_mapping_counts_for_it() {
        assert_eq!(mapped("passthrough", "u", 33), Some(33));
        let ranges = "u:0:1000:2;g:33:5000:1";
        assert_eq!(mapped(ranges, "u", 1), Some(1001));
        assert_eq!(mapped(ranges, "g", 33), Some(5000));
        assert_eq!(mapped(ranges, "u", 2), None);
        assert_eq!(mapped(ranges, "g", 0), None);
    }
}
