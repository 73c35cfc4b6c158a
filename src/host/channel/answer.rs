//! What the far end of a channel answers to one call, and what its words mean.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::host::channel::call::CLASSES;
use crate::op::{OpError, OpErrorKind};

/// Data fields of an answer, and its failure if it has one.
#[derive(Debug, Default)]
pub(super) struct Answer {
    fields: Vec<Vec<u8>>,
    /// Why the op failed; fields may have come before.
    pub(super) error: Option<OpError>,
}

impl Answer {
    /// Reads one answer.
    ///
    /// # Errors
    /// When the channel ended in the middle, or something came over it that is no answer of at most so many bytes.
    pub(super) async fn receive(from: &mut (impl AsyncBufRead + Unpin), most: u64) -> io::Result<Answer> {
        let mut answer = Answer::default();
        let mut from = from.take(most);
        loop {
            let mut field = Vec::new();
            from.read_until(0, &mut field).await?;
            if field.pop() != Some(0) {
                if from.limit() == 0 {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it answered more than was asked for"));
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match field.first() {
                None => return Ok(answer),
                Some(b'=') => {
                    field.remove(0);
                    answer.fields.push(field);
                }
                Some(b'!') => answer.error = Some(failure(&String::from_utf8_lossy(&field[1..]))),
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "something else spoke in between")),
            }
        }
    }

    /// How many data fields there are.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A data field as text; what is no UTF-8 is replaced.
    pub(super) fn text(&self, index: usize) -> Option<String> {
        self.fields.get(index).map(|field| String::from_utf8_lossy(field).into_owned())
    }

    /// A data field that carries bytes.
    pub(super) fn bytes(&self, index: usize) -> Option<Vec<u8>> {
        self.fields.get(index).and_then(|field| BASE64.decode(field).ok())
    }
}

/// `CLASS WORDS` as an error.
fn failure(text: &str) -> OpError {
    let (class, words) = text.split_once(' ').unwrap_or(("-", text));
    let kind = CLASSES.iter().find(|(word, _)| *word == class).map_or_else(|| meaning(words), |(_, kind)| *kind);
    OpError::new(kind, words.trim())
}

/// The class of a failure by the words of coreutils, shadow and apt (under `LC_ALL=C.UTF-8`).
pub(super) fn meaning(words: &str) -> OpErrorKind {
    const MEANINGS: &[(&str, OpErrorKind)] = &[
        ("No space left on device", OpErrorKind::NoSpace),
        ("Disk quota exceeded", OpErrorKind::NoSpace),
        ("You don't have enough free space", OpErrorKind::NoSpace),
        ("Could not get lock", OpErrorKind::Timeout),
        ("invalid user", OpErrorKind::NoSuchUser),
        ("invalid group", OpErrorKind::NoSuchUser),
        ("' does not exist", OpErrorKind::NoSuchUser),
        ("already exists", OpErrorKind::Exists),
        ("exists - if you want to add this user to that group", OpErrorKind::Exists),
        ("is not unique", OpErrorKind::Exists),
        ("No such file or directory", OpErrorKind::NotFound),
        ("Not a directory", OpErrorKind::NotADirectory),
        ("cannot overwrite non-directory", OpErrorKind::NotADirectory),
        ("Is a directory", OpErrorKind::IsADirectory),
        ("File exists", OpErrorKind::Exists),
        ("Directory not empty", OpErrorKind::Exists),
        ("Permission denied", OpErrorKind::PermissionDenied),
        ("Operation not permitted", OpErrorKind::PermissionDenied),
        ("Read-only file system", OpErrorKind::PermissionDenied),
    ];
    MEANINGS.iter().find(|(part, _)| words.contains(part)).map_or(OpErrorKind::Failed, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_by_class_or_words() {
        assert_eq!(failure("conflict /a: was changed").kind, OpErrorKind::Conflict);
        assert_eq!(failure("- chown: invalid user: 'x:x'").kind, OpErrorKind::NoSuchUser);
        assert_eq!(failure("- who knows").kind, OpErrorKind::Failed);
    }
}
