//! Parameters of a script: checked all at once before anything runs, fallbacks filled in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::{Catalogue, Cidr, Guest, ParamSpec, ParamType, ScriptKind, ScriptSpec};

/// What is wrong with one parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The parameter.
    pub name: String,
    /// Whether it stands in what was given (else it is missing there).
    pub given: bool,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The parameters a script is run with in a guest. `params.NAME` is for the feature and for the app of that name: each
/// takes what it declares, and what neither declares is the feature's problem.
///
/// # Errors
/// As [`params`].
pub fn of_guest(
    spec: &ScriptSpec,
    guest: &Guest,
    catalogue: &Catalogue,
) -> Result<BTreeMap<String, Value>, Vec<Problem>> {
    let given = guest.params.get(&spec.name);
    let (namesake, takes_unknown) = match spec.kind {
        ScriptKind::Feature if guest.app.as_ref() == Some(&spec.name) => (catalogue.apps.get(&spec.name), true),
        ScriptKind::App if guest.features.contains(&spec.name) => (catalogue.features.get(&spec.name), false),
        ScriptKind::Feature | ScriptKind::App => (None, true),
    };
    let Some(namesake) = namesake else { return params(spec, given) };
    let is_for = |name: &str| spec.params.contains_key(name) || (takes_unknown && !namesake.params.contains_key(name));
    let mut own = given.cloned().unwrap_or_default();
    own.retain(|name, _| is_for(name));
    params(spec, Some(&own))
}

/// The parameters a script is run with: what was given over the script's fallbacks. A parameter that is neither given
/// nor has a fallback is `null`, so that `params.x` always exists.
///
/// # Errors
/// Unknown, missing and ill-typed parameters, all at once.
pub fn params(
    spec: &ScriptSpec,
    given: Option<&BTreeMap<String, Value>>,
) -> Result<BTreeMap<String, Value>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut values: BTreeMap<String, Value> =
        spec.params.iter().map(|(name, param)| (name.clone(), param.fallback.clone().unwrap_or(Value::Null))).collect();
    for (name, value) in given.into_iter().flatten() {
        let Some(param) = spec.params.get(name) else {
            let hint = match spec.params.is_empty() {
                true => format!("`{}` has no parameters", spec.name),
                false => format!("known: {}", spec.params.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("`{}` has no parameter `{name}`", spec.name);
            problems.push(Problem { name: name.clone(), given: true, message, hint: Some(hint) });
            continue;
        };
        match check_value(param, value) {
            Ok(()) => {
                values.insert(name.clone(), value.clone());
            }
            Err(message) => problems.push(Problem {
                name: name.clone(),
                given: true,
                message: format!("parameter `{name}` of `{}` {message}", spec.name),
                hint: (!param.doc.is_empty()).then(|| param.doc.clone()),
            }),
        }
    }
    for (name, param) in &spec.params {
        if param.required && !given.is_some_and(|given| given.contains_key(name)) {
            problems.push(Problem {
                name: name.clone(),
                given: false,
                message: format!("parameter `{name}` of `{}` is required", spec.name),
                hint: (!param.doc.is_empty()).then(|| param.doc.clone()),
            });
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// Whether a value fits; the message continues "parameter `x` ...".
pub(crate) fn check_value(param: &ParamSpec, value: &Value) -> Result<(), String> {
    let fits = match param.kind {
        ParamType::String => value.is_string(),
        ParamType::Int => value.is_i64(),
        ParamType::Bool => value.is_boolean(),
        ParamType::Float => value.is_number(),
        ParamType::List => value.is_array(),
        ParamType::Map => value.is_object(),
        ParamType::Path => value.as_str().is_some_and(|text| text.starts_with('/')),
        ParamType::Port => value.as_i64().is_some_and(|port| (1..=65535).contains(&port)),
        ParamType::Host => value.as_str().is_some_and(is_host),
        ParamType::Cidr => value.as_str().is_some_and(|text| text.parse::<Cidr>().is_ok()),
        ParamType::Duration => value.as_str().is_some_and(|text| duration(text).is_some()),
        ParamType::Secret => secret_name(value).is_some(),
    };
    if !fits {
        let expected = match param.kind {
            ParamType::String => "a text",
            ParamType::Int => "a whole number",
            ParamType::Bool => "true or false",
            ParamType::Float => "a number",
            ParamType::List => "a list",
            ParamType::Map => "a map",
            ParamType::Path => "an absolute path",
            ParamType::Port => "a port from 1 to 65535",
            ParamType::Host => "a host name or an address",
            ParamType::Cidr => "an address with prefix length, such as 192.0.2.10/24",
            ParamType::Duration => "a duration such as 90s, 15m or 24h",
            ParamType::Secret => "the name of a secret, as {\"secret\": \"name\"}",
        };
        return Err(format!("must be {expected} (type `{}`), not {}", param.kind.word(), shown(param.kind, value)));
    }
    if !param.choices.is_empty() && !param.choices.contains(value) {
        let choices: Vec<String> = param.choices.iter().map(ToString::to_string).collect();
        return Err(format!("must be one of {}, not {value}", choices.join(", ")));
    }
    Ok(())
}

/// The wrong value, unless it might be a secret written in the open.
fn shown(kind: ParamType, value: &Value) -> String {
    match (kind, value) {
        (ParamType::Secret, _) | (_, Value::Array(_) | Value::Object(_)) => match value {
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a map".to_owned(),
            _ => "what is there".to_owned(),
        },
        _ => value.to_string(),
    }
}

/// The secret that a value refers to: `{"secret": "name"}`.
pub(crate) fn secret_name(value: &Value) -> Option<&str> {
    let object = value.as_object()?;
    match (object.len(), object.get("secret")) {
        (1, Some(Value::String(name))) => Some(name),
        _ => None,
    }
}

/// `90s`, `15m`, `24h`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
        || (!text.is_empty()
            && text.len() <= 253
            && text.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            }))
}
