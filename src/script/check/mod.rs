//! What can be said about a script without running it. Every finding has a place and, where possible, a way out.

mod parse;

pub(crate) use parse::{PARSE, parse_finding};

use crate::finding::Finding;
use crate::model::ScriptKind;

use super::Library;
use super::library::Script;

/// Checks a feature or an app.
pub(crate) fn script(_library: &Library, _kind: ScriptKind, _name: &str, _script: &Script) -> Vec<Finding> {
    Vec::new()
}

/// Checks a shared module.
pub(crate) fn module(_library: &Library, _script: &Script) -> Vec<Finding> {
    Vec::new()
}
