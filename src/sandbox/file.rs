//! The world file: one JSON object with everything, followed by one line of JSON per change.
//!
//! A change is appended with a single write before its answer is returned, so that it survives the death of the
//! process. A line that was cut off is as if it had never been written. When the changes outgrow the object they
//! are folded into it: a new file is written beside the old one and renamed over it, at the next change, never while
//! only looking. The file is locked (`flock`) as long as it is open.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::body::{BadLayers, Body, Layers, Misfit, Saved};
use super::record::Record;
use super::world::World;
use crate::host::lock::{FileLock, Locked};
use crate::host::{Holder, HostError};

/// Changes beyond this many bytes (and beyond the object's own size) are folded into the object.
const FOLD_ABOVE: u64 = 1 << 20;

/// Why a world file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorldFileError {
    /// The operating system said no.
    #[error("world file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("world file {path} is in use by another process{}", by.as_ref().map(|by| format!(": {by}")).unwrap_or_default())]
    InUse {
        /// The file.
        path: PathBuf,
        /// Which, if it is a run.
        by: Option<Holder>,
    },
    /// The real insides of its guests are not in order.
    #[error("world file {path}: {error}")]
    Bodies {
        /// The file.
        path: PathBuf,
        /// Why.
        error: HostError,
    },
    /// It is no world.
    #[error("world file {path}, line {line}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line of the file.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
}

/// The object at the head of the file.
#[derive(Serialize, Deserialize)]
struct Snapshot<W> {
    #[serde(flatten)]
    world: W,
    /// What machines were forked from.
    #[serde(default)]
    layers: Layers,
    /// Machines by name: the node, guests, guests at their snapshots.
    #[serde(default)]
    machines: BTreeMap<String, Saved>,
}

/// Where a world is kept.
#[derive(Debug)]
pub(super) enum Store {
    /// Nowhere: it ends with the process.
    Memory,
    /// In this file.
    File(WorldFile),
}

/// An open world file.
#[derive(Debug)]
pub(super) struct WorldFile {
    path: PathBuf,
    /// Absent until the first change makes the file.
    file: Option<Locked>,
    /// Bytes of the object and of the changes behind it.
    folded: u64,
    appended: u64,
    /// Its end is no place for another line.
    ragged: bool,
}

impl WorldFile {
    /// Opens the file and reads its world; a file that is not there has none, and is made by the first change.
    pub(super) fn open(path: &Path) -> Result<(WorldFile, Option<World>), WorldFileError> {
        let io = |source| WorldFileError::Io { path: path.to_owned(), source };
        let mut opened = WorldFile { path: path.to_owned(), file: None, folded: 0, appended: 0, ragged: false };
        let Some(file) = open_locked(path)? else { return Ok((opened, None)) };
        let mut text = Vec::new();
        (&*file).read_to_end(&mut text).map_err(io)?;
        let (world, folded, appended) = read(path, &text)?;
        // Looking alone leaves the file as it is, even one whose last line was cut off.
        opened.ragged = folded + appended < text.len() as u64 || text.last() != Some(&b'\n');
        opened.file = Some(file);
        (opened.folded, opened.appended) = (folded, appended);
        Ok((opened, Some(world)))
    }

    /// Writes a whole world to a file that nobody has open, in place of what is there. Only its owner may read it.
    pub(super) fn write(path: &Path, world: &mut World) -> Result<(), WorldFileError> {
        let _held = open_locked(path)?;
        world.begin();
        let mut file = WorldFile { path: path.to_owned(), file: None, folded: 0, appended: 0, ragged: false };
        file.fold(world)?;
        let own = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, own).map_err(|source| WorldFileError::Io { path: path.to_owned(), source })
    }

    /// Deletes the file; answers whether there was one.
    pub(super) fn delete(path: &Path) -> Result<bool, WorldFileError> {
        // Held to the end of the function: nobody else may have it open.
        let Some(_file) = open_locked(path)? else { return Ok(false) };
        std::fs::remove_file(path).map_err(|source| WorldFileError::Io { path: path.to_owned(), source })?;
        Ok(true)
    }

    /// Keeps a change. `world` is as it is after the change.
    pub(super) fn append(&mut self, record: &Record, world: &World) -> Result<(), WorldFileError> {
        if self.file.is_none() || self.ragged || self.appended > FOLD_ABOVE.max(self.folded) {
            return self.fold(world);
        }
        let mut line = serde_json::to_vec(record).map_err(|error| self.io(error.into()))?;
        line.push(b'\n');
        if let Some(file) = &self.file {
            (&**file).write_all(&line).map_err(|source| WorldFileError::Io { path: self.path.clone(), source })?;
        }
        self.appended += line.len() as u64;
        Ok(())
    }

    /// Writes the whole world in place of what is there.
    pub(super) fn fold(&mut self, world: &World) -> Result<(), WorldFileError> {
        let path = self.path.clone();
        let io = |source| WorldFileError::Io { path: path.clone(), source };
        if let Some(directory) = self.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory).map_err(io)?;
        }
        let text = render(world).map_err(|error| io(error.into()))?;
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let mut options = OpenOptions::new();
        let file =
            options.create(true).truncate(true).read(true).append(false).write(true).open(&beside).map_err(io)?;
        let file = lock(file, &self.path)?;
        (&*file).write_all(&text).map_err(io)?;
        std::fs::rename(&beside, &self.path).map_err(io)?;
        self.file = Some(file);
        (self.folded, self.appended, self.ragged) = (text.len() as u64, 0, false);
        Ok(())
    }

    /// The file beside it whose lock a run holds.
    pub(super) fn run_lock(&self) -> PathBuf {
        run_lock(&self.path)
    }

    fn io(&self, source: io::Error) -> WorldFileError {
        WorldFileError::Io { path: self.path.clone(), source }
    }
}

/// The file beside a world whose lock a run holds, so that others are told who it is and how far.
fn run_lock(world: &Path) -> PathBuf {
    let mut beside = world.as_os_str().to_owned();
    beside.push(".lock");
    beside.into()
}

/// Opens and locks the file that is at `path` now, not one that was renamed over meanwhile.
fn open_locked(path: &Path) -> Result<Option<Locked>, WorldFileError> {
    let io = |source| WorldFileError::Io { path: path.to_owned(), source };
    loop {
        let file = match OpenOptions::new().read(true).append(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let file = lock(file, path)?;
        let same =
            std::fs::metadata(path).is_ok_and(|there| file.metadata().is_ok_and(|ours| ours.ino() == there.ino()));
        if same {
            return Ok(Some(file));
        }
    }
}

fn lock(file: File, path: &Path) -> Result<Locked, WorldFileError> {
    Locked::of(file).map_err(|_| WorldFileError::InUse { path: path.to_owned(), by: FileLock::holder(&run_lock(path)) })
}

/// The world in a file's text, and how many bytes its object and its complete changes take.
fn read(path: &Path, text: &[u8]) -> Result<(World, u64, u64), WorldFileError> {
    let damaged = |at: usize, reason: String| WorldFileError::Damaged {
        path: path.to_owned(),
        line: text[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1,
        reason,
    };
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Snapshot<World>>();
    let mut snapshot = match values.next() {
        Some(Ok(snapshot)) => snapshot,
        Some(Err(error)) => return Err(damaged(values.byte_offset(), error.to_string())),
        None => return Err(damaged(0, "the file is empty".to_owned())),
    };
    let folded =
        values.byte_offset() + text[values.byte_offset()..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    unfold(&mut snapshot).map_err(|error| damaged(0, error.to_string()))?;
    let mut world = snapshot.world;
    let mut at = folded;
    while let Some(end) = text[at..].iter().position(|byte| *byte == b'\n') {
        let record: Record =
            serde_json::from_slice(&text[at..at + end]).map_err(|error| damaged(at, error.to_string()))?;
        world.apply(record).map_err(|error: Misfit| damaged(at, error.to_string()))?;
        at += end + 1;
    }
    Ok((world, folded as u64, (at - folded) as u64))
}

fn unfold(snapshot: &mut Snapshot<World>) -> Result<(), BadLayers> {
    snapshot.world.begin();
    for (name, mut body) in snapshot.world.known() {
        snapshot.layers.know(name, &mut body);
    }
    for (name, saved) in &snapshot.machines {
        let body = snapshot.layers.load(saved)?;
        snapshot.world.place_body(name, body);
    }
    Ok(())
}

/// The world as one line of JSON.
fn render(world: &World) -> serde_json::Result<Vec<u8>> {
    let mut layers = Layers::default();
    for (name, mut body) in world.known() {
        layers.know(name, &mut body);
    }
    let save = |(name, body): (&String, &Body)| (name.clone(), layers.save(body));
    let machines = world.bodies().iter().map(save).collect();
    let mut text = serde_json::to_vec(&Snapshot { world, layers, machines })?;
    text.push(b'\n');
    Ok(text)
}

/// A world out of the text of a world file.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<World, WorldFileError> {
    read(Path::new("(text)"), text.as_bytes()).map(|(world, _, _)| world)
}
