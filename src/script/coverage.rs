//! Which lines of scripts ran.
//!
//! rhai calls back for every statement and every expression that it comes to, through the interface made for
//! debuggers; an engine without a recorder does not pay for it. What could run is read from the syntax tree: the lines
//! on which statements begin. Constants, blocks and imports do nothing of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::Engine;
use rhai::debugger::DebuggerCommand;

use super::ast::first_line;
use super::library::Script;
use super::syntax::{Expr, Node, Stmt, Syntax};
use super::{Library, Models};
use crate::model::ScriptKind;

/// How often lines ran, by the path of their file. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<BTreeMap<String, BTreeMap<usize, u64>>>>);

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Its path, as messages show it.
    pub path: String,
    /// Every line that can run, and how often it was come to.
    pub lines: BTreeMap<usize, u64>,
}

impl Covered {
    /// How many of its lines ran.
    pub fn covered(&self) -> usize {
        self.lines.values().filter(|times| **times > 0).count()
    }

    /// Whole percent of its lines that ran; 100 only if all did.
    pub fn percent(&self) -> usize {
        percent(self.covered(), self.lines.len())
    }

    /// Lines that did not run. Neighbours are one range, with what cannot run between them.
    pub fn missed(&self) -> Vec<RangeInclusive<usize>> {
        let mut missed: Vec<RangeInclusive<usize>> = Vec::new();
        let mut before = false;
        for (line, times) in &self.lines {
            match missed.last_mut().filter(|_| before) {
                Some(range) if *times == 0 => *range = *range.start()..=*line,
                _ if *times == 0 => missed.push(*line..=*line),
                _ => {}
            }
            before = *times == 0;
        }
        missed
    }
}

/// Whole percent; of nothing all is done.
pub fn percent(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(100)
}

impl Recorder {
    /// Records what this engine comes to.
    pub(super) fn watch(&self, engine: &mut Engine) {
        let recorder = self.clone();
        // Deprecated is only its word for "may change"; the version is pinned.
        #[allow(deprecated)]
        engine.register_debugger(
            |_, debugger| debugger,
            move |_, _, node, path, _| {
                if let (Some(path), Some(line)) = (path, first_line(node)) {
                    recorder.ran(path, line);
                }
                Ok(DebuggerCommand::StepInto)
            },
        );
    }

    fn ran(&self, path: &str, line: usize) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.contains_key(path) {
            files.insert(path.to_owned(), BTreeMap::new());
        }
        if let Some(lines) = files.get_mut(path) {
            *lines.entry(line).or_default() += 1;
        }
    }

    /// What ran of these scripts, of the modules that they import and of the models beside them; files in which nothing
    /// can run are left out.
    pub fn report(&self, library: &Library, models: &Models, scripts: &[(ScriptKind, String)]) -> Vec<Covered> {
        let mut files: Vec<&Script> = Vec::new();
        let mut modules = BTreeSet::new();
        for (kind, name) in scripts {
            let Some(script) = library.script(*kind, name) else { continue };
            files.push(script);
            files.extend(models.beside(*kind, name));
            modules.extend(library.imports(script));
        }
        files.extend(modules.iter().filter_map(|path| library.module(path)));
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let covered = files.into_iter().map(|file| {
            let times = recorded.get(&file.source.path);
            let times = |line: &usize| times.and_then(|times| times.get(line)).copied().unwrap_or_default();
            let lines = executable(&file.syntax).into_iter().map(|line| (line, times(&line))).collect();
            Covered { path: file.source.path.clone(), lines }
        });
        let mut covered: Vec<Covered> = covered.filter(|file| !file.lines.is_empty()).collect();
        covered.sort_by(|one, other| one.path.cmp(&other.path));
        covered
    }
}

/// Lines on which a statement begins, or the one expression that an arm of a `switch` is.
fn executable(syntax: &Syntax) -> BTreeSet<usize> {
    let mut lines = BTreeSet::new();
    for statement in syntax.functions.iter().chain(&syntax.closures).flat_map(|function| &function.body) {
        statement.walk(&mut |node| {
            let Node::Stmt(statement) = node else { return };
            match statement {
                Stmt::Block(..) | Stmt::Import(_) | Stmt::Expr(Expr::Block(..)) => {}
                other => lines.extend(other.at().line()),
            }
            if let Stmt::Switch { arms, .. } = statement {
                let plain = arms.iter().filter(|(_, body)| !matches!(body, Expr::Block(..)));
                lines.extend(plain.filter_map(|(_, body)| body.at().line()));
            }
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_neighbours_are_one_range() {
        let lines = [(3, 0), (5, 1), (8, 0), (9, 0), (12, 0), (13, 2), (20, 0)];
        let file = Covered { path: "x".to_owned(), lines: lines.into() };
        assert_eq!(file.missed(), [3..=3, 8..=12, 20..=20]);
        assert_eq!((file.covered(), file.percent()), (2, 28));
    }
}
