//! What happened, folded from events: per guest its steps, differences and end.

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;

use crate::event::{Asked, Difference, Event, Failure, Level, Outcome, Share, Stamped, Step};
use crate::model::GuestId;

/// One step of a guest that ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepStory {
    /// Which.
    pub step: Step,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Node time in seconds.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// What differed or was changed in it.
    pub changes: Vec<Difference>,
}

/// A guest's part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GuestStory {
    /// Its name.
    pub name: String,
    /// Steps in the order in which they ended.
    pub steps: Vec<StepStory>,
    /// Differences left as they are.
    pub pending: Vec<Difference>,
    /// What was warned of.
    pub warnings: Vec<String>,
    /// Who was asked for its health, and what was wrong; nothing: it is well.
    #[serde(skip)]
    pub checks: Vec<(String, Option<Failure>)>,
    /// How it ended; absent: it did not.
    #[serde(flatten)]
    pub outcome: Option<Outcome>,
    /// Node time in seconds.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    #[serde(skip)]
    open: Vec<Difference>,
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Story {
    /// Run id.
    pub run: String,
    /// What was asked for.
    pub command: String,
    /// Guests in plan order.
    pub guests: IndexMap<GuestId, GuestStory>,
    /// Changing values that were handed to the host.
    pub changing: usize,
    /// Processes that were started on the node.
    pub processes: usize,
    /// Programs that nobody models and that were assumed to succeed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub assumed: BTreeSet<String>,
    /// Node time in seconds.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Ended by the operator.
    pub interrupted: bool,
    /// The guests that it took so long for, each started by the end of the one before.
    #[serde(serialize_with = "shares")]
    pub critical_path: Vec<Share>,
    /// What it asked of the node.
    pub asked: Asked,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn shares<S: serde::Serializer>(path: &[Share], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct InSeconds {
        guest: GuestId,
        #[serde(serialize_with = "seconds")]
        elapsed: Duration,
    }
    serializer.collect_seq(path.iter().map(|share| InSeconds { guest: share.guest, elapsed: share.elapsed }))
}

impl Story {
    /// Folds one more event in.
    pub fn tell(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::RunStarted { run, command, guests } => {
                self.run.clone_from(run);
                self.command.clone_from(command);
                for (id, name) in guests {
                    self.guests.insert(*id, GuestStory { name: name.clone(), ..GuestStory::default() });
                }
            }
            Event::StepStarted { guest, .. } => self.guest(*guest).open.clear(),
            Event::StepFinished { guest, step, outcome, elapsed } => {
                let story = self.guest(*guest);
                let changes = std::mem::take(&mut story.open);
                story.steps.push(StepStory {
                    step: step.clone(),
                    outcome: outcome.clone(),
                    elapsed: *elapsed,
                    changes,
                });
            }
            Event::Change { guest, difference } => self.guest(*guest).open.push(difference.clone()),
            Event::Pending { guest, difference } => self.guest(*guest).pending.push(difference.clone()),
            Event::Check { guest, name, cause } => self.guest(*guest).checks.push((name.clone(), cause.clone())),
            Event::GuestFinished { guest, outcome, elapsed } => {
                let story = self.guest(*guest);
                story.outcome = Some(outcome.clone());
                story.elapsed = *elapsed;
            }
            Event::Did { effect, process, .. } => {
                self.changing += usize::from(*effect == crate::command::Effect::Change);
                self.processes += usize::from(*process);
            }
            Event::Assumed { program, .. } => _ = self.assumed.insert(program.clone()),
            Event::RunFinished { elapsed, interrupted, critical_path, asked } => {
                self.asked = *asked;
                self.elapsed = *elapsed;
                self.interrupted = *interrupted;
                self.critical_path.clone_from(critical_path);
            }
            Event::Message { guest: Some(guest), level: Level::Warning, text } => {
                self.guest(*guest).warnings.push(text.clone());
            }
            Event::GuestStarted { .. } | Event::Section { .. } | Event::Waiting { .. } | Event::Message { .. } => {}
        }
    }

    fn guest(&mut self, id: GuestId) -> &mut GuestStory {
        self.guests.entry(id).or_default()
    }

    /// Guests that ended like this.
    pub fn ended(&self, like: impl Fn(&Outcome) -> bool) -> usize {
        self.guests.values().filter(|guest| guest.outcome.as_ref().is_some_and(&like)).count()
    }
}
