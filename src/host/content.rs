//! What both ways to write a file share: how long its content is, and what its mode bits say.

use std::fs::File;
use std::io::{self, Read};

use crate::op::{Content, FileKind, OpError, OpErrorKind};

/// Ops name paths from the root.
///
/// # Errors
/// When it does not begin there.
pub(super) fn absolute(path: &str) -> Result<(), OpError> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(OpError::new(OpErrorKind::Failed, format!("`{path}` is no absolute path")))
}

/// How many bytes a content has; a file of the node is read once to see whether it is the right one.
///
/// # Errors
/// When the file of the node is missing or another one.
pub(super) fn length(content: &Content) -> Result<u64, OpError> {
    match content {
        Content::Bytes(bytes) => Ok(bytes.len() as u64),
        Content::Text(text) => Ok(text.expose().len() as u64),
        Content::NodeFile { path, sha256 } => {
            let (found, length) = File::open(path).and_then(digest).map_err(|error| failure(path, &error))?;
            if found == *sha256 {
                return Ok(length);
            }
            let message = format!("{path} on the node has the SHA-256 {found}, not {sha256}");
            Err(OpError::new(OpErrorKind::Conflict, message))
        }
    }
}

/// SHA-256 in lower-case hex, and how many bytes it is of.
pub(super) fn digest(mut from: impl Read) -> io::Result<(String, u64)> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut chunk = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        context.update(&chunk[..count]);
        length += count as u64;
    }
    Ok((hex(context.finish().as_ref()), length))
}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The system's words about a path, with their class.
pub(super) fn failure(path: &str, error: &io::Error) -> OpError {
    use io::ErrorKind;
    let kind = match error.kind() {
        ErrorKind::NotFound => OpErrorKind::NotFound,
        ErrorKind::NotADirectory => OpErrorKind::NotADirectory,
        ErrorKind::IsADirectory => OpErrorKind::IsADirectory,
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => OpErrorKind::Exists,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpErrorKind::PermissionDenied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OpErrorKind::NoSpace,
        ErrorKind::FileTooLarge => OpErrorKind::TooLarge,
        _ => OpErrorKind::Failed,
    };
    OpError::new(kind, format!("{path}: {error}"))
}

/// The kind that the type bits of `st_mode` say (inode(7)).
pub(super) fn kind(mode: u32) -> FileKind {
    match mode & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Directory,
        0o120_000 => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

/// Whether the type bits of `st_mode` say a character or block device.
pub(super) fn is_device(mode: u32) -> bool {
    matches!(mode & 0o170_000, 0o020_000 | 0o060_000)
}
