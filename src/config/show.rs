//! `config show`: the configuration as it was understood.

use serde_json::{Value, json};

use crate::model::Site;

/// The whole site, without the files as read. Secrets are references and have no value here.
pub fn resolve_show(site: &Site) -> Value {
    let mut shown = json!(site);
    if let Some(node) = shown.get_mut("node").and_then(Value::as_object_mut) {
        node.remove("raw");
    }
    if let Some(guests) = shown.get_mut("guests").and_then(Value::as_object_mut) {
        for guest in guests.values_mut().filter_map(Value::as_object_mut) {
            guest.remove("config");
        }
    }
    shown
}
