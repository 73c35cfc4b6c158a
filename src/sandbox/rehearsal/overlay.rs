//! What is known of one real machine, and what was predicted in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::op::FileKind;
use crate::sandbox::body::{BodyChange, Seen, UNIT_DIRS};
use crate::sandbox::double;

/// What was learnt of a real machine so far, and what was predicted in it.
#[derive(Default)]
pub(super) struct Overlay {
    /// Paths that are predicted to be something else, with everything below them.
    replaced: BTreeSet<String>,
    /// Paths that are predicted to have other attributes or more at their end.
    altered: BTreeSet<String>,
    /// Units that are predicted to be in another state.
    units: BTreeSet<String>,
    /// Something is predicted to be installed or removed.
    packages: bool,
    /// What the real machine has at a path; nothing: nothing is there.
    learnt: BTreeMap<String, Option<FileKind>>,
    /// Directories all entries of which were learnt.
    listed: BTreeSet<String>,
    /// Units whose real state was learnt.
    unit_states: BTreeSet<String>,
    all_units: bool,
}

/// What has to be asked of the real machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Paths, those above before those below.
    pub(super) paths: Vec<String>,
    pub(super) directories: Vec<String>,
    pub(super) units: Vec<String>,
    pub(super) all_units: bool,
}

impl Missing {
    pub(super) fn is_empty(&self) -> bool {
        *self == Missing::default()
    }
}

impl Overlay {
    /// Takes down what was predicted.
    pub(super) fn note(&mut self, changes: &[BodyChange]) {
        for change in changes {
            match change {
                BodyChange::File { path, .. }
                | BodyChange::Dir { path, .. }
                | BodyChange::Link { path, .. }
                | BodyChange::Other { path, .. }
                | BodyChange::Gone { path } => _ = self.replaced.insert(path.clone()),
                BodyChange::Append { path, .. } | BodyChange::Attributes { path, .. } => {
                    self.altered.insert(path.clone());
                }
                BodyChange::Package { .. } => self.packages = true,
                BodyChange::Unit { name, .. } => _ = self.units.insert(name.clone()),
                BodyChange::Power(_) => {}
            }
        }
    }

    /// Nothing was predicted.
    pub(super) fn is_untouched(&self) -> bool {
        self.replaced.is_empty() && self.altered.is_empty() && !self.packages && self.units.is_empty()
    }

    /// Units, or what doubles of services remember, were predicted to be otherwise: services may answer otherwise.
    pub(super) fn serves_otherwise(&self) -> bool {
        !self.units.is_empty() || double::MEMORIES.iter().any(|memory| self.predicts(memory.path))
    }

    /// Something was predicted to be installed or removed.
    pub(super) fn installs(&self) -> bool {
        self.packages
    }

    /// Whether something was predicted of a path, or of a directory above it.
    pub(super) fn predicts(&self, path: &str) -> bool {
        self.altered.contains(path) || self.is_replaced(path)
    }

    fn is_replaced(&self, path: &str) -> bool {
        self.replaced.contains(path) || ancestors(path).any(|above| self.replaced.contains(above))
    }

    /// Whether something was predicted of what was looked at.
    pub(super) fn affects(&self, seen: &Seen) -> bool {
        seen.paths.iter().any(|path| self.predicts(path))
            || seen.listed.iter().any(|directory| self.replaced.iter().any(|path| above(path) == directory))
            || seen.units.iter().any(|unit| self.units.contains(unit))
            || (seen.all_units && !self.units.is_empty())
            || (seen.packages && self.packages)
    }

    /// What was looked at and is not known yet.
    pub(super) fn missing(&self, seen: &Seen) -> Missing {
        let is_open = |path: &&String| !self.is_replaced(path) && !self.is_behind(path);
        let paths: Vec<String> =
            seen.paths.iter().filter(|path| !self.learnt.contains_key(*path)).filter(is_open).cloned().collect();
        let is_dir =
            |path: &&String| path.as_str() == "/" || self.learnt.get(*path) == Some(&Some(FileKind::Directory));
        let directories = seen.listed.iter().filter(|path| !self.listed.contains(*path)).filter(is_open);
        let in_files = seen.paths.iter().filter_map(|path| unit_of(path));
        let units: BTreeSet<&str> = seen.units.iter().map(String::as_str).chain(in_files).collect();
        let is_new = |unit: &&str| !self.unit_states.contains(*unit) && !self.units.contains(*unit);
        Missing {
            paths,
            directories: directories.filter(is_dir).cloned().collect(),
            units: units.into_iter().filter(is_new).map(str::to_owned).collect(),
            all_units: seen.all_units && !self.all_units,
        }
    }

    /// Whether what is above a path is known to be no directory: then nothing is there, or it lies elsewhere.
    pub(super) fn is_behind(&self, path: &str) -> bool {
        ancestors(path).any(|above| self.learnt.get(above).is_some_and(|kind| *kind != Some(FileKind::Directory)))
    }

    /// Whether the real machine is known to have nothing at a path.
    pub(super) fn lacks(&self, path: &str) -> bool {
        self.learnt.get(path) == Some(&None) || self.is_behind(path)
    }

    pub(super) fn learn(&mut self, path: &str, kind: Option<FileKind>) {
        self.learnt.insert(path.to_owned(), kind);
    }

    pub(super) fn learn_entries(&mut self, directory: &str) {
        self.listed.insert(directory.to_owned());
    }

    pub(super) fn learn_unit(&mut self, name: &str) {
        self.unit_states.insert(name.to_owned());
    }

    pub(super) fn learn_all_units(&mut self) {
        self.all_units = true;
    }
}

/// Directories above a path, from the root down, the root not among them.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.char_indices().filter(|(at, c)| *c == '/' && *at > 0).map(|(at, _)| &path[..at])
}

fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}

/// The unit that a path would be the file of.
fn unit_of(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/')?;
    let is_unit = name.rsplit_once('.').is_some_and(|(stem, suffix)| {
        !stem.is_empty() && !stem.ends_with('@') && matches!(suffix, "service" | "socket" | "timer" | "mount" | "path")
    });
    (is_unit && UNIT_DIRS.contains(&directory)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(paths: &[&str]) -> Seen {
        Seen { paths: paths.iter().map(|path| (*path).to_owned()).collect(), ..Seen::default() }
    }

    #[test]
    fn what_lies_behind_a_link_or_below_nothing_is_not_asked_for() {
        let mut overlay = Overlay::default();
        overlay.learn("/var/run", Some(FileKind::Symlink));
        overlay.learn("/srv", None);
        overlay.learn("/etc", Some(FileKind::Directory));
        let missing = overlay.missing(&seen(&["/var/run/x", "/srv/y", "/etc", "/etc/z"]));
        assert_eq!(missing.paths, ["/etc/z"]);
        assert!(overlay.lacks("/srv/y") && !overlay.lacks("/etc/z"));
    }

    #[test]
    fn a_directory_with_another_owner_keeps_what_is_in_it() {
        let mut overlay = Overlay::default();
        overlay.note(&[
            BodyChange::Attributes { path: "/srv/app".to_owned(), mode: 0o750, uid: 7, gid: 7 },
            BodyChange::Gone { path: "/srv/old".to_owned() },
        ]);
        assert!(overlay.predicts("/srv/app") && !overlay.predicts("/srv/app/file"));
        assert!(overlay.predicts("/srv/old/file"));
        assert_eq!(overlay.missing(&seen(&["/srv/app/file", "/srv/old/file"])).paths, ["/srv/app/file"]);
    }
}
