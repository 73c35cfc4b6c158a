//! `true`, `false`, `echo`, `sleep`, and `sh -c` of one simple command.

use std::time::Duration;

use crate::command::Output;
use crate::sandbox::body::around::Unmodelled;
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

use super::{failure, lines, words};

pub(super) fn yes(_call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    Some(Output::default())
}

pub(super) fn no(_call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    Some(Output::failure(1, ""))
}

pub(super) fn echo(call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    match words(call)[..] {
        ["-n", ref rest @ ..] => Some(Output::success(rest.join(" "))),
        ["-e" | "-E", ..] => None,
        ref all => Some(lines([all.join(" ")])),
    }
}

pub(super) fn sleep(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let [seconds] = words(call)[..] else { return None };
    let seconds = Duration::try_from_secs_f64(seconds.trim_end_matches('s').parse().ok()?).ok()?;
    *within.took += seconds;
    Some(Output::default())
}

/// `sh -c LINE`, where the line is one simple command. A shell is not emulated: any other line is refused.
pub(super) fn sh(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let ["-c" | "-ec" | "-euc", line] = words(call)[..] else { return None };
    match simple_command(line) {
        Some(argv) => within.run(&ProgramCall { argv, ..call.clone() }),
        // A rehearsal does not know; everybody else is told what to do about it.
        None if within.around.unmodelled == Unmodelled::Unknown => None,
        None => Some(failure(
            2,
            format!(
                "sh: `{line}` is more than one simple command: the sandbox has no shell, model it in a .model.rhai file"
            ),
        )),
    }
}

/// The words of a line that a shell would run as one command, without any expansion.
fn simple_command(line: &str) -> Option<Vec<String>> {
    let mut quote = None;
    let mut escaped = false;
    for c in line.chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None | Some('"'), '$' | '`') => return None,
            (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '{' | '}' | '*' | '?' | '[' | '~' | '#' | '\n') => {
                return None;
            }
            _ => {}
        }
    }
    let argv = shlex::split(line)?;
    let first = argv.first()?;
    const KEYWORDS: [&str; 14] =
        ["if", "for", "while", "until", "case", "exec", "exit", "cd", "set", "export", "!", "eval", "trap", "."];
    (!first.contains('=') && !KEYWORDS.contains(&first.as_str())).then_some(argv)
}
