//! Events shown as they happen, on standard error (JSON lines: on standard output).

mod json;
mod live;
mod plain;

use std::sync::{Arc, Mutex, PoisonError};

use super::Story;
use crate::event::{Sink, Stamped};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One living line per guest.
    Live,
    /// One line per step.
    Plain,
    /// One JSON object per event.
    Json,
}

/// Shows events and remembers them as a [`Story`].
pub struct Progress {
    story: Mutex<Story>,
    show: Box<dyn Sink>,
}

impl Progress {
    /// Progress in this form.
    pub fn new(form: Form, verbosity: Verbosity) -> Arc<Progress> {
        let show: Box<dyn Sink> = match form {
            Form::Live => Box::new(live::Live::new(verbosity)),
            Form::Plain => Box::new(plain::Plain::new(verbosity)),
            Form::Json => Box::new(json::Json),
        };
        Arc::new(Progress { story: Mutex::default(), show })
    }

    /// What happened so far.
    pub fn story(&self) -> Story {
        self.story.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for Progress {
    fn emit(&self, event: Stamped) {
        self.story.lock().unwrap_or_else(PoisonError::into_inner).tell(&event);
        self.show.emit(event);
    }
}
