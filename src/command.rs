//! A program run on the node, as a value.
//!
//! Commands are made by the builders in [`crate::pve`] (and a few in [`crate::machine`]), which fill in what they
//! change and what they need to themselves. A [`crate::host::Host`] runs them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::GuestId;
use crate::secret::Sealed;

/// Whether something only looks or also changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Only looks.
    Read,
    /// May change something.
    Change,
}

/// What a change costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// Takes effect at once.
    #[default]
    None,
    /// Takes effect after a restart of the guest.
    Restart,
    /// Only a new guest can have it.
    Rebuild,
}

/// Something that Proxmox cannot share at will.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// A guest as a whole: its configuration and its volumes.
    Guest(GuestId),
    /// A storage, by id.
    Storage(String),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Guest(id) => write!(f, "guest {id}"),
            Resource::Storage(id) => write!(f, "storage {id}"),
        }
    }
}

/// How a resource is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nobody else meanwhile.
    Exclusive,
    /// Others may share it, nobody may have it exclusively.
    Shared,
    /// At most so many at once.
    Counted(u32),
}

/// A resource that a command needs while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What.
    pub resource: Resource,
    /// How.
    pub mode: Mode,
}

impl Claim {
    /// Nobody else meanwhile.
    pub fn exclusive(resource: Resource) -> Claim {
        Claim { resource, mode: Mode::Exclusive }
    }

    /// Shared with others of its kind.
    pub fn shared(resource: Resource) -> Claim {
        Claim { resource, mode: Mode::Shared }
    }

    /// At most `limit` at once.
    pub fn counted(resource: Resource, limit: u32) -> Claim {
        Claim { resource, mode: Mode::Counted(limit) }
    }
}

/// A program on the node: argv, standard input, limits, and what it does to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Program, by name or absolute path.
    pub program: String,
    /// Arguments. Never a secret.
    pub args: Vec<String>,
    /// Standard input; nothing if absent.
    pub stdin: Option<Sealed>,
    /// How long it may take.
    pub timeout: Duration,
    /// What it does.
    pub effect: Effect,
    /// What it needs to itself.
    pub claims: Vec<Claim>,
}

/// The locale that every program is started under. Under any other, Proxmox's tools destroy what is not ASCII in their
/// arguments.
pub const LOCALE: (&str, &str) = ("LC_ALL", "C.UTF-8");
/// Limit of commands that only look.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Limit of commands that change something.
pub const CHANGE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

impl Command {
    /// A command that only looks.
    pub fn read<A: Into<String>>(program: &str, args: impl IntoIterator<Item = A>) -> Command {
        Command {
            program: program.to_owned(),
            args: args.into_iter().map(Into::into).collect(),
            stdin: None,
            timeout: READ_TIMEOUT,
            effect: Effect::Read,
            claims: Vec::new(),
        }
    }

    /// A command that changes something.
    pub fn change<A: Into<String>>(program: &str, args: impl IntoIterator<Item = A>) -> Command {
        Command { timeout: CHANGE_TIMEOUT, effect: Effect::Change, ..Command::read(program, args) }
    }

    /// The same command with a claim.
    pub fn claim(mut self, claim: Claim) -> Command {
        self.claims.push(claim);
        self
    }

    /// The same command with standard input.
    pub fn stdin(mut self, stdin: Sealed) -> Command {
        self.stdin = Some(stdin);
        self
    }

    /// The same command with another limit.
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = timeout;
        self
    }
}

impl fmt::Display for Command {
    /// The command as one would type it, quoted for a POSIX shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = std::iter::once(&self.program).chain(&self.args).map(String::as_str);
        match shlex::try_join(words) {
            Ok(line) => f.write_str(&line),
            // Only a NUL byte cannot be quoted; no program can be given one either.
            Err(_) => f.write_str(&self.program),
        }
    }
}

/// What a program answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Exit status; 128 + signal number when it was killed by one.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// A modelled machine did not know the program and assumed success.
    #[serde(default)]
    pub assumed: bool,
}

impl Output {
    /// Success with this text on standard output.
    pub fn success(stdout: impl Into<Vec<u8>>) -> Output {
        Output { stdout: stdout.into(), ..Output::default() }
    }

    /// Failure with this code and text on standard error.
    pub fn failure(code: i32, stderr: impl Into<Vec<u8>>) -> Output {
        Output { code, stderr: stderr.into(), ..Output::default() }
    }

    /// Whether the exit status was 0.
    pub fn ok(&self) -> bool {
        self.code == 0
    }

    /// Standard output as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The last `lines` lines of standard error, or of standard output when there are none.
    pub fn tail(&self, lines: usize) -> String {
        let stderr = String::from_utf8_lossy(&self.stderr);
        let stdout = String::from_utf8_lossy(&self.stdout);
        let text = if stderr.trim().is_empty() { stdout } else { stderr };
        let all: Vec<&str> = text.trim_end().lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}
