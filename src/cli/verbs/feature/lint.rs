//! `phoenix feature lint`: what can be said about scripts without running them. Needs no node and no configuration.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use crate::cli::{Exit, Globals, Refusal, session};
use crate::finding::{Finding, Severity};
use crate::script::{self, RULES};
use crate::ui;

/// What to look at, and how to tell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix feature lint
  phoenix feature lint docker lib/nvidia   with their tests, models and modules
  phoenix feature lint --strict --format sarif > lint.sarif")]
pub struct Args {
    /// Features, apps and shared modules (`lib/NAME`)
    names: Vec<String>,
    /// How findings are printed; `--json` means `json`
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the line itself.
    Text,
    /// One document.
    Json,
    /// One document that code hosts read.
    Sarif,
}

/// Does it.
///
/// # Errors
/// When a name is nobody's.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let (library, _) = session::library(globals);
    let files = script::lint(&library, &args.names).map_err(|unknown| {
        let hint = match &unknown.near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`phoenix feature list` shows features and apps".to_owned(),
        };
        Refusal::usage(unknown.to_string()).hint(hint)
    })?;
    let findings: Vec<Finding> = files.iter().flat_map(|file| file.findings.iter().cloned()).collect();
    match args.format {
        Format::Sarif => {
            let rules: Vec<(&str, &str)> = RULES.iter().map(|rule| (rule.code, rule.meaning)).collect();
            ui::print::document(&ui::sarif::document(&findings, &rules));
        }
        Format::Text if !globals.json => {
            ui::print::result(&ui::findings::render(&findings, true));
            if findings.is_empty() && !globals.quiet {
                let plural = if files.len() == 1 { "" } else { "s" };
                ui::print::note(&format!("no findings in {} file{plural}\n", files.len()));
            }
        }
        _ => ui::print::document(&json!({
            "files": files.iter().map(|file| &file.path).collect::<Vec<_>>(),
            "findings": findings.iter().map(ui::findings::json).collect::<Vec<_>>(),
        })),
    }
    let wrong = findings.iter().any(|finding| globals.strict || finding.severity == Severity::Error);
    Ok(if wrong { Exit::Invalid } else { Exit::Fine })
}
