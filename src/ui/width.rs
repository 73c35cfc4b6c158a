//! Room that text takes on a terminal: wide characters take two columns, marks on others none.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a text without colours.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The text on one line of at most so many columns; what was cut off is told by `…`. Control characters become blanks.
pub fn fit(text: &str, room: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if columns(&clean) <= room {
        return clean;
    }
    let mut cut = String::new();
    let mut left = room.saturating_sub(1);
    for c in clean.chars() {
        match left.checked_sub(c.width().unwrap_or(0)) {
            Some(rest) => left = rest,
            None => break,
        }
        cut.push(c);
    }
    if room > 0 {
        cut.push('…');
    }
    cut
}

/// The same, filled up with blanks to exactly so many columns.
pub fn fill(text: &str, room: usize) -> String {
    let fitted = fit(text, room);
    let missing = room.saturating_sub(columns(&fitted));
    fitted + " ".repeat(missing).as_str()
}

/// The words of a text on lines of at most so many columns; a longer word has a line of its own.
pub fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible it is", 5), ["incomprehensible", "it is"]);
        assert!(wrapped(" ", 5).is_empty());
    }

    #[test]
    fn wide_characters_count_twice_and_are_never_halved() {
        assert_eq!(columns("gateway"), 7);
        assert_eq!(columns("日本"), 4);
        assert_eq!(columns("e\u{301}"), 1);
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fill("日本語", 4), "日… ");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(fit("abc", 1), "…");
        assert_eq!(fit("two\nlines\u{1b}[2J", 40), "two lines [2J");
    }
}
