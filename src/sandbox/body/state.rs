//! Everything that makes up the inside of a machine; cheap to clone, everything big is shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::packages::Installed;
use super::tree::Tree;
use super::units::Runtime;

/// Whether the machine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It does not.
    #[default]
    Off,
    /// It does, since then.
    On {
        /// When init was started.
        since: Timestamp,
    },
}

/// The inside of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) packages: Arc<BTreeMap<String, Installed>>,
    /// Units that are not simply inactive.
    pub(super) units: Arc<BTreeMap<String, Runtime>>,
    pub(super) power: Power,
}

impl State {
    /// Whether two states are one and the same in all their big parts, and equal in the small ones.
    pub(super) fn same(&self, other: &State) -> bool {
        self.tree.same(&other.tree)
            && Arc::ptr_eq(&self.packages, &other.packages)
            && Arc::ptr_eq(&self.units, &other.units)
            && self.power == other.power
    }
}
