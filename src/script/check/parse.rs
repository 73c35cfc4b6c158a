//! What rhai's parser refuses, in our form.

use std::sync::Arc;

use rhai::{ParseError, ParseErrorType, Position};

use super::vocabulary::Vocabulary;
use crate::finding::{Finding, Source, did_you_mean};

use crate::script::place::span;
use crate::script::text::lower_first;

/// Code of findings that keep a file from being compiled.
pub(crate) const PARSE: &str = "syntax";

/// The parser's complaint as a finding.
pub(crate) fn parse_finding(source: &Arc<Source>, error: &ParseError) -> Finding {
    let at = error.position();
    let (message, hint) = match error.err_type() {
        ParseErrorType::VariableUndefined(name) => (format!("`{name}` is not defined here"), undefined(source, name)),
        ParseErrorType::ModuleUndefined(name) => (
            format!("no module is imported as `{name}`"),
            Some(format!("import it at the top: `import \"lib/{name}\" as {name};`")),
        ),
        ParseErrorType::Reserved(word) | ParseErrorType::BadInput(rhai::LexError::ImproperSymbol(word, _))
            if word == "eval" =>
        {
            ("`eval` is switched off".to_owned(), None)
        }
        ParseErrorType::Reserved(word) if follows_dot(source, at) => (
            format!("`{word}` is a reserved word and no method"),
            did_you_mean(word, Vocabulary::of_runs().member_names()).map(|near| format!("did you mean `{near}`?")),
        ),
        ParseErrorType::Reserved(word) => (
            format!("`{word}` is a reserved word"),
            Some(format!("as a key of a map write it in quotes: `\"{word}\": ...`, and read it by `map[\"{word}\"]`")),
        ),
        ParseErrorType::UnexpectedEOF => ("the file ends in the middle".to_owned(), None),
        other => (lower_first(&other.to_string()), None),
    };
    // An error at the end of the file has no position.
    let range = if at.is_none() { source.text.len()..source.text.len() } else { span(source, at) };
    let mut finding = Finding::error(PARSE, message).at(source, range);
    finding.hint = hint;
    finding
}

fn follows_dot(source: &Source, at: Position) -> bool {
    source.text[..span(source, at).start].trim_end().ends_with('.')
}

/// A top-level constant is visible in functions as `global::NAME` only.
fn undefined(source: &Source, name: &str) -> Option<String> {
    let constants: Vec<&str> = source
        .text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("const "))
        .filter_map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next())
        .collect();
    if constants.contains(&name) {
        return Some(format!("functions see constants of the file as `global::{name}`"));
    }
    let near = did_you_mean(name, constants.iter().copied())?;
    Some(format!("did you mean `global::{near}`?"))
}
