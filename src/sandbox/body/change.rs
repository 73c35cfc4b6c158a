//! What changed in a machine, in small pieces that can be appended to a file and applied again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::data::{self, Data};
use super::packages::Installed;
use super::state::{Power, State};
use super::tree::{Errno, Kind, Last, Meta, Node, Tree};
use super::units::Runtime;

/// One change of a machine. Paths have no links in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyChange {
    /// A file is there, in place of whatever was.
    File {
        /// Where.
        path: String,
        /// Permission bits.
        mode: u32,
        /// User number.
        #[serde(default, skip_serializing_if = "is_zero")]
        uid: u32,
        /// Group number.
        #[serde(default, skip_serializing_if = "is_zero")]
        gid: u32,
        /// Content.
        data: Data,
    },
    /// Bytes came to the end of a file.
    Append {
        /// Which.
        path: String,
        /// What.
        #[serde(with = "data::bytes")]
        data: Vec<u8>,
    },
    /// An empty directory is there, in place of whatever was.
    Dir {
        /// Where.
        path: String,
        /// Permission bits.
        mode: u32,
        /// User number.
        #[serde(default, skip_serializing_if = "is_zero")]
        uid: u32,
        /// Group number.
        #[serde(default, skip_serializing_if = "is_zero")]
        gid: u32,
    },
    /// A symbolic link is there, in place of whatever was.
    Link {
        /// Where.
        path: String,
        /// What it points to.
        target: String,
    },
    /// A device, socket or pipe is there, in place of whatever was.
    Other {
        /// Where.
        path: String,
        /// Permission bits.
        mode: u32,
        /// User number.
        #[serde(default, skip_serializing_if = "is_zero")]
        uid: u32,
        /// Group number.
        #[serde(default, skip_serializing_if = "is_zero")]
        gid: u32,
        /// Major and minor number.
        device: Option<(u32, u32)>,
    },
    /// Mode and owner became these.
    Attributes {
        /// Of what.
        path: String,
        /// Permission bits.
        mode: u32,
        /// User number.
        uid: u32,
        /// Group number.
        gid: u32,
    },
    /// Nothing is there any more.
    Gone {
        /// Where.
        path: String,
    },
    /// A package is installed so, or is not any more.
    Package {
        /// Its name.
        name: String,
        /// How.
        installed: Option<Installed>,
    },
    /// A unit is in this state, or is not running any more.
    Unit {
        /// Its name.
        name: String,
        /// How.
        runtime: Option<Runtime>,
    },
    /// The machine was started or stopped.
    Power(Power),
}

impl BodyChange {
    /// What it is about; nothing for the machine as a whole.
    pub(super) fn about(&self) -> Option<String> {
        match self {
            BodyChange::File { path, .. }
            | BodyChange::Append { path, .. }
            | BodyChange::Dir { path, .. }
            | BodyChange::Link { path, .. }
            | BodyChange::Other { path, .. }
            | BodyChange::Attributes { path, .. }
            | BodyChange::Gone { path } => Some(path.clone()),
            BodyChange::Package { name, .. } => Some(format!("package {name}")),
            BodyChange::Unit { name, .. } => Some(format!("unit {name}")),
            BodyChange::Power(_) => None,
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A change that does not fit the machine it is applied to: the file it comes from is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a recorded change of a machine does not fit: {path}: {reason}")]
pub struct Misfit {
    /// Path that the change is about.
    pub path: String,
    /// What is wrong there.
    pub reason: &'static str,
}

/// What leads from `old` to `new`. Shared parts are not looked into.
pub(super) fn between(old: &State, new: &State) -> Vec<BodyChange> {
    let mut changes = Vec::new();
    node_changes("", old.tree.root(), new.tree.root(), &mut changes);
    if !Arc::ptr_eq(&old.packages, &new.packages) {
        map_changes(&old.packages, &new.packages, |name, installed| {
            changes.push(BodyChange::Package { name: name.clone(), installed: installed.cloned() });
        });
    }
    if !Arc::ptr_eq(&old.units, &new.units) {
        map_changes(&old.units, &new.units, |name, runtime| {
            changes.push(BodyChange::Unit { name: name.clone(), runtime: runtime.cloned() });
        });
    }
    if old.power != new.power {
        changes.push(BodyChange::Power(new.power));
    }
    changes
}

/// Calls `tell` with every key whose value differs.
fn map_changes<K: Ord, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>, mut tell: impl FnMut(&K, Option<&V>)) {
    for key in old.keys().filter(|key| !new.contains_key(key)) {
        tell(key, None);
    }
    for (key, value) in new.iter().filter(|(key, value)| old.get(key) != Some(value)) {
        tell(key, Some(value));
    }
}

fn node_changes(path: &str, old: &Arc<Node>, new: &Arc<Node>, changes: &mut Vec<BodyChange>) {
    if Arc::ptr_eq(old, new) {
        return;
    }
    let at = || if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    match (&old.kind, &new.kind) {
        (Kind::Dir(old_entries), Kind::Dir(new_entries)) => {
            attributes_change(at, old, new, changes);
            for name in old_entries.keys().filter(|name| !new_entries.contains_key(*name)) {
                changes.push(BodyChange::Gone { path: format!("{path}/{name}") });
            }
            for (name, node) in new_entries {
                let path = format!("{path}/{name}");
                match old_entries.get(name) {
                    Some(old) => node_changes(&path, old, node, changes),
                    None => appearance(&path, node, changes),
                }
            }
        }
        (Kind::File(old_data), Kind::File(new_data)) if old_data == new_data => {
            attributes_change(at, old, new, changes)
        }
        (Kind::File(Data::Bytes(before)), Kind::File(Data::Bytes(after)))
            if !before.is_empty() && after.starts_with(before) =>
        {
            changes.push(BodyChange::Append { path: at(), data: after[before.len()..].to_vec() });
            attributes_change(at, old, new, changes);
        }
        _ if old == new => {}
        _ => appearance(path, new, changes),
    }
}

fn attributes_change(at: impl Fn() -> String, old: &Node, new: &Node, changes: &mut Vec<BodyChange>) {
    if old.meta != new.meta {
        let Meta { mode, uid, gid } = new.meta;
        changes.push(BodyChange::Attributes { path: at(), mode, uid, gid });
    }
}

fn appearance(path: &str, node: &Node, changes: &mut Vec<BodyChange>) {
    let Meta { mode, uid, gid } = node.meta;
    let at = path.to_owned();
    match &node.kind {
        Kind::File(data) => changes.push(BodyChange::File { path: at, mode, uid, gid, data: data.clone() }),
        Kind::Link(target) => changes.push(BodyChange::Link { path: at, target: target.clone() }),
        Kind::Other(device) => changes.push(BodyChange::Other { path: at, mode, uid, gid, device: *device }),
        Kind::Dir(entries) => {
            changes.push(BodyChange::Dir { path: at, mode, uid, gid });
            for (name, node) in entries {
                appearance(&format!("{path}/{name}"), node, changes);
            }
        }
    }
}

impl State {
    /// Does a recorded change again.
    ///
    /// # Errors
    /// When it does not fit; the state is as before then.
    pub(super) fn apply(&mut self, change: BodyChange) -> Result<(), Misfit> {
        match change {
            BodyChange::File { path, mode, uid, gid, data } => {
                self.tree.put_at(&path, Node::file(Meta { mode, uid, gid }, data))
            }
            BodyChange::Dir { path, mode, uid, gid } => self.tree.put_at(&path, Node::dir(Meta { mode, uid, gid })),
            BodyChange::Link { path, target } => self.tree.put_at(&path, Node::link(target)),
            BodyChange::Other { path, mode, uid, gid, device } => {
                self.tree.put_at(&path, Node { meta: Meta { mode, uid, gid }, kind: Kind::Other(device) })
            }
            BodyChange::Attributes { path, mode, uid, gid } => {
                self.tree.change_at(&path, |node| node.meta = Meta { mode, uid, gid })
            }
            BodyChange::Append { path, data } => self.tree.change_at(&path, |node| {
                if let Kind::File(Data::Bytes(bytes)) = &mut node.kind {
                    *bytes = [bytes, data.as_slice()].concat().into();
                }
            }),
            BodyChange::Gone { path } => {
                let spot = self.tree.spot_at(&path)?;
                self.tree.take(&spot);
                Ok(())
            }
            BodyChange::Package { name, installed } => {
                let packages = Arc::make_mut(&mut self.packages);
                match installed {
                    Some(installed) => packages.insert(name, installed),
                    None => packages.remove(&name),
                };
                Ok(())
            }
            BodyChange::Unit { name, runtime } => {
                let units = Arc::make_mut(&mut self.units);
                match runtime {
                    Some(runtime) => units.insert(name, runtime),
                    None => units.remove(&name),
                };
                Ok(())
            }
            BodyChange::Power(power) => {
                self.power = power;
                Ok(())
            }
        }
    }
}

impl Tree {
    fn spot_at(&self, path: &str) -> Result<Vec<Arc<str>>, Misfit> {
        let spot = self.resolve(path, Last::Itself).map_err(|errno| misfit(path, errno))?;
        Ok(spot.names)
    }

    fn put_at(&mut self, path: &str, node: Node) -> Result<(), Misfit> {
        let names = self.spot_at(path)?;
        self.put(&names, node).map_err(|errno| misfit(path, errno))
    }

    fn change_at(&mut self, path: &str, change: impl FnOnce(&mut Node)) -> Result<(), Misfit> {
        let names = self.spot_at(path)?;
        let node = self.node_mut(&names).ok_or_else(|| misfit(path, Errno::NoEntry))?;
        change(node);
        Ok(())
    }
}

fn misfit(path: &str, errno: Errno) -> Misfit {
    Misfit { path: path.to_owned(), reason: errno.words() }
}
