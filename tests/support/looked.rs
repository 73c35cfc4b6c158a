//! A node that may only be looked at: whatever could change it is written down, and refused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use phoenix::command::{Command, Effect, Output};
use phoenix::host::{Host, HostError, HostHandle, RunLock};
use phoenix::op::{Op, OpResult, Place};
use phoenix::request::{Request, Response};

/// The node behind it, and what was tried.
#[derive(Clone)]
pub struct OnlyLooked {
    node: HostHandle,
    tried: Arc<Mutex<Vec<String>>>,
}

impl OnlyLooked {
    pub fn at(node: HostHandle) -> OnlyLooked {
        OnlyLooked { node, tried: Arc::default() }
    }

    /// Everything that could have changed the node, in words.
    pub fn tried(&self) -> Vec<String> {
        self.tried.lock().unwrap().clone()
    }

    fn looks(&self, effect: Effect, what: impl std::fmt::Display) -> Result<(), HostError> {
        match effect {
            Effect::Read => Ok(()),
            Effect::Change => {
                self.tried.lock().unwrap().push(what.to_string());
                Err(HostError::Unsupported(format!("`{what}` would change the node")))
            }
        }
    }
}

impl Host for OnlyLooked {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        self.looks(command.effect, command)?;
        self.node.run(command)
    }
    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        for op in ops {
            self.looks(op.effect(), format!("{place}: {op}"))?;
        }
        self.node.perform(place, ops)
    }
    fn request(&self, request: &Request) -> Result<Response, HostError> {
        self.looks(request.effect, request)?;
        self.node.request(request)
    }
    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        self.node.sleep(duration)
    }
    fn now(&self) -> jiff::Timestamp {
        self.node.now()
    }
    fn actor(&self, name: &str) -> HostHandle {
        Arc::new(OnlyLooked { node: self.node.actor(name), tried: self.tried.clone() })
    }
    fn park(&self) {
        self.node.park();
    }
    fn wake(&self) {
        self.node.wake();
    }
    fn close_channel(&self, place: Place) {
        self.node.close_channel(place);
    }
    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        self.looks(Effect::Change, "the lock of a run")?;
        self.node.lock(owner)
    }
}
