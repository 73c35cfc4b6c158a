//! What was chosen, and why: one thing a line, its reason beside it or, where that is too long, below.

use super::width;

/// The columns of the terminal, or of a page.
fn columns() -> usize {
    super::print::columns().unwrap_or(100)
}

/// All of them.
pub fn render(rows: &[(&str, &str, &str)]) -> String {
    let wide = rows.iter().map(|(what, ..)| what.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (what, value, why) in rows {
        text.push_str(&format!("  {what:<wide$}  {value}\n"));
        for line in width::wrapped(why, columns().saturating_sub(wide + 6)) {
            text.push_str(&format!("  {:<wide$}    {line}\n", ""));
        }
    }
    text
}
