//! What a declared virtual machine should look like on the node, and how the present one differs.

mod cloud_init;
mod compare;
mod disks;

use std::collections::{BTreeMap, BTreeSet};

pub use cloud_init::{NodeFile, Snippets};
pub use compare::difference;
pub use disks::{can_link, snapshot_obstacle, unconverted};

use super::difference::Known;
use super::inventory::Present;
use super::storage::Storage;
use super::tool::Options;
use crate::model::{Boot, Guest, GuestKind, Nic, Origin, RootDisk};

/// The disk with the operating system.
pub const ROOT: &str = "scsi0";
/// Where cloud-init finds its data.
const CLOUD_INIT_DRIVE: &str = "ide2";

/// Hardware of a machine made from a cloud image: its console is the serial port. A machine that is there keeps what it
/// has; `qm_options` of its declaration count for both.
const HARDWARE: [(&str, &str); 7] = [
    ("boot", "order=scsi0"),
    ("ciupgrade", "0"),
    ("cpu", "x86-64-v2-AES"),
    ("ostype", "l26"),
    ("scsihw", "virtio-scsi-single"),
    ("serial0", "socket"),
    ("vga", "serial0"),
];

/// A virtual machine as declared, in Proxmox's terms. Whatever is not in here is not ours and is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Keys with plain values: `cores`, `memory`, `name`, ..., and those that are declared as they are.
    pub keys: BTreeMap<String, String>,
    /// Tags that have to be among its tags.
    pub tags: BTreeSet<String>,
    /// Place in the start order and pauses; absent parts are left alone.
    pub startup: Boot,
    /// `net0`, `net1`, ..., with their addresses in `ipconfig0`, ...
    pub nics: Vec<Nic>,
    /// Root disk.
    pub root: RootDisk,
    /// The file with the public keys of its user, if any are declared.
    pub ssh_keys: Option<NodeFile>,
    /// Proxmox has to know of its guest agent. A machine that somebody else made may have none.
    pub agent: bool,
    /// The vendor's cloud-init data of a machine made from an image. A clone has none: what they bring is on its disk.
    pub vendor: Option<Snippets>,
}

/// The virtual machine that a guest declares. `snippets` is the storage for the cloud-init data of one made from an
/// image, see [`Snippets::storage`].
pub fn desired(guest: &Guest, snippets: Option<&Storage>) -> Desired {
    let mut keys =
        BTreeMap::from([("name", guest.name.clone()), ("onboot", u8::from(guest.boot.start_at_boot).to_string())]);
    let numbers = [("cores", guest.cores), ("memory", guest.memory_mb)];
    keys.extend(numbers.into_iter().filter(|(_, number)| *number > 0).map(|(key, number)| (key, number.to_string())));
    if !guest.nameservers.is_empty() {
        let servers: Vec<String> = guest.nameservers.iter().map(ToString::to_string).collect();
        keys.insert("nameserver", servers.join(" "));
    }
    keys.extend(guest.search_domain.clone().map(|domain| ("searchdomain", domain)));
    keys.extend(guest.vm.username.clone().map(|user| ("ciuser", user)));
    let declared = guest.options.clone();
    let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(declared).collect();

    let mut tags: BTreeSet<String> = guest.tags.iter().map(|tag| tag.to_lowercase()).collect();
    tags.insert(super::MARK.to_owned());
    let of_image = matches!(guest.origin, Origin::Image(_));
    Desired {
        keys,
        tags,
        startup: guest.boot.clone(),
        nics: guest.nics.clone(),
        root: guest.root.clone(),
        ssh_keys: cloud_init::ssh_keys(guest),
        agent: !guest.is_imported(),
        vendor: snippets.filter(|_| of_image).and_then(|storage| Snippets::of(guest.id, storage)),
    }
}

impl Desired {
    /// The options of a `qm create` that makes it from an image: a volume id or an absolute path of the node. `storage`
    /// is that of its root disk. The disk is as large as the image: it grows afterwards.
    pub fn create_options(&self, image: &str, storage: Option<&Storage>) -> Options {
        let nothing = Present { kind: GuestKind::Vm, node: String::new(), config: Default::default(), running: false };
        let on = &self.root.storage;
        // In files only this format knows snapshots.
        let format = if storage.is_some_and(Storage::keeps_files) { ",format=qcow2" } else { "" };
        let mut parts = BTreeMap::from([("discard".to_owned(), "on".to_owned())]);
        parts.extend(self.root.options.clone());
        let options: String = parts.iter().map(|(part, value)| format!(",{part}={value}")).collect();
        let mut options = vec![
            (ROOT.to_owned(), format!("{on}:0,import-from={image}{options}{format}")),
            (CLOUD_INIT_DRIVE.to_owned(), format!("{on}:cloudinit")),
        ];
        let hardware = HARDWARE.iter().filter(|(key, _)| !self.keys.contains_key(*key));
        options.extend(hardware.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        options.extend(difference(self, &nothing, &Known::default()).set);
        options
    }

    /// Files of the node that its configuration names; they have to be there before.
    pub fn files(&self) -> impl Iterator<Item = &NodeFile> {
        self.ssh_keys.iter().chain(self.vendor.iter().map(|vendor| &vendor.file))
    }
}
