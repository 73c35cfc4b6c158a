//! `phoenix converge`: named guests and everything they need, all of it as declared.

use anyhow::Result;

use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Session, run as runner};
use crate::plan::{Request, Verb};

/// Bring guests and everything they need to what is declared
///
/// Where `create` is content with a dependency that is healthy, `converge` checks and applies its whole configuration
/// and every script too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix converge router            the router and everything it needs
  phoenix converge --all             everything that is declared
  phoenix converge --all --dry-run   what that would change")]
pub struct Args {
    /// Guests by id or name
    #[arg(value_name = "GUEST", required_unless_present = "all")]
    pub guests: Vec<String>,
    /// All declared guests
    #[arg(long, conflicts_with = "guests")]
    pub all: bool,
    /// Only show what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Take over this guest although phoenix did not make it
    #[arg(long, value_name = "GUEST")]
    pub adopt: Vec<String>,
}

/// Converges them.
///
/// # Errors
/// When it did not begin.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let targets = if args.all { session.everybody()? } else { session.targets(&args.guests)? };
    let adopt = session.targets(&args.adopt)?.into_iter().collect();
    let request = Request { adopt, ..Request::new(Verb::Converge, targets) };
    runner::run(&session, &request, if args.dry_run { Ground::Rehearsal } else { Ground::Real })
}
