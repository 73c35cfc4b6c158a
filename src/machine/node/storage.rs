//! `storage`: a storage of Proxmox VE, through `pvesm`.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::change::difference;
use crate::machine::{Change, Machine, MachineError};
use crate::op::{Op, OpValue};
use crate::pve::pvesm;
use crate::pve::storage::{self, Storage};

const CFG: &str = "/etc/pve/storage.cfg";

/// Options that only a new storage can have.
const FIXED: [&str; 12] = [
    "base",
    "datastore",
    "export",
    "iscsiprovider",
    "path",
    "pool",
    "portal",
    "server",
    "share",
    "target",
    "thinpool",
    "vgname",
];

/// Options whose value is a list without an order.
const LISTS: [&str; 2] = ["content", "nodes"];

/// A storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStorage {
    /// Proxmox's type: `dir`, `zfspool`, `nfs`, `lvmthin`.
    pub kind: String,
    /// Proxmox's options by their names: `path`, `pool`, `content`, `nodes`.
    pub options: BTreeMap<String, String>,
}

impl Machine {
    /// Brings a storage about. One that is there keeps every option that is not named; what differs is set.
    ///
    /// # Errors
    /// [`MachineError::Conflict`] when it is of another type, or an option differs that only a new one can have; whatever
    /// `pvesm` refuses.
    pub fn storage(&self, id: &str, wanted: &NodeStorage) -> Result<Change, MachineError> {
        self.on_the_node("storage")?;
        let what = format!("storage {id}");
        let Some(present) = self.storage_of(id)? else {
            self.pvesm(&pvesm::add(&wanted.kind, id, &wanted.options))?;
            let made = difference(&what, None, Some(wanted.kind.clone()));
            return Ok(self.done(Change::of(what, vec![made])));
        };
        let conflict = |reason: String, hint: &str| MachineError::Conflict {
            what: what.clone(),
            reason,
            hint: Some(hint.to_owned()),
        };
        if present.kind != wanted.kind {
            let reason = format!("is of type `{}`, and `{}` is declared", present.kind, wanted.kind);
            return Err(conflict(reason, "choose another id, or declare what is there"));
        }
        let mut setting = BTreeMap::new();
        let mut differences = Vec::new();
        for (key, value) in &wanted.options {
            let found = option(&present, key);
            if same(key, &found, value) {
                continue;
            }
            if FIXED.contains(&key.as_str()) {
                let reason = format!("has {key} {found}, and {value} is declared");
                return Err(conflict(reason, "Proxmox changes this for no storage that is there: choose another id"));
            }
            setting.insert(key.clone(), value.clone());
            differences.push(difference(format!("{what} {key}"), Some(found), Some(value.clone())));
        }
        if !setting.is_empty() {
            self.pvesm(&pvesm::set(id, &setting))?;
        }
        Ok(self.done(Change::of(what, differences)))
    }

    fn storage_of(&self, id: &str) -> Result<Option<Storage>, MachineError> {
        match self.one(Op::Read { path: CFG.to_owned(), limit: crate::machine::READ_LIMIT })? {
            OpValue::Bytes(bytes) => {
                let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
                Ok(storage::parse_cfg(&text).into_iter().find(|storage| storage.id == id))
            }
            _ => Err(self.broken(format!("another answer than asked for about {CFG}"))),
        }
    }

    fn pvesm(&self, command: &crate::command::Command) -> Result<(), MachineError> {
        let output = self.host().run(command)?;
        if output.ok() { Ok(()) } else { Err(crate::machine::exec::failed(&command.to_string(), &output)) }
    }
}

/// What an option is now; what is not written stands at Proxmox's own choice.
fn option(storage: &Storage, key: &str) -> String {
    match key {
        "content" => storage.content.join(","),
        "nodes" => storage.nodes.join(","),
        _ => storage.properties.get(key).cloned().unwrap_or_else(|| "0".to_owned()),
    }
}

fn same(key: &str, found: &str, wanted: &str) -> bool {
    let set = |text: &str| text.split([',', ';', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let (left, right): (BTreeSet<String>, BTreeSet<String>) = (set(found), set(wanted));
    // A flag is written without a value.
    found == wanted || LISTS.contains(&key) && left == right || found.is_empty() && wanted == "1"
}
