//! `phoenix feature defs`: the verbs as editors of Rhai read them.

use std::path::PathBuf;

use anyhow::Result;

use super::docs::tell;
use crate::cli::{Exit, Globals};
use crate::manual;

/// What `phoenix feature defs` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix feature defs --output .rhai      features.d.rhai, tests.d.rhai, models.d.rhai, helpers.d.rhai")]
pub struct Args {
    /// Write files to DIR instead of printing
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Prints or writes them.
///
/// # Errors
/// When a file cannot be written.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    tell(globals, &manual::definitions(), args.output.as_deref())?;
    Ok(Exit::Fine)
}
