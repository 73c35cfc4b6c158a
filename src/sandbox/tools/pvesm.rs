//! `pvesm`: storages and volumes.

use std::fmt::Write;

use super::{bad_parameter, id_at, not_modelled, task};
use crate::model::GuestKind;
use crate::pve::argv::Call;
use crate::sandbox::pace;
use crate::sandbox::session::{Done, Session, fail};
use crate::sandbox::storage::{Storage, Volume, size_bytes, split};
use crate::sandbox::world::World;

/// Bytes of a storage that is not said to have others.
const CAPACITY: u64 = 1 << 40;

/// Runs one command of `pvesm`.
pub(super) fn run(s: &mut Session, call: &Call) -> Done<i32> {
    match call.command.as_str() {
        "pvesm status" => status(s, call),
        "pvesm list" => list(s, call),
        "pvesm alloc" => alloc(s, call),
        "pvesm free" => free(s, call),
        "pvesm path" => path(s, call),
        "pvesm add" => add(s, call),
        "pvesm set" => set(s, call),
        "pvesm remove" => remove(s, call),
        "pvesm apiinfo" => {
            s.print("APIVER 15\nAPIAGE 6");
            Ok(0)
        }
        _ => Err(not_modelled(call)),
    }
}

/// Bytes that volumes and templates take.
fn used(world: &World, storage: &Storage) -> u64 {
    let here = |volid: &str| split(volid).is_some_and(|(id, _)| id == storage.id);
    let volumes: u64 = world.volumes().iter().filter(|(volid, _)| here(volid)).map(|(_, volume)| volume.size).sum();
    let templates: u64 = world.templates.iter().filter(|t| here(&t.volid)).map(|t| t.size).sum();
    volumes + templates
}

/// A storage's state: name, type, status, and total, used, available bytes.
pub(super) fn usage_of(world: &World, storage: &Storage) -> (u64, u64) {
    let total = storage.size.unwrap_or(CAPACITY);
    (total, if world.is_full(storage) { total } else { used(world, storage).min(total) })
}

fn status(s: &mut Session, call: &Call) -> Done<i32> {
    let mut storages: Vec<&Storage> = s.world().storages.iter().collect();
    if let Some(id) = call.option("storage") {
        storages.retain(|storage| storage.id == id);
        if storages.is_empty() {
            return Err(bad_parameter(call, "storage", "No such storage."));
        }
    }
    if let Some(content) = call.option("content") {
        storages.retain(|storage| content.split(',').any(|content| storage.takes(content)));
    }
    if call.is_on("enabled") {
        storages.retain(|storage| !storage.disable);
    }
    storages.sort_by(|a, b| a.id.cmp(&b.id));
    let width = storages.iter().map(|storage| storage.id.len()).max().unwrap_or(4).max(4);
    let headings = ["Type", "Status", "Total (KiB)", "Used (KiB)", "Available (KiB)", "%"];
    let [kind, state, total, taken, free, percent] = headings;
    let mut text =
        format!("{:<width$} {kind:>10} {state:>10} {total:>15} {taken:>15} {free:>15} {percent:>8}\n", "Name");
    for storage in storages {
        let offline = s.world().is_offline(storage);
        let (total, used) = if storage.disable || offline { (0, 0) } else { usage_of(s.world(), storage) };
        let state = match (storage.disable, offline) {
            (true, _) => "disabled",
            (_, true) => "inactive",
            _ => "active",
        };
        let percent = match total {
            0 => "N/A".to_owned(),
            total => format!("{:.2}%", used as f64 * 100.0 / total as f64),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{:<width$} {:>10} {state:>10} {:>15} {:>15} {:>15} {percent:>8}",
            storage.id,
            storage.kind,
            total >> 10,
            used >> 10,
            (total - used) >> 10,
        );
    }
    s.write(text.as_bytes());
    Ok(0)
}

/// One line of `pvesm list`.
pub(super) struct Row {
    pub(super) volid: String,
    pub(super) format: String,
    pub(super) content: &'static str,
    pub(super) size: u64,
    pub(super) vmid: Option<u32>,
}

/// What lies on a storage, by volume id.
pub(super) fn rows(world: &World, storage: &str) -> Vec<Row> {
    let here = |volid: &str| split(volid).is_some_and(|(id, _)| id == storage);
    let volume = |(volid, volume): (&String, &Volume)| {
        let container = world.guest(volume.owner).is_some_and(|guest| guest.kind == GuestKind::Lxc);
        Row {
            volid: volid.clone(),
            format: volume.format.clone(),
            content: if container { "rootdir" } else { "images" },
            size: volume.size,
            vmid: Some(volume.owner.get()),
        }
    };
    let mut rows: Vec<Row> = world.volumes().iter().filter(|(volid, _)| here(volid)).map(volume).collect();
    rows.extend(world.templates.iter().filter(|template| here(&template.volid)).map(|template| Row {
        volid: template.volid.clone(),
        format: template.format.clone(),
        content: "vztmpl",
        size: template.size,
        vmid: None,
    }));
    rows.sort_by(|a, b| a.volid.cmp(&b.volid));
    rows
}

fn list(s: &mut Session, call: &Call) -> Done<i32> {
    let storage = &call.positionals[0];
    s.world().usable_storage(storage).map_err(fail)?;
    let mut rows = rows(s.world(), storage);
    if let Some(id) = call.option("vmid") {
        rows.retain(|row| row.vmid.is_some_and(|vmid| vmid.to_string() == id));
    }
    if let Some(content) = call.option("content") {
        rows.retain(|row| content.split(',').any(|content| content == row.content));
    }
    let wide = rows.iter().map(|row| row.volid.len()).max().unwrap_or(0).max("Volid".len());
    let long = rows.iter().map(|row| row.size.to_string().len()).max().unwrap_or(0);
    let mut text = format!("{:<wide$} {:<7} {:<9} {:>long$} VMID\n", "Volid", "Format", "Type", "Size");
    for row in rows {
        let vmid = row.vmid.map(|id| id.to_string()).unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{:<wide$} {:<7} {:<9} {:>long$} {vmid}", row.volid, row.format, row.content, row.size);
    }
    s.write(text.as_bytes());
    Ok(0)
}

fn alloc(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 1)?;
    let [storage, _, name, size] = &call.positionals[..] else { return Err(fail("400 not enough arguments")) };
    let storage = s.world().usable_storage(storage).map_err(fail)?.clone();
    // A plain number means KiB.
    let plain = size.bytes().all(|b| b.is_ascii_digit());
    let bytes = size_bytes(&if plain { format!("{size}K") } else { size.clone() });
    let bytes = bytes.ok_or_else(|| fail(format!("unable to parse size '{size}'")))?;
    let format = call.option("format");
    let volid = if name.is_empty() {
        let format = format.unwrap_or("raw");
        let number = s.world().free_number(&storage, id);
        format!("{}:{}", storage.id, storage.volume_name(id, number, format))
    } else {
        let directory = if storage.is_path_based() { format!("{id}/") } else { String::new() };
        let named = name.starts_with("vm-") || name.starts_with("subvol-") || name.starts_with("base-");
        if !named || (storage.is_path_based() && !name.contains('.')) {
            return Err(fail(format!("unable to parse volume filename '{name}'")));
        }
        format!("{}:{directory}{name}", storage.id)
    };
    if s.world().volumes().contains_key(&volid) {
        let path = storage.path_of(split(&volid).map_or("", |(_, name)| name));
        let path = path.trim_end_matches("/disk.raw");
        return Err(fail(format!("disk image '{path}' already exists")));
    }
    s.wait(pace::ALLOCATE)?;
    let suffix = volid.rsplit_once('.').map(|(_, suffix)| suffix.to_owned());
    let format = format.map(str::to_owned).or(suffix).unwrap_or_else(|| "raw".to_owned());
    let volume = Volume { owner: id, size: bytes, format, base: None, snapshots: Vec::new() };
    s.world_mut().put_volume(&volid, volume);
    s.print(format!("successfully created '{volid}'"));
    Ok(0)
}

/// What fails within the task leaves exit status 0.
fn free(s: &mut Session, call: &Call) -> Done<i32> {
    let volid = call.positionals[0].clone();
    let Some((storage, name)) = split(&volid) else {
        return Err(bad_parameter(call, "volume", &format!("invalid format - unable to parse volume ID '{volid}'\n")));
    };
    let storage = s.world().usable_storage(storage).map_err(fail)?.clone();
    let path = storage.path_of(name);
    if let Some(user) = s.world().clone_on(&volid).map(str::to_owned) {
        s.warn(format!("base volume '{volid}' is still in use by linked clones ({user})"));
        return Ok(0);
    }
    s.wait(pace::ALLOCATE)?;
    let found = s.world_mut().remove_volume(&volid).is_some();
    if !found && storage.kind == "btrfs" {
        s.warn(super::pct::btrfs_missing(&path));
        return Ok(0);
    }
    if !found {
        s.warn(format!("disk image '{path}' does not exist"));
    }
    task(s, super::Exit::Lost, |s| {
        s.print(format!("Removed volume '{volid}'"));
        Ok(())
    })
}

/// Never looks whether the volume is there.
fn path(s: &mut Session, call: &Call) -> Done<i32> {
    let volid = &call.positionals[0];
    let Some((storage, name)) = split(volid) else {
        return Err(bad_parameter(call, "volume", &format!("invalid format - unable to parse volume ID '{volid}'\n")));
    };
    let path = s.world().usable_storage(storage).map_err(fail)?.path_of(name);
    s.print(path);
    Ok(0)
}

fn content_of(call: &Call) -> Option<Vec<String>> {
    let content = call.option("content")?;
    Some(crate::pve::format::split_list(content).into_iter().map(str::to_owned).collect())
}

fn add(s: &mut Session, call: &Call) -> Done<i32> {
    let [kind, id] = &call.positionals[..] else { return Err(fail("400 not enough arguments")) };
    if s.world().storage(id).is_some() {
        return Err(fail(format!("create storage failed: storage ID '{id}' already defined")));
    }
    let place = ["path", "pool", "vgname"].iter().find_map(|option| call.option(option)).unwrap_or_default();
    let storage = Storage {
        id: id.clone(),
        kind: kind.clone(),
        path: place.to_owned(),
        content: content_of(call).unwrap_or_else(|| ["images", "rootdir"].map(str::to_owned).into()),
        size: None,
        disable: call.is_on("disable"),
        options: other_options(call),
        can: serde_json::Value::Null,
    };
    s.world_mut().storages_mut().push(storage);
    Ok(0)
}

fn set(s: &mut Session, call: &Call) -> Done<i32> {
    let id = &call.positionals[0];
    let storages = s.world_mut().storages_mut();
    let Some(storage) = storages.iter_mut().find(|storage| storage.id == *id) else {
        return Err(fail(format!("update storage failed: storage '{id}' does not exist")));
    };
    if let Some(content) = content_of(call) {
        storage.content = content;
    }
    if let Some(disable) = call.option("disable") {
        storage.disable = disable == "1";
    }
    storage.options.extend(other_options(call));
    Ok(0)
}

/// Options that are kept as they were given.
fn other_options(call: &Call) -> std::collections::BTreeMap<String, String> {
    const ELSEWHERE: [&str; 5] = ["path", "pool", "vgname", "content", "disable"];
    let others = call.options.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str()));
    others.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn remove(s: &mut Session, call: &Call) -> Done<i32> {
    let id = &call.positionals[0];
    if s.world().storage(id).is_none() {
        return Err(fail(format!("delete storage failed: storage '{id}' does not exist")));
    }
    s.world_mut().storages_mut().retain(|storage| storage.id != *id);
    Ok(0)
}
