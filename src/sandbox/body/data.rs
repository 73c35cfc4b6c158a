//! What files are made of, and how bytes are written in a world file.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Data {
    /// These bytes.
    Bytes(#[serde(with = "bytes")] Arc<[u8]>),
    /// Bytes that nobody has at hand, known by their digest only: fetched from a modelled internet, or a file that a
    /// rehearsal carries over from the real node.
    Digest {
        /// SHA-256, lower-case hex.
        sha256: String,
    },
}

impl Data {
    /// These bytes.
    pub fn of(bytes: impl Into<Arc<[u8]>>) -> Data {
        Data::Bytes(bytes.into())
    }

    /// This text.
    pub fn text(text: &str) -> Data {
        Data::Bytes(text.as_bytes().into())
    }

    /// The bytes, where they are at hand.
    pub fn bytes(&self) -> Option<&Arc<[u8]>> {
        match self {
            Data::Bytes(bytes) => Some(bytes),
            Data::Digest { .. } => None,
        }
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Data::Bytes(bytes) => bytes.len() as u64,
            Data::Digest { sha256 } => stand_in(sha256).len() as u64,
        }
    }

    /// SHA-256 in lower-case hex.
    pub fn sha256(&self) -> String {
        match self {
            Data::Bytes(bytes) => sha256(bytes),
            Data::Digest { sha256 } => sha256.clone(),
        }
    }
}

/// What is read where a file is known by its digest only, outside of rehearsals.
pub(super) fn stand_in(sha256: &str) -> String {
    format!("modelled content with the digest {sha256}\n")
}

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in JSON: text where they are UTF-8, else `{"base64": ...}`.
pub mod bytes {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written<'a> {
        Text(std::borrow::Cow<'a, str>),
        Binary { base64: String },
    }

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Written::Text(text.into()),
            Err(_) => Written::Binary { base64: STANDARD.encode(bytes) },
        }
        .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D, B>(deserializer: D) -> Result<B, D::Error>
    where
        D: Deserializer<'de>,
        B: From<Vec<u8>>,
    {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(text.into_owned().into_bytes().into()),
            Written::Binary { base64 } => STANDARD.decode(base64).map(B::from).map_err(serde::de::Error::custom),
        }
    }
}
