//! Where things are done. Everything phoenix does to the world goes through a [`Host`].
//!
//! The trait is blocking on purpose: every guest's run is an OS thread with a handle of its own (an *actor*), and the
//! scripts that run there are blocking too. What a host does inside (an async runtime, an emulated clock) is its
//! own business.
//!
//! Hosts are stacked: `claims::Queue` over `interrupt::Interruptible` over `record::Recorder` over the one that acts,
//! so that a command which waited in line is not started after Ctrl-C, and what was never done is not told as done.

mod channel;
pub mod claims;
mod content;
mod facts;
mod fetch;
mod http;
pub mod interrupt;
pub mod local;
pub mod lock;
mod neighbours;
mod node;
mod permit;
mod process;
pub mod record;
pub mod ssh;

use std::sync::Arc;
use std::time::Duration;

pub use lock::{Holder, RunLock};

use crate::command::{Command, Output};
use crate::op::{Op, OpResult, Place};
use crate::request::{Request, Response};

pub use channel::answers;

/// A shared handle of a host: one per actor.
pub type HostHandle = Arc<dyn Host>;

/// A node that can be acted on.
///
/// A handle belongs to one actor: one thread at a time calls it. [`Host::actor`] makes handles for others.
pub trait Host: Send + Sync {
    /// Runs a program on the node and waits for it. A program that fails is an `Ok` with its exit status.
    ///
    /// # Errors
    /// When it could not be started, ran into its limit, or the node was lost.
    fn run(&self, command: &Command) -> Result<Output, HostError>;

    /// Plain reads and writes inside one machine, in order, in one round trip where the channel can. Answers as many
    /// results as there were Ops; after the first failed change the rest is [`crate::op::OpErrorKind::NotRun`].
    ///
    /// # Errors
    /// When the machine could not be reached or was lost in the middle.
    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError>;

    /// An HTTP request as the node sees the network. Any status is an `Ok`.
    ///
    /// # Errors
    /// When no answer came: refused, unreachable, not believed, too late.
    fn request(&self, request: &Request) -> Result<Response, HostError>;

    /// Waits in the node's time.
    ///
    /// # Errors
    /// [`HostError::Interrupted`].
    fn sleep(&self, duration: Duration) -> Result<(), HostError>;

    /// The node's clock.
    fn now(&self) -> jiff::Timestamp;

    /// A handle of the same host for another actor. The new actor counts as live at once, so that emulated time does
    /// not run past it; dropping its last handle ends it.
    fn actor(&self, name: &str) -> HostHandle;

    /// Waits until another actor calls [`Host::wake`] on this handle. A wake that came before is not lost.
    fn park(&self);

    /// Ends the wait of the actor that owns this handle.
    fn wake(&self);

    /// Closes the channel into a guest; must come before stop, reboot, snapshot, rollback and template.
    fn close_channel(&self, place: Place);

    /// Takes the lock under which one phoenix run at a time acts on the node.
    ///
    /// # Errors
    /// [`HostError::Locked`] with the words of whoever holds it.
    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError>;
}

/// Why a host could not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum HostError {
    /// The program is not there.
    #[error("`{program}` was not found on the node")]
    NotFound {
        /// Its name.
        program: String,
    },
    /// The time limit was reached; what ran was killed.
    #[error("`{what}` did not finish within {} s", after.as_secs())]
    Timeout {
        /// Command, op or request in one line.
        what: String,
        /// The limit.
        after: Duration,
    },
    /// The operator asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A machine stopped answering.
    #[error("{place} was lost: {reason}")]
    Lost {
        /// Which.
        place: String,
        /// Why.
        reason: String,
    },
    /// A machine or an endpoint does not answer.
    #[error("{what} cannot be reached: {reason}")]
    Unreachable {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
    /// Another run has the lock.
    #[error("another phoenix run is active on this node: {by}")]
    Locked {
        /// Its words about itself.
        by: Holder,
    },
    /// A rehearsal cannot know the answer.
    #[error("a rehearsal cannot know what `{0}` answers")]
    Unknown(String),
    /// This host cannot do it at all.
    #[error("{0}")]
    Unsupported(String),
    /// Anything the operating system said.
    #[error("{what}: {reason}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's words.
        reason: String,
    },
}
