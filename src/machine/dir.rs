//! `dir`: a directory with this mode and owner.

use super::{Change, Machine, MachineError, attributes, change::difference, path};
use crate::op::{Attributes, FileKind, Op, OpValue, Stat};

impl Machine {
    /// Brings a directory about, its parents too. A symlink to a directory counts as one.
    ///
    /// # Errors
    /// When something else is there or the user is not known.
    pub fn dir(&self, path: &str, wanted: &Attributes) -> Result<Change, MachineError> {
        let path = path::absolute(path)?;
        let what = format!("dir {path}");
        let Some(stat) = self.directory(&path)? else {
            self.one(Op::MakeDir { path: path.clone(), attributes: wanted.clone() })?;
            return Ok(self.done(Change::of(what, vec![difference(path, None, Some("directory".to_owned()))])));
        };
        let differences = attributes::differences(&path, &stat, wanted);
        if !differences.is_empty() {
            self.one(Op::SetAttributes { path, attributes: wanted.clone() })?;
        }
        Ok(self.done(Change::of(what, differences)))
    }

    /// The directory at a path; behind a symlink the one it points to.
    fn directory(&self, path: &str) -> Result<Option<Stat>, MachineError> {
        let Some(stat) = self.stat(path)? else { return Ok(None) };
        match stat.kind {
            FileKind::Directory => Ok(Some(stat)),
            FileKind::Symlink => {
                // A path that ends in `/.` is what the link points to.
                match self.one(Op::Stat { path: format!("{path}/.") }) {
                    Ok(OpValue::Stat(Some(behind))) if behind.kind == FileKind::Directory => Ok(Some(behind)),
                    Ok(_) | Err(MachineError::Op { .. }) => {
                        Err(MachineError::conflict(path, "is a symlink that leads to no directory"))
                    }
                    Err(error) => Err(error),
                }
            }
            FileKind::File | FileKind::Other => Err(MachineError::conflict(path, "is not a directory")),
        }
    }
}
