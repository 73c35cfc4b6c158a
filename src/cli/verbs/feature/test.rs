//! `phoenix feature test`: the tests of scripts, in modelled guests.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{find, real};
use crate::cli::{Exit, Globals, failure, session};
use crate::finding::Severity;
use crate::script::{Covered, percent};
use crate::testing::{self, Request, lcov};
use crate::ui;

/// What `phoenix feature test` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix feature test
  phoenix feature test docker traefik --coverage
  phoenix feature test --lcov coverage.info && genhtml coverage.info -o coverage
  phoenix feature test --fail-under 90     exit 1 if a script has less of its lines run")]
pub struct Args {
    /// Names of features and apps
    pub names: Vec<String>,
    /// Tell which lines of the scripts, their modules and their models ran
    #[arg(long)]
    pub coverage: bool,
    /// The same, written to a file that `genhtml` and code hosts read
    #[arg(long, value_name = "FILE")]
    pub lcov: Option<PathBuf>,
    /// The same; fail if fewer lines of any file ran than this percentage
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub fail_under: Option<u8>,
    #[command(flatten)]
    in_containers: real::InContainers,
}

/// Runs them.
///
/// # Errors
/// When there is no such script, or the tracefile cannot be written.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let (library, _) = session::library(globals);
    for name in &args.names {
        find(library.catalogue(), name)?;
    }
    if args.in_containers.real {
        return real::run(globals, &library, &args.names, &args.in_containers);
    }
    let coverage = args.coverage || args.lcov.is_some() || args.fail_under.is_some();
    let results = testing::run(&library, &Request { names: args.names.clone(), coverage });
    let covered = results.coverage.as_deref().unwrap_or_default();
    if globals.json {
        let mut document = document(&results);
        if coverage {
            document["coverage"] = covered_document(covered);
        }
        ui::print::document(&document);
    } else {
        failure::print_findings(&results.findings, false);
        ui::print::result(&ui::cases::render(
            &results.cases.iter().map(shown).collect::<Vec<_>>(),
            globals.verbose > 0,
        ));
        if coverage {
            ui::print::result(&format!("\n{}", covered_table(covered)));
        }
    }
    if let Some(file) = &args.lcov {
        std::fs::write(file, lcov::render(covered)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let low = low(covered, args.fail_under);
    if !low.is_empty() && !globals.json {
        ui::print::note(&format!("too few lines ran in {}\n", low.join(", ")));
    }
    let wrong = results.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(match (wrong, results.passed() && low.is_empty()) {
        (true, _) => Exit::Invalid,
        (false, true) => Exit::Fine,
        (false, false) => Exit::Failed,
    })
}

fn document(results: &testing::Results) -> Value {
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
    json!({ "cases": cases, "findings": findings })
}

fn shown(case: &testing::CaseResult) -> ui::cases::Case<'_> {
    ui::cases::Case { script: &case.script, name: &case.case, failure: case.failure.as_ref(), elapsed: case.elapsed }
}

/// Percent of all lines of all files.
fn total(covered: &[Covered]) -> usize {
    let (ran, lines) =
        covered.iter().fold((0, 0), |(ran, lines), file| (ran + file.covered(), lines + file.lines.len()));
    percent(ran, lines)
}

fn covered_document(covered: &[Covered]) -> Value {
    let files: Vec<Value> = covered
        .iter()
        .map(|file| {
            let missed: Vec<_> = file.missed().iter().map(|range| [*range.start(), *range.end()]).collect();
            json!({
                "path": file.path, "lines": file.lines.len(), "covered": file.covered(),
                "percent": file.percent(), "missed": missed,
            })
        })
        .collect();
    json!({ "files": files, "percent": total(covered) })
}

fn covered_table(covered: &[Covered]) -> String {
    let files: Vec<_> = covered
        .iter()
        .map(|file| ui::coverage::File {
            path: &file.path,
            lines: file.lines.len(),
            covered: file.covered(),
            percent: file.percent(),
            missed: file.missed(),
        })
        .collect();
    ui::coverage::render(&files, total(covered))
}

/// Files of which fewer lines ran.
fn low(covered: &[Covered], least: Option<u8>) -> Vec<&str> {
    let least = usize::from(least.unwrap_or_default());
    covered.iter().filter(|file| file.percent() < least).map(|file| file.path.as_str()).collect()
}
