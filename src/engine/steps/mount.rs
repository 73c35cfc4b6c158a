//! Mount: NFS exports inside a virtual machine, now and at boot. A server that is away does not keep the machine from
//! booting.

use super::{Done, Life, Result, StepError, difference};
use crate::command::Cost;
use crate::event::Failure;
use crate::machine::{MachineError, Mount, Packages};
use crate::op::{Attributes, Op, OpValue, Place};

/// The NFS client.
const CLIENT: &str = "nfs-common";

/// Makes the directories that are exported by the node itself, below an export of its own, and are not there yet. Answers
/// whether any was.
fn exported(life: &Life) -> Result<bool> {
    let volumes = &life.guest.vm.nfs;
    let looks: Vec<Op> = volumes.iter().map(|volume| Op::Stat { path: volume.path.clone() }).collect();
    let found = life.perform(Place::Node, &looks)?;
    let absent: Vec<_> = volumes.iter().zip(found).filter(|(_, found)| *found == OpValue::Stat(None)).collect();
    if absent.is_empty() {
        // Whose export it is takes a program to find out, and matters no more.
        return Ok(false);
    }
    let answers = life.perform(Place::Node, &[Op::Network])?;
    let Some(OpValue::Network { addresses, .. }) = answers.first() else { return Ok(false) };
    let is_node = |server: &str| addresses.iter().any(|address| address.split('/').next() == Some(server));
    let mut ops = Vec::new();
    for (volume, _) in absent.into_iter().filter(|(volume, _)| is_node(&volume.server)) {
        life.changes(difference(&format!("path {}", volume.path), None, Some("made on the node"), Cost::None));
        ops.push(Op::MakeDir { path: volume.path.clone(), attributes: Attributes::default() });
    }
    life.perform(Place::Node, &ops)?;
    Ok(!ops.is_empty())
}

/// Mounts every declared export.
pub(in crate::engine) fn mount(life: &mut Life) -> Result<Done> {
    let mut changed = exported(life)?;
    let machine = life.machine();
    changed |= machine.packages(&[CLIENT.to_owned()], &Packages::default())?.changed;
    for volume in &life.guest.vm.nfs {
        let export = format!("{}:{}", volume.server, volume.path);
        life.waiting(&format!("the NFS export {export}"));
        let mount = Mount {
            source: export.clone(),
            fstype: "nfs".to_owned(),
            options: ["defaults", "_netdev", "nofail"].map(str::to_owned).to_vec(),
        };
        let mounted = machine.mount(&volume.mount_point, &mount).map_err(|error| match error {
            MachineError::Exec { .. } | MachineError::Op { .. } if !error.is_unknown() => {
                let failure = error.failure();
                StepError::Failed(Box::new(Failure {
                    message: format!(
                        "the NFS export {export} cannot be mounted at {}: {}",
                        volume.mount_point, failure.message
                    ),
                    hint: Some(format!(
                        "is the NFS server {} up, does it export {}, and do the firewalls let the guest through? \
                     `showmount -e {}` tells",
                        volume.server, volume.path, volume.server
                    )),
                    ..failure
                }))
            }
            other => other.into(),
        })?;
        changed |= mounted.changed;
    }
    if changed {
        life.touch()?;
    }
    Ok(Done::of(changed))
}
