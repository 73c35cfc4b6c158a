//! Columns of text, left-aligned, as wide as their widest cell.

use super::style::{DIM, paint};
use super::width::columns;

/// A table with a heading line; empty columns are dropped, trailing blanks too.
pub fn render(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| visible(&row[column])).max().unwrap_or(0);
    let shown: Vec<(usize, usize)> = (0..headings.len())
        .filter(|column| width(*column) > 0)
        .map(|column| (column, width(column).max(headings[column].len())))
        .collect();
    let line = |cell: &dyn Fn(usize) -> String| {
        let cells = shown.iter().map(|(column, width)| {
            let text = cell(*column);
            let padding = width.saturating_sub(visible(&text));
            format!("{text}{}", " ".repeat(padding))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&|column| paint(DIM, headings[column]));
    for row in rows {
        text.push_str(&line(&|column| row[column].clone()));
    }
    text
}

/// Characters that take room on the terminal.
fn visible(text: &str) -> usize {
    columns(&anstream::adapter::strip_str(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_vanish() {
        let rows =
            vec![vec!["1".into(), String::new(), "long name".into()], vec!["22".into(), String::new(), "x".into()]];
        let text = anstream::adapter::strip_str(&render(&["ID", "LOCK", "NAME"], &rows)).to_string();
        assert_eq!(text, "ID  NAME\n1   long name\n22  x\n");
    }
}
