//! `up`: guests that are finished and stopped are started one after another, in the order and with the pauses that are
//! declared for the node's boot.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::sight::Sight;
use crate::model::{GuestId, Site};
use crate::plan::{Graph, Plan, PlannedGuest, Verb, order};

/// The guests to be started, in order, and when the last of them was.
#[derive(Debug, Default)]
pub(super) struct Boot {
    order: Vec<GuestId>,
    last: Mutex<Option<(GuestId, Timestamp)>>,
}

impl Boot {
    /// For `up`: the guests that are meant to run, finished and stopped, if everybody who needs them is too. A guest that
    /// is needed by one that runs, or is still to be made, is started when that one needs it. For other verbs: nobody.
    ///
    /// The order is that of the node's boot, each guest after those that it needs.
    pub(super) fn new(plan: &Plan, site: &Site, graph: &Graph, sight: &Sight) -> Boot {
        if plan.verb != Verb::Up {
            return Boot::default();
        }
        let stopped = |planned: &PlannedGuest| {
            let finished = sight.records.get(&planned.id).is_some_and(|record| record.finished_by.is_some());
            let present = sight.inventory.guests.get(&planned.id);
            planned.rest.is_none() && finished && present.is_some_and(|present| !present.running)
        };
        let mut resting = HashSet::new();
        // Who needs a guest comes after it in the plan.
        for planned in plan.guests.iter().rev() {
            let needs_it = |other: &&PlannedGuest| other.after.iter().any(|edge| edge.on == planned.id);
            if stopped(planned) && plan.guests.iter().filter(needs_it).all(|other| resting.contains(&other.id)) {
                resting.insert(planned.id);
            }
        }
        let mut order = graph.order(&order::boot(site));
        order.retain(|id| resting.contains(id));
        Boot { order, last: Mutex::default() }
    }

    /// What must have ended before this guest starts, beside what it needs: everybody who is not among those that are
    /// started here, and the one before it.
    pub(super) fn behind(&self, plan: &Plan, id: GuestId) -> Vec<GuestId> {
        let Some(place) = self.order.iter().position(|other| *other == id) else { return Vec::new() };
        let before = place.checked_sub(1).map(|place| self.order[place]);
        let others = plan.guests.iter().map(|planned| planned.id).filter(|other| !self.order.contains(other));
        others.chain(before).collect()
    }

    /// A guest was started.
    pub(super) fn started(&self, id: GuestId, at: Timestamp) {
        if self.order.contains(&id) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, at));
        }
    }

    /// How much is left at this moment of the pause between the guest that was started last and this one, and who that was.
    pub(super) fn pause(&self, site: &Site, id: GuestId, now: Timestamp) -> Option<(GuestId, Duration)> {
        let (last, at) = (*self.last.lock().unwrap_or_else(PoisonError::into_inner))?;
        let declared = site.guest(last)?.boot.delay?;
        let since = now.duration_since(at).unsigned_abs();
        let left = Duration::from_secs(declared.into()).saturating_sub(since);
        (self.order.contains(&id) && !left.is_zero()).then_some((last, left))
    }
}
