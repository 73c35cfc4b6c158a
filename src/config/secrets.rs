//! Secrets in the configuration: references, and the plaintext that is refused in their place.

use std::collections::BTreeMap;

use super::asked::Kind;
use super::decode::Fields;
use super::json::{Data, Value};
use super::mask;
use crate::finding::Finding;
use crate::model::{SecretRef, SecretSource};

/// Fewest and most random bytes of a generated secret.
const GENERATED: std::ops::RangeInclusive<u64> = 16..=256;

/// A field that holds a secret. Plaintext is not taken over: it is reported, and the field reads as a reference to
/// the secret `stored_as`.
pub fn reference(fields: &Fields, name: &'static str, stored_as: &str) -> Option<SecretRef> {
    let member = fields.member(name, Kind::Secret)?;
    match &member.value.data {
        Data::Text(text) if text.is_empty() => None,
        Data::Text(_) => {
            fields.file.lapse(plaintext(name, stored_as), member.value.span.clone());
            SecretRef::new(stored_as)
        }
        _ => {
            let named = named(&member.value);
            if named.is_none() {
                fields.reject("bad-secret", name, "must be a reference to a secret: {\"secret\": \"NAME\"}");
            }
            named
        }
    }
}

/// The finding about a secret in plain text.
pub fn plaintext(name: &str, stored_as: &str) -> Finding {
    Finding::error("plaintext-secret", format!("`{name}` is a secret in plain text; its value is not used"))
        .hint(format!("keep it in the secret store and write {{\"secret\": \"{stored_as}\"}}"))
}

/// `{"secret": "NAME"}`, if the value is that.
pub fn named(value: &Value) -> Option<SecretRef> {
    match value.members() {
        [member] if member.key == "secret" => SecretRef::new(member.value.text()?),
        _ => None,
    }
}

/// The section `secrets`: where declared secrets come from.
pub fn sources(root: &Fields) -> BTreeMap<String, SecretSource> {
    let mut sources = BTreeMap::new();
    for member in root.table("secrets") {
        let Some(fields) = root.entry("secrets", member) else { continue };
        let file = fields.string("file").map(SecretSource::File);
        let env = fields.string("env").map(SecretSource::Env);
        let credential = fields.string("credential").map(SecretSource::Credential);
        let generate = fields.whole("generate", GENERATED).map(SecretSource::Generate);
        let mut given = [file, env, credential, generate].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(source), None) if SecretRef::new(member.key.as_str()).is_some() => {
                sources.insert(member.key.clone(), source);
            }
            (Some(_), None) => {
                let finding = Finding::error("bad-secret", format!("`{}` is no name for a secret", member.key))
                    .hint("letters, digits, `_`, `-` and `.`, at most 64");
                fields.file.report(finding, member.key_span.clone());
            }
            _ => {
                let finding =
                    Finding::error("bad-secret", format!("the secret `{}` needs exactly one source", member.key))
                        .hint("one of `file`, `env`, `credential`, `generate`");
                fields.file.report(finding, member.key_span.clone());
            }
        }
        fields.finish();
    }
    sources
}

/// A value without places, passwords in plain text replaced by references.
pub fn plain(value: &Value) -> serde_json::Value {
    match &value.data {
        Data::List(items) => items.iter().map(plain).collect(),
        Data::Map(members) => {
            let members = members.iter().map(|member| {
                let hidden =
                    mask::is_sensitive(&member.key) && member.value.text().is_some_and(|text| !text.is_empty());
                let value = if hidden { serde_json::json!({ "secret": member.key }) } else { plain(&member.value) };
                (member.key.clone(), value)
            });
            members.collect::<serde_json::Map<_, _>>().into()
        }
        _ => value.plain(),
    }
}
