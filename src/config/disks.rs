//! What containers have of disks, directories and devices of the node.

use std::collections::BTreeMap;

use super::decode::Fields;
use crate::finding::Finding;
use crate::model::{BindMount, Device, Volume};

/// Largest size of a disk in GiB.
pub const MOST_GB: u64 = 1 << 17;

/// How a file system may be mounted.
const MOUNT_OPTIONS: [&str; 6] = ["discard", "lazytime", "noatime", "nodev", "noexec", "nosuid"];

/// A volume of its own.
pub fn volume(fields: Fields) -> Option<Volume> {
    for (name, hint) in [
        ("pool", "the Proxmox storage"),
        ("size_gb", "the size in GiB"),
        ("mount_point", "the absolute path inside the guest"),
    ] {
        fields.require(name, hint);
    }
    let mount_point = fields.path("mount_point");
    let flags =
        [("acl", "acl"), ("backup", "backup"), ("quota", "quota"), ("read_only", "ro"), ("replicate", "replicate")];
    let flags = flags.into_iter().filter_map(|(field, part)| Some((part, u8::from(fields.flag(field)?).to_string())));
    let mut options: BTreeMap<String, String> = flags.map(|(part, value)| (part.to_owned(), value)).collect();
    let how = mount_options(&fields);
    if !how.is_empty() {
        options.insert("mountoptions".to_owned(), how.join(";"));
    }
    let volume = Volume {
        name: fields.string("name").unwrap_or_default(),
        storage: fields.string("pool").unwrap_or_default(),
        size_gb: fields.whole("size_gb", 1..=MOST_GB).unwrap_or(1),
        mount_point: mount_point.clone().unwrap_or_default(),
        options,
    };
    fields.finish();
    mount_point.map(|_| volume)
}

fn mount_options(fields: &Fields) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (word, span) in fields.texts("mount_options") {
        match MOUNT_OPTIONS.iter().find(|known| **known == word) {
            Some(known) => found.push(*known),
            None => {
                let finding = Finding::error("bad-value", format!("`{word}` is no mount option of Proxmox"));
                fields.file.report(finding.hint(format!("one of {}", MOUNT_OPTIONS.join(", "))), span);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// A directory or file of the node.
pub fn bind_mount(fields: Fields) -> Option<BindMount> {
    fields.require("host_path", "the absolute path on the node");
    fields.require("container_path", "the absolute path inside the guest");
    let paths = fields.path("host_path").zip(fields.path("container_path"));
    let ids = 0..=u64::from(u16::MAX);
    let owner = (fields.whole("owner_uid", ids.clone()), fields.whole("owner_gid", ids));
    let file = fields.choice_or_first("kind", &[("directory", false), ("file", true)]);
    let read_only = fields.flag_or("read_only", false);
    let id_map = fields.text("idmap").and_then(|text| id_map(&fields, text));
    if id_map.is_some() && file {
        fields.reject("bad-value", "idmap", "is for directories: Proxmox maps no ids of single files");
    }
    fields.finish();
    paths.map(|(host_path, container_path)| BindMount {
        host_path,
        container_path,
        owner_uid: owner.0,
        owner_gid: owner.1,
        file,
        read_only,
        id_map,
    })
}

/// `passthrough`, or `u:INSIDE:NODE:COUNT;g:...`.
fn id_map(fields: &Fields, text: &str) -> Option<String> {
    let range = |range: &str| {
        let mut parts = range.split(':');
        let kind = parts.next().is_some_and(|kind| kind == "u" || kind == "g");
        let numbers: Option<Vec<u32>> = parts.map(|part| part.parse().ok()).collect();
        kind && numbers.is_some_and(|numbers| matches!(numbers[..], [_, _, count] if count > 0))
    };
    if text == "passthrough" || text.split(';').all(range) {
        return Some(text.to_owned());
    }
    fields.reject(
        "bad-value",
        "idmap",
        format!("must be passthrough, or ranges like u:0:1000:1;g:0:1000:1 (kind, id inside, id on the node, how many), found `{text}`"),
    );
    None
}

/// A device of the node.
pub fn device(fields: Fields) -> Option<Device> {
    fields.require("path", "the device on the node, for example /dev/net/tun");
    let path = fields.path("path");
    if path.as_ref().is_some_and(|path| !path.starts_with("/dev/")) {
        fields.reject("bad-path", "path", "must be below /dev");
    }
    let mode = fields.string("mode");
    let octal =
        |mode: &String| mode.len() == 4 && mode.starts_with('0') && mode.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if mode.as_ref().is_some_and(|mode| !octal(mode)) {
        fields.reject("bad-value", "mode", "must be four octal digits like 0660");
    }
    let ids = 0..=u64::from(u32::MAX);
    let device = Device {
        path: path.clone().unwrap_or_default(),
        mode,
        uid: fields.whole("uid", ids.clone()),
        gid: fields.whole("gid", ids),
        deny_write: fields.flag_or("deny_write", false),
    };
    fields.finish();
    path.map(|_| device)
}
