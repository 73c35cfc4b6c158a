//! `phoenix create`: named guests as declared, and what they need.

use anyhow::Result;

use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Session, run as runner};
use crate::plan::{Request, Verb};

/// Create and provision guests and what they depend on
///
/// Every named guest is brought to what is declared, with every script. A dependency that is not named is created if it
/// is absent, finished if it never was, else only made sure to be healthy. A second run changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix create gateway                 the gateway and what it needs
  phoenix create base ca gateway router  four guests, side by side where they may
  phoenix --sandbox create gateway       on the emulated node
  phoenix create 201 --dry-run           what it would change, and what that costs")]
pub struct Args {
    /// Guests by id or name
    #[arg(required = true, value_name = "GUEST")]
    pub guests: Vec<String>,
    /// Only show what would change (`phoenix plan`)
    #[arg(long)]
    pub dry_run: bool,
    /// Leave out what the guests depend on
    #[arg(long)]
    pub no_deps: bool,
    /// Take over this guest although phoenix did not make it
    #[arg(long, value_name = "GUEST")]
    pub adopt: Vec<String>,
}

/// Creates them.
///
/// # Errors
/// When it did not begin.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let request = Request {
        no_deps: args.no_deps,
        adopt: session.targets(&args.adopt)?.into_iter().collect(),
        ..Request::new(Verb::Create, session.targets(&args.guests)?)
    };
    runner::run(&session, &request, if args.dry_run { Ground::Rehearsal } else { Ground::Real })
}
