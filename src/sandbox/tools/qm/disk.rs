//! Disks of machines: made, imported, moved, found again, taken away.

use super::*;
use crate::op::{Op, OpValue};
use crate::pve::format::split_list;
use crate::sandbox::config::number;
use crate::sandbox::disk::{CLOUD_INIT_SIZE, cloud_init_drive, drive, file, is_cdrom, print};
use crate::sandbox::image::CloudImage;
use crate::sandbox::pending::{disuse, forget_unused};
use crate::sandbox::storage::{Storage, Volume, disk_allocation, is_allocation, size_text, split};
use crate::sandbox::world::body_of;
use crate::sandbox::{guest, pace};

/// Refuses a drive on a storage that does not exist or takes no disks, before anything is touched.
pub(super) fn check_storage(world: &World, call: &Call, key: &str, value: &str) -> Done {
    let drive = drive(key, value);
    let Some((id, name)) = split(file(&drive)) else { return Ok(()) };
    let storage = world.usable_storage(id).map_err(fail)?;
    if drive.get("import-from").is_some() && !(is_allocation(name) && name.trim_matches(['0', '.']).is_empty()) {
        let how = "use <storage ID>:0,import-from=<source>";
        return Err(bad_parameter(call, key, &format!("'import-from' requires special syntax - {how}")));
    }
    if name.starts_with("iso/") && drive.get("media") != Some("cdrom") {
        return Err(bad_parameter(call, key, "explicit 'media=cdrom' is required for iso images"));
    }
    if !storage.takes("images") && (is_allocation(name) || name == "cloudinit") {
        return Err(bad_parameter(call, "storage", &format!("storage '{id}' does not support vm images")));
    }
    Ok(())
}

/// A drive's value with its volume made, imported or looked up.
pub(super) fn realise(s: &mut Session, id: GuestId, key: &str, value: &str) -> Done<String> {
    let mut drive = drive(key, value);
    let wanted = file(&drive).to_owned();
    let Some((storage, name)) = split(&wanted) else {
        if wanted == "none" || wanted == "cdrom" {
            return Ok(print(key, &drive));
        }
        return Err(fail(format!("unable to parse volume ID '{wanted}'")));
    };
    let storage = s.world().usable_storage(storage).map_err(fail)?.clone();
    if name == "cloudinit" {
        let config = &here(s.world(), id)?.config.current;
        if let Some((other, _)) = cloud_init_drive(config).filter(|(other, _)| other != key) {
            return Err(fail(format!("{key} - cloud-init drive is already attached at '{other}'")));
        }
        let volume = cloud_init_volume(s, &storage, id, drive.get("format"))?;
        drive.set("file", volume);
        drive.set("media", "cdrom");
        drive.remove("format");
    } else if is_allocation(name) {
        let (volume, size) = match drive.get("import-from").map(str::to_owned) {
            Some(source) => import_image(s, id, &source, &storage, drive.get("format"))?,
            None => {
                let format = format_of(&storage, drive.get("format"))?;
                let size = firmware_size(key, &storage, disk_allocation(name).unwrap_or_default());
                (s.world_mut().allocate_as(&storage, id, size, &format).map_err(fail)?, size)
            }
        };
        work_for(s, pace::ALLOCATE)?;
        drive.set("file", volume);
        drive.set("size", size_text(size));
        drive.remove("format");
        drive.remove("import-from");
    } else {
        return existing(s, id, key, &mut drive);
    }
    let value = print(key, &drive);
    s.print(format!("{key}: successfully created disk '{value}'"));
    Ok(value)
}

/// A drive with a volume that is there already.
fn existing(s: &mut Session, id: GuestId, key: &str, drive: &mut crate::pve::property::Properties) -> Done<String> {
    let volume = file(drive).to_owned();
    match s.world().volumes().get(&volume).map(|known| known.size) {
        Some(size) => drive.set("size", size_text(size)),
        None => {
            let path = s.world().path_of(&volume);
            let (core, now) = (s.core(), s.now());
            if !is_cdrom(drive) || !guest::is_on_node(s.world_mut(), core, &path, now) {
                return Err(fail(format!("volume '{volume}' does not exist")));
            }
        }
    }
    forget_unused(s.world_mut(), id, &volume);
    Ok(print(key, drive))
}

/// The drive that cloud-init reads, for a machine.
pub(super) fn cloud_init_volume(s: &mut Session, storage: &Storage, id: GuestId, format: Option<&str>) -> Done<String> {
    let usual = if storage.is_path_based() { "qcow2" } else { "raw" };
    let format = format.filter(|format| storage.has_format(format)).unwrap_or(usual).to_owned();
    let name = format!("vm-{id}-cloudinit");
    let name = if storage.is_path_based() { format!("{id}/{name}.{format}") } else { name };
    let volid = format!("{}:{name}", storage.id);
    if s.world().volumes().contains_key(&volid) {
        return Err(fail(format!("disk image '{}' already exists", storage.path_of(&name))));
    }
    s.world().space(storage, &name).map_err(fail)?;
    let volume = Volume { owner: id, size: CLOUD_INIT_SIZE, format, base: None, snapshots: Vec::new() };
    s.world_mut().put_volume(&volid, volume);
    Ok(volid)
}

/// The format of a new disk: raw where nobody asked for another.
fn format_of(storage: &Storage, asked: Option<&str>) -> Done<String> {
    let format = asked.unwrap_or("raw");
    if storage.has_format(format) {
        return Ok(format.to_owned());
    }
    Err(fail(format!("unsupported format '{format}' at /usr/share/perl5/PVE/Storage/Plugin.pm line 1.")))
}

/// The firmware's own drives have the size of what is on them.
fn firmware_size(key: &str, storage: &Storage, asked: u64) -> u64 {
    match key {
        "efidisk0" if storage.is_path_based() => 528 << 10,
        "efidisk0" if storage.kind == "zfspool" => 1 << 20,
        "efidisk0" | "tpmstate0" => 4 << 20,
        _ => asked,
    }
}

/// Copies an image of the node into a new volume. A cloud image that is known becomes the machine's inside.
fn import_image(
    s: &mut Session,
    id: GuestId,
    source: &str,
    storage: &Storage,
    format: Option<&str>,
) -> Done<(String, u64)> {
    let format = format_of(storage, format)?;
    let path = s.world().path_of(source);
    let (core, now) = (s.core(), s.now());
    let stat = Op::Stat { path: path.clone() };
    let known = s.world().volumes().get(source).map(|volume| (volume.size, volume.owner));
    if let Some((size, _)) = known {
        let volume = s.world_mut().allocate_as(storage, id, size, &format).map_err(fail)?;
        work_for(s, pace::IMPORT)?;
        return Ok((volume, size));
    }
    if !guest::is_on_node(s.world_mut(), core, &path, now) {
        let missing = if split(source).is_some() {
            format!("volume '{source}' does not exist")
        } else {
            format!("can't find file '{source}'")
        };
        return Err(fail(missing));
    }
    let image = s.world_mut().image_at(core, &path, now);
    let size = match &image {
        Some(image) => image.virtual_size(),
        None => match guest::node_inside(s.world_mut(), core, now, |body, around| body.perform(&stat, around).result) {
            Some(Ok(OpValue::Stat(Some(stat)))) => stat.size,
            _ => 0,
        },
    };
    if image == Some(CloudImage::Broken) {
        let convert = format!("/usr/bin/qemu-img convert -p -n -O {format} {path} zeroinit");
        s.print(format!("qemu-img: Could not open '{path}': Image is not in qcow2 format"));
        return Err(fail(format!("copy failed: command '{convert}' failed: exit code 1")));
    }
    let volume = s.world_mut().allocate_as(storage, id, size, &format).map_err(fail)?;
    work_for(s, pace::IMPORT)?;
    if let Some(image) = image.filter(|_| s.world().body(&body_of(id)).is_none()) {
        s.world_mut().unpack_body(&body_of(id), image.name());
    }
    Ok((volume, size))
}

pub(super) fn import(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let word = |at: usize| call.positionals.get(at).cloned().unwrap_or_default();
    let (source, storage) = (word(1), word(2));
    here(s.world(), id)?;
    let path = s.world().path_of(&source);
    let (core, now) = (s.core(), s.now());
    if !guest::is_on_node(s.world_mut(), core, &path, now) {
        return Err(fail(format!("{source}: non-existent or non-regular file")));
    }
    let storage = s.world().usable_storage(&storage).map_err(fail)?.clone();
    if !storage.takes("images") {
        return Err(fail(format!("storage '{}' does not support vm images", storage.id)));
    }
    flock(s, id)?;
    unlocked(s.world(), id)?;
    let target = call.option("target-disk").map(str::to_owned);
    if let Some(key) =
        target.as_deref().filter(|key| here(s.world(), id).is_ok_and(|guest| guest.config.current.get(key).is_some()))
    {
        return Err(fail(format!("could not import to '{key}': already in use")));
    }
    s.print(format!("importing disk '{source}' to VM {id} ..."));
    let (volume, _) = import_image(s, id, &source, &storage, call.option("format"))?;
    let config = &mut here_mut(s.world_mut(), id)?.config.current;
    let free = || (0..).map(|n| format!("unused{n}")).find(|key| config.get(key).is_none()).unwrap_or_default();
    let key = target.unwrap_or_else(free);
    // Without a size, whatever the key.
    config.set(&key, volume.clone());
    s.print(format!("{key}: successfully imported disk '{volume}'"));
    Ok(0)
}

pub(super) fn move_disk(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let key = call.positionals.get(1).cloned().unwrap_or_default();
    let target = call.positionals.get(2).cloned().or_else(|| call.option("storage").map(str::to_owned));
    let Some(target) = target.filter(|target| !target.is_empty()) else { return Err(not_modelled(call)) };
    here(s.world(), id)?;
    flock(s, id)?;
    unlocked(s.world(), id)?;
    if let Some(digest) = call.option("digest")
        && here(s.world(), id)?.config.digest(GuestKind::Vm) != digest
    {
        return Err(fail("detected modified configuration - file changed by other user? Try again."));
    }
    let config = &here(s.world(), id)?.config;
    let Some(value) = config.current.get(&key).map(str::to_owned) else {
        return Err(fail(format!("disk '{key}' does not exist")));
    };
    // An unused volume's value is its volume alone.
    let mut moved = drive(if number(&key, "unused").is_some() { "scsi0" } else { &key }, &value);
    let old = file(&moved).to_owned();
    if is_cdrom(&moved) {
        return Err(fail("you can't move a cdrom"));
    }
    let missing = || fail(format!("volume '{old}' does not exist"));
    let known = s.world().volumes().get(&old).cloned();
    let from = split(&old).map(|(storage, _)| storage.to_owned()).unwrap_or_default();
    let format = known.as_ref().map(|known| known.format.as_str());
    if from == target && call.option("format").is_none_or(|asked| Some(asked) == format) {
        return Err(fail("you can't move to the same storage with same format"));
    }
    let storage = s.world().usable_storage(&target).map_err(fail)?.clone();
    if !storage.takes("images") {
        return Err(bad_parameter(call, "storage", &format!("storage '{target}' does not support vm images")));
    }
    let known = known.ok_or_else(missing)?;
    if !known.snapshots.is_empty() && call.is_on("delete") {
        return Err(fail("you can't move a disk with snapshots and delete the source"));
    }
    task(s, Exit::Follows, |s| {
        s.print(format!("copying volume '{old}' from current storage '{from}' to target storage '{target}'"));
        s.print(format!("create full clone of drive {key} ({old})"));
        let format = format_of(&storage, call.option("format"))?;
        let volume = s.world_mut().allocate_as(&storage, id, known.size, &format).map_err(fail)?;
        s.print(format!("allocated target volume '{volume}'"));
        work_for(s, pace::MOVE_VOLUME)?;
        moved.set("file", volume);
        moved.set("size", size_text(known.size));
        let new = if number(&key, "unused").is_some() { file(&moved).to_owned() } else { print(&key, &moved) };
        here_mut(s.world_mut(), id)?.config.current.set(&key, new);
        if call.is_on("delete") {
            s.world_mut().remove_volume(&old);
        } else {
            disuse(s.world_mut(), id, &key, &value);
        }
        Ok(())
    })
}

/// Enters volumes that nobody names as `unusedN`, and corrects sizes.
pub(super) fn rescan(s: &mut Session, call: &Call) -> Done<i32> {
    s.print("rescan volumes...");
    let only = call.option("vmid").and_then(|id| id.parse().ok());
    if let Some(id) = only {
        here(s.world(), id)?;
    }
    let machines = s.world().guests().filter(|guest| guest.kind == GuestKind::Vm && guest.node.is_none());
    let ids: Vec<GuestId> = machines.map(|guest| guest.id).filter(|id| only.is_none_or(|only| only == *id)).collect();
    for id in ids {
        let config = here(s.world(), id)?.config.clone();
        let sections = std::iter::once(&config.current).chain(config.snapshots.values());
        let named: Vec<String> = sections
            .flat_map(|section| section.keys.iter())
            .filter_map(|(key, value)| crate::sandbox::pending::volume_of(key, value))
            .collect();
        let owned = s.world().volumes().iter().filter(|(volid, volume)| volume.owner == id && !named.contains(volid));
        let lost: Vec<String> =
            owned.map(|(volid, _)| volid.clone()).filter(|volid| !volid.contains("-cloudinit")).collect();
        for volume in lost {
            let config = &mut here_mut(s.world_mut(), id)?.config.current;
            let key = (0..).map(|n| format!("unused{n}")).find(|key| config.get(key).is_none()).unwrap_or_default();
            config.set(&key, volume.clone());
            s.print(format!("VM {id} add unreferenced volume '{volume}' as '{key}' to config"));
        }
    }
    Ok(0)
}

pub(super) fn unlink(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let keys: Vec<String> =
        call.option("idlist").map(split_list).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let mut options = vec![("delete".to_owned(), keys.join(","))];
    if call.is_on("force") {
        options.push(("force".to_owned(), "1".to_owned()));
    }
    set::change(s, &Call { command: "qm set".to_owned(), options, ..call.clone() }, id)?;
    Ok(0)
}
