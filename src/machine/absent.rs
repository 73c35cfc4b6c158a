//! `absent`: nothing at a path.

use super::{Change, Machine, MachineError, change::difference, path};
use crate::op::{FileKind, Op};

impl Machine {
    /// Removes a file or symlink, or with `recursive` a directory and all that is in it.
    ///
    /// # Errors
    /// When it is a directory and `recursive` is off, or a directory directly below `/`.
    pub fn absent(&self, path: &str, recursive: bool) -> Result<Change, MachineError> {
        let path = path::absolute(path)?;
        let what = format!("absent {path}");
        let Some(stat) = self.stat(&path)? else { return Ok(Change::none(what)) };
        let directory = stat.kind == FileKind::Directory;
        if directory && !recursive {
            return Err(MachineError::Conflict {
                what: path,
                reason: "is a directory".to_owned(),
                hint: Some("`recursive: true` removes it with all that is in it".to_owned()),
            });
        }
        if directory && path.matches('/').count() < 2 {
            return Err(MachineError::Invalid(format!("{path} is part of the system and is not removed")));
        }
        self.one(Op::Remove { path: path.clone(), recursive: directory })?;
        let kind = match stat.kind {
            FileKind::File => format!("{} bytes", stat.size),
            FileKind::Directory => "directory".to_owned(),
            FileKind::Symlink => format!("link to {}", stat.target.unwrap_or_default()),
            FileKind::Other => "device, socket or pipe".to_owned(),
        };
        Ok(self.done(Change::of(what, vec![difference(path, Some(kind), None)])))
    }
}
