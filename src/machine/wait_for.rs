//! `wait_for`: until something has come about, with a deadline.

use std::time::Duration;

use super::{Exec, Machine, MachineError, unit::unit_name};
use crate::host::HostError;
use crate::op::{Op, OpValue};
use crate::request::Request;

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Something listens on this TCP port of the machine.
    Port(u16),
    /// A request is answered with a status below 400, as the node sees it.
    Http(Box<Request>),
    /// A path exists.
    File(String),
    /// A program (argv) ends with exit status 0.
    Command(Vec<String>),
    /// A unit is active.
    Unit(String),
}

/// How long, and how often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Deadline from now.
    pub timeout: Duration,
    /// Between two questions.
    pub every: Duration,
}

impl Default for Wait {
    fn default() -> Wait {
        Wait { timeout: Duration::from_secs(60), every: Duration::from_secs(1) }
    }
}

impl Machine {
    /// Waits until a condition holds.
    ///
    /// # Errors
    /// [`MachineError::Waited`] with the last answer at the deadline.
    pub fn wait_for(&self, condition: &Condition, wait: Wait) -> Result<(), MachineError> {
        let on = match condition {
            Condition::Port(port) => format!("port {port}"),
            Condition::Http(request) => request.to_string(),
            Condition::File(path) => path.clone(),
            Condition::Command(argv) => format!("`{}`", argv.join(" ")),
            Condition::Unit(name) => format!("unit {}", unit_name(name)?),
        };
        let deadline = self.host().now() + wait.timeout;
        let mut told = false;
        loop {
            let Err(last) = self.holds(condition)? else { return Ok(()) };
            let left = self.host().now().duration_until(deadline);
            if !left.is_positive() {
                return Err(MachineError::Waited { on, after: wait.timeout, last });
            }
            if !told {
                self.waiting(&format!("{on} (up to {} s)", wait.timeout.as_secs()));
                told = true;
            }
            self.host().sleep(wait.every.min(left.unsigned_abs()).max(Duration::from_millis(10)))?;
        }
    }

    /// Whether a condition holds now; if not, what was seen instead.
    fn holds(&self, condition: &Condition) -> Result<Result<(), String>, MachineError> {
        Ok(match condition {
            Condition::Port(port) => match self.one(Op::Listening)? {
                OpValue::Ports(ports) if ports.contains(port) => Ok(()),
                OpValue::Ports(_) => Err("nothing listens there".to_owned()),
                _ => return Err(self.broken("another answer than asked for about ports")),
            },
            Condition::Http(request) => match self.host().request(request) {
                Ok(response) if response.status < 400 => Ok(()),
                Ok(response) => Err(format!("status {}", response.status)),
                Err(error @ (HostError::Interrupted | HostError::Unknown(_))) => return Err(error.into()),
                Err(error) => Err(error.to_string()),
            },
            Condition::File(path) => {
                if self.exists(path)? {
                    Ok(())
                } else {
                    Err("does not exist".to_owned())
                }
            }
            Condition::Command(argv) => {
                let output = self.probe(argv, &Exec { timeout: super::PROBE_TIMEOUT, ..Exec::default() })?;
                if output.ok() { Ok(()) } else { Err(format!("exit status {}\n{}", output.code, output.tail(5))) }
            }
            Condition::Unit(name) => match self.one(Op::Units { names: vec![unit_name(name)?] })? {
                OpValue::Units(states) => match states.first() {
                    Some(state) if state.active == "active" => Ok(()),
                    Some(state) => Err(format!("{} ({})", state.active, state.sub)),
                    None => Err("does not exist".to_owned()),
                },
                _ => return Err(self.broken("another answer than asked for about a unit")),
            },
        })
    }
}
