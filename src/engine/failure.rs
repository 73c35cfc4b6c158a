//! Why a step ended before its time, and the words for the operator.

use super::journal::JournalError;
use super::record::RecordError;
use crate::command::{Command, Output};
use crate::event::Failure;
use crate::host::HostError;
use crate::machine::MachineError;
use crate::op::{Op, OpError, OpErrorKind};
use crate::pve::inventory::PveError;
use crate::pve::refusal::Refusal;

/// Lines of a command's output that a failure shows.
const TAIL: usize = 12;

/// Why a step ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The operator asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A rehearsal cannot know how it would go on; what it depends on.
    #[error("depends on {0}")]
    Unknown(String),
    /// It went wrong.
    #[error("{}", .0.message)]
    Failed(Box<Failure>),
}

/// What a step comes to.
pub type Result<T> = std::result::Result<T, StepError>;

impl StepError {
    /// A failure with nothing but a message.
    pub fn new(message: impl Into<String>) -> StepError {
        StepError::Failed(Box::new(Failure::new(message)))
    }

    /// A failure and what to do about it.
    pub fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> StepError {
        StepError::Failed(Box::new(Failure { hint: Some(hint.into()), ..Failure::new(message) }))
    }

    /// A program of the node that ended with a non-zero status.
    pub fn command(what: &str, command: &Command, output: &Output) -> StepError {
        StepError::Failed(Box::new(Failure {
            command: Some(command.to_string()),
            output: Some(output.tail(TAIL)),
            hint: Refusal::of(output).as_ref().and_then(Refusal::hint).map(str::to_owned),
            ..Failure::new(format!("{what} failed"))
        }))
    }

    /// A program that said it had succeeded, with a result that says otherwise.
    pub fn not_as_expected(what: &str, found: &str, command: &Command, output: &Output) -> StepError {
        let tail = output.tail(TAIL);
        StepError::Failed(Box::new(Failure {
            command: Some(command.to_string()),
            output: (!tail.trim().is_empty()).then_some(tail),
            ..Failure::new(format!("{what}: {found}"))
        }))
    }

    /// An Op that failed.
    pub fn op(op: &Op, error: &OpError) -> StepError {
        match error.kind {
            OpErrorKind::Unknown => StepError::Unknown(error.message.clone()),
            _ => StepError::new(format!("{op}: {}", error.message)),
        }
    }
}

impl From<HostError> for StepError {
    fn from(error: HostError) -> StepError {
        match error {
            HostError::Interrupted => StepError::Interrupted,
            HostError::Unknown(what) => StepError::Unknown(what),
            HostError::Locked { .. }
            | HostError::NotFound { .. }
            | HostError::Timeout { .. }
            | HostError::Lost { .. }
            | HostError::Unreachable { .. }
            | HostError::Unsupported(_)
            | HostError::Io { .. } => StepError::new(error.to_string()),
        }
    }
}

impl From<MachineError> for StepError {
    fn from(error: MachineError) -> StepError {
        match error {
            MachineError::Host(error) => error.into(),
            MachineError::Op { source, .. } if source.kind == OpErrorKind::Unknown => {
                StepError::Unknown(source.message)
            }
            error if error.is_unknown() => StepError::Unknown(error.command().unwrap_or("the machine").to_owned()),
            error => StepError::Failed(Box::new(error.failure())),
        }
    }
}

impl From<PveError> for StepError {
    fn from(error: PveError) -> StepError {
        StepError::new(error.to_string())
    }
}

impl From<RecordError> for StepError {
    fn from(error: RecordError) -> StepError {
        match error {
            RecordError::Host(error) => error.into(),
            RecordError::Op(_) | RecordError::Unreadable { .. } => StepError::new(error.to_string()),
        }
    }
}

impl From<JournalError> for StepError {
    fn from(error: JournalError) -> StepError {
        match error {
            JournalError::Host(error) => error.into(),
            JournalError::Op { .. } => StepError::new(error.to_string()),
        }
    }
}
