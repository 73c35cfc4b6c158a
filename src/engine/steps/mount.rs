//! Mount: NFS exports inside a virtual machine, now and at boot. A server that is away does not keep the machine from
//! booting.

use super::{Done, Life, Result, StepError};
use crate::event::Failure;
use crate::machine::{Mount, Packages};

/// The NFS client.
const CLIENT: &str = "nfs-common";

/// Mounts every declared export.
pub(in crate::engine) fn mount(life: &mut Life) -> Result<Done> {
    let machine = life.machine();
    let mut changed = machine.packages(&[CLIENT.to_owned()], &Packages::default())?.changed;
    for volume in &life.guest.vm.nfs {
        let export = format!("{}:{}", volume.server, volume.path);
        life.waiting(&format!("the NFS export {export}"));
        let mount = Mount {
            source: export.clone(),
            fstype: "nfs".to_owned(),
            options: ["defaults", "_netdev", "nofail"].map(str::to_owned).to_vec(),
        };
        let mounted = machine.mount(&volume.mount_point, &mount).map_err(|error| match error.into() {
            StepError::Failed(failure) => StepError::Failed(Box::new(Failure {
                message: format!(
                    "the NFS export {export} cannot be mounted at {}: {}",
                    volume.mount_point, failure.message
                ),
                hint: Some(format!(
                    "is the NFS server {} up, does it export {}, and do the firewalls let the guest through? \
                     `showmount -e {}` tells",
                    volume.server, volume.path, volume.server
                )),
                ..*failure
            })),
            other => other,
        })?;
        changed |= mounted.changed;
    }
    if changed {
        life.touch()?;
    }
    Ok(Done::of(changed))
}
