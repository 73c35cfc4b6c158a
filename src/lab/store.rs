//! What insides are made of on the disk: layers, shared by copies and snapshots.
//!
//! ```text
//! DIR/insides/NAME.json     which layers an inside is made of: `101`, at a snapshot `101@NAME`
//! DIR/layers/N/files        a layer; the topmost of an inside is the one that is written
//! DIR/layers/N/work         what overlayfs needs beside it
//! ```
//! A copy freezes the layer that was written last and puts a new one over it, for both; so a clone, a snapshot, a rollback
//! take a moment, whatever their size. Of a machine that runs the layer is copied instead, while the machine is frozen. A
//! layer that no inside names any more is removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::container::{Container, Stack};
use super::program::{LabError, run};

/// What an inside is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inside {
    /// Code name of the release at the bottom.
    pub(super) release: String,
    /// Layers over it that are only read, the lowest first.
    lower: Vec<u64>,
    /// The layer that is written.
    upper: u64,
    /// It has no identity yet, and gets one at its first boot.
    pub(super) is_new: bool,
}

/// All insides of a lab.
pub(super) struct Store {
    dir: PathBuf,
    next: AtomicU64,
}

impl Store {
    /// The insides below a lab's directory.
    pub(super) fn open(dir: &Path) -> Result<Store, LabError> {
        let store = Store { dir: dir.to_owned(), next: AtomicU64::new(0) };
        for dir in [store.insides(), store.layers()] {
            fs::create_dir_all(&dir).map_err(LabError::at(&dir))?;
        }
        let layers = numbers(&store.layers())?;
        store.next.store(layers.last().map_or(0, |last| last + 1), Ordering::Relaxed);
        Ok(store)
    }

    /// Whether a directory holds what a lab keeps.
    pub(super) fn is_in(dir: &Path) -> bool {
        dir.join("insides").is_dir() && dir.join("layers").is_dir()
    }

    /// An inside, if it is there.
    pub(super) fn get(&self, name: &str) -> Result<Option<Inside>, LabError> {
        let path = self.path(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LabError::at(&path)(error)),
        };
        let inside = serde_json::from_str(&text);
        inside.map(Some).map_err(|error| LabError::failed(path.display().to_string(), error))
    }

    /// Keeps what an inside is made of.
    pub(super) fn put(&self, name: &str, inside: &Inside) -> Result<(), LabError> {
        let path = self.path(name);
        let beside = path.with_extension("new");
        let text = serde_json::to_string(inside).map_err(|error| LabError::failed("an inside", error))?;
        fs::write(&beside, text).map_err(LabError::at(&beside))?;
        fs::rename(&beside, &path).map_err(LabError::at(&path))
    }

    /// An inside comes to be, with nothing but its release.
    pub(super) fn unpack(&self, name: &str, release: &str) -> Result<(), LabError> {
        let upper = self.layer()?;
        self.put(name, &Inside { release: release.to_owned(), lower: Vec::new(), upper, is_new: true })?;
        self.sweep()
    }

    /// An inside becomes a copy of another, whose machine is given if it runs.
    pub(super) fn fork(&self, from: &str, to: &str, running: Option<&Container>) -> Result<(), LabError> {
        let absent = || LabError::failed(format!("copy of {from}"), "it has no inside in this lab");
        let mut source = self.get(from)?.ok_or_else(absent)?;
        let written = self.files(source.upper);
        let is_empty = fs::read_dir(&written).map_err(LabError::at(&written))?.next().is_none();
        let mut lower = source.lower.clone();
        match running {
            _ if is_empty => {}
            Some(machine) => {
                let copy = self.layer()?;
                let files = self.files(copy);
                fs::remove_dir(&files).map_err(LabError::at(&files))?;
                let mut copying = Command::new("cp");
                machine.frozen(|| run(copying.args(["-a", "--reflink=auto"]).arg(&written).arg(&files)))?;
                lower.push(copy);
            }
            None => {
                lower.push(source.upper);
                source = Inside { lower: lower.clone(), upper: self.layer()?, ..source };
                self.put(from, &source)?;
            }
        }
        let same = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
        let is_new = source.is_new || same(from) != same(to);
        self.put(to, &Inside { lower, upper: self.layer()?, is_new, ..source })?;
        self.sweep()
    }

    /// An inside is gone.
    pub(super) fn forget(&self, name: &str) -> Result<(), LabError> {
        let path = self.path(name);
        if path.exists() {
            fs::remove_file(&path).map_err(LabError::at(&path))?;
        }
        self.sweep()
    }

    /// Names of all insides.
    pub(super) fn names(&self) -> Result<Vec<String>, LabError> {
        let dir = self.insides();
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir).map_err(LabError::at(&dir))? {
            let name = entry.map_err(LabError::at(&dir))?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".json").map(str::to_owned));
        }
        Ok(names)
    }

    /// An inside as a container mounts it, over its release.
    pub(super) fn stack(&self, inside: &Inside, base: &Path) -> Stack {
        let layers = inside.lower.iter().map(|layer| self.files(*layer));
        Stack {
            lower: std::iter::once(base.to_owned()).chain(layers).collect(),
            upper: self.files(inside.upper),
            work: self.layers().join(inside.upper.to_string()).join("work"),
        }
    }

    /// Removes layers that no inside names.
    fn sweep(&self) -> Result<(), LabError> {
        let mut named = BTreeSet::new();
        for name in self.names()? {
            if let Some(inside) = self.get(&name)? {
                named.extend(inside.lower.into_iter().chain([inside.upper]));
            }
        }
        for layer in numbers(&self.layers())?.difference(&named) {
            let dir = self.layers().join(layer.to_string());
            fs::remove_dir_all(&dir).map_err(LabError::at(&dir))?;
        }
        Ok(())
    }

    /// A new, empty layer.
    fn layer(&self) -> Result<u64, LabError> {
        let layer = self.next.fetch_add(1, Ordering::Relaxed);
        let files = self.files(layer);
        fs::create_dir_all(&files).map_err(LabError::at(&files))?;
        Ok(layer)
    }

    fn files(&self, layer: u64) -> PathBuf {
        self.layers().join(layer.to_string()).join("files")
    }

    fn insides(&self) -> PathBuf {
        self.dir.join("insides")
    }

    fn layers(&self) -> PathBuf {
        self.dir.join("layers")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.insides().join(format!("{name}.json"))
    }
}

/// The numbers that name entries of a directory.
fn numbers(dir: &Path) -> Result<BTreeSet<u64>, LabError> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(LabError::at(dir))? {
        found.extend(entry.map_err(LabError::at(dir))?.file_name().to_string_lossy().parse::<u64>());
    }
    Ok(found)
}
