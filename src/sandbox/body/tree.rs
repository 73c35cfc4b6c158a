//! A copy-on-write file system: a tree of shared nodes, and paths resolved as Linux does it.
//!
//! Cloning a [`Tree`] shares everything; a change copies the directories on the way to it and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::op::{OpError, OpErrorKind};

use super::data::Data;
use super::watch;

/// Mode and owner of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

impl Meta {
    /// Root's, with this mode.
    pub const fn root(mode: u32) -> Meta {
        Meta { mode, uid: 0, gid: 0 }
    }
}

/// Entries of a directory by name.
pub type Entries = BTreeMap<Arc<str>, Arc<Node>>;

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Regular file.
    File(Data),
    /// Directory.
    Dir(Entries),
    /// Symbolic link to this target.
    Link(String),
    /// Device with its numbers; none: a socket or pipe.
    Other(Option<(u32, u32)>),
}

/// A file, directory, link or device.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Mode and owner.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

impl Node {
    /// An empty directory.
    pub fn dir(meta: Meta) -> Node {
        Node { meta, kind: Kind::Dir(Entries::new()) }
    }

    /// A file.
    pub fn file(meta: Meta, data: Data) -> Node {
        Node { meta, kind: Kind::File(data) }
    }

    /// A symbolic link; links belong to root here and have mode 0777, as `stat` shows them.
    pub fn link(target: impl Into<String>) -> Node {
        Node { meta: Meta::root(0o777), kind: Kind::Link(target.into()) }
    }

    /// Entries of a directory.
    pub fn entries(&self) -> Option<&Entries> {
        match &self.kind {
            Kind::Dir(entries) => Some(entries),
            _ => None,
        }
    }

    /// Mode bits and group that a directory hands on to directories made in it.
    pub fn handed_on(&self) -> Meta {
        let set_group_id = self.meta.mode & 0o2000;
        Meta { mode: set_group_id, uid: 0, gid: if set_group_id == 0 { 0 } else { self.meta.gid } }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir(_))
    }
}

/// Why a path could not be used, as the kernel says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// ENOENT
    NoEntry,
    /// ENOTDIR
    NotDirectory,
    /// EISDIR
    IsDirectory,
    /// EEXIST
    Exists,
    /// ENOTEMPTY
    NotEmpty,
    /// ELOOP
    Loop,
    /// ENAMETOOLONG
    NameTooLong,
    /// EINVAL
    Invalid,
}

impl Errno {
    /// `strerror`.
    pub const fn words(self) -> &'static str {
        match self {
            Errno::NoEntry => "No such file or directory",
            Errno::NotDirectory => "Not a directory",
            Errno::IsDirectory => "Is a directory",
            Errno::Exists => "File exists",
            Errno::NotEmpty => "Directory not empty",
            Errno::Loop => "Too many levels of symbolic links",
            Errno::NameTooLong => "File name too long",
            Errno::Invalid => "Invalid argument",
        }
    }

    /// The Op's failure about `path`.
    pub fn at(self, path: &str) -> OpError {
        let kind = match self {
            Errno::NoEntry => OpErrorKind::NotFound,
            Errno::NotDirectory => OpErrorKind::NotADirectory,
            Errno::IsDirectory => OpErrorKind::IsADirectory,
            Errno::Exists => OpErrorKind::Exists,
            Errno::NotEmpty | Errno::Loop | Errno::NameTooLong | Errno::Invalid => OpErrorKind::Failed,
        };
        OpError::new(kind, format!("{path}: {}", self.words()))
    }
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It is what is meant.
    Itself,
    /// What it points to is meant.
    Followed,
}

/// Where a path leads: the names from the root without any link, and what is there.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Names from the root; empty: the root itself.
    pub names: Vec<Arc<str>>,
    /// What is there.
    pub node: Option<Arc<Node>>,
    /// The path ended in a slash: only a directory will do.
    pub slash: bool,
}

impl Spot {
    /// The path without any link in it.
    pub fn path(&self) -> String {
        join(&self.names)
    }
}

/// `/a/b` of names.
pub fn join(names: &[Arc<str>]) -> String {
    if names.is_empty() { "/".to_owned() } else { names.iter().flat_map(|name| ["/", name]).collect() }
}

/// Linux gives up after so many links on one path.
const MOST_LINKS: u32 = 40;
/// Longest name of one entry in bytes.
const LONGEST_NAME: usize = 255;
/// Longest path in bytes, its NUL not counted.
const LONGEST_PATH: usize = 4095;

/// A file system.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    root: Arc<Node>,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { root: Arc::new(Node::dir(Meta::root(0o755))) }
    }
}

impl Tree {
    /// The root directory.
    pub fn root(&self) -> &Arc<Node> {
        &self.root
    }

    /// Whether two trees are one and the same (not merely equal).
    pub fn same(&self, other: &Tree) -> bool {
        Arc::ptr_eq(&self.root, &other.root)
    }

    /// Follows a path (relative ones from the root). What is missing at its end is no error: `node` is absent then.
    ///
    /// # Errors
    /// When something on the way is missing, is no directory, or the path is impossible.
    pub fn resolve(&self, path: &str, last: Last) -> Result<Spot, Errno> {
        if path.is_empty() {
            return Err(Errno::NoEntry);
        }
        if path.contains('\0') {
            return Err(Errno::Invalid);
        }
        if path.len() > LONGEST_PATH {
            return Err(Errno::NameTooLong);
        }
        let slash = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
        let mut walked: Vec<(Arc<str>, Arc<Node>)> = Vec::new();
        let mut rest: VecDeque<Arc<str>> = path.split('/').map(Arc::from).collect();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            let here = walked.last().map_or(&self.root, |(_, node)| node);
            let Some(entries) = here.entries() else { return Err(Errno::NotDirectory) };
            match name.as_ref() {
                "" | "." => continue,
                ".." => {
                    walked.pop();
                    continue;
                }
                name if name.len() > LONGEST_NAME => return Err(Errno::NameTooLong),
                _ => {}
            }
            watch::note(|seen| {
                let mut path: String = walked.iter().flat_map(|(name, _)| ["/", name]).chain(["/", &name]).collect();
                seen.paths.insert(path.clone());
                if !entries.contains_key(&name) {
                    // If they were there, they would be looked at next.
                    for below in rest.iter().take_while(|name| name.as_ref() != "..") {
                        if !matches!(below.as_ref(), "" | ".") {
                            path = format!("{path}/{below}");
                            seen.paths.insert(path.clone());
                        }
                    }
                }
            });
            let at_end = rest.iter().all(|name| matches!(name.as_ref(), "" | "."));
            let Some(node) = entries.get(&name).cloned() else {
                if !at_end {
                    return Err(Errno::NoEntry);
                }
                let names = walked.into_iter().map(|(name, _)| name).chain([name]).collect();
                return Ok(Spot { names, node: None, slash });
            };
            match &node.kind {
                Kind::Link(target) if !at_end || slash || last == Last::Followed => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::Loop);
                    }
                    if target.starts_with('/') {
                        walked.clear();
                    }
                    for name in target.rsplit('/') {
                        rest.push_front(name.into());
                    }
                }
                _ => walked.push((name, node)),
            }
        }
        let node = walked.last().map_or_else(|| Arc::clone(&self.root), |(_, node)| Arc::clone(node));
        if slash && !node.is_dir() {
            return Err(Errno::NotDirectory);
        }
        Ok(Spot { names: walked.into_iter().map(|(name, _)| name).collect(), node: Some(node), slash })
    }

    /// What is at a path, links followed; errors count as absence.
    pub fn get(&self, path: &str) -> Option<Arc<Node>> {
        self.resolve(path, Last::Followed).ok().and_then(|spot| spot.node)
    }

    /// The bytes of a regular file, links followed; anything else counts as absence.
    pub fn bytes(&self, path: &str) -> Option<Arc<[u8]>> {
        match &self.get(path)?.kind {
            Kind::File(data) => data.bytes().cloned(),
            _ => None,
        }
    }

    /// The text of a regular file, links followed; anything else counts as absence.
    pub fn text(&self, path: &str) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Names in a directory, sorted; none when there is no such directory.
    pub fn names(&self, path: &str) -> Vec<Arc<str>> {
        self.listed(path).and_then(|node| node.entries().map(|e| e.keys().cloned().collect())).unwrap_or_default()
    }

    /// What is at a path, links followed, to look through its entries; errors count as absence.
    pub fn listed(&self, path: &str) -> Option<Arc<Node>> {
        let spot = self.resolve(path, Last::Followed).ok()?;
        watch::note(|seen| _ = seen.listed.insert(spot.path()));
        spot.node
    }

    /// The node at these names.
    pub fn node_at(&self, names: &[Arc<str>]) -> Option<&Node> {
        names.iter().try_fold(self.root.as_ref(), |node, name| node.entries()?.get(name).map(Arc::as_ref))
    }

    /// The node at these names, to be changed in place; copies what is shared on the way.
    pub fn node_mut(&mut self, names: &[Arc<str>]) -> Option<&mut Node> {
        let mut node = Arc::make_mut(&mut self.root);
        for name in names {
            let Kind::Dir(entries) = &mut node.kind else { return None };
            node = Arc::make_mut(entries.get_mut(name)?);
        }
        Some(node)
    }

    /// Puts a node at these names, in place of what is there. The directory above must exist.
    pub fn put(&mut self, names: &[Arc<str>], node: impl Into<Arc<Node>>) -> Result<(), Errno> {
        let node = node.into();
        let Some((name, above)) = names.split_last() else {
            self.root = node;
            return Ok(());
        };
        match self.node_mut(above).map(|above| &mut above.kind) {
            Some(Kind::Dir(entries)) => {
                entries.insert(Arc::clone(name), node);
                Ok(())
            }
            Some(_) => Err(Errno::NotDirectory),
            None => Err(Errno::NoEntry),
        }
    }

    /// Takes away what is at these names.
    pub fn take(&mut self, names: &[Arc<str>]) -> Option<Arc<Node>> {
        let (name, above) = names.split_last()?;
        match &mut self.node_mut(above)?.kind {
            Kind::Dir(entries) => entries.remove(name),
            _ => None,
        }
    }

    /// A directory with everything above it, 0755 of root where new; links followed.
    pub fn make_dirs(&mut self, path: &str) -> Result<Vec<Arc<str>>, Errno> {
        let mut made = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let step = format!("{}/{name}", join(&made));
            let spot = self.resolve(&step, Last::Followed)?;
            match &spot.node {
                Some(node) if !node.is_dir() => return Err(Errno::NotDirectory),
                Some(_) => {}
                None => {
                    let above = spot.names.split_last().and_then(|(_, above)| self.node_at(above));
                    let handed_on = above.map_or(Meta::root(0), Node::handed_on);
                    self.put(&spot.names, Node::dir(Meta { mode: 0o755 | handed_on.mode, ..handed_on }))?;
                }
            }
            made = spot.names;
        }
        Ok(made)
    }

    /// Puts a node at a path, making the directories above it. For templates and packages.
    pub fn place(&mut self, path: &str, node: Node) -> Result<(), Errno> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut names = self.make_dirs(above)?;
        names.push(name.into());
        self.put(&names, node)
    }
}
