//! What still works when the cluster has lost its quorum: looking, and what is done inside of guests.

use crate::pve::argv::Call;
use crate::sandbox::session::{Done, fail};
use crate::sandbox::world::World;

/// Commands that change nothing below `/etc/pve`.
const HARMLESS: [&str; 41] = [
    "ha-manager config",
    "ha-manager status",
    "pct config",
    "pct console",
    "pct cpusets",
    "pct df",
    "pct enter",
    "pct exec",
    "pct list",
    "pct listsnapshot",
    "pct pending",
    "pct pull",
    "pct push",
    "pct status",
    "pveam available",
    "pveam list",
    "pvesh get",
    "pvesh ls",
    "pvesh usage",
    "pvesm apiinfo",
    "pvesm list",
    "pvesm path",
    "pvesm scan cifs",
    "pvesm scan iscsi",
    "pvesm scan lvm",
    "pvesm scan lvmthin",
    "pvesm scan nfs",
    "pvesm scan zfs",
    "pvesm status",
    "qm cloudinit dump",
    "qm cloudinit pending",
    "qm config",
    "qm guest cmd",
    "qm guest exec",
    "qm guest exec-status",
    "qm guest passwd",
    "qm list",
    "qm listsnapshot",
    "qm pending",
    "qm status",
    "qm wait",
];

/// Refuses what would change something below `/etc/pve` of a cluster without quorum.
pub(super) fn check(world: &World, call: &Call) -> Done {
    if world.cluster.quorate || HARMLESS.contains(&call.command.as_str()) {
        return Ok(());
    }
    Err(fail("cluster not ready - no quorum?"))
}
