//! Covers plaintext passwords in the text that findings show.
//!
//! Works on tokens instead of values, so that a file with a syntax error shows no password either.

use std::ops::Range;

/// Whether a field or variable of this name holds something that may not be shown.
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ends =
        ["password", "passwd", "passphrase", "_pass", "password_hash", "token", "api_key", "private_key", "_secret"];
    ends.iter().any(|end| name.ends_with(end)) || name == "pass"
}

/// The text with the values of sensitive names replaced by asterisks; every byte keeps its place.
pub fn covered(text: &str) -> String {
    let strings = strings(text);
    let mut covered = text.as_bytes().to_vec();
    for (at, name) in strings.iter().enumerate() {
        if !is_sensitive(&text[name.clone()]) {
            continue;
        }
        // `"password": "..."`, or `"name": "X_PASSWORD", "value": "..."`.
        let Some(next) = strings.get(at + 1) else { continue };
        let value = if &text[next.clone()] == "value" { strings.get(at + 2) } else { Some(next) };
        let between = |value: &Range<usize>| &text[name.end..value.start];
        if let Some(value) = value
            .filter(|value| !between(value).contains(['{', '}', '[', '\n']) || between(value).contains("\"value\""))
        {
            covered[value.clone()].fill(b'*');
        }
    }
    String::from_utf8(covered).unwrap_or_default()
}

/// The insides of all quoted strings.
fn strings(text: &str) -> Vec<Range<usize>> {
    let mut strings = Vec::new();
    let mut start = None;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match (start, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(begun), b'"') => {
                strings.push(begun..at);
                start = None;
            }
            // Text ends with its line at the latest: what follows a missing quote is read as usual.
            (Some(begun), b'\n') => {
                strings.push(begun..at);
                start = None;
            }
            (None, b'"') => start = Some(at + 1),
            _ => {}
        }
    }
    strings.extend(start.map(|begun| begun..text.len()));
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_covered_and_references_are_not() {
        let text = r#"{"admin_password": "hünter2", "x": {"api_key": {"secret": "key"}}, "token_file": "/a"}"#;
        let shown = covered(text);
        assert_eq!(shown, r#"{"admin_password": "********", "x": {"api_key": {"secret": "key"}}, "token_file": "/a"}"#);
        assert_eq!(shown.len(), text.len());
    }

    #[test]
    fn variables_and_broken_text_are_covered_too() {
        let text = "{\"name\": \"DB_PASS\",\n \"value\": \"geheim\"}, \"password\" \"oops";
        assert_eq!(covered(text), "{\"name\": \"DB_PASS\",\n \"value\": \"******\"}, \"password\" \"****");
    }
}
