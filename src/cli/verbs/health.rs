//! `phoenix health`: how guests are, by their scripts and by the declared checks.

use anyhow::Result;
use serde_json::json;

use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Session, run as runner};
use crate::plan::{self, Request, Verb};
use crate::ui;

/// Ask guests how they are; nothing is changed
///
/// Every feature and app that knows is asked once, then every check of the configuration with the tries that it declares.
/// Guests that are not meant to run are left stopped. Exits with 1 when one of the others is not healthy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix health            everybody
  phoenix health 201 ca     two of them, by id and by name
  phoenix --json health     one document with every check")]
pub struct Args {
    /// Guests by id or name [default: all]
    #[arg(value_name = "GUEST")]
    pub guests: Vec<String>,
}

/// Asks them.
///
/// # Errors
/// When a guest is not declared, or the node cannot be asked.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let targets = if args.guests.is_empty() { session.everybody()? } else { session.targets(&args.guests)? };
    let plan = plan::make(&session.site, session.library.catalogue(), &Request::new(Verb::Health, targets))?;
    let ended = runner::finish(&session, plan, Ground::Real, runner::Showing::Result)?;
    if globals.json {
        ui::print::document(&json!({ "guests": ui::health::json(&ended.story) }));
    } else {
        ui::print::result(&ui::health::render(&ended.story));
    }
    Ok(ended.exit)
}
