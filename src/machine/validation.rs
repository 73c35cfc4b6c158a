//! Validated files: a program says whether new content may stay.
//!
//! With `%s` among its arguments the program is given the new file, which lies beside the old one and is moved into place
//! when it is good. Without, it looks at the whole (`nginx -t`): the old file is set aside, the new one takes its place, and
//! the old one comes back when the program fails. What is set aside survives a kill, so the next run asks again.

use std::time::Duration;

use super::file::{File, Found};
use super::{Machine, MachineError};
use crate::command::Effect;
use crate::op::{Exec, Op, Stat};

/// Limit of a validating program.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Stands for the old file where there was none.
const NOTHING: &str = "/dev/null";

/// What was set aside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// The last file known to be good.
    Old,
    /// That there was none.
    Nothing,
}

impl Aside {
    pub(super) fn of(stat: &Stat) -> Aside {
        if stat.target.as_deref() == Some(NOTHING) { Aside::Nothing } else { Aside::Old }
    }
}

/// Whether the program looks at the new file in its place.
pub(super) fn in_place(options: &File) -> bool {
    !options.validate.is_empty() && !options.validate.iter().any(|word| word.contains("%s"))
}

/// Where a new file lies until it is in place.
pub(super) fn beside(path: &str) -> String {
    format!("{path}.phoenix-new")
}

/// Where the old file lies until the new one is known to be good.
pub(super) fn aside(path: &str) -> String {
    format!("{path}.phoenix-old")
}

impl Machine {
    /// Moves the file beside `path` into place if it is good.
    pub(super) fn validated_beside(&self, path: &str, options: &File) -> Result<(), MachineError> {
        let new = beside(path);
        if let Err(error) = self.validate(options, &new) {
            self.one(remove(new))?;
            return Err(error);
        }
        self.one(Op::Move { from: new, to: path.to_owned() })?;
        Ok(())
    }

    /// Moves the file beside `path` into place and back out of it if it is not good.
    pub(super) fn validated_in_place(&self, path: &str, found: &Found, options: &File) -> Result<(), MachineError> {
        let old = aside(path);
        let mut ops = Vec::new();
        let kept = match (found.aside, &found.stat) {
            // Set aside by a run that was cut off: what is in place now was never known to be good.
            (Some(kept), _) => kept,
            (None, Some(_)) => {
                ops.push(Op::Move { from: path.to_owned(), to: old.clone() });
                Aside::Old
            }
            (None, None) => {
                ops.push(Op::Link { path: old.clone(), target: NOTHING.to_owned() });
                Aside::Nothing
            }
        };
        ops.push(Op::Move { from: beside(path), to: path.to_owned() });
        self.all(&ops)?;
        let valid = self.validate(options, path);
        let after = match (&valid, kept) {
            (Ok(()), _) => vec![remove(old)],
            (Err(_), Aside::Old) => vec![Op::Move { from: old, to: path.to_owned() }],
            (Err(_), Aside::Nothing) => vec![remove(path.to_owned()), remove(old)],
        };
        self.all(&after)?;
        valid
    }

    fn validate(&self, options: &File, path: &str) -> Result<(), MachineError> {
        let validation = Exec {
            argv: options.validate.iter().map(|word| word.replace("%s", path)).collect(),
            env: Default::default(),
            cwd: None,
            stdin: None,
            user: None,
            timeout: TIMEOUT,
            effect: Effect::Change,
        };
        match self.run(&validation) {
            // A rehearsal takes new content for good.
            Err(error) if error.is_unknown() => Ok(()),
            answer => answer.map(drop),
        }
    }
}

fn remove(path: String) -> Op {
    Op::Remove { path, recursive: false }
}
