//! `block`: a marked region of a text file.

use super::{Change, Machine, MachineError};
use crate::op::Attributes;
use crate::secret::Sealed;

/// How a block is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What starts a comment in this kind of file.
    pub comment: String,
    /// Mode and owner of the file.
    pub attributes: Attributes,
}

impl Default for Block {
    fn default() -> Block {
        Block { comment: "#".to_owned(), attributes: Attributes::default() }
    }
}

impl Machine {
    /// Brings a region of a text file about, between lines that mark it by `name`; an empty text removes it. A missing
    /// file is made; a new region comes at the end.
    ///
    /// # Errors
    /// When the file is no text, or a region begins but never ends.
    pub fn block(&self, path: &str, name: &str, text: &Sealed, options: &Block) -> Result<Change, MachineError> {
        if name.is_empty() || name.contains('\n') {
            return Err(MachineError::Invalid(format!("`{name}` cannot be the name of a block in {path}")));
        }
        let marks = Marks::new(name, &options.comment);
        self.edit(format!("block {name} in {path}"), path, &options.attributes, |old| {
            marks.set(old.unwrap_or_default(), text).map_err(|reason| MachineError::conflict(path, reason))
        })
    }
}

/// The two lines around a region.
pub(super) struct Marks {
    begin: String,
    end: String,
}

impl Marks {
    pub(super) fn new(name: &str, comment: &str) -> Marks {
        Marks { begin: format!("{comment} BEGIN phoenix {name}"), end: format!("{comment} END phoenix {name}") }
    }

    /// The region's lines, without the marks; what comes before and after it.
    pub(super) fn split<'a>(&self, old: &'a str) -> Result<Split<'a>, String> {
        let lines: Vec<&str> = old.lines().collect();
        let Some(begin) = lines.iter().position(|line| *line == self.begin) else {
            return Ok(Split { before: lines, inside: None, after: Vec::new() });
        };
        match lines[begin..].iter().position(|line| *line == self.end) {
            Some(length) => Ok(Split {
                before: lines[..begin].to_vec(),
                inside: Some(lines[begin + 1..begin + length].to_vec()),
                after: lines[begin + length + 1..].to_vec(),
            }),
            None => Err(format!("holds `{}` without `{}`", self.begin, self.end)),
        }
    }

    pub(super) fn set(&self, old: &str, text: &Sealed) -> Result<Sealed, String> {
        let split = self.split(old)?;
        let wanted: Vec<&str> = text.expose().lines().collect();
        let right = match &split.inside {
            Some(inside) => !wanted.is_empty() && *inside == wanted,
            None => wanted.is_empty(),
        };
        if right {
            return Ok(Sealed::plain(old));
        }
        let render = |text: &str| {
            let marked = !wanted.is_empty();
            let begin = marked.then_some(self.begin.as_str());
            let end = marked.then_some(self.end.as_str());
            let before = split.before.iter().copied().chain(begin).chain(text.lines());
            before.chain(end).chain(split.after.iter().copied()).map(|line| format!("{line}\n")).collect::<String>()
        };
        Ok(Sealed::new(render(text.expose()), render(text.shown())))
    }
}

/// A file around one region.
pub(super) struct Split<'a> {
    before: Vec<&'a str>,
    /// Absent: there is no such region yet.
    pub inside: Option<Vec<&'a str>>,
    after: Vec<&'a str>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn set(old: &str, text: &str) -> Result<String, String> {
        Marks::new("x", "#").set(old, &Sealed::plain(text)).map(|new| new.expose().to_owned())
    }

    #[test]
    fn a_region_is_appended_replaced_and_removed() {
        let once = set("a\n", "b\nc\n").unwrap();
        assert_eq!(once, "a\n# BEGIN phoenix x\nb\nc\n# END phoenix x\n");
        assert_eq!(set(&once, "b\nc").unwrap(), once);
        assert_eq!(set(&format!("{once}z\n"), "d").unwrap(), "a\n# BEGIN phoenix x\nd\n# END phoenix x\nz\n");
        assert_eq!(set(&once, "").unwrap(), "a\n");
        assert_eq!(set("a", "").unwrap(), "a");
    }

    #[test]
    fn a_region_without_end_is_refused() {
        assert!(set("# BEGIN phoenix x\nb\n", "c").unwrap_err().contains("without"));
    }
}
