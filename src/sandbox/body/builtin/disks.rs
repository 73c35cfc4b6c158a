//! Disks, and `lsblk` and `wipefs` about them.
//!
//! A disk is a regular file below `/dev`. Its text says what is on it: nothing, a file system (`ext4`, `zfs_member`), or a
//! partition table and its partitions (`gpt ext4 swap`).

use serde_json::{Value, json};

use crate::command::Output;
use crate::sandbox::body::exec::Within;
use crate::sandbox::body::tree::{Kind, Last};
use crate::sandbox::programs::ProgramCall;

use super::nfs::MOUNTS;
use super::{failure, lines, words};

/// Tables of partitions.
const TABLES: [&str; 2] = ["gpt", "dos"];

/// The name that the kernel gives a disk: where its links lead.
pub(super) fn real(path: &str, within: &Within) -> String {
    match within.body.state.tree.resolve(path, Last::Followed) {
        Ok(spot) if spot.node.is_some() => format!("/{}", spot.names.join("/")),
        _ => path.to_owned(),
    }
}

/// What is on a disk; none where there is no disk.
pub(super) fn on(path: &str, within: &Within) -> Option<String> {
    let real = real(path, within);
    let node = within.body.state.tree.get(&real)?;
    let is_disk = real.starts_with("/dev/") && matches!(node.kind, Kind::File(_));
    is_disk.then(|| within.body.state.tree.text(&real).unwrap_or_default().trim().to_owned())
}

/// Puts something onto a disk.
pub(super) fn write(path: &str, what: &str, within: &mut Within) {
    // It was looked at a moment ago.
    let _ = within.body.place(path, 0o660, format!("{what}\n").into_bytes());
}

/// `lsblk --json --paths --output COLUMNS DISK`
pub(super) fn lsblk(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let ["--json", "--paths", "--output", _, path] = words(call)[..] else { return None };
    let Some(text) = on(path, within) else {
        return Some(failure(32, format!("lsblk: {path}: not a block device")));
    };
    let name = real(path, within);
    let mounts = within.body.state.tree.text(MOUNTS).unwrap_or_default();
    let mounted = |device: &str| -> Value {
        let line = mounts.lines().find(|line| line.split(' ').next() == Some(device));
        line.and_then(|line| line.split(' ').nth(1)).map_or(Value::Null, Into::into)
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let (table, fstype, parts) = match words.split_first() {
        Some((table, parts)) if TABLES.contains(table) => (json!(table), Value::Null, parts),
        Some((fstype, _)) => (Value::Null, json!(fstype), &[][..]),
        None => (Value::Null, Value::Null, &[][..]),
    };
    let mut disk =
        json!({ "name": name, "type": "disk", "fstype": fstype, "pttype": table, "mountpoints": [mounted(&name)] });
    if !parts.is_empty() {
        let part = |(index, fstype): (usize, &&str)| {
            let name = format!("{name}{}", index + 1);
            json!({ "name": name, "type": "part", "fstype": fstype, "pttype": table, "mountpoints": [mounted(&name)] })
        };
        disk["children"] = parts.iter().enumerate().map(part).collect();
    }
    Some(Output::success(format!("{:#}\n", json!({ "blockdevices": [disk] }))))
}

/// `wipefs --no-act --noheadings --output TYPE DISK`
pub(super) fn wipefs(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let ["--no-act", "--noheadings", "--output", "TYPE", path] = words(call)[..] else { return None };
    Some(match on(path, within) {
        Some(text) => lines(text.split_whitespace().next()),
        None => failure(1, format!("wipefs: error: {path}: probing initialization failed: No such file or directory")),
    })
}
