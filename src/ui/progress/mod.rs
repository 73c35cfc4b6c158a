//! Events shown as they happen, on standard error (JSON lines: on standard output).
//!
//! | file | what |
//! |---|---|
//! | `at_work` | who is at work, folded from events |
//! | `plain` | an event as an ordinary line |
//! | `frame`, `live` | the living lines: as text, and drawn on a terminal |
//! | `json` | an event as a JSON object |

mod at_work;
mod frame;
mod json;
mod live;
mod plain;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Story, print};
use crate::event::{Event, Sink, Stamped};
use at_work::AtWork;
use json::Json;
use live::Live;
use plain::Plain;

pub use live::Terminal;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only failures.
    Quiet,
    /// What changes.
    Normal,
    /// Also what does not, sections and differences.
    Verbose,
    /// Also every command.
    Commands,
}

/// In which form.
pub enum Form {
    /// Living lines for guests at work, ordinary ones for what is finished, on this terminal. In a second of real time
    /// `rate` seconds pass on the node.
    Live {
        /// Where they are drawn.
        terminal: Box<dyn Terminal>,
        /// Seconds of the node's time in a second of real time.
        rate: f64,
    },
    /// One line per step.
    Plain,
    /// One JSON object per event.
    Json,
}

/// Shows events and remembers them as a [`Story`].
pub struct Progress {
    story: Mutex<Story>,
    at_work: Arc<Mutex<AtWork>>,
    show: Show,
}

enum Show {
    Live(Plain, Live),
    Plain(Plain),
    Json(Json),
}

impl Progress {
    /// Progress in this form.
    pub fn new(form: Form, verbosity: Verbosity) -> Arc<Progress> {
        let at_work: Arc<Mutex<AtWork>> = Arc::default();
        let show = match form {
            Form::Live { terminal, rate } => {
                Show::Live(Plain::beside_living_lines(verbosity), Live::new(Arc::clone(&at_work), rate, terminal))
            }
            Form::Plain => Show::Plain(Plain::new(verbosity)),
            Form::Json => Show::Json(Json),
        };
        Arc::new(Progress { story: Mutex::default(), at_work, show })
    }

    /// What happened so far.
    pub fn story(&self) -> Story {
        self.story.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Somebody asked to stop: tells what is still being finished.
    pub fn stopping(&self) {
        self.at_work().stopping = true;
        let text = match self.at_work().summary() {
            guests if guests.is_empty() => "stopping; Ctrl-C again stops at once\n".to_owned(),
            guests => format!("finishing {guests}; Ctrl-C again stops at once\n"),
        };
        match &self.show {
            Show::Live(_, live) => live.above(&text),
            Show::Plain(_) | Show::Json(_) => print::note(&text),
        }
    }

    /// The program ends here and now: leaves the terminal as it should be.
    pub fn leave(&self) {
        if let Show::Live(_, live) = &self.show {
            live.leave();
        }
    }

    /// Lends the terminal to somebody who asks the operator something.
    pub fn lend<T>(&self, to: impl FnOnce() -> T) -> T {
        match &self.show {
            Show::Live(_, live) => live.lend(to),
            Show::Plain(_) | Show::Json(_) => to(),
        }
    }

    fn at_work(&self) -> MutexGuard<'_, AtWork> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Progress {
    fn emit(&self, event: Stamped) {
        self.story.lock().unwrap_or_else(PoisonError::into_inner).tell(&event);
        self.at_work().tell(&event, Instant::now());
        match &self.show {
            Show::Live(plain, live) => {
                if let Some(line) = plain.line(&event, Some(live.columns())) {
                    live.above(&(line + "\n"));
                }
                // What is told of the run from now on must not find living lines where it prints.
                if matches!(event.event, Event::RunFinished { .. }) {
                    live.leave();
                }
            }
            Show::Plain(plain) => {
                if let Some(line) = plain.line(&event, None) {
                    print::note(&(line + "\n"));
                }
            }
            Show::Json(json) => json.emit(event),
        }
    }
}
