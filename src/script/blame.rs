//! From rhai's errors to ours: what went wrong in words of this project, where, and how the script got there.

use std::sync::Arc;

use rhai::{EvalAltResult, ParseErrorType, Position};

use super::check::Vocabulary;
use super::engine::LIMITS;
use super::error::{Ended, ScriptError, Thrown};
use super::place::span;
use super::text::lower_first;
use super::trace;
use crate::event::Failure;
use crate::finding::{Place, Source};

/// What the error of a run is explained with.
pub(crate) struct Scene<'a> {
    /// The file in which the run began.
    pub source: &'a Arc<Source>,
    /// A file by its path.
    pub file: &'a dyn Fn(&str) -> Option<Arc<Source>>,
    /// Where the function stands that was called: the place of an error that has lost its own.
    pub entry: Position,
    /// File and place of the last call into this program.
    pub last_call: Option<(String, Position)>,
    /// Takes secrets out of a text.
    pub mask: &'a dyn Fn(&str) -> String,
}

/// How a run ended that did not come to its end.
pub(crate) enum End {
    /// `skip(reason)`.
    Skipped(String),
    /// Anything else.
    Error(ScriptError),
}

struct Frame {
    path: String,
    at: Position,
    note: String,
}

/// Explains why a run did not come to its end.
pub(crate) fn explain(error: Box<EvalAltResult>, scene: &Scene) -> End {
    let mut path = scene.source.path.clone();
    let mut frames: Vec<Frame> = Vec::new();
    let mut next = error;
    let error = loop {
        next = match *next {
            EvalAltResult::ErrorInFunctionCall(name, source, inner, at) => {
                // The engine's own call of the entry has no place.
                if !at.is_none() {
                    frames.push(Frame { path: path.clone(), at, note: shown_function(&name) });
                }
                if !source.is_empty() {
                    path = source;
                }
                inner
            }
            EvalAltResult::ErrorInModule(name, inner, at) => {
                frames.push(Frame { path: path.clone(), at, note: format!("in module `{name}`") });
                inner
            }
            other => break other,
        };
    };
    let mut at = error.position();
    if at.is_none()
        && let Some((file, last)) = &scene.last_call
    {
        at = *last;
        if !file.is_empty() {
            path.clone_from(file);
        }
    }
    if at.is_none() {
        (path, at) = match frames.last() {
            Some(frame) => (frame.path.clone(), frame.at),
            None => (scene.source.path.clone(), scene.entry),
        };
    }
    let thrown = match error {
        EvalAltResult::ErrorTerminated(token, _) => match token.try_cast::<Ended>() {
            Some(Ended::Skipped(reason)) => return End::Skipped(reason),
            Some(Ended::Interrupted) | None => return End::Error(ScriptError::Interrupted),
            Some(Ended::Unknown(what)) => {
                let line = at.line().unwrap_or(0);
                return End::Error(ScriptError::Unknown { place: format!("{path}:{line}"), what: (scene.mask)(&what) });
            }
            Some(Ended::Lost(thrown)) => *thrown,
        },
        EvalAltResult::ErrorRuntime(token, _) => match token.clone().try_cast::<Thrown>() {
            Some(thrown) => thrown,
            None => Thrown::new("throw", token.to_string()),
        },
        other => of_language(other),
    };
    let place = (scene.file)(&path).map(|source| Place { span: span(&source, at), source });
    let mut thrown = thrown;
    // Where it was ended is not known of what the language itself ends, but where there are loops is.
    if [ENDLESS, LIMITS].map(Some).contains(&thrown.hint.as_deref())
        && let Some(loops) = place.as_ref().and_then(|place| loops(&place.source))
    {
        thrown.hint = thrown.hint.map(|hint| format!("{hint} ({loops})"));
    }
    let notes: Vec<String> = frames
        .iter()
        .rev()
        .map(|frame| {
            let (line, column) = (frame.at.line().unwrap_or(0), frame.at.position().unwrap_or(0));
            format!("{}, called at {}:{line}:{column}", frame.note, frame.path)
        })
        .collect();
    let mask = |text: String| (scene.mask)(&text);
    End::Error(ScriptError::Failed(Box::new(Failure {
        message: mask(thrown.message),
        command: thrown.command.map(mask),
        output: thrown.output.map(mask),
        trace: place.filter(|_| !at.is_none()).map(|place| mask(trace::draw(&place, &notes))),
        hint: thrown.hint.map(mask),
    })))
}

const ENDLESS: &str = "is there a loop that never ends?";

/// The lines of a file in which loops begin.
fn loops(source: &Source) -> Option<String> {
    let is_loop = |word: &&str| ["loop", "while", "for", "do", "retry"].contains(word);
    let words = |line: &str| line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| is_loop(&word));
    let code = |line: &str| words(line.split("//").next().unwrap_or_default());
    let lines: Vec<String> =
        source.text.lines().zip(1..).filter(|(line, _)| code(line)).map(|(_, number)| number.to_string()).collect();
    match lines.as_slice() {
        [] => None,
        [one] => Some(format!("a loop is in line {one}")),
        [rest @ .., last] => Some(format!("loops are in lines {} and {last}", rest.join(", "))),
    }
}

/// What grew, from rhai's word for it.
fn data_word(what: &str) -> &'static str {
    match what {
        what if what.contains("string") => "a text",
        what if what.contains("map") => "a map",
        what if what.contains("array") => "a list",
        _ => "a value",
    }
}

fn shown_function(name: &str) -> String {
    if name.starts_with("anon$") { "in a closure".to_owned() } else { format!("in `{name}`") }
}

/// What the language itself complains about.
fn of_language(mut error: EvalAltResult) -> Thrown {
    let new = |message: String| Thrown::new("script", message);
    match &error {
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            let name = signature.split([' ', '(']).next().unwrap_or_default();
            let thrown = new(format!("`{name}` cannot be called like this: {}", readable_types(signature)));
            let vocabulary = Vocabulary::of_runs();
            match vocabulary.function(name).or_else(|| vocabulary.anywhere(name).first().copied()) {
                Some(verb) => thrown.hint(format!("it is called like this: `{}`", verb.shown())),
                None => thrown,
            }
        }
        EvalAltResult::ErrorMismatchDataType(wanted, found, _) if !wanted.is_empty() => {
            new(format!("expected a {}, got a {}", type_word(wanted), type_word(found)))
        }
        EvalAltResult::ErrorMismatchDataType(_, found, _) => new(format!("a {} does not fit here", type_word(found))),
        EvalAltResult::ErrorPropertyNotFound(name, _) => new(format!("the map has no `{name}`"))
            .hint(format!("ask with `\"{name}\" in map`, or `map.get(\"{name}\") ?? fallback`")),
        EvalAltResult::ErrorIndexNotFound(name, _) => new(format!("the map has no `{name}`")),
        EvalAltResult::ErrorModuleNotFound(path, _) => new(format!("there is no module `{path}`"))
            .hint("modules are imported from `lib/` in the folder of the features"),
        EvalAltResult::ErrorTooManyOperations(_) => {
            new("the script ran through 5 million operations".to_owned()).hint(ENDLESS)
        }
        EvalAltResult::ErrorStackOverflow(_) => new("functions call each other more than 32 levels deep".to_owned())
            .hint("is there a function that calls itself without end?"),
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            new(format!("{} grew beyond its limit", data_word(what))).hint(LIMITS)
        }
        EvalAltResult::ErrorParsing(ParseErrorType::Reserved(name), _) => {
            new(format!("`{name}` is a reserved word: no function is called so"))
        }
        EvalAltResult::ErrorTooManyModules(_) => new("more than 50 modules".to_owned()),
        EvalAltResult::ErrorTooManyVariables(_) => new("more than 2000 variables".to_owned()),
        EvalAltResult::ErrorDataRace(name, _) => {
            new(format!("`{name}` is used by the call and captured by its closure"))
                .hint("hand the closure to a free function instead, such as `retry(5, 2000, || ...)`")
        }
        EvalAltResult::ErrorFor(_) => {
            new("this cannot be gone through".to_owned()).hint("of a map take `map.keys()` or `map.values()`")
        }
        EvalAltResult::ErrorArrayBounds(size, index, _) => {
            new(format!("the list has {size} items, there is no [{index}]"))
        }
        EvalAltResult::ErrorAssignmentToConstant(name, _) => new(format!("`{name}` is a constant")),
        EvalAltResult::ErrorNonPureMethodCallOnConstant(name, _) => new(format!("`{name}` would change a constant"))
            .hint("copy it first: `let copy = ...;`, or use `trimmed`, `replaced`, `lower`, `upper`"),
        _ => {
            error.clear_position();
            new(lower_first(&error.to_string()))
        }
    }
}

/// A signature as rhai prints it, with our words for types.
fn readable_types(signature: &str) -> String {
    match signature.split_once(" (") {
        Some((name, types)) => {
            let types = types.trim_end_matches(')').split(", ").map(type_word).collect::<Vec<_>>().join(", ");
            format!("{name}({types})")
        }
        None => signature.to_owned(),
    }
}

/// A type as authors know it, from rhai's name or a Rust path.
fn type_word(name: &str) -> &str {
    let name = name.trim_start_matches("&mut ").trim_start_matches('&').trim();
    match name.rsplit("::").next().unwrap_or(name) {
        "i64" => "whole number",
        "f64" => "number",
        "string" | "ImmutableString" | "&str" | "str | ImmutableString | String" => "text",
        "array" | "Array" => "list",
        "Fn" => "function",
        "Subject" => "guest",
        "Change" => "change",
        "Ran" => "output",
        "SiteView" => "site",
        "Thrown" => "error",
        other => other,
    }
}
