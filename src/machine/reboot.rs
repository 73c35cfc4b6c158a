//! `reboot`: a guest shut down, started again and waited for.

use std::time::Duration;

use super::exec::Exec;
use super::{Change, Machine, MachineError, change::difference};
use crate::host::HostError;
use crate::op::{Op, OpValue, Place};
use crate::pve::tool::Tool;

/// How long a guest may take to go, and how long to come back, if nothing else is said.
pub const REBOOT_TIMEOUT: Duration = Duration::from_secs(300);
/// One script asks for no more restarts than this: what is not right after them does not come right by another.
const MOST: u32 = 3;
/// Between two looks at a guest that comes back.
const EVERY: Duration = Duration::from_millis(500);

/// When a guest is restarted, and how long that may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reboot {
    /// Not restarted if this program (argv) succeeds.
    pub unless: Vec<String>,
    /// Restarted only if this program (argv) succeeds.
    pub only_if: Vec<String>,
    /// Restarted only if these files differ from those of its last restart by a script.
    pub watch: Vec<String>,
    /// How long it may take to go, and how long to come back.
    pub timeout: Duration,
}

impl Default for Reboot {
    fn default() -> Reboot {
        Reboot { unless: Vec::new(), only_if: Vec::new(), watch: Vec::new(), timeout: REBOOT_TIMEOUT }
    }
}

/// What a guest is before it goes, so that it is known when it is back.
struct Before {
    has_address: bool,
    has_route: bool,
}

impl Machine {
    /// Restarts the guest by the node's tools (a virtual machine by its agent) unless a guard says that it need not be,
    /// and waits until init has finished and the network is as it was. What runs after it sees the machine anew.
    ///
    /// # Errors
    /// On the node, which no script restarts; when the guest does not go or come back in time; at the fourth time.
    pub fn reboot(&self, options: &Reboot) -> Result<Change, MachineError> {
        let Place::Guest(id, kind) = self.place() else {
            return Err(MachineError::Invalid("the node is not restarted by a script".to_owned()));
        };
        let guards = Exec { unless: options.unless.clone(), only_if: options.only_if.clone(), ..Exec::default() };
        let watch = match options.watch.as_slice() {
            [] => None,
            paths => Some(self.watch("reboot", paths)?),
        };
        if !self.needed(&guards, watch.as_ref())? {
            return Ok(Change::none("reboot"));
        }
        self.count_reboot()?;
        let before = match self.one(Op::Network)? {
            OpValue::Network { addresses, default_route } => {
                Before { has_address: !addresses.is_empty(), has_route: default_route }
            }
            _ => return Err(self.broken("another answer than asked for about the network")),
        };
        self.host().close_channel(self.place());
        let command = Tool::of(kind, id).reboot(options.timeout);
        let output = self.host().run(&command)?;
        if !output.ok() {
            return Err(super::exec::failed(&command.to_string(), &output));
        }
        self.forget_facts();
        self.returned(&before, options.timeout)?;
        if let Some(watch) = watch {
            self.keep_watch(&watch)?;
        }
        Ok(self.done(Change::of("reboot", vec![difference("the guest", None, Some("restarted".to_owned()))])))
    }

    fn count_reboot(&self) -> Result<(), MachineError> {
        let mut known = self.known();
        if known.reboots == MOST {
            return Err(MachineError::Conflict {
                what: "reboot".to_owned(),
                reason: format!("asked for once more after {MOST} restarts by the same script"),
                hint: Some("its guard still asks for one: what does it look at?".to_owned()),
            });
        }
        known.reboots += 1;
        Ok(())
    }

    /// Waits until the guest is what it was.
    fn returned(&self, before: &Before, limit: Duration) -> Result<(), MachineError> {
        let deadline = self.host().now() + limit;
        let mut told = false;
        loop {
            let last = match self.host().perform(self.place(), &[Op::SystemState, Op::Network]) {
                // A virtual machine is started after the command has returned; its agent comes later still.
                Err(HostError::Unreachable { reason, .. } | HostError::Lost { reason, .. }) => reason,
                Err(error) => return Err(error.into()),
                Ok(answers) => {
                    let [state, network] = answers.as_slice() else {
                        return Err(self.broken("another answer than asked for about a restart"));
                    };
                    match (state, network) {
                        (Ok(OpValue::SystemState(state)), _) if !matches!(state.as_str(), "running" | "degraded") => {
                            format!("init is `{state}`")
                        }
                        (_, Ok(OpValue::Network { addresses, .. })) if before.has_address && addresses.is_empty() => {
                            "it has no address".to_owned()
                        }
                        (_, Ok(OpValue::Network { default_route: false, .. })) if before.has_route => {
                            "it has no default route".to_owned()
                        }
                        (Ok(_), Ok(_)) => return Ok(()),
                        (Err(error), _) | (_, Err(error)) => error.message.clone(),
                    }
                }
            };
            if self.host().now() >= deadline {
                return Err(MachineError::Waited { on: "the guest to come back".to_owned(), after: limit, last });
            }
            if !told {
                self.waiting(&format!("the guest to come back (up to {} s)", limit.as_secs()));
                told = true;
            }
            self.host().sleep(EVERY)?;
        }
    }
}
