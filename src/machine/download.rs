//! `download`: a file from the network, by way of the node's cache.

use super::{Change, Machine, MachineError, attributes, change::difference, file::sha256, path, watch::WATCH_DIR};
use crate::op::{Attributes, Content, FileKind, Op, OpError, OpErrorKind, OpValue, Stat};

/// Where the node keeps what it fetched, by digest.
pub const CACHE_DIR: &str = "/var/lib/phoenix/cache";

/// Where a file comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Absolute URL.
    pub url: String,
    /// SHA-256 of the file (of the member, not of its archive), in hex; absent: TLS alone vouches for it, and what was
    /// fetched once stays.
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

    /// What is noted in the machine about a file with this digest.
    fn note(&self, digest: &str) -> String {
        format!("{} {digest}\n", self.identity())
    }

    /// Its name in the node's cache: what tells it from every other, and a word for who looks there.
    fn cache_name(&self) -> String {
        let last = self.member.as_deref().unwrap_or(self.url.split(['?', '#']).next().unwrap_or_default());
        let word: String = (last.rsplit('/').next().unwrap_or_default().chars())
            .filter(|c| c.is_ascii_alphanumeric() || "._+-".contains(*c))
            .take(100)
            .collect();
        format!("{word}.{}", self.identity())
    }

    /// What tells this file from every other.
    fn identity(&self) -> String {
        match (&self.sha256, &self.member) {
            (Some(digest), _) => digest.clone(),
            (None, None) => format!("url-{}", sha256(self.url.as_bytes())),
            (None, Some(member)) => format!("url-{}", sha256(format!("{} {member}", self.url).as_bytes())),
        }
    }
}

/// What is in the machine now.
struct Present {
    /// Of a regular file.
    stat: Option<Stat>,
    digest: Option<String>,
    note: Option<Vec<u8>>,
}

impl Present {
    fn is(&self, source: &Source) -> bool {
        match (&self.digest, &source.sha256) {
            (None, _) => false,
            (Some(digest), Some(wanted)) => digest == wanted,
            (Some(digest), None) => self.note.as_deref() == Some(source.note(digest).as_bytes()),
        }
    }
}

impl Machine {
    /// Brings a file about that comes from the network: fetched once by the node, compared with its digest, and carried
    /// into the machine.
    ///
    /// # Errors
    /// When the digest is none or another one, nothing answers, or the archive has no such member.
    pub fn download(&self, path: &str, source: &Source, wanted: &Attributes) -> Result<Change, MachineError> {
        let path = path::absolute(path)?;
        let source = source.checked()?;
        let record = format!("{WATCH_DIR}/download-{}", &sha256(path.as_bytes())[..16]);
        let present = self.downloaded(&path, &record)?;
        let what = format!("download {path}");
        let mut differences = match &present.stat {
            Some(stat) => attributes::differences(&path, stat, wanted),
            None => Vec::new(),
        };
        if present.is(&source) {
            if !differences.is_empty() {
                self.one(Op::SetAttributes { path, attributes: wanted.clone() })?;
            }
            return Ok(self.done(Change::of(what, differences)));
        }
        let (cached, digest) = self.node().cached(&source)?;
        let mut ops = Vec::new();
        if source.sha256.is_none() {
            // The file does not tell where it came from. Noted before it is there: a note about another digest than the
            // file's own says nothing.
            ops.push(Op::MakeDir { path: WATCH_DIR.to_owned(), attributes: Attributes::default() });
            ops.push(Op::Write {
                path: record,
                content: Content::Bytes(source.note(&digest).into_bytes().into()),
                attributes: Attributes::default(),
                guard: None,
            });
        }
        let content = Content::NodeFile { path: cached, sha256: digest };
        ops.push(Op::Write { path: path.clone(), content, attributes: wanted.clone(), guard: None });
        self.all(&ops)?;
        let from = present.stat.map(|stat| format!("{} bytes", stat.size));
        differences.insert(0, difference(path, from, Some(source.url.clone())));
        Ok(self.done(Change::of(what, differences)))
    }

    fn downloaded(&self, path: &str, record: &str) -> Result<Present, MachineError> {
        let (path, record) = (path.to_owned(), record.to_owned());
        let ops = [Op::Stat { path: path.clone() }, Op::Read { path: record, limit: super::READ_LIMIT }];
        let (stat, note) = match <[OpValue; 2]>::try_from(self.all(&ops)?) {
            Ok([OpValue::Stat(stat), OpValue::Bytes(note)]) => (stat, note),
            _ => return Err(self.broken(format!("another answer than asked for about {path}"))),
        };
        match stat.as_ref().map(|stat| stat.kind) {
            // A symlink is replaced, so what it leads to says nothing.
            None | Some(FileKind::Symlink) => Ok(Present { stat: None, digest: None, note }),
            Some(FileKind::File) => match self.one(Op::Digest { path: path.clone() })? {
                OpValue::Digest(digest) => Ok(Present { stat, digest, note }),
                _ => Err(self.broken(format!("another answer than asked for about {path}"))),
            },
            Some(FileKind::Directory | FileKind::Other) => Err(MachineError::conflict(path, "is not a regular file")),
        }
    }

    /// The file in the node's cache, fetched if it is not there, and its digest. The machine is the node.
    ///
    /// # Errors
    /// As [`Machine::download`].
    pub fn cached(&self, source: &Source) -> Result<(String, String), MachineError> {
        let source = &source.checked()?;
        let path = format!("{CACHE_DIR}/{}", source.cache_name());
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

fn fetch_failed(source: &Source, op: String, error: OpError) -> MachineError {
    let hint = match (error.kind, &source.member) {
        (OpErrorKind::Conflict, _) => {
            "the file behind the URL is another one than declared: check where it comes from, then its `sha256`"
        }
        (OpErrorKind::NotFound, Some(_)) => "check the URL and the archive's member",
        (OpErrorKind::NotFound, None) => "check the URL",
        (OpErrorKind::NoSpace, _) => "make room on the node",
        (OpErrorKind::TooLarge, _) => "is it the file that is meant?",
        (OpErrorKind::Failed, _) if error.message.contains("certificate") => {
            "the node does not believe the server: check the node's clock and its `ca-certificates`; a server with a \
             certificate of its own needs its root there"
        }
        (OpErrorKind::Failed, _) if [": 401", ": 403"].iter().any(|status| error.message.contains(status)) => {
            "the server wants a login, or serves this file to nobody: use a URL that needs none"
        }
        (OpErrorKind::Failed, _) if error.message.contains(": 407") => {
            "a proxy on the way wants a login: let the node reach the server without it"
        }
        (OpErrorKind::Failed | OpErrorKind::Timeout, _) => "check that the node can reach it",
        _ => return MachineError::Op { op, source: error },
    };
    MachineError::Conflict { what: source.url.clone(), reason: error.message, hint: Some(hint.to_owned()) }
}
