//! Which lines of scripts ran: a table, with what was missed.

use std::ops::RangeInclusive;

use super::style::{CHANGED, FAILED, UNCHANGED, paint};
use super::table;

/// One file.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// Its path.
    pub path: &'a str,
    /// How many lines can run.
    pub lines: usize,
    /// How many did.
    pub covered: usize,
    /// Whole percent of them.
    pub percent: usize,
    /// Those that did not.
    pub missed: Vec<RangeInclusive<usize>>,
}

/// All files and what they come to, `percent` of all lines.
pub fn render(files: &[File<'_>], percent: usize) -> String {
    let row = |name: &str, lines: usize, covered: usize, percent: usize, missed: String| {
        let style = match percent {
            90.. => UNCHANGED,
            60.. => CHANGED,
            _ => FAILED,
        };
        vec![name.to_owned(), lines.to_string(), covered.to_string(), paint(style, format!("{percent}%")), missed]
    };
    let mut rows: Vec<Vec<String>> =
        files.iter().map(|file| row(file.path, file.lines, file.covered, file.percent, ranges(&file.missed))).collect();
    let sum = |of: fn(&File) -> usize| files.iter().map(of).sum();
    rows.push(row("total", sum(|file| file.lines), sum(|file| file.covered), percent, String::new()));
    table::render(&["SCRIPT", "LINES", "COVERED", "PERCENT", "MISSED"], &rows)
}

/// Ranges of lines as people write them: `43, 57-59`.
fn ranges(missed: &[RangeInclusive<usize>]) -> String {
    let shown = missed.iter().map(|range| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    });
    shown.collect::<Vec<_>>().join(", ")
}
