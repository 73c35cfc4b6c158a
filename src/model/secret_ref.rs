//! Secrets as the configuration names them: never a value.

use serde::{Deserialize, Serialize};

/// `{"secret": "NAME"}` in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Name in the secret store: letters, digits, `_`, `-` and `.`, a letter or digit first.
    #[serde(rename = "secret")]
    pub name: String,
}

impl SecretRef {
    /// A reference, if `name` may name a secret.
    pub fn new(name: impl Into<String>) -> Option<SecretRef> {
        let name = name.into();
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        (first && rest && name.len() <= 64).then_some(SecretRef { name })
    }
}

/// Where a secret that the configuration declares comes from; one that it does not declare comes from the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// A file of the node, absolute path.
    File(String),
    /// A variable of the environment phoenix runs in.
    Env(String),
    /// A systemd credential.
    Credential(String),
    /// Made on first use: so many random bytes, kept in the store.
    Generate(u32),
}
