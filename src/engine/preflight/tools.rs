//! Proxmox VE's own tools, and the directory in which phoenix keeps what it knows.

use super::Look;
use super::facts::{OURS, TOOLS};
use crate::finding::Finding;
use crate::model::GuestKind;
use crate::op::FileKind;

/// Tools that declared guests need, and our directory.
pub(super) fn check(look: &Look) -> Vec<Finding> {
    let needed = |package: &str| match package {
        "pve-container" | "lxc-pve" => look.guests().any(|guest| guest.kind == GuestKind::Lxc),
        "qemu-server" => look.guests().any(|guest| guest.kind == GuestKind::Vm),
        _ => true,
    };
    let tools = TOOLS.iter().zip(&look.facts.tools).filter(|((_, package), there)| !**there && needed(package));
    let mut findings: Vec<Finding> = tools
        .map(|((path, package), _)| {
            Finding::error("tool-absent", format!("{path} is not on the node"))
                .hint(format!("`apt install {package}` brings it"))
        })
        .collect();
    let read_only = look.facts.mounted.as_deref().is_some_and(|options| options.split(',').any(|one| one == "ro"));
    match look.facts.ours {
        Some(FileKind::Directory) | None if read_only => {
            let finding =
                Finding::error("not-writable", format!("{OURS} lies on a file system that is mounted read-only"));
            findings.push(finding.hint("`dmesg` tells why; `mount -o remount,rw` makes it writable"));
        }
        Some(FileKind::Directory) | None => {}
        Some(_) => findings.push(
            Finding::error("not-writable", format!("{OURS} is no directory"))
                .hint(format!("move it away: `mv {OURS} {OURS}.old`")),
        ),
    }
    findings
}
