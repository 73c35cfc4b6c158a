//! How a present guest differs from its declaration, and what mends it.

use std::collections::BTreeSet;

use ring::digest;

use super::guest_config::GuestConfig;
use super::inventory::{config_path, lock_path};
use super::tool::Options;
use super::version::Version;
use crate::command::Cost;
use crate::model::{GuestId, GuestKind};
use crate::op::{Attributes, Content, Guard, Op};

/// What is known of a guest beside its configuration.
#[derive(Clone, Debug, Default)]
pub struct Known<'a> {
    /// The configuration of the guest it was cloned from.
    pub source: Option<&'a GuestConfig>,
    /// What phoenix put into its configuration before, by the names in [`Changes::declared`]: what of it is not declared
    /// any more goes.
    pub ours: BTreeSet<String>,
    /// The version of the node; absent: taken for the newest.
    pub node: Option<Version>,
}

/// One property that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDifference {
    /// What, in the words of the configuration file: `memory`, `net0 ip`, `mp0`, `lxc.mount.entry`.
    pub key: String,
    /// Value before; absent: there was none.
    pub from: Option<String>,
    /// Value after; absent: gone.
    pub to: Option<String>,
    /// What bringing it in line costs.
    pub cost: Cost,
    /// It is set already, and only waits for the next start.
    pub waiting: bool,
    /// What the operator can do about it, where phoenix cannot.
    pub way: Option<String>,
}

/// All differences of a guest, and what mends them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What differs.
    pub differences: Vec<KeyDifference>,
    /// Options of one `set`, new volumes (`mp0 STORAGE:SIZE,mp=PATH`) among them.
    pub set: Options,
    /// Keys that the same `set` deletes.
    pub delete: Vec<String>,
    /// The raw lines that the current section should have, when they differ.
    pub raw: Option<Vec<(String, String)>>,
    /// Disks to grow, and to what size: `rootfs`, `16G`.
    pub resize: Vec<(String, String)>,
    /// Everything that is declared, by names that stay: `cpulimit`, `net1`, `net0 mtu`, `mount /data`,
    /// `device /dev/fuse`, `tag web`, `line lxc.cap.drop sys_time`.
    pub declared: BTreeSet<String>,
    /// What was declared before, is not any more, and goes: by the same names.
    pub dropped: BTreeSet<String>,
}

impl Changes {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// What of the configuration is ours once these changes are made, or as far as they could be made: what is to go, but
    /// is still there, counts.
    pub fn ours(&self) -> BTreeSet<String> {
        self.declared.union(&self.dropped).cloned().collect()
    }

    /// Whether nothing is to be done: what differs only waits for a restart, or cannot be mended.
    pub fn is_settled(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty() && self.raw.is_none() && self.resize.is_empty()
    }

    /// The dearest of all differences.
    pub fn cost(&self) -> Cost {
        self.differences.iter().map(|difference| difference.cost).max().unwrap_or_default()
    }

    /// The options of the one `set` that mends all keys, its `delete` included; absent when no key differs.
    pub fn set_options(&self) -> Option<Options> {
        let mut options = self.set.clone();
        if !self.delete.is_empty() {
            options.push(("delete".to_owned(), self.delete.join(",")));
        }
        (!options.is_empty()).then_some(options)
    }

    /// The write that brings the raw lines in line, under Proxmox's own lock of the guest and only if the file is still
    /// as it was read; absent when they do not differ. Every other byte stays.
    pub fn edit(&self, node: &str, kind: GuestKind, id: GuestId, config: &GuestConfig) -> Option<Op> {
        let raw = self.raw.as_ref()?;
        let mut edited = config.clone();
        edited.current.set_raw(raw);
        Some(Op::Write {
            path: config_path(node, kind, id),
            content: Content::Bytes(edited.render().into_bytes().into()),
            attributes: Attributes::default(),
            guard: Some(Guard { lock: lock_path(kind, id), expect: sha256(&config.render()) }),
        })
    }

    pub(super) fn add(&mut self, key: impl Into<String>, from: Option<String>, to: Option<String>, cost: Cost) {
        self.differences.push(KeyDifference { key: key.into(), from, to, cost, waiting: false, way: None });
    }

    /// Adds a difference that only a new guest can be without, or the operator can mend in this way.
    pub(super) fn rebuild(&mut self, key: impl Into<String>, from: Option<String>, to: Option<String>, way: &str) {
        self.add(key, from, to, Cost::Rebuild);
        if let Some(told) = self.differences.last_mut() {
            told.way = Some(way.to_owned());
        }
    }
}

fn sha256(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
