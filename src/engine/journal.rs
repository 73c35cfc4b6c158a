//! The story of a run: `/var/lib/phoenix/runs/RUN/journal.jsonl`, one JSON object a line.
//!
//! Lines are kept in memory and reach the node's disk before anything irreversible and at the end of every guest that
//! was changed or failed. A run that changed nothing leaves no trace: a second run sends the node nothing to change.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::record::Irreversible;
use crate::event::{Outcome, Step};
use crate::host::{Host, HostError};
use crate::model::GuestId;
use crate::op::{Op, OpError, Place};

/// Where the journals of runs live on the node.
pub const DIRECTORY: &str = "/var/lib/phoenix/runs";

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "entry")]
pub enum Entry {
    /// First line.
    Run {
        /// Run id.
        run: String,
        /// What was asked for, as typed.
        command: String,
        /// Guests in order.
        guests: Vec<GuestId>,
    },
    /// Something irreversible is about to be begun.
    Begun {
        /// Guest.
        guest: GuestId,
        /// What.
        #[serde(flatten)]
        what: Irreversible,
    },
    /// It is done.
    Done {
        /// Guest.
        guest: GuestId,
        /// What.
        #[serde(flatten)]
        what: Irreversible,
    },
    /// A step ended.
    Step {
        /// Guest.
        guest: GuestId,
        /// Step.
        step: Step,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A guest's turn ended.
    Guest {
        /// Guest.
        guest: GuestId,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Last line.
    End {
        /// Whether it was interrupted.
        interrupted: bool,
    },
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When, by the node's clock.
    pub at: jiff::Timestamp,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// The journal of one run, shared by its actors.
#[derive(Debug)]
pub struct Journal {
    run: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    unsaved: Vec<u8>,
    opened: bool,
}

impl Journal {
    /// The journal of this run; nothing is on the node yet.
    pub fn new(run: &str) -> Journal {
        Journal { run: run.to_owned(), state: Mutex::default() }
    }

    /// Where the journal of a run is kept.
    pub fn path(run: &str) -> String {
        format!("{DIRECTORY}/{run}/journal.jsonl")
    }

    /// Whether any line reached the node.
    pub fn is_open(&self) -> bool {
        self.state().opened
    }

    /// Adds a line, in memory.
    pub fn note(&self, at: jiff::Timestamp, entry: Entry) {
        let line = Line { at, entry };
        // Serialising cannot fail: no maps with keys other than text, no foreign types.
        let text = serde_json::to_string(&line).expect("a journal line is plain data");
        let mut state = self.state();
        state.unsaved.extend_from_slice(text.as_bytes());
        state.unsaved.push(b'\n');
    }

    /// Brings every line noted so far to the node's disk, and performs `also` in the same round trip, after them.
    ///
    /// # Errors
    /// When the node cannot be reached or refuses; lines that were not taken are kept for the next time.
    pub fn save(&self, host: &dyn Host, also: Vec<Op>) -> Result<(), JournalError> {
        let (lines, opened) = {
            let mut state = self.state();
            (std::mem::take(&mut state.unsaved), state.opened)
        };
        let mut ops = Vec::with_capacity(2 + also.len());
        if !lines.is_empty() {
            if !opened {
                ops.push(Op::MakeDir { path: format!("{DIRECTORY}/{}", self.run), attributes: Default::default() });
            }
            ops.push(Op::Append { path: Journal::path(&self.run), bytes: lines.clone(), sync: true });
        }
        ops.extend(also);
        if ops.is_empty() {
            return Ok(());
        }
        let done = host.perform(Place::Node, &ops).map_err(JournalError::from).and_then(|results| {
            ops.iter().zip(results).try_for_each(|(op, result)| {
                result.map(|_| ()).map_err(|error| JournalError::Op { op: op.to_string(), error })
            })
        });
        let mut state = self.state();
        match done {
            Ok(()) => state.opened |= !lines.is_empty(),
            Err(_) => drop(state.unsaved.splice(..0, lines)),
        }
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the journal, or what was to be kept with it, could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The node did not answer.
    #[error("the journal of the run cannot be kept: {0}")]
    Host(#[from] HostError),
    /// The node refused.
    #[error("{op}: {error}")]
    Op {
        /// The Op in one line.
        op: String,
        /// The node's words.
        error: OpError,
    },
}

/// A run's id: its beginning by the node's clock, sortable and fit for a file name.
pub fn run_id(began: jiff::Timestamp) -> String {
    began.strftime("%Y%m%dT%H%M%S.%3fZ").to_string()
}
