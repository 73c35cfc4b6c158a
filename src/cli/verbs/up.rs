//! `phoenix up`: everything that is declared, made and started.

use anyhow::Result;

use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Session, run as runner};
use crate::plan::{Request, Verb};

/// Create all guests in dependency order, and start those that are stopped in boot order
///
/// Guests that are not there are made, side by side, each after what it needs. Then those that were there but stopped are
/// started one after another in the order that is declared for the node's boot, with its pauses. Templates, and guests
/// that are only cloned from, stay stopped. Where everything runs already, nothing is done.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix up             the whole platform, from nothing or after the node was booted
  phoenix --sandbox up   the same on the emulated node")]
pub struct Args {}

/// Brings everything up.
///
/// # Errors
/// When it did not begin.
pub fn run(globals: &Globals, _: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    runner::run(&session, &Request::new(Verb::Up, session.everybody()?), Ground::Real)
}
