//! `mount`: a file system mounted now and at boot.

use std::time::Duration;

use super::{Change, Machine, MachineError, change::difference, path};
use crate::op::{Attributes, Op, OpValue};
use crate::secret::Sealed;

const FSTAB: &str = "/etc/fstab";
/// How long mounting may take: a silent server is given up by the client after two minutes.
const LIMIT: Duration = Duration::from_secs(150);

/// What is mounted, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Device, `UUID=...`, `HOST:/export`.
    pub source: String,
    /// `ext4`, `nfs4`, `tmpfs`.
    pub fstype: String,
    /// Options; `defaults` if empty.
    pub options: Vec<String>,
}

impl Machine {
    /// Brings a mount at `path` about: its line in `/etc/fstab`, its directory, and the mount itself.
    ///
    /// # Errors
    /// When something else is mounted there, or mounting fails.
    pub fn mount(&self, path: &str, mount: &Mount) -> Result<Change, MachineError> {
        let path = path::absolute(path)?;
        if mount.source.is_empty() || mount.fstype.is_empty() {
            return Err(MachineError::Invalid(format!("mount {path} needs a source and a file system type")));
        }
        let directory = self.dir(&path, &Attributes::default())?;
        let line = line(&path, mount);
        let listed = self.edit(format!("mount {path}"), FSTAB, &Attributes::default(), |old| {
            Ok(Sealed::plain(listed(old.unwrap_or_default(), &path, &line)))
        })?;
        let mounted = self.mounted(&path)?;
        let mut change = directory | listed;
        // Without a table to look at, a new line is reason enough.
        if !mounted.unwrap_or(!change.changed) {
            self.tool_within(&["mount", &path], LIMIT)?;
            let to = Some(format!("mounted from {}", mount.source));
            change = change | self.done(Change::of("", vec![difference(format!("mount {path}"), None, to)]));
        }
        Ok(Change { what: format!("mount {path}"), ..change })
    }

    /// Whether anything is mounted at a path; `None` if the machine has no table of mounts.
    fn mounted(&self, path: &str) -> Result<Option<bool>, MachineError> {
        match self.one(Op::Read { path: "/proc/self/mounts".to_owned(), limit: super::READ_LIMIT })? {
            OpValue::Bytes(bytes) => Ok(bytes.map(|bytes| {
                let escaped = escaped(path);
                String::from_utf8_lossy(&bytes).lines().any(|line| line.split(' ').nth(1) == Some(escaped.as_str()))
            })),
            _ => Err(self.broken("another answer than asked for about mounts")),
        }
    }
}

fn line(path: &str, mount: &Mount) -> String {
    let options = if mount.options.is_empty() { "defaults".to_owned() } else { mount.options.join(",") };
    format!("{} {} {} {} 0 0", escaped(&mount.source), escaped(path), mount.fstype, escaped(&options))
}

/// fstab(5): blanks, tabs and backslashes are written in octal.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011")
}

/// The table with this line as the only one for this path.
fn listed(old: &str, path: &str, line: &str) -> String {
    let escaped = escaped(path);
    let same = |candidate: &str| {
        !candidate.trim_start().starts_with('#') && candidate.split_whitespace().nth(1) == Some(escaped.as_str())
    };
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let present: Vec<&str> = old.lines().filter(|candidate| same(candidate)).collect();
    if present.len() == 1 && words(present[0]) == words(line) {
        return old.to_owned();
    }
    let kept = old.lines().filter(|candidate| !same(candidate)).chain([line]);
    kept.map(|line| format!("{line}\n")).collect()
}
