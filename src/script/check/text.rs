//! Texts: what double quotes and backticks do with what is written in them.

use rhai::Position;

use super::visit::Checker;

/// What looks like an escape between backticks.
const ESCAPES: [&str; 4] = ["\\n", "\\t", "\\r", "\\\""];

impl Checker<'_> {
    /// A text without interpolation.
    pub fn literal(&mut self, text: &str, at: Position) {
        match self.quote(at) {
            Some('`') => self.escapes(text, at),
            Some('"') => self.interpolation(text, at),
            _ => {}
        }
    }

    /// Double quotes fill nothing in.
    fn interpolation(&mut self, text: &str, at: Position) {
        let Some((_, rest)) = text.split_once("${") else { return };
        let Some((name, _)) = rest.split_once(['}', '.', '[']) else { return };
        // It was meant to be read.
        let constants = &self.script.syntax.constants;
        let meant = match name.strip_prefix("global::") {
            Some(name) => {
                self.seen.constants.insert(name.to_owned());
                constants.iter().any(|constant| constant.name == name)
            }
            None => {
                self.variable(name);
                self.scopes.get(name).is_some()
            }
        };
        if meant {
            let hint = Some("write it in backticks: `...${name}...`".to_owned());
            self.warning("no-interpolation", at, format!("`${{{name}}}` is not filled in between double quotes"), hint);
        }
    }

    /// Backticks know no escapes: `\n` in them is two characters. Programs in shell lines may want just these.
    pub fn escapes(&mut self, text: &str, at: Position) {
        if self.in_command {
            return;
        }
        let Some((found, escape)) = ESCAPES.iter().filter_map(|escape| Some((text.find(escape)?, escape))).min() else {
            return;
        };
        let Some(start) = self.start(at) else { return };
        let source = &self.script.source;
        // The text stands in the file as it is; only a line break right after the opening backtick is left out.
        let Some(part) = source.text[start..].find(text) else { return };
        let (line, column) = source.line_column(start + part + found);
        let at = Position::new(line as u16, column as u16);
        let hint = Some("break the line itself, or use double quotes".to_owned());
        self.warning("backtick-escape", at, format!("`{escape}` is two characters between backticks"), hint);
    }

    fn quote(&self, at: Position) -> Option<char> {
        self.script.source.text[self.start(at)?..].chars().next()
    }

    fn start(&self, at: Position) -> Option<usize> {
        Some(self.script.source.offset(at.line()?, at.position()?))
    }
}
