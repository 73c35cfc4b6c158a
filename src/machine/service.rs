//! `service`: a systemd unit running or not, enabled or not, and in step with the files it reads.

use std::time::Duration;

use super::watch::Watch;
use super::{Change, Exec, Machine, MachineError, change::difference, unit::unit_name};
use crate::event::Difference;
use crate::op::{Op, OpValue, UnitAction, UnitState};

/// How long a unit may take to leave `activating`.
const SETTLE: Duration = Duration::from_secs(90);
const EVERY: Duration = Duration::from_millis(500);

/// What a unit shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Running or stopped; absent: whatever it is.
    pub running: Option<bool>,
    /// Started at boot or not; absent: whatever it is.
    pub enabled: Option<bool>,
    /// Files and directories that it reads: when they differ from those of its last start or reload, it is reloaded or
    /// restarted.
    pub watch: Vec<String>,
    /// Whether a reload is enough when watched files differ.
    pub reload: bool,
}

impl Default for Service {
    /// Running and enabled.
    fn default() -> Service {
        Service { running: Some(true), enabled: Some(true), watch: Vec::new(), reload: false }
    }
}

impl Machine {
    /// Brings a unit into its declared state. Watched files count only for a unit that shall run: it is started with them,
    /// or if it runs already, restarted or reloaded.
    ///
    /// # Errors
    /// When there is no such unit, systemd refuses, or it does not stay in the declared state.
    pub fn service(&self, name: &str, options: &Service) -> Result<Change, MachineError> {
        let name = unit_name(name)?;
        let what = format!("service {name}");
        let state = self.unit_state(&name)?;
        let watch = match (options.running, options.watch.as_slice()) {
            (Some(true), [_, ..]) => Some(self.watch(&name, &options.watch)?),
            _ => None,
        };
        if matches!(state.load.as_str(), "not-found" | "masked") {
            return match (options.running, options.enabled) {
                (Some(true), _) | (_, Some(true)) => Err(missing(&name, &state)),
                _ => Ok(Change::none(what)),
            };
        }
        let mut actions = Vec::new();
        let mut differences = Vec::new();
        if let Some((action, difference)) = boot(&name, &state, options.enabled) {
            actions.push(action);
            differences.push(difference);
        }
        if let Some((action, difference)) = run(&name, &state, options, watch.as_ref()) {
            actions.push(action);
            differences.push(difference);
        }
        if !actions.is_empty() {
            let ops: Vec<Op> = actions.iter().map(|action| Op::Unit { name: name.clone(), action: *action }).collect();
            if let Err(error) = self.all(&ops) {
                return Err(self.with_log(&name, error));
            }
            self.settled(&name, options)?;
        }
        if let Some(watch) = watch {
            self.keep_watch(&watch)?;
        }
        Ok(self.done(Change::of(what, differences)))
    }

    fn unit_state(&self, name: &str) -> Result<UnitState, MachineError> {
        match self.one(Op::Units { names: vec![name.to_owned()] })? {
            OpValue::Units(mut states) if states.len() == 1 => Ok(states.remove(0)),
            _ => Err(self.broken(format!("another answer than asked for about unit {name}"))),
        }
    }

    /// Reads back what became of the unit.
    fn settled(&self, name: &str, options: &Service) -> Result<(), MachineError> {
        let deadline = self.host().now() + SETTLE;
        let mut state = self.unit_state(name)?;
        while matches!(state.active.as_str(), "activating" | "deactivating" | "reloading")
            && self.host().now() < deadline
        {
            self.host().sleep(EVERY)?;
            state = self.unit_state(name)?;
        }
        let wanted = match options.running {
            Some(true) if state.active != "active" => "active",
            Some(false) if matches!(state.active.as_str(), "active" | "activating" | "deactivating") => "stopped",
            _ => return Ok(()),
        };
        let unit = name.to_owned();
        Err(MachineError::Unit {
            unit,
            state: format!("{} ({})", state.active, state.sub),
            wanted,
            output: self.log(name),
        })
    }

    /// systemctl's refusal, with the unit's own words.
    fn with_log(&self, name: &str, error: MachineError) -> MachineError {
        if error.is_unknown() || error.is_interrupted() {
            return error;
        }
        match self.unit_state(name) {
            Ok(state) if state.active == "failed" => MachineError::Unit {
                unit: name.to_owned(),
                state: format!("{} ({})", state.active, state.sub),
                wanted: "active",
                output: self.log(name),
            },
            _ => error,
        }
    }

    /// A unit's last log lines, if they can be had.
    fn log(&self, name: &str) -> String {
        let argv = ["journalctl", "-u", name, "-n", "20", "--no-pager", "-o", "cat"].map(str::to_owned);
        let read = self.probe(&argv, &Exec { timeout: super::PROBE_TIMEOUT, ..Exec::default() });
        read.map(|output| output.text().trim_end().to_owned()).unwrap_or_default()
    }
}

fn missing(name: &str, state: &UnitState) -> MachineError {
    MachineError::Conflict {
        what: format!("unit {name}"),
        reason: if state.load == "masked" { "is masked" } else { "does not exist" }.to_owned(),
        hint: Some(match state.load.as_str() {
            "masked" => format!("`systemctl unmask {name}` on the machine, if that is meant"),
            _ => "install its package, or declare it with `unit` before".to_owned(),
        }),
    }
}

fn boot(name: &str, state: &UnitState, wanted: Option<bool>) -> Option<(UnitAction, Difference)> {
    // Units without [Install] (`static`, `generated`, ...) are neither: systemd starts them when something needs them.
    let action = match (wanted?, state.enabled.as_str()) {
        (true, "disabled" | "") => UnitAction::Enable,
        (false, "enabled" | "enabled-runtime") => UnitAction::Disable,
        _ => return None,
    };
    let to = if action == UnitAction::Enable { "enabled" } else { "disabled" };
    let from = if state.enabled.is_empty() { "disabled" } else { &state.enabled };
    Some((action, difference(format!("unit {name} at boot"), Some(from.to_owned()), Some(to.to_owned()))))
}

fn run(name: &str, state: &UnitState, options: &Service, watch: Option<&Watch>) -> Option<(UnitAction, Difference)> {
    let active = matches!(state.active.as_str(), "active" | "reloading" | "activating");
    let stale = watch.filter(|watch| watch.differs());
    let (action, to) = match (options.running?, active) {
        (true, false) => (UnitAction::Start, "active".to_owned()),
        (false, true) => (UnitAction::Stop, "stopped".to_owned()),
        (false, false) => return None,
        (true, true) => {
            let action = if options.reload { UnitAction::Reload } else { UnitAction::Restart };
            let changed = stale?.changed();
            let because = match changed.as_slice() {
                [] => "first seen with these files".to_owned(),
                paths => format!("{} changed", paths.join(", ")),
            };
            (action, format!("{}ed ({because})", action.word()))
        }
    };
    Some((action, difference(format!("unit {name}"), Some(state.active.clone()), Some(to))))
}
