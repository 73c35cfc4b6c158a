//! Where scripts are looked for, and that nothing is read from anywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, include_dir};

static FEATURES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/features");
static APPS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/apps");

/// Directories that hold `features/` and `apps/`, in search order. A file found earlier replaces a later one as a whole.
#[derive(Clone, Debug)]
pub struct Roots(Vec<Root>);

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
        Roots(roots)
    }

    /// Only the copy embedded in the binary.
    pub fn embedded() -> Roots {
        Roots(vec![Root::Embedded])
    }

    /// Only this directory; messages show paths below it.
    pub fn only(dir: &Path) -> Roots {
        Roots(directory(dir, "").into_iter().collect())
    }

    /// The first file of this name, e.g. `features/docker.rhai`.
    pub(crate) fn read(&self, relative: &str) -> Result<Found, RootError> {
        if !is_plain(relative) {
            return Err(RootError::Outside(relative.to_owned()));
        }
        for root in &self.0 {
            match root {
                Root::Directory { path, shown } => match path.join(relative).canonicalize() {
                    Err(_) => {}
                    Ok(file) if !file.starts_with(path) => return Err(RootError::Outside(relative.to_owned())),
                    Ok(file) if file.is_dir() => {}
                    Ok(file) => {
                        let shown = format!("{shown}{relative}");
                        return match std::fs::read(&file) {
                            Ok(bytes) => Ok(Found { shown, bytes }),
                            Err(error) => Err(RootError::Unreadable { path: shown, reason: error.to_string() }),
                        };
                    }
                },
                Root::Embedded => {
                    if let Some(bytes) = embedded_file(relative) {
                        return Ok(Found { shown: format!("<embedded>/{relative}"), bytes: bytes.to_vec() });
                    }
                }
            }
        }
        Err(RootError::Absent(relative.to_owned()))
    }

    /// Names of the files directly in a folder, of all roots together.
    pub(crate) fn list(&self, folder: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for root in &self.0 {
            match root {
                Root::Directory { path, .. } => names.extend(
                    std::fs::read_dir(path.join(folder))
                        .into_iter()
                        .flatten()
                        .flatten()
                        .filter(|entry| entry.path().is_file())
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
        for root in &self.0 {
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

fn directory(dir: &Path, shown: &str) -> Option<Root> {
    dir.canonicalize().ok().map(|path| Root::Directory { path, shown: shown.to_owned() })
}

/// Whether a path is nothing but names: no `..`, no root, no backslash.
fn is_plain(relative: &str) -> bool {
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
        let roots = Roots(
            [(&first, "one/"), (&second, "two/")]
                .into_iter()
                .filter_map(|(dir, shown)| directory(dir.path(), shown))
                .collect(),
        );
        assert_eq!(roots.read("features/a.rhai").unwrap().shown, "one/features/a.rhai");
        assert_eq!(roots.read("features/b.rhai").unwrap().shown, "two/features/b.rhai");
        assert_eq!(roots.list("features").into_iter().collect::<Vec<_>>(), ["a.rhai", "b.rhai"]);
    }
}
