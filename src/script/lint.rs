//! Everything that can be said without running: of all files, or of some by name.

use std::collections::BTreeSet;

use super::library::folder;
use super::{Library, Models, check};
use crate::finding::{Finding, did_you_mean};
use crate::model::ScriptKind;

const KINDS: [ScriptKind; 2] = [ScriptKind::Feature, ScriptKind::App];

/// One file that was looked at.
#[derive(Clone, Debug)]
pub struct Linted {
    /// As messages show it.
    pub path: String,
    /// What is wrong with it, in the order of the file.
    pub findings: Vec<Finding>,
}

/// A name that no file has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no feature, app or module `{name}`")]
pub struct UnknownName {
    /// As it was typed.
    pub name: String,
    /// What may have been meant.
    pub near: Option<String>,
}

/// Looks at these features and apps, with their tests, their models and the modules they import, and at these modules
/// (`lib/NAME`); at everything that the library has if none are named.
///
/// # Errors
/// When a name is nobody's.
pub fn lint(library: &Library, names: &[String]) -> Result<Vec<Linted>, UnknownName> {
    let mut modules = BTreeSet::new();
    let mut scripts = BTreeSet::new();
    for name in names {
        let (kinds, stem) = ScriptKind::of_name(name);
        let kinds: Vec<ScriptKind> = kinds.iter().copied().filter(|kind| library.contains(*kind, stem)).collect();
        match library.module(name) {
            Some(_) => _ = modules.insert(name.clone()),
            None if kinds.is_empty() => return Err(unknown(library, name)),
            None => scripts.extend(kinds.into_iter().map(|kind| (kind, stem.to_owned()))),
        }
    }
    if names.is_empty() {
        modules.extend(library.modules().map(|(path, _)| path.to_owned()));
        scripts.extend(library.scripts().map(|(kind, name, _)| (kind, name.to_owned())));
        for kind in KINDS {
            scripts.extend(
                ["test", "model"].iter().flat_map(|what| library.stems_with(kind, what)).map(|name| (kind, name)),
            );
        }
    }
    for (kind, name) in &scripts {
        modules.extend(library.script(*kind, name).map(|script| library.imports(script)).unwrap_or_default());
    }
    let mut files: Vec<Linted> = modules
        .iter()
        .filter_map(|path| library.module(path))
        .map(|module| Linted { path: module.source.path.clone(), findings: library.check_module(module) })
        .collect();
    let models = if scripts.is_empty() { Vec::new() } else { Models::load(library).1 };
    for (kind, name) in &scripts {
        if let Some(script) = library.script(*kind, name) {
            let findings = library.check_script(*kind, name, script);
            files.push(Linted { path: script.source.path.clone(), findings });
        }
        files.extend(test(library, *kind, name));
        files.extend(model(library, *kind, name, &models));
    }
    Ok(files)
}

pub(super) fn test(library: &Library, kind: ScriptKind, name: &str) -> Option<Linted> {
    let script = library.beside(kind, name, "test")?;
    let mut findings = check::test(library, kind, name, &script);
    if !library.contains(kind, name) {
        let problem = format!("these tests are never run: there is no `{}/{name}.rhai`", folder(kind));
        findings.insert(0, Finding::warning("orphan", problem).at(&script.source, 0..0));
    }
    Some(Linted { path: script.source.path.clone(), findings })
}

pub(super) fn model(library: &Library, kind: ScriptKind, name: &str, findings: &[Finding]) -> Option<Linted> {
    let source = library.beside(kind, name, "model")?.source;
    let here = |finding: &&Finding| finding.place.as_ref().is_some_and(|place| place.source.path == source.path);
    let mut findings: Vec<Finding> = findings.iter().filter(here).cloned().collect();
    findings.sort_by_key(|finding| finding.place.as_ref().map(|place| place.span.start));
    Some(Linted { path: source.path.clone(), findings })
}

fn unknown(library: &Library, name: &str) -> UnknownName {
    let scripts = library.scripts().map(|(_, name, _)| name);
    let near = did_you_mean(name, scripts.chain(library.modules().map(|(path, _)| path)));
    UnknownName { name: name.to_owned(), near: near.map(str::to_owned) }
}
