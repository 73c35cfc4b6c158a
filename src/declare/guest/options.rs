//! Keys of a configuration that fields of the same name, or the lists `pct_options` and `qm_options`, hand on as they are.

use serde_json::{Map, Value};

use crate::model::GuestKind;
use crate::pve::guest_config::Section;
use crate::pve::table::{Kind, table};

/// Adds them: those with a field of their own, then the rest.
pub(super) fn add(kind: GuestKind, config: &Section, other: impl Fn(&str) -> bool, entry: &mut Map<String, Value>) {
    let (command, list) = match kind {
        GuestKind::Lxc => ("pct set", "pct_options"),
        GuestKind::Vm => ("qm set", "qm_options"),
    };
    let Some((_, spec)) = table().command(command) else { return };
    let description = config.description();
    if !description.trim().is_empty() {
        entry.insert("description".to_owned(), description.trim_end().into());
    }
    for key in crate::config::option_fields(kind).filter(|key| *key != "description") {
        let (Some(value), Some(schema)) = (config.get(key), spec.option(key)) else { continue };
        let typed = match schema.kind {
            Kind::Boolean => Some(Value::from(value == "1")),
            Kind::Integer => value.parse::<u64>().ok().map(Value::from),
            Kind::Number => number(value),
            Kind::String | Kind::Array => Some(value.into()),
        };
        entry.extend(typed.map(|typed| (key.to_owned(), typed)));
    }
    let mut listed: Vec<Value> = entry.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    for (key, value) in config.entries() {
        let known = spec.option(key).is_some() && crate::config::is_listed_option(kind, key);
        if known && !entry.contains_key(key) && !other(key) {
            listed.push(format!("{key}={value}").into());
        }
    }
    if !listed.is_empty() {
        entry.insert(list.to_owned(), listed.into());
    }
}

/// `1.5`, and whole ones without a point.
pub(super) fn number(text: &str) -> Option<Value> {
    match text.parse::<u64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => text.parse::<f64>().ok().map(Value::from),
    }
}
