//! Programs of this machine, and why something of a lab did not work.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why something of a lab did not work.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// This machine lacks something. All of it is named at once.
    #[error("containers need {0}")]
    Needs(String),
    /// A program failed.
    #[error("{what}: {reason}")]
    Failed {
        /// What was tried.
        what: String,
        /// The last of what the program said.
        reason: String,
    },
    /// The operating system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LabError {
    /// For `map_err` after something was done with a file.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> LabError {
        let path = path.to_owned();
        move |source| LabError::Io { path, source }
    }

    /// Something was tried, and did not work for a reason.
    pub(super) fn failed(what: impl Into<String>, reason: impl ToString) -> LabError {
        LabError::Failed { what: what.into(), reason: reason.to_string() }
    }
}

/// Most lines that are kept of what a program said before it failed.
const LAST_LINES: usize = 5;

/// Runs a program to its end; answers its standard output.
///
/// # Errors
/// When it cannot be started or fails: with the last lines that it said.
pub(super) fn run(command: &mut Command) -> Result<String, LabError> {
    let what = command.get_program().to_string_lossy().into_owned();
    // Ctrl-C at the terminal is for phoenix, which ends what it does in its own order.
    let output =
        command.process_group(0).stdin(Stdio::null()).output().map_err(|error| LabError::failed(&what, error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = last_lines(&String::from_utf8_lossy(&said));
    Err(LabError::failed(what, if said.is_empty() { output.status.to_string() } else { said }))
}

/// Runs a shell script to its end, with these values as `$1`, `$2` ...; answers its standard output.
///
/// # Errors
/// As [`run`]; the script ends at its first failure.
pub(super) fn shell(what: &str, script: &str, arguments: &[&str]) -> Result<String, LabError> {
    let mut command = Command::new("sh");
    run(command.args(["-ec", script, "sh"]).args(arguments)).map_err(|error| match error {
        LabError::Failed { reason, .. } => LabError::failed(what, reason),
        error => error,
    })
}

/// The end of what a program said.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
