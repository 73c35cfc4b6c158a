//! The modelled inside of a machine: a guest, or the node's own file system.
//!
//! A [`Body`] answers every [`Op`] as a Debian machine does (the conformance set holds both together). It is cheap to
//! [fork](Body::fork): clones, snapshots and templates share what they have in common, in memory and in the world
//! file ([`Layers`]). What changed since last asked comes as small pieces ([`Body::take_changes`]) that can be
//! appended to a file and [applied](Body::apply) again.
//!
//! Files, accounts, packages and units are one thing here as they are on Debian: users are what `/etc/passwd` says, a
//! unit exists when its file does, a program is found when it lies on the path.

mod accounts;
mod around;
mod boot;
mod builtin;
mod change;
mod cloud_init;
mod data;
mod exec;
mod files;
mod ids;
mod jobs;
mod layers;
mod network;
mod packages;
mod sources;
mod state;
mod template;
mod tree;
mod unit_file;
mod units;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use crate::op::{Exec, Op, OpError, OpErrorKind, OpResult, OpValue};

pub use around::{Around, Bind, Faults, Unmodelled};
pub(in crate::sandbox) use builtin::cache_of;
pub use change::{BodyChange, Misfit};
pub use data::{Data, hex, sha256};
pub use layers::{BadLayers, Layers, Saved};
pub(in crate::sandbox) use network::Server;
pub use packages::Installed;
pub use state::Power;
pub use template::Template;
pub(in crate::sandbox) use unit_file::UNIT_DIRS;
pub use units::Runtime;
pub use watch::{Seen, watch};

use layers::Layer;
use state::State;
use tree::{Last, Meta, Node};

/// The inside of a machine.
#[derive(Clone, Debug)]
pub struct Body {
    state: State,
    /// The state as the last taken changes left it.
    told: State,
    /// What it was forked from.
    base: Arc<Layer>,
}

/// What became of an Op, and how long it took in the machine's time.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The result.
    pub result: OpResult,
    /// The time it took.
    pub took: Duration,
}

impl Default for Body {
    fn default() -> Body {
        Body::on(Arc::default())
    }
}

impl Body {
    /// The root file system of a template, as it lies there before the first boot.
    pub fn of_template(template: Template) -> Body {
        Body::on(template.layer())
    }

    /// Exactly what this layer holds.
    fn on(base: Arc<Layer>) -> Body {
        Body { state: base.state().clone(), told: base.state().clone(), base }
    }

    /// Another machine with the same inside. What both have in common stays shared.
    pub fn fork(&mut self) -> Body {
        if !self.state.same(self.base.state()) {
            self.base = Arc::new(Layer::grown(&self.base, self.state.clone()));
        }
        Body::on(Arc::clone(&self.base))
    }

    /// What changed since this was asked last (or since the machine was made, forked or read).
    pub fn take_changes(&mut self) -> Vec<BodyChange> {
        let changes = change::between(&self.told, &self.state);
        self.told = self.state.clone();
        changes
    }

    /// Does a recorded change again; it does not come back from [`Body::take_changes`].
    ///
    /// # Errors
    /// When it does not fit.
    pub fn apply(&mut self, change: BodyChange) -> Result<(), Misfit> {
        if self.told.same(&self.state) {
            self.state.apply(change)?;
            self.told = self.state.clone();
            return Ok(());
        }
        self.state.apply(change.clone())?;
        self.told.apply(change)
    }

    /// Whether two machines hold the same, wherever it came from.
    pub fn equals(&self, other: &Body) -> bool {
        self.state == other.state
    }

    /// What differs between two machines: paths, packages, units.
    pub fn differences(&self, other: &Body) -> Vec<String> {
        change::between(&self.state, &other.state).iter().filter_map(BodyChange::about).collect()
    }

    /// Puts a file there, with the directories above it, as if it had always been: for what a host renders.
    ///
    /// # Errors
    /// When something on the way is no directory.
    pub fn place(&mut self, path: &str, mode: u32, bytes: impl Into<Arc<[u8]>>) -> Result<(), OpError> {
        self.state.tree.place(path, Node::file(Meta::root(mode), Data::of(bytes))).map_err(|errno| errno.at(path))
    }

    /// Puts a file there of which perhaps only the digest is known.
    pub(in crate::sandbox) fn place_data(&mut self, path: &str, mode: u32, data: Data) -> Result<(), OpError> {
        self.state.tree.place(path, Node::file(Meta::root(mode), data)).map_err(|errno| errno.at(path))
    }

    /// Makes a directory with those above it, as if they had always been: for what a host renders.
    ///
    /// # Errors
    /// When something on the way is no directory.
    pub fn place_dir(&mut self, path: &str) -> Result<(), OpError> {
        self.state.tree.make_dirs(path).map(drop).map_err(|errno| errno.at(path))
    }

    /// Does an Op and tells how long it takes. The caller sees to it that the machine runs.
    pub fn perform(&mut self, op: &Op, around: &mut Around) -> Answer {
        let grafts = self.graft(around);
        let mut took = Duration::ZERO;
        let result = self.answer(op, around, &mut took);
        self.prune(grafts, around);
        Answer { result, took }
    }

    /// Does an Op, with the node's directories already in place.
    fn answer(&mut self, op: &Op, around: &mut Around, took: &mut Duration) -> OpResult {
        *took += pace(op);
        check(op)?;
        if let Some(path) = needs_space(op) {
            around.need_space(path)?;
        }
        let state = &mut self.state;
        match op {
            Op::Stat { path } => state.stat(path),
            Op::Read { path, limit } => state.read(path, *limit, around),
            Op::Digest { path } => state.digest(path),
            Op::List { path } => state.list(path),
            Op::ReadAll { path, suffix } => state.read_all(path, suffix, around),
            Op::Write { path, content, attributes, guard } => {
                state.write(path, content, attributes, guard.as_ref(), around)
            }
            Op::Append { path, bytes, .. } => state.append(path, bytes, around),
            Op::MakeDir { path, attributes } => state.make_dir(path, attributes),
            Op::Link { path, target } => state.link(path, target),
            Op::Remove { path, recursive } => state.remove(path, *recursive),
            Op::Move { from, to } => state.rename(from, to),
            Op::SetAttributes { path, attributes } => state.set_attributes(path, attributes),
            Op::Fetch { url, sha256, member, path } => {
                state.fetch(&files::Fetch { url, sha256: sha256.as_deref(), member: member.as_deref(), path }, around)
            }
            Op::Packages => Ok(OpValue::Packages(state.package_versions())),
            Op::RefreshPackages => state.refresh_packages(around),
            Op::InstallPackages { names, .. } => self.install(names, around, took),
            Op::RemovePackages { names } => self.remove_packages(names, around, took),
            Op::Units { names } => Ok(OpValue::Units(state.unit_states(names))),
            Op::Unit { name, action } => self.unit(name, *action, around, took),
            Op::ReloadUnits => {
                state.reload_units();
                Ok(OpValue::Done)
            }
            Op::Accounts => {
                let accounts = state.accounts();
                Ok(OpValue::Accounts { users: accounts.users, groups: accounts.groups })
            }
            Op::AddUser { name, uid, system, home, shell } => {
                let (home, shell) = (home.as_deref(), shell.as_deref());
                state.add_user(&accounts::NewUser { name, uid: *uid, system: *system, home, shell })
            }
            Op::AddGroup { name, gid, system } => state.add_group(name, *gid, *system),
            Op::AddToGroup { user, group } => state.add_to_group(user, group),
            Op::Exec(exec) => self.exec(exec, around, took),
            Op::Listening => Ok(OpValue::Ports(self.listening(around))),
            Op::Neighbours { .. } => {
                Err(OpError::new(OpErrorKind::Failed, "neighbours are asked for on the node only"))
            }
            Op::Network => Ok(state.network(around)),
            Op::SystemState => Ok(OpValue::SystemState(state.system_state(around.identity.now).to_owned())),
            Op::Os => state.os(),
        }
    }

    /// Puts the node's directories to where the guest sees them; answers what they hide.
    fn graft(&mut self, around: &mut Around) -> Vec<Graft> {
        let Some(node) = around.node.as_deref() else { return Vec::new() };
        let mut grafts = Vec::new();
        for bind in around.binds {
            let Ok(from) = node.state.tree.resolve(&bind.from, Last::Followed) else { continue };
            let (Some(original), Ok(at)) = (from.node, self.state.tree.make_dirs(&bind.at)) else { continue };
            let shown = ids::inside(&original, bind.root_id);
            let hidden = self.state.tree.take(&at);
            if self.state.tree.put(&at, Arc::clone(&shown)).is_ok() {
                let (read_only, root_id) = (bind.read_only, bind.root_id);
                grafts.push(Graft { at, from: from.names, original, shown, hidden, read_only, root_id });
            }
        }
        grafts
    }

    /// Gives the node's directories back, with what the guest did to them.
    fn prune(&mut self, grafts: Vec<Graft>, around: &mut Around) {
        for graft in grafts.into_iter().rev() {
            let now = self.state.tree.take(&graft.at);
            // `/dev` is memory: nothing stays of a mount point there.
            let in_memory = graft.at.first().is_some_and(|first| first.as_ref() == "dev");
            if let Some(hidden) = graft.hidden.filter(|hidden| !(in_memory && hidden.is_dir())) {
                // The directory above was there a moment ago, or the guest removed it with the mount point in it.
                let _ = self.state.tree.put(&graft.at, hidden);
            }
            if let (Some(node), Some(now)) = (around.node.as_deref_mut(), now)
                && !graft.read_only
                && !Arc::ptr_eq(&now, &graft.shown)
            {
                // As above: the node's directory was found there before.
                let now = ids::outside(&now, Some(&graft.original), graft.root_id);
                let _ = node.state.tree.put(&graft.from, now);
            }
        }
    }
}

/// A directory of the node that is in place for the time of one Op.
struct Graft {
    at: Vec<Arc<str>>,
    from: Vec<Arc<str>>,
    /// As the node has it.
    original: Arc<Node>,
    /// As the guest sees it.
    shown: Arc<Node>,
    hidden: Option<Arc<Node>>,
    read_only: bool,
    root_id: u32,
}

/// Refuses what cannot be asked of any machine: paths that do not begin at the root, patterns for names of units.
fn check(op: &Op) -> Result<(), OpError> {
    let paths: &[&String] = match op {
        Op::Stat { path }
        | Op::Read { path, .. }
        | Op::Digest { path }
        | Op::List { path }
        | Op::ReadAll { path, .. }
        | Op::Write { path, .. }
        | Op::Append { path, .. }
        | Op::MakeDir { path, .. }
        | Op::Link { path, .. }
        | Op::Remove { path, .. }
        | Op::SetAttributes { path, .. }
        | Op::Fetch { path, .. } => &[path],
        Op::Move { from, to } => &[from, to],
        Op::Exec(Exec { cwd: Some(cwd), .. }) => &[cwd],
        _ => &[],
    };
    if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
        return Err(OpError::new(OpErrorKind::Failed, format!("`{path}` is no absolute path")));
    }
    let units = match op {
        Op::Units { names } => names.as_slice(),
        Op::Unit { name, .. } => std::slice::from_ref(name),
        _ => &[],
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
    if let Some(name) = units.iter().find(|name| name.is_empty() || !name.chars().all(allowed)) {
        return Err(OpError::new(OpErrorKind::Failed, format!("`{name}` is no name of a unit")));
    }
    Ok(())
}

/// Where an Op needs room on the disk, if it does.
fn needs_space(op: &Op) -> Option<&str> {
    match op {
        Op::Write { path, .. }
        | Op::Append { path, .. }
        | Op::MakeDir { path, .. }
        | Op::Link { path, .. }
        | Op::Fetch { path, .. } => Some(path),
        Op::AddUser { .. } => Some("/etc/passwd"),
        Op::AddGroup { .. } | Op::AddToGroup { .. } => Some("/etc/group"),
        _ => None,
    }
}

/// How long a plain Op takes; what units, packages and programs take comes on top.
fn pace(op: &Op) -> Duration {
    match op {
        Op::Exec(_) => Duration::from_millis(5),
        Op::RefreshPackages => Duration::from_secs(3),
        Op::Fetch { .. } => Duration::from_secs(2),
        Op::ReloadUnits => Duration::from_millis(250),
        Op::AddUser { .. } | Op::AddGroup { .. } | Op::AddToGroup { .. } => Duration::from_millis(60),
        Op::Packages | Op::Units { .. } | Op::Accounts | Op::SystemState => Duration::from_millis(10),
        _ => Duration::from_millis(1),
    }
}
