//! `phoenix config`: the configuration as phoenix understands it.

use anyhow::Result;
use clap::Subcommand;

use crate::cli::{Exit, Globals, Session};
use crate::{config, ui};

/// Show the configuration as phoenix understands it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix config show
  phoenix config show gateway")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What can be done with it.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Print it resolved, as JSON; secrets are only named
    Show {
        /// One guest by id or name [default: everything]
        guest: Option<String>,
    },
}

/// Shows it.
///
/// # Errors
/// When there is no configuration, or the guest is not declared.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let What::Show { guest } = &args.what;
    let session = Session::open(globals)?;
    let mut shown = config::resolve_show(&session.site);
    if let Some(word) = guest {
        let id = session.target(word)?;
        shown = shown["guests"][id.to_string()].take();
    }
    ui::print::document(&shown);
    Ok(Exit::Fine)
}
