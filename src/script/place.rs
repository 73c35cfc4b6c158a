//! From rhai's positions (a line and a column) to places in a file.

use std::ops::Range;

use rhai::Position;

use crate::finding::Source;

/// The bytes of the word at a position: an identifier, a quoted text, or one character.
pub(crate) fn span(source: &Source, at: Position) -> Range<usize> {
    let (Some(line), Some(column)) = (at.line(), at.position()) else { return 0..0 };
    let start = source.offset(line, column.max(1));
    let rest = source.text[start..].split('\n').next().unwrap_or_default();
    let mut characters = rest.chars();
    let length = match characters.next() {
        None => 0,
        Some(first) if is_word(first) => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
        Some('"') => quoted(rest),
        Some(first) => first.len_utf8(),
    };
    start..start + length
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Length of the quoted text that begins here, up to its closing quote or the end of the line.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    rest.len()
}
