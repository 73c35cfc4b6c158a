//! Why a script did not come to its end, and how that looks to whoever wrote it.

use rhai::{Dynamic, EvalAltResult, Position};

use crate::event::Failure;
use crate::finding::Finding;
use crate::machine::MachineError;

use super::value::OpaqueError;

/// Why a script did not come to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScriptError {
    /// There is no such script, or no such entry in it.
    #[error("{0}")]
    Absent(String),
    /// It was not run: something is wrong in its files.
    #[error("{}", first(.0))]
    Invalid(Vec<Finding>),
    /// It failed.
    #[error("{}", .0.message)]
    Failed(Box<Failure>),
    /// The operator asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A rehearsal cannot know how it goes on from here.
    #[error("depends on {place}")]
    Unknown {
        /// `FILE:LINE`.
        place: String,
        /// What is not known.
        what: String,
    },
}

fn first(findings: &[Finding]) -> String {
    match findings {
        [] => "not run".to_owned(),
        [one] => one.to_string(),
        [one, rest @ ..] => format!("{one} (and {} more)", rest.len()),
    }
}

impl ScriptError {
    /// The same as an operator reads it.
    pub fn failure(&self) -> Failure {
        match self {
            ScriptError::Failed(failure) => (**failure).clone(),
            ScriptError::Invalid(findings) => Failure {
                trace: Some(findings.iter().map(super::trace::finding).collect::<Vec<_>>().join("\n")),
                hint: findings.iter().find_map(|finding| finding.hint.clone()),
                ..Failure::new(self.to_string())
            },
            other => Failure::new(other.to_string()),
        }
    }
}

/// An error that a script may catch: `catch (e) { e.message }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Thrown {
    /// Class: `fail`, `exec`, `invalid`, `machine` ...
    pub kind: &'static str,
    /// What went wrong, as a lower-case fragment.
    pub message: String,
    /// The command that failed.
    pub command: Option<String>,
    /// Its last lines.
    pub output: Option<String>,
    /// Its exit status.
    pub code: Option<i32>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Thrown {
    /// An error of the script itself.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Thrown {
        Thrown { kind, message: message.into(), ..Thrown::default() }
    }

    /// A value that a verb does not take.
    pub fn invalid(message: impl Into<String>) -> Thrown {
        Thrown::new("invalid", message)
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Thrown {
        self.hint = Some(hint.into());
        self
    }
}

/// An end that no script can catch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// `skip(reason)`.
    Skipped(String),
    /// The operator asked to stop.
    Interrupted,
    /// A rehearsal cannot know.
    Unknown(String),
    /// The machine was lost, or time ran out.
    Lost(Box<Thrown>),
}

/// How a native function does not answer.
#[derive(Debug)]
pub(crate) enum Raised {
    /// May be caught.
    Error(Thrown),
    /// May not.
    End(Ended),
    /// From a closure that was called.
    Script(Box<EvalAltResult>),
}

impl From<Thrown> for Raised {
    fn from(thrown: Thrown) -> Raised {
        Raised::Error(thrown)
    }
}

impl From<OpaqueError> for Raised {
    fn from(error: OpaqueError) -> Raised {
        Raised::Error(Thrown::new("secret", error.to_string()))
    }
}

impl From<MachineError> for Raised {
    fn from(error: MachineError) -> Raised {
        use crate::host::HostError;
        if error.is_interrupted() {
            return Raised::End(Ended::Interrupted);
        }
        if error.is_unknown() {
            return Raised::End(Ended::Unknown(error.to_string()));
        }
        let thrown = Thrown {
            kind: match &error {
                MachineError::Exec { .. } => "exec",
                MachineError::Packages { .. } => "packages",
                MachineError::Waited { .. } => "wait",
                MachineError::Unit { .. } => "unit",
                MachineError::Invalid(_) => "invalid",
                _ => "machine",
            },
            code: match &error {
                MachineError::Exec { code, .. } => Some(*code),
                _ => None,
            },
            command: error.command().map(str::to_owned),
            output: error.output().map(str::to_owned),
            hint: error.hint(),
            message: error.to_string(),
        };
        match error {
            MachineError::Host(HostError::Lost { .. }) => Raised::End(Ended::Lost(Box::new(thrown))),
            _ => Raised::Error(thrown),
        }
    }
}

impl From<crate::host::HostError> for Raised {
    fn from(error: crate::host::HostError) -> Raised {
        MachineError::from(error).into()
    }
}

impl From<Raised> for Box<EvalAltResult> {
    /// rhai puts the position of the call in.
    fn from(raised: Raised) -> Box<EvalAltResult> {
        match raised {
            Raised::Error(thrown) => Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(thrown), Position::NONE)),
            Raised::End(ended) => Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(ended), Position::NONE)),
            Raised::Script(error) => error,
        }
    }
}
