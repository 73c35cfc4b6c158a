//! Rules about a whole script: its entries, and whether it uses what it declares.

use std::collections::BTreeSet;

use rhai::Position;

use super::visit::Checker;
use crate::finding::did_you_mean;
use crate::model::{ScriptKind, Target};
use crate::script::metadata;
use crate::script::run::Entry;

const ENTRIES: [Entry; 4] = [Entry::Apply, Entry::Health, Entry::Prepare, Entry::Remove];

/// Checks the entries of a script and what it declares against what it uses.
pub(super) fn script(checker: &mut Checker, kind: ScriptKind) {
    entries(checker, kind);
    looking(checker);
    unused_functions(checker);
    unused_declarations(checker, kind);
}

fn signature(entry: Entry, node: bool) -> &'static str {
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
            let wanted = signature(entry, node);
            let names = || function.params.iter().map(String::as_str);
            let expected: Vec<&str> = wanted.split(['(', ')']).nth(1).unwrap_or_default().split(", ").collect();
            if function.params.len() != entry.arity() {
                let problem = format!(
                    "`{}` has {} parameters instead of {}",
                    function.name,
                    function.params.len(),
                    entry.arity()
                );
                checker.error("signature", function.at, problem, Some(format!("write `{wanted}`")));
            } else if names().zip(&expected).any(|(name, expected)| name != *expected && name != format!("_{expected}"))
            {
                let problem = format!("the parameters of `{}` are called otherwise", function.name);
                checker.error("signature", function.at, problem, Some(format!("write `{wanted}`")));
            } else if function.private {
                checker.error("signature", function.at, format!("`{}` must not be private", function.name), None);
            }
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
            None => format!("write `{}`", signature(Entry::Apply, node)),
        };
        checker.error("signature", at, "the script has no `apply`".to_owned(), Some(hint));
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

fn unused_functions(checker: &mut Checker) {
    let syntax = &checker.script.syntax;
    for function in &syntax.functions {
        let entry = ENTRIES.iter().any(|entry| entry.function() == function.name);
        let called = checker.seen.calls.iter().any(|(from, to)| *to == function.name && from != to);
        if !entry && !called && !checker.script.source.text.contains(&format!("Fn(\"{}\")", function.name)) {
            let near = did_you_mean(&function.name, ENTRIES.map(Entry::function));
            let hint = near.filter(|near| !syntax.defines(near)).map(|near| format!("did you mean `{near}`?"));
            checker.warning("unused-function", function.at, format!("`{}` is never called", function.name), hint);
        }
    }
}

fn unused_declarations(checker: &mut Checker, kind: ScriptKind) {
    let Some(spec) = checker.spec else { return };
    let constant = checker.script.syntax.constants.iter().find(|constant| constant.name == metadata::constant(kind));
    let Some(constant) = constant else { return };
    if !checker.seen.params_escape {
        for name in spec.params.keys().filter(|name| !checker.seen.params.contains(*name)).cloned().collect::<Vec<_>>()
        {
            let at = key(&constant.value, &["params", &name]).unwrap_or(constant.at);
            checker.warning("unused-parameter", at, format!("the parameter `{name}` is never read"), None);
        }
    }
    if checker.seen.artifacts_escape {
        return;
    }
    let unused = |word: &str, declared: &[String], used: &BTreeSet<String>| -> Vec<(String, String)> {
        declared.iter().filter(|name| !used.contains(*name)).map(|name| (word.to_owned(), name.clone())).collect()
    };
    let mut found = unused("consumes", &spec.consumes, &checker.seen.consumed);
    found.extend(unused("publishes", &spec.publishes, &checker.seen.published));
    for (word, name) in found {
        let at = key(&constant.value, &[&word]).unwrap_or(constant.at);
        let problem = match word.as_str() {
            "consumes" => format!("the artifact `{name}` is never read"),
            _ => format!("the artifact `{name}` is never published"),
        };
        checker.warning("unused-artifact", at, problem, None);
    }
}

/// Where a key of nested literal maps stands.
fn key(map: &crate::script::syntax::Expr, path: &[&str]) -> Option<Position> {
    let crate::script::syntax::Expr::Map(entries, _) = map else { return None };
    let (first, rest) = path.split_first()?;
    let (_, at, value) = entries.iter().find(|(key, ..)| key == first)?;
    if rest.is_empty() { Some(*at) } else { key(value, rest) }
}
