//! `exec` and `probe`: programs inside the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::LAST_LINES;
use super::watch::Watch;
use super::{Change, Machine, MachineError, change::difference, file::sha256, path};
use crate::command::{Effect, Output};
use crate::event::Event;
use crate::op::{self, Op, OpErrorKind, OpValue};
use crate::secret::Sealed;

/// Limit of a program if none is given.
pub const EXEC_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Limit of a probe if none is given.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// How a program runs, and when it need not.
#[derive(Clone, Debug)]
pub struct Exec {
    /// Additional environment.
    pub env: BTreeMap<String, Sealed>,
    /// Working directory; absent: `/`.
    pub cwd: Option<String>,
    /// Standard input.
    pub stdin: Option<Sealed>,
    /// User it runs as; absent: root.
    pub user: Option<String>,
    /// Limit.
    pub timeout: Duration,
    /// Whether another exit status than 0 is an error.
    pub check: bool,
    /// Not run while this path exists.
    pub creates: Option<String>,
    /// Not run if this program (argv) succeeds.
    pub unless: Vec<String>,
    /// Run only if this program (argv) succeeds.
    pub only_if: Vec<String>,
    /// Run only if these files or directories differ from those of its last success.
    pub watch: Vec<String>,
}

impl Default for Exec {
    fn default() -> Exec {
        Exec {
            env: BTreeMap::new(),
            cwd: None,
            stdin: None,
            user: None,
            timeout: EXEC_TIMEOUT,
            check: true,
            creates: None,
            unless: Vec::new(),
            only_if: Vec::new(),
            watch: Vec::new(),
        }
    }
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// A guard said that it need not run.
    NotNeeded,
    /// It ran.
    Output(Output),
    /// A rehearsal cannot know what it would answer.
    Unknown,
}

/// A program that was asked for with guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Counts as a change when it ran.
    pub change: Change,
    /// Its answer.
    pub ran: Ran,
}

/// A shell line as argv.
pub fn shell(line: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()]
}

impl Machine {
    /// Runs a program unless a guard says that it need not run.
    ///
    /// # Errors
    /// When it fails (unless `check` is off), cannot be started or runs into its limit.
    pub fn exec(&self, argv: &[String], options: &Exec) -> Result<Execution, MachineError> {
        let exec = spec(argv, options, Effect::Change)?;
        let shown = shown(argv);
        let what = format!("exec {shown}");
        let watch = match options.watch.as_slice() {
            [] => None,
            paths => Some(self.watch(&watch_name(argv, options), paths)?),
        };
        if !self.needed(options, watch.as_ref())? {
            return Ok(Execution { change: Change::none(what), ran: Ran::NotNeeded });
        }
        let answer = self.one(Op::Exec(exec));
        self.forget_facts();
        let ran = match answer {
            Ok(OpValue::Output(output)) if output.assumed => {
                self.assumed(argv);
                Ran::Output(output)
            }
            Ok(OpValue::Output(output)) if options.check && !output.ok() => return Err(failed(&shown, &output)),
            Ok(OpValue::Output(output)) => Ran::Output(output),
            Ok(_) => return Err(self.broken(format!("another answer than asked for by `{shown}`"))),
            Err(error) if error.is_unknown() => Ran::Unknown,
            Err(error) => return Err(error),
        };
        if let Some(watch) = watch
            && !matches!(&ran, Ran::Output(output) if !output.ok())
        {
            self.keep_watch(&watch)?;
        }
        let change = Change::of(what, vec![difference(shown, None, Some("run".to_owned()))]);
        Ok(Execution { change: self.done(change), ran })
    }

    /// Runs a program that only looks. It is never an error that it fails, is missing (127) or too slow (124).
    ///
    /// # Errors
    /// When the machine does not answer, or a rehearsal cannot know.
    pub fn probe(&self, argv: &[String], options: &Exec) -> Result<Output, MachineError> {
        match self.one(Op::Exec(spec(argv, options, Effect::Read)?)) {
            Ok(OpValue::Output(output)) => {
                if output.assumed {
                    self.assumed(argv);
                }
                Ok(output)
            }
            Ok(_) => Err(self.broken("another answer than asked for by a program")),
            Err(MachineError::Op { source, .. }) if source.kind == OpErrorKind::NotFound => {
                Ok(Output::failure(127, source.message))
            }
            Err(MachineError::Op { source, .. }) if source.kind == OpErrorKind::Timeout => {
                Ok(Output::failure(124, source.message))
            }
            Err(error) => Err(error),
        }
    }

    /// Tells that nobody models a program.
    fn assumed(&self, argv: &[String]) {
        let program = argv.first().cloned().unwrap_or_default();
        self.emit(Event::Assumed { guest: self.report().guest, program });
    }

    pub(super) fn needed(&self, options: &Exec, watch: Option<&Watch>) -> Result<bool, MachineError> {
        if watch.is_some_and(|watch| !watch.differs()) {
            return Ok(false);
        }
        if let Some(creates) = &options.creates
            && self.exists(creates)?
        {
            return Ok(false);
        }
        let guard = |argv: &[String]| {
            let plain = Exec { user: options.user.clone(), cwd: options.cwd.clone(), ..Exec::default() };
            let guard = Exec { env: options.env.clone(), timeout: PROBE_TIMEOUT, ..plain };
            self.probe(argv, &guard).map(|output| output.ok())
        };
        if !options.unless.is_empty() && guard(&options.unless)? {
            return Ok(false);
        }
        Ok(options.only_if.is_empty() || guard(&options.only_if)?)
    }

    /// Runs a program that must succeed.
    pub(super) fn run(&self, exec: &op::Exec) -> Result<Output, MachineError> {
        let shown = shown(&exec.argv);
        match self.one(Op::Exec(exec.clone()))? {
            OpValue::Output(output) if output.ok() => Ok(output),
            OpValue::Output(output) => Err(failed(&shown, &output)),
            _ => Err(self.broken(format!("another answer than asked for by `{shown}`"))),
        }
    }

    /// Runs a program that changes something; how it ends is for the caller to judge.
    pub(super) fn attempt(&self, argv: &[String], timeout: Duration) -> Result<Output, MachineError> {
        let exec = spec(argv, &Exec { timeout, ..Exec::default() }, Effect::Change)?;
        match self.one(Op::Exec(exec))? {
            OpValue::Output(output) => {
                if output.assumed {
                    self.assumed(argv);
                }
                Ok(output)
            }
            _ => Err(self.broken(format!("another answer than asked for by `{}`", shown(argv)))),
        }
    }

    /// Runs one of the system's own tools, which must succeed.
    pub(super) fn tool(&self, argv: &[&str]) -> Result<Output, MachineError> {
        self.tool_within(argv, EXEC_TIMEOUT)
    }

    /// The same with a limit of its own.
    pub(super) fn tool_within(&self, argv: &[&str], timeout: Duration) -> Result<Output, MachineError> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        self.run(&spec(&argv, &Exec { timeout, ..Exec::default() }, Effect::Change)?)
    }
}

pub(super) fn spec(argv: &[String], options: &Exec, effect: Effect) -> Result<op::Exec, MachineError> {
    match argv.first() {
        None => return Err(MachineError::Invalid("a program without a name".to_owned())),
        Some(program) if program.is_empty() => {
            return Err(MachineError::Invalid("a program without a name".to_owned()));
        }
        Some(_) => {}
    }
    Ok(op::Exec {
        argv: argv.to_vec(),
        env: options.env.clone(),
        cwd: options.cwd.as_deref().map(path::absolute).transpose()?,
        stdin: options.stdin.clone(),
        user: options.user.clone(),
        timeout: options.timeout,
        effect,
    })
}

/// A program as one would type it; `sh -c` is left out.
pub(super) fn shown(argv: &[String]) -> String {
    match argv {
        [sh, c, line] if sh == "sh" && c == "-c" => line.clone(),
        _ => shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_default(),
    }
}

/// The same program in the same place is the same watch.
fn watch_name(argv: &[String], options: &Exec) -> String {
    let mut identity = argv.join("\0");
    for part in [&options.cwd, &options.user].into_iter().flatten() {
        identity.push('\n');
        identity.push_str(part);
    }
    format!("exec-{}", &sha256(identity.as_bytes())[..16])
}

pub(super) fn failed(shown: &str, output: &Output) -> MachineError {
    let hint = (output.code == 127).then(|| "the program is not installed: declare its package before".to_owned());
    MachineError::Exec { command: shown.to_owned(), code: output.code, output: output.tail(LAST_LINES), hint }
}
