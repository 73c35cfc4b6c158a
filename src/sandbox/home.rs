//! A real node taken home: a world that goes on by itself, with what the node's files tell, and the insides of guests that
//! were asked for.
//!
//! Nothing that is secret comes along: not phoenix's own secrets, not `/etc/pve/priv`, no passwords of cloud-init, and of a
//! guest's inside only files that every user there may read.

use std::collections::{BTreeMap, BTreeSet};

use super::body::{Body, BodyChange, Data, Power, Runtime, Template, UNIT_DIRS};
use super::config::Config;
use super::guest::timestamp;
use super::programs::Programs;
use super::world::{NodeFile, World, body_of};
use crate::host::{Host, HostError};
use crate::model::{GuestId, GuestKind};
use crate::op::{FileKind, Op, OpResult, OpValue, Place, Stat, UnitState};
use crate::pve::inventory::Inventory;

/// Larger files of a guest stay away.
const FILE_LIMIT: u64 = 64 << 10;
/// Limit of one of the node's own files.
const NODE_LIMIT: u64 = 1 << 20;
/// So many paths are asked about in one round trip.
const BATCH: usize = 2000;
/// What phoenix keeps about its guests.
const RECORDS: &str = "/var/lib/phoenix/guests";
/// Files of the node that decide what can be made there.
const NODE_FILES: [&str; 5] =
    ["/etc/exports", "/etc/subgid", "/etc/subuid", "/proc/devices", "/proc/driver/nvidia/version"];
/// Trees that are read inside a guest, beside its unit files.
const TREE: &str = "/etc";
/// Whoever is not root.
const OTHERS: (u32, u32) = (0o004, 0o001);

impl World {
    /// A world that is like this node, with the insides of these guests, which run. Every other guest is taken to hold
    /// what a fresh system does.
    ///
    /// # Errors
    /// When the node or one of these guests does not answer.
    pub fn taken_home(
        inventory: &Inventory,
        real: &dyn Host,
        inside: &BTreeSet<GuestId>,
        programs: &dyn Programs,
    ) -> Result<World, HostError> {
        let mut world = World::of_node(inventory, real)?;
        for (stem, text) in &inventory.firewalls {
            world.files.insert(format!("/etc/pve/firewall/{stem}.fw"), NodeFile::Text(text.clone()));
        }
        let read = |path: &str| Op::Read { path: path.to_owned(), limit: NODE_LIMIT };
        let mut ops = vec![Op::ReadAll { path: RECORDS.to_owned(), suffix: ".json".to_owned() }];
        ops.extend(NODE_FILES.map(read));
        let mut results = real.perform(Place::Node, &ops)?.into_iter();
        if let Some(Ok(OpValue::Files(records))) = results.next() {
            let text = |bytes: Vec<u8>| NodeFile::Text(String::from_utf8_lossy(&bytes).into_owned());
            world.files.extend(records.into_iter().map(|(name, bytes)| (format!("{RECORDS}/{name}"), text(bytes))));
        }
        for (path, result) in NODE_FILES.iter().zip(results) {
            if let Ok(OpValue::Bytes(Some(bytes))) = result {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                world.files.insert((*path).to_owned(), NodeFile::Text(text));
            }
        }
        for guest in world.guests.values_mut() {
            guest.config = Config::parse(&without_passwords(&guest.config.render(guest.kind)));
        }
        world.begin();
        for (id, present) in inventory.guests.iter().filter(|(_, present)| present.node == inventory.node) {
            let place = Place::Guest(*id, present.kind);
            let mut body = match inside.contains(id) {
                true => read_inside(real, place, programs)?,
                false => fresh(present.kind, present.config.current.get("ostype")),
            };
            if present.running {
                let since = timestamp(world.now);
                // It fits every body.
                let _ = body.apply(BodyChange::Power(Power::On { since }));
            }
            world.place_body(&body_of(*id), body);
        }
        let known: Vec<String> = inside.iter().map(GuestId::to_string).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        world.about = Some(format!(
            "The Proxmox VE node {}, as it was when it was looked at. Guests whose inside was read: {known}; the others hold \
             a fresh system. Secrets stayed there.",
            inventory.node
        ));
        Ok(world)
    }
}

/// A configuration with its passwords masked, wherever they stand.
fn without_passwords(config: &str) -> String {
    let line = |line: &str| match line.strip_prefix("cipassword:") {
        Some(_) => "cipassword: **********\n".to_owned(),
        None => format!("{line}\n"),
    };
    config.lines().map(line).collect()
}

/// What is taken to be in a guest that was not read.
fn fresh(kind: GuestKind, ostype: Option<&str>) -> Body {
    match (kind, ostype) {
        (GuestKind::Vm, _) => Body::cloud_with_agent(),
        (GuestKind::Lxc, Some("ubuntu")) => Body::of_template(Template::Ubuntu2404),
        (GuestKind::Lxc, _) => Body::of_template(Template::Debian12),
    }
}

/// A guest's inside: packages, units, and `/etc` as far as everybody may read it.
fn read_inside(real: &dyn Host, place: Place, programs: &dyn Programs) -> Result<Body, HostError> {
    let mut facts = real.perform(place, &[Op::Os, Op::Packages])?.into_iter();
    let template = match facts.next() {
        Some(Ok(OpValue::Os { id, version, .. })) => Template::of_file(&format!("{id}-{version}-")),
        _ => None,
    };
    let packages = match facts.next() {
        Some(Ok(OpValue::Packages(packages))) => packages,
        _ => BTreeMap::new(),
    };
    let mut body = Body::furnished(template.unwrap_or(Template::Debian12), packages, programs);
    let mut changes = vec![BodyChange::Gone { path: TREE.to_owned() }];
    let mut directories = vec![TREE.to_owned()];
    directories.extend(UNIT_DIRS.iter().filter(|path| !path.starts_with(TREE)).map(|path| (*path).to_owned()));
    let mut units = BTreeSet::new();
    // Their own places come first; a directory that is not there has no entries.
    let mut level = directories;
    let mut wanted: Vec<String> = level.clone();
    while !wanted.is_empty() {
        let stats = ask(real, place, &wanted, |path| Op::Stat { path })?;
        level.clear();
        let mut files = Vec::new();
        for (path, result) in wanted.iter().zip(stats) {
            let Ok(OpValue::Stat(Some(stat))) = result else { continue };
            let Stat { kind, mode, uid, gid, size, target, device, .. } = stat;
            let path = path.clone();
            match kind {
                FileKind::Directory => {
                    if mode & OTHERS.1 != 0 {
                        level.push(path.clone());
                    }
                    changes.push(BodyChange::Dir { path, mode, uid, gid });
                }
                FileKind::Symlink => changes.push(BodyChange::Link { path, target: target.unwrap_or_default() }),
                FileKind::Other => changes.push(BodyChange::Other { path, mode, uid, gid, device }),
                FileKind::File if mode & OTHERS.0 == 0 || size > FILE_LIMIT => {
                    changes.push(BodyChange::File { path, mode, uid, gid, data: Data::text("") });
                }
                FileKind::File => files.push((path, mode, uid, gid)),
            }
        }
        let paths: Vec<String> = files.iter().map(|(path, ..)| path.clone()).collect();
        let reads = ask(real, place, &paths, |path| Op::Read { path, limit: FILE_LIMIT })?;
        for ((path, mode, uid, gid), result) in files.into_iter().zip(reads) {
            let bytes = if let Ok(OpValue::Bytes(Some(bytes))) = result { bytes } else { Vec::new() };
            changes.push(BodyChange::File { path, mode, uid, gid, data: Data::of(bytes) });
        }
        let lists = ask(real, place, &level, |path| Op::List { path })?;
        wanted.clear();
        for (directory, result) in level.iter().zip(lists) {
            let Ok(OpValue::Entries(Some(entries))) = result else { continue };
            if UNIT_DIRS.contains(&directory.as_str()) {
                units.extend(entries.iter().map(|entry| entry.name.clone()).filter(|name| is_unit(name)));
            }
            wanted.extend(entries.into_iter().map(|entry| format!("{directory}/{}", entry.name)));
        }
    }
    for change in changes {
        // What does not fit the template stays as the template has it: the copy is a little less exact.
        let _ = body.apply(change);
    }
    let names: Vec<String> = units.into_iter().collect();
    if let Some(Ok(OpValue::Units(states))) = real.perform(place, &[Op::Units { names }])?.pop() {
        for UnitState { name, active, sub, .. } in states {
            let runtime =
                (active == "active" || active == "failed").then_some(Runtime { active, sub, loaded: String::new() });
            // Any unit fits.
            let _ = body.apply(BodyChange::Unit { name, runtime });
        }
    }
    Ok(body)
}

fn is_unit(name: &str) -> bool {
    !name.contains("@.") && [".service", ".socket", ".timer"].iter().any(|suffix| name.ends_with(suffix))
}

/// Asks about many paths in few round trips.
fn ask(real: &dyn Host, place: Place, paths: &[String], op: impl Fn(String) -> Op) -> Result<Vec<OpResult>, HostError> {
    let mut results = Vec::with_capacity(paths.len());
    for paths in paths.chunks(BATCH) {
        let ops: Vec<Op> = paths.iter().cloned().map(&op).collect();
        results.extend(real.perform(place, &ops)?);
    }
    Ok(results)
}
