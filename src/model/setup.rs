//! What is declared about the node beyond its guests: what `setup` and `sync` bring about.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::SecretRef;

/// The administrator's account on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminUser {
    /// Login name.
    pub username: String,
    /// Where the crypt hash of the password comes from; absent: no password login.
    pub password_hash: Option<SecretRef>,
    /// May become root by `sudo`.
    pub sudo: bool,
    /// Public key for `authorized_keys`.
    pub ssh_public_key: Option<String>,
}

/// One exported directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NfsExport {
    /// Absolute path on the node.
    pub path: String,
    /// Addresses, networks or names that may mount it.
    pub clients: Vec<String>,
    /// Options of exports(5).
    pub options: Vec<String>,
}

/// One Samba share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SambaShare {
    /// Share name.
    pub name: String,
    /// Absolute path on the node.
    pub path: String,
    /// Shown when browsing.
    pub browsable: bool,
    /// Not writable.
    pub read_only: bool,
    /// Without a password.
    pub guest_ok: bool,
    /// The only users allowed; empty: any.
    pub valid_users: Vec<String>,
}

/// Samba.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samba {
    /// System user that owns the shares.
    pub user: Option<String>,
    /// Workgroup.
    pub workgroup: Option<String>,
    /// Shares.
    pub shares: Vec<SambaShare>,
}

/// A ZFS pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZfsPool {
    /// Pool name.
    pub name: String,
    /// `mirror`, `raidz1` ... in lower case; anything else is a stripe.
    pub raid_level: String,
    /// Disks, as `/dev/disk/by-id/...`.
    pub disks: Vec<String>,
}

/// A ZFS dataset. It is mounted at `/POOL/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZfsDataset {
    /// Name inside the pool.
    pub name: String,
    /// Pool.
    pub pool: String,
    /// Properties in declared order.
    pub properties: Vec<(String, String)>,
}

impl ZfsDataset {
    /// `POOL/NAME`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.pool, self.name)
    }

    /// Where it is mounted on the node.
    pub fn mount_point(&self) -> String {
        format!("/{}/{}", self.pool, self.name)
    }
}

/// ZFS on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zfs {
    /// Most memory for the cache, in GiB.
    pub arc_max_gb: Option<u32>,
    /// Pools.
    pub pools: Vec<ZfsPool>,
    /// Datasets.
    pub datasets: Vec<ZfsDataset>,
}

/// NVIDIA's driver on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NvidiaDriver {
    /// Wanted at all.
    pub install: bool,
    /// Exact version.
    pub version: Option<String>,
    /// Where the installer is downloaded from.
    pub runfile_url: Option<String>,
}

/// The node's own name server for the internal domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsServer {
    /// Wanted at all.
    pub enabled: bool,
    /// Asked for everything that is not internal.
    pub upstream: Vec<IpAddr>,
}

/// A block volume that no single guest owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedVolume {
    /// Proxmox storage id.
    pub storage: String,
    /// Size in GiB.
    pub size_gb: u32,
}

/// How Portainer is reached and managed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portainer {
    /// Name of the first administrator.
    pub admin_user: Option<String>,
    /// The administrator's password.
    pub admin_password: Option<SecretRef>,
    /// Access key of the API, instead of the password.
    pub api_key: Option<SecretRef>,
    /// Name in browsers.
    pub hostname: Option<String>,
    /// Address of the server; absent: the guest with that role.
    pub server_ip: Option<IpAddr>,
    /// Port of the server.
    pub server_port: Option<u16>,
    /// Port of the agents.
    pub agent_port: Option<u16>,
    /// Image of the agents.
    pub agent_image: Option<String>,
}

/// What `setup` and `sync` bring about on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSetup {
    /// Administrator's account.
    pub admin: Option<AdminUser>,
    /// Name servers of the node itself.
    pub nameservers: Vec<IpAddr>,
    /// Address of the NFS server as guests see it.
    pub nfs_server: Option<IpAddr>,
    /// Exported directories.
    pub nfs_exports: Vec<NfsExport>,
    /// Samba.
    pub samba: Samba,
    /// ZFS.
    pub zfs: Zfs,
    /// NVIDIA's driver.
    pub nvidia: NvidiaDriver,
    /// Name server.
    pub dns: DnsServer,
    /// Portainer.
    pub portainer: Portainer,
    /// Volumes that no single guest owns, by name.
    pub shared_volumes: BTreeMap<String, SharedVolume>,
    /// Release of Ubuntu whose cloud images are used, e.g. `noble`.
    pub ubuntu_release: Option<String>,
}
