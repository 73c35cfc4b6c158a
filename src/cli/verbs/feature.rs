//! `phoenix feature`: the contributor's side.

use anyhow::Result;
use clap::Subcommand;

use crate::cli::{Exit, Globals};

/// Work on features and apps.
#[derive(Debug, clap::Args)]
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
}

/// Does it.
///
/// # Errors
/// When there is no such script.
pub fn run(_globals: &Globals, _args: &Args) -> Result<Exit> {
    Ok(Exit::Fine)
}
