//! Edits of a text file: read, change in memory, write whole. What `line`, `block`, `hosts` and `mount` share.

use super::{Change, Machine, MachineError, attributes, change::difference, diff, path};
use crate::event::Difference;
use crate::op::{Attributes, Content, FileKind, Op, OpValue, Stat};
use crate::secret::Sealed;

/// Largest file that is edited.
const LIMIT: u64 = super::READ_LIMIT;

impl Machine {
    /// Brings a text file into the form that `edit` gives it; a missing file counts as empty, and an empty form makes none.
    /// A symlink is an error: writing would replace it.
    pub(super) fn edit(
        &self,
        what: String,
        path: &str,
        wanted: &Attributes,
        edit: impl FnOnce(Option<&str>) -> Result<Sealed, MachineError>,
    ) -> Result<Change, MachineError> {
        let path = path::absolute(path)?;
        let (stat, old) = self.text(&path)?;
        let new = edit(old.as_deref())?;
        let mut differences = Vec::new();
        let rewrite = old.as_deref().unwrap_or_default() != new.expose();
        if rewrite {
            let private = stat.as_ref().is_some_and(|stat| stat.mode & 0o004 == 0)
                || wanted.mode.is_some_and(|mode| mode & 0o004 == 0);
            let diff = diff::unified(&path, old.as_deref().map(str::as_bytes), &new, private);
            let from = old.as_ref().map(|old| format!("{} bytes", old.len()));
            let to =
                if new.is_secret() { "text with secrets".to_owned() } else { format!("{} bytes", new.expose().len()) };
            differences.push(Difference { diff, ..difference(&path, from, Some(to)) });
        }
        if let Some(stat) = &stat {
            differences.extend(attributes::differences(&path, stat, wanted));
        }
        if differences.is_empty() {
            return Ok(Change::none(what));
        }
        let attributes = wanted.clone();
        self.one(match rewrite {
            true => Op::Write { path, content: Content::Text(new), attributes, guard: None },
            false => Op::SetAttributes { path, attributes },
        })?;
        Ok(self.done(Change::of(what, differences)))
    }

    /// What is at a path, and its text.
    fn text(&self, path: &str) -> Result<(Option<Stat>, Option<String>), MachineError> {
        let ops = [Op::Stat { path: path.to_owned() }, Op::Read { path: path.to_owned(), limit: LIMIT }];
        let (stat, bytes) = match <[OpValue; 2]>::try_from(self.all(&ops)?) {
            Ok([OpValue::Stat(stat), OpValue::Bytes(bytes)]) => (stat, bytes),
            _ => return Err(self.broken(format!("another answer than asked for about {path}"))),
        };
        match stat.as_ref().map(|stat| stat.kind) {
            Some(FileKind::Symlink) => Err(MachineError::conflict(path, "is a symlink: name the file it points to")),
            Some(FileKind::Directory | FileKind::Other) => Err(MachineError::conflict(path, "is not a regular file")),
            Some(FileKind::File) | None => match bytes.map(String::from_utf8).transpose() {
                Ok(text) => Ok((stat, text)),
                Err(_) => Err(MachineError::conflict(path, "is no UTF-8 text")),
            },
        }
    }
}
