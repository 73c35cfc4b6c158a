//! Mount points of containers: what a value asks for, and what it is once its volume is there.

use super::guest::{is_host_path, mount};
use super::storage::{Storage, allocation, is_allocation, size_text, split};
use super::world::World;
use crate::model::GuestId;
use crate::pve::property::Properties;
use crate::pve::table::grammar_of;

/// A mount point in canonical order; the root has no path of its own.
pub(super) fn print(key: &str, point: &Properties) -> String {
    let option = if key == "rootfs" { "rootfs" } else { "mp0" };
    grammar_of("pct set", option).map(|grammar| point.print(grammar)).unwrap_or_default()
}

/// A value with its volume made, where it asks for a new one, and its present size, where there is one. The second is
/// what the tools say about a volume that they cannot find: they take it all the same.
///
/// # Errors
/// Proxmox's words when the volume cannot be made.
pub(super) fn realise(
    world: &mut World,
    id: GuestId,
    key: &str,
    value: &str,
) -> Result<(String, Option<String>), String> {
    let mut point = mount(key, value);
    let volume = point.get("volume").unwrap_or_default().to_owned();
    let Some((storage, name)) = split(&volume).filter(|_| !is_host_path(&volume)) else {
        return Ok((print(key, &point), None));
    };
    if is_allocation(name) {
        let storage = world.usable_storage(storage)?.clone();
        let size = allocation(name).unwrap_or_default();
        point.set("volume", world.allocate(&storage, id, size)?);
        point.set("size", size_text(size));
        return Ok((print(key, &point), None));
    }
    let complaint = if let Some(known) = world.volumes().get(&volume) {
        point.set("size", size_text(known.size));
        None
    } else if let Err(unparsable) = check_name(world, &volume) {
        Some(format!("Could not rescan volume size - {unparsable}"))
    } else {
        point.remove("size");
        Some(format!("failed to stat '{}'", world.path_of(&volume)))
    };
    Ok((print(key, &point), complaint))
}

/// Whether a volume's storage could have a volume of this name.
///
/// # Errors
/// Proxmox's words about the storage or the name.
pub(super) fn check_name(world: &World, volume: &str) -> Result<(), String> {
    let Some((storage, name)) = split(volume) else { return Err(format!("unable to parse volume ID '{volume}'")) };
    let storage = world.usable_storage(storage)?;
    let fits = if storage.is_path_based() { name.contains('/') } else { name.contains("-disk-") };
    if fits { Ok(()) } else { Err(format!("unable to parse {} volume name '{name}'", plugin(storage))) }
}

/// What a storage's plugin calls itself in its messages.
fn plugin(storage: &Storage) -> &'static str {
    match storage.kind.as_str() {
        "zfspool" => "zfs",
        "lvm" | "lvmthin" => "lvm",
        "rbd" => "rbd",
        _ => "directory",
    }
}
