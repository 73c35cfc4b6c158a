//! Channels into machines: many Ops through one long-lived shell, in one round trip per batch.
//!
//! A channel is a process on the node that stands with one foot in the machine (`lxc-attach`, where that is missing
//! `pct exec`; on the node itself a plain `sh`) and runs [`guest.sh`](self) there. It is opened by the first batch and
//! closed before the guest is stopped, snapshotted or cloned, and when the run ends. What goes over it is described at
//! the head of `guest.sh`; how an Op becomes a call of it is [`lower`]'s business. A virtual machine has no such way in:
//! there a [`batch`] is carried to the same script by the machine's [`agent`].

mod agent;
mod answer;
mod batch;
mod call;
mod lower;
mod session;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncWriteExt as _, BufReader};

use crate::host::HostError;
use crate::model::{GuestId, GuestKind};
use crate::op::{Op, OpResult, Place};

use agent::Agent;
use batch::{Batch, Broken};
use session::Session;

/// Most bytes that a program may write to one stream, in machines and on the node. It loses the stream beyond that.
pub(super) const OUTPUT_LIMIT: u64 = 16 << 20;

/// What a machine's bytes mean as answers to these Ops, in whatever pieces they come: for tests of the near end.
///
/// # Errors
/// [`HostError::Lost`] when they end too early or are no answers.
pub fn answers(ops: &[Op], pieces: Vec<Vec<u8>>) -> Result<Vec<OpResult>, HostError> {
    let lost = |reason: String| HostError::Lost { place: Place::Node.to_string(), reason };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| lost(error.to_string()))?;
    runtime.block_on(async {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            for piece in pieces {
                if far.write_all(&piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        let received = Batch::new(ops).receive(&mut BufReader::new(near)).await;
        received.map_err(|broken| match broken {
            Broken::Gone(op, error) => lost(format!("{op}: {error}")),
            Broken::Late(op, limit) => lost(format!("{op} was not answered within {} s", limit.as_secs())),
        })
    })
}

/// The open channels of a node: at most one per machine, used by one batch at a time.
pub(super) struct Channels {
    slots: Mutex<BTreeMap<Place, Slot>>,
    /// Directory of the guest agents' sockets.
    sockets: PathBuf,
    /// The program that asks an agent without a socket.
    qm: String,
    /// The words that lead into a container.
    attach: Vec<String>,
}

/// The channel of one machine, if it is open.
type Slot = Arc<tokio::sync::Mutex<Option<Channel>>>;

/// An open channel.
enum Channel {
    Shell(Session),
    Agent(Agent),
}

impl Channels {
    /// No channel is open yet.
    pub(super) fn new(sockets: PathBuf, qm: String, attach: Vec<String>) -> Channels {
        Channels { slots: Mutex::default(), sockets, qm, attach }
    }

    /// Performs a batch inside a machine, opening its channel if need be.
    pub(super) async fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let slot = self.slot(place);
        let mut channel = slot.lock().await;
        let open = match channel.take() {
            Some(open) => open,
            None => self.open(place).await?,
        };
        // Whatever goes wrong drops the channel, and with it what is left of its process; the next batch opens another.
        let (results, open) = match open {
            Channel::Shell(session) => {
                session.perform(ops).await.map(|(results, open)| (results, Channel::Shell(open)))?
            }
            Channel::Agent(agent) => agent.perform(ops).await.map(|(results, open)| (results, Channel::Agent(open)))?,
        };
        *channel = Some(open);
        Ok(results)
    }

    /// Closes the channel into a machine, after the batch that runs.
    pub(super) async fn close(&self, place: Place) {
        let channel = self.slot(place).lock().await.take();
        if let Some(Channel::Shell(session)) = channel {
            session.close().await;
        }
    }

    async fn open(&self, place: Place) -> Result<Channel, HostError> {
        let way = match place {
            Place::Node => Vec::new(),
            Place::Guest(id, GuestKind::Lxc) => {
                let attach = self.attach.first().is_some_and(|program| super::process::finds(program));
                let attach = attach.then_some(self.attach.as_slice());
                way_into_container(id, attach)
            }
            Place::Guest(id, GuestKind::Vm) => {
                return Agent::open(place, id, &self.sockets, &self.qm).await.map(Channel::Agent);
            }
        };
        Session::open(place, &way).await.map(Channel::Shell)
    }

    fn slot(&self, place: Place) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(place).or_default())
    }
}

/// The words in front of `sh -c SCRIPT` that lead into a container.
///
/// `pct exec` ends in the same `lxc-attach`, after half a second of its own.
fn way_into_container(id: GuestId, attach: Option<&[String]>) -> Vec<String> {
    let id = id.to_string();
    let words: &[&str] = match attach {
        Some(_) => &["-n", &id, "--clear-env", "-v", "HOME=/root", "-v", "LANG=C.UTF-8", "--"],
        None => &["pct", "exec", &id, "--keep-env", "0", "--"],
    };
    let words = words.iter().map(|word| (*word).to_owned());
    attach.unwrap_or_default().iter().cloned().chain(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_lxc_attach_is_entered_by_pct_exec() {
        let id = GuestId::try_from(101).expect("in range");
        assert_eq!(way_into_container(id, None).join(" "), "pct exec 101 --keep-env 0 --");
        let attach = ["lxc-attach".to_owned()];
        assert!(way_into_container(id, Some(&attach)).join(" ").starts_with("lxc-attach -n 101 --clear-env "));
    }
}
