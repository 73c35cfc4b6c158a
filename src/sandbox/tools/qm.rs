//! `qm`: virtual machines. They are known to the node, and looked at; what runs in them is not modelled yet.

use std::fmt::Write;

use super::{id_at, not_modelled, pct::shown};
use crate::model::{GuestId, GuestKind};
use crate::pve::argv::Call;
use crate::sandbox::session::{Done, Session, fail, fail_with};
use crate::sandbox::world::{Guest, World};

/// Runs one command of `qm`.
pub(super) fn run(s: &mut Session, call: &Call) -> Done<i32> {
    match call.command.as_str() {
        "qm list" => list(s),
        "qm status" => status(s, call),
        "qm config" => config(s, call),
        "qm stop" | "qm shutdown" | "qm start" | "qm set" | "qm clone" | "qm destroy" | "qm snapshot" => {
            let id = id_at(call, 0)?;
            machine(s.world(), id).map_err(|_| {
                let message = match call.command.as_str() {
                    "qm stop" | "qm shutdown" | "qm clone" => {
                        format!("unable to find configuration file for VM {id} on node '{}'", s.world().node)
                    }
                    _ => absent(s.world(), id),
                };
                fail(message)
            })?;
            Err(not_modelled(call))
        }
        "qm rescan" | "qm disk rescan" => {
            s.print("rescan volumes...");
            Ok(0)
        }
        _ => Err(not_modelled(call)),
    }
}

fn absent(world: &World, id: GuestId) -> String {
    format!("Configuration file 'nodes/{}/qemu-server/{id}.conf' does not exist", world.node)
}

fn machine(world: &World, id: GuestId) -> Done<&Guest> {
    let machine = world.guest(id).filter(|guest| guest.kind == GuestKind::Vm && guest.node.is_none());
    machine.ok_or_else(|| fail_with(2, absent(world, id)))
}

fn list(s: &mut Session) -> Done<i32> {
    let mut text = String::new();
    for guest in s.world().guests().filter(|guest| guest.kind == GuestKind::Vm && guest.node.is_none()) {
        if text.is_empty() {
            let [name, status, memory, disk] = ["NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)"];
            // Writing into a String cannot fail; so below.
            let _ = writeln!(text, "{:>10} {name:<20} {status:<10} {memory:<10} {disk:>12} {:<10}", "VMID", "PID");
        }
        let config = &guest.config.current;
        let name = config.get("name").map_or_else(|| format!("VM {}", guest.id), str::to_owned);
        let status = if guest.running.is_some() { "running" } else { "stopped" };
        let pid = guest.running.as_ref().map_or(0, |running| running.pid);
        let memory = config.get("memory").unwrap_or("512");
        let _ = writeln!(text, "{:>10} {name:<20} {status:<10} {memory:<10} {:>12.2} {pid:<10}", guest.id, 0.0);
    }
    s.write(text.as_bytes());
    Ok(0)
}

fn status(s: &mut Session, call: &Call) -> Done<i32> {
    let running = machine(s.world(), id_at(call, 0)?)?.running.is_some();
    s.print(format!("status: {}", if running { "running" } else { "stopped" }));
    Ok(0)
}

fn config(s: &mut Session, call: &Call) -> Done<i32> {
    let config = &machine(s.world(), id_at(call, 0)?)?.config;
    let section = match call.option("snapshot") {
        Some(name) => {
            let taken = config.snapshots.get(name).cloned();
            taken.ok_or_else(|| fail(format!("snapshot '{name}' does not exist")))?
        }
        None if call.is_on("current") => config.current.clone(),
        None => config.coming(),
    };
    for (key, value) in shown(&section) {
        let value = if key == "cipassword" { "**********".to_owned() } else { value };
        s.print(format!("{key}: {value}"));
    }
    Ok(0)
}
