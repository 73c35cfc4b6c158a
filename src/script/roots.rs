//! Where scripts are looked for, and that nothing is read from anywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use rustix::io::Errno;

static FEATURES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/features");
static APPS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/apps");

/// Larger files are not read: no text of a script may be longer.
const LIMIT: u64 = 16 << 20;

/// Directories that hold `features/` and `apps/`, in search order. A file found earlier replaces a later one as a whole.
#[derive(Clone, Debug)]
pub struct Roots {
    roots: Vec<Root>,
    /// Texts that somebody works on, by the real paths of their files.
    open: Arc<BTreeMap<PathBuf, String>>,
}

#[derive(Clone, Debug)]
enum Root {
    /// A directory: its canonical path, and what is put before a file's path in messages.
    Directory { path: PathBuf, shown: String },
    /// The copy in the binary.
    Embedded,
}

/// A file found in one of the roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Path as shown to the operator.
    pub shown: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Why a path was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RootError {
    /// Nobody has it.
    #[error("there is no `{0}`")]
    Absent(String),
    /// It would lead out of the roots.
    #[error("`{0}` leads out of the directory of the scripts")]
    Outside(String),
    /// The system refused.
    #[error("`{path}` cannot be read: {reason}")]
    Unreadable { path: String, reason: String },
}

impl Roots {
    /// The usual order: `scripts` (of `--scripts DIR`), `/etc/phoenix`, the current directory if it holds `features` or
    /// `apps`, and the copy embedded in the binary.
    pub fn usual(scripts: Option<&Path>) -> Roots {
        let mut roots = Vec::new();
        roots.extend(scripts.and_then(|dir| directory(dir, &format!("{}/", dir.display()))));
        roots.extend(directory(Path::new("/etc/phoenix"), "/etc/phoenix/"));
        if ["features", "apps"].iter().any(|folder| Path::new(folder).is_dir()) {
            roots.extend(directory(Path::new("."), ""));
        }
        roots.push(Root::Embedded);
        Roots::from(roots)
    }

    /// For files of this directory that an editor works on, whose texts stand for what is written; then as usual.
    pub fn of_editor(dir: &Path, scripts: Option<&Path>, open: BTreeMap<PathBuf, String>) -> Roots {
        let mut roots: Vec<Root> = directory(dir, &format!("{}/", dir.display())).into_iter().collect();
        roots.extend(Roots::usual(scripts).roots);
        Roots { roots, open: Arc::new(open) }
    }

    /// Only the copy embedded in the binary.
    pub fn embedded() -> Roots {
        Roots::from(vec![Root::Embedded])
    }

    /// Only this directory; messages show paths below it.
    pub fn only(dir: &Path) -> Roots {
        Roots::from(directory(dir, "").into_iter().collect::<Vec<_>>())
    }

    /// The first file of this name, e.g. `features/docker.rhai`.
    pub(crate) fn read(&self, relative: &str) -> Result<Found, RootError> {
        if !is_plain(relative) {
            return Err(RootError::Outside(relative.to_owned()));
        }
        for root in &self.roots {
            match root {
                Root::Directory { path, shown } => {
                    let shown = format!("{shown}{relative}");
                    let unreadable = |reason: String| RootError::Unreadable { path: shown.clone(), reason };
                    if let Some(text) = self.open.get(&path.join(relative)) {
                        return Ok(Found { shown, bytes: text.clone().into_bytes() });
                    }
                    match path.join(relative).symlink_metadata() {
                        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                            continue;
                        }
                        Err(error) => return Err(unreadable(error.to_string())),
                        Ok(_) => {}
                    }
                    let file = path.join(relative).canonicalize().map_err(|error| match error.kind() {
                        ErrorKind::NotFound => unreadable("it is a link that leads nowhere".to_owned()),
                        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                            unreadable("it is a link that leads in a circle".to_owned())
                        }
                        _ => unreadable(error.to_string()),
                    })?;
                    if !file.starts_with(path) {
                        return Err(RootError::Outside(relative.to_owned()));
                    }
                    let bytes = read_regular(&file).map_err(unreadable)?;
                    return Ok(Found { shown, bytes });
                }
                Root::Embedded => {
                    if let Some(bytes) = embedded_file(relative) {
                        return Ok(Found { shown: format!("<embedded>/{relative}"), bytes: bytes.to_vec() });
                    }
                }
            }
        }
        Err(RootError::Absent(relative.to_owned()))
    }

    /// Names of the files directly in a folder, of all roots together, readable or not.
    pub(crate) fn list(&self, folder: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for root in &self.roots {
            if let Root::Directory { path, .. } = root {
                let open = self.open.keys().filter(|file| file.parent() == Some(&path.join(folder)));
                names.extend(open.filter_map(|file| file.file_name()?.to_str().map(str::to_owned)));
            }
            match root {
                Root::Directory { path, .. } => names.extend(
                    std::fs::read_dir(path.join(folder))
                        .into_iter()
                        .flatten()
                        .flatten()
                        // What only looks like a script is listed too, so that reading it says what is wrong.
                        .filter(|entry| {
                            !entry.path().is_dir() || entry.path().extension().is_some_and(|suffix| suffix == "rhai")
                        })
                        .filter_map(|entry| entry.file_name().into_string().ok()),
                ),
                Root::Embedded => names.extend(
                    embedded_dir(folder)
                        .into_iter()
                        .flat_map(Dir::files)
                        .filter_map(|file| file.path().file_name()?.to_str().map(str::to_owned)),
                ),
            }
        }
        names
    }

    /// Every file below a folder, by path below it; for the digest over a script's assets.
    pub(crate) fn files_below(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for name in self.list(folder) {
            if let Ok(found) = self.read(&format!("{folder}/{name}")) {
                files.insert(name, found.bytes);
            }
        }
        for sub in self.folders(folder) {
            for (name, bytes) in self.files_below(&format!("{folder}/{sub}")) {
                files.insert(format!("{sub}/{name}"), bytes);
            }
        }
        files
    }

    fn folders(&self, folder: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for root in &self.roots {
            match root {
                // Symlinks to directories are left out: they could lead anywhere, or around in circles.
                Root::Directory { path, .. } => names.extend(
                    std::fs::read_dir(path.join(folder))
                        .into_iter()
                        .flatten()
                        .flatten()
                        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                        .filter_map(|entry| entry.file_name().into_string().ok()),
                ),
                Root::Embedded => names.extend(
                    embedded_dir(folder)
                        .into_iter()
                        .flat_map(Dir::dirs)
                        .filter_map(|dir| dir.path().file_name()?.to_str().map(str::to_owned)),
                ),
            }
        }
        names
    }
}

/// The content of a file; of nothing that would never end, or be too much.
fn read_regular(file: &Path) -> Result<Vec<u8>, String> {
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Err("it is a directory".to_owned());
    }
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if metadata.len() > LIMIT {
        return Err(format!("it has {} bytes, and {LIMIT} is the most", metadata.len()));
    }
    std::fs::read(file).map_err(|error| error.to_string())
}

impl From<Vec<Root>> for Roots {
    fn from(roots: Vec<Root>) -> Roots {
        Roots { roots, open: Arc::default() }
    }
}

fn directory(dir: &Path, shown: &str) -> Option<Root> {
    dir.canonicalize().ok().map(|path| Root::Directory { path, shown: shown.to_owned() })
}

/// Whether a path is nothing but names: no `..`, no root, no backslash.
pub(crate) fn is_plain(relative: &str) -> bool {
    !relative.is_empty()
        && !relative.contains(['\\', '\0'])
        && Path::new(relative).components().all(|part| matches!(part, Component::Normal(_)))
}

fn embedded_file(relative: &str) -> Option<&'static [u8]> {
    let (dir, rest) = embedded_part(relative)?;
    dir.get_file(rest).map(include_dir::File::contents)
}

fn embedded_dir(folder: &str) -> Option<&'static Dir<'static>> {
    match folder {
        "features" => Some(&FEATURES),
        "apps" => Some(&APPS),
        _ => embedded_part(folder).and_then(|(dir, rest)| dir.get_dir(rest)),
    }
}

fn embedded_part(relative: &str) -> Option<(&'static Dir<'static>, &str)> {
    let (top, rest) = relative.split_once('/')?;
    match top {
        "features" => Some((&FEATURES, rest)),
        "apps" => Some((&APPS, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nothing_outside_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.rhai"), "1").unwrap();
        std::fs::create_dir(dir.path().join("features")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.rhai"), dir.path().join("features/link.rhai")).unwrap();
        let roots = Roots::only(dir.path());
        for path in ["../secret.rhai", "/etc/passwd", "features/../../x", "features\\x", "", "./features/x"] {
            assert!(matches!(roots.read(path), Err(RootError::Outside(_))), "{path}");
        }
        assert_eq!(roots.read("features/link.rhai"), Err(RootError::Outside("features/link.rhai".to_owned())));
        assert_eq!(roots.read("features/x.rhai"), Err(RootError::Absent("features/x.rhai".to_owned())));
    }

    #[test]
    fn an_earlier_root_replaces_a_later_one() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (dir, text) in [(&first, "first"), (&second, "second")] {
            std::fs::create_dir(dir.path().join("features")).unwrap();
            std::fs::write(dir.path().join("features/a.rhai"), text).unwrap();
        }
        std::fs::write(second.path().join("features/b.rhai"), "second").unwrap();
        let roots = Roots::from(
            [(&first, "one/"), (&second, "two/")]
                .into_iter()
                .filter_map(|(dir, shown)| directory(dir.path(), shown))
                .collect::<Vec<_>>(),
        );
        assert_eq!(roots.read("features/a.rhai").unwrap().shown, "one/features/a.rhai");
        assert_eq!(roots.read("features/b.rhai").unwrap().shown, "two/features/b.rhai");
        assert_eq!(roots.list("features").into_iter().collect::<Vec<_>>(), ["a.rhai", "b.rhai"]);
    }
}
