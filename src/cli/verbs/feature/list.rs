//! `phoenix feature list`: which features and apps there are, and where each came from.

use anyhow::Result;
use serde_json::json;

use super::{all, word};
use crate::cli::{Exit, Globals, failure, session};
use crate::model::ScriptSpec;
use crate::ui;

/// Lists them.
///
/// # Errors
/// None of its own; findings are printed.
pub fn run(globals: &Globals) -> Result<Exit> {
    let (library, findings) = session::library(globals);
    let catalogue = library.catalogue();
    if globals.json {
        ui::print::document(&json!({ "scripts": all(catalogue).collect::<Vec<_>>() }));
    } else {
        let row = |spec: &ScriptSpec| {
            vec![spec.name.clone(), word(spec.kind).to_owned(), spec.summary.clone(), spec.path.clone()]
        };
        let rows: Vec<Vec<String>> = all(catalogue).map(row).collect();
        ui::print::result(&ui::table::render(&["NAME", "KIND", "SUMMARY", "FROM"], &rows));
        failure::print_findings(&findings, false);
    }
    Ok(if findings.is_empty() { Exit::Fine } else { Exit::Invalid })
}
