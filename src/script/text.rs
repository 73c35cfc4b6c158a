//! Small pure functions on text.

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So much of a text is shown, in bytes.
const SHOWN: usize = 16 << 10;

/// The text as far as anybody reads it; says how long it was.
pub(crate) fn shortened(text: String) -> String {
    if text.len() <= SHOWN {
        return text;
    }
    // What is added must not make it too long again.
    let mut end = SHOWN - 64;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}... ({} bytes in all)", &text[..end], text.len())
}

/// Whether a version is at least another, by the numbers of its upstream part: `2:1.24.0-2~deb13` is 1.24.0.
pub(crate) fn version_at_least(version: &str, least: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
        let upstream = upstream.split(['-', '~', '+']).next().unwrap_or_default();
        upstream.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    };
    let (mut version, mut least) = (numbers(version), numbers(least));
    let length = version.len().max(least.len());
    version.resize(length, 0);
    least.resize(length, 0);
    version >= least
}

/// The text with its first letter in lower case, as messages begin.
pub(crate) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(version_at_least("1.26.3-3+deb13u1", "1.25.1"));
        assert!(version_at_least("2:1.25.1", "1.25.1"));
        assert!(!version_at_least("1.22.1-9", "1.25.1"));
        assert!(version_at_least("1.25", "1.25.0"));
    }
}
