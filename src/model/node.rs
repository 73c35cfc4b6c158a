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

/// The node as declared.
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
    /// What `setup` and `sync` bring about.
    pub setup: super::NodeSetup,
    /// The hypervisor file as read, passwords replaced by references, for `config(path, fallback)` in scripts.
    pub raw: serde_json::Value,
}
