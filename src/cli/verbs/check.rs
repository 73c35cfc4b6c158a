//! `phoenix check`: everything that is wrong, at once.

use anyhow::Result;

use crate::cli::{Exit, Globals, Session, failure, node};
use crate::engine::{Preflight, Spot};
use crate::finding::Severity;
use crate::ui;

/// Check configuration and scripts, and with `--host` the node
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix check                            every finding at once, with file, line and a hint
  phoenix check --config ./etc --strict    warnings count as errors
  phoenix check --host local               the node too
  phoenix --sandbox check                  an emulated node too")]
pub struct Args {
    /// With `--host`: compute digests of large images too
    #[arg(long)]
    pub digests: bool,
}

/// Checks it.
///
/// # Errors
/// When there is nothing to check, or the node cannot be asked.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let mut findings = session.findings();
    if globals.host.is_some() || globals.sandbox {
        let host = node::look(&session)?;
        let locate = |spot: Spot<'_>| session.place(spot);
        let preflight = Preflight { site: &session.site, locate: &locate, digests: args.digests };
        findings.extend(preflight.run(host.as_ref())?);
    }
    failure::print_findings(&findings, globals.json);
    if findings.is_empty() && !globals.json && !globals.quiet {
        ui::print::note("no findings\n");
    }
    let wrong = findings.iter().any(|finding| globals.strict || finding.severity == Severity::Error);
    Ok(if wrong { Exit::Invalid } else { Exit::Fine })
}
