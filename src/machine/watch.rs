//! `watch`: what files looked like when something last succeeded.
//!
//! A reaction (restart, reload, run again) is needed while the watched files differ from those of its last success. The
//! digests of that success are kept inside the machine, in the form of `sha256sum`, and written only after the reaction:
//! a run that is killed between writing a file and reacting to it reacts in the next run.

use std::collections::BTreeMap;

use super::{Machine, MachineError, path};
use crate::op::{Attributes, Content, FileKind, Op, OpErrorKind, OpValue};

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
        let mut ops = vec![Op::Read { path: record.clone(), limit: RECORD_LIMIT }];
        for path in paths {
            let path = path::absolute(path)?;
            ops.extend([Op::Digest { path: path.clone() }, Op::List { path }]);
        }
        let mut results = ops.iter().zip(self.perform(&ops)?);
        let then = match results.next() {
            Some((_, Ok(OpValue::Bytes(bytes)))) => bytes.map(|bytes| parse(&bytes)),
            Some((op, Err(source))) => return Err(MachineError::Op { op: op.to_string(), source }),
            _ => return Err(self.broken("another answer than asked for by a watch")),
        };
        let mut now = BTreeMap::new();
        let mut directories = Vec::new();
        let rest: Vec<_> = results.map(|(op, result)| (op.clone(), result)).collect();
        for (op, result) in rest {
            match (op, result) {
                (Op::Digest { path }, Ok(OpValue::Digest(Some(digest)))) => {
                    now.insert(path, digest);
                }
                (Op::Digest { .. }, Ok(OpValue::Digest(None))) => {}
                (Op::Digest { .. }, Err(error)) if error.kind == OpErrorKind::IsADirectory => {}
                (Op::List { path }, Ok(OpValue::Entries(Some(entries)))) => directories.push((path, entries)),
                (Op::List { .. }, Ok(OpValue::Entries(None))) => {}
                (Op::List { .. }, Err(error)) if error.kind == OpErrorKind::NotADirectory => {}
                (op, Err(source)) => return Err(MachineError::Op { op: op.to_string(), source }),
                (op, Ok(_)) => return Err(self.broken(format!("another answer than asked for by `{op}`"))),
            }
        }
        while !directories.is_empty() {
            let mut ops = Vec::new();
            for (directory, entries) in directories.drain(..) {
                for entry in entries {
                    let path = format!("{}/{}", directory.trim_end_matches('/'), entry.name);
                    match entry.kind {
                        FileKind::File | FileKind::Symlink => ops.push(Op::Digest { path }),
                        FileKind::Directory => ops.push(Op::List { path }),
                        FileKind::Other => {}
                    }
                }
            }
            if now.len() + ops.len() > MOST {
                return Err(MachineError::Invalid(format!("more than {MOST} files to watch in {}", paths.join(", "))));
            }
            if ops.is_empty() {
                break;
            }
            for (op, result) in ops.iter().zip(self.perform(&ops)?) {
                match (op, result) {
                    (Op::Digest { path }, Ok(OpValue::Digest(Some(digest)))) => {
                        now.insert(path.clone(), digest);
                    }
                    (Op::List { path }, Ok(OpValue::Entries(Some(entries)))) => {
                        directories.push((path.clone(), entries))
                    }
                    (_, Ok(_)) => {}
                    (_, Err(error)) if error.kind == OpErrorKind::IsADirectory => {}
                    (op, Err(source)) => return Err(MachineError::Op { op: op.to_string(), source }),
                }
            }
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

fn parse(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let pair = |line: &str| line.split_once("  ").map(|(digest, path)| (path.to_owned(), digest.to_owned()));
    text.lines().filter_map(pair).collect()
}
