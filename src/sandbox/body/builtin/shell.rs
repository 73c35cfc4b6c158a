//! `true`, `false`, `echo`, `printf`, `sleep`, and a small `sh`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::shell_line::{Join, Piece, Pipeline, Simple, Target, Word, is_name, parse};
use super::{failure, lines, words};
use crate::command::Output;
use crate::op::{Attributes, Content, Op, OpError, OpErrorKind, OpValue};
use crate::sandbox::body::around::Unmodelled;
use crate::sandbox::body::exec::{Within, absolute};
use crate::sandbox::programs::{Inside, ProgramCall};

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

/// `printf FORMAT [WORD...]` with `%s`, `%d`, `%%` and the usual escapes; the format is used again while words are left.
pub(super) fn printf(call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    let words = words(call);
    let [format, rest @ ..] = &words[..] else { return Some(failure(2, "printf: missing operand")) };
    let mut left = rest.iter();
    let mut text = String::new();
    loop {
        let before = left.len();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => match chars.next() {
                    Some('s') => text.push_str(left.next().unwrap_or(&"")),
                    Some('d') => text.push_str(left.next().unwrap_or(&"0")),
                    Some('%') => text.push('%'),
                    _ => return None,
                },
                '\\' => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('\\') => text.push('\\'),
                    Some('"') => text.push('"'),
                    _ => return None,
                },
                c => text.push(c),
            }
        }
        if left.len() == 0 || left.len() == before {
            return Some(Output::success(text));
        }
    }
}

pub(super) fn sleep(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let [seconds] = words(call)[..] else { return None };
    let seconds = Duration::try_from_secs_f64(seconds.trim_end_matches('s').parse().ok()?).ok()?;
    *within.took += seconds;
    Some(Output::default())
}

/// `sh -c LINE [NAME WORD...]`, `sh` with a script on standard input. A line that is beyond this shell, or that names a
/// program that nobody models, is refused before anything of it runs.
pub(super) fn sh(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let (line, parameters, stdin) = match &words[..] {
        ["-c" | "-ec" | "-euc", line, parameters @ ..] => (*line, parameters, call.stdin.as_str()),
        [] | ["-s"] => (call.stdin.as_str(), &[][..], ""),
        _ => return None,
    };
    let refused = |why: String| Some(failure(2, why));
    let Ok(list) = parse(line) else {
        // A rehearsal does not know; everybody else is told what to do about it.
        return if within.around.unmodelled == Unmodelled::Unknown {
            None
        } else {
            refused(format!("sh: `{line}` is more than the sandbox's shell can do, model it in a .model.rhai file"))
        };
    };
    let one = matches!(&list[..], [Pipeline { negated: false, commands, .. }] if commands.len() == 1);
    let mut shell = Shell {
        call,
        env: call.env.clone(),
        cwd: call.cwd.clone(),
        parameters: if parameters.is_empty() { vec!["sh"] } else { parameters.to_vec() },
        status: 0,
        stdin: stdin.to_owned(),
        output: Output::default(),
        stops: words.first().is_some_and(|word| word.starts_with("-e")),
    };
    if !one && within.around.unmodelled == Unmodelled::Unknown {
        return None;
    }
    if let Some(program) = shell.unmodelled(&list, within) {
        return if one { None } else { refused(format!("sh: nobody models `{program}`: do it in a .model.rhai file")) };
    }
    shell.run(&list, within)?;
    shell.output.code = shell.status;
    Some(shell.output)
}

/// Commands that the shell does itself.
const OWN: [&str; 4] = [":", "cd", "exit", "export"];

/// Programs that read standard input when no file is named.
const READERS: [&str; 8] = ["cat", "grep", "head", "sh", "sort", "tail", "tee", "wc"];

/// A shell at work.
struct Shell<'c> {
    call: &'c ProgramCall,
    env: BTreeMap<String, String>,
    cwd: String,
    parameters: Vec<&'c str>,
    status: i32,
    stdin: String,
    output: Output,
    /// `-e`
    stops: bool,
}

/// What a pipeline leaves behind.
#[derive(PartialEq, Eq)]
enum Next {
    Goes,
    Ends,
}

impl Shell<'_> {
    /// A program of the script that nobody models, if there is one.
    fn unmodelled(&self, list: &[Pipeline], within: &Within) -> Option<String> {
        let commands = list.iter().flat_map(|pipeline| &pipeline.commands);
        let mut programs = commands.filter_map(|simple| match simple.words.first().map(Vec::as_slice) {
            Some([Piece::Text(program)]) => Some(program.clone()),
            _ => None,
        });
        programs.find(|program| !OWN.contains(&program.as_str()) && !within.models(program))
    }

    /// Runs a list; nothing if a program turns out not to be modelled for its arguments.
    fn run(&mut self, list: &[Pipeline], within: &mut Within) -> Option<Next> {
        for pipeline in list {
            let wanted = match pipeline.join {
                Join::Always => true,
                Join::And => self.status == 0,
                Join::Or => self.status != 0,
            };
            if wanted && self.pipeline(pipeline, within)? == Next::Ends {
                return Some(Next::Ends);
            }
            if self.stops && wanted && self.status != 0 {
                return Some(Next::Ends);
            }
        }
        Some(Next::Goes)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, within: &mut Within) -> Option<Next> {
        let mut piped: Option<String> = None;
        let last = pipeline.commands.len().saturating_sub(1);
        for (at, simple) in pipeline.commands.iter().enumerate() {
            let first = piped.is_none();
            let stdin = piped.take().unwrap_or_else(|| self.stdin.clone());
            let argv = self.argv(simple);
            if first && argv.first().is_some_and(|program| READERS.contains(&program.as_str())) {
                self.stdin.clear();
            }
            let (output, next) = self.simple(simple, argv, stdin, within)?;
            self.status = output.code;
            self.output.stderr.extend(output.stderr);
            if at == last {
                self.output.stdout.extend(output.stdout);
            } else {
                piped = Some(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            // In a pipe the shell's own commands are somebody else's.
            if next == Next::Ends && last == 0 {
                return Some(Next::Ends);
            }
        }
        if pipeline.negated {
            self.status = i32::from(self.status == 0);
        }
        Some(Next::Goes)
    }

    /// One command, with its redirections.
    fn simple(
        &mut self,
        simple: &Simple,
        argv: Vec<String>,
        stdin: String,
        within: &mut Within,
    ) -> Option<(Output, Next)> {
        let assigned: Vec<(String, String)> =
            simple.assignments.iter().map(|(name, value)| (name.clone(), self.text(value))).collect();
        let mut stdin = stdin;
        // Files are made before the command runs, and in the order in which they are named.
        for redirection in &simple.redirections {
            let opened = match &redirection.to {
                Target::From(file) => self.read(&self.text(file), within).map(|text| stdin = text),
                Target::Into(file) => self.write(&self.text(file), &[], false, within),
                Target::Onto(file) => self.write(&self.text(file), &[], true, within),
                Target::Stream(_) => Ok(()),
            };
            if let Err(message) = opened {
                return Some((failure(1, format!("sh: {message}")), Next::Goes));
            }
        }
        let mut next = Next::Goes;
        let output = match argv.first().map(String::as_str) {
            None => {
                self.env.extend(assigned);
                Output { code: 0, ..Output::default() }
            }
            Some(":") => Output::default(),
            Some("exit") => {
                next = Next::Ends;
                let code = argv.get(1).and_then(|code| code.parse().ok()).unwrap_or(self.status);
                Output { code, ..Output::default() }
            }
            Some("cd") => {
                let to = argv.get(1).cloned().or_else(|| self.env.get("HOME").cloned()).unwrap_or_default();
                let to = absolute(&self.here(Vec::new(), String::new()), &to);
                if within.body.state.tree.get(&to).is_some_and(|node| node.is_dir()) {
                    self.cwd = to;
                    Output::default()
                } else {
                    failure(2, format!("sh: cd: can't cd to {to}"))
                }
            }
            Some("export") => {
                for word in &argv[1..] {
                    let (name, value) = word.split_once('=').unwrap_or((word, ""));
                    if is_name(name) && word.contains('=') {
                        self.env.insert(name.to_owned(), value.to_owned());
                    }
                }
                Output::default()
            }
            Some(program) => {
                let program = program.to_owned();
                let mut call = self.here(argv, stdin);
                call.env.extend(assigned);
                let answer = within.run(&call)?;
                let missing = answer.code == 127 && within.is_missing(&program);
                if missing { failure(127, format!("sh: {program}: not found")) } else { answer }
            }
        };
        Some((self.redirected(simple, output, within), next))
    }

    /// What is left of an output when its streams have gone where they were sent.
    fn redirected(&self, simple: &Simple, output: Output, within: &mut Within) -> Output {
        enum Sink<'s> {
            Stream(u8),
            File(&'s Word),
        }
        let mut sinks = [Sink::Stream(1), Sink::Stream(2)];
        for redirection in simple.redirections.iter().filter(|redirection| redirection.stream > 0) {
            let at = usize::from(redirection.stream) - 1;
            sinks[at] = match &redirection.to {
                Target::Into(file) | Target::Onto(file) => Sink::File(file),
                Target::Stream(to @ (1 | 2)) => match sinks[usize::from(*to) - 1] {
                    Sink::Stream(stream) => Sink::Stream(stream),
                    Sink::File(file) => Sink::File(file),
                },
                _ => continue,
            };
        }
        let mut left = Output { code: output.code, ..Output::default() };
        for (sink, bytes) in sinks.iter().zip([output.stdout, output.stderr]) {
            match sink {
                Sink::Stream(1) => left.stdout.extend(bytes),
                Sink::Stream(_) => left.stderr.extend(bytes),
                // It was opened before the command ran.
                Sink::File(file) => _ = self.write(&self.text(file), &bytes, true, within),
            }
        }
        left
    }

    fn read(&self, file: &str, within: &mut Within) -> Result<String, String> {
        let path = absolute(&self.here(Vec::new(), String::new()), file);
        match within.perform(&Op::Read { path, limit: u64::MAX }) {
            Ok(OpValue::Bytes(Some(bytes))) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Err(format!("can't open {file}: no such file")),
        }
    }

    fn write(&self, file: &str, bytes: &[u8], append: bool, within: &mut Within) -> Result<(), String> {
        let path = absolute(&self.here(Vec::new(), String::new()), file);
        if path == "/dev/null" {
            return Ok(());
        }
        let there = within.body.state.tree.get(&path).is_some();
        let op = if append && there {
            Op::Append { path, bytes: bytes.to_vec(), sync: false }
        } else {
            let content = Content::Bytes(bytes.to_vec().into());
            Op::Write { path, content, attributes: Attributes::default(), guard: None }
        };
        let failed = |error: OpError| match error.kind {
            OpErrorKind::NotFound => format!("can't create {file}: nonexistent directory"),
            OpErrorKind::IsADirectory => format!("can't create {file}: Is a directory"),
            _ => format!("can't create {file}: {}", error.message),
        };
        within.perform(&op).map(drop).map_err(failed)
    }

    /// A call of a program from here.
    fn here(&self, argv: Vec<String>, stdin: String) -> ProgramCall {
        ProgramCall { argv, env: self.env.clone(), cwd: self.cwd.clone(), stdin, user: self.call.user.clone() }
    }

    fn variable(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            "#" => (self.parameters.len() - 1).to_string(),
            name => match name.parse::<usize>() {
                Ok(at) => self.parameters.get(at).map(|word| (*word).to_owned()).unwrap_or_default(),
                Err(_) => self.env.get(name).cloned().unwrap_or_default(),
            },
        }
    }

    /// A word with its values, in one piece.
    fn text(&self, word: &Word) -> String {
        word.iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable { name, .. } => self.variable(name),
            })
            .collect()
    }

    /// The words of a command: values of unquoted variables fall apart at blanks.
    fn argv(&self, simple: &Simple) -> Vec<String> {
        let mut argv = Vec::new();
        for word in &simple.words {
            let mut open: Option<String> = None;
            for piece in word {
                match piece {
                    Piece::Text(text) => open.get_or_insert_default().push_str(text),
                    Piece::Variable { name, quoted: true } => {
                        open.get_or_insert_default().push_str(&self.variable(name));
                    }
                    Piece::Variable { name, quoted: false } => {
                        let value = self.variable(name);
                        if value.starts_with(char::is_whitespace) {
                            argv.extend(open.take());
                        }
                        let mut fields = value.split_whitespace().peekable();
                        while let Some(field) = fields.next() {
                            open.get_or_insert_default().push_str(field);
                            if fields.peek().is_some() {
                                argv.extend(open.take());
                            }
                        }
                        if value.ends_with(char::is_whitespace) {
                            argv.extend(open.take());
                        }
                    }
                }
            }
            argv.extend(open);
        }
        argv
    }
}
