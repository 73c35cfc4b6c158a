//! `phoenix feature show`: what one script declares.

use anyhow::Result;

use super::{find, word};
use crate::cli::{Exit, Globals, session};
use crate::model::Target;
use crate::ui;

/// What `phoenix feature show` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name
    pub name: String,
}

/// Shows it.
///
/// # Errors
/// When there is no such script.
pub fn run(globals: &Globals, Args { name }: &Args) -> Result<Exit> {
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
    if let Some(doc) = library.doc(spec.kind, &spec.name) {
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
