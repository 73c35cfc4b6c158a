//! What Markdown is made of.

/// A table; columns in which nothing stands are left out.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let used: Vec<usize> =
        (0..headings.len()).filter(|column| rows.iter().any(|row| !row[*column].is_empty())).collect();
    if used.is_empty() {
        return String::new();
    }
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(used.iter().map(|column| headings[*column]).collect());
    text += &format!("|{}\n", "---|".repeat(used.len()));
    for row in rows {
        let cells: Vec<String> = used.iter().map(|column| cell(&row[*column])).collect();
        text += &line(cells.iter().map(String::as_str).collect());
    }
    text
}

/// A text on one line in which nothing ends the cell.
fn cell(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A piece of code in a line of text.
pub(super) fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// Code on lines of its own.
pub(super) fn block(language: &str, text: &str) -> String {
    format!("```{language}\n{}\n```\n", text.trim_end())
}

/// `a`, `b` and `c`.
pub(super) fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// With a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}
