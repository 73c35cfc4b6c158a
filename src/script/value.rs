//! Opaque values: a script carries a placeholder, the value is put in only on the way into the machine.
//!
//! A placeholder is ordinary text between two private-use characters, so that it survives interpolation, `+` and JSON,
//! which no type of our own would (interpolation swallows the errors of a type's `to_string`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::machine::{SealedJson, fits_free_text};
use crate::secret::{Sealed, SecretName};

const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';
const SECRET: char = 's';
const ARTIFACT: char = 'a';

/// Shortest secret that is looked for in what programs say: shorter ones would mask half of the words there.
const SHORTEST_MASKED: usize = 4;

/// The values behind the placeholders of one run.
#[derive(Debug, Default)]
pub(crate) struct Vault {
    secrets: BTreeMap<String, Sealed>,
    artifacts: BTreeMap<String, String>,
}

/// Why a text could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpaqueError {
    /// A helper took a placeholder apart.
    #[error("a secret or an artifact was cut in pieces")]
    Broken,
    /// Quoting rules of the text around it are not known.
    #[error(
        "<secret {0}> holds other characters than letters, digits and `_./+=-`: it can only be a whole value, not a part of a text"
    )]
    Unsafe(String),
}

/// Whether a text holds a placeholder or a piece of one.
pub(crate) fn is_opaque(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

impl Vault {
    /// Keeps a secret and answers its placeholder.
    pub fn secret(&mut self, name: &SecretName, value: Sealed) -> String {
        self.secrets.insert(name.0.clone(), value);
        format!("{OPEN}{SECRET}{}{CLOSE}", name.0)
    }

    /// Keeps an artifact and answers its placeholder.
    pub fn artifact(&mut self, name: &str, value: String) -> String {
        self.artifacts.insert(name.to_owned(), value);
        format!("{OPEN}{ARTIFACT}{name}{CLOSE}")
    }

    /// The text with the values put in, and as it may be shown.
    pub fn resolve(&self, text: &str) -> Result<Sealed, OpaqueError> {
        if !is_opaque(text) {
            return Ok(Sealed::plain(text));
        }
        let pieces = pieces(text).ok_or(OpaqueError::Broken)?;
        if let [Piece::Secret(name)] = pieces.as_slice() {
            return self.secrets.get(*name).cloned().ok_or(OpaqueError::Broken);
        }
        let (mut real, mut shown) = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    real.push_str(text);
                    shown.push_str(text);
                }
                Piece::Artifact(name) => {
                    let value = self.artifacts.get(name).ok_or(OpaqueError::Broken)?;
                    real.push_str(value);
                    shown.push_str(value);
                }
                Piece::Secret(name) => {
                    let value = self.secrets.get(name).ok_or(OpaqueError::Broken)?;
                    if !fits_free_text(value.expose()) {
                        return Err(OpaqueError::Unsafe(name.to_owned()));
                    }
                    real.push_str(value.expose());
                    shown.push_str(value.shown());
                }
            }
        }
        Ok(Sealed::new(real, shown))
    }

    /// A JSON value with the values put in, and as it may be shown. A secret that is a whole text may hold anything.
    pub fn resolve_json(&self, value: &Value) -> Result<SealedJson, OpaqueError> {
        Ok(match value {
            Value::String(text) => {
                let text = self.resolve(text)?;
                SealedJson { real: text.expose().into(), shown: text.shown().into() }
            }
            Value::Array(items) => {
                let items = items.iter().map(|item| self.resolve_json(item)).collect::<Result<Vec<_>, _>>()?;
                let (real, shown) = items.into_iter().map(|item| (item.real, item.shown)).unzip();
                SealedJson { real: Value::Array(real), shown: Value::Array(shown) }
            }
            Value::Object(entries) => {
                let (mut real, mut shown) = (serde_json::Map::new(), serde_json::Map::new());
                for (key, value) in entries {
                    if is_opaque(key) {
                        return Err(OpaqueError::Broken);
                    }
                    let value = self.resolve_json(value)?;
                    real.insert(key.clone(), value.real);
                    shown.insert(key.clone(), value.shown);
                }
                SealedJson { real: Value::Object(real), shown: Value::Object(shown) }
            }
            plain => SealedJson { real: plain.clone(), shown: plain.clone() },
        })
    }

    /// The text as it may be shown: placeholders become `<secret name>` and the artifact's value, and so does every
    /// secret that came back in the clear from a program.
    pub fn mask(&self, text: &str) -> String {
        let mut shown = match pieces(text) {
            Some(pieces) => pieces
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.to_owned(),
                    Piece::Artifact(name) => {
                        self.artifacts.get(name).cloned().unwrap_or_else(|| format!("<artifact {name}>"))
                    }
                    Piece::Secret(name) => SecretName(name.to_owned()).to_string(),
                })
                .collect(),
            None => text.replace([OPEN, CLOSE], "?"),
        };
        // Longest first: one secret may begin with another.
        let mut values: Vec<&Sealed> = self.secrets.values().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.expose().len()));
        for value in values {
            let real = value.expose();
            if real.len() >= SHORTEST_MASKED && shown.contains(real) {
                shown = shown.replace(real, value.shown());
            }
        }
        shown
    }
}

enum Piece<'a> {
    Text(&'a str),
    Secret(&'a str),
    Artifact(&'a str),
}

/// Takes a text apart; `None` if a placeholder in it is not whole.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find([OPEN, CLOSE]) {
        if open > 0 {
            pieces.push(Piece::Text(&rest[..open]));
        }
        let body = rest[open..].strip_prefix(OPEN)?;
        let close = body.find([OPEN, CLOSE])?;
        let inside = &body[..close];
        rest = body[close..].strip_prefix(CLOSE)?;
        pieces.push(match inside.strip_prefix(SECRET) {
            Some(name) => Piece::Secret(name),
            None => Piece::Artifact(inside.strip_prefix(ARTIFACT)?),
        });
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn vault(value: &str) -> (Vault, String) {
        let mut vault = Vault::default();
        let name = SecretName("db".to_owned());
        let placeholder = vault.secret(&name, Sealed::named(&name, value));
        (vault, placeholder)
    }

    #[test]
    fn a_secret_is_put_in_whole_or_in_safe_characters() {
        let (vault, placeholder) = vault("p4ss+word");
        let text = vault.resolve(&format!("PASSWORD={placeholder}\n")).unwrap();
        assert_eq!((text.expose(), text.shown()), ("PASSWORD=p4ss+word\n", "PASSWORD=<secret db>\n"));
    }

    #[test]
    fn a_secret_that_needs_quoting_is_a_whole_value_only() {
        let (vault, placeholder) = vault("it's \"odd\"");
        assert_eq!(vault.resolve(&placeholder).unwrap().expose(), "it's \"odd\"");
        assert_eq!(vault.resolve(&format!("x{placeholder}")), Err(OpaqueError::Unsafe("db".to_owned())));
    }

    #[test]
    fn pieces_of_a_secret_are_refused_and_what_comes_back_is_masked() {
        let (vault, placeholder) = vault("canary-7f3a");
        let cut: String = placeholder.chars().skip(1).collect();
        assert_eq!(vault.resolve(&cut), Err(OpaqueError::Broken));
        assert_eq!(vault.mask("login canary-7f3a refused"), "login <secret db> refused");
        assert_eq!(vault.mask(&format!("<{placeholder}>")), "<<secret db>>");
    }
}
