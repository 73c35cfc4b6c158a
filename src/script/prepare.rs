//! What `prepare` answers: `#{ devices, mounts, features, lines }`.

use rhai::Dynamic;
use serde_json::Value;

use super::api::to_json;
use super::error::{Raised, Thrown};
use crate::finding::did_you_mean;
use crate::model::{BindMount, Prepared};

/// Keys of the map.
pub(super) const KEYS: [&str; 4] = ["devices", "mounts", "features", "lines"];

/// Mode of a device inside when none is said: what the device has on most nodes.
const DEVICE_MODE: &str = "0666";

/// Reads the answer of a `prepare`; `()` asks for nothing.
pub(crate) fn read(answer: &Dynamic) -> Result<Prepared, Thrown> {
    if answer.is_unit() {
        return Ok(Prepared::default());
    }
    let answer = match to_json(answer) {
        Ok(Value::Object(answer)) => answer,
        Ok(_) | Err(Raised::End(_) | Raised::Script(_)) => {
            return Err(Thrown::invalid("`prepare` must answer a map: `#{ devices, mounts, features, lines }`"));
        }
        Err(Raised::Error(thrown)) => return Err(thrown),
    };
    let mut prepared = Prepared::default();
    for (key, value) in &answer {
        match key.as_str() {
            "devices" => {
                for item in list(key, value)? {
                    let (path, mode) = match item {
                        Value::String(path) => (Some(path.as_str()), None),
                        Value::Object(device) => (device.get("path").and_then(Value::as_str), device.get("mode")),
                        _ => (None, None),
                    };
                    let path = path.ok_or_else(|| wrong(key, "paths, or maps as `devices()` answers them"))?;
                    let mode = mode.and_then(Value::as_str).unwrap_or(DEVICE_MODE);
                    prepared.devices.insert(path.to_owned(), mode.to_owned());
                }
            }
            "mounts" => {
                for item in list(key, value)? {
                    prepared.mounts.push(mount(item)?);
                }
            }
            "features" => {
                let Value::Object(features) = value else {
                    return Err(wrong(key, "a map such as `#{ nesting: true }`"));
                };
                for (name, value) in features {
                    let value = match value {
                        Value::Bool(wanted) => u8::from(*wanted).to_string(),
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    prepared.features.insert(name.clone(), value);
                }
            }
            "lines" => {
                for item in list(key, value)? {
                    let line = item.as_str().and_then(|line| line.split_once(':'));
                    let (name, value) =
                        line.ok_or_else(|| wrong(key, "texts such as `lxc.apparmor.profile: unconfined`"))?;
                    prepared.lines.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
            _ => {
                let hint = match did_you_mean(key, KEYS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known: {}", KEYS.join(", ")),
                };
                return Err(Thrown::invalid(format!("`prepare` cannot ask for `{key}`")).hint(hint));
            }
        }
    }
    Ok(prepared)
}

fn wrong(key: &str, expected: &str) -> Thrown {
    Thrown::invalid(format!("`{key}` of `prepare` must be a list of {expected}"))
}

fn list<'a>(key: &str, value: &'a Value) -> Result<&'a Vec<Value>, Thrown> {
    value.as_array().ok_or_else(|| wrong(key, "things"))
}

fn mount(item: &Value) -> Result<BindMount, Thrown> {
    let expected = || wrong("mounts", "maps `#{ source, target, read_only, file }`");
    let item = item.as_object().ok_or_else(expected)?;
    if item.keys().any(|key| !["source", "target", "read_only", "file"].contains(&key.as_str())) {
        return Err(expected());
    }
    let path = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(expected);
    let flag = |key: &str| item.get(key).and_then(Value::as_bool).unwrap_or(false);
    Ok(BindMount {
        host_path: path("source")?,
        container_path: path("target")?,
        owner_uid: None,
        owner_gid: None,
        file: flag("file"),
        read_only: flag("read_only"),
        id_map: None,
    })
}
