//! `pct create`.

use super::*;
use crate::sandbox::config::{Config, number};
use crate::sandbox::guest::{self, is_host_path, is_on_node, mount};
use crate::sandbox::mount_point;
use crate::sandbox::pace;
use crate::sandbox::storage::{Volume, is_allocation, split};
use crate::sandbox::world::{Guest, Template, World, body_of};

/// Size of a root file system that nobody asked for, in GiB.
const DEFAULT_SIZE: &str = "4";
/// Storage of a root file system when none is named.
const DEFAULT_STORAGE: &str = "local";
/// systemd after this version wants nesting.
const NEEDS_NESTING_AFTER: u64 = 241;

pub(super) fn create(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let archive = call.positionals.get(1).cloned().unwrap_or_default();
    let public_keys = read_keys(s, call)?;
    free_id(s.world(), id)?;
    check_keys(&public_keys)?;
    no_pool(call)?;
    for key in call.options.iter().map(|(key, _)| key).filter(|key| number(key, "unused").is_some()) {
        s.warn(format!("ignoring '{key}', cannot create/restore with unused volume"));
    }
    let volumes = volumes(s.world(), call)?;
    let given: Vec<(String, String)> = given(call);
    let values = set::checked(s, id, &given, false)?;

    flock(s, id)?;
    let mut config = Config::default();
    config.current.set("lock", "create");
    let guest = Guest { id, kind: GuestKind::Lxc, node: None, config, running: None, version: 1 };
    s.world_mut().put_guest(guest);
    s.commit()?;
    unflock(s, id);

    let before: Vec<String> = s.world().volumes().keys().cloned().collect();
    let mut warnings = 0;
    let code = task(s, Exit::Follows, |s| match make(s, call, id, &archive, &volumes, &values) {
        Ok(count) => {
            warnings = count;
            Ok(())
        }
        Err(Stop::Failed { code, message }) => {
            forget(s.world_mut(), id, &before);
            Err(fail_with(code, format!("unable to create CT {id} - {message}")))
        }
        Err(stop) => Err(stop),
    })?;
    if warnings > 0 {
        s.warn(format!("Task finished with {warnings} warning(s)!"));
    }
    Ok(code)
}

/// A mount point that is to be made: key, value as given.
type Wanted = Vec<(String, String)>;

/// Keys of the configuration that are no mount points.
fn given(call: &Call) -> Vec<(String, String)> {
    let point = |key: &str| key == "rootfs" || ["mp", "unused"].iter().any(|stem| number(key, stem).is_some());
    call.options.iter().filter(|(key, _)| keys::is_key(key) && !point(key)).cloned().collect()
}

/// The file of `ssh-public-keys` is read before anything else.
fn read_keys(s: &mut Session, call: &Call) -> Done<String> {
    let Some(path) = call.option("ssh-public-keys") else { return Ok(String::new()) };
    let (core, now) = (s.core(), s.now());
    let missing = || fail_with(2, format!("can't open '{path}' - No such file or directory"));
    let bytes = guest::node_file(s.world_mut(), core, path, now).ok_or_else(missing)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn check_keys(text: &str) -> Done {
    let is_key = |line: &str| line.starts_with("ssh-") || line.starts_with("ecdsa-") || line.starts_with("sk-");
    if text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).all(is_key) {
        Ok(())
    } else {
        Err(fail("SSH public key validation error"))
    }
}

/// Mount points as asked for; storages that do not exist or take no containers are refused before anything is made.
fn volumes(world: &World, call: &Call) -> Done<Wanted> {
    let template = call.positionals.get(1).map(String::as_str).unwrap_or_default();
    if let Some((storage, _)) = split(template) {
        world.usable_storage(storage).map_err(fail)?;
    }
    let default = call.option("storage").unwrap_or(DEFAULT_STORAGE).to_owned();
    let mut wanted: Wanted = call
        .options
        .iter()
        .filter(|(key, _)| number(key, "mp").is_some())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    wanted.sort_by_key(|(key, _)| number(key, "mp"));
    match call.option("rootfs") {
        Some(value) => wanted.insert(0, ("rootfs".to_owned(), value.to_owned())),
        None if !wanted.is_empty() => {
            return Err(fail("mount points configured, but 'rootfs' not set - aborting"));
        }
        None => wanted.insert(0, ("rootfs".to_owned(), format!("{default}:{DEFAULT_SIZE}"))),
    }
    for (key, value) in &mut wanted {
        let mut point = mount(key, value);
        let volume = point.get("volume").unwrap_or_default().to_owned();
        if is_host_path(&volume) {
            continue;
        }
        let volume = if is_allocation(&volume) { format!("{default}:{volume}") } else { volume };
        let Some((storage, _)) = split(&volume) else {
            return Err(fail(format!("unable to parse volume ID '{volume}'")));
        };
        let storage = world.usable_storage(storage).map_err(fail)?;
        if !storage.takes("rootdir") {
            let message = format!("storage '{}' does not support container directories", storage.id);
            return Err(bad_parameter(call, "storage", &message));
        }
        point.set("volume", volume);
        *value = mount_point::print(key, &point);
    }
    Ok(wanted)
}

/// The task: allocates, unpacks, sets up. Answers the number of warnings.
fn make(s: &mut Session, call: &Call, id: GuestId, archive: &str, volumes: &Wanted, values: &Wanted) -> Done<u32> {
    let mut points = Vec::new();
    for (key, value) in volumes {
        let (value, _) = mount_point::realise(s.world_mut(), id, key, value).map_err(fail)?;
        points.push((key.clone(), value));
    }
    work_for(s, pace::ALLOCATE)?;
    let volumes = points.iter().map(|(key, value)| mount(key, value).get("volume").unwrap_or_default().to_owned());
    let volumes: Vec<String> = volumes.collect();
    for volume in volumes.iter().filter(|volume| !is_host_path(volume)) {
        mount_point::check_name(s.world(), volume).map_err(fail)?;
        if !s.world().volumes().contains_key(volume) {
            return Err(fail(format!("volume '{volume}' does not exist")));
        }
    }
    let (core, now) = (s.core(), s.now());
    for path in volumes.iter().filter(|volume| is_host_path(volume)) {
        if !is_on_node(s.world_mut(), core, path, now) {
            s.print("mounting container failed");
            return Err(fail(format!("directory '{path}' does not exist")));
        }
    }
    let template = find_template(s, archive)?;
    s.print(format!("extracting archive '{}'", s.world().path_of(archive)));
    work_for(s, pace::UNPACK)?;
    s.world_mut().unpack_body(&body_of(id), &template.volid);
    let kind = &template.os.kind;
    if let Some(other) = call.option("ostype").filter(|other| *other != kind && *other != "unmanaged") {
        s.print(format!("got unexpected ostype ({kind} != {other})"));
    }
    if call.option("arch").is_none() {
        s.print(format!("Detected container architecture: {}", template.os.arch));
    }

    configure(s, id, &template, &points, values)?;
    let warnings = set_up(s, call, id, &template)?;
    s.commit()?;
    if call.is_on("start") {
        power::start_now(s, id)?;
    }
    Ok(warnings)
}

fn find_template(s: &mut Session, archive: &str) -> Done<Template> {
    let world = s.world();
    let known = |template: &&Template| template.volid == archive || world.path_of(&template.volid) == archive;
    if let Some(template) = world.templates.iter().find(known) {
        return Ok(template.clone());
    }
    let message = if split(archive).is_some() {
        format!("volume '{archive}' does not exist")
    } else {
        format!("can't find file '{archive}'")
    };
    s.print(&message);
    Err(fail(message))
}

/// Writes the configuration, still locked.
fn configure(s: &mut Session, id: GuestId, template: &Template, points: &Wanted, given: &Wanted) -> Done {
    let mut values: Wanted = vec![
        ("arch".to_owned(), template.os.arch.clone()),
        ("hostname".to_owned(), format!("CT{id}")),
        ("memory".to_owned(), "512".to_owned()),
        ("ostype".to_owned(), template.os.kind.clone()),
        ("swap".to_owned(), "512".to_owned()),
        ("unprivileged".to_owned(), "1".to_owned()),
    ];
    values.extend(given.iter().chain(points).cloned());
    for (key, value) in values {
        match key.as_str() {
            "description" => here_mut(s.world_mut(), id)?.config.current.description = both::description(&value),
            _ => {
                let value = keys::stored(s.world_mut(), &key, &value);
                here_mut(s.world_mut(), id)?.config.current.set(&key, value);
            }
        }
    }
    let config = &mut here_mut(s.world_mut(), id)?.config.current;
    if config.get("unprivileged") == Some("0") {
        config.remove("unprivileged");
    }
    Ok(())
}

/// What is done inside the new container, and the end of its lock. Answers the number of warnings.
fn set_up(s: &mut Session, call: &Call, id: GuestId, template: &Template) -> Done<u32> {
    let inside = &template.inside;
    if call.option("timezone").is_some() && inside["systemd"].is_null() {
        let zone = s.world().timezone.clone();
        s.print(format!("container does not have /usr/share/zoneinfo/{zone}, timezone can not be modified"));
    }
    if inside["sshd"] == true {
        for kind in ["rsa", "ecdsa", "ed25519"] {
            s.print(format!("Creating SSH host key 'ssh_host_{kind}_key' - this may take some time ..."));
            let key = format!("{:016x}{:016x}", s.world_mut().random(), s.world_mut().random());
            s.print(format!("done: SHA256:{key} root@{}", call.option("hostname").unwrap_or("localhost")));
            write_host_key(s, id, kind, &key);
        }
    }
    let mut warnings = 0;
    let systemd = inside["systemd"].as_u64().unwrap_or_default();
    let nesting = call.option("features").is_some_and(|features| features.split(',').any(|f| f == "nesting=1"));
    if systemd > NEEDS_NESTING_AFTER && !nesting {
        s.print(format!("WARN: Systemd {systemd} detected. You may need to enable nesting."));
        warnings += 1;
    }
    here_mut(s.world_mut(), id)?.config.current.remove("lock");
    Ok(warnings)
}

fn write_host_key(s: &mut Session, id: GuestId, kind: &str, key: &str) {
    let path = format!("/etc/ssh/ssh_host_{kind}_key");
    let (core, now) = (s.core(), s.now());
    guest::inside(s.world_mut(), core, id, now, |body, _| {
        // Nothing but a template with a file in the directory's place could refuse these.
        let _ = body.place(&path, 0o600, format!("PRIVATE KEY {key}\n").into_bytes());
        let _ = body.place(&format!("{path}.pub"), 0o644, format!("ssh-{kind} {key}\n").into_bytes());
    });
}

/// A container that could not be made leaves nothing behind but what its id had `before`.
pub(super) fn forget(world: &mut World, id: GuestId, before: &[String]) {
    let new = |(volid, volume): &(&String, &Volume)| volume.owner == id && !before.contains(volid);
    let new: Vec<String> = world.volumes().iter().filter(new).map(|(volid, _)| volid.clone()).collect();
    for volid in new {
        world.remove_volume(&volid);
    }
    world.remove_guest(id);
}
