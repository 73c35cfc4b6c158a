//! Shared services around the guests: routes, names, certificates, stacks.

use serde::{Deserialize, Serialize};

/// A service of a guest that the router publishes as `NAME.DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraefikService {
    /// First label of the public name.
    pub name: String,
    /// Port of the backend.
    pub port: u16,
    /// `http` or `https`; absent: derived from what serves there.
    pub scheme: Option<String>,
}

/// An additional DNS record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// Full name.
    pub hostname: String,
    /// Its address.
    pub ip: String,
}

/// An entry of the certificate manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Subject.
    pub common_name: String,
    /// Alternative names; the subject is always one of them.
    pub sans: Vec<String>,
    /// Where the chain goes on the node.
    pub cert_path: String,
    /// Where the key goes on the node.
    pub key_path: String,
    /// `user:group`.
    pub owner: Option<String>,
    /// Octal mode.
    pub permissions: Option<String>,
    /// What the predecessor ran after a renewal; kept for `config migrate`.
    pub post_renewal_command: Option<String>,
}

/// A Docker stack: `stacks/NAME/{docker-compose.yml, phoenix.json}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Folder name.
    pub name: String,
    /// Path of the compose file.
    pub compose_path: String,
    /// The manifest as read.
    pub manifest: serde_json::Value,
}
