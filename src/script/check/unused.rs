//! What a file holds and does not use; what it names and nobody has.

use std::collections::BTreeSet;

use rhai::Position;

use super::structure::ENTRIES;
use super::visit::{Checker, Role};
use crate::finding::did_you_mean;
use crate::model::{ScriptKind, ScriptSpec};
use crate::script::harness::TABLES;
use crate::script::metadata;
use crate::script::models;
use crate::script::run::Entry;
use crate::script::syntax::Expr;

/// Functions that nobody calls.
pub(super) fn functions(checker: &mut Checker) {
    let syntax = &checker.script.syntax;
    for function in &syntax.functions {
        let name = function.name.as_str();
        let from_outside = match checker.role {
            Role::Script => ENTRIES.iter().any(|entry| entry.function() == name),
            Role::Module => !function.private || function.typed,
            Role::Model => models::ENTRIES.contains(&name),
            Role::Test => name.starts_with("test_"),
        };
        let called = checker.seen.calls.iter().any(|(from, to)| to == name && from != to);
        if from_outside || called || checker.script.source.text.contains(&format!("Fn(\"{name}\")")) {
            continue;
        }
        let near = match checker.role {
            Role::Script => did_you_mean(name, ENTRIES.map(Entry::function)).map(str::to_owned),
            Role::Model => did_you_mean(name, models::ENTRIES).map(str::to_owned),
            Role::Test => name
                .split_once('_')
                .filter(|(word, _)| did_you_mean(word, ["test"]).is_some())
                .map(|(_, rest)| format!("test_{rest}")),
            Role::Module => None,
        };
        let hint = near.filter(|near| !syntax.defines(near)).map(|near| format!("did you mean `{near}`?"));
        checker.warning("unused-function", function.at, format!("`{name}` is never called"), hint);
    }
}

/// Modules and constants that nobody uses.
pub(super) fn names(checker: &mut Checker) {
    let syntax = &checker.script.syntax;
    for import in syntax.imports.iter().filter(|import| !import.alias.is_empty()) {
        let module = import.path.as_deref().and_then(|path| checker.library.module(path));
        // Methods of its own for a type come without a name; and what is not there was complained about.
        let silent = module.is_none_or(|module| module.syntax.functions.iter().any(|function| function.typed));
        if !silent && !checker.seen.modules.contains(&import.alias) {
            let problem = format!("the module `{}` is never used", import.alias);
            checker.warning("unused-import", import.alias_at, problem, None);
        }
    }
    let read_from_outside: &[&str] = match checker.role {
        Role::Script => &["FEATURE", "APP"],
        Role::Module => &[],
        Role::Model => &["MODEL"],
        Role::Test => &["PARAMS", "GUEST", "REAL", TABLES],
    };
    let mut used = checker.seen.constants.clone();
    for constant in &syntax.constants {
        constant.value.walk(&mut |node| {
            if let crate::script::syntax::Node::Expr(Expr::Variable { module: None, name, .. }) = node {
                used.insert(name.clone());
            }
        });
    }
    for constant in &syntax.constants {
        let name = constant.name.as_str();
        if !constant.exported && !used.contains(name) && !read_from_outside.contains(&name) {
            let near = did_you_mean(name, read_from_outside.iter().copied());
            if near.is_some() && matches!(checker.role, Role::Script | Role::Model) {
                // Missing metadata was complained about.
                continue;
            }
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            checker.warning("unused-constant", constant.at, format!("the constant `{name}` is never read"), hint);
        }
    }
}

/// What a script declares against what it uses, and against what there is.
pub(super) fn declarations(checker: &mut Checker, kind: ScriptKind) {
    let Some(spec) = checker.spec else { return };
    let constant = checker.script.syntax.constants.iter().find(|constant| constant.name == metadata::constant(kind));
    let Some(constant) = constant else { return };
    if !checker.seen.params_escape {
        let unread: Vec<&String> = spec.params.keys().filter(|name| !checker.seen.params.contains(*name)).collect();
        for name in unread {
            let at = constant.value.key(&["params", name]).unwrap_or(constant.at);
            checker.warning("unused-parameter", at, format!("the parameter `{name}` is never read"), None);
        }
    }
    if !checker.seen.artifacts_escape {
        let unused = |declared: &[String], used: &BTreeSet<String>| -> Vec<String> {
            declared.iter().filter(|name| !used.contains(*name)).cloned().collect()
        };
        for name in unused(&spec.consumes, &checker.seen.consumed) {
            let at = constant.value.item("consumes", &name).unwrap_or(constant.at);
            checker.warning("unused-artifact", at, format!("the artifact `{name}` is never read"), None);
        }
        for name in unused(&spec.publishes, &checker.seen.published) {
            let at = constant.value.item("publishes", &name).unwrap_or(constant.at);
            checker.warning("unused-artifact", at, format!("the artifact `{name}` is never published"), None);
        }
    }
    consumed(checker, spec, &constant.value, constant.at);
    needed(checker, spec, &constant.value, constant.at);
}

/// Artifacts that nobody publishes.
fn consumed(checker: &mut Checker, spec: &ScriptSpec, declared: &Expr, at: Position) {
    let catalogue = checker.library.catalogue();
    let published: BTreeSet<&str> = catalogue
        .features
        .values()
        .chain(catalogue.apps.values())
        .flat_map(|spec| spec.publishes.iter().map(String::as_str))
        .collect();
    for name in spec.consumes.iter().filter(|name| !published.contains(name.as_str())) {
        let hint = did_you_mean(name, published.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let at = declared.item("consumes", name).unwrap_or(at);
        checker.warning("unknown-artifact", at, format!("no feature and no app publishes `{name}`"), hint);
    }
}

/// Features that are not there, or that run against other machines.
fn needed(checker: &mut Checker, spec: &ScriptSpec, declared: &Expr, at: Position) {
    let features = &checker.library.catalogue().features;
    for (word, names) in [("needs", &spec.needs), ("after", &spec.after)] {
        for name in names {
            let at = declared.item(word, name).unwrap_or(at);
            if *name == spec.name && spec.kind == ScriptKind::Feature {
                checker.error("needs", at, format!("`{name}` cannot come before itself"), None);
            } else if let Some(other) = features.get(name) {
                if word == "needs" && !spec.targets.iter().any(|target| other.targets.contains(target)) {
                    let problem = format!("`{name}` is for other machines than `{}`", spec.name);
                    checker.error("needs", at, problem, Some("compare their `targets`".to_owned()));
                }
            } else if !checker.library.contains(ScriptKind::Feature, name) {
                let hint = match checker.library.contains(ScriptKind::App, name) {
                    true => Some("that is an app, and `needs` and `after` name features".to_owned()),
                    false => did_you_mean(name, features.keys().map(String::as_str))
                        .map(|near| format!("did you mean `{near}`?")),
                };
                let problem = format!("there is no feature `{name}`");
                match word {
                    "needs" => checker.error("unknown-feature", at, problem, hint),
                    _ => checker.warning("unknown-feature", at, problem, hint),
                }
            }
        }
    }
}
