//! One line per step that did something, with the node's time since the start.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::Verbosity;
use crate::event::{Event, Level, Outcome, Stamped};
use crate::model::GuestId;
use crate::ui::style::{self, DIM, paint};
use crate::ui::{time, width};

/// Lines for pipes and logs.
pub struct Plain {
    verbosity: Verbosity,
    /// Steps that went well are told; else only guests.
    steps: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    start: Option<Timestamp>,
    names: BTreeMap<GuestId, String>,
}

impl Plain {
    /// Lines of this verbosity.
    pub fn new(verbosity: Verbosity) -> Plain {
        Plain { verbosity, steps: true, seen: Mutex::default() }
    }

    /// Lines of this verbosity beside others that show every step while it lasts.
    pub fn beside_living_lines(verbosity: Verbosity) -> Plain {
        Plain { steps: verbosity > Verbosity::Normal, ..Plain::new(verbosity) }
    }

    /// The line that an event is worth on a terminal of so many columns; none for most.
    pub fn line(&self, stamped: &Stamped, columns: Option<usize>) -> Option<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let start = *seen.start.get_or_insert(stamped.at);
        if let Event::RunStarted { guests, .. } = &stamped.event {
            seen.names.extend(guests.iter().cloned());
        }
        let went_well = |outcome: &Outcome| !matches!(outcome, Outcome::Failed { .. });
        if !self.steps && matches!(&stamped.event, Event::StepFinished { outcome, .. } if went_well(outcome)) {
            return None;
        }
        let layout = Layout::new(&seen.names, columns);
        let text = line(&stamped.event, self.verbosity, &seen.names, &layout)?;
        let clock = time::short(stamped.at.duration_since(start).unsigned_abs());
        Some(format!("{} {text}", paint(DIM, if layout.narrow { clock } else { format!("{clock:>7}") })))
    }
}

/// Below this many columns nothing is lined up.
const NARROW: usize = 72;
/// Columns of a step's name.
const STEP: usize = 24;

/// How lines are laid out.
struct Layout {
    narrow: bool,
    id: usize,
    name: usize,
    step: usize,
    word: usize,
}

impl Layout {
    fn new(names: &BTreeMap<GuestId, String>, columns: Option<usize>) -> Layout {
        if columns.is_some_and(|columns| columns < NARROW) {
            return Layout { narrow: true, id: 0, name: 0, step: 0, word: 0 };
        }
        let name = names.values().map(|name| width::columns(name)).max().unwrap_or(0).min(STEP);
        Layout { narrow: false, id: 5, name, step: STEP, word: 9 }
    }
}

/// What one event says at a verbosity, without its time.
fn line(event: &Event, verbosity: Verbosity, names: &BTreeMap<GuestId, String>, layout: &Layout) -> Option<String> {
    let who = |id: &GuestId| {
        let name = names.get(id).map_or("", String::as_str);
        format!("{id:>0$} {name:<1$}{2}", layout.id, layout.name, if layout.narrow { "" } else { " " })
    };
    let ended = |outcome: &Outcome| paint(style::of(outcome), format!("{:<1$}", style::word(outcome), layout.word));
    match event {
        Event::StepFinished { guest, step, outcome, elapsed } => {
            let needed = match outcome {
                Outcome::Failed { .. } | Outcome::Changed => Verbosity::Normal,
                Outcome::Unchanged | Outcome::Skipped { .. } => Verbosity::Verbose,
            };
            let tail = match outcome {
                // The whole story of a failure is told at the end, with the causes first.
                Outcome::Failed { cause } => format!(" {}", cause.message),
                Outcome::Skipped { reason } => format!(" {}", paint(DIM, reason)),
                _ => format!(" {}", paint(DIM, time::short(*elapsed))),
            };
            (verbosity >= needed).then(|| format!("{} {step:<2$} {}{tail}", who(guest), ended(outcome), layout.step))
        }
        Event::GuestFinished { guest, outcome, elapsed } => {
            let tail = match outcome {
                Outcome::Skipped { reason } => reason.clone(),
                _ => time::short(*elapsed),
            };
            let done = paint(DIM, format!("{:<1$}", "done", layout.step));
            (verbosity >= Verbosity::Normal).then(|| format!("{} {done} {} {tail}", who(guest), ended(outcome)))
        }
        Event::Section { guest, label } if verbosity >= Verbosity::Verbose => {
            Some(format!("{}   {}", who(guest), paint(DIM, label)))
        }
        Event::Change { guest, difference } if verbosity >= Verbosity::Verbose => {
            let value = match (&difference.from, &difference.to) {
                (Some(from), Some(to)) => format!(" {from} -> {to}"),
                (None, Some(to)) => format!(" {to}"),
                _ => String::new(),
            };
            Some(format!("{}   {}{value}", who(guest), difference.what))
        }
        Event::Waiting { guest, on } if verbosity >= Verbosity::Verbose => {
            Some(format!("{}   {}", who(guest), paint(DIM, format!("waits: {on}"))))
        }
        Event::Did { guest, what, .. } if verbosity >= Verbosity::Commands => {
            let who = guest.as_ref().map(who).unwrap_or_default();
            Some(format!("{who}     {}", paint(DIM, what)))
        }
        Event::Message { guest, level, text } => {
            let needed = match level {
                Level::Warning => Verbosity::Quiet,
                Level::Info => Verbosity::Normal,
                Level::Debug => Verbosity::Commands,
            };
            let mark = if *level == Level::Warning { paint(style::CHANGED, "warning: ") } else { String::new() };
            let who = guest.as_ref().map(|id| who(id) + " ").unwrap_or_default();
            (verbosity >= needed).then(|| format!("{who}{mark}{text}"))
        }
        _ => None,
    }
}
