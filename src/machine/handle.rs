//! One machine, as primitives see it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Change, Facts, MachineError};
use crate::event::{Event, Events, Stamped};
use crate::host::HostHandle;
use crate::model::GuestId;
use crate::op::{Op, OpErrorKind, OpResult, OpValue, Place};

/// Where a machine's changes and waits are reported.
#[derive(Clone)]
pub struct Report {
    /// The guest whose turn it is; absent for the node's own features.
    pub guest: Option<GuestId>,
    /// Takes the events.
    pub events: Events,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("guest", &self.guest).finish_non_exhaustive()
    }
}

/// One machine: a running guest, or the node. Its primitives are methods, one file each.
///
/// A clone is the same machine: facts and the state of the package index are shared. Make one per machine and run, so
/// that facts are read once and the index is refreshed at most once.
#[derive(Clone)]
pub struct Machine {
    host: HostHandle,
    place: Place,
    report: Report,
    known: Arc<Mutex<Known>>,
}

/// What has been learnt about a machine in this run.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Facts, unless something made them stale.
    pub facts: Option<Arc<Facts>>,
    /// Whether the package index was refreshed since the last change of the apt sources.
    pub index_fresh: bool,
    /// How often it was restarted.
    pub reboots: u32,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine that is reached through `host`.
    pub fn new(host: HostHandle, place: Place, report: Report) -> Machine {
        Machine { host, place, report, known: Arc::default() }
    }

    /// The host that reaches it.
    pub fn host(&self) -> &HostHandle {
        &self.host
    }

    /// Which machine it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Where it reports.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The node that this machine runs on, as a machine; itself if it is the node.
    pub(super) fn node(&self) -> Machine {
        match self.place {
            Place::Node => self.clone(),
            Place::Guest(..) => Machine::new(self.host.clone(), Place::Node, self.report.clone()),
        }
    }

    /// What has been learnt so far. Never held across a call of the host: a parked actor must not keep others out.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Performs a batch and hands back what each Op answered.
    pub(super) fn perform(&self, ops: &[Op]) -> Result<Vec<OpResult>, MachineError> {
        Ok(self.host.perform(self.place, ops)?)
    }

    /// Performs a batch in which every Op has to succeed.
    pub(super) fn all(&self, ops: &[Op]) -> Result<Vec<OpValue>, MachineError> {
        let results = self.perform(ops)?;
        if results.len() != ops.len() {
            return Err(self.broken(format!("{} answers to {} operations", results.len(), ops.len())));
        }
        // An Op that was not run tells less than the one that kept it from running.
        let cause = |result: &OpResult| matches!(result, Err(error) if error.kind != OpErrorKind::NotRun);
        let blamed = results.iter().position(cause);
        let mut values = Vec::with_capacity(ops.len());
        for (index, (op, result)) in ops.iter().zip(results).enumerate() {
            match result {
                Ok(value) => values.push(value),
                Err(_) if blamed.is_some_and(|blamed| blamed > index) => {}
                Err(source) => return Err(MachineError::Op { op: op.to_string(), source }),
            }
        }
        Ok(values)
    }

    /// Performs one Op.
    pub(super) fn one(&self, op: Op) -> Result<OpValue, MachineError> {
        match self.perform(std::slice::from_ref(&op))?.pop() {
            Some(result) => result.map_err(|source| MachineError::Op { op: op.to_string(), source }),
            None => Err(self.broken(format!("no answer to `{op}`"))),
        }
    }

    /// The host broke its word.
    pub(super) fn broken(&self, reason: impl Into<String>) -> MachineError {
        crate::host::HostError::Lost { place: self.place.to_string(), reason: reason.into() }.into()
    }

    /// Reports every difference of a change and hands it on.
    pub(super) fn done(&self, change: Change) -> Change {
        if let Some(guest) = self.report.guest {
            for difference in &change.differences {
                self.emit(Event::Change { guest, difference: difference.clone() });
            }
        }
        change
    }

    /// Reports that the machine is waited for.
    pub(super) fn waiting(&self, on: &str) {
        if let Some(guest) = self.report.guest {
            self.emit(Event::Waiting { guest, on: on.to_owned() });
        }
    }

    pub(super) fn emit(&self, event: Event) {
        self.report.events.emit(Stamped { at: self.host.now(), event });
    }
}
