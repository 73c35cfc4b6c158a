//! `phoenix plan`: what `create` would change, and what it costs. The same code on a rehearsal.

use anyhow::Result;

use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Session, run as runner};
use crate::plan::{Request, Verb};

/// Show what `create` would change, and what it costs
///
/// The same code on a rehearsal: nothing is sent to the node but questions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix plan gateway
  phoenix plan 105 --adopt 105             what taking over a guest would change
  phoenix plan --all --detailed-exitcode   exits with 5 when something would change")]
pub struct Args {
    /// Guests by id or name
    #[arg(value_name = "GUEST", required_unless_present = "all")]
    pub guests: Vec<String>,
    /// All declared guests
    #[arg(long, conflicts_with = "guests")]
    pub all: bool,
    /// As `create --adopt`: what taking over this guest would change
    #[arg(long, value_name = "GUEST")]
    pub adopt: Vec<String>,
    /// Leave out what the guests depend on
    #[arg(long)]
    pub no_deps: bool,
    /// Exit with 5 when something would change
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Shows it.
///
/// # Errors
/// When it did not begin.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let targets = if args.all { session.everybody()? } else { session.targets(&args.guests)? };
    let request = Request {
        no_deps: args.no_deps,
        adopt: session.targets(&args.adopt)?.into_iter().collect(),
        ..Request::new(Verb::Create, targets)
    };
    let told = runner::told(&session, &request, Ground::Rehearsal)?;
    Ok(if args.detailed_exitcode && told.exit == Exit::Fine && told.changes { Exit::Pending } else { told.exit })
}
