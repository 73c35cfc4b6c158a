//! `nfs_export`: a directory that others may mount, in a file of its own.

use super::{readable, slug};
use crate::machine::change::difference;
use crate::machine::{Change, File, Machine, MachineError, path};
use crate::op::{Op, OpValue};
use crate::secret::Sealed;

const DIR: &str = "/etc/exports.d";

/// Who may mount a directory, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NfsExport {
    /// Addresses, networks or names.
    pub clients: Vec<String>,
    /// Options for all of them, as in exports(5); `rw sync no_subtree_check` if empty.
    pub options: Vec<String>,
    /// It shall not be there.
    pub absent: bool,
}

impl Machine {
    /// Brings an export about: `/etc/exports.d/NAME.exports`, read by the server again when it changed. Exports of others,
    /// in `/etc/exports` and files beside it, stay.
    ///
    /// # Errors
    /// When the directory is not there, somebody else exports it already, or there is no NFS server.
    pub fn nfs_export(&self, path: &str, export: &NfsExport) -> Result<Change, MachineError> {
        self.on_the_node("nfs_export")?;
        let path = path::absolute(path)?;
        let what = format!("NFS export {path}");
        let file = format!("{DIR}/phoenix-{}.exports", slug(&path));
        let mut change = if export.absent {
            self.absent(&file, false)?
        } else {
            self.exportable(&path, &file)?;
            let text = line(&path, export)?;
            self.dir(DIR, &Default::default())?
                | self.file(&file, &File { attributes: readable(), ..File::text(Sealed::plain(text)) })?
        };
        // Watched, because a run that is killed between the two leaves an export that the server does not know.
        let watch = self.watch(&format!("nfs_export-{}", slug(&path)), std::slice::from_ref(&file))?;
        // Of an export that never was there is nothing to read again.
        let stale = if export.absent { change.changed || !watch.changed().is_empty() } else { watch.differs() };
        if stale {
            self.node_tool(&["exportfs", "-ra"])?;
            self.keep_watch(&watch)?;
            if !change.changed {
                let read = difference(&what, None, Some("read by the server".to_owned()));
                change = change | self.done(Change::of("", vec![read]));
            }
        }
        Ok(Change { what, ..change })
    }

    /// Whether it can be exported: it is a directory, nobody else does it, and there is a server.
    fn exportable(&self, path: &str, own: &str) -> Result<(), MachineError> {
        let conflict = |reason: String, hint: &str| {
            Err(MachineError::Conflict { what: format!("NFS export {path}"), reason, hint: Some(hint.to_owned()) })
        };
        if !self.exists(path)? {
            return conflict("the directory is not there".to_owned(), "declare it with `dir` or `zfs_dataset` before");
        }
        if !self.exists("/usr/sbin/exportfs")? {
            return conflict("there is no NFS server".to_owned(), "declare `packages(\"nfs-kernel-server\")` before");
        }
        let ops = [
            Op::Read { path: "/etc/exports".to_owned(), limit: crate::machine::READ_LIMIT },
            Op::ReadAll { path: DIR.to_owned(), suffix: ".exports".to_owned() },
        ];
        let (main, beside) = match <[OpValue; 2]>::try_from(self.all(&ops)?) {
            Ok([OpValue::Bytes(main), OpValue::Files(beside)]) => (main.unwrap_or_default(), beside),
            _ => return Err(self.broken("another answer than asked for about exports")),
        };
        let others = beside.into_iter().map(|(name, text)| (format!("{DIR}/{name}"), text)).filter(|(at, _)| at != own);
        for (at, text) in std::iter::once(("/etc/exports".to_owned(), main)).chain(others) {
            let exported = |line: &str| line.split_whitespace().next().map(|word| word.trim_matches('"')) == Some(path);
            if String::from_utf8_lossy(&text).lines().any(exported) {
                return conflict(
                    format!("{at} exports it already"),
                    "take it out there, or leave it to whoever wrote it",
                );
            }
        }
        Ok(())
    }
}

fn line(path: &str, export: &NfsExport) -> Result<String, MachineError> {
    let word = |word: &&String| word.is_empty() || word.contains(|c: char| c.is_whitespace() || "()#\"".contains(c));
    if let Some(bad) = export.clients.iter().chain(&export.options).find(word) {
        return Err(MachineError::Invalid(format!("NFS export {path}: `{bad}` is no client or option")));
    }
    if export.clients.is_empty() {
        return Err(MachineError::Invalid(format!("NFS export {path}: nobody may mount it: name `clients`")));
    }
    let options = match export.options.as_slice() {
        [] => "rw,sync,no_subtree_check".to_owned(),
        options => options.join(","),
    };
    let clients: Vec<String> = export.clients.iter().map(|client| format!("{client}({options})")).collect();
    let shown = if path.contains(' ') { format!("\"{path}\"") } else { path.to_owned() };
    Ok(format!("# Written by phoenix.\n{shown} {}\n", clients.join(" ")))
}
