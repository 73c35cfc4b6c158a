//! `phoenix feature`: features and apps, listed, shown, linted, tested, run.

mod defs;
mod docs;
mod lint;
mod list;
mod new;
mod real;
mod run;
mod show;
mod test;

use anyhow::Result;
use clap::Subcommand;

use crate::cli::{Exit, Globals, Refusal};
use crate::finding::did_you_mean;
use crate::model::{Catalogue, ScriptKind, ScriptSpec};

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
    Show(show::Args),
    /// Write a feature to start from, with tests, a model and a page that pass as they are
    New(new::Args),
    /// Find mistakes in scripts, modules, tests and models without running anything [default: in all of them]
    Lint(lint::Args),
    /// Run its tests in modelled guests, and apply it twice [default: all of them]
    Test(test::Args),
    /// Apply one to one guest and nothing else
    Run(run::Args),
    /// The reference: every verb with its options and an example, and a page for every script
    Docs(docs::Args),
    /// Definitions of all verbs for editors (`.d.rhai`)
    Defs(defs::Args),
}

/// Does it.
///
/// # Errors
/// When there is no such script, or its files are wrong.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    match &args.what {
        What::List => list::run(globals),
        What::Show(args) => show::run(globals, args),
        What::New(args) => new::run(globals, args),
        What::Lint(args) => lint::run(globals, args),
        What::Test(args) => test::run(globals, args),
        What::Run(args) => run::run(globals, args),
        What::Docs(args) => docs::run(globals, args),
        What::Defs(args) => defs::run(globals, args),
    }
}

fn all(catalogue: &Catalogue) -> impl Iterator<Item = &ScriptSpec> {
    catalogue.features.values().chain(catalogue.apps.values())
}

fn find<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a ScriptSpec> {
    if let Some(spec) = catalogue.named(name) {
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
