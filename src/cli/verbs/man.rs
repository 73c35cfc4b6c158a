//! `phoenix man`: the help as manual pages.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{Arguments, Exit};
use crate::ui;

/// Print the manual page, or write one page per verb
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix man | man -l -
  phoenix man --output /usr/local/share/man/man1")]
pub struct Args {
    /// Write phoenix.1 and a page for every verb into this directory
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Prints or writes it.
///
/// # Errors
/// When the directory cannot be written.
pub fn run(args: &Args) -> Result<Exit> {
    // `phoenix help VERB` is no page of its own.
    let command = Arguments::command().disable_help_subcommand(true);
    match &args.output {
        Some(folder) => {
            let write = || {
                std::fs::create_dir_all(folder)?;
                clap_mangen::generate_to(command, folder)
            };
            write().with_context(|| format!("manual pages cannot be written to {}", folder.display()))?;
        }
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            ui::print::result(&String::from_utf8_lossy(&page));
        }
    }
    Ok(Exit::Fine)
}
