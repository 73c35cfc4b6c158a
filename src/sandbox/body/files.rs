//! Plain reads and writes of files, as coreutils and the kernel do them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::op::{Attributes, Content, Entry, FileKind, Guard, OpError, OpErrorKind, OpResult, OpValue, Stat};

use super::around::{Around, Unmodelled};
use super::data::{self, Data};
use super::state::State;
use super::tree::{Errno, Kind, Last, Meta, Node, Spot};

/// What is fetched from where to where, as [`crate::op::Op::Fetch`] says it.
pub(super) struct Fetch<'a> {
    pub(super) url: &'a str,
    pub(super) sha256: Option<&'a str>,
    pub(super) member: Option<&'a str>,
    pub(super) path: &'a str,
}

impl State {
    pub(super) fn stat(&self, path: &str) -> OpResult {
        let Ok(Spot { node: Some(node), .. }) = self.tree.resolve(path, Last::Itself) else {
            return Ok(OpValue::Stat(None));
        };
        let accounts = self.accounts();
        let Meta { mode, uid, gid } = node.meta;
        let (size, target, device) = match &node.kind {
            Kind::File(data) => (data.size(), None, None),
            Kind::Link(target) => (0, Some(target.clone()), None),
            Kind::Other(device) => (0, None, *device),
            Kind::Dir(_) => (0, None, None),
        };
        Ok(OpValue::Stat(Some(Stat {
            kind: file_kind(&node),
            size,
            mode,
            uid,
            gid,
            owner: accounts.user_name(uid),
            group: accounts.group_name(gid),
            target,
            device,
        })))
    }

    pub(super) fn read(&self, path: &str, limit: u64, around: &Around) -> OpResult {
        match self.file_at(path)? {
            None => Ok(OpValue::Bytes(None)),
            Some(data) if data.size() > limit => {
                Err(OpError::new(OpErrorKind::TooLarge, format!("{path}: {} bytes, limit {limit}", data.size())))
            }
            Some(data) => Ok(OpValue::Bytes(Some(shown(&data, path, around)?))),
        }
    }

    pub(super) fn digest(&self, path: &str) -> OpResult {
        Ok(OpValue::Digest(self.file_at(path)?.map(|data| data.sha256())))
    }

    /// The content at a path, links followed; devices and pipes are empty.
    fn file_at(&self, path: &str) -> Result<Option<Data>, OpError> {
        let node = match self.tree.resolve(path, Last::Followed) {
            Ok(spot) => spot.node,
            Err(Errno::NoEntry | Errno::NotDirectory) => None,
            Err(errno) => return Err(errno.at(path)),
        };
        match node.as_deref().map(|node| &node.kind) {
            None => Ok(None),
            Some(Kind::File(data)) => Ok(Some(data.clone())),
            Some(Kind::Dir(_)) => Err(Errno::IsDirectory.at(path)),
            Some(Kind::Other(_) | Kind::Link(_)) => Ok(Some(Data::text(""))),
        }
    }

    pub(super) fn list(&self, path: &str) -> OpResult {
        let node = match self.tree.resolve(path, Last::Followed) {
            Ok(Spot { node: Some(node), .. }) => node,
            Ok(_) | Err(Errno::NoEntry | Errno::NotDirectory) => return Ok(OpValue::Entries(None)),
            Err(errno) => return Err(errno.at(path)),
        };
        self.tree.listed(path);
        let entries = node.entries().ok_or_else(|| Errno::NotDirectory.at(path))?;
        let entry = |(name, node): (&Arc<str>, &Arc<Node>)| Entry { name: name.to_string(), kind: file_kind(node) };
        Ok(OpValue::Entries(Some(entries.iter().map(entry).collect())))
    }

    pub(super) fn read_all(&self, path: &str, suffix: &str, around: &Around) -> OpResult {
        let mut files = BTreeMap::new();
        let node = self.tree.listed(path);
        for (name, node) in node.iter().filter_map(|node| node.entries()).flatten() {
            if let (true, Kind::File(data)) = (name.ends_with(suffix), &node.kind) {
                files.insert(name.to_string(), shown(data, &format!("{path}/{name}"), around)?);
            }
        }
        Ok(OpValue::Files(files))
    }

    pub(super) fn write(
        &mut self,
        path: &str,
        content: &Content,
        attributes: &Attributes,
        guard: Option<&Guard>,
        around: &mut Around,
    ) -> OpResult {
        let spot = self.tree.resolve(path, Last::Itself).map_err(|errno| errno.at(path))?;
        let old = match spot.node.as_deref() {
            Some(node) if node.is_dir() => return Err(Errno::IsDirectory.at(path)),
            Some(node) => Some(node),
            None if spot.slash => return Err(Errno::IsDirectory.at(path)),
            None => None,
        };
        if let Some(guard) = guard {
            self.compare(path, guard)?;
        }
        let data = self.content(content, around)?;
        let inherited = match old {
            Some(Node { meta, kind: Kind::File(_) }) => *meta,
            _ => self.newcomer(&spot.names, 0o644),
        };
        let meta = self.meta(inherited, attributes)?;
        self.tree.put(&spot.names, Node::file(meta, data)).map_err(|errno| errno.at(path))?;
        Ok(OpValue::Done)
    }

    /// A file on the node from a modelled internet that has everything.
    pub(super) fn fetch(&mut self, fetch: &Fetch, around: &Around) -> OpResult {
        let Fetch { url, sha256, member, path } = fetch;
        if around.node.is_some() {
            return Err(OpError::new(OpErrorKind::Failed, "files are fetched on the node only"));
        }
        if around.faults.no_mirror {
            return Err(OpError::new(OpErrorKind::Failed, format!("{url}: the name cannot be resolved")));
        }
        if around.faults.is_spoilt(url) {
            let other = data::sha256(format!("other bytes than {url}").as_bytes());
            if let Some(expected) = sha256 {
                let what = member.map_or_else(|| url.to_string(), |member| format!("{member} in {url}"));
                let message = format!("{what}: has the SHA-256 {other}, not {expected}");
                return Err(OpError::new(OpErrorKind::Conflict, message));
            }
            let node = Node::file(Meta::root(0o644), Data::Digest { sha256: other });
            self.tree.place(path, node).map_err(|errno| errno.at(path))?;
            return Ok(OpValue::Done);
        }
        let data = match sha256 {
            Some(sha256) => Data::Digest { sha256: sha256.to_string() },
            None => Data::text(&format!("modelled {url} {}\n", member.unwrap_or_default())),
        };
        self.tree.place(path, Node::file(Meta::root(0o644), data)).map_err(|errno| errno.at(path))?;
        Ok(OpValue::Done)
    }

    /// Takes the guard's lock (its file comes to be by that) and compares the old content.
    fn compare(&mut self, path: &str, guard: &Guard) -> Result<(), OpError> {
        if self.tree.get(&guard.lock).is_none() {
            let spot = self.tree.resolve(&guard.lock, Last::Followed).map_err(|errno| errno.at(&guard.lock))?;
            let lock = Node::file(Meta::root(0o644), Data::text(""));
            self.tree.put(&spot.names, lock).map_err(|errno| errno.at(&guard.lock))?;
        }
        match self.file_at(path)? {
            Some(data) if data.sha256() == guard.expect => Ok(()),
            _ => Err(OpError::new(OpErrorKind::Conflict, format!("{path}: was changed by somebody else"))),
        }
    }

    /// What is to be written, fetched from the node where it is one of its files.
    fn content(&self, content: &Content, around: &Around) -> Result<Data, OpError> {
        match content {
            Content::Bytes(bytes) => Ok(Data::Bytes(Arc::clone(bytes))),
            Content::Text(text) => Ok(Data::text(text.expose())),
            Content::NodeFile { path, sha256 } => {
                let node = around.node.as_ref().map_or(self, |node| &node.state);
                match node.file_at(path)? {
                    Some(data) if data.sha256() == *sha256 => Ok(data),
                    Some(_) => {
                        Err(OpError::new(OpErrorKind::Conflict, format!("{path}: does not have the digest {sha256}")))
                    }
                    None if around.unmodelled == Unmodelled::Unknown => Ok(Data::Digest { sha256: sha256.clone() }),
                    None => Err(OpError::new(OpErrorKind::NotFound, format!("{path}: no such file on the node"))),
                }
            }
        }
    }

    pub(super) fn append(&mut self, path: &str, bytes: &[u8], around: &Around) -> OpResult {
        let spot = self.tree.resolve(path, Last::Followed).map_err(|errno| errno.at(path))?;
        if spot.slash || spot.node.as_ref().is_some_and(|node| node.is_dir()) {
            return Err(Errno::IsDirectory.at(path));
        }
        match self.tree.node_mut(&spot.names) {
            Some(Node { kind: Kind::File(data), .. }) => {
                let old = shown(data, path, around)?;
                *data = Data::of([&old, bytes].concat());
            }
            // What is written to a device or pipe is gone.
            Some(_) => {}
            None => {
                let file = Node::file(self.newcomer(&spot.names, 0o644), Data::of(bytes));
                self.tree.put(&spot.names, file).map_err(|errno| errno.at(path))?;
            }
        }
        Ok(OpValue::Done)
    }

    pub(super) fn make_dir(&mut self, path: &str, attributes: &Attributes) -> OpResult {
        match self.tree.resolve(path, Last::Followed) {
            Ok(Spot { node: Some(node), .. }) if node.is_dir() => return Ok(OpValue::Done),
            Ok(Spot { node: Some(_), .. }) => return Err(Errno::Exists.at(path)),
            Err(Errno::NotDirectory) if self.tree.get(path.trim_end_matches('/')).is_some() => {
                return Err(Errno::Exists.at(path));
            }
            Err(errno) if errno != Errno::NoEntry => return Err(errno.at(path)),
            // A link to nowhere is something that is there.
            Ok(_) if self.tree.resolve(path, Last::Itself).is_ok_and(|spot| spot.node.is_some()) => {
                return Err(Errno::Exists.at(path));
            }
            Ok(_) | Err(_) => {}
        }
        // Nothing is made when the owner does not exist.
        self.meta(Meta::root(0o755), attributes)?;
        let names = self.tree.make_dirs(path).map_err(|errno| errno.at(path))?;
        let made = self.tree.node_mut(&names).map_or(Meta::root(0o755), |node| node.meta);
        let meta = self.meta(made, attributes)?;
        if let Some(node) = self.tree.node_mut(&names) {
            node.meta = meta;
        }
        Ok(OpValue::Done)
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> OpResult {
        let spot = self.tree.resolve(path, Last::Itself).map_err(|errno| errno.at(path))?;
        match spot.node.as_deref().map(|node| &node.kind) {
            None if spot.slash => return Err(Errno::NoEntry.at(path)),
            None | Some(Kind::Link(_)) => {}
            Some(_) => return Err(Errno::Exists.at(path)),
        }
        self.tree.put(&spot.names, Node::link(target)).map_err(|errno| errno.at(path))?;
        Ok(OpValue::Done)
    }

    pub(super) fn remove(&mut self, path: &str, recursive: bool) -> OpResult {
        let spot = match self.tree.resolve(path, Last::Itself) {
            Ok(spot) => spot,
            // As `rm -f`: what cannot be there is absent.
            Err(Errno::NoEntry | Errno::NotDirectory) => return Ok(OpValue::Done),
            Err(errno) => return Err(errno.at(path)),
        };
        if spot.names.is_empty() {
            return Err(OpError::new(OpErrorKind::Failed, "/: it is dangerous to operate recursively on '/'"));
        }
        match spot.node {
            None => {}
            Some(node) if node.is_dir() && !recursive => return Err(Errno::IsDirectory.at(path)),
            Some(_) => {
                self.tree.take(&spot.names);
            }
        }
        Ok(OpValue::Done)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> OpResult {
        let source = self.tree.resolve(from, Last::Itself).map_err(|errno| errno.at(from))?;
        let target = self.tree.resolve(to, Last::Itself).map_err(|errno| errno.at(to))?;
        let node = source.node.ok_or_else(|| Errno::NoEntry.at(from))?;
        if source.names == target.names {
            return Ok(OpValue::Done);
        }
        if target.names.starts_with(&source.names) {
            return Err(Errno::Invalid.at(to));
        }
        match (&target.node, node.is_dir()) {
            (Some(there), true) if !there.is_dir() => return Err(Errno::NotDirectory.at(to)),
            (Some(there), true) if there.entries().is_some_and(|entries| !entries.is_empty()) => {
                return Err(Errno::NotEmpty.at(to));
            }
            (Some(there), false) if there.is_dir() => return Err(Errno::IsDirectory.at(to)),
            (None, false) if target.slash => return Err(Errno::NotDirectory.at(to)),
            _ => {}
        }
        self.tree.put(&target.names, node).map_err(|errno| errno.at(to))?;
        self.tree.take(&source.names);
        Ok(OpValue::Done)
    }

    pub(super) fn set_attributes(&mut self, path: &str, attributes: &Attributes) -> OpResult {
        let spot = self.tree.resolve(path, Last::Followed).map_err(|errno| errno.at(path))?;
        let node = spot.node.ok_or_else(|| Errno::NoEntry.at(path))?;
        let mut old = node.meta;
        // The kernel takes set-id bits away from files that get an owner.
        if !node.is_dir() && (attributes.owner.is_some() || attributes.group.is_some()) {
            old.mode &= !0o6000;
        }
        let meta = self.meta(old, attributes)?;
        if meta != node.meta
            && let Some(node) = self.tree.node_mut(&spot.names)
        {
            node.meta = meta;
        }
        Ok(OpValue::Done)
    }

    /// What a new file of root is there: a set-group-id directory hands its group on.
    fn newcomer(&self, names: &[Arc<str>], mode: u32) -> Meta {
        let above = names.split_last().and_then(|(_, above)| self.tree.node_at(above));
        let gid = above.map_or(0, |above| above.handed_on().gid);
        Meta { gid, ..Meta::root(mode) }
    }

    /// These attributes over what was there before.
    fn meta(&self, old: Meta, attributes: &Attributes) -> Result<Meta, OpError> {
        let unknown = |what, name: &str| OpError::new(OpErrorKind::NoSuchUser, format!("invalid {what}: '{name}'"));
        let accounts = self.accounts();
        let uid = match &attributes.owner {
            Some(owner) => accounts.uid(owner).ok_or_else(|| unknown("user", owner))?,
            None => old.uid,
        };
        let gid = match &attributes.group {
            Some(group) => accounts.gid(group).ok_or_else(|| unknown("group", group))?,
            None => old.gid,
        };
        Ok(Meta { mode: attributes.mode.map_or(old.mode, |mode| mode & 0o7777), uid, gid })
    }
}

/// The bytes of a file; those that nobody has are unknown in a rehearsal, else a line stands in for them.
fn shown(data: &Data, path: &str, around: &Around) -> Result<Vec<u8>, OpError> {
    match data {
        Data::Bytes(bytes) => Ok(bytes.to_vec()),
        Data::Digest { .. } if around.unmodelled == Unmodelled::Unknown => {
            Err(OpError::new(OpErrorKind::Unknown, format!("{path}: its content is not known before it is there")))
        }
        Data::Digest { sha256 } => Ok(data::stand_in(sha256).into_bytes()),
    }
}

/// The kind of a node in an Op's words.
fn file_kind(node: &Node) -> FileKind {
    match node.kind {
        Kind::File(_) => FileKind::File,
        Kind::Dir(_) => FileKind::Directory,
        Kind::Link(_) => FileKind::Symlink,
        Kind::Other(_) => FileKind::Other,
    }
}
