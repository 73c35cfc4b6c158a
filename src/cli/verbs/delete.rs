//! `phoenix delete`: guests that phoenix made, gone. What is bind-mounted into them stays.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cli::node::{self, Ground};
use crate::cli::{Exit, Globals, Refusal, Session, ask, run as runner};
use crate::plan::{Request, Verb};

/// Delete guests that phoenix made
///
/// Refused while others need them. Asks on a terminal; what is bind-mounted into a guest stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix delete 201
  phoenix delete ca --with-dependents --yes")]
pub struct Args {
    /// Guests by id or name
    #[arg(required = true, value_name = "GUEST")]
    pub guests: Vec<String>,
    /// Also everything that needs them, first
    #[arg(long)]
    pub with_dependents: bool,
}

/// Deletes them, after asking.
///
/// # Errors
/// When others need them, when nobody consents, or when it did not begin.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let targets = session.targets(&args.guests)?;
    let present: BTreeSet<_> = node::inventory(&session)?.guests.into_keys().collect();
    let request = Request {
        with_dependents: args.with_dependents,
        present: Some(present),
        ..Request::new(Verb::Delete, targets)
    };
    let plan = crate::plan::make(&session.site, session.library.catalogue(), &request)?;
    let named: Vec<String> = plan
        .guests
        .iter()
        .filter_map(|planned| session.site.guest(planned.id))
        .map(|guest| format!("{} {}", guest.id, guest.name))
        .collect();
    if !globals.yes {
        let refusal = |message: &str| Refusal::usage(message).hint("`--yes` consents");
        if !ask::possible() {
            return Err(refusal("deleting needs consent, and there is no terminal to ask on").into());
        }
        if !ask::yes(&format!("delete {} with all volumes and snapshots?", named.join(", "))) {
            return Err(refusal("nothing was deleted").into());
        }
    }
    runner::run(&session, &request, Ground::Real)
}
