//! `qm set`.
//!
//! Every change is first written down as pending. What the machine can take at once then moves into force: all of it
//! when it is stopped, some keys when it runs.

use std::collections::BTreeSet;

use super::*;
use crate::pve::format::split_list;
use crate::sandbox::config::number;
use crate::sandbox::disk::{boot_order, drive, file, is_cdrom, is_cloud_init, is_drive, print_boot_order};
use crate::sandbox::pending::{self, put_key};

pub(super) fn set(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    change(s, call, id)?;
    Ok(0)
}

/// Does what the options of `qm set` say.
pub(in super::super) fn change(s: &mut Session, call: &Call, id: GuestId) -> Done {
    let options = keys::options(s, call)?;
    let given: Vec<(String, String)> = options.iter().filter(|(key, _)| keys::is_key(key)).cloned().collect();
    let named = |option: &str| -> Vec<String> {
        let names = call.option(option).map(split_list).unwrap_or_default().into_iter();
        names.map(|name| if name == "cdrom" { "ide2" } else { name }.to_owned()).collect()
    };
    let (deleted, reverted) = (named("delete"), named("revert"));
    let nothing = |option: &str| call.option(option).is_none_or(|text| matches!(text, "" | "0"));
    if given.is_empty() && nothing("delete") && nothing("revert") {
        return Err(fail("no options specified"));
    }
    contradiction(call, &given, &deleted, &reverted)?;
    for (key, value) in given.iter().filter(|(key, _)| is_drive(key)) {
        disk::check_storage(s.world(), call, key, value)?;
    }
    here(s.world(), id)?;
    flock(s, id)?;
    unlocked_or_skipped(s, id, call)?;
    unmodified(s.world(), id, call)?;
    check_balloon(s, id, &given)?;
    for key in &reverted {
        let config = &mut here_mut(s.world_mut(), id)?.config;
        config.pending.remove(key);
        config.deleted.remove(key);
    }
    let shown = options.iter().map(|(key, value)| match key.as_str() {
        "cipassword" => format!("-{key} <hidden>"),
        _ => format!("-{key} {value}"),
    });
    let shown: Vec<String> = shown.collect();
    s.print(format!("update VM {id}: {}", shown.join(" ")));

    for key in &deleted {
        delete(s, id, key, call.is_on("force"))?;
    }
    for (key, value) in &given {
        if let Err(stop) = note(s, id, key, value, &deleted, &given) {
            here_mut(s.world_mut(), id)?.config.pending.remove(key);
            return Err(stop);
        }
    }
    // What is as it is to be does not wait.
    let config = &mut here_mut(s.world_mut(), id)?.config;
    let current = config.current.clone();
    config.pending.retain(|key, value| current.get(key) != Some(value));
    if !is_running(s, id) {
        return apply(s, id);
    }
    // What waits from before goes on waiting; a drive that goes or comes also changes what is booted from.
    let mut touched: BTreeSet<String> = deleted.iter().chain(given.iter().map(|(key, _)| key)).cloned().collect();
    touched.extend(reverted);
    touched.insert("boot".to_owned());
    hotplug(s, call, id, &touched)
}

/// Refuses names that nobody knows, and what is to be set, deleted or reverted at the same time.
fn contradiction(call: &Call, given: &[(String, String)], deleted: &[String], reverted: &[String]) -> Done {
    let is_given = |name: &str| given.iter().any(|(key, _)| key == name);
    for name in reverted {
        if !keys::exists(name) {
            return Err(bad_parameter(call, "revert", &format!("unknown option '{name}'")));
        }
        if is_given(name) {
            let message = format!("you can't use '-{name}' and -revert {name}' at the same time");
            return Err(bad_parameter(call, "delete", &message));
        }
    }
    for name in deleted {
        if is_given(name) {
            let message = format!("you can't use '-{name}' and -delete {name}' at the same time");
            return Err(bad_parameter(call, "delete", &message));
        }
        if reverted.contains(name) {
            let message = format!("you can't use '-delete {name}' and -revert {name}' at the same time");
            return Err(bad_parameter(call, "revert", &message));
        }
        if !keys::exists(name) {
            return Err(bad_parameter(call, "delete", &format!("unknown option '{name}'")));
        }
    }
    Ok(())
}

/// Memory that may be taken back is less than all of it.
fn check_balloon(s: &Session, id: GuestId, given: &[(String, String)]) -> Done {
    let config = here(s.world(), id)?.config.coming();
    let mib = |key: &str| {
        let given = given.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let value = given.or_else(|| config.get(key))?;
        value.rsplit('=').next()?.parse::<u64>().ok()
    };
    match (mib("balloon"), mib("memory").unwrap_or(512)) {
        (Some(balloon), memory) if balloon > memory => {
            Err(fail("balloon value too large (must be smaller than assigned memory)"))
        }
        _ => Ok(()),
    }
}

/// Notes that a key is to go.
fn delete(s: &mut Session, id: GuestId, key: &str, force: bool) -> Done {
    let config = &here(s.world(), id)?.config;
    let described = key == "description" && !config.current.description.is_empty();
    let value = config.pending.get(key).map(String::as_str).or_else(|| config.current.get(key)).map(str::to_owned);
    let Some(value) = value.or_else(|| described.then(String::new)) else {
        s.warn(format!("cannot delete '{key}' - not set in current configuration!"));
        return Ok(());
    };
    let order = boot_order(&config.coming());
    if number(key, "unused").is_some() {
        unprotected(s.world(), id, &format!("can't remove unused disk '{value}'"))?;
        here_mut(s.world_mut(), id)?.config.current.remove(key);
        return free(s, &value);
    }
    let was_pending = config.pending.contains_key(key);
    if is_drive(key) {
        unprotected(s.world(), id, &format!("can't remove drive '{key}'"))?;
        if was_pending {
            pending::disuse(s.world_mut(), id, key, &value);
        }
    }
    let config = &mut here_mut(s.world_mut(), id)?.config;
    config.pending.remove(key);
    if order.iter().any(|device| device == key) {
        let left: Vec<String> = order.into_iter().filter(|device| device != key).collect();
        config.pending.insert("boot".to_owned(), print_boot_order(&left));
    }
    if described || config.current.get(key).is_some() {
        config.deleted.insert(key.to_owned(), force);
    }
    Ok(())
}

/// Frees a volume, unless a linked clone lives on it.
fn free(s: &mut Session, volume: &str) -> Done {
    if s.world().clone_on(volume).is_some() {
        return Err(fail(format!("base volume '{volume}' is still in use by linked cloned")));
    }
    s.world_mut().remove_volume(volume);
    Ok(())
}

/// Notes a new value. Volumes are made at once, even where the value has to wait.
fn note(s: &mut Session, id: GuestId, key: &str, value: &str, deleted: &[String], given: &[(String, String)]) -> Done {
    let value = if is_drive(key) {
        if let Some(old) = here(s.world(), id)?.config.pending.get(key).cloned() {
            pending::disuse(s.world_mut(), id, key, &old);
        }
        disk::realise(s, id, key, value)?
    } else if key == "description" {
        both::description(value)
    } else {
        keys::stored(s.world_mut(), key, value)
    };
    let config = here(s.world(), id)?.config.coming();
    if key == "boot" {
        let order = value.split(',').find_map(|part| part.strip_prefix("order=")).unwrap_or_default().to_owned();
        for device in order.split(';').filter(|device| !device.is_empty()) {
            let there = config.get(device).is_some() || given.iter().any(|(key, _)| key == device);
            if !there || deleted.iter().any(|key| key == device) {
                return Err(fail(format!("invalid bootorder: device '{device}' does not exist'")));
            }
        }
    }
    let config_mut = &mut here_mut(s.world_mut(), id)?.config;
    let order = boot_order(&config);
    let parsed = drive(key, &value);
    // A new CD drive can be booted from, cloud-init's cannot.
    let bootable = is_drive(key) && is_cdrom(&parsed) && !is_cloud_init(&parsed);
    if bootable && !order.is_empty() && !order.iter().any(|device| device == key) {
        let order: Vec<String> = order.into_iter().chain([key.to_owned()]).collect();
        config_mut.pending.insert("boot".to_owned(), print_boot_order(&order));
    }
    config_mut.deleted.remove(key);
    config_mut.pending.insert(key.to_owned(), value);
    Ok(())
}

/// A stopped machine takes everything.
fn apply(s: &mut Session, id: GuestId) -> Done {
    let config = &mut here_mut(s.world_mut(), id)?.config;
    let pending = std::mem::take(&mut config.pending);
    let deleted = std::mem::take(&mut config.deleted);
    for (key, force) in &deleted {
        remove(s, id, key, *force)?;
    }
    for (key, value) in &pending {
        put(s, id, key, value)?;
    }
    Ok(())
}

/// A running machine takes what it can at once; the rest stays pending, also what it refuses.
fn hotplug(s: &mut Session, call: &Call, id: GuestId, touched: &BTreeSet<String>) -> Done {
    let config = here(s.world(), id)?.config.clone();
    let mut refused = Vec::new();
    let boots_from = boot_order(&config.current);
    for (key, force) in config.deleted.iter().filter(|(key, _)| touched.contains(*key)) {
        if is_drive(key) && boots_from.contains(key) && !is_cdrom(&drive(key, config.current.get(key).unwrap_or(""))) {
            refused.push(format!("{key}: hotplug problem - can't unplug bootdisk '{key}'"));
            continue;
        }
        if keys::is_removed_at_once(key) {
            remember_image(s, id, key, None)?;
            remove(s, id, key, *force)?;
            here_mut(s.world_mut(), id)?.config.deleted.remove(key);
        }
    }
    for (key, value) in config.pending.iter().filter(|(key, _)| touched.contains(*key)) {
        let medium = is_drive(key) && config.current.get(key).is_some_and(|old| swaps_medium(key, old, value));
        if let Some(bridge) = missing_bridge(s, key, value) {
            refused.push(format!("{key}: hotplug problem - bridge '{bridge}' does not exist"));
            continue;
        }
        if medium || keys::is_hot(key, config.current.get(key)) {
            remember_image(s, id, key, Some(value))?;
            put(s, id, key, value)?;
            here_mut(s.world_mut(), id)?.config.pending.remove(key);
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    let refused: Vec<(&str, &str)> = refused.iter().filter_map(|refused| refused.split_once(": ")).collect();
    Err(bad_parameters(call, &refused))
}

/// Whether only the medium in a CD drive changes.
fn swaps_medium(key: &str, old: &str, new: &str) -> bool {
    let (old, new) = (drive(key, old), drive(key, new));
    is_cdrom(&old) && is_cdrom(&new) && file(&old) != file(&new)
}

fn missing_bridge(s: &Session, key: &str, value: &str) -> Option<String> {
    number(key, "net")?;
    let bridge = keys::nic(value).get("bridge")?.to_owned();
    (!s.world().bridges.iter().any(|known| known.name == bridge)).then_some(bridge)
}

/// Remembers what the present cloud-init image has, before a running machine's key differs from it.
fn remember_image(s: &mut Session, id: GuestId, key: &str, new: Option<&str>) -> Done {
    let config = &here(s.world(), id)?.config;
    if !keys::is_cloud_init(key) || crate::sandbox::disk::cloud_init_drive(&config.current).is_none() {
        return Ok(());
    }
    let old = config.current.get(key).map(str::to_owned);
    let special = &mut here_mut(s.world_mut(), id)?.config.cloud_init;
    let mut added: Vec<String> =
        special.get("added").map(|added| added.split(',').map(str::to_owned).collect()).unwrap_or_default();
    match (old, new) {
        (None, Some(_)) if !special.contains_key(key) && !added.iter().any(|name| name == key) => {
            added.push(key.to_owned());
        }
        (Some(_), None) if added.iter().any(|name| name == key) => added.retain(|name| name != key),
        (Some(old), _) if !special.contains_key(key) && !added.iter().any(|name| name == key) => {
            special.insert(key.to_owned(), old);
        }
        _ => {}
    }
    if special.get(key).map(String::as_str) == new {
        special.remove(key);
    }
    if added.is_empty() {
        special.remove("added");
    } else {
        special.insert("added".to_owned(), added.join(","));
    }
    Ok(())
}

/// Takes a key out of force.
fn remove(s: &mut Session, id: GuestId, key: &str, force: bool) -> Done {
    if key == "description" {
        here_mut(s.world_mut(), id)?.config.current.description.clear();
    } else {
        pending::drop_key(s.world_mut(), id, key, force);
    }
    Ok(())
}

/// Puts a value into force.
fn put(s: &mut Session, id: GuestId, key: &str, value: &str) -> Done {
    if key == "description" {
        value.clone_into(&mut here_mut(s.world_mut(), id)?.config.current.description);
    } else {
        put_key(s.world_mut(), id, key, value);
    }
    Ok(())
}
