//! `pct set`.
//!
//! Every change is first written down as pending. What the container can take at once then moves into force: all of
//! it when it is stopped, some keys when it runs. Then LXC's own configuration is made of what is in force: what is
//! wrong there is an error, but stored all the same.

use std::collections::BTreeSet;

use super::*;
use crate::op::{FileKind, Op, OpValue};
use crate::pve::format::split_list;
use crate::sandbox::config::number;
use crate::sandbox::guest::{self, is_host_path, is_on_node, mount, nic};
use crate::sandbox::mount_point;
use crate::sandbox::pending;
use crate::sandbox::start_files;
use crate::sandbox::storage::{is_allocation, split};

const REQUIRED: [&str; 3] = ["memory", "ostype", "rootfs"];

/// A greater weight than this is this one.
const GREATEST_WEIGHT: u32 = 10_000;

pub(super) fn set(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    change(s, call, id)?;
    Ok(0)
}

/// Does what the options of `pct set` say.
pub(in super::super) fn change(s: &mut Session, call: &Call, id: GuestId) -> Done {
    let given: Vec<(String, String)> = call.options.iter().filter(|(key, _)| keys::is_key(key)).cloned().collect();
    if given.is_empty() && call.option("delete").is_none() && call.option("revert").is_none() {
        return Err(fail("no options specified"));
    }
    flock(s, id)?;
    unlocked(s.world(), id)?;
    unmodified(s.world(), id, call)?;
    let (deleted, reverted) = names(call, &given)?;

    for key in &reverted {
        let config = &mut here_mut(s.world_mut(), id)?.config;
        config.pending.remove(key);
        config.deleted.remove(key);
    }
    let removals = removals(s, id, &deleted)?;
    let values = checked(s, id, &given, true)?;
    let touched: BTreeSet<String> = removals.iter().chain(values.iter().map(|(key, _)| key)).cloned().collect();
    let config = &mut here_mut(s.world_mut(), id)?.config;
    config.deleted.extend(removals.into_iter().map(|key| (key, false)));
    for (key, value) in values {
        config.deleted.remove(&key);
        config.pending.insert(key, value);
    }
    config.forget_needless();

    let running = here(s.world(), id)?.running.is_some();
    let errors = if running { hotplug(s, id, &touched)? } else { apply(s, id, &touched)? };
    if !errors.is_empty() {
        let errors: Vec<(&str, &str)> = errors.iter().map(|(key, why)| (key.as_str(), why.as_str())).collect();
        return Err(bad_parameters(call, &errors));
    }
    pending::forget_used(s.world_mut(), id);
    lxc_config(s, id)
}

/// Names in `delete` and `revert`.
fn names(call: &Call, given: &[(String, String)]) -> Done<(Vec<String>, Vec<String>)> {
    let list = |option: &str| -> Vec<String> {
        call.option(option).map(split_list).unwrap_or_default().into_iter().map(str::to_owned).collect()
    };
    let (deleted, reverted) = (list("delete"), list("revert"));
    let is_given = |name: &str| given.iter().any(|(key, _)| key == name);
    for (option, quote, names) in [("revert", "'", &reverted), ("delete", "", &deleted)] {
        for name in names {
            let message = if !keys::exists(name) {
                format!("unknown option '{name}'")
            } else if is_given(name) {
                // One of the two messages lacks a quote.
                format!("you can't use '-{name}' and {quote}-{option} {name}' at the same time")
            } else if option == "delete" && reverted.contains(name) {
                format!("you can't use '-delete {name}' and '-revert {name}' at the same time")
            } else {
                continue;
            };
            return Err(bad_parameter(call, option, &message));
        }
    }
    Ok((deleted, reverted))
}

/// Keys that are to go, as far as they are there.
fn removals(s: &mut Session, id: GuestId, deleted: &[String]) -> Done<Vec<String>> {
    let mut removals = Vec::new();
    for key in deleted {
        let config = &here(s.world(), id)?.config;
        let set = config.current.get(key).is_some() || config.pending.contains_key(key);
        let set = set || (key == "description" && !config.current.description.is_empty());
        if !set {
            s.warn(format!("cannot delete '{key}' - not set in current configuration!"));
            continue;
        }
        if REQUIRED.contains(&key.as_str()) {
            return Err(fail(format!("unable to delete required option '{key}'")));
        }
        if number(key, "mp").is_some() || number(key, "unused").is_some() {
            protected(s, id, &format!("can't remove CT {id} drive '{key}'"))?;
        }
        if key == "unprivileged" {
            return Err(fail("unable to delete read-only option: 'unprivileged'"));
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

/// New values as they wait: checked against the node, lists in their own form. `present`: the container is there.
pub(super) fn checked(
    s: &mut Session,
    id: GuestId,
    given: &[(String, String)],
    present: bool,
) -> Done<Vec<(String, String)>> {
    let mut given = given.to_vec();
    given.sort();
    let mut values = Vec::new();
    for (key, value) in given {
        let value = if key == "rootfs" || number(&key, "mp").is_some() {
            if present {
                protected(s, id, &format!("can't update CT {id} drive '{key}'"))?;
            }
            takes_containers(s.world(), &key, &value)?;
            value
        } else if number(&key, "net").is_some() {
            fits_bridge(s.world(), &key, &value)?;
            value
        } else if number(&key, "dev").is_some() {
            is_device(s, &value)?;
            value
        } else {
            match key.as_str() {
                "unprivileged" if present => {
                    return Err(fail("unable to modify read-only option: 'unprivileged'"));
                }
                "hookscript" => {
                    is_script(s, &value)?;
                    value
                }
                "nameserver" | "searchdomain" => split_list(&value).join(" "),
                "tags" => both::tags(&value),
                "description" => both::description(&value),
                "cpuunits" => match value.parse::<u32>() {
                    Ok(weight) => weight.min(GREATEST_WEIGHT).to_string(),
                    Err(_) => value,
                },
                _ => keys::stored(s.world_mut(), &key, &value),
            }
        };
        values.push((key, value));
    }
    Ok(values)
}

fn takes_containers(world: &World, key: &str, value: &str) -> Done {
    let point = mount(key, value);
    let volume = point.get("volume").unwrap_or_default();
    if is_host_path(volume) {
        return Ok(());
    }
    let Some((storage, _)) = split(volume) else { return Err(fail(format!("unable to parse volume ID '{volume}'"))) };
    let missing = || fail(format!("storage '{storage}' does not exist"));
    let storage = world.storage(storage).ok_or_else(missing)?;
    if !storage.takes("rootdir") {
        let message = format!("storage '{}' does not allow content type 'rootdir' (Container)", storage.id);
        return Err(fail(message));
    }
    Ok(())
}

/// An interface that asks for an MTU must find it at its bridge.
fn fits_bridge(world: &World, key: &str, value: &str) -> Done {
    let nic = nic(value);
    let Some(mtu) = nic.get("mtu").and_then(|mtu| mtu.parse::<u32>().ok()) else { return Ok(()) };
    let bridge = nic.get("bridge").unwrap_or_default();
    let missing = || fail(format!("bridge '{bridge}' does not exist"));
    let most = world.bridges.iter().find(|known| known.name == bridge).ok_or_else(missing)?.mtu;
    if mtu > most {
        return Err(fail(format!("{key}: MTU size '{mtu}' is bigger than bridge MTU '{most}'")));
    }
    Ok(())
}

/// The path of a `devN`.
fn device_path(value: &str) -> &str {
    let path = |part: &str| !part.contains('=');
    value
        .split(',')
        .find_map(|part| part.strip_prefix("path=").or_else(|| path(part).then_some(part)))
        .unwrap_or_default()
}

fn is_device(s: &mut Session, value: &str) -> Done {
    let path = device_path(value);
    let (core, now) = (s.core(), s.now());
    if !is_on_node(s.world_mut(), core, path, now) {
        return Err(fail(format!("Device {path} does not exist")));
    }
    let stat = Op::Stat { path: path.to_owned() };
    let found = guest::node_inside(s.world_mut(), core, now, |body, around| body.perform(&stat, around).result);
    match found {
        Some(Ok(OpValue::Stat(Some(stat)))) if matches!(stat.kind, FileKind::File | FileKind::Directory) => {
            Err(fail(format!("{path} is not a device")))
        }
        _ => Ok(()),
    }
}

fn is_script(s: &mut Session, volume: &str) -> Done {
    if !split(volume).is_some_and(|(_, name)| name.starts_with("snippets/")) {
        return Err(fail(format!("'{volume}' is not in the snippets directory")));
    }
    let path = s.world().path_of(volume);
    let (core, now) = (s.core(), s.now());
    if !is_on_node(s.world_mut(), core, &path, now) {
        return Err(fail(format!("script '{volume}' does not exist")));
    }
    let stat = Op::Stat { path };
    let found = guest::node_inside(s.world_mut(), core, now, |body, around| body.perform(&stat, around).result);
    match found {
        Some(Ok(OpValue::Stat(Some(stat)))) if stat.mode & 0o111 == 0 => {
            Err(fail(format!("script '{volume}' is not executable")))
        }
        _ => Ok(()),
    }
}

/// Keys with what is wrong about them.
type Errors = Vec<(String, String)>;

/// A stopped container takes everything that was touched. What cannot be made is told twice, and nothing is stored.
fn apply(s: &mut Session, id: GuestId, touched: &BTreeSet<String>) -> Done<Errors> {
    let before = here(s.world(), id)?.config.clone();
    let mut errors = Vec::new();
    for key in before.deleted.keys().filter(|key| touched.contains(*key)) {
        remove(s, id, key)?;
        here_mut(s.world_mut(), id)?.config.deleted.remove(key);
    }
    let pending = here(s.world(), id)?.config.pending.clone();
    for (key, value) in pending.iter().filter(|(key, _)| touched.contains(*key)) {
        here_mut(s.world_mut(), id)?.config.pending.remove(key);
        if let Err(why) = put(s, id, key, value) {
            let message = format!("unable to apply pending change {key} : {why}");
            s.warn(&message);
            errors.push((key.clone(), message));
        }
    }
    if !errors.is_empty() {
        here_mut(s.world_mut(), id)?.config = before;
    }
    Ok(errors)
}

/// A running container takes what it can at once; the rest stays pending. A refusal stores nothing.
fn hotplug(s: &mut Session, id: GuestId, touched: &BTreeSet<String>) -> Done<Errors> {
    let config = here(s.world(), id)?.config.clone();
    let pending = || config.pending.iter().filter(|(key, _)| touched.contains(*key));
    let mut errors = Vec::new();
    for (key, value) in pending() {
        if let Some(why) = refusal(s, id, key, value) {
            errors.push((key.clone(), format!("unable to hotplug {key}: {why}")));
        }
    }
    if !errors.is_empty() {
        return Ok(errors);
    }
    let gone = config.deleted.keys().filter(|key| touched.contains(*key) && keys::is_removed_at_once(key));
    for key in gone {
        if number(key, "net").is_some() {
            s.print(format!("delete ips from {key}"));
        }
        remove(s, id, key)?;
        here_mut(s.world_mut(), id)?.config.deleted.remove(key);
    }
    for (key, value) in pending() {
        if keys::is_hot(s.world(), key, config.current.get(key)) {
            here_mut(s.world_mut(), id)?.config.pending.remove(key);
            put(s, id, key, value).map_err(fail)?;
        }
    }
    let (core, now) = (s.core(), s.now());
    let current = here(s.world(), id)?.config.current.clone();
    guest::inside(s.world_mut(), core, id, now, |body, around| start_files::show(body, around, &current));
    Ok(errors)
}

/// Why a running container cannot take a value.
fn refusal(s: &mut Session, id: GuestId, key: &str, value: &str) -> Option<String> {
    let current = here(s.world(), id).ok()?.config.current.get(key).map(str::to_owned);
    if number(key, "net").is_some() {
        let new = nic(value);
        let bridge = new.get("bridge").unwrap_or_default().to_owned();
        if s.world().bridges.iter().any(|known| known.name == bridge) {
            return None;
        }
        // An interface that keeps its name and address stays, and only its bridge is looked for.
        let stays = current
            .map(|old| nic(&old))
            .is_some_and(|old| old.get("hwaddr") == new.get("hwaddr") && old.get("name") == new.get("name"));
        return Some(if stays {
            format!("interface {bridge} does not exist\n")
        } else {
            format!("bridge '{bridge}' does not exist")
        });
    }
    if number(key, "mp").is_some() && current.is_none() {
        let volume = mount(key, value).get("volume").unwrap_or_default().to_owned();
        if is_host_path(&volume) {
            let (core, now) = (s.core(), s.now());
            let there = is_on_node(s.world_mut(), core, &volume, now);
            return (!there).then(|| format!("directory '{volume}' does not exist"));
        }
        let (storage, name) = split(&volume)?;
        if is_allocation(name) {
            return s.world().usable_storage(storage).err();
        }
        return mount_point::check_name(s.world(), &volume).err().or_else(|| {
            (!s.world().volumes().contains_key(&volume)).then(|| format!("volume '{volume}' does not exist"))
        });
    }
    None
}

/// Takes a key out of force. The volume of a former mount point becomes unused, an unused one goes, unless a snapshot
/// has it.
fn remove(s: &mut Session, id: GuestId, key: &str) -> Done {
    if key == "description" {
        here_mut(s.world_mut(), id)?.config.current.description.clear();
    } else if number(key, "unused").is_some() {
        let unused = here_mut(s.world_mut(), id)?.config.current.remove(key);
        if let Some(volume) = unused.and_then(|value| pending::volume_of(key, &value))
            && !pending::is_used(s.world(), id, &volume)
        {
            destroy::free_volume(s, id, &volume)?;
        }
    } else {
        pending::remove_key(s.world_mut(), id, key);
    }
    Ok(())
}

/// Puts a value into force.
fn put(s: &mut Session, id: GuestId, key: &str, value: &str) -> Result<(), String> {
    if let Some(guest) = s.world_mut().guest_mut(id).filter(|_| key == "description") {
        value.clone_into(&mut guest.config.current.description);
        return Ok(());
    }
    let complaint = pending::put_container_key(s.world_mut(), id, key, value)?;
    if let Some(complaint) = complaint {
        s.warn(complaint);
    }
    Ok(())
}

/// What is in force as LXC's own configuration: what that lacks is an error. A template has none.
fn lxc_config(s: &mut Session, id: GuestId) -> Done {
    let config = here(s.world(), id)?.config.current.clone();
    let (core, now) = (s.core(), s.now());
    guest::lxc_config(s.world_mut(), core, &config, now).map_err(|trouble| {
        trouble.lines.iter().for_each(|line| s.warn(line));
        fail(trouble.message)
    })
}
