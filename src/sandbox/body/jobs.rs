//! What start, stop, restart and reload do to a unit.
//!
//! Programs of a unit are run where somebody models them; one that is absent makes the start fail as systemd's
//! `203/EXEC` does. Dependencies between units are ignored, except that boot starts what its target wants.

use std::time::Duration;

use crate::command::Output;
use crate::op::{Attributes, Op, OpError, OpResult, OpValue, UnitAction};
use crate::sandbox::programs::ProgramCall;

use super::Body;
use super::around::Around;
use super::state::Power;
use super::unit_file::{Found, Fragment, UnitFile, full_name, instance};
use super::units::failed;

/// Where a modelled machine keeps what failed units said, by unit.
pub(super) const JOURNAL: &str = "/run/log/journal";

/// Time that `systemctl` takes for one job.
const JOB: Duration = Duration::from_millis(300);

impl Body {
    /// Does something to a unit.
    pub(super) fn unit(
        &mut self,
        name: &str,
        action: UnitAction,
        around: &mut Around,
        took: &mut Duration,
    ) -> OpResult {
        *took += JOB;
        match action {
            UnitAction::Enable => self.state.enable_unit(name).map(|_| ()),
            UnitAction::Disable => self.state.disable_unit(name).map(|_| ()),
            UnitAction::Start => self.start_unit(name, around, took),
            UnitAction::Stop => self.stop_unit(name, around, took),
            UnitAction::Restart => self.restart_unit(name, around, took),
            UnitAction::Reload => self.reload_unit(name, around, took),
        }
        .map(|()| OpValue::Done)
    }

    /// Without init nothing can be done with a unit.
    fn needs_init(&self) -> Result<(), OpError> {
        match self.state.power {
            Power::On { .. } => Ok(()),
            Power::Off => Err(failed("System has not been booted with systemd as init system (PID 1). Can't operate.")),
        }
    }

    /// The unit's file, where a job can be done with it.
    fn job(&self, word: &str, asked: &str) -> Result<Fragment, OpError> {
        self.needs_init()?;
        let name = full_name(asked);
        match self.state.find_unit(&name) {
            Found::File(fragment) => Ok(fragment),
            Found::Masked => Err(failed(format!("Failed to {word} {name}: Unit {name} is masked."))),
            Found::Missing => Err(failed(format!("Failed to {word} {name}: Unit {name} not found."))),
        }
    }

    pub(super) fn start_unit(&mut self, asked: &str, around: &mut Around, took: &mut Duration) -> Result<(), OpError> {
        let fragment = self.job("start", asked)?;
        if self.state.is_active(&fragment.name) {
            return Ok(());
        }
        let unit = self.state.settings(&fragment);
        self.bring_up(&fragment.name, &unit, around, took)
    }

    pub(super) fn stop_unit(&mut self, asked: &str, around: &mut Around, took: &mut Duration) -> Result<(), OpError> {
        self.needs_init()?;
        let name = self.state.unit_name(asked);
        match (self.state.is_active(&name), self.state.find_unit(&name)) {
            (false, Found::Missing) => {
                return Err(failed(format!("Failed to stop {name}: Unit {name} not loaded.")));
            }
            (false, _) => return Ok(()),
            (true, Found::File(fragment)) => {
                let unit = self.state.settings(&fragment);
                for line in unit.all("Service", "ExecStop") {
                    // A unit stops even when its stop command fails.
                    let _ = self.run_line(&name, line, &unit, around, took);
                }
            }
            // What runs can be stopped even when its file is gone or masked.
            (true, Found::Missing | Found::Masked) => {}
        }
        self.state.set_inactive(&name);
        Ok(())
    }

    fn restart_unit(&mut self, asked: &str, around: &mut Around, took: &mut Duration) -> Result<(), OpError> {
        let fragment = self.job("restart", asked)?;
        let unit = self.state.settings(&fragment);
        self.state.set_inactive(&fragment.name);
        self.bring_up(&fragment.name, &unit, around, took)
    }

    fn reload_unit(&mut self, asked: &str, around: &mut Around, took: &mut Duration) -> Result<(), OpError> {
        let fragment = self.job("reload", asked)?;
        let name = &fragment.name;
        let unit = self.state.settings(&fragment);
        let lines = unit.all("Service", "ExecReload");
        if lines.is_empty() {
            let said = format!("Job type reload is not applicable for unit {name}.");
            return Err(failed(format!("Failed to reload {name}: {said}")));
        }
        if !self.state.is_active(name) {
            return Err(failed(format!("{name} is not active, cannot reload.")));
        }
        for line in lines {
            if self.run_line(name, line, &unit, around, took).is_err() {
                return Err(job_failed(name));
            }
        }
        Ok(())
    }

    /// Starts an inactive unit with these settings.
    pub(super) fn bring_up(
        &mut self,
        name: &str,
        unit: &UnitFile,
        around: &mut Around,
        took: &mut Duration,
    ) -> Result<(), OpError> {
        if !self.conditions_met(unit) {
            return Ok(());
        }
        let sub = match name.rsplit('.').next() {
            Some("service") => return self.bring_up_service(name, unit, around, took),
            Some("socket") => "listening",
            Some("timer" | "path" | "automount") => "waiting",
            Some("mount") => "mounted",
            _ => "active",
        };
        self.state.set_runtime(name, "active", sub, unit);
        Ok(())
    }

    fn bring_up_service(
        &mut self,
        name: &str,
        unit: &UnitFile,
        around: &mut Around,
        took: &mut Duration,
    ) -> Result<(), OpError> {
        let starts = unit.all("Service", "ExecStart");
        let kind = unit.last("Service", "Type").unwrap_or("simple");
        if starts.is_empty() && kind != "oneshot" {
            let said = format!("Unit {name} has a bad unit file setting.");
            return Err(failed(format!("Failed to start {name}: {said}")));
        }
        let missing_account = self.missing_account(unit);
        let pre = unit.all("Service", "ExecStartPre");
        let mut ran = if missing_account { Err(()) } else { Ok(()) };
        for line in pre {
            ran = ran.and_then(|()| self.run_line(name, line, unit, around, took));
        }
        // systemd has started a simple service before its program is executed: `start` succeeds, the unit fails.
        let early = kind == "simple" && ran.is_ok();
        for line in starts {
            ran = ran.and_then(|()| self.run_line(name, line, unit, around, took));
        }
        match (ran, kind) {
            (Err(()), _) => {
                self.state.set_runtime(name, "failed", "failed", unit);
                if early { Ok(()) } else { Err(job_failed(name)) }
            }
            (Ok(()), "oneshot") if !unit.yes("Service", "RemainAfterExit") => {
                self.state.set_inactive(name);
                Ok(())
            }
            (Ok(()), "oneshot") => {
                self.state.set_runtime(name, "active", "exited", unit);
                Ok(())
            }
            (Ok(()), _) => {
                self.state.set_runtime(name, "active", "running", unit);
                Ok(())
            }
        }
    }

    /// Whether the service is to run as a user or group that does not exist.
    fn missing_account(&self, unit: &UnitFile) -> bool {
        let accounts = self.state.accounts();
        let dynamic = unit.yes("Service", "DynamicUser");
        let user = unit.last("Service", "User").is_some_and(|user| accounts.uid(user).is_none());
        let group = unit.last("Service", "Group").is_some_and(|group| accounts.gid(group).is_none());
        !dynamic && (user || group)
    }

    /// Runs one line of a unit (`ExecStart=`); what nobody models succeeds where its program is there.
    fn run_line(
        &mut self,
        name: &str,
        line: &str,
        unit: &UnitFile,
        around: &mut Around,
        took: &mut Duration,
    ) -> Result<(), ()> {
        let command = line.trim_start_matches(['-', '@', ':', '+', '!', '|']);
        let forgiving = line.starts_with('-');
        let instance = instance(name).map_or("", |(_, instance)| instance);
        let command = command.replace("%i", instance).replace("%I", instance).replace("%n", name).replace("%%", "%");
        let argv = shlex::split(&command).unwrap_or_default();
        let Some(program) = argv.first() else { return Err(()) };
        let there =
            self.state.is_program(program) || (!program.starts_with('/') && self.state.on_path(program).is_some());
        let output = there.then(|| self.run_program(&self.process(unit, argv), around, took));
        match output {
            None => Err(()),
            Some(Some(output)) if !output.ok() && !forgiving => {
                self.journal(name, &output, around, took);
                Err(())
            }
            Some(_) => Ok(()),
        }
    }

    /// What a program of a unit said before it failed, for `journalctl`.
    fn journal(&mut self, name: &str, output: &Output, around: &mut Around, took: &mut Duration) {
        let bytes = [output.stdout.as_slice(), &output.stderr].concat();
        if bytes.is_empty() {
            return;
        }
        let path = format!("{JOURNAL}/{name}");
        let written = [
            Op::MakeDir { path: JOURNAL.to_owned(), attributes: Attributes::default() },
            Op::Append { path, bytes, sync: false },
        ];
        for op in written {
            // A journal that cannot be written keeps no unit from failing.
            let _ = self.answer(&op, around, took);
        }
    }

    /// A program with what a unit gives it: environment, directory, user.
    pub(super) fn process(&self, unit: &UnitFile, argv: Vec<String>) -> ProgramCall {
        let files = unit.all("Service", "EnvironmentFile").into_iter();
        let lines = files.filter_map(|path| self.state.tree.text(path.trim_start_matches('-')));
        let lines = lines.map(|text| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
        let settings = unit.all("Service", "Environment").into_iter().map(str::to_owned).chain(lines);
        let pairs = settings.filter_map(|words| shlex::split(&words)).flatten();
        ProgramCall {
            argv,
            env: pairs.filter_map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect(),
            cwd: unit.last("Service", "WorkingDirectory").unwrap_or("/").to_owned(),
            stdin: String::new(),
            user: unit.last("Service", "User").unwrap_or("root").to_owned(),
        }
    }

    /// Whether every `Condition...=` holds that is about paths; others are taken to hold.
    fn conditions_met(&self, unit: &UnitFile) -> bool {
        unit.starting("Unit", "Condition").all(|(key, value)| {
            let value = value.trim_start_matches('|');
            let (negated, path) = value.strip_prefix('!').map_or((false, value), |path| (true, path));
            let node = self.state.tree.get(path);
            let holds = match key {
                "ConditionPathExists" => node.is_some(),
                "ConditionPathIsDirectory" => node.is_some_and(|node| node.is_dir()),
                "ConditionFileNotEmpty" => self.state.tree.bytes(path).is_some_and(|bytes| !bytes.is_empty()),
                "ConditionFileIsExecutable" => self.state.is_program(path),
                "ConditionDirectoryNotEmpty" => !self.state.tree.names(path).is_empty(),
                _ => return true,
            };
            holds != negated
        })
    }
}

/// systemctl's words when a job ended badly.
fn job_failed(name: &str) -> OpError {
    failed(format!(
        "Job for {name} failed because the control process exited with error code.\n\
         See \"systemctl status {name}\" and \"journalctl -xeu {name}\" for details."
    ))
}
