//! `file`: a regular file with this content, mode and owner.

use super::validation::{self, Aside};
use super::{Change, Machine, MachineError, attributes, change::difference, diff, path};
use crate::event::Difference;
use crate::op::{Attributes, Content, FileKind, Op, OpValue, Stat};
use crate::secret::Sealed;

/// What a file shall be.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Content; absent: whatever is there, empty if nothing is.
    pub content: Option<Content>,
    /// Mode and owner; what is absent is left alone.
    pub attributes: Attributes,
    /// Program that must succeed before new content counts; none if empty. With `%s` in an argument it gets the path
    /// of the new file, which is put in place afterwards; without, it runs with the new file in place, and the old one
    /// is put back when it fails.
    pub validate: Vec<String>,
}

impl File {
    /// A file of this text.
    pub fn text(text: Sealed) -> File {
        File { content: Some(Content::Text(text)), ..File::default() }
    }
}

/// What is at the path now.
pub(super) struct Found {
    pub(super) stat: Option<Stat>,
    digest: Option<String>,
    /// What a validation in place left there when it was cut off.
    pub(super) aside: Option<Aside>,
}

impl Machine {
    /// Brings a regular file about. A symlink in its place is replaced, a directory or device is an error.
    ///
    /// # Errors
    /// When something else is there, the parent is missing, the user is not known or the validation fails.
    pub fn file(&self, path: &str, options: &File) -> Result<Change, MachineError> {
        let path = path::absolute(path)?;
        let found = self.found(&path, options)?;
        let content = match (&options.content, &found.stat) {
            (Some(content), _) => Some(content.clone()),
            (None, Some(stat)) if stat.kind == FileKind::File => None,
            (None, _) => Some(Content::Bytes(Vec::new().into())),
        };
        let mut differences = Vec::new();
        let rewrite =
            content.filter(|content| found.digest.as_ref() != Some(&digest(content)) || found.aside.is_some());
        if let Some(content) = &rewrite {
            differences.push(self.content_difference(&path, found.stat.as_ref(), content, &options.attributes)?);
        }
        if let Some(stat) = found.stat.as_ref().filter(|stat| stat.kind == FileKind::File) {
            differences.extend(attributes::differences(&path, stat, &options.attributes));
        }
        let what = format!("file {path}");
        if differences.is_empty() {
            return Ok(Change::none(what));
        }
        match rewrite {
            Some(content) => self.rewrite(&path, content, &found, options)?,
            None => {
                self.one(Op::SetAttributes { path, attributes: options.attributes.clone() })?;
            }
        }
        Ok(self.done(Change::of(what, differences)))
    }

    fn found(&self, path: &str, options: &File) -> Result<Found, MachineError> {
        let mut ops = vec![Op::Stat { path: path.to_owned() }];
        if validation::in_place(options) {
            ops.push(Op::Stat { path: validation::aside(path) });
        }
        if options.content.is_some() {
            ops.push(Op::Digest { path: path.to_owned() });
        }
        let mut found = Found { stat: None, digest: None, aside: None };
        for (op, result) in ops.iter().zip(self.perform(&ops)?) {
            match (op, result) {
                (Op::Stat { path: asked }, Ok(OpValue::Stat(stat))) if asked == path => found.stat = stat,
                (Op::Stat { .. }, Ok(OpValue::Stat(stat))) => found.aside = stat.as_ref().map(Aside::of),
                (Op::Digest { .. }, Ok(OpValue::Digest(digest))) => found.digest = digest,
                // What `Stat` says about a directory or a dangling link is clearer.
                (Op::Digest { .. }, Err(_)) if found.stat.as_ref().is_some_and(|stat| stat.kind != FileKind::File) => {}
                (op, Err(source)) => return Err(MachineError::Op { op: op.to_string(), source }),
                (op, Ok(_)) => return Err(self.broken(format!("another answer than asked for by `{op}`"))),
            }
        }
        match found.stat.as_ref().map(|stat| stat.kind) {
            Some(FileKind::Directory) => Err(MachineError::conflict(path, "is a directory, not a file")),
            Some(FileKind::Other) => Err(MachineError::conflict(path, "is a device, socket or pipe, not a file")),
            // The link is replaced, so what it points to says nothing.
            Some(FileKind::Symlink) => Ok(Found { digest: None, ..found }),
            Some(FileKind::File) | None => Ok(found),
        }
    }

    fn content_difference(
        &self,
        path: &str,
        stat: Option<&Stat>,
        content: &Content,
        wanted: &Attributes,
    ) -> Result<Difference, MachineError> {
        let old = match stat {
            Some(stat) if stat.kind == FileKind::File && stat.size <= diff::LIMIT => {
                match self.one(Op::Read { path: path.to_owned(), limit: diff::LIMIT })? {
                    OpValue::Bytes(bytes) => bytes,
                    _ => None,
                }
            }
            Some(_) => None,
            None => Some(Vec::new()),
        };
        let new = match content {
            Content::Text(text) => Some(text.clone()),
            Content::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Sealed::plain),
            Content::NodeFile { .. } => None,
        };
        let private = [stat.map(|stat| stat.mode), wanted.mode].into_iter().flatten().any(|mode| mode & 0o004 == 0);
        let diff = old.as_deref().zip(new).and_then(|(old, new)| diff::unified(path, Some(old), &new, private));
        let from = stat.map(|stat| match &stat.target {
            Some(target) => format!("link to {target}"),
            None => format!("{} bytes", stat.size),
        });
        Ok(Difference { diff, ..difference(path, from, Some(size(content))) })
    }

    fn rewrite(&self, path: &str, content: Content, found: &Found, options: &File) -> Result<(), MachineError> {
        if options.validate.is_empty() {
            let (path, attributes) = (path.to_owned(), options.attributes.clone());
            self.one(Op::Write { path, content, attributes, guard: None })?;
            return Ok(());
        }
        let old = found.stat.as_ref().filter(|stat| stat.kind == FileKind::File);
        let path_of_new = validation::beside(path);
        let attributes = attributes::kept(old, &options.attributes);
        self.one(Op::Write { path: path_of_new, content, attributes, guard: None })?;
        if validation::in_place(options) {
            self.validated_in_place(path, found, options)
        } else {
            self.validated_beside(path, options)
        }
    }
}

/// SHA-256 of bytes in lower-case hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(content: &Content) -> String {
    match content {
        Content::Bytes(bytes) => sha256(bytes),
        Content::Text(text) => sha256(text.expose().as_bytes()),
        Content::NodeFile { sha256, .. } => sha256.clone(),
    }
}

fn size(content: &Content) -> String {
    match content {
        Content::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Content::Text(text) if text.is_secret() => "text with secrets".to_owned(),
        Content::Text(text) => format!("{} bytes", text.expose().len()),
        Content::NodeFile { path, .. } => format!("copy of {path} on the node"),
    }
}
