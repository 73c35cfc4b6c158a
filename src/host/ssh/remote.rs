//! The node at the other end as a host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::session::Session;
use super::wire::{ActorId, Answer, Call, OpValue, ToNode};
use super::{Address, Options, SshError};
use crate::command::{Command, Output};
use crate::host::interrupt::Interrupt;
use crate::host::permit::Permit;
use crate::host::{Host, HostError, HostHandle, RunLock};
use crate::op::{Op, OpResult, Place};
use crate::request::{Request, Response};

/// A node over ssh, as one actor sees it.
pub struct Ssh {
    session: Arc<Session>,
    actors: Arc<AtomicU32>,
    actor: ActorId,
    permit: Permit,
}

impl Ssh {
    /// Connects. The line is one ssh session, which lives as long as a handle does. When it breaks, `interrupt` is set
    /// as if the operator had asked to stop, and knows why.
    ///
    /// # Errors
    /// When it cannot be reached, or is not what it should be.
    pub fn open(address: &Address, options: &Options<'_>, interrupt: &Interrupt) -> Result<Ssh, SshError> {
        let session = Session::open(address, options, interrupt)?;
        Ok(Ssh { session: Arc::new(session), actors: Arc::default(), actor: 0, permit: Permit::default() })
    }

    fn call(&self, call: Call) -> Result<Answer, HostError> {
        self.session.call(self.actor, call)
    }
}

/// The node answers a call with what belongs to it, or it is not the program that it says it is.
fn misfit<T>() -> Result<T, HostError> {
    Err(HostError::Io { what: "the node's answer".to_owned(), reason: "belongs to another question".to_owned() })
}

impl Host for Ssh {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        match self.call(Call::Run(command.clone()))? {
            Answer::Output(output) => Ok(output),
            _ => misfit(),
        }
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        match self.call(Call::Perform(place, ops.iter().cloned().map(OpValue).collect()))? {
            Answer::Results(results) if results.len() == ops.len() => Ok(results),
            _ => misfit(),
        }
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        match self.call(Call::Request(request.clone()))? {
            Answer::Response(response) => Ok(response),
            _ => misfit(),
        }
    }

    /// A real second is as long here as there, and ends here at once with Ctrl-C.
    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        if !self.session.ticks() {
            return self.call(Call::Sleep(duration)).map(drop);
        }
        if self.session.interrupt().wait(duration) { Err(HostError::Interrupted) } else { Ok(()) }
    }

    fn now(&self) -> jiff::Timestamp {
        self.session.now()
    }

    fn actor(&self, name: &str) -> HostHandle {
        let actor = self.actors.fetch_add(1, Ordering::Relaxed) + 1;
        self.session.tell(&ToNode::Actor(actor, name.to_owned()));
        let (session, actors) = (Arc::clone(&self.session), Arc::clone(&self.actors));
        Arc::new(Ssh { session, actors, actor, permit: Permit::default() })
    }

    /// Who waits for whom is settled here.
    fn park(&self) {
        self.permit.wait();
    }

    fn wake(&self) {
        self.permit.give();
    }

    fn close_channel(&self, place: Place) {
        // A node that is lost has no channels any more.
        drop(self.call(Call::CloseChannel(place)));
    }

    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        self.call(Call::Lock(owner.to_owned()))?;
        Ok(Box::new(HeldThere(Arc::clone(&self.session))))
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if self.actor != 0 {
            self.session.tell(&ToNode::Gone(self.actor));
        }
    }
}

/// The run lock, which the node's end holds.
struct HeldThere(Arc<Session>);

impl RunLock for HeldThere {
    fn tell(&self, progress: &str) {
        self.0.tell(&ToNode::Tell(progress.to_owned()));
    }
}

impl Drop for HeldThere {
    fn drop(&mut self) {
        self.0.tell(&ToNode::Unlock);
    }
}
