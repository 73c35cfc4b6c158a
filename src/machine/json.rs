//! `json` and `json_set`: JSON files, whole or one member of them.

use serde_json::Value;

use super::{Change, Machine, MachineError};
use crate::op::Attributes;
use crate::secret::Sealed;

/// A JSON value that may hold secrets: the real one, and the same one as it may be shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SealedJson {
    /// With the real secrets.
    pub real: Value,
    /// With what stands for them.
    pub shown: Value,
}

impl From<Value> for SealedJson {
    /// A value without secrets.
    fn from(value: Value) -> SealedJson {
        SealedJson { shown: value.clone(), real: value }
    }
}

impl Machine {
    /// Brings a JSON file of this value about. A file that holds an equal value in another form or order is right.
    ///
    /// # Errors
    /// When something else than a text file is there.
    pub fn json(&self, path: &str, value: &SealedJson, attributes: &Attributes) -> Result<Change, MachineError> {
        self.edit(format!("json {path}"), path, attributes, |old| Ok(rendered(old, value)))
    }

    /// Brings one member of a JSON file about, named by a dotted path (`a.b.c`; empty for the whole); objects are merged
    /// deeply, everything else is replaced, and the rest of the file stays. A missing file is made.
    ///
    /// # Errors
    /// When the file is no JSON, or the path leads through something that is no object.
    pub fn json_set(
        &self,
        path: &str,
        member: &str,
        value: &SealedJson,
        attributes: &Attributes,
    ) -> Result<Change, MachineError> {
        self.edit(format!("json {path} {member}"), path, attributes, |old| {
            let present: Value = match old {
                Some(text) if !text.trim().is_empty() => serde_json::from_str(text)
                    .map_err(|error| MachineError::conflict(path, format!("is no JSON: {error}")))?,
                _ => Value::Object(serde_json::Map::new()),
            };
            let conflict = |at: String| MachineError::conflict(path, format!("`{at}` is no object"));
            let set = |value: &Value| {
                let mut whole = present.clone();
                merge(at(&mut whole, member).map_err(conflict)?, value);
                Ok::<Value, MachineError>(whole)
            };
            Ok(rendered(old, &SealedJson { real: set(&value.real)?, shown: set(&value.shown)? }))
        })
    }
}

/// The old text if it holds this value already, else the value in our form.
fn rendered(old: Option<&str>, value: &SealedJson) -> Sealed {
    match old {
        Some(text) if serde_json::from_str::<Value>(text).is_ok_and(|old| old == value.real) => Sealed::plain(text),
        _ => Sealed::new(pretty(&value.real), pretty(&value.shown)),
    }
}

/// Two blanks per level, members in the order given, a line break at the end.
fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The place of a dotted path; objects are made on the way.
fn at<'a>(mut value: &'a mut Value, member: &str) -> Result<&'a mut Value, String> {
    let mut passed = Vec::new();
    for key in member.split('.').filter(|key| !key.is_empty()) {
        match value {
            Value::Object(map) => value = map.entry(key).or_insert(Value::Null),
            Value::Null => {
                *value = Value::Object(serde_json::Map::new());
                let Value::Object(map) = value else { return Err(passed.join(".")) };
                value = map.entry(key).or_insert(Value::Null);
            }
            _ => return Err(passed.join(".")),
        }
        passed.push(key);
    }
    Ok(value)
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_merged_and_the_rest_kept() {
        let mut whole = json!({"z": 1, "a": {"b": {"kept": true, "c": 1}}});
        merge(at(&mut whole, "a.b").unwrap(), &json!({"c": 2, "d": {"e": 3}}));
        assert_eq!(whole, json!({"z": 1, "a": {"b": {"kept": true, "c": 2, "d": {"e": 3}}}}));
        merge(at(&mut whole, "n.e.w").unwrap(), &json!([1]));
        assert_eq!(whole["n"]["e"]["w"], json!([1]));
        assert_eq!(at(&mut whole, "z.y").unwrap_err(), "z");
    }

    #[test]
    fn an_equal_value_in_another_form_is_right() {
        let value = SealedJson::from(json!({"a": 1, "b": [2]}));
        assert_eq!(rendered(Some("{\"b\":[2],\"a\":1}"), &value).expose(), "{\"b\":[2],\"a\":1}");
        assert_eq!(rendered(None, &value).expose(), "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}\n");
    }
}
