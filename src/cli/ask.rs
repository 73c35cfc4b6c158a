//! A question to the operator. Only asked on a terminal.

use std::io::{BufRead, IsTerminal};

use crate::ui;

/// Whether there is anybody to ask.
pub fn possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a yes-or-no question; anything but a yes is a no.
pub fn yes(question: &str) -> bool {
    ui::print::note(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
