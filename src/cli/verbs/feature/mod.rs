//! `phoenix feature`: features and apps, listed, shown, linted, tested, run.

mod lint;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Refusal, Session, failure, run as runner, session};
use crate::finding::{Severity, did_you_mean};
use crate::model::{Catalogue, ScriptKind, ScriptSpec, Target};
use crate::{plan, testing, ui};

/// Work on features and apps
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix feature list
  phoenix feature lint                     every script, test and model, in milliseconds
  phoenix feature test traefik
  phoenix --sandbox feature run base_setup --on ca --dry-run")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What can be done with them.
#[derive(Debug, Subcommand)]
pub enum What {
    /// List features and apps, and where each came from
    List,
    /// Show what one declares: parameters, needs, artifacts
    Show {
        /// Its name
        name: String,
    },
    /// Find mistakes in scripts, modules, tests and models without running anything [default: in all of them]
    Lint(lint::Args),
    /// Run its tests in modelled guests, and apply it twice [default: all of them]
    Test {
        /// Names of features and apps
        names: Vec<String>,
    },
    /// Apply one to one guest and nothing else
    Run {
        /// Its name
        name: String,
        /// The guest, by id or name
        #[arg(long, value_name = "GUEST")]
        on: String,
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does it.
///
/// # Errors
/// When there is no such script, or its files are wrong.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    match &args.what {
        What::List => list(globals),
        What::Show { name } => show(globals, name),
        What::Lint(args) => lint::run(globals, args),
        What::Test { names } => test(globals, names),
        What::Run { name, on, dry_run } => {
            let session = Session::open(globals)?;
            let spec = find(session.library.catalogue(), name)?;
            let script = (spec.kind, spec.name.clone());
            let id = session.target(on)?;
            let plan = plan::one_script(&session.site, session.library.catalogue(), id, script)?;
            let ground = if *dry_run { Ground::Rehearsal } else { Ground::Real };
            runner::follow(&session, plan, ground).map(|told| told.exit)
        }
    }
}

fn all(catalogue: &Catalogue) -> impl Iterator<Item = &ScriptSpec> {
    catalogue.features.values().chain(catalogue.apps.values())
}

fn find<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a ScriptSpec> {
    if let Some(spec) = all(catalogue).find(|spec| spec.name == name) {
        return Ok(spec);
    }
    let hint = match did_you_mean(name, all(catalogue).map(|spec| spec.name.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`phoenix feature list` shows all".to_owned(),
    };
    Err(Refusal::usage(format!("there is no feature or app `{name}`")).hint(hint).into())
}

fn word(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Feature => "feature",
        ScriptKind::App => "app",
    }
}

fn list(globals: &Globals) -> Result<Exit> {
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

fn show(globals: &Globals, name: &str) -> Result<Exit> {
    let (library, _) = session::library(globals);
    let spec = find(library.catalogue(), name)?;
    if globals.json {
        ui::print::document(&serde_json::to_value(spec)?);
        return Ok(Exit::Fine);
    }
    let targets: Vec<&str> = spec
        .targets
        .iter()
        .map(|target| match target {
            Target::Lxc => "containers",
            Target::Vm => "virtual machines",
            Target::Node => "the node",
        })
        .collect();
    let mut lines = vec![format!("{} {}: {}", word(spec.kind), spec.name, spec.summary)];
    let mut fact = |label: &str, words: &[String]| {
        if !words.is_empty() {
            lines.push(format!("  {label:<10} {}", words.join(", ")));
        }
    };
    fact("for", &[targets.join(", ")]);
    fact("needs", &spec.needs);
    fact("after", &spec.after);
    fact("publishes", &spec.publishes);
    fact("reads", &spec.consumes);
    fact("from", std::slice::from_ref(&spec.path));
    if let Some(doc) = library.doc(spec.kind, name) {
        lines.push(String::new());
        lines.extend(doc.trim().lines().map(|line| line.trim_start_matches("//!").trim().to_owned()));
    }
    ui::print::result_line(&lines.join("\n"));
    let rows: Vec<Vec<String>> = spec
        .params
        .iter()
        .map(|(name, param)| {
            let kind = serde_json::to_value(param.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
            let fallback = match &param.fallback {
                Some(value) => value.to_string(),
                None if param.required => "(required)".to_owned(),
                None => String::new(),
            };
            vec![name.clone(), kind.unwrap_or_default(), fallback, param.doc.clone()]
        })
        .collect();
    if !rows.is_empty() {
        ui::print::result(&format!("\n{}", ui::table::render(&["PARAMETER", "TYPE", "FALLBACK", "MEANING"], &rows)));
    }
    Ok(Exit::Fine)
}

fn test(globals: &Globals, names: &[String]) -> Result<Exit> {
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
