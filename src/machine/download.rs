//! `download`: a file from the network, by way of the node's cache.

use super::{Change, Machine, MachineError, change::difference, file::sha256, path, watch::WATCH_DIR};
use crate::event::Difference;
use crate::op::{Attributes, Content, FileKind, Op, OpErrorKind, OpValue};

/// Where the node keeps what it fetched, by digest.
pub const CACHE_DIR: &str = "/var/lib/phoenix/cache";

/// Where a file comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Absolute URL.
    pub url: String,
    /// SHA-256 of what the URL answers, in hex; absent: TLS alone vouches for it, and what was fetched once stays.
    pub sha256: Option<String>,
    /// Only this member of the tar or zip archive.
    pub member: Option<String>,
}

impl Source {
    fn checked(&self) -> Result<Source, MachineError> {
        let sha256 = self.sha256.as_ref().map(|digest| digest.to_ascii_lowercase());
        if let Some(digest) = &sha256
            && (digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(MachineError::Invalid(format!("`{digest}` is no SHA-256 of {}", self.url)));
        }
        let schemes: &[&str] = if sha256.is_some() { &["https://", "http://"] } else { &["https://"] };
        if !schemes.iter().any(|scheme| self.url.starts_with(scheme)) {
            return Err(MachineError::Invalid(format!(
                "`{}` is no URL that can be fetched: http needs a digest",
                self.url
            )));
        }
        Ok(Source { sha256, ..self.clone() })
    }

    /// Whether the file itself does not tell where it came from.
    fn noted(&self) -> bool {
        self.member.is_some() || self.sha256.is_none()
    }

    /// What tells this file from every other.
    fn identity(&self) -> String {
        let whole = self.sha256.clone().unwrap_or_else(|| format!("url-{}", sha256(self.url.as_bytes())));
        match &self.member {
            None => whole,
            Some(member) => format!("{whole}-{}", &sha256(member.as_bytes())[..16]),
        }
    }
}

impl Machine {
    /// Brings a file about that comes from the network: fetched once by the node, compared with its digest, and carried
    /// into the machine. Which source a file came from is noted inside the machine.
    ///
    /// # Errors
    /// When the digest is none or another one, nothing answers, or the archive has no such member.
    pub fn download(&self, path: &str, source: &Source, attributes: &Attributes) -> Result<Change, MachineError> {
        let path = path::absolute(path)?;
        let source = source.checked()?;
        let record = format!("{WATCH_DIR}/download-{}", &sha256(path.as_bytes())[..16]);
        let ops = [
            Op::Stat { path: path.clone() },
            Op::Digest { path: path.clone() },
            Op::Read { path: record.clone(), limit: super::READ_LIMIT },
        ];
        let (stat, digest, noted) = match <[_; 3]>::try_from(self.perform(&ops)?) {
            Ok([Ok(OpValue::Stat(stat)), digest, Ok(OpValue::Bytes(noted))]) => (stat, digest, noted),
            _ => return Err(self.broken(format!("no usable answer about {path}"))),
        };
        if stat.as_ref().is_some_and(|stat| !matches!(stat.kind, FileKind::File | FileKind::Symlink)) {
            return Err(MachineError::conflict(path, "is not a regular file"));
        }
        let stat = stat.filter(|stat| stat.kind == FileKind::File);
        let present = match digest {
            Ok(OpValue::Digest(digest)) if stat.is_some() => digest,
            _ => None,
        };
        let note = |digest: &str| format!("{} {digest}\n", source.identity());
        let right = present.as_ref().is_some_and(|present| {
            if source.noted() {
                noted.as_deref() == Some(note(present).as_bytes())
            } else {
                source.sha256.as_ref() == Some(present)
            }
        });
        let what = format!("download {path}");
        let mut differences = match &stat {
            Some(stat) => super::attributes::differences(&path, stat, attributes),
            None => Vec::new(),
        };
        if right {
            if !differences.is_empty() {
                self.one(Op::SetAttributes { path, attributes: attributes.clone() })?;
            }
            return Ok(self.done(Change::of(what, differences)));
        }
        let (cached, digest) = self.node().cached(&source)?;
        let mut ops = Vec::new();
        if source.noted() {
            // Before the file: a note about another digest than the file's own says nothing.
            ops.push(Op::MakeDir { path: WATCH_DIR.to_owned(), attributes: Attributes::default() });
            ops.push(Op::Write {
                path: record,
                content: Content::Bytes(note(&digest).into_bytes().into()),
                attributes: Attributes::default(),
                guard: None,
            });
        }
        let content = Content::NodeFile { path: cached, sha256: digest };
        ops.push(Op::Write { path: path.clone(), content, attributes: attributes.clone(), guard: None });
        self.all(&ops)?;
        let from = stat.map(|stat| format!("{} bytes", stat.size));
        let content: Difference = difference(path, from, Some(source.url.clone()));
        differences.insert(0, content);
        Ok(self.done(Change::of(what, differences)))
    }

    /// The file in the node's cache, fetched if it is not there, and its digest.
    fn cached(&self, source: &Source) -> Result<(String, String), MachineError> {
        let path = format!("{CACHE_DIR}/{}", source.identity());
        let digest = Op::Digest { path: path.clone() };
        if let OpValue::Digest(Some(digest)) = self.one(digest.clone())? {
            return Ok((path, digest));
        }
        let fetch = Op::Fetch {
            url: source.url.clone(),
            sha256: source.sha256.clone(),
            member: source.member.clone(),
            path: path.clone(),
        };
        match self.all(&[fetch, digest]) {
            Ok(values) => match values.into_iter().last() {
                Some(OpValue::Digest(Some(digest))) => Ok((path, digest)),
                _ => Err(self.broken(format!("{} is not in the cache after it was fetched", source.url))),
            },
            Err(MachineError::Op { op, source: error }) => Err(fetch_failed(source, op, error)),
            Err(error) => Err(error),
        }
    }
}

fn fetch_failed(source: &Source, op: String, error: crate::op::OpError) -> MachineError {
    let hint = match (error.kind, &source.member) {
        (OpErrorKind::Conflict, _) => {
            "the file behind the URL is another one than declared: check where it comes from, then its `sha256`"
        }
        (OpErrorKind::NotFound, Some(_)) => "check the URL and the archive's member",
        (OpErrorKind::NotFound, None) => "check the URL",
        (OpErrorKind::NoSpace, _) => "make room on the node",
        (OpErrorKind::Failed | OpErrorKind::Timeout, _) => "check that the node can reach it",
        _ => return MachineError::Op { op, source: error },
    };
    MachineError::Conflict { what: source.url.clone(), reason: error.message, hint: Some(hint.to_owned()) }
}
