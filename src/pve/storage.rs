//! `/etc/pve/storage.cfg`, and what storages can do.

use std::collections::BTreeMap;

/// One configured storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Its id.
    pub id: String,
    /// Proxmox's type: `dir`, `zfspool`, `lvmthin`, ...
    pub kind: String,
    /// What it may hold: `rootdir`, `images`, `vztmpl`, ...
    pub content: Vec<String>,
    /// The only nodes it exists on; empty: all.
    pub nodes: Vec<String>,
    /// Switched off.
    pub disabled: bool,
    /// All properties as written: `path`, `pool`, `vgname`, ... Flags have an empty value.
    pub properties: BTreeMap<String, String>,
}

/// Something a storage may be able to do with volumes of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Snapshots of container volumes.
    ContainerSnapshot,
    /// Linked clones of container templates.
    ContainerLinkedClone,
    /// Container volumes turned into base volumes.
    ContainerTemplate,
    /// Snapshots of disks of this format.
    DiskSnapshot(DiskFormat),
    /// Linked clones of base disks of this format.
    DiskLinkedClone(DiskFormat),
    /// Disks turned into base disks.
    DiskTemplate,
}

/// Format of a virtual machine's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    /// Plain bytes.
    Raw,
    /// QEMU's own.
    Qcow2,
}

impl Storage {
    /// Whether it can do that, after the storage plugins' own feature tables.
    pub fn can(&self, capability: Capability) -> bool {
        let block = matches!(self.kind.as_str(), "zfspool" | "lvmthin" | "rbd" | "btrfs");
        let files = self.keeps_files();
        let chained = self.kind == "lvm" && self.is_on("snapshot-as-volume-chain");
        match capability {
            Capability::ContainerSnapshot | Capability::ContainerLinkedClone => block,
            Capability::ContainerTemplate | Capability::DiskTemplate => block || files,
            Capability::DiskSnapshot(DiskFormat::Qcow2) => block || files || chained,
            Capability::DiskSnapshot(DiskFormat::Raw) => block,
            Capability::DiskLinkedClone(_) => block || files,
        }
    }

    /// Whether its volumes are files in a directory.
    pub fn keeps_files(&self) -> bool {
        matches!(self.kind.as_str(), "dir" | "nfs" | "cifs")
    }

    /// Whether it may hold this content.
    pub fn holds(&self, content: &str) -> bool {
        self.content.iter().any(|held| held == content)
    }

    /// Where it keeps files of this content (`snippets`, `import`, `vztmpl`) on the node; absent when it keeps no files.
    pub fn directory(&self, content: &str) -> Option<String> {
        let own = self.properties.get("content-dirs").into_iter().flat_map(|list| list.split(','));
        let own = own.filter_map(|entry| entry.split_once('=')).find(|(name, _)| *name == content);
        let below = match (own, content) {
            (Some((_, directory)), _) => directory.trim_matches('/'),
            (None, "vztmpl") => "template/cache",
            (None, "iso") => "template/iso",
            (None, other) => other,
        };
        Some(format!("{}/{below}", self.properties.get("path")?))
    }

    /// Whether it is switched on and exists on this node.
    pub fn is_on_node(&self, node: &str) -> bool {
        !self.disabled && (self.nodes.is_empty() || self.nodes.iter().any(|name| name == node))
    }

    fn is_on(&self, flag: &str) -> bool {
        self.properties.get(flag).is_some_and(|value| value.is_empty() || value == "1")
    }
}

/// All storages of a `storage.cfg`, in its order. The storage `local` exists even when no section names it.
pub fn parse_cfg(text: &str) -> Vec<Storage> {
    let mut sections: Vec<(String, String, BTreeMap<String, String>)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let indented = line.starts_with([' ', '\t']);
        match (indented, line.split_once(':')) {
            (false, Some((kind, id))) => sections.push((kind.to_owned(), id.trim().to_owned(), BTreeMap::new())),
            _ => {
                let line = line.trim();
                let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                if let Some((_, _, properties)) = sections.last_mut() {
                    properties.insert(key.to_owned(), value.trim().to_owned());
                }
            }
        }
    }
    if !sections.iter().any(|(_, id, _)| id == "local") {
        let properties = [("path", "/var/lib/vz"), ("content", "backup,images,iso,rootdir,snippets,vztmpl")];
        let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
        sections.push(("dir".into(), "local".into(), BTreeMap::from(properties)));
    }
    sections.into_iter().map(|(kind, id, properties)| storage(kind, id, properties)).collect()
}

fn storage(kind: String, id: String, properties: BTreeMap<String, String>) -> Storage {
    let list = |key: &str| -> Option<Vec<String>> {
        let words = super::format::split_list(properties.get(key)?);
        Some(words.into_iter().map(str::to_owned).collect())
    };
    let content = list("content").unwrap_or_else(|| default_content(&kind).iter().map(|c| (*c).to_owned()).collect());
    let nodes = list("nodes").unwrap_or_default();
    let disabled = properties.get("disable").is_some_and(|value| value.is_empty() || value == "1");
    Storage { content, nodes, disabled, id, kind, properties }
}

/// What a storage of this type holds when `content` is not given.
fn default_content(kind: &str) -> &'static [&'static str] {
    match kind {
        "dir" | "btrfs" | "zfspool" | "lvmthin" | "rbd" => &["images", "rootdir"],
        "nfs" | "cifs" | "lvm" | "iscsi" | "iscsidirect" | "zfs" => &["images"],
        "pbs" => &["backup"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CFG: &str = "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n\nzfspool: local-zfs\n\tpool rpool/data\n\tsparse\n\tcontent rootdir,images\n\tnodes pve1,pve2\n";

    #[test]
    fn sections_become_storages() {
        let storages = parse_cfg(CFG);
        assert_eq!(storages.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["local", "local-zfs"]);
        assert!(storages[0].holds("vztmpl") && !storages[0].holds("rootdir"));
        assert!(storages[1].is_on("sparse") && storages[1].is_on_node("pve1") && !storages[1].is_on_node("pve3"));
        assert_eq!(storages[1].properties["pool"], "rpool/data");
    }

    #[test]
    fn local_is_always_there() {
        let storages = parse_cfg("");
        assert!(storages[0].id == "local" && storages[0].holds("rootdir"));
    }

    #[test]
    fn capabilities_follow_the_type() {
        let storages = parse_cfg(CFG);
        assert!(!storages[0].can(Capability::ContainerSnapshot));
        assert!(storages[0].can(Capability::DiskSnapshot(DiskFormat::Qcow2)));
        assert!(!storages[0].can(Capability::DiskSnapshot(DiskFormat::Raw)));
        assert!(storages[1].can(Capability::ContainerLinkedClone));
    }
}
