//! Proxmox's check of a value against its schema (`PVE::JSONSchema`), with its messages and their order of precedence:
//! type, then named format, then pattern, length, range and enumeration; the first objection ends the check.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;

use super::format;
use super::property::Properties;
use super::table::{Grammar, Kind, Schema};

/// One objection of Proxmox's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The option, with the key inside of a property string: `memory`, `net0.ip`.
    pub path: String,
    /// Its message, without newline.
    pub message: String,
}

const FORMAT_ERROR: &str = "invalid format - format error";

impl Violation {
    /// An objection.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Violation {
        Violation { path: path.into(), message: message.into() }
    }

    /// An option or key that does not exist.
    pub fn undefined(path: impl Into<String>) -> Violation {
        Violation::new(path, "property is not defined in schema and the schema does not allow additional properties")
    }

    /// Something required that is not there.
    pub fn missing(path: impl Into<String>) -> Violation {
        Violation::new(path, "property is missing and it is not optional")
    }

    /// The line that only says that keys inside are wrong; the lines of the keys follow it.
    pub fn is_format_error(&self) -> bool {
        self.message == FORMAT_ERROR
    }

    /// Whether Proxmox ends the message with a newline of its own, which shows as an empty line.
    pub fn ends_with_newline(&self) -> bool {
        self.message.starts_with("invalid format - ")
    }
}

/// All objections against a value. For property strings the first one is the option's, the others are its keys'.
pub fn check(schema: &Schema, path: &str, value: &str) -> Vec<Violation> {
    if let Some(grammar) = &schema.grammar {
        return check_property_string(grammar, path, value);
    }
    check_plain(schema, value).map_or_else(|message| vec![Violation::new(path, message)], |()| Vec::new())
}

fn check_property_string(grammar: &Grammar, path: &str, value: &str) -> Vec<Violation> {
    let properties = match Properties::parse(value, grammar) {
        Ok(properties) => properties,
        Err(error) => return vec![Violation::new(path, format!("invalid format - {error}"))],
    };
    let inside = check_keys(grammar, path, &properties);
    if inside.is_empty() {
        return inside;
    }
    std::iter::once(Violation::new(path, FORMAT_ERROR)).chain(inside).collect()
}

/// Objections against the keys of a property string that has been taken apart.
fn check_keys(grammar: &Grammar, path: &str, properties: &Properties) -> Vec<Violation> {
    let mut found = Vec::new();
    for (key, schema) in grammar {
        match properties.get(key) {
            Some(value) => {
                if let Err(message) = check_plain(schema, value) {
                    found.push(Violation::new(format!("{path}.{key}"), message));
                }
                if let Some(other) = schema.requires.as_deref().filter(|other| properties.get(other).is_none()) {
                    found.push(requires(&format!("{path}.{other}"), &format!("{path}.{key}")));
                }
            }
            None if !schema.optional && schema.alias.is_none() => {
                found.push(Violation::missing(format!("{path}.{key}")));
            }
            None => {}
        }
    }
    found.extend(
        properties
            .iter()
            .filter(|(key, _)| !grammar.contains_key(*key))
            .map(|(key, _)| Violation::undefined(format!("{path}.{key}"))),
    );
    found
}

/// What is said when `what` needs `other`, which is not there.
pub fn requires(other: &str, what: &str) -> Violation {
    Violation::new(other, format!("missing property required by '{what}'"))
}

fn check_plain(schema: &Schema, value: &str) -> Result<(), String> {
    let of_type = match schema.kind {
        Kind::String | Kind::Array => true,
        Kind::Boolean => value == "1" || value == "0",
        Kind::Integer => is_integer(value),
        Kind::Number => is_number(value),
    };
    if !of_type {
        return Err(format!("type check ('{}') failed - got '{value}'", schema.kind.word()));
    }
    if let Some(name) = &schema.format {
        format::check(name, value).map_err(|message| format!("invalid format - {message}"))?;
    }
    if let Some(pattern) = &schema.pattern
        && !matches(pattern, value)
    {
        return Err("value does not match the regex pattern".into());
    }
    let length = value.chars().count();
    if let Some(most) = schema.max_len.filter(|most| length > *most) {
        return Err(format!("value may only be {most} characters long"));
    }
    if let Some(least) = schema.min_len.filter(|least| length < *least) {
        return Err(format!("value must be at least {least} characters long"));
    }
    if let Ok(number) = value.parse::<f64>() {
        if let Some(most) = schema.max.filter(|most| number > *most) {
            return Err(format!("value must have a maximum value of {most}"));
        }
        if let Some(least) = schema.min.filter(|least| number < *least) {
            return Err(format!("value must have a minimum value of {least}"));
        }
    }
    if !schema.choices.is_empty() && !schema.choices.iter().any(|choice| choice == value) {
        let choices = schema.choices.join(", ");
        return Err(format!("value '{value}' does not have a value in the enumeration '{choices}'"));
    }
    Ok(())
}

fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_number(value: &str) -> bool {
    let plain = value.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    plain && value.parse::<f64>().is_ok()
}

/// Whether the whole value matches one of the table's patterns.
fn matches(pattern: &str, value: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    compiled
        .entry(pattern.to_owned())
        .or_insert_with(|| {
            Regex::new(&format!("^(?:{pattern})$")).expect("the patterns of options.json are tested to compile")
        })
        .is_match(value)
}

/// The word as Proxmox stores a boolean: `1`, `0`, or nothing when it is none.
pub fn boolean(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some("1"),
        "0" | "off" | "no" | "false" => Some("0"),
        _ => None,
    }
}

/// Property strings whose booleans are written in words are equal to those with digits.
pub(super) fn normal_boolean(schema: Option<&Schema>, value: &str) -> String {
    match schema.filter(|schema| schema.kind == Kind::Boolean).and_then(|_| boolean(value)) {
        Some(digit) => digit.to_owned(),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::table::table;

    #[test]
    fn every_pattern_compiles() {
        let commands = table().commands().flat_map(|(_, command)| command.options.values());
        for schema in commands {
            for key in schema.propstring.iter().flat_map(|name| table().grammar(name).unwrap().values()) {
                key.pattern.iter().for_each(|pattern| _ = matches(pattern, ""));
            }
            schema.pattern.iter().for_each(|pattern| _ = matches(pattern, ""));
        }
    }

    #[test]
    fn every_named_format_is_known() {
        for (command, spec) in table().commands() {
            for (option, schema) in &spec.options {
                let inside = schema.propstring.iter().flat_map(|name| table().grammar(name).unwrap());
                let formats = inside.filter_map(|(_, key)| key.format.as_ref()).chain(&schema.format);
                for name in formats.filter(|name| schema.propstring.as_ref() != Some(name)) {
                    assert!(format::is_known(name), "{command} --{option}: {name}");
                }
            }
        }
    }
}
