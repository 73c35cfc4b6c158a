//! Errors -> exit code and hints. The only place that knows the exit codes.

use std::process::ExitCode;

use crate::engine::EngineError;
use crate::event::Failure;
use crate::finding::Finding;
use crate::host::HostError;
use crate::host::ssh::SshError;
use crate::lab::LabError;
use crate::plan::PlanError;
use crate::sandbox::WorldFileError;
use crate::ui;

/// How a verb ended when nothing prevented it from doing its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Fine.
    Fine,
    /// A guest, step or check failed.
    Failed,
    /// Files are wrong.
    Invalid,
    /// This machine cannot tell.
    Impossible,
    /// Changes are pending.
    Pending,
    /// Ended by the operator.
    Interrupted,
    /// As the program that was run for the operator.
    Code(i32),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Invalid => 3,
            Exit::Impossible => 4,
            Exit::Pending => 5,
            Exit::Interrupted => 130,
            Exit::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
        })
    }
}

/// Why a verb could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The words typed make no sense.
    #[error("{message}")]
    Usage {
        /// Why not.
        message: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// Files are wrong.
    #[error("{}", ui::findings::count(.0))]
    Findings(Vec<Finding>),
}

impl Refusal {
    /// The words typed make no sense.
    pub fn usage(message: impl Into<String>) -> Refusal {
        Refusal::Usage { message: message.into(), hint: None }
    }

    /// The same with advice.
    pub fn hint(self, advice: impl Into<String>) -> Refusal {
        match self {
            Refusal::Usage { message, .. } => Refusal::Usage { message, hint: Some(advice.into()) },
            findings @ Refusal::Findings(_) => findings,
        }
    }
}

/// Prints why a verb could not do its work and tells the exit code: 2 usage, 3 files, 4 node, 130 interrupted, else 1.
pub fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if let Some(Refusal::Findings(findings)) = error.downcast_ref() {
        print_findings(findings, json);
        return ExitCode::from(3);
    }
    let (code, hint) = class(error);
    tell(&Failure { hint, ..Failure::new(format!("{error:#}")) }, code, json);
    ExitCode::from(code)
}

/// Exit code and advice.
fn class(error: &anyhow::Error) -> (u8, Option<String>) {
    if let Some(Refusal::Usage { hint, .. }) = error.downcast_ref() {
        return (2, hint.clone());
    }
    if error.is::<PlanError>() {
        return (2, None);
    }
    if let Some(WorldFileError::InUse { .. }) = error.downcast_ref() {
        return (4, Some("wait for it, or name another world with `--host sandbox:FILE`".to_owned()));
    }
    if let Some(ssh) = error.downcast_ref::<SshError>() {
        let code = match ssh {
            SshError::Address { .. } | SshError::Binary { .. } => 2,
            SshError::Interrupted => 130,
            _ => 4,
        };
        return (code, ssh.hint());
    }
    if let Some(LabError::Needs(_)) = error.downcast_ref() {
        return (4, None);
    }
    let host = match error.downcast_ref::<EngineError>() {
        Some(EngineError::Host(host)) => Some(host),
        Some(EngineError::Node(failure)) => return (4, failure.hint.clone()),
        _ => error.chain().find_map(|cause| cause.downcast_ref()),
    };
    match host {
        Some(HostError::Interrupted) => (130, None),
        Some(HostError::Locked { .. }) => (
            4,
            Some(
                "wait for it, or stop it with Ctrl-C there: it ends after the running command, and can be continued"
                    .to_owned(),
            ),
        ),
        Some(HostError::NotFound { .. }) => (
            4,
            Some(
                "this is no Proxmox VE node; try the emulated one with `--sandbox`, or name a node with `--host`"
                    .into(),
            ),
        ),
        Some(HostError::Lost { .. }) => {
            (4, Some("the same command continues what was begun, from here or from any other workstation".to_owned()))
        }
        Some(HostError::Unreachable { .. } | HostError::Unsupported(_)) => (4, None),
        _ => (1, None),
    }
}

fn tell(failure: &Failure, code: u8, json: bool) {
    if json {
        ui::print::document(&serde_json::json!({ "error": failure, "exit": code }));
    } else {
        ui::print::note(&(ui::failure::render(failure, 0) + "\n"));
    }
}

/// Findings on standard error, or as a JSON document on standard output.
pub fn print_findings(findings: &[Finding], json: bool) {
    if json {
        let all: Vec<_> = findings.iter().map(ui::findings::json).collect();
        ui::print::document(&serde_json::json!({ "findings": all }));
    } else {
        ui::print::note(&ui::findings::render(findings, true));
    }
}
