//! Rules about a whole script: its entries, and whether what may only look only looks.

use std::collections::BTreeSet;

use rhai::Position;

use super::visit::Checker;
use crate::finding::did_you_mean;
use crate::model::{ScriptKind, Target};
use crate::script::metadata;
use crate::script::prepare;
use crate::script::run::Entry;
use crate::script::syntax::{Expr, Function};

/// Functions of a script that are called from outside.
pub(super) const ENTRIES: [Entry; 4] = [Entry::Apply, Entry::Health, Entry::Prepare, Entry::Remove];

/// Checks the entries of a script.
pub(super) fn script(checker: &mut Checker, kind: ScriptKind) {
    entries(checker, kind);
    looking(checker);
    for function in checker.script.syntax.functions.iter().filter(|function| function.name == "prepare") {
        answer_keys(checker, function, &prepare::KEYS);
    }
}

fn wanted(entry: Entry, node: bool) -> &'static str {
    match entry {
        Entry::Apply if node => "fn apply(node, params)",
        Entry::Health if node => "fn health(node, params)",
        Entry::Remove if node => "fn remove(node, params)",
        Entry::Apply => "fn apply(guest, params)",
        Entry::Health => "fn health(guest, params)",
        Entry::Remove => "fn remove(guest, params)",
        Entry::Prepare => "fn prepare(node, guest, params)",
    }
}

fn entries(checker: &mut Checker, kind: ScriptKind) {
    let syntax = &checker.script.syntax;
    let node = checker.spec.is_some_and(|spec| spec.targets == [Target::Node]);
    for entry in ENTRIES {
        for function in syntax.functions.iter().filter(|function| function.name == entry.function()) {
            signature(checker, function, wanted(entry, node));
        }
    }
    if !syntax.defines("apply") {
        let near = syntax.functions.iter().find(|function| did_you_mean(&function.name, ["apply"]).is_some());
        let at = near.map(|function| function.at).or_else(|| {
            syntax
                .constants
                .iter()
                .find(|constant| constant.name == metadata::constant(kind))
                .map(|constant| constant.at)
        });
        let at = at.unwrap_or(Position::new(1, 1));
        let hint = match near {
            Some(function) => format!("did you mean `apply` instead of `{}`?", function.name),
            None => format!("write `{}`", wanted(Entry::Apply, node)),
        };
        checker.error("signature", at, "the script has no `apply`".to_owned(), Some(hint));
    }
}

/// A function that is called from outside: its parameters, in their order and by their names.
pub(super) fn signature(checker: &mut Checker, function: &Function, wanted: &str) {
    let expected: Vec<&str> = wanted.split(['(', ')']).nth(1).unwrap_or_default().split(", ").collect();
    let mut names = function.params.iter().map(String::as_str).zip(&expected);
    let name = &function.name;
    let problem = if function.params.len() != expected.len() {
        let plural = if function.params.len() == 1 { "" } else { "s" };
        format!("`{name}` has {} parameter{plural} instead of {}", function.params.len(), expected.len())
    } else if names.any(|(name, expected)| name != *expected && name != format!("_{expected}")) {
        format!("the parameters of `{name}` are called otherwise")
    } else if function.private {
        let problem = format!("`{name}` must not be private");
        return checker.error("signature", function.at, problem, Some("leave `private` out".to_owned()));
    } else {
        return;
    };
    checker.error("signature", function.at, problem, Some(format!("write `{wanted}`")));
}

/// Maps that a function answers have these keys only.
pub(super) fn answer_keys(checker: &mut Checker, function: &Function, known: &[&str]) {
    for answer in function.answers() {
        let Expr::Map(entries, _) = answer else { continue };
        for (key, at, _) in entries.iter().filter(|(key, ..)| !known.contains(&key.as_str())) {
            let hint = match did_you_mean(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: {}", known.join(", ")),
            };
            checker.error("answer", *at, format!("`{}` cannot answer `{key}`", function.name), Some(hint));
        }
    }
}

/// `health` and `prepare`, and whatever they call, may only look.
fn looking(checker: &mut Checker) {
    for entry in ENTRIES.into_iter().filter(|entry| entry.only_looks()) {
        let mut reached = BTreeSet::from([entry.function().to_owned()]);
        let mut open = vec![entry.function().to_owned()];
        while let Some(caller) = open.pop() {
            for (_, callee) in checker.seen.calls.iter().filter(|(from, _)| *from == caller) {
                if reached.insert(callee.clone()) {
                    open.push(callee.clone());
                }
            }
        }
        let found: Vec<_> =
            checker.seen.changes.iter().filter(|(inside, ..)| reached.contains(inside)).cloned().collect();
        for (inside, verb, at) in found {
            let by = if inside == entry.function() { String::new() } else { format!(" (by way of `{inside}`)") };
            let problem = format!("`{}` may only look, but `{verb}` changes the machine{by}", entry.function());
            let hint = Some("ask with `probe`, `read`, `exists`, `http`, `wait_for`".to_owned());
            checker.error("only-looks", at, problem, hint);
        }
    }
}
