//! What a run came to.

use std::time::Duration;

use crate::event::{Difference, Outcome, Step};
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
