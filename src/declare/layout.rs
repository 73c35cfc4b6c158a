//! How JSON is laid out in configuration files: four blanks of indentation, small maps and lists on one line.

use std::fmt::Write;

use serde_json::Value;

/// Maps and lists that fit into so many columns stay on one line.
const WIDTH: usize = 170;
const STEP: usize = 4;

/// A whole file.
pub(super) fn file(value: &Value) -> String {
    let mut text = String::new();
    lay(value, 0, &mut text);
    text.push('\n');
    text
}

/// A value that stands at this indentation, its first line without it.
pub(super) fn value(value: &Value, indent: usize) -> String {
    let mut text = String::new();
    lay(value, indent, &mut text);
    text
}

fn lay(value: &Value, indent: usize, text: &mut String) {
    let inner = indent + STEP;
    match value {
        Value::Object(map) if !(map.is_empty() || indent > 0 && is_small(value) && fits(value, indent)) => {
            text.push_str("{\n");
            for (at, (key, value)) in map.iter().enumerate() {
                // Writing into a String cannot fail.
                let _ = write!(text, "{:inner$}{}: ", "", Value::from(key.as_str()));
                lay(value, inner, text);
                text.push_str(if at + 1 < map.len() { ",\n" } else { "\n" });
            }
            let _ = write!(text, "{:indent$}}}", "");
        }
        Value::Array(items) if !(items.is_empty() || is_small(value) && fits(value, indent)) => {
            text.push_str("[\n");
            for (at, item) in items.iter().enumerate() {
                let _ = write!(text, "{:inner$}", "");
                lay(item, inner, text);
                text.push_str(if at + 1 < items.len() { ",\n" } else { "\n" });
            }
            let _ = write!(text, "{:indent$}]", "");
        }
        value => text.push_str(&line(value)),
    }
}

/// Holds nothing that has anything in it, but for maps of one member in maps.
fn is_small(value: &Value) -> bool {
    let plain = |value: &Value| !value.is_object() && !value.is_array();
    match value {
        Value::Object(map) => map.values().all(|value| match value {
            Value::Array(items) => items.iter().all(plain),
            Value::Object(inner) => inner.len() == 1 && inner.values().all(plain),
            _ => true,
        }),
        Value::Array(items) => items.iter().all(plain),
        _ => true,
    }
}

fn fits(value: &Value, indent: usize) -> bool {
    indent + line(value).chars().count() < WIDTH
}

fn line(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Object(map) => {
            let member = |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), line(value));
            format!("{{{}}}", join(map.iter().map(member).collect()))
        }
        Value::Array(items) => format!("[{}]", join(items.iter().map(line).collect())),
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn small_things_stay_on_one_line() {
        let value = json!({
            "name": "web", "features": ["a", "b"],
            "network": {"bridge": "vmbr0", "ip": "192.0.2.1/24"},
            "rules": [{"type": "in"}, {"type": "out"}], "none": {}, "deep": {"secret": {"secret": "x"}}
        });
        let text = "{\n    \"name\": \"web\",\n    \"features\": [\"a\", \"b\"],\n    \
                    \"network\": {\"bridge\": \"vmbr0\", \"ip\": \"192.0.2.1/24\"},\n    \
                    \"rules\": [\n        {\"type\": \"in\"},\n        {\"type\": \"out\"}\n    ],\n    \
                    \"none\": {},\n    \"deep\": {\"secret\": {\"secret\": \"x\"}}\n}\n";
        assert_eq!(file(&value), text);
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
    }
}
