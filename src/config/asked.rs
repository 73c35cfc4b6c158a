//! What decoding asks the files for: every field with its type, limits and default.
//!
//! Nobody lists the fields a second time. Decoding an empty configuration that records what it is asked for
//! ([`super::load::fields`]) gives all of them: [`super::schema`] makes JSON Schema of it, and a test holds
//! `docs/configuration.md` to it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use serde_json::Value;

/// Fields that were asked for, by path: `vms[].volumes[].server`, `lxc_configs.ID.name`, `secrets.KEY.file`.
pub type Asked = BTreeMap<String, AskedField>;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// `true` or `false`.
    Flag,
    /// Whole number.
    Whole,
    /// Number.
    Number,
    /// Address.
    Address,
    /// Addresses, as a list or as one text.
    Addresses,
    /// `ADDRESS/PREFIX`.
    Network,
    /// `ADDRESS/PREFIX`, or where else a guest's address comes from.
    GuestAddress,
    /// MAC address.
    Mac,
    /// Absolute path.
    Path,
    /// SHA-256 in hex.
    Sha256,
    /// Guest id, as a number or as digits in quotes.
    GuestId,
    /// List of these.
    GuestIds,
    /// List of text.
    Texts,
    /// Map.
    Map,
    /// List of maps.
    Maps,
    /// Text, or a list of text.
    TextOrTexts,
    /// List whose items are text or maps.
    TextsOrMaps,
    /// Reference to a secret.
    Secret,
    /// Text, or a reference to a secret.
    TextOrSecret,
}

impl fmt::Display for Kind {
    /// For people, as in `docs/configuration.md`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Text => "text",
            Kind::Flag => "true or false",
            Kind::Whole => "whole number",
            Kind::Number => "number",
            Kind::Address => "address",
            Kind::Addresses => "addresses",
            Kind::Network => "address with prefix length",
            Kind::GuestAddress => "address with prefix length, dhcp or manual",
            Kind::Mac => "MAC address",
            Kind::Path => "absolute path",
            Kind::Sha256 => "SHA-256 in hex",
            Kind::GuestId => "guest id",
            Kind::GuestIds => "list of guest ids",
            Kind::Texts => "list of text",
            Kind::Map => "map",
            Kind::Maps => "list of maps",
            Kind::TextOrTexts => "text or list of text",
            Kind::TextsOrMaps => "list of text or maps",
            Kind::Secret => "secret",
            Kind::TextOrSecret => "text or secret",
        })
    }
}

impl Kind {
    /// Whether it is a list that may hold maps.
    pub const fn has_items(self) -> bool {
        matches!(self, Kind::Maps | Kind::TextsOrMaps)
    }
}

/// A field that decoding knows.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedField {
    /// Its type.
    pub kind: Kind,
    /// Whether it has an effect.
    pub used: bool,
    /// Whether it must be there, whatever else is.
    pub required: bool,
    /// The words it may say; empty: any.
    pub choices: Vec<&'static str>,
    /// Least and most, of a whole number.
    pub range: Option<RangeInclusive<u64>>,
    /// Above this, and at most that, of a number.
    pub above_to: Option<(f64, f64)>,
    /// What counts when it is absent.
    pub default: Option<Value>,
}

impl AskedField {
    /// A field of a kind, with no more known of it.
    pub const fn new(kind: Kind) -> AskedField {
        AskedField {
            kind,
            used: true,
            required: false,
            choices: Vec::new(),
            range: None,
            above_to: None,
            default: None,
        }
    }
}
