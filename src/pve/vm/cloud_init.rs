//! What cloud-init is told beyond single keys: the vendor's data in a snippet, and public keys, which `qm set` takes from
//! a file only.

use super::super::guest_config::decode;
use super::super::storage::Storage;
use crate::model::{Guest, GuestId};

/// Where the public keys of users lie on the node, for `qm set --sshkeys`.
const KEYS: &str = "/var/lib/phoenix/keys";

/// Vendor data: the agent through which phoenix reaches the machine, and the NFS client. cloud-init merges them with the
/// user's data; Proxmox writes none of its own.
const VENDOR_DATA: &str = "#cloud-config
package_update: true
packages:
  - qemu-guest-agent
  - nfs-common
runcmd:
  - [systemctl, start, qemu-guest-agent.service]
";

/// A file of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile {
    /// Absolute path.
    pub path: String,
    /// All of it.
    pub content: String,
}

/// A guest's vendor data as a snippet of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippets {
    /// Its volume id: `local:snippets/phoenix-9000-vendor.yaml`.
    pub volume: String,
    /// The file behind it.
    pub file: NodeFile,
}

impl Snippets {
    /// The vendor data of a guest on a storage that keeps files.
    pub(super) fn of(id: GuestId, storage: &Storage) -> Option<Snippets> {
        let name = format!("phoenix-{id}-vendor.yaml");
        let path = format!("{}/{name}", storage.directory("snippets")?);
        let file = NodeFile { path, content: VENDOR_DATA.to_owned() };
        Some(Snippets { volume: format!("{}:snippets/{name}", storage.id), file })
    }

    /// What makes a storage hold snippets.
    pub fn advice(storages: &[Storage], node: &str) -> String {
        let able = |storage: &&Storage| storage.is_on_node(node) && storage.directory("snippets").is_some();
        match storages.iter().find(able) {
            Some(storage) => {
                let content: Vec<&str> = storage.content.iter().map(String::as_str).chain(["snippets"]).collect();
                format!("`pvesm set {} --content {}` allows them", storage.id, content.join(","))
            }
            None => "add a storage of type `dir` that holds them".to_owned(),
        }
    }

    /// The first of these storages that may hold snippets on this node.
    pub fn storage<'s>(storages: &'s [Storage], node: &str) -> Option<&'s Storage> {
        storages.iter().find(|storage| {
            storage.is_on_node(node) && storage.holds("snippets") && storage.directory("snippets").is_some()
        })
    }
}

/// The file with the declared public keys; none without.
pub(super) fn ssh_keys(guest: &Guest) -> Option<NodeFile> {
    let keys = &guest.vm.ssh_keys;
    let content = keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    (!keys.is_empty()).then(|| NodeFile { path: format!("{KEYS}/{}.pub", guest.id), content })
}

/// Public keys as Proxmox stores them, one a line: URL-encoded as a whole.
pub(super) fn decoded_keys(stored: &str) -> Vec<String> {
    lines(&decode(stored))
}

/// The lines of a file of public keys, without blank ones.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
