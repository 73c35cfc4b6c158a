//! What can be said about a script without running it: everything at once, each with its place and, where possible, a
//! way out. The tables of [`super::api`] say what can be called; nothing here repeats them.
//!
//! By convention a parameter called `guest` is the machine, `node` the node and `params` the declared parameters. Types
//! flow through variables, chains, closures and the file's own functions; what is not known is never complained about,
//! unless no type at all knows the name.
//!
//! | file | what |
//! |---|---|
//! | `rules` | every rule by its code |
//! | `parse` | what the parser refuses |
//! | `visit`, `scope` | statements, variables |
//! | `value`, `text`, `calls`, `standard` | expressions, texts, what a name stands for |
//! | `arguments`, `verbs`, `vocabulary` | calls of our own tables |
//! | `compare`, `flow`, `origin` | results known before, statements for nothing, secrets and shell lines |
//! | `structure`, `unused`, `beside` | rules about a whole script, model or test |

mod arguments;
mod beside;
mod calls;
mod compare;
mod flow;
mod origin;
mod parse;
mod rules;
mod scope;
mod standard;
mod structure;
mod text;
mod unused;
mod value;
mod verbs;
mod visit;
mod vocabulary;

pub(crate) use parse::{PARSE, parse_finding};
pub use rules::{RULES, Rule};
pub(crate) use standard::standard;
pub(crate) use visit::Role;
pub(crate) use vocabulary::Vocabulary;

use crate::finding::Finding;
use crate::model::ScriptKind;

use super::Library;
use super::library::Script;
use visit::Checker;

/// Checks a feature or an app.
pub(crate) fn script(library: &Library, kind: ScriptKind, name: &str, script: &Script) -> Vec<Finding> {
    if !script.parses() {
        return Vec::new();
    }
    let mut checker = Checker::new(library, script, library.catalogue().get(kind, name), Role::Script);
    checker.file();
    structure::script(&mut checker, kind);
    unused::functions(&mut checker);
    unused::names(&mut checker);
    unused::declarations(&mut checker, kind);
    checker.finish()
}

/// Checks a shared module.
pub(crate) fn module(library: &Library, script: &Script) -> Vec<Finding> {
    if !script.parses() {
        return Vec::new();
    }
    let mut checker = Checker::new(library, script, None, Role::Module);
    checker.file();
    unused::functions(&mut checker);
    unused::names(&mut checker);
    checker.finish()
}

/// Checks a program model.
pub(crate) fn model(library: &Library, script: &Script) -> Vec<Finding> {
    let mut findings = script.findings().to_vec();
    if script.parses() {
        let mut checker = Checker::new(library, script, None, Role::Model);
        checker.file();
        beside::model(&mut checker);
        unused::functions(&mut checker);
        unused::names(&mut checker);
        findings.extend(checker.finish());
    }
    findings
}

/// Checks the tests of a script.
pub(crate) fn test(library: &Library, kind: ScriptKind, name: &str, script: &Script) -> Vec<Finding> {
    let mut findings = script.findings().to_vec();
    if script.parses() {
        let mut checker = Checker::new(library, script, library.catalogue().get(kind, name), Role::Test);
        checker.file();
        beside::test(&mut checker);
        unused::functions(&mut checker);
        unused::names(&mut checker);
        findings.extend(checker.finish());
    }
    findings
}
