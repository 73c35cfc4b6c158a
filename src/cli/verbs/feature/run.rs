//! `phoenix feature run`: one script on one guest, and nothing else.

use anyhow::Result;

use super::find;
use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Session, run as runner};
use crate::plan;

/// What `phoenix feature run` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name
    pub name: String,
    /// The guest, by id or name
    #[arg(long, value_name = "GUEST")]
    pub on: String,
    /// Only show what would change
    #[arg(long)]
    pub dry_run: bool,
}

/// Applies it.
///
/// # Errors
/// When there is no such script or guest, or the configuration is wrong.
pub fn run(globals: &Globals, Args { name, on, dry_run }: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let spec = find(session.library.catalogue(), name)?;
    let script = (spec.kind, spec.name.clone());
    let id = session.target(on)?;
    let plan = plan::one_script(&session.site, session.library.catalogue(), id, script)?;
    let ground = if *dry_run { Ground::Rehearsal } else { Ground::Real };
    runner::follow(&session, plan, ground).map(|told| told.exit)
}
