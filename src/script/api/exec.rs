//! `exec` and `probe`.

use std::sync::Arc;

use rhai::Dynamic;

use super::signature::{Kind, Parameter, Signature, Type, optional, required};
use super::{Answer, Given, Verb, verb};
use crate::command::Output;
use crate::machine::{self, Change};
use crate::script::context::Run;
use crate::script::error::{Ended, Raised};

const MACHINE: &[Type] = &[Type::Guest, Type::Node];

/// What became of a program.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// Its answer; absent: a rehearsal cannot know.
    output: Option<Output>,
    /// The change that it counts as.
    pub change: Change,
}

impl Ran {
    /// The answer.
    ///
    /// # Errors
    /// Ends a rehearsal that cannot know it.
    pub fn output(&self) -> Result<&Output, Raised> {
        self.output.as_ref().ok_or_else(|| Raised::End(Ended::Unknown(self.change.what.clone())))
    }
}

const COMMAND: Parameter = required("command", Kind::Command, "program and arguments, or a line for the shell");
const CWD: Parameter = optional("cwd", Kind::Path, "working directory; `/` if not given");
const ENV: Parameter = optional("env", Kind::Contents, "additional environment; may hold secrets");
const STDIN: Parameter = optional("stdin", Kind::Content, "standard input; may hold secrets");
const USER: Parameter = optional("user", Kind::Text, "user it runs as; root if not given");
const EXEC_TIMEOUT: Parameter = optional("timeout", Kind::Seconds, "it is ended after that; 10 minutes if not given");
const PROBE_TIMEOUT: Parameter = optional("timeout", Kind::Seconds, "it is ended after that; 1 minute if not given");

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(
        Signature::method(
            MACHINE,
            "exec",
            "Runs a program: every time, unless a guard says when not (`creates`, `unless`, `only_if`, `watch`).",
        )
        .takes(&[COMMAND])
        .options(&[
            CWD,
            ENV,
            STDIN,
            USER,
            EXEC_TIMEOUT,
            optional("check", Kind::Bool, "whether another exit status than 0 is an error; true if not given"),
            optional("creates", Kind::Path, "not run while this path exists"),
            optional("unless", Kind::Command, "not run if this program succeeds"),
            optional("only_if", Kind::Command, "run only if this program succeeds"),
            optional("watch", Kind::Texts, "run only if these files differ from those of its last success"),
        ])
        .returns(Type::Output)
        .changes()
        .errors(&[
            "when it ends with another status than 0, unless `check` is false: the error has its last lines",
            "when it cannot be started",
            "when it takes longer than `timeout`: it is ended",
        ])
        .example(r#"guest.exec(["touch", "/var/lib/initialised"], #{ creates: "/var/lib/initialised" });"#),
        exec,
    ),
    verb(
        Signature::method(
            MACHINE,
            "probe",
            "Runs a program that only looks, in rehearsals too. Its failure is no error: ask for `.ok`.",
        )
        .takes(&[COMMAND])
        .options(&[CWD, ENV, STDIN, USER, PROBE_TIMEOUT])
        .returns(Type::Output)
        .errors(&["when it takes longer than `timeout`", "when the machine does not answer"])
        .example(
            r#"let answer = guest.probe(["systemctl", "is-system-running"]);
if answer.stdout.trimmed() == "maintenance" {
    fail("the guest is in its rescue mode");
}"#,
        ),
        |given| {
            let command = given.command("command")?;
            let timeout = given.maybe_seconds("timeout").unwrap_or(machine::PROBE_TIMEOUT);
            let options = machine::Exec { timeout, ..options(given)? };
            let output = given.run.machine.probe(&command, &options)?;
            Ok(Dynamic::from(Ran { output: Some(output), change: Change::none(command.join(" ")) }))
        },
    ),
];

/// What both have in common.
fn options(given: &Given<Arc<Run>>) -> Result<machine::Exec, Raised> {
    let fallback = machine::Exec::default();
    Ok(machine::Exec {
        env: given.sealed_map("env")?,
        cwd: given.maybe_text("cwd")?,
        stdin: given.maybe_sealed("stdin")?,
        user: given.maybe_text("user")?,
        timeout: given.maybe_seconds("timeout").unwrap_or(fallback.timeout),
        ..fallback
    })
}

fn exec(given: &Given<Arc<Run>>) -> Answer {
    let options = machine::Exec {
        check: given.maybe_bool("check").unwrap_or(true),
        creates: given.maybe_text("creates")?,
        unless: given.command("unless")?,
        only_if: given.command("only_if")?,
        watch: given.texts("watch")?,
        ..options(given)?
    };
    let execution = given.run.machine.exec(&given.command("command")?, &options)?;
    given.run.note(&execution.change);
    let output = match execution.ran {
        machine::Ran::NotNeeded => Some(Output::default()),
        machine::Ran::Output(output) => Some(output),
        machine::Ran::Unknown => None,
    };
    Ok(Dynamic::from(Ran { output, change: execution.change }))
}
