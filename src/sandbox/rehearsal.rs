//! A sandbox that rehearses on a real node: what no predicted change has touched is read there, everything else is
//! answered by the model. Nothing that may change anything is ever sent.
//!
//! A machine that is known (the node, guests that really run) gets a modelled body over it at the first predicted
//! change. What the change needs to know (the file that is replaced, the directories above it, packages, units) is
//! read first and put into that body; which paths, packages and units were changed is remembered, and from then on
//! those are answered from the body. A guest that the rehearsal made itself is modelled from the beginning. A real
//! guest that does not run has an inside that nobody can read: it is *unknown*.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::body::{Answer, Body, BodyChange, Data, Runtime, Template};
use super::clock::Moment;
use super::core::Core;
use super::node_files;
use super::world::{NODE, World, body_of};
use super::{guest, pace};
use crate::command::Effect;
use crate::host::{HostError, HostHandle};
use crate::model::GuestId;
use crate::op::{FileKind, Op, OpError, OpErrorKind, OpResult, OpValue, Place, Stat};

/// Files beyond this size are not carried over before they are replaced.
const IMPORT_LIMIT: u64 = 16 << 20;
/// Where units lie, in systemd's order.
const UNIT_DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/etc/systemd/system/multi-user.target.wants",
];

/// What a rehearsal knows beside its world.
pub(super) struct Rehearsal {
    real: Option<HostHandle>,
    /// Guests that ran on the real node when the rehearsal began.
    ran: BTreeSet<GuestId>,
    overlays: Mutex<BTreeMap<String, Overlay>>,
}

/// What was changed in a known machine.
#[derive(Default)]
struct Overlay {
    paths: BTreeSet<String>,
    packages: bool,
    units: BTreeSet<String>,
    /// Paths that the body knows as the real machine has them.
    imported: BTreeSet<String>,
    has_packages: bool,
}

impl Overlay {
    fn note(&mut self, changes: &[BodyChange]) {
        for change in changes {
            match change {
                BodyChange::File { path, .. }
                | BodyChange::Append { path, .. }
                | BodyChange::Dir { path, .. }
                | BodyChange::Link { path, .. }
                | BodyChange::Other { path, .. }
                | BodyChange::Attributes { path, .. }
                | BodyChange::Gone { path } => _ = self.paths.insert(path.clone()),
                BodyChange::Package { .. } => self.packages = true,
                BodyChange::Unit { name, .. } => _ = self.units.insert(name.clone()),
                _ => {}
            }
        }
    }

    fn is_untouched(&self) -> bool {
        self.paths.is_empty() && !self.packages && self.units.is_empty()
    }

    /// Whether a path or a directory above it was changed.
    fn covers(&self, path: &str) -> bool {
        ancestors(path).any(|above| self.paths.contains(above)) || self.paths.contains(path)
    }

    /// Names directly within a directory that were changed.
    fn children<'s>(&'s self, directory: &'s str) -> impl Iterator<Item = &'s str> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        self.paths.iter().filter_map(move |path| path.strip_prefix(&prefix).filter(|name| !name.contains('/')))
    }
}

/// Directories above a path, from the root down.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.char_indices().filter(|(at, c)| *c == '/' && *at > 0).map(|(at, _)| &path[..at])
}

/// What is known of a machine.
#[derive(PartialEq, Eq)]
enum Knowledge {
    /// It can be read, and may have been changed since.
    Real,
    /// The rehearsal made it.
    Modelled,
    /// It is there, but cannot be read.
    Dark,
}

impl Rehearsal {
    pub(super) fn new(real: Option<HostHandle>, world: &World) -> Rehearsal {
        let ran = world.guests().filter(|guest| guest.running.is_some()).map(|guest| guest.id).collect();
        Rehearsal { real, ran, overlays: Mutex::default() }
    }

    /// The real node, where there is one.
    pub(super) fn real(&self) -> Option<&HostHandle> {
        self.real.as_ref()
    }

    /// Whether a guest ran on the real node when the rehearsal began.
    pub(super) fn ran(&self, id: GuestId) -> bool {
        self.ran.contains(&id)
    }

    /// Whether a change was predicted at a path of the node.
    pub(super) fn predicted_on_node(&self, path: &str) -> bool {
        let overlays = self.overlays.lock().unwrap_or_else(PoisonError::into_inner);
        overlays.get(NODE).is_some_and(|overlay| overlay.covers(path))
    }

    /// Whether a guest is as it really is: requests to it can be sent to the real one.
    pub(super) fn is_untouched(&self, id: GuestId) -> bool {
        let overlays = self.overlays.lock().unwrap_or_else(PoisonError::into_inner);
        self.ran.contains(&id) && overlays.get(&body_of(id)).is_none_or(Overlay::is_untouched)
    }

    /// A whole batch of reads in one round trip, where nothing of it can be answered otherwise.
    pub(super) fn look(&self, world: &World, place: Place, ops: &[Op]) -> Option<Result<Vec<OpResult>, HostError>> {
        let real = self.real.as_ref()?;
        let (name, own) = match place {
            Place::Node => (NODE.to_owned(), !ops.iter().any(|op| node_files::is_answered_by_world(world, op))),
            Place::Guest(id, _) => (body_of(id), true),
        };
        let untouched = {
            let overlays = self.overlays.lock().unwrap_or_else(PoisonError::into_inner);
            overlays.get(&name).is_none_or(Overlay::is_untouched)
        };
        let only_reads = ops.iter().all(|op| op.effect() == Effect::Read);
        let known = own && untouched && only_reads && self.knowledge(world, place, &name) == Knowledge::Real;
        known.then(|| real.perform(place, ops))
    }

    /// Does an Op, read from the real machine or predicted; `None` where the model alone answers.
    pub(super) fn perform(
        &self,
        world: &mut World,
        core: &Core,
        now: Moment,
        place: Place,
        op: &Op,
    ) -> Option<Result<Answer, HostError>> {
        let real = self.real.as_ref()?;
        let name = match place {
            Place::Node => NODE.to_owned(),
            Place::Guest(id, _) => body_of(id),
        };
        if place == Place::Node && node_files::is_answered_by_world(world, op) {
            return None;
        }
        match self.knowledge(world, place, &name) {
            Knowledge::Modelled => None,
            Knowledge::Dark => Some(Ok(unknown("what is inside a guest that does not run is not known"))),
            Knowledge::Real => {
                let mut overlays = self.overlays.lock().unwrap_or_else(PoisonError::into_inner);
                let overlay = overlays.entry(name.clone()).or_default();
                let mut machine = Machine { real, overlay, world, core, now, place, name };
                Some(match op.effect() {
                    Effect::Read => machine.look(op),
                    Effect::Change => machine.predict(op),
                })
            }
        }
    }

    fn knowledge(&self, world: &World, place: Place, name: &str) -> Knowledge {
        let overlays = self.overlays.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Place::Node => Knowledge::Real,
            Place::Guest(..) if world.body(name).is_some() && !overlays.contains_key(name) => Knowledge::Modelled,
            Place::Guest(id, _) if self.ran.contains(&id) => Knowledge::Real,
            Place::Guest(..) => Knowledge::Dark,
        }
    }
}

fn unknown(message: &str) -> Answer {
    Answer { result: Err(OpError::new(OpErrorKind::Unknown, message)), took: Duration::ZERO }
}

/// The answer of a body that is only as much of a machine as was looked at: a program that it lacks may well be there.
fn known(answer: Answer) -> Answer {
    match &answer.result {
        Ok(OpValue::Output(output)) if matches!(output.code, 126 | 127) => {
            unknown("what a program of this machine would answer after the changes is not known")
        }
        _ => answer,
    }
}

/// A known machine with what was predicted in it.
struct Machine<'m> {
    real: &'m HostHandle,
    overlay: &'m mut Overlay,
    world: &'m mut World,
    core: &'m Core,
    now: Moment,
    place: Place,
    name: String,
}

impl Machine<'_> {
    /// Reads from the real machine.
    fn ask(&self, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        debug_assert!(ops.iter().all(|op| op.effect() == Effect::Read), "a rehearsal only looks");
        self.real.perform(self.place, ops)
    }

    fn ask_one(&self, op: &Op) -> Result<OpResult, HostError> {
        let results = self.ask(std::slice::from_ref(op))?;
        let missing = || Err(OpError::new(OpErrorKind::NotRun, "the node did not answer"));
        Ok(results.into_iter().next().unwrap_or_else(missing))
    }

    /// Asks the body.
    fn model(&mut self, op: &Op) -> Answer {
        let answer = match self.place {
            Place::Node => guest::node_inside(self.world, self.core, self.now, |body, around| body.perform(op, around)),
            Place::Guest(id, _) => {
                guest::inside(self.world, self.core, id, self.now, |body, around| body.perform(op, around))
            }
        };
        answer.unwrap_or_else(|| unknown("this machine has no modelled inside"))
    }

    /// Answers a read: what was changed from the body, everything else from the real machine.
    fn look(&mut self, op: &Op) -> Result<Answer, HostError> {
        let took = pace::CHANNEL;
        let from_body = match op {
            Op::Stat { path } | Op::Read { path, .. } | Op::Digest { path } => self.overlay.covers(path),
            Op::List { path } | Op::ReadAll { path, .. } => self.overlay.covers(path),
            Op::Packages => self.overlay.packages,
            Op::Accounts => self.overlay.covers("/etc/passwd") || self.overlay.covers("/etc/group"),
            Op::Exec(_) => !self.overlay.is_untouched(),
            _ => false,
        };
        if from_body {
            return Ok(known(self.model(op)));
        }
        let mut result = self.ask_one(op)?;
        match (op, &mut result) {
            (Op::List { path }, Ok(OpValue::Entries(Some(_)))) => self.merge_entries(path, &mut result),
            (Op::ReadAll { path, suffix }, Ok(OpValue::Files(_))) => self.merge_files(path, suffix, &mut result),
            (Op::Units { names }, Ok(OpValue::Units(_))) => self.merge_units(names, &mut result),
            (Op::Listening, Ok(OpValue::Ports(_))) if !self.overlay.units.is_empty() => {
                if let (Ok(OpValue::Ports(ports)), Ok(OpValue::Ports(more))) = (&mut result, self.model(op).result) {
                    ports.extend(more);
                }
            }
            _ => {}
        }
        Ok(Answer { result, took })
    }

    fn merge_entries(&mut self, path: &str, result: &mut OpResult) {
        let changed: Vec<String> = self.overlay.children(path).map(str::to_owned).collect();
        if changed.is_empty() {
            return;
        }
        let modelled = self.model(&Op::List { path: path.to_owned() }).result;
        if let (Ok(OpValue::Entries(Some(entries))), Ok(OpValue::Entries(modelled))) = (result, modelled) {
            entries.retain(|entry| !changed.contains(&entry.name));
            entries.extend(modelled.into_iter().flatten().filter(|entry| changed.contains(&entry.name)));
            entries.sort();
        }
    }

    fn merge_files(&mut self, path: &str, suffix: &str, result: &mut OpResult) {
        let changed: Vec<String> = self.overlay.children(path).map(str::to_owned).collect();
        if changed.is_empty() {
            return;
        }
        let modelled = self.model(&Op::ReadAll { path: path.to_owned(), suffix: suffix.to_owned() }).result;
        if let (Ok(OpValue::Files(files)), Ok(OpValue::Files(modelled))) = (result, modelled) {
            files.retain(|name, _| !changed.contains(name));
            files.extend(modelled.into_iter().filter(|(name, _)| changed.contains(name)));
        }
    }

    fn merge_units(&mut self, names: &[String], result: &mut OpResult) {
        let touched = |overlay: &Overlay, name: &str| {
            overlay.units.contains(name)
                || UNIT_DIRECTORIES.iter().any(|dir| overlay.paths.contains(&format!("{dir}/{name}")))
        };
        if !names.iter().any(|name| touched(self.overlay, name)) {
            return;
        }
        let modelled = self.model(&Op::Units { names: names.to_vec() }).result;
        if let (Ok(OpValue::Units(states)), Ok(OpValue::Units(modelled))) = (result, modelled) {
            for (state, predicted) in states.iter_mut().zip(modelled) {
                if touched(self.overlay, &state.name) {
                    *state = predicted;
                }
            }
        }
    }

    /// Predicts a change.
    fn predict(&mut self, op: &Op) -> Result<Answer, HostError> {
        self.give_body()?;
        match op {
            Op::Write { path, .. }
            | Op::Append { path, .. }
            | Op::MakeDir { path, .. }
            | Op::Link { path, .. }
            | Op::Remove { path, .. }
            | Op::SetAttributes { path, .. } => self.import(path)?,
            Op::Move { from, to } => {
                self.import(from)?;
                self.import(to)?;
            }
            Op::Unit { name, .. } => self.import_unit(name)?,
            Op::InstallPackages { .. } | Op::RemovePackages { .. } => self.import_packages()?,
            _ => {}
        }
        let answer = known(self.model(op));
        let changes = self.world.body_mut(&self.name).map(Body::take_changes).unwrap_or_default();
        self.overlay.note(&changes);
        Ok(answer)
    }

    /// A body to predict in: a machine of the same operating system with the real accounts.
    fn give_body(&mut self) -> Result<(), HostError> {
        if self.world.body(&self.name).is_none() {
            let template = match self.ask_one(&Op::Os)? {
                Ok(OpValue::Os { id, version, .. }) => Template::of_file(&format!("{id}-{version}-")),
                _ => None,
            };
            let body = Body::of_template(template.unwrap_or(Template::Debian12));
            self.world.place_body(&self.name, body);
        }
        for path in ["/etc/passwd", "/etc/group"] {
            self.import(path)?;
        }
        Ok(())
    }

    fn apply(&mut self, change: BodyChange) {
        if let Some(body) = self.world.body_mut(&self.name) {
            // What does not fit stays as the template has it: the prediction is a little less exact.
            let _ = body.apply(change);
        }
    }

    /// Makes the body know a path and the directories above it as they really are.
    fn import(&mut self, path: &str) -> Result<(), HostError> {
        if self.overlay.covers(path) || self.overlay.imported.contains(path) {
            return Ok(());
        }
        let wanted: Vec<String> = ancestors(path)
            .chain([path])
            .filter(|path| !self.overlay.imported.contains(*path) && !self.overlay.covers(path))
            .map(str::to_owned)
            .collect();
        let ops: Vec<Op> = wanted.iter().map(|path| Op::Stat { path: path.clone() }).collect();
        for (path, result) in wanted.into_iter().zip(self.ask(&ops)?) {
            match result {
                Ok(OpValue::Stat(stat)) => self.import_as(&path, stat)?,
                _ => continue,
            }
            self.overlay.imported.insert(path);
        }
        Ok(())
    }

    fn import_as(&mut self, path: &str, stat: Option<Stat>) -> Result<(), HostError> {
        let path = path.to_owned();
        let Some(stat) = stat else {
            self.apply(BodyChange::Gone { path });
            return Ok(());
        };
        let Stat { mode, uid, gid, .. } = stat;
        match stat.kind {
            FileKind::File => {
                let read = Op::Read { path: path.clone(), limit: IMPORT_LIMIT };
                let data = match self.ask_one(&read)? {
                    Ok(OpValue::Bytes(Some(bytes))) => Data::of(bytes),
                    _ => Data::text(""),
                };
                self.apply(BodyChange::File { path, mode, uid, gid, data });
            }
            FileKind::Directory => {
                let there = self.model(&Op::Stat { path: path.clone() }).result;
                if matches!(there, Ok(OpValue::Stat(Some(Stat { kind: FileKind::Directory, .. })))) {
                    self.apply(BodyChange::Attributes { path, mode, uid, gid });
                } else {
                    self.apply(BodyChange::Dir { path, mode, uid, gid });
                }
            }
            FileKind::Symlink => self.apply(BodyChange::Link { path, target: stat.target.unwrap_or_default() }),
            FileKind::Other => self.apply(BodyChange::Other { path, mode, uid, gid, device: stat.device }),
        }
        Ok(())
    }

    /// Makes the body know a unit: its file, whether it is enabled, whether it runs.
    fn import_unit(&mut self, name: &str) -> Result<(), HostError> {
        for directory in UNIT_DIRECTORIES {
            self.import(&format!("{directory}/{name}"))?;
        }
        if let Ok(OpValue::Units(states)) = self.ask_one(&Op::Units { names: vec![name.to_owned()] })?
            && let Some(state) = states.into_iter().next()
            && !self.overlay.units.contains(name)
        {
            let active = state.active == "active" || state.active == "failed";
            let runtime = active.then_some(Runtime { active: state.active, sub: state.sub, loaded: String::new() });
            self.apply(BodyChange::Unit { name: name.to_owned(), runtime });
        }
        Ok(())
    }

    /// Makes the body know what is installed.
    fn import_packages(&mut self) -> Result<(), HostError> {
        if std::mem::replace(&mut self.overlay.has_packages, true) {
            return Ok(());
        }
        let Ok(OpValue::Packages(real)) = self.ask_one(&Op::Packages)? else { return Ok(()) };
        if let Ok(OpValue::Packages(modelled)) = self.model(&Op::Packages).result {
            for name in modelled.into_keys().filter(|name| !real.contains_key(name)) {
                self.apply(BodyChange::Package { name, installed: None });
            }
        }
        for (name, version) in real {
            let installed = super::body::Installed { version, files: Vec::new(), units: Vec::new() };
            self.apply(BodyChange::Package { name, installed: Some(installed) });
        }
        Ok(())
    }
}
