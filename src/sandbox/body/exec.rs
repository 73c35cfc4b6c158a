//! Programs: found on the path, run by the built-in ones, by a model, or not known.

use std::time::Duration;

use crate::command::Output;
use crate::op::{Exec, Op, OpError, OpErrorKind, OpResult, OpValue};
use crate::sandbox::double;
use crate::sandbox::programs::{Identity, Inside, ProgramCall};

use super::around::{Around, Unmodelled};
use super::state::State;
use super::tree::Kind;
use super::{Body, builtin};

/// Where programs are looked for, in this order.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A machine from inside, for the time of one program.
pub(super) struct Within<'w, 'a> {
    pub(super) body: &'w mut Body,
    pub(super) around: &'w mut Around<'a>,
    pub(super) took: &'w mut Duration,
    /// The program that runs.
    pub(super) call: Option<&'w ProgramCall>,
}

impl Inside for Within<'_, '_> {
    fn identity(&self) -> Identity {
        self.around.identity.clone()
    }

    fn call(&self) -> Option<&ProgramCall> {
        self.call
    }

    fn perform(&mut self, op: &Op) -> OpResult {
        let user = self.call.map_or("root", |call| &call.user);
        let mine = (user != "root").then(|| self.owned_by(user, op)).flatten();
        self.body.answer(mine.as_ref().unwrap_or(op), self.around, self.took)
    }

    fn double(&mut self, service: &str, verb: &str, options: serde_json::Value) -> Result<serde_json::Value, String> {
        double::act(service, self, verb, &options)
    }
}

impl State {
    /// Whether there is a program at this path: a regular file that may be executed.
    pub(super) fn is_program(&self, path: &str) -> bool {
        self.tree.get(path).is_some_and(|node| matches!(node.kind, Kind::File(_)) && node.meta.mode & 0o111 != 0)
    }

    /// Whether all programs of the machine are one, so that no others can be there.
    pub(super) fn is_busybox(&self) -> bool {
        self.is_program("/bin/busybox")
    }

    /// Where a program lies that is given by name or by path.
    pub(super) fn on_path(&self, program: &str) -> Option<String> {
        if program.contains('/') {
            return self.is_program(program).then(|| program.to_owned());
        }
        PATH.iter().map(|dir| format!("{dir}/{program}")).find(|path| self.is_program(path))
    }
}

impl Body {
    /// Runs a program and waits for it.
    pub(super) fn exec(&mut self, exec: &Exec, around: &mut Around, took: &mut Duration) -> OpResult {
        let Some(program) = exec.argv.first() else {
            return Err(OpError::new(OpErrorKind::Failed, "no program given"));
        };
        let user = exec.user.clone().unwrap_or_else(|| "root".to_owned());
        if self.state.accounts().user(&user).is_none() {
            return Err(OpError::new(OpErrorKind::NoSuchUser, format!("user {user} does not exist")));
        }
        let cwd = exec.cwd.clone().unwrap_or_else(|| "/".to_owned());
        if !self.state.tree.get(&cwd).is_some_and(|node| node.is_dir()) {
            return Err(OpError::new(OpErrorKind::NotFound, format!("{cwd}: No such file or directory")));
        }
        let call = ProgramCall {
            argv: exec.argv.clone(),
            env: exec.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
            cwd,
            stdin: exec.stdin.as_ref().map_or_else(String::new, |stdin| stdin.expose().to_owned()),
            user,
        };
        if let Some(output) = around.programs.instead(&call) {
            return Ok(OpValue::Output(output));
        }
        let began = *took;
        let there = self.state.on_path(program).is_some();
        let modelled = self.is_modelled(call.name(), around);
        // A file is there, but nobody may run it.
        let unusable = program.contains('/') && !there && self.state.tree.get(program).is_some();
        let output = if there || (!modelled && !unusable) { self.run_program(&call, around, took) } else { None };
        if took.saturating_sub(began) > exec.timeout {
            *took = began + exec.timeout;
            let message = format!("`{program}` did not finish within {} s", exec.timeout.as_secs());
            return Err(OpError::new(OpErrorKind::Timeout, message));
        }
        match output {
            Some(output) => Ok(OpValue::Output(output)),
            None if !there && (modelled || unusable) => Ok(OpValue::Output(not_started(program, unusable))),
            None if around.unmodelled == Unmodelled::Unknown => {
                let message = format!("what `{program}` would answer is not known before it runs");
                Err(OpError::new(OpErrorKind::Unknown, message))
            }
            None if around.unmodelled == Unmodelled::Refused => {
                Err(OpError::new(OpErrorKind::Failed, format!("nobody models `{}`", call.argv.join(" "))))
            }
            None => Ok(OpValue::Output(Output { assumed: true, ..Output::default() })),
        }
    }

    /// Whether it is known what a program does, be it only that there is none.
    fn is_modelled(&self, program: &str, around: &Around) -> bool {
        builtin::knows(program) || around.programs.knows(program) || self.state.is_busybox()
    }

    /// Whether there is a program of this name or path.
    pub(in crate::sandbox) fn has_program(&self, program: &str) -> bool {
        self.state.on_path(program).is_some()
    }

    /// What a program answers that is there; none when nobody models it.
    pub(super) fn run_program(
        &mut self,
        call: &ProgramCall,
        around: &mut Around,
        took: &mut Duration,
    ) -> Option<Output> {
        let programs = around.programs;
        let mut within = Within { body: self, around, took, call: Some(call) };
        match programs.run(call, &mut within) {
            Some(output) => Some(output),
            None => builtin::run(call, &mut within),
        }
    }
}

impl Within<'_, '_> {
    /// The Op that makes the same thing a user's own; none where nothing new is made.
    fn owned_by(&self, user: &str, op: &Op) -> Option<Op> {
        let accounts = self.body.state.accounts();
        let gid = accounts.user(user)?.gid.to_string();
        let mut op = op.clone();
        let (Op::Write { path, attributes, .. } | Op::MakeDir { path, attributes }) = &mut op else { return None };
        let new = attributes.owner.is_none() && self.body.state.tree.get(path).is_none();
        (attributes.owner, attributes.group) = (Some(user.to_owned()), attributes.group.take().or(Some(gid)));
        new.then_some(op)
    }

    /// Whether somebody models this program.
    pub(super) fn models(&self, program: &str) -> bool {
        let name = program.rsplit('/').next().unwrap_or(program);
        self.around.programs.stands_in(name) || self.body.is_modelled(name, self.around)
    }

    /// Whether there is no such program here.
    pub(super) fn is_missing(&self, program: &str) -> bool {
        self.body.state.on_path(program).is_none()
    }

    /// Runs another program in the place of this one; none when nobody models it.
    pub(super) fn run(&mut self, call: &ProgramCall) -> Option<Output> {
        if let Some(output) = self.around.programs.instead(call) {
            return Some(output);
        }
        let program = call.argv.first().map_or("", String::as_str);
        if self.is_missing(program) && self.body.is_modelled(call.name(), self.around) {
            return Some(not_started(program, false));
        }
        self.body.run_program(call, self.around, self.took)
    }
}

/// What starting a program says that is not there, or that nobody may run.
fn not_started(program: &str, there: bool) -> Output {
    let (code, reason) = if there { (126, "Permission denied") } else { (127, "No such file or directory") };
    Output::failure(code, format!("timeout: failed to run command ‘{program}’: {reason}\n"))
}

/// A path as a program means it.
pub(super) fn absolute(call: &ProgramCall, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", call.cwd.trim_end_matches('/')) }
}
