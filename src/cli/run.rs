//! From a request to its end: plan, host, engine, what is told. Every verb that acts on guests ends here.

use std::sync::Arc;

use anyhow::Result;

use super::node::{self, Ground};
use super::{Exit, Globals, Refusal, Session, ask, interrupt};
use crate::engine::{self, Consent, Engine, EngineError, Options, Summary};
use crate::event::{Difference, Outcome};
use crate::machine::Origin;
use crate::model::Guest;
use crate::plan::{self, Plan, Request};
use crate::ui::print::StandardError;
use crate::ui::progress::{Form, Progress, Verbosity};
use crate::ui::summary::Telling;
use crate::ui::{self, Story};

/// What is shown of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// How it goes, as it happens, and what it came to.
    Run,
    /// What it would come to.
    Plan,
    /// Only that it goes on; whoever asked shows the result.
    Result,
}

/// How a run ended.
pub struct Told {
    /// Its exit.
    pub exit: Exit,
    /// What happened.
    pub story: Story,
    /// Whether anything was changed, or would be.
    pub changes: bool,
}

/// Does what was requested, on this ground, and tells how it went.
///
/// # Errors
/// When it did not begin.
pub fn run(session: &Session, request: &Request, ground: Ground) -> Result<Exit> {
    told(session, request, ground).map(|told| told.exit)
}

/// The same, for those who need to know more than the exit.
///
/// # Errors
/// When it did not begin.
pub fn told(session: &Session, request: &Request, ground: Ground) -> Result<Told> {
    follow(session, plan::make(&session.site, session.library.catalogue(), request)?, ground)
}

/// Follows a plan on this ground, and tells how it went.
///
/// # Errors
/// When it did not begin.
pub fn follow(session: &Session, plan: Plan, ground: Ground) -> Result<Told> {
    finish(session, plan, ground, if ground == Ground::Rehearsal { Showing::Plan } else { Showing::Run })
}

/// The same, for those who show something else than what happened.
///
/// # Errors
/// When it did not begin.
pub fn finish(session: &Session, plan: Plan, ground: Ground, showing: Showing) -> Result<Told> {
    session.require_sound(&plan.guests.iter().map(|guest| guest.id).collect::<Vec<_>>())?;
    let globals = &session.globals;
    let progress = Progress::new(form(globals, showing), verbosity(globals, showing));
    let interrupt = interrupt::watch(&progress);
    let host = node::open(session, ground, &interrupt)?;
    let stop = interrupt.clone();
    let ended = engine::run(Engine {
        host,
        site: Arc::clone(&session.site),
        library: Arc::new(session.library.clone()),
        plan,
        events: progress.clone(),
        interrupt,
        outside: Arc::new(outside),
        options: Options { command: typed(), jobs: globals.jobs.into(), consent: consent(globals, &progress) },
    });
    // A run whose node was lost ended as if interrupted; why counts more.
    let lost = stop.lost();
    let summary = match (ended, &lost) {
        (Err(_), Some(lost)) => return Err(lost.clone().into()),
        (Err(EngineError::Unsupported(unsupported)), _) => {
            return Err(Refusal::Findings(session.not_on_the_node(&unsupported)).into());
        }
        (ended, _) => ended?,
    };
    let story = progress.story();
    tell(globals, &story, showing);
    for stale in &summary.stale {
        let text = "warning: guest {} uses {} of guest {}, which changed; `phoenix create {}` brings it up to date\n";
        let words =
            [stale.guest.to_string(), stale.artifact.clone(), stale.publisher.to_string(), stale.guest.to_string()];
        ui::print::note(&words.iter().fold(text.to_owned(), |text, word| text.replacen("{}", word, 1)));
    }
    if let Some(lost) = lost {
        return Err(lost.into());
    }
    Ok(Told { exit: exit(&summary, showing), changes: summary.changed() || summary.pending(), story })
}

/// The command as it was typed, for the lock and the journal.
fn typed() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("phoenix {}", shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default())
}

/// What shows a run that is none of the engine's, in the same form. With `--json` nothing but its result is told.
pub fn progress(globals: &Globals) -> Arc<Progress> {
    let quiet = Globals { quiet: globals.quiet || globals.json, ..globals.clone() };
    Progress::new(form(&quiet, Showing::Result), verbosity(&quiet, Showing::Run))
}

fn form(globals: &Globals, showing: Showing) -> Form {
    match (globals.json, showing) {
        (true, Showing::Run | Showing::Plan) => Form::Json,
        (false, Showing::Run | Showing::Result) if !globals.quiet => match StandardError::terminal() {
            Some(terminal) => Form::Live { terminal: Box::new(terminal), rate: node::rate(globals) },
            None => Form::Plain,
        },
        _ => Form::Plain,
    }
}

fn verbosity(globals: &Globals, showing: Showing) -> Verbosity {
    match (globals.quiet, globals.verbose, showing) {
        (true, _, _) => Verbosity::Quiet,
        // Told as a whole at its end.
        (_, 0, Showing::Plan | Showing::Result) => Verbosity::Quiet,
        (_, 0, Showing::Run) => Verbosity::Normal,
        (_, 1, _) => Verbosity::Verbose,
        _ => Verbosity::Commands,
    }
}

fn consent(globals: &Globals, progress: &Arc<Progress>) -> Consent {
    if globals.yes {
        Consent::Given
    } else if ask::possible() && !globals.json {
        let progress = Arc::clone(progress);
        Consent::Ask(Arc::new(move |guest: &Guest, differences: &[Difference]| {
            let what: Vec<&str> = differences.iter().map(|difference| difference.what.as_str()).collect();
            let question = format!("restart {} {} now, for {}?", guest.id, guest.name, what.join(", "));
            progress.lend(|| ask::yes(&question))
        }))
    } else {
        Consent::Withheld
    }
}

/// Secrets from the environment and from systemd's credentials.
fn outside(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Environment(name) => std::env::var(name).ok(),
        Origin::Credential(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
            std::fs::read_to_string(std::path::Path::new(&folder).join(name)).ok()
        }
    }
}

fn tell(globals: &Globals, story: &Story, showing: Showing) {
    let telling = match showing {
        Showing::Result => return,
        Showing::Run => Telling::Run,
        Showing::Plan => Telling::Plan,
    };
    if globals.json {
        ui::print::result_line(&serde_json::json!({ "event": "summary", "summary": story }).to_string());
    } else {
        ui::print::result(&ui::summary::render(story, telling, globals.verbose > 0));
    }
}

fn exit(summary: &Summary, showing: Showing) -> Exit {
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. });
    if summary.interrupted {
        Exit::Interrupted
    } else if summary.guests.iter().any(|guest| failed(&guest.outcome)) {
        Exit::Failed
    } else if summary.pending() && showing == Showing::Run {
        Exit::Pending
    } else {
        Exit::Fine
    }
}
