//! `phoenix feature docs`: the reference of the verbs, and a page for every script.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use super::find;
use crate::cli::{Exit, Globals, failure, session};
use crate::manual::{self, File};
use crate::ui;

/// What `phoenix feature docs` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix feature docs docker              one page, as Markdown
  phoenix feature docs | less              the verbs, then all pages
  phoenix feature docs --output docs       docs/api.md, docs/features/NAME.md, docs/apps/NAME.md")]
pub struct Args {
    /// One feature or app [default: the verbs, then all of them]
    name: Option<String>,
    /// Write files below DIR instead of printing
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Prints or writes them.
///
/// # Errors
/// When there is no such script, or a file cannot be written.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let (library, findings) = session::library(globals);
    let files = match &args.name {
        Some(name) => vec![manual::page(&library, find(library.catalogue(), name)?)],
        None => manual::files(&library),
    };
    tell(globals, &files, args.output.as_deref())?;
    failure::print_findings(&findings, false);
    Ok(if findings.is_empty() { Exit::Fine } else { Exit::Invalid })
}

/// Writes files below a directory, or prints them.
pub(super) fn tell(globals: &Globals, files: &[File], output: Option<&Path>) -> Result<()> {
    let Some(folder) = output else {
        if globals.json {
            let all: Vec<_> = files.iter().map(|file| json!({ "path": file.path, "text": file.text })).collect();
            ui::print::document(&json!({ "files": all }));
        } else {
            let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
            ui::print::result(&texts.join("\n"));
        }
        return Ok(());
    };
    let mut written = Vec::new();
    for file in files {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path.display().to_string());
    }
    if globals.json {
        ui::print::document(&json!({ "files": written }));
    } else {
        written.iter().for_each(|path| ui::print::result_line(path));
    }
    Ok(())
}
