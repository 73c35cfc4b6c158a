//! What values of each kind look like in JSON.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::asked::Kind;
use crate::model::{Address, Cidr, GuestId, MacAddress, SecretRef};

/// A guest id in digits.
pub const GUEST_ID: &str = "^[1-9][0-9]{2,8}$";

/// An address with its prefix length, coarsely: `config` takes it apart.
pub const NETWORK: &str = r"^[0-9A-Fa-f.:]+/[0-9]{1,3}$";

/// The schema of a kind of value.
pub fn schema(kind: Kind, generator: &mut SchemaGenerator) -> Schema {
    let address = json_schema!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]});
    let text = json_schema!({"type": "string"});
    match kind {
        Kind::Text => text,
        Kind::Flag => json_schema!({"type": "boolean"}),
        Kind::Whole => json_schema!({"type": "integer"}),
        Kind::Number => json_schema!({"type": "number"}),
        Kind::Address => address,
        Kind::Addresses => json_schema!({
            "anyOf": [{"type": "array", "items": address}, {"type": "string", "pattern": "^[0-9A-Fa-f.:, ]*$"}]
        }),
        Kind::Network => generator.subschema_for::<Cidr>(),
        Kind::GuestAddress => generator.subschema_for::<Address>(),
        Kind::Mac => generator.subschema_for::<MacAddress>(),
        Kind::Path => json_schema!({"type": "string", "pattern": "^/"}),
        Kind::Sha256 => json_schema!({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}),
        Kind::GuestId => generator.subschema_for::<GuestId>(),
        Kind::GuestIds => super::list(generator.subschema_for::<GuestId>()),
        Kind::Texts => super::list(text),
        Kind::Map => json_schema!({"type": "object"}),
        Kind::Maps | Kind::TextsOrMaps => json_schema!({"type": "array"}),
        Kind::TextOrTexts => json_schema!({"anyOf": [text, super::list(json_schema!({"type": "string"}))]}),
        Kind::Secret => generator.subschema_for::<SecretRef>(),
        Kind::TextOrSecret => json_schema!({"anyOf": [text, generator.subschema_for::<SecretRef>()]}),
    }
}

impl JsonSchema for GuestId {
    fn schema_name() -> Cow<'static, str> {
        "GuestId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "integer", "minimum": 100, "maximum": 999_999_999},
            {"type": "string", "pattern": GUEST_ID},
        ]})
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": NETWORK})
    }
}

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "GuestAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "anyOf": [{"enum": ["dhcp", "manual"]}, {"pattern": NETWORK}]})
    }
}

impl JsonSchema for MacAddress {
    fn schema_name() -> Cow<'static, str> {
        "MacAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$"})
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {"secret": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"}},
            "required": ["secret"],
            "additionalProperties": false,
        })
    }
}
