//! Edits of a text file: read, change in memory, write whole. What `line`, `block`, `hosts` and `mount` share.

use super::{Change, Machine, MachineError, attributes, change::difference, diff, path};
use crate::event::Difference;
use crate::op::{Attributes, Content, FileKind, Op, OpValue, Stat};
use crate::secret::Sealed;

/// Largest file that is edited.
const LIMIT: u64 = super::READ_LIMIT;

/// More symlinks than this in a row lead in circles.
const LINKS: usize = 10;

impl Machine {
    /// Brings a text file into the form that `edit` gives it; a missing file counts as empty, and an empty form makes none.
    /// A symlink stays one: what it leads to is edited.
    pub(super) fn edit(
        &self,
        what: String,
        path: &str,
        wanted: &Attributes,
        edit: impl FnOnce(Option<&str>) -> Result<Sealed, MachineError>,
    ) -> Result<Change, MachineError> {
        let Found { path, stat, text: old } = self.text(path::absolute(path)?)?;
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

    /// The file that a path leads to, and its text.
    fn text(&self, mut path: String) -> Result<Found, MachineError> {
        for _ in 0..LINKS {
            let ops = [Op::Stat { path: path.clone() }, Op::Read { path: path.clone(), limit: LIMIT }];
            let mut results = self.perform(&ops)?.into_iter();
            let (Some(stat), Some(bytes)) = (results.next(), results.next()) else {
                return Err(self.broken(format!("no answer about {path}")));
            };
            let stat = match stat {
                Ok(OpValue::Stat(stat)) => stat,
                Ok(_) => return Err(self.broken(format!("another answer than asked for about {path}"))),
                Err(source) => return Err(MachineError::Op { op: ops[0].to_string(), source }),
            };
            match stat.as_ref().map(|stat| (stat.kind, stat.target.as_deref())) {
                Some((FileKind::Symlink, Some(target))) => path = path::behind(&path, target),
                Some((FileKind::File, _)) | None => {
                    let text = match bytes {
                        Ok(OpValue::Bytes(bytes)) => bytes.map(String::from_utf8).transpose(),
                        Ok(_) => return Err(self.broken(format!("another answer than asked for about {path}"))),
                        Err(source) => return Err(MachineError::Op { op: ops[1].to_string(), source }),
                    };
                    let Ok(text) = text else { return Err(MachineError::conflict(path, "is no UTF-8 text")) };
                    return Ok(Found { path, stat, text });
                }
                Some(_) => return Err(MachineError::conflict(path, "is not a regular file")),
            }
        }
        Err(MachineError::conflict(path, "is a symlink that leads in circles"))
    }
}

/// A text file as it is.
struct Found {
    path: String,
    stat: Option<Stat>,
    text: Option<String>,
}
