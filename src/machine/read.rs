//! `read`, `exists` and `publish`: looking at files.

use super::{Machine, MachineError, path};
use crate::op::{Op, OpValue};

/// Largest file that a script reads: configuration, not data.
pub const READ_LIMIT: u64 = 1024 * 1024;

impl Machine {
    /// A file's text; `None` if it does not exist.
    ///
    /// # Errors
    /// When it is a directory, larger than [`READ_LIMIT`] or no UTF-8.
    pub fn read(&self, path: &str) -> Result<Option<String>, MachineError> {
        let path = path::absolute(path)?;
        let Some(bytes) = self.bytes(&path)? else { return Ok(None) };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(MachineError::conflict(path, "is no UTF-8 text")),
        }
    }

    /// Whether anything is at a path; a dangling symlink counts.
    ///
    /// # Errors
    /// When the machine does not answer.
    pub fn exists(&self, path: &str) -> Result<bool, MachineError> {
        Ok(self.stat(&path::absolute(path)?)?.is_some())
    }

    /// A file's text as the value of an artifact.
    ///
    /// # Errors
    /// As [`Machine::read`], and when there is no such file or it is empty.
    pub fn publish(&self, path: &str) -> Result<String, MachineError> {
        match self.read(path)? {
            None => Err(MachineError::conflict(path, "is to be published, but does not exist")),
            Some(text) if text.trim().is_empty() => {
                Err(MachineError::conflict(path, "is to be published, but is empty"))
            }
            Some(text) => Ok(text),
        }
    }

    pub(super) fn stat(&self, path: &str) -> Result<Option<crate::op::Stat>, MachineError> {
        match self.one(Op::Stat { path: path.to_owned() })? {
            OpValue::Stat(stat) => Ok(stat),
            _ => Err(self.broken(format!("another answer than asked for by `stat {path}`"))),
        }
    }

    pub(super) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, MachineError> {
        match self.one(Op::Read { path: path.to_owned(), limit: READ_LIMIT })? {
            OpValue::Bytes(bytes) => Ok(bytes),
            _ => Err(self.broken(format!("another answer than asked for by `read {path}`"))),
        }
    }
}
