//! `pct set`.
//!
//! Every change is first written down as pending. What the container can take at once then moves into force: all of
//! it when it is stopped, some keys when it runs.

use super::*;
use crate::pve::format::split_list;
use crate::sandbox::config::{Section, number};
use crate::sandbox::guest::{self, is_host_path, is_on_node, mount, nic};
use crate::sandbox::pending::{self, volume_of};
use crate::sandbox::start_files;
use crate::sandbox::storage::split;

const REQUIRED: [&str; 3] = ["memory", "ostype", "rootfs"];

pub(super) fn set(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    change(s, call, id)?;
    Ok(0)
}

/// A description as it is kept: every line ends, and there is at most one empty line's worth of end.
pub(super) fn description(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

/// Does what the options of `pct set` say.
pub(in super::super) fn change(s: &mut Session, call: &Call, id: GuestId) -> Done {
    let given: Vec<(String, String)> = call.options.iter().filter(|(key, _)| keys::is_key(key)).cloned().collect();
    let deleted = names(call, "delete", &given)?;
    let reverted = names(call, "revert", &given)?;
    if given.is_empty() && call.option("delete").is_none() && call.option("revert").is_none() {
        return Err(fail("no options specified"));
    }
    here(s.world(), id)?;
    flock(s, id)?;
    unlocked(s.world(), id)?;
    unmodified(s.world(), id, call)?;

    for key in &reverted {
        let config = &mut here_mut(s.world_mut(), id)?.config;
        config.pending.remove(key);
        config.deleted.remove(key);
    }
    let removals = removals(s, id, &deleted)?;
    let values = values(s, id, &given)?;
    let config = &mut here_mut(s.world_mut(), id)?.config;
    config.deleted.extend(removals.iter().map(|key| (key.clone(), false)));
    for (key, _) in &values {
        config.deleted.remove(key);
    }
    config.pending.extend(values);
    // What is as it is to be does not wait.
    let current = config.current.clone();
    config.pending.retain(|key, value| current.get(key) != Some(value));

    if here(s.world(), id)?.running.is_some() { hotplug(s, call, id) } else { apply(s, id) }
}

/// Names in `delete` or `revert`.
fn names(call: &Call, option: &str, given: &[(String, String)]) -> Done<Vec<String>> {
    let names: Vec<String> =
        call.option(option).map(split_list).unwrap_or_default().into_iter().map(str::to_owned).collect();
    for name in &names {
        if given.iter().any(|(key, _)| key == name) {
            return Err(bad_parameter(
                call,
                option,
                &format!("you can't use '-{name}' and -{option} {name}' at the same time"),
            ));
        }
        if !keys::exists(name) {
            return Err(bad_parameter(call, option, &format!("unknown option '{name}'")));
        }
    }
    Ok(names)
}

/// Keys that are to go, as far as they are there.
fn removals(s: &mut Session, id: GuestId, deleted: &[String]) -> Done<Vec<String>> {
    let mut removals = Vec::new();
    for key in deleted {
        let config = &here(s.world(), id)?.config;
        let set = config.current.get(key).is_some() || config.pending.contains_key(key);
        let set = set || (key == "description" && !config.current.description.is_empty());
        if REQUIRED.contains(&key.as_str()) {
            return Err(fail(format!("unable to delete required option '{key}'")));
        }
        if key == "unprivileged" {
            return Err(fail("unable to delete read-only option: 'unprivileged'"));
        }
        if !set {
            s.warn(format!("cannot delete '{key}' - not set in current configuration!"));
            continue;
        }
        if number(key, "mp").is_some() || number(key, "unused").is_some() {
            protected(s, id, &format!("can't remove CT {id} drive '{key}'"))?;
        }
        removals.push(key.clone());
    }
    Ok(removals)
}

fn protected(s: &Session, id: GuestId, what: &str) -> Done {
    if here(s.world(), id)?.config.current.is_on("protection") {
        return Err(fail(format!("{what} - protection mode enabled")));
    }
    Ok(())
}

/// New values as they will be stored.
fn values(s: &mut Session, id: GuestId, given: &[(String, String)]) -> Done<Vec<(String, String)>> {
    let mut values = Vec::new();
    for (key, value) in given {
        if key == "unprivileged" {
            return Err(fail("unable to modify read-only option: 'unprivileged'"));
        }
        if key == "rootfs" || number(key, "mp").is_some() {
            protected_update(s, id, key)?;
            if let Some((storage, _)) = mount(key, value).get("volume").and_then(split) {
                let storage = s.world().usable_storage(storage).map_err(fail)?;
                if !storage.takes("rootdir") {
                    let message = format!("storage '{}' does not allow content type 'rootdir' (Container)", storage.id);
                    return Err(fail(message));
                }
            }
        }
        let value = if key == "description" { description(value) } else { keys::stored(s.world_mut(), key, value) };
        values.push((key.clone(), value));
    }
    Ok(values)
}

fn protected_update(s: &Session, id: GuestId, key: &str) -> Done {
    if here(s.world(), id)?.config.current.get(key).is_some() {
        protected(s, id, &format!("can't update CT {id} drive '{key}'"))?;
    }
    Ok(())
}

/// A stopped container takes everything. A missing bridge is an error, but stored all the same.
fn apply(s: &mut Session, id: GuestId) -> Done {
    let config = &mut here_mut(s.world_mut(), id)?.config;
    let pending = std::mem::take(&mut config.pending);
    let deleted = std::mem::take(&mut config.deleted);
    let mut complaint = None;
    for key in deleted.keys() {
        remove(s, id, key)?;
    }
    for (key, value) in pending {
        if number(&key, "net").is_some() {
            let bridge = nic(&value).get("bridge").unwrap_or_default().to_owned();
            if !s.world().bridges.iter().any(|known| known.name == bridge) {
                complaint.get_or_insert(fail(format!("bridge '{bridge}' does not exist")));
            }
        }
        put(s, id, &key, &value)?;
    }
    complaint.map_or(Ok(()), Err)
}

/// A running container takes what it can at once; the rest stays pending. A refusal stores nothing.
fn hotplug(s: &mut Session, call: &Call, id: GuestId) -> Done {
    let config = here(s.world(), id)?.config.clone();
    for (key, value) in &config.pending {
        if let Some(why) = refusal(s, &config.current, key, value) {
            return Err(bad_parameter(call, key, &format!("unable to hotplug {key}: {why}")));
        }
    }
    for key in config.deleted.keys().filter(|key| keys::is_removed_at_once(key)) {
        if number(key, "net").is_some() {
            s.print(format!("delete ips from {key}"));
        }
        remove(s, id, key)?;
        here_mut(s.world_mut(), id)?.config.deleted.remove(key);
    }
    for (key, value) in &config.pending {
        if keys::is_hot(s.world(), key, config.current.get(key)) {
            put(s, id, key, value)?;
            here_mut(s.world_mut(), id)?.config.pending.remove(key);
        }
    }
    let (core, now) = (s.core(), s.now());
    let current = here(s.world(), id)?.config.current.clone();
    guest::inside(s.world_mut(), core, id, now, |body, around| start_files::show(body, around, &current));
    Ok(())
}

/// Why a running container cannot take a value.
fn refusal(s: &mut Session, current: &Section, key: &str, value: &str) -> Option<String> {
    if number(key, "net").is_some() {
        let bridge = nic(value).get("bridge").unwrap_or_default().to_owned();
        if s.world().bridges.iter().any(|known| known.name == bridge) {
            return None;
        }
        let changed = current.get(key).is_some();
        return Some(if changed {
            format!("interface {bridge} does not exist")
        } else {
            format!("bridge '{bridge}' does not exist")
        });
    }
    if number(key, "mp").is_some() && current.get(key).is_none() {
        let volume = mount(key, value).get("volume").unwrap_or_default().to_owned();
        let (core, now) = (s.core(), s.now());
        if is_host_path(&volume) && !is_on_node(s.world_mut(), core, &volume, now) {
            return Some(format!("directory '{volume}' does not exist"));
        }
    }
    None
}

/// Takes a key out of force.
fn remove(s: &mut Session, id: GuestId, key: &str) -> Done {
    if key == "description" {
        here_mut(s.world_mut(), id)?.config.current.description.clear();
    } else if number(key, "unused").is_some() {
        let unused = here_mut(s.world_mut(), id)?.config.current.remove(key);
        if let Some(volume) = unused.and_then(|value| volume_of(key, &value)) {
            s.world_mut().remove_volume(&volume);
        }
    } else {
        pending::remove_key(s.world_mut(), id, key);
    }
    Ok(())
}

/// Puts a value into force.
fn put(s: &mut Session, id: GuestId, key: &str, value: &str) -> Done {
    if key == "description" {
        here_mut(s.world_mut(), id)?.config.current.description = value.to_owned();
        return Ok(());
    }
    let point = key == "rootfs" || number(key, "mp").is_some();
    let old = here(s.world(), id)?.config.current.get(key).map(str::to_owned);
    let value = if point { create::realise(s.world_mut(), id, key, value)? } else { value.to_owned() };
    let volume = volume_of(key, &value);
    if let Some(old) = old.filter(|old| point && volume_of(key, old) != volume) {
        pending::disuse(s.world_mut(), id, key, &old);
    }
    if let Some(volume) = volume.filter(|_| point) {
        if !s.world().volumes().contains_key(&volume) {
            let path = s.world().path_of(&volume);
            s.warn(format!("failed to stat '{path}'"));
        }
        pending::forget_unused(s.world_mut(), id, &volume);
    }
    here_mut(s.world_mut(), id)?.config.current.set(key, value);
    Ok(())
}
