//! What a run came to.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Asked, Difference, Outcome, Share, Step};
use crate::model::GuestId;

/// A guest's part.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestSummary {
    /// Guest.
    pub id: GuestId,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Node time it took.
    pub elapsed: Duration,
    /// Its steps in order, with their ends.
    pub steps: Vec<(Step, Outcome)>,
    /// Differences left as they are: a restart nobody consented to, or what only a new guest can have.
    pub pending: Vec<Difference>,
}

/// A guest that read an artifact whose value is another one by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The reader.
    pub guest: GuestId,
    /// The artifact.
    pub artifact: String,
    /// Its publisher.
    pub publisher: GuestId,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Run id; the name of its journal, if the run changed anything.
    pub run_id: String,
    /// Guests in plan order.
    pub guests: Vec<GuestSummary>,
    /// Guests outside this run that read artifacts which changed in it.
    pub stale: Vec<Stale>,
    /// Ended by the operator.
    pub interrupted: bool,
    /// Node time it took.
    pub elapsed: Duration,
    /// What took it so long, see [`critical_path`].
    pub critical_path: Vec<Share>,
    /// What it asked of the node.
    pub asked: Asked,
}

impl Summary {
    /// Whether any guest failed, or was skipped because another one did.
    pub fn failed(&self) -> bool {
        self.guests.iter().any(|guest| matches!(guest.outcome, Outcome::Failed { .. }))
    }

    /// Whether anything was changed.
    pub fn changed(&self) -> bool {
        self.guests.iter().any(|guest| guest.outcome == Outcome::Changed)
    }

    /// Whether differences were left as they are.
    pub fn pending(&self) -> bool {
        self.guests.iter().any(|guest| !guest.pending.is_empty())
    }
}

/// When a guest had its turn, in the node's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Guest.
    pub guest: GuestId,
    /// The guest by whose end it could begin: the last one that it needs, or one that made room; absent: it began at once.
    pub released_by: Option<GuestId>,
    /// Its beginning.
    pub began: Timestamp,
    /// Its end.
    pub ended: Timestamp,
}

/// The chain that ends with the guest that ended last: each guest began by the end of the one before it. Had any of them
/// been faster, so had the run. Of guests that ended at the same moment the first one given counts.
pub fn critical_path(spans: &[Span]) -> Vec<Share> {
    let of = |id: GuestId| spans.iter().find(|span| span.guest == id);
    let last = spans.iter().rev().max_by_key(|span| span.ended);
    let chain = std::iter::successors(last, |span| span.released_by.and_then(of));
    // Nobody is released twice; the bound keeps spans that claim so from being followed for ever.
    let mut path: Vec<Share> = chain
        .take(spans.len())
        .map(|span| Share { guest: span.guest, elapsed: span.ended.duration_since(span.began).unsigned_abs() })
        .collect();
    path.reverse();
    path
}
