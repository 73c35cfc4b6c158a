//! What is declared about the node itself.

use serde::{Deserialize, Serialize};

/// A storage that the configuration expects on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStorage {
    /// Proxmox storage id.
    pub id: String,
    /// Proxmox's type: `zfspool`, `dir`, `nfs`, ...
    pub kind: String,
    /// Path (dir) or dataset (zfspool).
    pub location: String,
    /// Content types.
    pub content: Vec<String>,
}

/// The node as declared. `raw` keeps every section that only `setup` and `sync` use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Node name; absent: whatever node we run on.
    pub name: Option<String>,
    /// Address on the guests' network.
    pub address: Option<super::Cidr>,
    /// Default gateway.
    pub gateway: Option<std::net::IpAddr>,
    /// Storages that the configuration names, with what it says about their type.
    pub storages: Vec<NodeStorage>,
    /// Bridges that the configuration names.
    pub bridges: Vec<String>,
    /// Time zone, `Area/City`.
    pub timezone: Option<String>,
    /// Rules and policies of the whole node.
    pub firewall: super::Firewall,
    /// The whole hypervisor file as read, for `config(path, fallback)` in scripts and for later stages.
    pub raw: serde_json::Value,
}
