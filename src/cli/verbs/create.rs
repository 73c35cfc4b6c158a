//! `phoenix create`: named guests as declared, and what they need.

use anyhow::Result;

use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Session, run as runner};
use crate::plan::{Request, Verb};

/// Create and provision guests and what they depend on.
#[derive(Debug, clap::Args)]
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
