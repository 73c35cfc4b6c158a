//! `pvesh`: the paths of the API that tools look at, as JSON or, for single values, as text.
//!
//! | module | what |
//! |---|---|
//! | [`route`] | which paths there are, and what they take |
//! | [`change`] | changes, which are those of `pct` and `qm` |
//! | [`firewall`] | the firewall of the cluster, of the node, of guests |

mod change;
mod firewall;
mod route;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{bad_parameter, both, not_modelled, pct, pvesm, qm, quorum, understand};
use crate::model::{GuestId, GuestKind};
use crate::pve::argv::{self, Call};
use crate::pve::format::split_list;
use crate::pve::table::{Kind, table};
use crate::sandbox::config::{Config, Section};
use crate::sandbox::disk;
use crate::sandbox::pending::volume_of;
use crate::sandbox::session::{Done, Session, Stop, fail, fail_with};
use crate::sandbox::storage::Storage;
use crate::sandbox::vm;
use crate::sandbox::world::Guest;

/// Understands and runs one command of `pvesh`. What it takes depends on the path, which is its first word.
pub(super) fn run(s: &mut Session, words: &[String]) -> Done<i32> {
    let method = words.get(1).map(String::as_str).unwrap_or_default();
    let path = words.get(2).map(String::as_str).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let understood = match method {
        "get" | "set" | "create" | "delete" => {
            let spec = route::specification(method, &parts);
            argv::parse_with(&format!("pvesh {method}"), &spec, &words[2..])
        }
        _ => understand(s, words),
    };
    let call = match understood {
        Ok(call) => call,
        Err(refusal) => {
            s.write_err(refusal.stderr.as_bytes());
            return Ok(refusal.code);
        }
    };
    quorum::check(s.world(), &call)?;
    let value = match (method, &parts[..]) {
        ("ls", ["nodes", _, "lxc" | "qemu"]) => return list(s, &parts),
        ("get" | "set" | "create" | "delete", _) if !route::exists(method, &parts) => {
            return Err(no_handler(method, path));
        }
        ("get" | "set" | "create" | "delete", parts) if elsewhere(s, parts) => return Err(unreachable(parts[1])),
        ("get" | "set" | "create" | "delete", parts) if firewall::place(parts).is_some() => {
            firewall::run(s, &call, method, parts)?
        }
        ("get", parts) => get(s, &call, parts)?,
        ("set" | "create" | "delete", _) => return change::run(s, &call, method, &parts),
        _ => return Err(not_modelled(&call)),
    };
    let json = call.option("output-format").is_some_and(|format| format.starts_with("json"));
    match value {
        Value::Null => {}
        Value::String(text) if !json => s.print(text),
        value => s.print(value.to_string()),
    }
    Ok(0)
}

/// Guests of the node, with what can be done with each: it is a directory, it can be read, it can be deleted.
fn list(s: &mut Session, parts: &[&str]) -> Done<i32> {
    let kind = if parts[2] == "lxc" { GuestKind::Lxc } else { GuestKind::Vm };
    let ids: Vec<GuestId> = guests(s, kind).map(|guest| guest.id).collect();
    for id in ids {
        s.print(format!("Dr--d        {id}"));
    }
    Ok(0)
}

fn no_handler(method: &str, path: &str) -> Stop {
    fail_with(1, format!("No '{method}' handler defined for '{path}'"))
}

/// Whether the path is about another node, which this one would have to reach.
fn elsewhere(s: &Session, parts: &[&str]) -> bool {
    matches!(parts, ["nodes", node, _, ..] if *node != s.world().node && *node != "localhost")
}

fn unreachable(node: &str) -> Stop {
    let reason = format!("failed to get address info for: {node}: Name or service not known");
    fail_with(2, format!("hostname lookup '{node}' failed - {reason}"))
}

fn get(s: &Session, call: &Call, parts: &[&str]) -> Done<Value> {
    let world = s.world();
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
        ["nodes", _, "storage"] => Ok(storages(s, call).map(|storage| {
            let (total, used) = pvesm::usage_of(world, storage);
            if storage.disable || world.is_offline(storage) {
                return json!({"active": 0, "content": storage.content.join(","), "enabled": u8::from(!storage.disable),
                    "shared": 0, "storage": storage.id, "type": storage.kind});
            }
            json!({"active": 1, "avail": total - used, "content": storage.content.join(","), "enabled": u8::from(!storage.disable),
                "shared": 0, "storage": storage.id, "total": total, "type": storage.kind, "used": used,
                "used_fraction": used as f64 / total as f64})
        }).collect()),
        ["nodes", _, "storage", storage, "content"] => Ok(content(s, call, storage)?.into_iter().map(|row| {
            let mut item = json!({"volid": row.volid, "format": row.format, "content": row.content, "size": row.size});
            if let Some(id) = row.vmid {
                item["vmid"] = id.into();
            }
            item
        }).collect()),
        ["nodes", _, "lxc"] => Ok(guests(s, GuestKind::Lxc).map(|guest| status(s, guest)).collect()),
        ["nodes", _, "qemu"] => Ok(guests(s, GuestKind::Vm).map(|guest| status(s, guest)).collect()),
        ["nodes", _, "storage", storage, "status"] => {
            let storage = world.usable_storage(storage).map_err(fail)?;
            let (total, used) = pvesm::usage_of(world, storage);
            Ok(json!({"active": 1, "avail": total - used, "content": storage.content.join(","), "enabled": 1,
                "shared": 0, "total": total, "type": storage.kind, "used": used}))
        }
        ["nodes", _, "lxc", id, rest @ ..] => guest(s, call, (GuestKind::Lxc, id), rest),
        ["nodes", _, "qemu", id, rest @ ..] => guest(s, call, (GuestKind::Vm, id), rest),
        _ => Err(not_modelled(call)),
    }
}

/// Storages that are asked for.
fn storages<'s>(s: &'s Session, call: &'s Call) -> impl Iterator<Item = &'s Storage> {
    let wanted = call.option("content").map(split_list);
    let named = call.option("storage");
    s.world().storages.iter().filter(move |storage| {
        let takes = wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|content| storage.takes(content)));
        takes && named.is_none_or(|named| storage.id == named) && !(call.is_on("enabled") && storage.disable)
    })
}

/// What lies on a storage, as far as it is asked for.
fn content(s: &Session, call: &Call, storage: &str) -> Done<Vec<pvesm::Row>> {
    s.world().usable_storage(storage).map_err(fail)?;
    let mut rows = pvesm::rows(s.world(), storage);
    if let Some(id) = call.option("vmid") {
        rows.retain(|row| row.vmid.is_some_and(|vmid| vmid.to_string() == id));
    }
    if let Some(content) = call.option("content") {
        rows.retain(|row| row.content == content);
    }
    Ok(rows)
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

fn guest(s: &Session, call: &Call, (kind, id): (GuestKind, &str), rest: &[&str]) -> Done<Value> {
    let found = id.parse::<GuestId>().ok().and_then(|id| guests(s, kind).find(|guest| guest.id == id));
    let folder = if kind == GuestKind::Lxc { "lxc" } else { "qemu-server" };
    let absent = || format!("Configuration file 'nodes/{}/{folder}/{id}.conf' does not exist", s.world().node);
    let guest = found.ok_or_else(|| fail_with(2, absent()))?;
    let config = &guest.config;
    let digest = config.digest(kind);
    match rest {
        ["config"] => {
            let section = match call.option("snapshot") {
                Some(name) => snapshot_of(config, name)?.clone(),
                None if call.is_on("current") => config.current.clone(),
                None => config.coming(),
            };
            let mut object = object(kind, &section);
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
        ["snapshot", name, "config"] => Ok(Value::Object(object(kind, snapshot_of(config, name)?))),
        ["snapshot", _] => Ok(json!([{"cmd": "rollback"}, {"cmd": "config"}])),
        ["feature"] => Ok(json!({"hasFeature": u8::from(feature(s, call, guest)?)})),
        _ => Err(not_modelled(call)),
    }
}

fn snapshot_of<'c>(config: &'c Config, name: &str) -> Done<&'c Section> {
    config.snapshots.get(name).ok_or_else(|| fail(format!("snapshot '{name}' does not exist")))
}

/// Whether all volumes of a guest can be snapshotted, cloned, or copied.
fn feature(s: &Session, call: &Call, guest: &Guest) -> Done<bool> {
    let snapshot = call.option("snapname");
    let section = match snapshot {
        Some(name) => snapshot_of(&guest.config, name)?,
        None => &guest.config.current,
    };
    let volumes: Vec<Option<String>> = match guest.kind {
        GuestKind::Lxc => section.mount_points().into_iter().map(|(key, value)| volume_of(key, value)).collect(),
        GuestKind::Vm => disk::drives(section)
            .iter()
            .filter(|(_, drive)| !disk::is_cdrom(drive))
            .map(|(_, drive)| Some(disk::file(drive).to_owned()))
            .collect(),
    };
    Ok(volumes.into_iter().all(|volume| {
        let Some(volume) = volume else { return false };
        let Some(storage) = s.world().storage_of(&volume) else { return false };
        let format = s.world().volumes().get(&volume).map_or("raw", |volume| volume.format.as_str());
        match (call.option("feature"), guest.kind) {
            (Some("snapshot"), _) => storage.can_snapshot(format),
            (Some("clone"), GuestKind::Lxc) => storage.can_link(&volume, snapshot),
            (Some("clone"), GuestKind::Vm) => storage.can_link_disk(&volume, format, snapshot),
            _ => snapshot.is_none() || storage.can_copy_snapshot(),
        }
    }))
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
    let mut entries: Vec<Value> = both::pending_entries(config, &shown(kind, &config.current))
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
            Err(_) => Err(fail(format!("unable to parse guest ID '{word}'"))),
            Ok(id) if taken(id.get()) => Err(bad_parameter(call, "vmid", &format!("VM {id} already exists"))),
            Ok(id) => Ok(id.to_string().into()),
        },
    }
}

fn resources(s: &Session, call: &Call) -> Done<Value> {
    let wanted = call.option("type");
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
