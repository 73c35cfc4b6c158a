//! Disks, volumes and mounts of guests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The root disk of a container, or the system disk of a virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDisk {
    /// Proxmox storage id; empty: not declared, of guests that somebody else made.
    pub storage: String,
    /// Size in GiB; 0: not declared, of guests that somebody else made.
    pub size_gb: u32,
    /// Other parts of the disk's value by Proxmox's name: `discard` -> `on`, `mountoptions` -> `noatime`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A volume of its own at a mount path (`mpN`); identified by its mount path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The operator's name for it.
    pub name: String,
    /// Proxmox storage id.
    pub storage: String,
    /// Size in GiB.
    pub size_gb: u32,
    /// Absolute path inside the guest.
    pub mount_point: String,
    /// Other parts of the volume's value by Proxmox's name: `backup` -> `1`, `mountoptions` -> `noatime;noexec`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A directory (or file) of the node shown inside a container; identified by its path inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMount {
    /// Absolute path on the node.
    pub host_path: String,
    /// Absolute path inside the guest.
    pub container_path: String,
    /// Owner inside the guest, as a number.
    pub owner_uid: Option<u32>,
    /// Group inside the guest, as a number.
    pub owner_gid: Option<u32>,
    /// A single file instead of a directory.
    pub file: bool,
    /// Not writable from inside.
    pub read_only: bool,
    /// How ids inside are ids on the node for this mount only, in Proxmox's words: `passthrough`, or
    /// `u:INSIDE:NODE:COUNT;g:...` (since Proxmox VE 9.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_map: Option<String>,
}

/// A device of the node shown inside a container; identified by its path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// `/dev/...`, the same inside.
    pub path: String,
    /// Octal mode inside, four digits; absent: Proxmox's default (0660).
    pub mode: Option<String>,
    /// Owner inside; absent: root.
    pub uid: Option<u32>,
    /// Group inside; absent: root.
    pub gid: Option<u32>,
    /// Not writable from inside.
    pub deny_write: bool,
}

/// An NFS export mounted inside a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NfsVolume {
    /// The operator's name for it.
    pub name: String,
    /// Address or name of the server.
    pub server: String,
    /// Exported path.
    pub path: String,
    /// Absolute path inside the guest.
    pub mount_point: String,
}
