//! The two streams: results to standard output, everything else to standard error.
//!
//! A reader that went away (`phoenix status | head -1`) is no error of ours: what it does not want is dropped.

use std::io::Write;

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
