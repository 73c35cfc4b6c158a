//! A node at the other end of an ssh session: this very program is carried there and speaks the values of
//! [`Host`](crate::host::Host) on its standard streams, so lock, state and channels live on the node.
//!
//! ```text
//! workstation                                           node
//! engine ── Ssh ── session ──> ssh ══════ sshd ── bootstrap.sh ── phoenix serve ── Local
//! ```
//!
//! | file | what |
//! |---|---|
//! | `address` | `ssh://[user@]host[:port]` |
//! | `client` | the system's `ssh` and what it says |
//! | `binary`, `bootstrap`, `bootstrap.sh` | the program, and how it gets there |
//! | `frame`, `wire` | one message on the line; what is said |
//! | `session` | the line: calls and their answers, how it is lost |
//! | `remote` | [`Ssh`]: the node as a host |
//! | [`serve`](serve()) | the end on the node |
//! | `failure` | why there is no session, and what to do |

mod address;
mod binary;
mod bootstrap;
mod client;
mod failure;
mod frame;
mod remote;
mod serve;
mod session;
mod wire;

use std::path::PathBuf;

pub use address::{Address, InvalidAddress};
pub use failure::SshError;
pub use frame::FrameError;
pub use remote::Ssh;
pub use serve::{Time, serve};

/// What the machine at the other end has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A Proxmox VE node.
    Proxmox,
    /// Anything that has a shell.
    Nothing,
}

/// How a session is opened.
pub struct Options<'a> {
    /// OpenSSH's client, by name or path.
    pub client: PathBuf,
    /// The program for the node; absent: this one.
    pub binary: Option<PathBuf>,
    /// What it is started with there.
    pub arguments: Vec<String>,
    /// What the machine has to be.
    pub needs: Needs,
    /// Somebody is there to answer ssh's questions.
    pub terminal: bool,
    /// Told when the program is copied, with its size in bytes.
    pub copying: &'a dyn Fn(u64),
}
