//! `phoenix feature test`: the tests of scripts, in modelled guests.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{find, real};
use crate::cli::{Exit, Globals, Refusal, failure, interrupt, session};
use crate::finding::{Finding, Severity, did_you_mean};
use crate::script::{Covered, Library, percent};
use crate::testing::{self, Listed, Request, Selection, Suite, lcov};
use crate::ui;
use crate::ui::progress::{Form, Progress, Verbosity};

/// What `phoenix feature test` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix feature test
  phoenix feature test docker 'step_ca::*password*'   cases whose name fits, or has this in it
  phoenix feature test docker --list                  the cases, without running them
  phoenix feature test docker traefik --coverage
  phoenix feature test --lcov coverage.info && genhtml coverage.info -o coverage
  phoenix feature test --fail-under 90                exit 1 if fewer lines of a file ran")]
pub struct Args {
    /// Features and apps, or cases of them: NAME::CASE
    #[arg(value_name = "NAME[::CASE]")]
    pub names: Vec<String>,
    /// Only tell which cases there are
    #[arg(long)]
    pub list: bool,
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
/// When there is no such script or no such case, or the tracefile cannot be written.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let (library, _) = session::library(globals);
    let select: Vec<Selection> = args.names.iter().map(|word| Selection::read(word)).collect();
    for selection in &select {
        find(library.catalogue(), &selection.script)?;
    }
    if args.in_containers.real {
        if let Some(word) = args.names.iter().find(|word| word.contains("::")) {
            return Err(Refusal::usage(format!("`--real` runs whole scripts, and `{word}` names cases of one")).into());
        }
        return real::run(globals, &library, &args.names, &args.in_containers);
    }
    let coverage = args.coverage || args.lcov.is_some() || args.fail_under.is_some();
    let progress = Progress::new(Form::Plain, Verbosity::Normal);
    let interrupt = interrupt::watch(&progress);
    let suite = Suite::load(&library, &Request { select: select.clone(), coverage, interrupt });
    require_cases(&library, &suite, &select)?;
    if args.list {
        return Ok(list(globals, &suite));
    }
    let results = suite.run();
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
            (results.left, results.elapsed),
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
    if results.left > 0 {
        return Ok(Exit::Interrupted);
    }
    Ok(match (is_wrong(&results.findings), results.passed() && low.is_empty()) {
        (true, _) => Exit::Invalid,
        (false, true) => Exit::Fine,
        (false, false) => Exit::Failed,
    })
}

/// Refuses a selection that no case fits, unless files are wrong, which is told then.
fn require_cases(library: &Library, suite: &Suite, select: &[Selection]) -> Result<()> {
    let cases = suite.cases();
    let fits =
        |selection: &&Selection| cases.iter().any(|listed| selection.takes(listed.kind, &listed.script, &listed.case));
    let Some(nobody) = select.iter().find(|selection| !fits(selection)) else { return Ok(()) };
    let Some(case) = nobody.case.as_ref().filter(|_| !is_wrong(suite.findings())) else { return Ok(()) };
    let whole = Selection { case: None, ..nobody.clone() };
    let all = Suite::load(library, &Request { select: vec![whole], ..Request::default() }).cases();
    let hint = match did_you_mean(case, all.iter().map(|listed| listed.case.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("`phoenix feature test {} --list` shows all", nobody.script),
    };
    Err(Refusal::usage(format!("no case of `{}` fits `{case}`", nobody.script)).hint(hint).into())
}

fn is_wrong(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Tells which cases there are.
fn list(globals: &Globals, suite: &Suite) -> Exit {
    let cases = suite.cases();
    if globals.json {
        let told = |Listed { kind, script, case }: &Listed| json!({ "script": script, "kind": kind, "case": case });
        let findings: Vec<_> = suite.findings().iter().map(ui::findings::json).collect();
        ui::print::document(&json!({ "cases": cases.iter().map(told).collect::<Vec<_>>(), "findings": findings }));
    } else {
        failure::print_findings(suite.findings(), false);
        let lines = cases.iter().map(|listed| format!("{}::{}\n", listed.script, listed.case));
        ui::print::result(&lines.collect::<String>());
    }
    if is_wrong(suite.findings()) { Exit::Invalid } else { Exit::Fine }
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
    json!({
        "cases": cases, "findings": findings, "not_run": results.left, "seconds": results.elapsed.as_secs_f64(),
    })
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
