//! `pvesh`: the paths of the API that tools look at, as JSON or, for single values, as text. Changes are in
//! [`pvesh_change`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{bad_parameter, not_modelled, pct, pvesh_change, pvesm, qm};
use crate::model::{GuestId, GuestKind};
use crate::pve::argv::Call;
use crate::pve::table::{Kind, table};
use crate::sandbox::config::{Config, Section};
use crate::sandbox::session::{Done, Session, Stop, fail_with};
use crate::sandbox::vm;
use crate::sandbox::world::Guest;

/// Runs one command of `pvesh`.
pub(super) fn run(s: &mut Session, call: &Call) -> Done<i32> {
    let path = call.positionals.first().map(String::as_str).unwrap_or_default();
    let method = call.command.strip_prefix("pvesh ").unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let value = match (method, &parts[..]) {
        ("ls", ["nodes", _, "lxc" | "qemu"]) => return Ok(0),
        ("get", parts) => get(s, call, path, parts)?,
        ("set" | "create" | "delete", _) => {
            if !known(&parts) {
                return Err(no_handler(method, path));
            }
            return pvesh_change::run(s, call, method, &parts);
        }
        _ => return Err(not_modelled(call)),
    };
    let json = call.option("output-format").is_some_and(|format| format.starts_with("json"));
    match value {
        Value::String(text) if !json => s.print(text),
        value => s.print(value.to_string()),
    }
    Ok(0)
}

fn no_handler(method: &str, path: &str) -> Stop {
    fail_with(1, format!("No '{method}' handler defined for '{path}'"))
}

/// Whether anything below this path can be changed on a real node.
fn known(parts: &[&str]) -> bool {
    matches!(parts, ["nodes", _, "lxc" | "qemu" | "storage", ..] | ["cluster" | "pools" | "storage" | "access", ..])
}

fn get(s: &Session, call: &Call, path: &str, parts: &[&str]) -> Done<Value> {
    let world = s.world();
    if let ["nodes", node, ..] = parts
        && *node != world.node
        && parts.len() > 2
    {
        return Err(fail_with(
            2,
            format!(
                "hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
            ),
        ));
    }
    match parts {
        ["version"] | ["nodes", _, "version"] => {
            let version = world.version.get("pve-manager").cloned().unwrap_or_default();
            let release = version.rsplit_once('.').map_or(version.as_str(), |(release, _)| release);
            Ok(json!({"release": release, "version": version, "repoid": "0000000000000000"}))
        }
        ["pools"] => Ok(json!([])),
        ["nodes"] => Ok(json!([{"node": world.node, "status": "online", "type": "node", "id": format!("node/{}", world.node)}])),
        ["cluster", "nextid"] => next_id(s, call),
        ["cluster", "resources"] => resources(s, call),
        ["nodes", _, "storage"] => Ok(world.storages.iter().map(|storage| {
            let (total, used) = pvesm::usage_of(world, storage);
            json!({"active": 1, "avail": total - used, "content": storage.content.join(","), "enabled": u8::from(!storage.disable),
                "shared": 0, "storage": storage.id, "total": total, "type": storage.kind, "used": used,
                "used_fraction": used as f64 / total as f64})
        }).collect()),
        ["nodes", _, "storage", storage, "content"] => Ok(pvesm::rows(world, storage).into_iter().map(|row| {
            let mut item = json!({"volid": row.volid, "format": row.format, "content": row.content, "size": row.size});
            if let Some(id) = row.vmid {
                item["vmid"] = id.into();
            }
            item
        }).collect()),
        ["nodes", _, "lxc"] => Ok(guests(s, GuestKind::Lxc).map(|guest| status(s, guest)).collect()),
        ["nodes", _, "qemu"] => Ok(guests(s, GuestKind::Vm).map(|guest| status(s, guest)).collect()),
        ["nodes", _, "lxc", id, rest @ ..] => guest(s, path, (GuestKind::Lxc, id), rest),
        ["nodes", _, "qemu", id, rest @ ..] => guest(s, path, (GuestKind::Vm, id), rest),
        _ => Err(no_handler("get", path)),
    }
}

/// Guests of this node of one kind.
fn guests<'s>(s: &'s Session, kind: GuestKind) -> impl Iterator<Item = &'s Guest> {
    s.world().guests().filter(move |guest| guest.kind == kind && guest.node.is_none())
}

fn status(s: &Session, guest: &Guest) -> Value {
    match guest.kind {
        GuestKind::Lxc => json!(pct::status_fields(s, guest)),
        GuestKind::Vm => json!(qm::status_fields(s, guest)),
    }
}

fn guest(s: &Session, path: &str, (kind, id): (GuestKind, &str), rest: &[&str]) -> Done<Value> {
    let found = id.parse::<GuestId>().ok().and_then(|id| guests(s, kind).find(|guest| guest.id == id));
    let folder = if kind == GuestKind::Lxc { "lxc" } else { "qemu-server" };
    let absent = || format!("Configuration file 'nodes/{}/{folder}/{id}.conf' does not exist", s.world().node);
    let guest = found.ok_or_else(|| fail_with(2, absent()))?;
    let config = &guest.config;
    let digest = config.digest(kind);
    match rest {
        ["config"] => {
            let mut object = object(kind, &config.coming());
            object.insert("digest".to_owned(), digest.into());
            Ok(Value::Object(object))
        }
        ["status", "current"] => {
            let mut fields = status(s, guest);
            fields["ha"] = json!({"managed": 0});
            if kind == GuestKind::Vm {
                fields["qmpstatus"] = fields["status"].clone();
            }
            if kind == GuestKind::Vm && vm::has_agent(&config.current) {
                fields["agent"] = 1.into();
            }
            Ok(fields)
        }
        ["pending"] => Ok(pending(kind, config, &digest)),
        ["snapshot"] => Ok(snapshots(guest, &digest)),
        ["snapshot", name, "config"] => match config.snapshots.get(*name) {
            Some(section) => Ok(Value::Object(object(kind, section))),
            None => Err(fail_with(255, format!("snapshot '{name}' does not exist"))),
        },
        _ => Err(no_handler("get", path)),
    }
}

/// Keys as JSON: numbers and booleans of the option table are numbers.
fn object(kind: GuestKind, section: &Section) -> Map<String, Value> {
    let described = match kind {
        GuestKind::Lxc => section.description.clone(),
        GuestKind::Vm => section.description.trim_end_matches('\n').to_owned(),
    };
    let mut object: Map<String, Value> = shown(kind, section)
        .into_iter()
        .map(|(key, value)| {
            let value = if key == "description" { described.clone() } else { value };
            let typed = typed(kind, &key, value);
            (key, typed)
        })
        .collect();
    if !section.raw.is_empty() {
        object.insert("lxc".to_owned(), json!(section.raw));
    }
    object
}

/// A section's keys as the tool of its guest shows them.
fn shown(kind: GuestKind, section: &Section) -> BTreeMap<String, String> {
    match kind {
        GuestKind::Lxc => pct::shown(section),
        GuestKind::Vm => qm::shown(section),
    }
}

fn typed(kind: GuestKind, key: &str, value: String) -> Value {
    let command = if kind == GuestKind::Lxc { "pct set" } else { "qm set" };
    let schema = table().command(command).and_then(|(_, spec)| spec.option(key)).map(|schema| schema.kind);
    let number = matches!(schema, Some(Kind::Integer | Kind::Boolean)) || key == "snaptime";
    match value.parse::<i64>() {
        Ok(value) if number => value.into(),
        _ => value.into(),
    }
}

fn pending(kind: GuestKind, config: &Config, digest: &str) -> Value {
    let mut entries: Vec<Value> = pct::pending_entries(config, &shown(kind, &config.current))
        .into_iter()
        .map(|entry| {
            let mut item = Map::new();
            item.insert("key".to_owned(), entry.key.clone().into());
            if let Some(value) = entry.value {
                item.insert("value".to_owned(), typed(kind, &entry.key, value));
            }
            if let Some(pending) = entry.pending {
                item.insert("pending".to_owned(), typed(kind, &entry.key, pending));
            }
            if let Some(force) = entry.delete {
                item.insert("delete".to_owned(), if force { 2 } else { 1 }.into());
            }
            Value::Object(item)
        })
        .collect();
    entries.push(json!({"key": "digest", "value": digest}));
    entries.into()
}

fn snapshots(guest: &Guest, digest: &str) -> Value {
    let mut list: Vec<Value> = guest
        .config
        .snapshots
        .iter()
        .map(|(name, section)| {
            let time = section.get("snaptime").and_then(|time| time.parse::<i64>().ok()).unwrap_or_default();
            let mut item = json!({"name": name, "snaptime": time, "description": section.description});
            if let Some(parent) = section.get("parent") {
                item["parent"] = parent.into();
            }
            item
        })
        .collect();
    let running = u8::from(guest.running.is_some());
    let mut current = json!({"name": "current", "digest": digest, "running": running, "description": "You are here!"});
    if let Some(parent) = guest.config.current.get("parent") {
        current["parent"] = parent.into();
    }
    list.push(current);
    list.into()
}

fn next_id(s: &Session, call: &Call) -> Done<Value> {
    let taken = |id: u32| s.world().guests().any(|guest| guest.id.get() == id);
    match call.option("vmid") {
        None => Ok((100..).find(|id| !taken(*id)).unwrap_or_default().to_string().into()),
        Some(word) => match word.parse::<GuestId>() {
            Err(_) => Err(bad_parameter(call, "vmid", "invalid format - value does not look like a valid VM ID\n")),
            Ok(id) if taken(id.get()) => Err(bad_parameter(call, "vmid", &format!("VM {id} already exists"))),
            Ok(id) => Ok(id.to_string().into()),
        },
    }
}

fn resources(s: &Session, call: &Call) -> Done<Value> {
    const TYPES: [&str; 4] = ["vm", "storage", "node", "sdn"];
    let wanted = call.option("type");
    if let Some(wanted) = wanted.filter(|wanted| !TYPES.contains(wanted)) {
        let message = format!("value '{wanted}' does not have a value in the enumeration '{}'", TYPES.join(", "));
        return Err(bad_parameter(call, "type", &message));
    }
    let (world, all) = (s.world(), wanted.is_none());
    let mut items = Vec::new();
    if all || wanted == Some("vm") {
        for (kind, word) in [(GuestKind::Lxc, "lxc"), (GuestKind::Vm, "qemu")] {
            for guest in guests(s, kind) {
                let mut item = status(s, guest);
                item["id"] = format!("{word}/{}", guest.id).into();
                item["type"] = word.into();
                item["node"] = world.node.clone().into();
                items.push(item);
            }
        }
    }
    if all || wanted == Some("node") {
        items.push(
            json!({"id": format!("node/{}", world.node), "type": "node", "node": world.node, "status": "online"}),
        );
    }
    if all || wanted == Some("storage") {
        items.extend(world.storages.iter().map(|storage| {
            let (total, used) = pvesm::usage_of(world, storage);
            json!({"id": format!("storage/{}/{}", world.node, storage.id), "type": "storage", "node": world.node,
                "storage": storage.id, "plugintype": storage.kind, "content": storage.content.join(","), "shared": 0,
                "status": "available", "disk": used, "maxdisk": total})
        }));
    }
    Ok(items.into())
}
