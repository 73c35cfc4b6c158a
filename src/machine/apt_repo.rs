//! `apt_repo`: a package repository in deb822 form, with its key.

use super::download::Source;
use super::{Change, File, Machine, MachineError};
use crate::op::{Attributes, Content, Op, OpValue};
use crate::secret::Sealed;

/// Where a repository's key comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// These bytes, armoured or not.
    Content(Vec<u8>),
    /// Fetched from a URL.
    Url {
        /// Absolute URL.
        url: String,
        /// SHA-256 in hex; absent: TLS alone vouches for it.
        sha256: Option<String>,
    },
    /// A keyring that the machine has already.
    Path(String),
}

/// A package repository.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AptRepo {
    /// Base URL.
    pub url: String,
    /// Suite; absent: the codename of the machine's release. One that ends in `/` has no components.
    pub suite: Option<String>,
    /// Components; `main` if empty.
    pub components: Vec<String>,
    /// Key that signs it; absent: any key that apt trusts already.
    pub key: Option<Key>,
}

impl Machine {
    /// Brings `/etc/apt/sources.list.d/NAME.sources` and its key in `/etc/apt/keyrings` about. The package index is
    /// refreshed by the next installation, if anything changed.
    ///
    /// # Errors
    /// When the name or the URL is none, or the key cannot be had.
    pub fn apt_repo(&self, name: &str, repo: &AptRepo) -> Result<Change, MachineError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{name}` is no repository name: letters, digits, - and _")));
        }
        if repo.url.contains(char::is_whitespace) || !repo.url.contains(':') {
            return Err(MachineError::Invalid(format!("`{}` is no repository URL", repo.url)));
        }
        let (key, signed_by) = self.apt_key(name, repo.key.as_ref())?;
        let suite = match &repo.suite {
            Some(suite) => suite.clone(),
            None => self.facts()?.os.codename.clone(),
        };
        let mut text = format!("# Written by phoenix.\nTypes: deb\nURIs: {}\nSuites: {suite}\n", repo.url);
        if !suite.ends_with('/') {
            let components = if repo.components.is_empty() { "main".to_owned() } else { repo.components.join(" ") };
            text.push_str(&format!("Components: {components}\n"));
        }
        if let Some(path) = signed_by {
            text.push_str(&format!("Signed-By: {path}\n"));
        }
        let source = self
            .file(&format!("/etc/apt/sources.list.d/{name}.sources"), &readable(Content::Text(Sealed::plain(text))))?;
        let mut change = key | source;
        change.what = format!("apt repository {name}");
        if change.changed {
            self.forget_index();
        }
        Ok(change)
    }

    /// Brings the key about and tells its path.
    fn apt_key(&self, name: &str, key: Option<&Key>) -> Result<(Change, Option<String>), MachineError> {
        // apt tells armoured keys from binary ones by the ending.
        let path = |armoured: bool| format!("/etc/apt/keyrings/{name}.{}", if armoured { "asc" } else { "gpg" });
        match key {
            None => Ok((Change::default(), None)),
            Some(Key::Path(path)) => Ok((Change::default(), Some(super::path::absolute(path)?))),
            Some(Key::Content(bytes)) => {
                let path = path(bytes.starts_with(b"-----BEGIN PGP"));
                let change = self.keyrings()? | self.file(&path, &readable(Content::Bytes(bytes.as_slice().into())))?;
                Ok((change, Some(path)))
            }
            Some(Key::Url { url, sha256 }) => {
                let fetched = format!("/etc/apt/keyrings/{name}.key");
                let source = Source { url: url.clone(), sha256: sha256.clone(), member: None };
                let change = self.keyrings()? | self.download(&fetched, &source, &mode(0o644))?;
                let path = path(self.is_armoured(&fetched)?);
                Ok((change | self.link(&path, &fetched)?, Some(path)))
            }
        }
    }

    /// Whether a fetched key is text. Its URL does not tell: vendors call armoured keys `.gpg`, and apt then ignores them.
    fn is_armoured(&self, path: &str) -> Result<bool, MachineError> {
        match self.one(Op::Read { path: path.to_owned(), limit: super::READ_LIMIT }) {
            Ok(OpValue::Bytes(bytes)) => Ok(bytes.unwrap_or_default().first().is_none_or(u8::is_ascii)),
            Ok(_) => Err(self.broken(format!("another answer than asked for about {path}"))),
            // A rehearsal may have no more than its digest; most vendors publish text.
            Err(error) if error.is_unknown() => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn keyrings(&self) -> Result<Change, MachineError> {
        self.dir("/etc/apt/keyrings", &mode(0o755))
    }
}

fn mode(mode: u32) -> Attributes {
    Attributes { mode: Some(mode), ..Attributes::default() }
}

fn readable(content: Content) -> File {
    File { content: Some(content), attributes: mode(0o644), ..File::default() }
}
