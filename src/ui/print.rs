//! The two streams: results to standard output, everything else to standard error.
//!
//! A reader that went away (`phoenix status | head -1`) is no error of ours: what it does not want is dropped.

use std::io::{IsTerminal, Write};

use rustix::termios::tcgetwinsize;

use super::progress::Terminal;

/// Text of a result, colours taken out where they do not belong.
pub fn result(text: &str) {
    let mut stream = anstream::stdout().lock();
    let _gone_reader = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// A line of a result.
pub fn result_line(line: &str) {
    result(&format!("{line}\n"));
}

/// A JSON document as a result.
pub fn document(value: &serde_json::Value) {
    result_line(&format!("{value:#}"));
}

/// Progress, findings, questions.
pub fn note(text: &str) {
    let mut stream = anstream::stderr().lock();
    let _gone_reader = stream.write_all(text.as_bytes());
}

/// Columns of the terminal of standard error, if it is one.
pub fn columns() -> Option<usize> {
    let size = std::io::stderr().is_terminal().then(|| tcgetwinsize(std::io::stderr()).ok()).flatten()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

/// The terminal of standard error. Colours are taken out where they are not wished, control codes are not.
#[derive(Debug)]
pub struct StandardError {
    colored: bool,
}

impl StandardError {
    /// The terminal, if standard error is one that can move its cursor.
    pub fn terminal() -> Option<StandardError> {
        let able = std::env::var_os("TERM").is_some_and(|kind| kind != "dumb");
        let colored = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        (able && std::io::stderr().is_terminal()).then_some(StandardError { colored })
    }
}

impl Terminal for StandardError {
    fn size(&self) -> (usize, usize) {
        match tcgetwinsize(std::io::stderr()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => (80, 24),
        }
    }

    fn write(&mut self, text: &str) {
        let _gone_reader = std::io::stderr().lock().write_all(text.as_bytes());
    }

    fn colored(&self) -> bool {
        self.colored
    }
}
