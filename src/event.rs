//! What happened, as one typed enum. Whoever shows it decides how; nothing here is formatted.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::command::Cost;
use crate::command::Effect;
use crate::model::GuestId;
pub use crate::model::Step;

/// How a step, or a whole guest, ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum Outcome {
    /// Something was changed.
    Changed,
    /// It was right already.
    Unchanged,
    /// Not done, and why.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Went wrong.
    Failed {
        /// Why.
        cause: Failure,
    },
}

impl Outcome {
    /// A rehearsal cannot know what would come of it, because it depends on this.
    pub fn unknown(on: &str) -> Outcome {
        Outcome::Skipped { reason: format!("depends on {on}") }
    }

    /// Whether it is an [`Outcome::unknown`].
    pub fn is_unknown(&self) -> bool {
        matches!(self, Outcome::Skipped { reason } if reason.starts_with("depends on "))
    }
}

/// A failure that an operator can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, as a lower-case fragment.
    pub message: String,
    /// The command that failed, as one would type it.
    pub command: Option<String>,
    /// Its last lines.
    pub output: Option<String>,
    /// Script location and call chain, drawn as text.
    pub trace: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with nothing but a message.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), command: None, output: None, trace: None, hint: None }
    }
}

/// One property that differs from its declaration, or was brought in line with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What: a configuration key, a path, a package.
    pub what: String,
    /// Value before, in the configuration's own terms; absent: there was none.
    pub from: Option<String>,
    /// Value after; absent: gone.
    pub to: Option<String>,
    /// Unified diff of file content, secrets masked.
    pub diff: Option<String>,
    /// What bringing it in line costs.
    pub cost: Cost,
    /// What the operator can do about it, where phoenix cannot.
    pub way: Option<String>,
}

/// A guest's part of the longest chain of guests that had to wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Guest.
    pub guest: GuestId,
    /// Node time of its turn.
    pub elapsed: Duration,
}

/// What a run asked of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Processes of Proxmox's own tools.
    pub proxmox: u64,
    /// Other programs on the node.
    pub programs: u64,
    /// Channels opened into guests. Into a container it is one process on the node, into a virtual machine none.
    pub channels: u64,
    /// Round trips: programs, batches of Ops, requests.
    pub round_trips: u64,
}

/// Weight of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Details.
    Debug,
    /// For information.
    Info,
    /// Worth a look.
    Warning,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A run began with these guests in this order.
    RunStarted {
        /// Run id.
        run: String,
        /// What was asked for, as typed.
        command: String,
        /// Guests in order with their names.
        guests: Vec<(GuestId, String)>,
    },
    /// A guest's turn began.
    GuestStarted {
        /// Guest.
        guest: GuestId,
    },
    /// A step began.
    StepStarted {
        /// Guest.
        guest: GuestId,
        /// Step.
        step: Step,
    },
    /// A step ended.
    StepFinished {
        /// Guest.
        guest: GuestId,
        /// Step.
        step: Step,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
        /// Node time it took.
        elapsed: Duration,
    },
    /// A labelled part of a script began.
    Section {
        /// Guest.
        guest: GuestId,
        /// Label.
        label: String,
    },
    /// Something differs, or was changed.
    Change {
        /// Guest.
        guest: GuestId,
        /// What.
        difference: Difference,
    },
    /// Something differs and was left as it is, because nobody consented to what changing it costs.
    Pending {
        /// Guest.
        guest: GuestId,
        /// What.
        difference: Difference,
    },
    /// Something was asked of a host.
    Did {
        /// Guest whose turn it was; absent outside of guests.
        guest: Option<GuestId>,
        /// The command, op or request in one line.
        what: String,
        /// Read or change.
        effect: Effect,
        /// Whether it started a process on the node.
        process: bool,
        /// Whether it succeeded.
        ok: bool,
        /// Node time it took.
        elapsed: Duration,
    },
    /// A guest was asked how it is, by one of its scripts or by a declared check.
    Check {
        /// Guest.
        guest: GuestId,
        /// The script or the check.
        name: String,
        /// Why it is not healthy; absent: it is.
        cause: Option<Failure>,
    },
    /// A guest waits for something, with a deadline.
    Waiting {
        /// Guest.
        guest: GuestId,
        /// For what.
        on: String,
    },
    /// A modelled machine did not know a program and assumed that it succeeds.
    Assumed {
        /// Guest, if it happened in one.
        guest: Option<GuestId>,
        /// The program.
        program: String,
    },
    /// A message of a script or of the engine.
    Message {
        /// Guest, if it is about one.
        guest: Option<GuestId>,
        /// Weight.
        level: Level,
        /// Text.
        text: String,
    },
    /// A guest's turn ended.
    GuestFinished {
        /// Guest.
        guest: GuestId,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
        /// Node time it took.
        elapsed: Duration,
    },
    /// The run ended.
    RunFinished {
        /// Node time it took.
        elapsed: Duration,
        /// Whether it was interrupted.
        interrupted: bool,
        /// The guests that the run took so long for, each started by the end of the one before.
        critical_path: Vec<Share>,
        /// What it asked of the node.
        asked: Asked,
    },
}

/// An event with the node's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// When, by the node's clock (virtual in the sandbox).
    pub at: jiff::Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Takes events. Implementations must not block for long: actors call this in the middle of their work.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Stamped);
}

/// A shared sink.
pub type Events = Arc<dyn Sink>;

/// Drops everything.
#[derive(Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn emit(&self, _: Stamped) {}
}

/// Keeps everything, for tests.
#[derive(Debug, Default)]
pub struct Collect(std::sync::Mutex<Vec<Stamped>>);

impl Collect {
    /// What was emitted so far.
    pub fn events(&self) -> Vec<Stamped> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Sink for Collect {
    fn emit(&self, event: Stamped) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
    }
}
