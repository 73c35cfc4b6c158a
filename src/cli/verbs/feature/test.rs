//! `phoenix feature test`: the tests of scripts, in modelled guests.

use anyhow::Result;
use serde_json::json;

use super::find;
use crate::cli::{Exit, Globals, failure, session};
use crate::finding::Severity;
use crate::{testing, ui};

/// What `phoenix feature test` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names of features and apps
    pub names: Vec<String>,
}

/// Runs them.
///
/// # Errors
/// When there is no such script.
pub fn run(globals: &Globals, Args { names }: &Args) -> Result<Exit> {
    let (library, _) = session::library(globals);
    for name in names {
        find(library.catalogue(), name)?;
    }
    let results = testing::run(&library, names);
    if globals.json {
        let cases: Vec<_> = results
            .cases
            .iter()
            .map(|case| {
                json!({
                    "script": case.script, "kind": case.kind, "case": case.case,
                    "passed": case.failure.is_none(), "failure": case.failure,
                    "seconds": case.elapsed.as_secs_f64(),
                })
            })
            .collect();
        let findings: Vec<_> = results.findings.iter().map(ui::findings::json).collect();
        ui::print::document(&json!({ "cases": cases, "findings": findings }));
    } else {
        failure::print_findings(&results.findings, false);
        ui::print::result(&ui::cases::render(
            &results.cases.iter().map(shown).collect::<Vec<_>>(),
            globals.verbose > 0,
        ));
    }
    let wrong = results.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(match (wrong, results.passed()) {
        (true, _) => Exit::Invalid,
        (false, true) => Exit::Fine,
        (false, false) => Exit::Failed,
    })
}

fn shown(case: &testing::CaseResult) -> ui::cases::Case<'_> {
    ui::cases::Case { script: &case.script, name: &case.case, failure: case.failure.as_ref(), elapsed: case.elapsed }
}
