//! What a primitive did.

use std::ops::BitOr;

use crate::event::{Cost, Difference};

/// What a primitive did, or that everything was right already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether anything was changed.
    pub changed: bool,
    /// What it was about: `file /etc/hosts`, `packages curl git`.
    pub what: String,
    /// Every difference that was brought in line.
    pub differences: Vec<Difference>,
}

impl Change {
    /// Right already.
    pub fn none(what: impl Into<String>) -> Change {
        Change { changed: false, what: what.into(), differences: Vec::new() }
    }

    /// These differences were brought in line; none means that it was right already.
    pub fn of(what: impl Into<String>, differences: Vec<Difference>) -> Change {
        Change { changed: !differences.is_empty(), what: what.into(), differences }
    }

    /// The unified diffs of all differences, one after the other; empty when there are none.
    pub fn diff(&self) -> String {
        self.differences.iter().filter_map(|difference| difference.diff.as_deref()).collect()
    }
}

impl BitOr for Change {
    type Output = Change;

    /// Both, as one.
    fn bitor(self, other: Change) -> Change {
        let what = [self.what, other.what].into_iter().filter(|what| !what.is_empty()).collect::<Vec<_>>().join(", ");
        let mut differences = self.differences;
        differences.extend(other.differences);
        Change { changed: self.changed || other.changed, what, differences }
    }
}

/// A difference without a diff and without a cost.
pub(super) fn difference(what: impl Into<String>, from: Option<String>, to: Option<String>) -> Difference {
    Difference { what: what.into(), from, to, diff: None, cost: Cost::None, way: None }
}
