//! Shared services around the guests: routes, names, certificates, stacks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FirewallRule, SecretRef};

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
    /// What the predecessor ran on the node after a renewal; not run, kept for `config migrate`.
    pub post_renewal_command: Option<String>,
}

/// A stack that a guest deploys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackUse {
    /// Folder name of the stack.
    pub name: String,
    /// One of its environments.
    pub environment: String,
}

/// A Docker stack: `stacks/NAME/{docker-compose.yml, phoenix.json}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Folder name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Text of its `docker-compose.yml`.
    pub compose: String,
    /// Environments by name; the usual one is `production`.
    pub environments: BTreeMap<String, StackEnvironment>,
}

/// One environment of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackEnvironment {
    /// Variables of the compose file, in order.
    pub variables: Vec<(String, StackValue)>,
    /// Files handed into containers.
    pub files: Vec<StackFile>,
    /// Labels for the router, by compose service.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Rules added to the firewall of the guest that deploys it.
    pub firewall_rules: Vec<FirewallRule>,
}

/// The value of a stack's variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StackValue {
    /// A secret.
    Secret(SecretRef),
    /// Plain text.
    Text(String),
}

/// A file of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFile {
    /// Path relative to the stack's folder.
    pub source: String,
    /// Absolute path inside the container.
    pub destination: String,
}
