//! `qm cloudinit`: what a machine's cloud-init drive holds, and how the configuration differs from it.

use super::*;
use crate::pve::format::split_list;
use crate::sandbox::disk::cloud_init_drive;
use crate::sandbox::seed::Seed;

/// Keys whose state `qm cloudinit pending` tells.
const TOLD: [&str; 7] = ["cicustom", "cipassword", "citype", "ciuser", "nameserver", "searchdomain", "sshkeys"];

/// What Proxmox would generate. Own files (`cicustom`) do not count, and no drive is needed.
pub(super) fn dump(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    let config = here(s.world(), id)?.config.current.clone();
    let seed = Seed::of(s.world(), id, &config);
    let text = match call.positionals.get(1).map(String::as_str) {
        Some("user") => seed.user,
        Some("network") => seed.network,
        _ => format!("instance-id: {}\n", seed.instance_id),
    };
    s.write(text.as_bytes());
    Ok(0)
}

pub(super) fn pending(s: &mut Session, call: &Call) -> Done<i32> {
    let config = &here(s.world(), id_at(call, 0)?)?.config;
    let shown = show::shown(&config.current);
    let image = &config.cloud_init;
    let added: Vec<&str> = image.get("added").map(|added| split_list(added)).unwrap_or_default();
    let mut lines = Vec::new();
    for key in TOLD {
        let now = shown.get(key).filter(|value| !value.is_empty() && value.as_str() != "0");
        match (now, image.get(key)) {
            (Some(value), _) if added.contains(&key) => lines.push(format!("new {key}: {value}")),
            (Some(value), Some(old)) => {
                lines.push(format!("cur {key}: {old}"));
                lines.push(format!("new {key}: {value}"));
            }
            (Some(value), None) => lines.push(format!("cur {key}: {value}")),
            (None, Some(old)) => lines.push(format!("del {key}: {old}")),
            (None, None) => {}
        }
    }
    lines.iter().for_each(|line| s.print(line));
    Ok(0)
}

/// Makes the image anew; a running machine reads it at its next boot.
pub(super) fn update(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    here(s.world(), id)?;
    flock(s, id)?;
    unlocked(s.world(), id)?;
    let config = here(s.world(), id)?.config.current.clone();
    if cloud_init_drive(&config).is_none() {
        return Err(fail(format!("No cloudinit drive found for VM {id}")));
    }
    let core = s.core();
    let now = s.now();
    Seed::with_own_files(s.world_mut(), core, id, &config, now).map_err(fail)?;
    s.print("generating cloud-init ISO");
    here_mut(s.world_mut(), id)?.config.cloud_init.clear();
    Ok(0)
}
