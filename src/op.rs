//! One plain read or write inside a machine, as a value.
//!
//! An [`Op`] never compares: "is it already right" is asked in [`crate::machine`] only. Each Op is lowered to a shell
//! by the channels in [`crate::host`] and answered from a model by [`crate::sandbox`]; a conformance set holds the
//! two together. A batch of Ops runs in order and stops at the first failed change: what comes after it is
//! [`OpErrorKind::NotRun`].
//!
//! | op | answers | errors worth telling apart |
//! |---|---|---|
//! | `Stat` | `Stat(None)` when absent; a dangling symlink is present | |
//! | `Read` | `Bytes(None)` when absent; follows symlinks | `IsADirectory`, `TooLarge` |
//! | `Digest` | SHA-256 in lower-case hex, `Digest(None)` when absent; follows symlinks | `IsADirectory` |
//! | `List` | entries of a directory sorted by bytes, `Entries(None)` when absent | `NotADirectory` |
//! | `ReadAll` | every regular file directly in a directory whose name ends in `suffix`; empty when absent | |
//! | `Write` | new file in place of the old one (a symlink too), by rename; attributes not named stay | `NotFound` (no parent), `NotADirectory`, `IsADirectory`, `NoSuchUser`, `Conflict` (guard) |
//! | `Append` | follows symlinks | `NotFound` (no parent), `IsADirectory` |
//! | `MakeDir` | parents too; an existing directory keeps its attributes | `NotADirectory`, `Exists` (no directory) |
//! | `Link` | symlink, replacing another symlink | `Exists` (no symlink) |
//! | `Remove` | absent is fine; `recursive` for directories | `IsADirectory` (not recursive) |
//! | `Move` | rename, replacing a file | `NotFound`, `IsADirectory`, `NotADirectory` |
//! | `SetAttributes` | mode and owner of an existing path, symlinks followed | `NotFound`, `NoSuchUser` |
//! | `Fetch` | a file on the node, whole or not at all; on the node only | `NotFound` (status 404 or no such member), `Conflict` (another digest), `Timeout`, `NoSpace`, `Failed` (no answer, another status) |
//! | `Neighbours` | who answers for which of these IPv4 addresses: address -> hardware address, without those that are silent, not on a network of the node's own, or the node's; on the node only; takes a second | |
//! | `Packages` | what dpkg has installed; none without dpkg | |
//! | `RefreshPackages`, `InstallPackages`, `RemovePackages` | all or nothing, what is so already is fine; locks of others are waited for two seconds | `Failed` with apt's last words, `Timeout`, `NoSpace` |
//! | `Units` | in the order asked; a name is one unit, no pattern | `Failed` (no systemd) |
//! | `Unit` | as systemctl; a failed start tells the unit's last lines | `Failed` |
//! | `AddUser` | with a group of the same name; a home of mode 0700 and bash, or for system users none and nologin | `Exists` (name, number or group) |
//! | `AddGroup`, `AddToGroup` | already a member is fine | `Exists`; `NoSuchUser` |
//! | `Exec` | any exit status: 127 when the program is missing, 128 + n when killed by a signal; at `/`, with `PATH HOME USER LOGNAME LANG LC_ALL` and what is asked for | `Timeout`, `TooLarge` (more than 16 MiB on a stream), `NoSuchUser`, `NotFound` (directory) |
//!
//! Paths are absolute; what stands below a file is absent to those who look, `NotADirectory` to those who write.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{Effect, Output};
use crate::model::{GuestId, GuestKind};
use crate::secret::Sealed;

/// The machine that Ops act in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The node.
    Node,
    /// A running guest.
    Guest(GuestId, GuestKind),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Node => f.write_str("node"),
            Place::Guest(id, kind) => write!(f, "{} {id}", kind.noun()),
        }
    }
}

/// What a file is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// Text with secrets in it.
    Text(Sealed),
    /// A file of the node with this SHA-256 (lower-case hex), carried over.
    NodeFile {
        /// Absolute path on the node.
        path: String,
        /// Digest that the bytes must have.
        sha256: String,
    },
}

/// Mode and owner; absent parts are left alone (or the channel's default for new files: 0644, 0755 for directories, root).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits, e.g. `0o640`.
    pub mode: Option<u32>,
    /// User name or number.
    pub owner: Option<String>,
    /// Group name or number.
    pub group: Option<String>,
}

/// Lock and comparison under which a file of the node is replaced (Proxmox's own manners for guest configurations).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// File that is locked exclusively (`flock`) meanwhile, waited for up to 10 s.
    pub lock: String,
    /// SHA-256 that the old content must still have; a difference is [`OpErrorKind::Conflict`].
    pub expect: String,
}

/// What to do with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitAction {
    /// `systemctl start`.
    Start,
    /// `systemctl stop`.
    Stop,
    /// `systemctl restart`.
    Restart,
    /// `systemctl reload`.
    Reload,
    /// `systemctl enable`.
    Enable,
    /// `systemctl disable`.
    Disable,
}

impl UnitAction {
    /// systemctl's word.
    pub const fn word(self) -> &'static str {
        match self {
            UnitAction::Start => "start",
            UnitAction::Stop => "stop",
            UnitAction::Restart => "restart",
            UnitAction::Reload => "reload",
            UnitAction::Enable => "enable",
            UnitAction::Disable => "disable",
        }
    }
}

/// A program run inside a machine. No shell: argv.
#[derive(Clone, Debug, PartialEq)]
pub struct Exec {
    /// Program and arguments. Never a secret.
    pub argv: Vec<String>,
    /// Additional environment.
    pub env: BTreeMap<String, Sealed>,
    /// Working directory; absent: `/`.
    pub cwd: Option<String>,
    /// Standard input.
    pub stdin: Option<Sealed>,
    /// User it runs as; absent: root.
    pub user: Option<String>,
    /// Limit; the process and its group are killed then.
    pub timeout: Duration,
    /// Read for probes, Change for everything else.
    pub effect: Effect,
}

/// One plain read or write inside a machine.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the table above explains the operations, their fields are named after what they are")]
pub enum Op {
    /// What a path is (symlinks not followed).
    Stat { path: String },
    /// A file's bytes, at most `limit` of them (more is an error).
    Read { path: String, limit: u64 },
    /// A file's SHA-256.
    Digest { path: String },
    /// A directory's entries.
    List { path: String },
    /// All files of a directory with a name ending in `suffix`, with their bytes.
    ReadAll { path: String, suffix: String },
    /// A file, whole.
    Write { path: String, content: Content, attributes: Attributes, guard: Option<Guard> },
    /// Bytes at the end of a file, made if absent; `sync`: on disk before the answer.
    Append { path: String, bytes: Vec<u8>, sync: bool },
    /// A directory.
    MakeDir { path: String, attributes: Attributes },
    /// A symlink.
    Link { path: String, target: String },
    /// A path gone.
    Remove { path: String, recursive: bool },
    /// A path renamed.
    Move { from: String, to: String },
    /// Mode and owner.
    SetAttributes { path: String, attributes: Attributes },
    /// A file fetched over HTTP(S) to a path of the node ([`Place::Node`] only): the system's roots are believed, up to
    /// ten redirects followed, the answer streamed beside `path` (a line that breaks goes on where it was), unpacked if a `member` is wanted, compared with
    /// `sha256` if given and moved into place; nothing is left behind otherwise. Modelled machines answer with bytes of their own making, the same for the same values.
    Fetch {
        /// Absolute URL.
        url: String,
        /// SHA-256 that the file at `path` must have (of the member, not of its archive), lower-case hex; absent: TLS
        /// alone vouches for it.
        sha256: Option<String>,
        /// Keep only this member of the fetched tar (plain, gzip, xz, zstd) or zip archive.
        member: Option<String>,
        /// Where to; parents are made.
        path: String,
    },
    /// Installed Debian packages: name -> version.
    Packages,
    /// Package index brought up to date (`apt-get update`).
    RefreshPackages,
    /// Packages installed in one transaction.
    InstallPackages { names: Vec<String>, recommends: bool },
    /// Packages removed (configuration files kept).
    RemovePackages { names: Vec<String> },
    /// State of units, in the order asked.
    Units { names: Vec<String> },
    /// Something done to a unit.
    Unit { name: String, action: UnitAction },
    /// Unit files read again.
    ReloadUnits,
    /// All users and groups.
    Accounts,
    /// A user made; its group of the same name too.
    AddUser { name: String, uid: Option<u32>, system: bool, home: Option<String>, shell: Option<String> },
    /// A group made.
    AddGroup { name: String, gid: Option<u32>, system: bool },
    /// A user put into a group.
    AddToGroup { user: String, group: String },
    /// A program.
    Exec(Exec),
    /// TCP ports that something listens on.
    Listening,
    /// Machines on the node's networks that answer for these addresses ([`Place::Node`] only).
    Neighbours { addresses: Vec<std::net::Ipv4Addr> },
    /// Addresses and default route.
    Network,
    /// Whether init has finished: `systemctl is-system-running`, `offline` before it answers.
    SystemState,
    /// What the operating system calls itself.
    Os,
}

impl Op {
    /// Whether it only looks.
    pub fn effect(&self) -> Effect {
        match self {
            Op::Stat { .. }
            | Op::Read { .. }
            | Op::Digest { .. }
            | Op::List { .. }
            | Op::ReadAll { .. }
            | Op::Packages
            | Op::Units { .. }
            | Op::Accounts
            | Op::Listening
            | Op::Neighbours { .. }
            | Op::Network
            | Op::SystemState
            | Op::Os => Effect::Read,
            Op::Exec(exec) => exec.effect,
            Op::Write { .. }
            | Op::Append { .. }
            | Op::MakeDir { .. }
            | Op::Link { .. }
            | Op::Remove { .. }
            | Op::Move { .. }
            | Op::SetAttributes { .. }
            | Op::Fetch { .. }
            | Op::RefreshPackages
            | Op::InstallPackages { .. }
            | Op::RemovePackages { .. }
            | Op::Unit { .. }
            | Op::ReloadUnits
            | Op::AddUser { .. }
            | Op::AddGroup { .. }
            | Op::AddToGroup { .. } => Effect::Change,
        }
    }
}

impl fmt::Display for Op {
    /// One line for journals and plans; secrets are never part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Stat { path } => write!(f, "stat {path}"),
            Op::Read { path, .. } => write!(f, "read {path}"),
            Op::Digest { path } => write!(f, "digest {path}"),
            Op::List { path } => write!(f, "list {path}"),
            Op::ReadAll { path, suffix } => write!(f, "read {path}/*{suffix}"),
            Op::Write { path, .. } => write!(f, "write {path}"),
            Op::Append { path, .. } => write!(f, "append {path}"),
            Op::MakeDir { path, .. } => write!(f, "make directory {path}"),
            Op::Link { path, target } => write!(f, "link {path} -> {target}"),
            Op::Remove { path, .. } => write!(f, "remove {path}"),
            Op::Move { from, to } => write!(f, "move {from} -> {to}"),
            Op::SetAttributes { path, .. } => write!(f, "set attributes {path}"),
            Op::Fetch { url, path, .. } => write!(f, "fetch {url} to {path}"),
            Op::Packages => f.write_str("list packages"),
            Op::RefreshPackages => f.write_str("refresh package index"),
            Op::InstallPackages { names, .. } => write!(f, "install {}", names.join(" ")),
            Op::RemovePackages { names } => write!(f, "remove packages {}", names.join(" ")),
            Op::Units { names } => write!(f, "unit state {}", names.join(" ")),
            Op::Unit { name, action } => write!(f, "{} {name}", action.word()),
            Op::ReloadUnits => f.write_str("reload unit files"),
            Op::Accounts => f.write_str("list accounts"),
            Op::AddUser { name, .. } => write!(f, "add user {name}"),
            Op::AddGroup { name, .. } => write!(f, "add group {name}"),
            Op::AddToGroup { user, group } => write!(f, "add {user} to group {group}"),
            Op::Exec(exec) => {
                let words = exec.argv.iter().map(String::as_str);
                f.write_str(&shlex::try_join(words).unwrap_or_default())
            }
            Op::Listening => f.write_str("list listening ports"),
            Op::Neighbours { addresses } => {
                let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "who answers for {}", words.join(" "))
            }
            Op::Network => f.write_str("network state"),
            Op::SystemState => f.write_str("system state"),
            Op::Os => f.write_str("operating system"),
        }
    }
}

/// What kind of thing a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Device, socket, pipe.
    Other,
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Kind.
    pub kind: FileKind,
    /// Bytes of a regular file, 0 for everything else.
    pub size: u64,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name, or the number as text when it has none.
    pub owner: String,
    /// Group name, or the number as text when it has none.
    pub group: String,
    /// Where a symlink points.
    pub target: Option<String>,
    /// Major and minor number of a device.
    #[serde(default)]
    pub device: Option<(u32, u32)>,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Name without path.
    pub name: String,
    /// Kind (symlinks not followed).
    pub kind: FileKind,
}

/// State of a systemd unit, in systemd's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// Name as asked.
    pub name: String,
    /// `loaded`, `not-found`, `masked`, ...
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, ...
    pub active: String,
    /// `running`, `dead`, `exited`, ...
    pub sub: String,
    /// `enabled`, `disabled`, `static`, `masked`, or empty.
    pub enabled: String,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Number of the first group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Shell.
    pub shell: String,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number.
    pub gid: u32,
    /// Users listed in it.
    pub members: Vec<String>,
}

/// What an Op answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum OpValue {
    /// Done; nothing to tell.
    Done,
    /// Of `Stat`.
    Stat(Option<Stat>),
    /// Of `Read`.
    Bytes(Option<Vec<u8>>),
    /// Of `Digest`.
    Digest(Option<String>),
    /// Of `List`.
    Entries(Option<Vec<Entry>>),
    /// Of `ReadAll`: name -> bytes.
    Files(BTreeMap<String, Vec<u8>>),
    /// Of `Packages`: name -> version.
    Packages(BTreeMap<String, String>),
    /// Of `Units`.
    Units(Vec<UnitState>),
    /// Of `Accounts`.
    Accounts { users: Vec<User>, groups: Vec<Group> },
    /// Of `Exec`.
    Output(Output),
    /// Of `Neighbours`: address -> hardware address in upper case.
    Neighbours(BTreeMap<std::net::Ipv4Addr, String>),
    /// Of `Listening`.
    Ports(std::collections::BTreeSet<u16>),
    /// Of `Network`: `ADDRESS/PREFIX` without loopback, and whether a default route exists.
    Network { addresses: Vec<String>, default_route: bool },
    /// Of `SystemState`: systemd's word.
    SystemState(String),
    /// Of `Os`: `/etc/os-release` fields ID, VERSION_ID, VERSION_CODENAME and dpkg's architecture.
    Os { id: String, version: String, codename: String, arch: String },
}

/// Why an Op failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpErrorKind {
    /// Something on the way is missing.
    NotFound,
    /// A directory was expected.
    NotADirectory,
    /// Anything but a directory was expected.
    IsADirectory,
    /// Something else is there.
    Exists,
    /// Refused by the machine.
    PermissionDenied,
    /// No room.
    NoSpace,
    /// More than the limit.
    TooLarge,
    /// No such user or group.
    NoSuchUser,
    /// The old content was not the expected one.
    Conflict,
    /// The time limit.
    Timeout,
    /// A program failed; its last lines are the message.
    Failed,
    /// Not done, because an earlier change of the batch failed.
    NotRun,
    /// A rehearsal cannot know the answer.
    Unknown,
}

/// Why an Op failed, with what the machine said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct OpError {
    /// Class of the failure.
    pub kind: OpErrorKind,
    /// The machine's words, last lines.
    pub message: String,
}

impl OpError {
    /// A failure of this class.
    pub fn new(kind: OpErrorKind, message: impl Into<String>) -> OpError {
        OpError { kind, message: message.into() }
    }
}

/// What became of one Op of a batch.
pub type OpResult = Result<OpValue, OpError>;
