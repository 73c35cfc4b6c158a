//! Ops on the node itself, done without starting a process where that is possible: files, and what files tell.
//!
//! `/etc/pve` is a file system of its own kind: no mode and no owner can be set there, files have at most 1 MiB, nothing
//! can be written while the cluster has no quorum, and a name may mean a guest. A new file replaces an old one by rename
//! inside its directory, as everywhere.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::host::content::{absolute, digest, failure, is_device, kind, length};
use crate::host::{facts, neighbours};
use crate::op::{Attributes, Content, Entry, FileKind, Guard, Op, OpError, OpErrorKind, OpResult, OpValue, Stat};

/// How long a guard's lock file is waited for, as Proxmox's own tools do.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How the names of unfinished files begin; under `/etc/pve` they mean nothing to Proxmox.
const UNFINISHED: &str = ".phoenix-";
/// From this age on, an unfinished file is what somebody left who was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(10 * 60);
/// Most bytes of a file under `/etc/pve`.
const LARGEST_IN_PVE: u64 = 1 << 20;

/// Performs an op if it is one of those that need neither process nor network; unless a change of its batch `failed` before.
pub(super) fn perform_unless(failed: bool, op: &Op) -> Option<OpResult> {
    if failed {
        return Some(Err(OpError::new(OpErrorKind::NotRun, "an earlier change of the batch failed")));
    }
    perform(op)
}

fn perform(op: &Op) -> Option<OpResult> {
    Some(match op {
        Op::Stat { path } => on(path, stat),
        Op::Read { path, limit } => on(path, |path| read(path, *limit)),
        Op::Digest { path } => on(path, hash),
        Op::List { path } => on(path, list),
        Op::ReadAll { path, suffix } => on(path, |path| read_all(path, suffix)),
        Op::Write { path, content, attributes, guard } => {
            on(path, |path| write(path, content, attributes, guard.as_ref()))
        }
        Op::Append { path, bytes, sync } => on(path, |path| append(path, bytes, *sync)),
        Op::MakeDir { path, attributes } => on(path, |path| make_dir(path, attributes)),
        Op::Link { path, target } => on(path, |path| link(path, target)),
        Op::Remove { path, recursive } => on(path, |path| remove(path, *recursive)),
        Op::Move { from, to } => on(from, |from| on(to, |to| rename(from, to))),
        Op::SetAttributes { path, attributes } => on(path, |path| set_attributes(path, attributes)),
        Op::Packages => known_file(facts::DPKG_STATUS).map(|status| OpValue::Packages(facts::packages(&status))),
        Op::Accounts => accounts(),
        Op::Listening => listening(),
        Op::Neighbours { addresses } => neighbours::ask(addresses).map(OpValue::Neighbours),
        Op::Os => known_file("/etc/os-release").map(|release| facts::os(&release, architecture())),
        Op::Fetch { .. }
        | Op::RefreshPackages
        | Op::InstallPackages { .. }
        | Op::RemovePackages { .. }
        | Op::Units { .. }
        | Op::Unit { .. }
        | Op::ReloadUnits
        | Op::AddUser { .. }
        | Op::AddGroup { .. }
        | Op::AddToGroup { .. }
        | Op::Exec(_)
        | Op::Network
        | Op::SystemState => return None,
    })
}

/// Whether an op on the node is done by a program there.
pub(super) fn runs_program(op: &Op) -> bool {
    matches!(
        op,
        Op::RefreshPackages
            | Op::InstallPackages { .. }
            | Op::RemovePackages { .. }
            | Op::Units { .. }
            | Op::Unit { .. }
            | Op::ReloadUnits
            | Op::AddUser { .. }
            | Op::AddGroup { .. }
            | Op::AddToGroup { .. }
            | Op::Exec(_)
            | Op::Network
            | Op::SystemState
    )
}

fn on(path: &str, act: impl FnOnce(&str) -> OpResult) -> OpResult {
    absolute(path)?;
    act(path)
}

/// Absent is None; so is what would be below something that is no directory.
fn present<T>(path: &str, result: io::Result<T>) -> Result<Option<T>, OpError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failure(path, &error)),
    }
}

fn stat(path: &str) -> OpResult {
    let Some(found) = present(path, fs::symlink_metadata(path))? else { return Ok(OpValue::Stat(None)) };
    let mode = found.mode();
    let kind = kind(mode);
    let device = || (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
    let target = if kind == FileKind::Symlink {
        let target = fs::read_link(path).map_err(|error| failure(path, &error))?;
        Some(target.to_string_lossy().into_owned())
    } else {
        None
    };
    let (uid, gid) = (found.uid(), found.gid());
    let names = Names::read();
    Ok(OpValue::Stat(Some(Stat {
        kind,
        size: if kind == FileKind::File { found.size() } else { 0 },
        mode: mode & 0o7777,
        uid,
        gid,
        owner: names.users.iter().find(|user| user.uid == uid).map_or(uid.to_string(), |user| user.name.clone()),
        group: names.groups.iter().find(|group| group.gid == gid).map_or(gid.to_string(), |group| group.name.clone()),
        target,
        device: is_device(mode).then(device),
    })))
}

fn read(path: &str, limit: u64) -> OpResult {
    let Some(file) = present(path, File::open(path))? else { return Ok(OpValue::Bytes(None)) };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failure(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(OpError::new(OpErrorKind::TooLarge, format!("{path}: is larger than {limit} bytes")));
    }
    Ok(OpValue::Bytes(Some(bytes)))
}

fn hash(path: &str) -> OpResult {
    let Some(file) = present(path, File::open(path))? else { return Ok(OpValue::Digest(None)) };
    let (hex, _) = digest(file).map_err(|error| failure(path, &error))?;
    Ok(OpValue::Digest(Some(hex)))
}

fn list(path: &str) -> OpResult {
    let found = match present(path, fs::metadata(path))? {
        None => return Ok(OpValue::Entries(None)),
        Some(_) => fs::read_dir(path).map_err(|error| failure(path, &error))?,
    };
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        let kind = match entry.file_type()? {
            kind if kind.is_file() => FileKind::File,
            kind if kind.is_dir() => FileKind::Directory,
            kind if kind.is_symlink() => FileKind::Symlink,
            _ => FileKind::Other,
        };
        Ok(Entry { name: entry.file_name().to_string_lossy().into_owned(), kind })
    };
    let mut entries = found.map(entry).collect::<io::Result<Vec<_>>>().map_err(|error| failure(path, &error))?;
    entries.sort();
    Ok(OpValue::Entries(Some(entries)))
}

fn read_all(path: &str, suffix: &str) -> OpResult {
    let mut files = BTreeMap::new();
    let Some(entries) = present(path, fs::read_dir(path))? else { return Ok(OpValue::Files(files)) };
    for entry in entries {
        let entry = entry.map_err(|error| failure(path, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(suffix) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        // A guest's configuration may go away while its neighbours are read.
        if let Some(bytes) = present(path, fs::read(entry.path()))? {
            files.insert(name, bytes);
        }
    }
    Ok(OpValue::Files(files))
}

fn write(path: &str, content: &Content, attributes: &Attributes, guard: Option<&Guard>) -> OpResult {
    let length = length(content)?;
    if in_pve(path) && length > LARGEST_IN_PVE {
        let message = format!("{path}: {length} bytes are more than the 1 MiB that a file under /etc/pve may have");
        return Err(OpError::new(OpErrorKind::TooLarge, message));
    }
    let owner = Owner::of(attributes)?;
    let _lock = guard.map(lock).transpose()?;
    let old = fs::symlink_metadata(path).ok();
    if old.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(OpError::new(OpErrorKind::IsADirectory, format!("{path}: is a directory")));
    }
    if let Some(guard) = guard {
        let found = File::open(path).and_then(digest).map(|(hex, _)| hex).unwrap_or_default();
        if found != guard.expect {
            return Err(OpError::new(OpErrorKind::Conflict, format!("{path}: was changed meanwhile")));
        }
    }
    let new = beside(path);
    tidy(path);
    let put = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        match content {
            Content::Bytes(bytes) => file.write_all(bytes)?,
            Content::Text(text) => file.write_all(text.expose().as_bytes())?,
            Content::NodeFile { path, .. } => io::copy(&mut File::open(path)?, &mut file).map(|_| ())?,
        }
        if !in_pve(path) {
            let old = old.as_ref().filter(|old| old.is_file());
            let uid = owner.uid.or(old.map(fs::Metadata::uid));
            let gid = owner.gid.or(old.map(fs::Metadata::gid));
            fchown(&file, uid, gid)?;
            let mode = attributes.mode.or(old.map(|old| old.mode() & 0o7777)).unwrap_or(0o644);
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.sync_all()?;
        fs::rename(&new, path)
    };
    put().map_err(|error| {
        let _ = fs::remove_file(&new);
        refused(path, &error)
    })?;
    Ok(OpValue::Done)
}

/// A name in the same directory that nobody else uses.
pub(super) fn beside(path: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}/{UNFINISHED}{}-{count}", directory(path), std::process::id())
}

/// Removes what writers left unfinished in the directory of a path. It is shared with others (`/etc/pve` with a whole
/// cluster), so only age tells.
fn tidy(path: &str) {
    let Ok(entries) = fs::read_dir(directory(path)) else { return };
    for entry in entries.flatten() {
        let old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok().map(|age| age >= LEFT_BEHIND);
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && old() == Some(true) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Whether a path is in Proxmox's own file system, which has mode and owner of its own.
fn in_pve(path: &str) -> bool {
    path.starts_with("/etc/pve/")
}

/// The system's words about a path that could not be changed, with what they mean under `/etc/pve`.
fn refused(path: &str, error: &io::Error) -> OpError {
    let mut failure = failure(path, error);
    if in_pve(path) && failure.kind == OpErrorKind::PermissionDenied {
        failure.message += ": nothing can be changed under /etc/pve while the cluster has no quorum (`pvecm status`)";
    }
    failure
}

/// Takes a guard's lock file until it is dropped.
fn lock(guard: &Guard) -> Result<File, OpError> {
    absolute(&guard.lock)?;
    let file = OpenOptions::new().append(true).create(true).open(&guard.lock);
    let file = file.map_err(|error| failure(&guard.lock, &error))?;
    let until = Instant::now() + LOCK_PATIENCE;
    while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= until {
            let message = format!("can't lock file '{}' - got timeout", guard.lock);
            return Err(OpError::new(OpErrorKind::Timeout, message));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(file)
}

fn append(path: &str, bytes: &[u8], sync: bool) -> OpResult {
    let put = || -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
        let end = file.seek(io::SeekFrom::End(0))?;
        // All or nothing: half a journal line helps nobody.
        if let Err(error) = file.write_all(bytes) {
            file.set_len(end)?;
            return Err(error);
        }
        if sync { file.sync_all() } else { Ok(()) }
    };
    put().map_err(|error| failure(path, &error))?;
    Ok(OpValue::Done)
}

fn make_dir(path: &str, attributes: &Attributes) -> OpResult {
    if Path::new(path).is_dir() {
        return Ok(OpValue::Done);
    }
    let owner = Owner::of(attributes)?;
    fs::create_dir_all(path).map_err(|error| refused(path, &error))?;
    if !in_pve(path) {
        apply(path, &owner, Some(attributes.mode.unwrap_or(0o755)))?;
    }
    Ok(OpValue::Done)
}

fn link(path: &str, target: &str) -> OpResult {
    match fs::symlink_metadata(path) {
        Ok(old) if !old.is_symlink() => {
            return Err(OpError::new(OpErrorKind::Exists, format!("{path}: is no symlink")));
        }
        _ => {}
    }
    let new = beside(path);
    let put = || std::os::unix::fs::symlink(target, &new).and_then(|()| fs::rename(&new, path));
    put().map_err(|error| {
        let _ = fs::remove_file(&new);
        failure(path, &error)
    })?;
    Ok(OpValue::Done)
}

fn remove(path: &str, recursive: bool) -> OpResult {
    let Some(old) = present(path, fs::symlink_metadata(path))? else { return Ok(OpValue::Done) };
    let removed = match (old.is_dir(), recursive) {
        (false, _) => fs::remove_file(path),
        (true, true) => remove_tree(Path::new(path), old.dev()),
        (true, false) => {
            return Err(OpError::new(OpErrorKind::IsADirectory, format!("{path}: is a directory")));
        }
    };
    removed.map_err(|error| refused(path, &error))?;
    Ok(OpValue::Done)
}

/// Removes a directory and all below it that is on the same device: data that is mounted there is somebody else's.
fn remove_tree(directory: &Path, device: u64) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if !found.is_dir() {
            fs::remove_file(entry.path())?;
        } else if found.dev() == device {
            remove_tree(&entry.path(), device)?;
        } else {
            let words = format!("{} is mounted there", entry.path().display());
            return Err(io::Error::new(io::ErrorKind::CrossesDevices, words));
        }
    }
    fs::remove_dir(directory)
}

fn rename(from: &str, to: &str) -> OpResult {
    if fs::symlink_metadata(from).is_err() {
        return Err(OpError::new(OpErrorKind::NotFound, format!("{from}: does not exist")));
    }
    fs::rename(from, to).map_err(|error| refused(to, &error))?;
    Ok(OpValue::Done)
}

fn set_attributes(path: &str, attributes: &Attributes) -> OpResult {
    fs::metadata(path).map_err(|error| failure(path, &error))?;
    apply(path, &Owner::of(attributes)?, attributes.mode)?;
    Ok(OpValue::Done)
}

/// The owner first: a change of owner clears the set-id bits.
fn apply(path: &str, owner: &Owner, mode: Option<u32>) -> Result<(), OpError> {
    let put = || -> io::Result<()> {
        std::os::unix::fs::chown(path, owner.uid, owner.gid)?;
        mode.map_or(Ok(()), |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
    };
    put().map_err(|error| failure(path, &error))
}

/// Numbers of an owner, where one was named.
struct Owner {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Owner {
    fn of(attributes: &Attributes) -> Result<Owner, OpError> {
        if attributes.owner.is_none() && attributes.group.is_none() {
            return Ok(Owner { uid: None, gid: None });
        }
        let names = Names::read();
        let unknown =
            |what: &str, name: &str| OpError::new(OpErrorKind::NoSuchUser, format!("invalid {what}: '{name}'"));
        let uid = |name: &String| {
            let found = names.users.iter().find(|user| user.name == *name).map(|user| user.uid);
            found.or_else(|| name.parse().ok()).ok_or_else(|| unknown("user", name))
        };
        let gid = |name: &String| {
            let found = names.groups.iter().find(|group| group.name == *name).map(|group| group.gid);
            found.or_else(|| name.parse().ok()).ok_or_else(|| unknown("group", name))
        };
        Ok(Owner {
            uid: attributes.owner.as_ref().map(uid).transpose()?,
            gid: attributes.group.as_ref().map(gid).transpose()?,
        })
    }
}

/// Users and groups of the node's own files. A static program cannot ask for others.
struct Names {
    users: Vec<crate::op::User>,
    groups: Vec<crate::op::Group>,
}

impl Names {
    fn read() -> Names {
        let file = |path| fs::read(path).unwrap_or_default();
        Names { users: facts::users(&file("/etc/passwd")), groups: facts::groups(&file("/etc/group")) }
    }
}

fn accounts() -> OpResult {
    let Names { users, groups } = Names::read();
    Ok(OpValue::Accounts { users, groups })
}

fn listening() -> OpResult {
    let mut ports = facts::listening(&known_file("/proc/net/tcp")?);
    ports.append(&mut facts::listening(&known_file("/proc/net/tcp6")?));
    Ok(OpValue::Ports(ports))
}

/// A file of the system; empty if the system has none.
fn known_file(path: &str) -> Result<Vec<u8>, OpError> {
    Ok(present(path, fs::read(path))?.unwrap_or_default())
}

/// The node's architecture, in dpkg's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
