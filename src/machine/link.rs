//! `link`: a symlink.

use super::{Change, Machine, MachineError, change::difference, path};
use crate::op::{FileKind, Op};

impl Machine {
    /// Brings a symlink at `path` about that points to `target` (as written: it may be relative and need not exist).
    ///
    /// # Errors
    /// When something that is no symlink is there already.
    pub fn link(&self, path: &str, target: &str) -> Result<Change, MachineError> {
        let path = path::absolute(path)?;
        if target.is_empty() || target.contains(['\0', '\n']) {
            return Err(MachineError::Invalid(format!("`{target}` cannot be the target of link {path}")));
        }
        let what = format!("link {path}");
        let from = match self.stat(&path)? {
            Some(stat) if stat.kind == FileKind::Symlink => stat.target,
            Some(_) => {
                return Err(MachineError::Conflict {
                    what: path,
                    reason: "is there already and is no symlink".to_owned(),
                    hint: Some("remove it with `absent` before".to_owned()),
                });
            }
            None => None,
        };
        if from.as_deref() == Some(target) {
            return Ok(Change::none(what));
        }
        self.one(Op::Link { path: path.clone(), target: target.to_owned() })?;
        Ok(self.done(Change::of(what, vec![difference(path, from, Some(target.to_owned()))])))
    }
}
