//! The lock under which one run at a time acts on a node, and what others are told who find it held.
//!
//! The kernel holds it (`flock`), so it dies with its owner, however that ends. What the file says is only read while
//! it is held: words that a crashed owner left behind mean nothing.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::host::HostError;

/// The lock of a run, held until it is dropped.
pub trait RunLock: Send + Sync {
    /// Says how far the run is, to whoever finds the lock held. It is told on a best effort: a run does not fail
    /// because nobody can read how far it is.
    fn tell(&self, progress: &str);
}

/// Where nobody else acts, nothing has to be held.
impl RunLock for () {
    fn tell(&self, _: &str) {}
}

/// Who holds a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its words about itself: user, process, command, since when.
    pub owner: String,
    /// How far it is; empty as long as it has not said.
    #[serde(default)]
    pub progress: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.owner.is_empty() { "its owner has not said who it is" } else { &self.owner })?;
        if self.progress.is_empty() { Ok(()) } else { write!(f, "; {}", self.progress) }
    }
}

/// A lock on a file, which says who holds it.
#[derive(Debug)]
pub struct FileLock {
    file: Locked,
    holder: Mutex<Holder>,
}

impl FileLock {
    /// Locks the file at `path`, which is made if need be.
    ///
    /// # Errors
    /// [`HostError::Locked`] with the words of whoever holds it.
    pub fn take(path: &Path, owner: &str) -> Result<FileLock, HostError> {
        let failed = |error: io::Error| HostError::Io { what: path.display().to_string(), reason: error.to_string() };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let file = loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = Locked::of(file.map_err(failed)?).map_err(|held| HostError::Locked { by: words(&held) })?;
            // Whoever held it may have removed it meanwhile.
            if is_at(&file, path) {
                break file;
            }
        };
        let holder = Holder { owner: owner.to_owned(), progress: String::new() };
        write(&file, &holder).map_err(failed)?;
        Ok(FileLock { file, holder: Mutex::new(holder) })
    }

    /// Who holds the lock of this file at the moment; nobody if there is no such file.
    pub fn holder(path: &Path) -> Option<Holder> {
        let file = File::open(path).ok()?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => Some(words(&file)),
        }
    }
}

impl RunLock for FileLock {
    fn tell(&self, progress: &str) {
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        progress.clone_into(&mut holder.progress);
        drop(write(&self.file, &holder));
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        drop(self.file.set_len(0));
    }
}

/// A file that nobody else has locked as long as this lives.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Locks an open file; nothing if somebody else holds its lock.
    pub fn of(file: File) -> Result<Locked, File> {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Locked(file)),
            Err(_) => Err(file),
        }
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    /// Closing alone does not give the lock free while a program that is just being started has a copy of the descriptor.
    fn drop(&mut self) {
        let _closed_all_the_same = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// One write over all that was there, so that a reader never finds less than one holder; what remains behind it is
/// blank.
fn write(file: &File, holder: &Holder) -> io::Result<()> {
    let mut text = serde_json::to_vec(holder)?;
    let before = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    text.resize(before.max(text.len() + 1), b' ');
    if let Some(last) = text.last_mut() {
        *last = b'\n';
    }
    file.write_all_at(&text, 0)
}

/// What the file says. Who reads in the very moment in which it is taken finds nothing.
fn words(file: &File) -> Holder {
    serde_json::from_reader(io::BufReader::new(file)).unwrap_or_default()
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(there), Ok(ours)) = (fs::metadata(path), file.metadata()) else { return false };
    (there.dev(), there.ino()) == (ours.dev(), ours.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_whole_whether_it_grew_or_shrank() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/lock");
        let held = FileLock::take(&path, "anna").unwrap();
        assert_eq!(FileLock::holder(&path).unwrap().to_string(), "anna");
        for progress in ["0 of 9 guests done", "3 of 9 guests done; working on 102, 1001", "9 of 9"] {
            held.tell(progress);
            assert_eq!(FileLock::holder(&path).unwrap().to_string(), format!("anna; {progress}"));
        }
        drop(held);
        assert_eq!(FileLock::holder(&path), None);
    }

    #[test]
    fn words_of_a_crashed_owner_mean_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, r#"{"owner":"gone","progress":"half"}"#).unwrap();
        assert_eq!(FileLock::holder(&path), None);
        let held = FileLock::take(&path, "b").unwrap();
        assert_eq!(FileLock::holder(&path).unwrap().to_string(), "b");
        let refused = FileLock::take(&path, "c").unwrap_err();
        assert_eq!(refused, HostError::Locked { by: Holder { owner: "b".to_owned(), progress: String::new() } });
        drop(held);
        FileLock::take(&path, "c").unwrap();
    }

    #[test]
    fn a_holder_that_has_not_said_who_it_is() {
        assert_eq!(Holder::default().to_string(), "its owner has not said who it is");
    }
}
