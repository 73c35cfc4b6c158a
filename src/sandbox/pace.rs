//! How long things take on the emulated node, in its own time. Medians measured on a real, small node.

use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Until one of the tools has loaded itself and begins to work.
pub(super) fn startup(program: &str) -> Duration {
    match program {
        "pct" | "qm" => ms(450),
        "pvesm" | "pveam" => ms(280),
        "pvesh" => ms(550),
        _ => ms(5),
    }
}

/// One round trip into a running guest over its open channel.
pub(super) const CHANNEL: Duration = ms(2);
/// One round trip to the node's own files.
pub(super) const NODE: Duration = ms(1);
/// One HTTP exchange.
pub(super) const REQUEST: Duration = ms(8);
/// A container unpacked from a template.
pub(super) const UNPACK: Duration = ms(1950);
/// A container copied file by file.
pub(super) const FULL_CLONE: Duration = ms(5500);
/// A container cloned from a base.
pub(super) const LINKED_CLONE: Duration = ms(350);
/// A volume copied to another storage.
pub(super) const MOVE_VOLUME: Duration = ms(2500);
/// From start to a running init.
pub(super) const START: Duration = ms(1250);
/// A container killed.
pub(super) const STOP: Duration = ms(1050);
/// A container halting by itself.
pub(super) const SHUTDOWN: Duration = ms(1150);
/// Taking, deleting or going back to a snapshot.
pub(super) const SNAPSHOT: Duration = ms(100);
/// Converting to a template.
pub(super) const TEMPLATE: Duration = ms(150);
/// Freeing the volumes of a container.
pub(super) const DESTROY: Duration = ms(250);
/// Growing a mounted file system.
pub(super) const GROW_MOUNTED: Duration = ms(300);
/// Growing an unmounted one: both tools wait for the multi-mount protection.
pub(super) const GROW_UNMOUNTED: Duration = ms(22_000);
/// From `qm start` to a running QEMU.
pub(super) const VM_START: Duration = ms(1100);
/// A machine switched off.
pub(super) const VM_STOP: Duration = ms(700);
/// A machine shutting down by itself.
pub(super) const VM_SHUTDOWN: Duration = ms(4000);
/// Firmware, boot loader, kernel: until init.
pub(super) const VM_FIRMWARE: Duration = ms(5000);
/// From init to an agent that answers, where it was installed before.
pub(super) const VM_SERVICES: Duration = ms(3000);
/// So long the tools wait for an agent that says nothing.
pub(super) const AGENT_SILENT: Duration = ms(3000);
/// The tools ask once a second what became of a program.
pub(super) const AGENT_POLL: Duration = ms(100);
/// A cloud image copied to a volume.
pub(super) const IMPORT: Duration = ms(3000);
/// Allocating or freeing one volume.
pub(super) const ALLOCATE: Duration = ms(100);
