//! Messages in frames. Unlike the reader of `lsp-server`, this one survives what it cannot understand, as long as it
//! knows where the next message begins.

use std::io::{BufRead, Read, Write};

use lsp_server::{ErrorCode, Message};
use serde_json::json;

/// Larger messages are no messages, in bytes.
const LIMIT: u64 = 64 << 20;

/// What came.
#[derive(Debug)]
pub(super) enum Received {
    /// A message.
    Message(Message),
    /// A frame that holds none; the next one can be read.
    Malformed(String),
    /// No frame: nobody knows where the next one begins.
    Garbage(String),
    /// Nothing will come any more.
    End,
}

/// Reads one message.
pub(super) fn read(input: &mut impl BufRead) -> Received {
    let length = match header(input) {
        Ok(Some(length)) => length,
        Ok(None) => return Received::End,
        Err(problem) => return Received::Garbage(problem),
    };
    let mut bytes = Vec::new();
    match input.take(length).read_to_end(&mut bytes) {
        Ok(read) if read as u64 == length => {}
        _ => return Received::End,
    }
    match serde_json::from_slice(&bytes) {
        Ok(message) => Received::Message(message),
        Err(problem) => Received::Malformed(format!("this is no message: {problem}")),
    }
}

/// The length that the header of a frame tells.
fn header(input: &mut impl BufRead) -> Result<Option<u64>, String> {
    let mut length = None;
    loop {
        let mut line = Vec::new();
        match input.take(1 << 10).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        let Some(line) = line.strip_suffix("\r\n") else {
            return Err("messages begin with `Content-Length: N` and an empty line".to_owned());
        };
        if line.is_empty() {
            return length.map(Some).ok_or_else(|| "the header does not tell `Content-Length`".to_owned());
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("`{line}` is no header"))?;
        if name.eq_ignore_ascii_case("Content-Length") {
            let told = value.trim().parse().ok().filter(|length| *length <= LIMIT);
            length = Some(told.ok_or_else(|| format!("{value} is no length of a message"))?);
        }
    }
}

/// Tells that what came was no message; there is nobody whose request that would answer.
pub(super) fn refuse(output: &mut impl Write, problem: &str) -> std::io::Result<()> {
    let error = json!({ "code": ErrorCode::ParseError as i32, "message": problem });
    let text = json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string();
    write!(output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    output.flush()
}
