//! `watch`: what files looked like when something last succeeded.
//!
//! A reaction (restart, reload, run again) is needed while the watched files differ from those of its last success. The
//! digests of that success are kept inside the machine, in the form of `sha256sum`, and written only after the reaction:
//! a run that is killed between writing a file and reacting to it reacts in the next run.

use std::collections::BTreeMap;

use super::{Machine, MachineError, path};
use crate::op::{Attributes, Content, Entry, FileKind, Op, OpErrorKind, OpValue};

/// Where digests are kept inside the machine.
pub const WATCH_DIR: &str = "/var/lib/phoenix/watch";

/// More files than this are no configuration.
const MOST: usize = 5_000;

/// Largest record that is read.
const RECORD_LIMIT: u64 = 4 * 1024 * 1024;

/// Watched files now, and at the last success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    record: String,
    now: BTreeMap<String, String>,
    then: Option<BTreeMap<String, String>>,
}

impl Watch {
    /// Whether the files differ from those of the last success, or there was none.
    pub(super) fn differs(&self) -> bool {
        self.then.as_ref() != Some(&self.now)
    }

    /// The paths that differ; empty if there was no success yet.
    pub(super) fn changed(&self) -> Vec<&str> {
        let Some(then) = &self.then else { return Vec::new() };
        let mut paths: Vec<&str> = then.keys().chain(self.now.keys()).map(String::as_str).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.retain(|path| then.get(*path) != self.now.get(*path));
        paths
    }
}

impl Machine {
    /// Looks at files and directories (to any depth, symlinks to files followed, symlinks to directories not) and at what
    /// they were when `name` last succeeded. A path that is missing is simply not part of it.
    pub(super) fn watch(&self, name: &str, paths: &[String]) -> Result<Watch, MachineError> {
        let record = format!("{WATCH_DIR}/{}", name.replace('/', "_"));
        let mut batch = vec![Op::Read { path: record.clone(), limit: RECORD_LIMIT }];
        for path in paths {
            let path = path::absolute(path)?;
            batch.extend([Op::Digest { path: path.clone() }, Op::List { path }]);
        }
        let (mut now, mut then) = (BTreeMap::new(), None);
        // One round trip for each level of directories.
        while !batch.is_empty() {
            let mut below = Vec::new();
            for (op, result) in batch.iter().zip(self.perform(&batch)?) {
                match (op, result) {
                    (Op::Read { .. }, Ok(OpValue::Bytes(bytes))) => then = bytes.map(|bytes| parse(&bytes)),
                    (Op::Digest { path }, Ok(OpValue::Digest(digest))) => {
                        now.extend(digest.map(|digest| (path.clone(), digest)));
                    }
                    (Op::List { path }, Ok(OpValue::Entries(entries))) => {
                        below.extend(entries.into_iter().flatten().filter_map(|entry| look_at(path, &entry)));
                    }
                    (Op::Digest { .. }, Err(error)) if error.kind == OpErrorKind::IsADirectory => {}
                    (Op::List { .. }, Err(error)) if error.kind == OpErrorKind::NotADirectory => {}
                    (op, Err(source)) => return Err(MachineError::Op { op: op.to_string(), source }),
                    (op, Ok(_)) => return Err(self.broken(format!("another answer than asked for by `{op}`"))),
                }
            }
            if now.len() + below.len() > MOST {
                return Err(MachineError::Invalid(format!("more than {MOST} files to watch in {}", paths.join(", "))));
            }
            batch = below;
        }
        Ok(Watch { record, now, then })
    }

    /// What was watched has been reacted to.
    pub(super) fn keep_watch(&self, watch: &Watch) -> Result<(), MachineError> {
        if !watch.differs() {
            return Ok(());
        }
        let text: String = watch.now.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
        self.all(&[
            Op::MakeDir {
                path: WATCH_DIR.to_owned(),
                attributes: Attributes { mode: Some(0o755), ..Attributes::default() },
            },
            Op::Write {
                path: watch.record.clone(),
                content: Content::Bytes(text.into_bytes().into()),
                attributes: Attributes { mode: Some(0o644), ..Attributes::default() },
                guard: None,
            },
        ])?;
        Ok(())
    }
}

/// How an entry of a watched directory is looked at.
fn look_at(directory: &str, entry: &Entry) -> Option<Op> {
    let path = format!("{}/{}", directory.trim_end_matches('/'), entry.name);
    match entry.kind {
        FileKind::File | FileKind::Symlink => Some(Op::Digest { path }),
        FileKind::Directory => Some(Op::List { path }),
        FileKind::Other => None,
    }
}

fn parse(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let pair = |line: &str| line.split_once("  ").map(|(digest, path)| (path.to_owned(), digest.to_owned()));
    text.lines().filter_map(pair).collect()
}
