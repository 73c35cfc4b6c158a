//! The field tables of `docs/configuration.md`, as they are written there.

use std::sync::LazyLock;

use super::FileKind;

/// The page, as part of the program: what it says about a field is said nowhere else.
const PAGE: &str = include_str!("../../../docs/configuration.md");

/// Sections whose fields stand in several files.
const SHARED: [&str; 2] = ["Guests of both kinds", "Firewall rules"];

/// A row of a field table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The section it stands in: a file, or one of the shared ones.
    pub section: &'static str,
    /// The field: `GUEST.firewall.enabled`, `RULE.port`.
    pub field: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// Unit or values.
    pub values: &'static str,
    /// What it is used for.
    pub usage: &'static str,
}

impl Row {
    /// Whether the field has an effect.
    pub fn is_used(&self) -> bool {
        !self.usage.starts_with("Not used")
    }

    /// Use and values in one line, without what a schema says by itself: that the field is required and, if
    /// `says_values`, what it may be.
    pub fn description(&self, says_values: bool) -> Option<String> {
        let usage = self.usage.strip_suffix("required").unwrap_or(self.usage).trim_end_matches([' ', ';']);
        let values = match self.values.strip_prefix('[').and_then(|link| link.split_once(']')) {
            Some((words, _target)) => words,
            None if says_values && !usage.is_empty() => "",
            None => self.values,
        };
        match (usage, values) {
            ("", "") => None,
            (words, "") | ("", words) => Some(words.to_owned()),
            (usage, values) => Some(format!("{usage} ({values})")),
        }
    }
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut section = "";
    let mut rows = Vec::new();
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let cells: Vec<&'static str> = line.split('|').map(str::trim).collect();
        if let ["", field, kind, values, usage, ""] = cells[..]
            && let Some(field) = field.strip_prefix('`')
        {
            rows.push(Row { section, field: field.trim_end_matches('`'), kind, values, usage });
        }
    }
    rows
});

/// All rows in the order of the page.
pub fn rows() -> &'static [Row] {
    &ROWS
}

/// The row about a field of a file.
pub fn row(file: FileKind, path: &str) -> Option<&'static Row> {
    rows().get(position(file, path)?)
}

/// The number of that row. Of several names that a field may have there, the most special one counts.
pub fn position(file: FileKind, path: &str) -> Option<usize> {
    let stands_in = |row: &Row| row.section == file.described() || SHARED.contains(&row.section);
    names(path).iter().find_map(|name| rows().iter().position(|row| row.field == name && stands_in(row)))
}

/// The names under which the page may list a field.
fn names(path: &str) -> Vec<String> {
    let rule = ["firewall.rules[].", "global_firewall_rules[].", "firewall_rules[]."]
        .iter()
        .find_map(|list| path.split_once(list).map(|(_, name)| format!("RULE.{name}")));
    let path = path.replace(".health_check.", ".health_checks[].");
    let guest = ["lxc_configs.ID.", "vms[]."].iter().find_map(|entry| path.strip_prefix(entry));
    let guest = guest.map(|name| format!("GUEST.{name}"));
    rule.into_iter().chain([path.replace("lxc_configs.ID.", "ID.")]).chain(guest).collect()
}
