//! Disks, volumes and mounts of guests.

use serde::{Deserialize, Serialize};

/// The root disk of a container, or the system disk of a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDisk {
    /// Proxmox storage id.
    pub storage: String,
    /// Size in GiB.
    pub size_gb: u32,
}

/// A volume of its own at a mount path (`mpN`); identified by its mount path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The operator's name for it.
    pub name: String,
    /// Proxmox storage id.
    pub storage: String,
    /// Size in GiB.
    pub size_gb: u32,
    /// Absolute path inside the guest.
    pub mount_point: String,
}

/// A directory (or file) of the node shown inside a container; identified by its path inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
