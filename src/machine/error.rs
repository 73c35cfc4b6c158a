//! Why a primitive could not do its work.

use std::time::Duration;

use super::package_failure::PackageTrouble;
use crate::event::Failure;
use crate::host::HostError;
use crate::op::{OpError, OpErrorKind};
use crate::secret::SecretName;

/// How many lines of a failed program are kept.
pub(super) const LAST_LINES: usize = 20;

/// Why a primitive could not do its work. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// The machine or an endpoint was not reached, or the operator interrupted.
    #[error(transparent)]
    Host(#[from] HostError),
    /// One read or write failed.
    #[error("{op}: {source}")]
    Op {
        /// The Op in one line.
        op: String,
        /// What the machine said.
        source: OpError,
    },
    /// A program ended with another exit status than 0.
    #[error("`{command}` failed with exit status {code}")]
    Exec {
        /// The program as one would type it.
        command: String,
        /// Its exit status.
        code: i32,
        /// Its last lines.
        output: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// What was asked for makes no sense; nothing was done.
    #[error("{0}")]
    Invalid(String),
    /// Something else is where a primitive wanted to act, and it would be wrong to replace it.
    #[error("{what}: {reason}")]
    Conflict {
        /// Path, user, unit.
        what: String,
        /// What is there instead.
        reason: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// Packages could not be brought about.
    #[error("packages {names}: {trouble}")]
    Packages {
        /// Which, separated by blanks.
        names: String,
        /// Class of the failure, and what it is about.
        trouble: PackageTrouble,
        /// apt's last lines.
        output: String,
        /// What to do next, where more is known than the class tells.
        hint: Option<String>,
    },
    /// A unit did not come into the declared state.
    #[error("unit {unit} is {state} instead of {wanted}")]
    Unit {
        /// Its name.
        unit: String,
        /// Its state now, in systemd's words.
        state: String,
        /// The declared state.
        wanted: &'static str,
        /// Its last log lines, if they could be read.
        output: String,
    },
    /// A compose project did not come up.
    #[error("compose project {project}: {reason}")]
    Compose {
        /// Its name.
        project: String,
        /// The service and its state, or what compose said.
        reason: String,
        /// The service's last log lines, or compose's own.
        output: String,
    },
    /// Something did not come about in time.
    #[error("waited {} s for {on}: {last}", after.as_secs())]
    Waited {
        /// For what.
        on: String,
        /// How long.
        after: Duration,
        /// What was answered last.
        last: String,
    },
    /// A template could not be filled in.
    #[error("template {name}: {reason}")]
    Template {
        /// Its name.
        name: String,
        /// Why, with the line.
        reason: String,
    },
    /// A secret could not be had.
    #[error("{name}: {reason}")]
    Secret {
        /// Its name.
        name: SecretName,
        /// Why.
        reason: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// A certificate could not be had, or what came back is not what was asked for.
    #[error("certificate for {name}: {reason}")]
    Certificate {
        /// Its first name.
        name: String,
        /// Why.
        reason: String,
        /// What to do next.
        hint: Option<String>,
    },
}

impl MachineError {
    /// Whether the operator asked to stop.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, MachineError::Host(HostError::Interrupted))
    }

    /// Whether a rehearsal cannot know the answer.
    pub fn is_unknown(&self) -> bool {
        match self {
            MachineError::Host(HostError::Unknown(_)) => true,
            MachineError::Op { source, .. } => source.kind == OpErrorKind::Unknown,
            _ => false,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            MachineError::Exec { hint, .. }
            | MachineError::Conflict { hint, .. }
            | MachineError::Secret { hint, .. }
            | MachineError::Certificate { hint, .. } => hint.clone(),
            MachineError::Packages { trouble, hint, .. } => hint.clone().or_else(|| trouble.hint().map(str::to_owned)),
            MachineError::Unit { unit, .. } => Some(format!("`journalctl -u {unit}` on the machine tells more")),
            MachineError::Compose { project, .. } => {
                Some(format!("`docker compose -p {project} logs` on the machine tells more"))
            }
            MachineError::Op { source, .. } => op_hint(source.kind).map(str::to_owned),
            _ => None,
        }
    }

    /// The command that failed, as one would type it.
    pub fn command(&self) -> Option<&str> {
        match self {
            MachineError::Exec { command, .. } => Some(command),
            MachineError::Op { op, .. } => Some(op),
            _ => None,
        }
    }

    /// Last lines of what failed.
    pub fn output(&self) -> Option<&str> {
        match self {
            MachineError::Exec { output, .. }
            | MachineError::Packages { output, .. }
            | MachineError::Compose { output, .. }
            | MachineError::Unit { output, .. } => Some(output.as_str()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The same as an operator reads it.
    pub fn failure(&self) -> Failure {
        Failure {
            message: self.to_string(),
            command: self.command().map(str::to_owned),
            output: self.output().map(str::to_owned),
            trace: None,
            hint: self.hint(),
        }
    }

    /// Something else is there.
    pub(super) fn conflict(what: impl Into<String>, reason: impl Into<String>) -> MachineError {
        MachineError::Conflict { what: what.into(), reason: reason.into(), hint: None }
    }
}

fn op_hint(kind: OpErrorKind) -> Option<&'static str> {
    match kind {
        OpErrorKind::NoSpace => Some("make room or enlarge the machine's disk"),
        OpErrorKind::NoSuchUser => Some("declare the user or group with `user` or `group` before"),
        OpErrorKind::NotFound => Some("declare the directory with `dir` before"),
        _ => None,
    }
}
