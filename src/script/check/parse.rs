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
        ParseErrorType::BadInput(rhai::LexError::ImproperSymbol(symbol, _)) if symbol == "=" => {
            ("`=` assigns, and here something is compared".to_owned(), Some("write `==`".to_owned()))
        }
        ParseErrorType::BadInput(rhai::LexError::UnexpectedInput(word)) if word == "try" => {
            ("`try` is a statement and has no value".to_owned(), Some("assign inside of it".to_owned()))
        }
        ParseErrorType::DuplicatedProperty(name) => (format!("`{name}` is in this map already"), None),
        ParseErrorType::FnDuplicatedDefinition(name, _) => {
            (format!("a function `{name}` with as many parameters is there already"), None)
        }
        ParseErrorType::AssignmentToConstant(name) => {
            (format!("`{name}` is a constant"), Some(format!("declare it with `let {name} = ...`")))
        }
        ParseErrorType::ExprTooDeep => (
            "this is nested too deeply".to_owned(),
            Some(
                "move parts into variables and functions; instead of many `+` join a list: `[...].join(\"\")`"
                    .to_owned(),
            ),
        ),
        ParseErrorType::Reserved(word) if follows_dot(source, at) => (
            format!("`{word}` is a reserved word and no method"),
            did_you_mean(word, Vocabulary::of_runs().member_names()).map(|near| format!("did you mean `{near}`?")),
        ),
        ParseErrorType::Reserved(word)
            if ["null", "nil", "void"].contains(&word.as_str()) && !is_key(source, at, word) =>
        {
            (format!("`{word}` is a reserved word"), Some("nothing is written `()`".to_owned()))
        }
        ParseErrorType::Reserved(word) if source.text[span(source, at).end..].starts_with('(') => {
            (format!("`{word}` is a reserved word"), Some("give the function another name".to_owned()))
        }
        ParseErrorType::Reserved(word) => (
            format!("`{word}` is a reserved word"),
            Some(format!("as a key of a map write it in quotes: `\"{word}\": ...`, and read it by `map[\"{word}\"]`")),
        ),
        ParseErrorType::TooManyFunctions => {
            ("more than 500 functions".to_owned(), Some("move some into modules: `lib/NAME.rhai`".to_owned()))
        }
        ParseErrorType::UnexpectedEOF => ("the file ends in the middle".to_owned(), None),
        // A character that nobody sees is shown by its name.
        other => {
            let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
            (lower_first(&other.to_string().chars().map(shown).collect::<String>()), None)
        }
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

fn is_key(source: &Source, at: Position, word: &str) -> bool {
    source.text[span(source, at).start..].trim_start_matches(word).trim_start().starts_with(':')
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
    if let Some(near) = did_you_mean(name, declared(source, name)) {
        return Some(format!("did you mean `{near}`?"));
    }
    let near = did_you_mean(name, constants.iter().copied())?;
    Some(format!("did you mean `global::{near}`?"))
}

/// Words that begin a statement: a name that is one with a slip in it is no variable.
const WORDS: [&str; 8] = ["return", "let", "if", "else", "for", "while", "break", "continue"];

/// Names that are declared somewhere in the file, and words that begin statements.
fn declared<'s>(source: &'s Source, except: &'s str) -> impl Iterator<Item = &'s str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after_let = source.text.split("let ").skip(1);
    let after_for = source.text.split("for ").skip(1);
    let names = after_let.chain(after_for).filter_map(move |rest| rest.split(|c: char| !is_word(c)).next());
    let params = source.text.split("fn ").skip(1).filter_map(|rest| {
        let (_, params) = rest.split_once('(')?;
        Some(params.split_once(')')?.0.split(',').map(str::trim))
    });
    names.chain(params.flatten()).chain(WORDS).filter(move |name| !name.is_empty() && *name != except)
}
