//! `phoenix lsp`: a language server for scripts, over standard input and output.

use anyhow::Result;

use crate::cli::{Exit, Globals};
use crate::lsp::{self, Ended};

/// Serve editors: mistakes, completion and documentation while scripts are written
///
/// A language server over standard input and output; the editor starts it. Needs no node and no configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix lsp                   as an editor starts it: docs/editors.md
  phoenix --scripts DIR lsp     features of DIR are known too, wherever the edited file is")]
pub struct Args {
    /// The usual and only way; some editors say so
    #[arg(long)]
    stdio: bool,
}

/// Serves until the editor leaves.
///
/// # Errors
/// When nothing can be written any more.
pub fn run(globals: &Globals, _: &Args) -> Result<Exit> {
    let ended = lsp::serve(std::io::stdin(), std::io::stdout(), globals.scripts.clone())?;
    Ok(match ended {
        Ended::Orderly => Exit::Fine,
        Ended::Abruptly => Exit::Failed,
    })
}
