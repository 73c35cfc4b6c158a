//! Who is at work, folded from events: what each guest does, since when, and what it waits for.

use std::collections::BTreeMap;
use std::time::Instant;

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, Stamped};
use crate::model::GuestId;

/// What one guest is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doing {
    /// The step, in words; empty before the first one.
    pub step: String,
    /// When the step began, in the node's time.
    pub since: Timestamp,
    /// What it waits for, or the part of its script that it is at.
    pub detail: String,
}

/// Everybody who is at work.
#[derive(Debug, Default)]
pub struct AtWork {
    /// All guests of the run in plan order, with their names.
    pub names: IndexMap<GuestId, String>,
    /// Guests whose turn it is.
    pub doing: BTreeMap<GuestId, Doing>,
    /// Guests whose turn is over.
    pub done: usize,
    /// When the run began.
    pub start: Option<Timestamp>,
    /// Somebody asked to stop.
    pub stopping: bool,
    heard: Option<(Timestamp, Instant)>,
}

impl AtWork {
    /// Folds in an event that was heard at this moment of real time.
    pub fn tell(&mut self, stamped: &Stamped, heard: Instant) {
        self.start.get_or_insert(stamped.at);
        self.heard = Some((stamped.at, heard));
        match &stamped.event {
            Event::RunStarted { guests, .. } => self.names.extend(guests.iter().cloned()),
            Event::GuestStarted { guest } => {
                let doing = Doing { step: String::new(), since: stamped.at, detail: String::new() };
                self.doing.insert(*guest, doing);
            }
            Event::StepStarted { guest, step } => {
                let doing = Doing { step: step.to_string(), since: stamped.at, detail: String::new() };
                self.doing.insert(*guest, doing);
            }
            Event::Section { guest, label } => self.detail(*guest, label.clone()),
            Event::Waiting { guest, on } => self.detail(*guest, format!("waits: {on}")),
            Event::Change { guest, .. } | Event::Check { guest, .. } => self.detail(*guest, String::new()),
            Event::GuestFinished { guest, .. } => {
                self.doing.remove(guest);
                self.done += 1;
            }
            Event::RunFinished { .. } => self.doing.clear(),
            Event::StepFinished { .. }
            | Event::Pending { .. }
            | Event::Did { .. }
            | Event::Assumed { .. }
            | Event::Message { .. } => {}
        }
    }

    fn detail(&mut self, guest: GuestId, detail: String) {
        if let Some(doing) = self.doing.get_mut(&guest) {
            doing.detail = detail;
        }
    }

    /// The node's time at a moment of real time: since the last event so much has passed as real time, `rate` times.
    pub fn now(&self, at: Instant, rate: f64) -> Timestamp {
        let Some((told, heard)) = self.heard else { return Timestamp::UNIX_EPOCH };
        let since = SignedDuration::try_from_secs_f64(at.duration_since(heard).as_secs_f64() * rate);
        since.ok().and_then(|since| told.checked_add(since).ok()).unwrap_or(told)
    }

    /// Who is at what, in one line: `101 gateway (app gateway), 102 router (start)`.
    pub fn summary(&self) -> String {
        let one = |(id, doing): (&GuestId, &Doing)| {
            let name = self.names.get(id).map_or("", String::as_str);
            if doing.step.is_empty() { format!("{id} {name}") } else { format!("{id} {name} ({})", doing.step) }
        };
        self.doing.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
