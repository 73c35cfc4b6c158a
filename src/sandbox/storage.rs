//! Storages and volumes: what each type can do, how it names things, and where they lie.

use serde::{Deserialize, Serialize};

use super::world::World;
use crate::model::GuestId;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const TIB: u64 = 1024 * GIB;

/// A storage as `storage.cfg` names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Its id.
    pub id: String,
    /// Proxmox's type: `dir`, `zfspool`, `btrfs`, `lvmthin` ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Path of a directory, dataset of a pool, volume group.
    #[serde(default)]
    pub path: String,
    /// Content types.
    pub content: Vec<String>,
    /// Bytes that it holds; absent: 1 TiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Switched off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
    /// Other options as `pvesm` was given them.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub options: std::collections::BTreeMap<String, String>,
    /// Remark of the corpus about what the type can; the type itself decides.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub can: serde_json::Value,
}

/// A volume of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Guest it belongs to.
    pub owner: GuestId,
    /// Bytes; 0 for a directory without limit.
    pub size: u64,
    /// `raw`, `subvol`, `qcow2`.
    pub format: String,
    /// Base volume that a linked clone lives on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Snapshots, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
}

impl Storage {
    /// Whether volumes are files below a directory `images/ID`.
    pub(super) fn is_path_based(&self) -> bool {
        matches!(self.kind.as_str(), "dir" | "nfs" | "cifs" | "cephfs" | "btrfs")
    }

    /// Whether it takes this content.
    pub(super) fn takes(&self, content: &str) -> bool {
        self.content.iter().any(|taken| taken == content)
    }

    /// Whether a container's volume of this format can have snapshots.
    pub(super) fn can_snapshot(&self, format: &str) -> bool {
        match self.kind.as_str() {
            "zfspool" | "lvmthin" | "rbd" | "btrfs" => true,
            _ => format == "qcow2",
        }
    }

    /// Whether a container's volume can be copied without copying its content.
    pub(super) fn can_link(&self, volume: &str, snapshot: Option<&str>) -> bool {
        let base = is_base(volume);
        match self.kind.as_str() {
            "btrfs" => true,
            "zfspool" => base && snapshot.is_none(),
            "lvmthin" | "rbd" => base || snapshot.is_some(),
            _ => false,
        }
    }

    /// Whether a virtual machine's volume can be copied without copying its content.
    pub(super) fn can_link_disk(&self, volume: &str, format: &str, snapshot: Option<&str>) -> bool {
        match self.kind.as_str() {
            "dir" | "nfs" | "cifs" => is_base(volume) && snapshot.is_none() && matches!(format, "raw" | "qcow2"),
            _ => self.can_link(volume, snapshot),
        }
    }

    /// Whether a virtual machine's volume can be copied as it was at a snapshot.
    pub(super) fn can_copy_snapshot(&self) -> bool {
        self.kind != "zfspool"
    }

    /// Whether volumes of virtual machines may have this format here.
    pub(super) fn has_format(&self, format: &str) -> bool {
        format == "raw" || (self.is_path_based() && matches!(format, "qcow2" | "vmdk"))
    }

    /// Whether a volume can become the base of linked clones.
    pub(super) fn can_template(&self) -> bool {
        self.kind != "lvm"
    }

    /// Whether only the newest snapshot can be rolled back to.
    pub(super) fn rolls_back_only_newest(&self) -> bool {
        self.kind == "zfspool"
    }

    /// Whether a linked clone keeps its base from being removed.
    pub(super) fn keeps_bases(&self) -> bool {
        self.kind != "btrfs"
    }

    /// The format of a new container volume of this size.
    pub(super) fn format_for(&self, size: u64) -> &'static str {
        match self.kind.as_str() {
            "zfspool" => "subvol",
            _ if size == 0 && self.is_path_based() => "subvol",
            _ => "raw",
        }
    }

    /// The name of the N-th volume of a guest, without the storage's id.
    pub(super) fn volume_name(&self, id: GuestId, number: u32, format: &str) -> String {
        let stem = if format == "subvol" { "subvol" } else { "vm" };
        let name = format!("{stem}-{id}-disk-{number}");
        if self.is_path_based() { format!("{id}/{name}.{format}") } else { name }
    }

    /// Directories that Proxmox makes on a storage that keeps files.
    pub(super) fn directories(&self) -> Vec<String> {
        const DIRECTORIES: [(&str, &str); 6] = [
            ("images", "images"),
            ("vztmpl", "template/cache"),
            ("iso", "template/iso"),
            ("backup", "dump"),
            ("snippets", "snippets"),
            ("import", "import"),
        ];
        if !self.is_path_based() || !self.path.starts_with('/') {
            return Vec::new();
        }
        let taken = DIRECTORIES.iter().filter(|(content, _)| self.takes(content));
        taken.map(|(_, directory)| format!("{}/{directory}", self.path.trim_end_matches('/'))).collect()
    }

    /// Where a volume lies on the node.
    pub(super) fn path_of(&self, name: &str) -> String {
        let path = self.path.trim_end_matches('/');
        for (content, directory) in [("vztmpl/", "template/cache"), ("iso/", "template/iso"), ("backup/", "dump")] {
            if let Some(file) = name.strip_prefix(content) {
                return format!("{path}/{directory}/{file}");
            }
        }
        if name.starts_with("snippets/") || name.starts_with("import/") {
            return format!("{path}/{name}");
        }
        let leaf = name.rsplit('/').next().unwrap_or(name);
        match self.kind.as_str() {
            "dir" | "nfs" | "cifs" => {
                // A linked clone is named after its base, but lies on its own.
                let own = name.rsplit('/').take(2).collect::<Vec<_>>();
                format!("{path}/images/{}", own.into_iter().rev().collect::<Vec<_>>().join("/"))
            }
            "btrfs" => match name.strip_suffix(".raw") {
                Some(stem) => format!("{path}/images/{stem}/disk.raw"),
                None => format!("{path}/images/{name}"),
            },
            "zfspool" if leaf.contains("subvol-") || leaf.contains("basevol-") => format!("/{path}/{leaf}"),
            "zfspool" => format!("/dev/zvol/{path}/{leaf}"),
            "lvm" | "lvmthin" => format!("/dev/{path}/{leaf}"),
            "rbd" => format!("/dev/rbd/{path}/{leaf}"),
            _ => format!("{path}/images/{name}"),
        }
    }
}

/// The id of a storage and the name of a volume on it; absent for paths.
pub(super) fn split(volid: &str) -> Option<(&str, &str)> {
    volid.split_once(':').filter(|_| !volid.starts_with('/'))
}

/// Whether a volume is the base of linked clones.
pub(super) fn is_base(volume: &str) -> bool {
    let name = split(volume).map_or(volume, |(_, name)| name);
    let leaf = name.rsplit('/').next().unwrap_or(name);
    leaf.starts_with("base-") || leaf.starts_with("basevol-")
}

/// The name of a volume once it is a base: `vm-` becomes `base-`, a dataset's `subvol-` becomes `basevol-`.
pub(super) fn base_name(storage: &Storage, name: &str) -> String {
    let (directory, leaf) = name.rsplit_once('/').map_or(("", name), |(directory, leaf)| (directory, leaf));
    // A linked clone's own part counts, its base is forgotten.
    let own = directory.rsplit('/').next().unwrap_or(directory);
    let directory = if storage.is_path_based() { own } else { "" };
    let leaf = match (leaf.strip_prefix("vm-"), leaf.strip_prefix("subvol-")) {
        (Some(rest), _) => format!("base-{rest}"),
        (_, Some(rest)) if !storage.is_path_based() => format!("basevol-{rest}"),
        _ => leaf.to_owned(),
    };
    if directory.is_empty() { leaf } else { format!("{directory}/{leaf}") }
}

/// A size in the largest unit that divides it: `8G`, `307M`, `0T`.
pub(super) fn size_text(bytes: u64) -> String {
    for (unit, letter) in [(TIB, "T"), (GIB, "G"), (MIB, "M"), (KIB, "K")] {
        if bytes.is_multiple_of(unit) {
            return format!("{}{letter}", bytes / unit);
        }
    }
    bytes.to_string()
}

/// Bytes of `8G`, `1.5T`, `512M`, `2` (bytes).
pub(super) fn size_bytes(text: &str) -> Option<u64> {
    let (number, unit) = match text.trim().char_indices().find(|(_, c)| c.is_ascii_alphabetic()) {
        Some((at, 'K')) => (&text[..at], KIB),
        Some((at, 'M')) => (&text[..at], MIB),
        Some((at, 'G')) => (&text[..at], GIB),
        Some((at, 'T')) => (&text[..at], TIB),
        Some(_) => return None,
        None => (text, 1),
    };
    number.parse::<f64>().ok().filter(|n| *n >= 0.0).map(|n| (n * unit as f64) as u64)
}

/// Bytes of an allocation `STORAGE:N` of a container: GiB, cut to whole MiB.
pub(super) fn allocation(gib: &str) -> Option<u64> {
    let gib: f64 = gib.parse().ok().filter(|n: &f64| *n >= 0.0)?;
    Some((gib * 1024.0) as u64 * MIB)
}

/// Bytes of an allocation `STORAGE:N` of a virtual machine: GiB, up to the next whole KiB.
pub(super) fn disk_allocation(gib: &str) -> Option<u64> {
    let gib: f64 = gib.parse().ok().filter(|n: &f64| *n >= 0.0)?;
    Some((gib * 1024.0 * 1024.0).ceil() as u64 * KIB)
}

/// Whether text is an allocation: a bare number.
pub(super) fn is_allocation(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_digit() || c == '.') && name.parse::<f64>().is_ok()
}

impl World {
    /// The storage with this id.
    pub fn storage(&self, id: &str) -> Option<&Storage> {
        self.storages.iter().find(|storage| storage.id == id)
    }

    /// The storage that a volume lies on.
    pub(super) fn storage_of(&self, volid: &str) -> Option<&Storage> {
        self.storage(split(volid)?.0)
    }

    /// Where a volume lies on the node; a path lies where it says.
    pub(super) fn path_of(&self, volid: &str) -> String {
        match (split(volid), self.storage_of(volid)) {
            (Some((_, name)), Some(storage)) => storage.path_of(name),
            _ => volid.to_owned(),
        }
    }

    /// The storage with this id, or Proxmox's words about it.
    pub(super) fn usable_storage(&self, id: &str) -> Result<&Storage, String> {
        let storage = self.storage(id).ok_or_else(|| format!("storage '{id}' does not exist"))?;
        if storage.disable { Err(format!("storage '{id}' is disabled")) } else { Ok(storage) }
    }

    /// Makes a volume for a container under the next free number; answers its id.
    ///
    /// # Errors
    /// The storage's words when it is full.
    pub(super) fn allocate(&mut self, storage: &Storage, owner: GuestId, size: u64) -> Result<String, String> {
        self.allocate_as(storage, owner, size, storage.format_for(size))
    }

    /// Makes a volume of this format under the next free number; answers its id.
    ///
    /// # Errors
    /// The storage's words when it is full.
    pub(super) fn allocate_as(
        &mut self,
        storage: &Storage,
        owner: GuestId,
        size: u64,
        format: &str,
    ) -> Result<String, String> {
        let number = self.free_number(storage, owner);
        let name = storage.volume_name(owner, number, format);
        self.space(storage, &name)?;
        let volid = format!("{}:{name}", storage.id);
        let format = format.to_owned();
        self.put_volume(&volid, Volume { owner, size, format, base: None, snapshots: Vec::new() });
        Ok(volid)
    }

    /// Makes a linked clone of a base for a guest; answers its id.
    pub(super) fn link(&mut self, storage: &Storage, from: &str, owner: GuestId) -> Option<String> {
        let parent = self.volumes().get(from)?.clone();
        let number = self.free_number(storage, owner);
        let name = storage.volume_name(owner, number, &parent.format);
        let base_leaf = split(from).map(|(_, name)| name.rsplit('/').next().unwrap_or(name)).unwrap_or_default();
        let name = match storage.kind.as_str() {
            "zfspool" | "rbd" => format!("{base_leaf}/{name}"),
            "dir" | "nfs" | "cifs" => format!("{}/{name}", split(from).map_or("", |(_, name)| name)),
            _ => name,
        };
        let volid = format!("{}:{name}", storage.id);
        let base = storage.keeps_bases().then(|| from.to_owned());
        self.put_volume(&volid, Volume { owner, base, snapshots: Vec::new(), ..parent });
        Some(volid)
    }

    /// The lowest number that no volume of the guest on this storage has.
    pub(super) fn free_number(&self, storage: &Storage, owner: GuestId) -> u32 {
        let mark = format!("-{owner}-disk-");
        let taken = |number: u32| {
            self.volumes().keys().any(|volid| {
                let Some((id, name)) = split(volid) else { return false };
                let leaf = name.rsplit('/').next().unwrap_or(name);
                let stem = leaf.rsplit_once('.').map_or(leaf, |(stem, _)| stem);
                id == storage.id && stem.ends_with(&format!("{mark}{number}"))
            })
        };
        (0..).find(|number| !taken(*number)).unwrap_or_default()
    }

    /// A linked clone that lives on this volume.
    pub(super) fn clone_on(&self, volid: &str) -> Option<&str> {
        self.volumes().iter().find(|(_, volume)| volume.base.as_deref() == Some(volid)).map(|(id, _)| id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_printed_in_the_largest_unit_that_divides() {
        for (bytes, text) in [(8 * GIB, "8G"), (307 * MIB, "307M"), (0, "0T"), (104_858 * KIB, "104858K"), (7, "7")] {
            assert_eq!(size_text(bytes), text);
            assert_eq!(size_bytes(text), Some(bytes));
        }
        assert_eq!(allocation("0.3"), Some(307 * MIB));
        assert_eq!(disk_allocation("0.1"), Some(104_858 * KIB));
        assert_eq!(size_bytes("1.5G"), Some(1536 * MIB));
        assert_eq!(size_bytes("2X"), None);
    }

    #[test]
    fn bases_are_named_by_their_storage() {
        let storage = |kind: &str| Storage {
            id: "st".into(),
            kind: kind.into(),
            path: String::new(),
            content: Vec::new(),
            size: None,
            disable: false,
            options: Default::default(),
            can: serde_json::Value::Null,
        };
        assert_eq!(base_name(&storage("zfspool"), "subvol-900-disk-0"), "basevol-900-disk-0");
        assert_eq!(base_name(&storage("btrfs"), "900/vm-900-disk-0.raw"), "900/base-900-disk-0.raw");
        assert_eq!(base_name(&storage("dir"), "900/subvol-900-disk-0.subvol"), "900/subvol-900-disk-0.subvol");
        assert!(is_base("tank:basevol-900-disk-0") && !is_base("tank:basevol-900-disk-0/subvol-101-disk-0"));
    }
}
