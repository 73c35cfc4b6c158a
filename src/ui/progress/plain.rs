//! One line per step that did something, with the node's time since the start.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Verbosity;
use crate::event::{Event, Level, Outcome, Sink, Stamped};
use crate::model::GuestId;
use crate::ui::style::{self, DIM, paint};
use crate::ui::{print, time};

/// Lines for pipes and logs.
pub struct Plain {
    verbosity: Verbosity,
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
        Plain { verbosity, seen: Mutex::default() }
    }

    /// The lines that an event is worth; none for most.
    pub fn lines(&self, stamped: &Stamped) -> Option<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let start = *seen.start.get_or_insert(stamped.at);
        if let Event::RunStarted { guests, .. } = &stamped.event {
            seen.names.extend(guests.iter().cloned());
        }
        let since = stamped.at.duration_since(start).unsigned_abs();
        line(&stamped.event, self.verbosity, &seen.names).map(|text| format!("{} {text}", paint(DIM, clock(since))))
    }
}

fn clock(since: Duration) -> String {
    format!("{:>7}", time::short(since))
}

/// What one event says at a verbosity, without its time.
pub fn line(event: &Event, verbosity: Verbosity, names: &BTreeMap<GuestId, String>) -> Option<String> {
    let width = names.values().map(|name| name.chars().count()).max().unwrap_or(0).min(24);
    let who = |id: &GuestId| format!("{id:>5} {:<width$}", names.get(id).map_or("", String::as_str));
    match event {
        Event::StepFinished { guest, step, outcome, elapsed } => {
            let needed = match outcome {
                Outcome::Failed { .. } | Outcome::Changed => Verbosity::Normal,
                Outcome::Unchanged | Outcome::Skipped { .. } => Verbosity::Verbose,
            };
            let word = paint(style::of(outcome), format!("{:<9}", style::word(outcome)));
            let tail = match outcome {
                // The whole story of a failure is told at the end, with the causes first.
                Outcome::Failed { cause } => format!(" {}", cause.message),
                Outcome::Skipped { reason } => format!(" {}", paint(DIM, reason)),
                _ => format!(" {}", paint(DIM, time::short(*elapsed))),
            };
            (verbosity >= needed).then(|| format!("{}  {step:<24} {word}{tail}", who(guest)))
        }
        Event::GuestFinished { guest, outcome, elapsed } => {
            let word = paint(style::of(outcome), format!("{:<9}", style::word(outcome)));
            let tail = match outcome {
                Outcome::Skipped { reason } => reason.clone(),
                _ => time::short(*elapsed),
            };
            (verbosity >= Verbosity::Normal)
                .then(|| format!("{}  {:<24} {word} {}", who(guest), paint(DIM, format!("{:<24}", "done")), tail))
        }
        Event::Section { guest, label } if verbosity >= Verbosity::Verbose => {
            Some(format!("{}    {}", who(guest), paint(DIM, label)))
        }
        Event::Change { guest, difference } if verbosity >= Verbosity::Verbose => {
            let value = match (&difference.from, &difference.to) {
                (Some(from), Some(to)) => format!(" {from} -> {to}"),
                (None, Some(to)) => format!(" {to}"),
                _ => String::new(),
            };
            Some(format!("{}    {}{value}", who(guest), difference.what))
        }
        Event::Waiting { guest, on } if verbosity >= Verbosity::Verbose => {
            Some(format!("{}    {}", who(guest), paint(DIM, format!("waiting for {on}"))))
        }
        Event::Did { guest, what, .. } if verbosity >= Verbosity::Commands => {
            let who = guest.as_ref().map(who).unwrap_or_default();
            Some(format!("{who}      {}", paint(DIM, what)))
        }
        Event::Message { guest, level, text } => {
            let needed = match level {
                Level::Warning => Verbosity::Quiet,
                Level::Info => Verbosity::Normal,
                Level::Debug => Verbosity::Commands,
            };
            let mark = if *level == Level::Warning { paint(style::CHANGED, "warning: ") } else { String::new() };
            let who = guest.as_ref().map(|id| who(id) + "  ").unwrap_or_default();
            (verbosity >= needed).then(|| format!("{who}{mark}{text}"))
        }
        _ => None,
    }
}

impl Sink for Plain {
    fn emit(&self, event: Stamped) {
        if let Some(text) = self.lines(&event) {
            print::note(&(text + "\n"));
        }
    }
}
