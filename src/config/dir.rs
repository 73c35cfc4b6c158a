//! Where a configuration is read from: a directory, or the platform embedded in the binary.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir as Folder, include_dir};

static PLATFORM: Folder<'static> = include_dir!("$CARGO_MANIFEST_DIR/etc");

/// A configuration directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dir {
    /// On this machine.
    Real(PathBuf),
    /// The platform that comes with phoenix.
    Embedded,
}

impl Dir {
    /// How the path of a file in it is shown.
    pub fn shown(&self, name: &str) -> String {
        match self {
            Dir::Real(_) => self.path(name).display().to_string(),
            Dir::Embedded => format!("<embedded>/etc/{name}"),
        }
    }

    /// Where a file of a real directory is; `../` leads beside the directory, by its name rather than through it.
    fn path(&self, name: &str) -> PathBuf {
        let Dir::Real(path) = self else { return PathBuf::from(name) };
        match (name.strip_prefix("../"), path.file_name().and(path.parent())) {
            (Some(beside), Some(parent)) => parent.join(beside),
            _ => path.join(name),
        }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// What reading it gave; a missing file is `NotFound`, text that is no UTF-8 `InvalidData`.
    pub fn read(&self, name: &str) -> io::Result<String> {
        match self {
            Dir::Real(_) => std::fs::read_to_string(self.path(name)),
            Dir::Embedded => match PLATFORM.get_file(name) {
                Some(file) => String::from_utf8(file.contents().to_vec())
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }

    /// Folders of stacks, relative to this directory, by name: of `stacks/` inside it, else of the one beside it.
    pub fn stacks(&self) -> Vec<(String, String)> {
        let places = ["stacks", "../stacks"];
        let found = places.into_iter().map(|place| (place, self.folders(place))).find(|(_, names)| !names.is_empty());
        let (place, names) = found.unwrap_or(("stacks", BTreeSet::new()));
        names.into_iter().map(|name| (format!("{place}/{name}"), name)).collect()
    }

    fn folders(&self, place: &str) -> BTreeSet<String> {
        let name_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        match self {
            Dir::Real(_) => {
                let entries = std::fs::read_dir(self.path(place)).into_iter().flatten().flatten();
                entries.filter(|entry| entry.path().is_dir()).filter_map(|entry| name_of(&entry.path())).collect()
            }
            Dir::Embedded => PLATFORM
                .get_dir(place)
                .into_iter()
                .flat_map(Folder::dirs)
                .filter_map(|dir| name_of(dir.path()))
                .collect(),
        }
    }
}
