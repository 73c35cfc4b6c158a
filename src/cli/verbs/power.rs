//! `phoenix start`, `stop` and `restart`.

use anyhow::Result;

use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Session, run as runner};
use crate::plan::{Request, Verb};

/// Start guests, their dependencies first
///
/// What runs already is left alone, and so are templates and guests that are only cloned from.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix start 201
  phoenix start gateway router")]
pub struct StartArgs {
    /// Guests by id or name
    #[arg(required = true, value_name = "GUEST")]
    pub guests: Vec<String>,
}

/// Stop guests
///
/// Only the named ones: what they need goes on running.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix stop 201
  phoenix stop ca --with-dependents   the gateway and the router before it")]
pub struct StopArgs {
    /// Guests by id or name
    #[arg(required = true, value_name = "GUEST")]
    pub guests: Vec<String>,
    /// Also everything that needs them, first
    #[arg(long)]
    pub with_dependents: bool,
}

/// Restart guests
///
/// Only the named ones: what they need goes on running.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix restart 201
  phoenix restart ca --with-dependents   and then those that need it")]
pub struct RestartArgs {
    /// Guests by id or name
    #[arg(required = true, value_name = "GUEST")]
    pub guests: Vec<String>,
    /// Also everything that needs them, afterwards
    #[arg(long)]
    pub with_dependents: bool,
}

/// Starts them.
///
/// # Errors
/// When it did not begin.
pub fn start(globals: &Globals, args: &StartArgs) -> Result<Exit> {
    act(globals, Verb::Start, &args.guests, false)
}

/// Stops them.
///
/// # Errors
/// When it did not begin.
pub fn stop(globals: &Globals, args: &StopArgs) -> Result<Exit> {
    act(globals, Verb::Stop, &args.guests, args.with_dependents)
}

/// Restarts them.
///
/// # Errors
/// When it did not begin.
pub fn restart(globals: &Globals, args: &RestartArgs) -> Result<Exit> {
    act(globals, Verb::Restart, &args.guests, args.with_dependents)
}

fn act(globals: &Globals, verb: Verb, words: &[String], with_dependents: bool) -> Result<Exit> {
    let session = Session::open(globals)?;
    let request = Request { with_dependents, ..Request::new(verb, session.targets(words)?) };
    runner::run(&session, &request, Ground::Real)
}
