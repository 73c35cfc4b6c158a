//! A guest of either kind: what is desired of it, how it differs, what Proxmox can do with its disks. Here, and in
//! [`super::tool`], is what the kinds differ in for those who take guests through their lives.

use super::difference::{Changes, Known};
use super::inventory::{Inventory, Present};
use super::property::Properties;
use super::tool::is_disk;
use super::{lxc, vm};
use crate::command::Command;
use crate::model::{Guest, GuestId, GuestKind, LxcNeeds, Prepared, Site};

/// A guest as declared, in Proxmox's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Desired {
    /// A container.
    Lxc(lxc::Desired),
    /// A virtual machine.
    Vm(vm::Desired),
}

impl Desired {
    /// The guest that is declared, on a node with these storages, with what its scripts ask of a container (`needs`,
    /// `prepared`).
    pub fn of(site: &Site, guest: &Guest, inventory: &Inventory, needs: LxcNeeds, prepared: &Prepared) -> Desired {
        match guest.kind {
            GuestKind::Lxc => Desired::Lxc(lxc::desired(site, guest, needs, prepared)),
            GuestKind::Vm => {
                let snippets = vm::Snippets::storage(&inventory.storages, &inventory.node);
                Desired::Vm(vm::desired(guest, snippets))
            }
        }
    }

    /// How the present guest differs from it, and what mends it.
    pub fn difference(&self, present: &Present, known: &Known) -> Changes {
        match self {
            Desired::Lxc(desired) => lxc::difference(desired, present, known),
            Desired::Vm(desired) => vm::difference(desired, present, known),
        }
    }

    /// The command that makes it from what it comes from: a template archive of containers, an image of virtual
    /// machines; each a volume id or an absolute path of the node.
    pub fn create(&self, id: GuestId, from: &str, inventory: &Inventory) -> Command {
        match self {
            Desired::Lxc(desired) => super::pct::create(id, from, &desired.create_options()),
            Desired::Vm(desired) => {
                super::qm::create(id, &desired.create_options(from, inventory.storage(&desired.root.storage)))
            }
        }
    }

    /// Files of the node that its configuration names; they have to be there before.
    pub fn files(&self) -> Vec<&vm::NodeFile> {
        match self {
            Desired::Lxc(_) => Vec::new(),
            Desired::Vm(desired) => desired.files().collect(),
        }
    }
}

/// Why Proxmox cannot take a snapshot of this guest; absent: it can.
pub fn snapshot_obstacle(present: &Present, inventory: &Inventory) -> Option<String> {
    match present.kind {
        GuestKind::Lxc => lxc::snapshot_obstacle(&present.config, inventory),
        GuestKind::Vm => vm::snapshot_obstacle(&present.config, inventory),
    }
}

/// Whether a running guest can be entered: a virtual machine has a channel for its agent only if `agent` was on when it was
/// started.
pub fn has_channel(present: &Present) -> bool {
    match present.kind {
        GuestKind::Lxc => true,
        GuestKind::Vm => {
            let agent = present.config.current.get("agent").unwrap_or_default();
            Properties::of_option("qm set", "agent", agent).is_some_and(|agent| agent.is_on("enabled"))
        }
    }
}

/// Guests of the node with disks that are linked clones of this guest's: it cannot be destroyed before them.
pub fn linked_to(inventory: &Inventory, id: GuestId) -> Vec<GuestId> {
    // `tank:basevol-900-disk-0/subvol-101-disk-0`, `local:900/base-900-disk-0.qcow2/101/vm-101-disk-0.qcow2`
    let bases = [format!("base-{id}-"), format!("basevol-{id}-")];
    let is_linked = |value: &str| {
        let volume = value.split(',').next().unwrap_or_default();
        let parts = volume.split([':', '/']).rev().skip(1);
        parts.into_iter().any(|part| bases.iter().any(|base| part.starts_with(base)))
    };
    let of = |present: &Present| {
        present.config.current.entries().any(|(key, value)| is_disk(present.kind, key) && is_linked(value))
    };
    inventory.guests.iter().filter(|(other, present)| **other != id && of(present)).map(|(other, _)| *other).collect()
}

/// Disks of a template that are not yet what clones are linked to: Proxmox marks a virtual machine as a template before it
/// converts its disks.
pub fn unconverted(present: &Present) -> Vec<String> {
    match present.kind {
        GuestKind::Vm if present.config.is_template() => vm::unconverted(&present.config),
        _ => Vec::new(),
    }
}

/// Whether a clone whose root disk is to lie on `storage` can be linked to this template.
pub fn can_link(template: &Present, inventory: &Inventory, storage: &str) -> bool {
    match template.kind {
        GuestKind::Lxc => lxc::can_link(&template.config, inventory, storage),
        GuestKind::Vm => vm::can_link(&template.config, inventory, storage),
    }
}
