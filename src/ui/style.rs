//! Colours, by meaning.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

use crate::event::Outcome;

/// Went well and changed something.
pub const CHANGED: Style = AnsiColor::Yellow.on_default();
/// Nothing to do.
pub const UNCHANGED: Style = AnsiColor::Green.on_default();
/// Not done.
pub const SKIPPED: Style = AnsiColor::Cyan.on_default();
/// Went wrong.
pub const FAILED: Style = AnsiColor::Red.on_default().bold();
/// Less important.
pub const DIM: Style = Style::new().dimmed();
/// Names.
pub const STRONG: Style = Style::new().bold();

/// Text in a style.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The style of an outcome.
pub fn of(outcome: &Outcome) -> Style {
    match outcome {
        Outcome::Changed => CHANGED,
        Outcome::Unchanged => UNCHANGED,
        Outcome::Skipped { .. } => SKIPPED,
        Outcome::Failed { .. } => FAILED,
    }
}

/// The word for an outcome.
pub fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Changed => "changed",
        Outcome::Unchanged => "unchanged",
        Outcome::Skipped { .. } => "skipped",
        Outcome::Failed { .. } => "failed",
    }
}
