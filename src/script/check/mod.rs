//! What can be said about a script without running it: everything at once, each with its place and, where possible, a
//! way out. The tables of [`super::api`] say what can be called; nothing here repeats them.
//!
//! By convention a parameter called `guest` is the machine, `node` the node and `params` the declared parameters. Types
//! flow through variables, chains and closures; what is not known is never complained about, unless no type at all
//! knows the name.

mod calls;
mod parse;
mod standard;
mod structure;
mod visit;
mod vocabulary;

pub(crate) use parse::{PARSE, parse_finding};

use crate::finding::Finding;
use crate::model::ScriptKind;

use super::Library;
use super::library::Script;
use visit::Checker;
use vocabulary::Vocabulary;

/// Checks a feature or an app.
pub(crate) fn script(library: &Library, kind: ScriptKind, name: &str, script: &Script) -> Vec<Finding> {
    if !script.parses() {
        return Vec::new();
    }
    let spec = library.catalogue().get(kind, name);
    let mut checker = Checker::new(library, script, spec, Vocabulary::of_runs());
    checker.file();
    structure::script(&mut checker, kind);
    checker.finish()
}

/// Checks a shared module.
pub(crate) fn module(library: &Library, script: &Script) -> Vec<Finding> {
    if !script.parses() {
        return Vec::new();
    }
    let mut checker = Checker::new(library, script, None, Vocabulary::of_runs());
    checker.file();
    checker.finish()
}

/// Checks a program model.
pub(crate) fn model(library: &Library, script: &Script) -> Vec<Finding> {
    beside(library, script, Vocabulary::of_models())
}

/// Checks a test file.
pub(crate) fn test(library: &Library, script: &Script) -> Vec<Finding> {
    beside(library, script, Vocabulary::of_tests())
}

/// Checks a file beside a script.
fn beside(library: &Library, script: &Script, vocabulary: &'static Vocabulary) -> Vec<Finding> {
    let mut findings = script.findings().to_vec();
    if script.parses() {
        let mut checker = Checker::new(library, script, None, vocabulary);
        checker.file();
        findings.extend(checker.finish());
    }
    findings
}
