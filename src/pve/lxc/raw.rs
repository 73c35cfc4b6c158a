//! Raw `lxc.*` lines: which belong together, which are ours, which stay.

use crate::model::{BindMount, IdMap};

/// A raw line: key, value.
pub(super) type Line = (String, String);

/// Ids that an unprivileged container has, and where Proxmox maps them to.
const MAPPED: u32 = 65_536;
const FIRST_HOST_ID: u32 = 100_000;

const MOUNT_ENTRY: &str = "lxc.mount.entry";
const ID_MAP: &str = "lxc.idmap";

/// Keys that may stand several times, each line for itself.
const REPEATABLE: [&str; 6] =
    ["lxc.cgroup2.devices.", "lxc.cap.", "lxc.environment", "lxc.hook.", "lxc.mount.auto", "lxc.include"];

/// The line that shows a directory or file of the node inside.
pub(super) fn mount_entry(mount: &BindMount) -> Line {
    let read_only = if mount.read_only { ",ro" } else { "" };
    let create = if mount.file { "file" } else { "dir" };
    let value = format!(
        "{} {} none bind{read_only},create={create} 0 0",
        escaped(&mount.host_path),
        escaped(mount.container_path.trim_start_matches('/'))
    );
    (MOUNT_ENTRY.to_owned(), value)
}

/// Blanks as fstab(5) writes them.
fn escaped(path: &str) -> String {
    path.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011")
}

/// The mapping with these holes, complete: one line replaces all of Proxmox's default. Nothing without holes.
pub(super) fn id_map_lines(holes: &[IdMap]) -> Vec<Line> {
    if holes.is_empty() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for kind in ["u", "g"] {
        let other = if kind == "u" { "g" } else { "u" };
        let mut own: Vec<&IdMap> = holes.iter().filter(|hole| hole.kind != other).collect();
        own.sort_by_key(|hole| hole.container_id);
        let mut push = |inside: u32, outside: u32, count: u32| {
            if count > 0 {
                lines.push((ID_MAP.to_owned(), format!("{kind} {inside} {outside} {count}")));
            }
        };
        let mut next = 0;
        for hole in own {
            push(next, FIRST_HOST_ID + next, hole.container_id.saturating_sub(next));
            push(hole.container_id, hole.host_id, hole.size);
            next = hole.container_id + hole.size;
        }
        push(next, FIRST_HOST_ID + next, MAPPED.saturating_sub(next));
    }
    lines
}

/// What a line is about: of two lines about the same, one replaces the other.
fn subject(line: &Line) -> (&str, &str) {
    let (key, value) = (line.0.as_str(), line.1.as_str());
    if key == MOUNT_ENTRY {
        (key, value.split_whitespace().nth(1).unwrap_or(value))
    } else if key == ID_MAP || REPEATABLE.iter().any(|start| key.starts_with(start)) {
        (key, value)
    } else {
        (key, "")
    }
}

/// Whether a line shows something at this path inside.
pub(super) fn mounts_at(line: &Line, path: &str) -> bool {
    line.0 == MOUNT_ENTRY && subject(line).1.trim_matches('/') == escaped(path.trim_matches('/'))
}

/// The lines as they should be: those present, without what `unwanted` names and what a desired line replaces, then the
/// desired ones that are not there yet.
pub(super) fn merge(present: &[Line], desired: &[Line], unwanted: impl Fn(&Line) -> bool) -> Vec<Line> {
    let maps = |lines: &[Line]| -> Vec<Line> { lines.iter().filter(|line| line.0 == ID_MAP).cloned().collect() };
    let (old_map, new_map) = (maps(present), maps(desired));
    let map_replaced = !new_map.is_empty() && new_map != old_map;
    let stays = |line: &&Line| {
        desired.contains(line) && !(map_replaced && line.0 == ID_MAP)
            || !(unwanted(line)
                || map_replaced && line.0 == ID_MAP
                || desired.iter().any(|new| subject(new) == subject(line)))
    };
    let mut merged: Vec<Line> = Vec::new();
    for line in present.iter().filter(stays) {
        if !(desired.contains(line) && merged.contains(line)) {
            merged.push(line.clone());
        }
    }
    for line in desired {
        if !merged.contains(line) {
            merged.push(line.clone());
        }
    }
    merged
}

/// Lines that differ between two lists, those about the same paired: what was, what will be.
pub(super) fn changes(from: &[Line], to: &[Line]) -> Vec<(Option<Line>, Option<Line>)> {
    let gone: Vec<&Line> = from.iter().filter(|line| !to.contains(line)).collect();
    let new: Vec<&Line> = to.iter().filter(|line| !from.contains(line)).collect();
    let partner = |line: &Line| new.iter().find(|other| subject(other) == subject(line)).copied().cloned();
    let pairs = gone.iter().map(|line| (Some((*line).clone()), partner(line)));
    let alone = new.iter().filter(|line| !gone.iter().any(|other| subject(other) == subject(line)));
    pairs.chain(alone.map(|line| (None, Some((*line).clone())))).collect()
}

/// The mount entries among the lines of a clone source: a clone brings them along, wanted or not.
pub(super) fn is_inherited_mount(line: &Line, source: &super::GuestConfig) -> bool {
    let sections = std::iter::once(&source.current).chain(source.snapshots().map(|(_, section)| section));
    line.0 == MOUNT_ENTRY
        && sections.flat_map(|section| section.raw()).any(|(key, value)| key == line.0 && value == line.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, value: &str) -> Line {
        (key.to_owned(), value.to_owned())
    }

    fn hole(kind: &str, container_id: u32, host_id: u32, size: u32) -> IdMap {
        IdMap { kind: kind.to_owned(), container_id, host_id, size }
    }

    #[test]
    fn holes_are_surrounded_by_the_default_mapping() {
        let lines = id_map_lines(&[hole("u", 1000, 1000, 1)]);
        let values: Vec<&str> = lines.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["u 0 100000 1000", "u 1000 1000 1", "u 1001 101001 64535", "g 0 100000 65536"]);
        assert!(id_map_lines(&[]).is_empty());
    }

    #[test]
    fn foreign_lines_stay_and_declared_ones_replace_their_like() {
        let present = [
            line("lxc.mount.entry", "/old data none bind,create=dir 0 0"),
            line("lxc.cgroup2.devices.allow", "c 10:200 rwm"),
            line("lxc.apparmor.profile", "generated"),
        ];
        let desired =
            [line("lxc.apparmor.profile", "unconfined"), line("lxc.mount.entry", "/new data none bind,create=dir 0 0")];
        let merged = merge(&present, &desired, |_| false);
        assert_eq!(merged, [present[1].clone(), desired[0].clone(), desired[1].clone()]);
        assert_eq!(merge(&merged, &desired, |_| false), merged);
        assert_eq!(
            changes(&present, &merged),
            [
                (Some(present[0].clone()), Some(desired[1].clone())),
                (Some(present[2].clone()), Some(desired[0].clone()))
            ]
        );
    }

    #[test]
    fn a_mapping_is_replaced_as_a_whole() {
        let present = [line("lxc.idmap", "u 0 100000 65536"), line("lxc.idmap", "g 0 100000 65536")];
        let desired = id_map_lines(&[hole("both", 0, 5000, 10)]);
        assert_eq!(merge(&present, &desired, |_| false), desired);
        assert_eq!(merge(&present, &[], |_| false), present);
    }
}
