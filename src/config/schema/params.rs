//! Parameters of scripts as the scripts declare them: what `params` of a guest may hold.

use std::collections::BTreeMap;

use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

use super::{FileKind, types};
use crate::model::{Catalogue, ParamSpec, ParamType, ScriptSpec, Target};

/// The members of `params` in a file of guests: one for each script that runs in such a guest; a feature and an app of
/// one name have one for both. None is required where the script requires it: some come from other fields of the guest.
pub fn scripts(kind: FileKind, catalogue: &Catalogue) -> Map<String, Value> {
    let target = match kind {
        FileKind::Lxc => Target::Lxc,
        FileKind::Vm => Target::Vm,
        _ => return Map::new(),
    };
    let scripts = catalogue.features.values().chain(catalogue.apps.values());
    let here = scripts.filter(|spec| spec.targets.contains(&target) && !spec.params.is_empty());
    let mut by_name: BTreeMap<&str, Vec<&ScriptSpec>> = BTreeMap::new();
    here.for_each(|spec| by_name.entry(&spec.name).or_default().push(spec));
    by_name.into_iter().map(|(name, specs)| (name.to_owned(), script(&specs).into())).collect()
}

fn script(specs: &[&ScriptSpec]) -> Schema {
    // What both have is described as the feature, which comes first, does.
    let params = specs.iter().rev().flat_map(|spec| &spec.params);
    let mut properties: Map<String, Value> =
        params.map(|(name, param)| (name.clone(), parameter(param).into())).collect();
    properties.entry("comment").or_insert_with(|| json!({"description": "a remark"}));
    let summaries: Vec<&str> = specs.iter().map(|spec| spec.summary.as_str()).collect();
    json_schema!({
        "description": summaries.join("; "),
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn parameter(param: &ParamSpec) -> Schema {
    let required = if param.required { "required" } else { "" };
    let words: Vec<&str> = [param.doc.as_str(), required].into_iter().filter(|words| !words.is_empty()).collect();
    let mut schema = json_schema!({});
    if !words.is_empty() {
        schema.insert("description".to_owned(), words.join("; ").into());
    }
    schema.ensure_object().extend(std::mem::take(value(param.kind).ensure_object()));
    if !param.choices.is_empty() {
        schema.insert("enum".to_owned(), param.choices.clone().into());
    }
    if let Some(fallback) = &param.fallback {
        schema.insert("default".to_owned(), fallback.clone());
    }
    schema
}

/// What decoding takes for a type ([`crate::model::params`]).
fn value(kind: ParamType) -> Schema {
    let label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
    match kind {
        ParamType::String => json_schema!({"type": "string"}),
        ParamType::Int => json_schema!({"type": "integer"}),
        ParamType::Bool => json_schema!({"type": "boolean"}),
        ParamType::Float => json_schema!({"type": "number"}),
        ParamType::List => json_schema!({"type": "array"}),
        ParamType::Map => json_schema!({"type": "object"}),
        ParamType::Path => json_schema!({"type": "string", "pattern": "^/"}),
        ParamType::Port => json_schema!({"type": "integer", "minimum": 1, "maximum": 65535}),
        ParamType::Host => json_schema!({
            "type": "string",
            "maxLength": 253,
            "anyOf": [{"pattern": format!("^{label}(\\.{label})*$")}, {"format": "ipv6"}],
        }),
        ParamType::Cidr => json_schema!({"type": "string", "pattern": types::NETWORK}),
        ParamType::Duration => json_schema!({"type": "string", "pattern": "^[0-9]+[smh]$"}),
        ParamType::Secret => json_schema!({
            "type": "object",
            "properties": {"secret": {"type": "string"}},
            "required": ["secret"],
            "additionalProperties": false,
        }),
    }
}
