//! The channel into a virtual machine: its guest agent, which runs one program at a time and has no stream to hold on to.
//!
//! So a batch is carried as a whole by `spool.sh`, which runs the same `guest.sh` at the far end that answers over every
//! channel. A small batch is one program: calls as its input, answers as its output. A large one is carried in pieces
//! into a private directory in the machine's memory, compared by digest, run there, and fetched in pieces.
//!
//! The agent is asked over its [socket], or where that cannot be opened by [`qm guest exec`](qm).

mod carrier;
mod qm;
mod socket;

use std::path::Path;
use std::time::Duration;

use crate::host::HostError;
use crate::host::channel::batch::{Batch, Broken};
use crate::model::GuestId;
use crate::op::{Op, OpResult, Place};

use carrier::Carrier;
use qm::Qm;
use socket::{Manners, Socket};

/// A way to a guest agent that has answered, or at least is not known to be closed.
pub(super) struct Agent {
    place: Place,
    line: Line,
}

/// How the agent is asked.
enum Line {
    Socket(Socket),
    Qm(Qm),
}

/// What a program in the machine answered.
struct Said {
    /// Exit status, as a shell tells it.
    code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Why there is no answer of a program.
#[derive(Debug)]
enum Trouble {
    /// It was not begun, for this reason.
    Unreachable(String),
    /// It was begun, and what became of it is not known.
    Lost(String),
    /// It did not come to its end in this time.
    Late(Duration),
    /// It cannot be carried, for this reason; none of it was done.
    Failed(String),
}

impl Agent {
    /// A way to the agent of a machine. `sockets` is Proxmox's directory of them, `qm` the program that asks otherwise.
    pub(super) async fn open(place: Place, id: GuestId, sockets: &Path, qm: &str) -> Result<Agent, HostError> {
        let line = match Socket::open(&sockets.join(format!("{id}.qga")), Manners::default()).await {
            Ok(Some(socket)) => Line::Socket(socket),
            Ok(None) => Line::Qm(Qm::new(id, qm)),
            Err(trouble) => return Err(error(place, trouble)),
        };
        Ok(Agent { place, line })
    }

    /// Performs a batch. The way comes back only if it can be used again.
    pub(super) async fn perform(mut self, ops: &[Op]) -> Result<(Vec<OpResult>, Agent), HostError> {
        let batch = Batch::new(ops);
        let place = self.place;
        let answers = Carrier::new(&mut self.line)?.carry(&batch).await.map_err(|trouble| error(place, trouble))?;
        self.line.rest();
        match batch.receive(&mut answers.after_greeting()).await {
            Ok(results) => Ok((results, self)),
            Err(Broken::Gone(op, _) | Broken::Late(op, _)) if answers.late => {
                Err(HostError::Timeout { what: format!("{place}: {op}"), after: batch.limit() })
            }
            Err(Broken::Gone(op, _) | Broken::Late(op, _)) => {
                let reason = format!("its shell ended at `{op}` with {}: {}", answers.code, answers.complaints);
                Err(error(place, Trouble::Lost(reason)))
            }
        }
    }
}

fn error(place: Place, trouble: Trouble) -> HostError {
    match trouble {
        Trouble::Unreachable(reason) => HostError::Unreachable { what: format!("guest agent of {place}"), reason },
        Trouble::Lost(reason) => HostError::Lost { place: place.to_string(), reason },
        Trouble::Late(after) => HostError::Timeout { what: place.to_string(), after },
        Trouble::Failed(reason) => HostError::Io { what: format!("guest agent of {place}"), reason },
    }
}

impl Line {
    /// How bytes survive the way.
    fn form(&self) -> &'static str {
        match self {
            Line::Socket(_) => "raw",
            Line::Qm(_) => "text",
        }
    }

    /// Runs a program in the machine to its end.
    async fn run(&mut self, words: &[&str], input: &[u8], limit: Duration) -> Result<Said, Trouble> {
        match self {
            Line::Socket(socket) => socket.run(words, input, limit).await,
            Line::Qm(qm) => qm.run(words, input, limit).await,
        }
    }

    /// Whether the agent answered when it was asked last.
    fn answers(&self) -> bool {
        match self {
            Line::Socket(socket) => socket.is_open(),
            Line::Qm(_) => true,
        }
    }

    /// Leaves the agent to others.
    fn rest(&mut self) {
        if let Line::Socket(socket) = self {
            socket.rest();
        }
    }
}
