//! A machine that really runs, with what was predicted in it.
//!
//! Its body holds only what was asked of the real machine and what was predicted. Whatever is to be done is done to that
//! body while somebody [watches](watch) what is looked at; what the body lacked is asked of the real machine, and it is
//! done again, until nothing was missing.

use std::time::Duration;

use super::overlay::{Missing, Overlay};
use crate::host::{HostError, HostHandle};
use crate::op::{FileKind, Op, OpError, OpErrorKind, OpResult, OpValue, Place, Stat, UnitAction, UnitState};
use crate::sandbox::body::{Answer, Body, BodyChange, Data, Runtime, Seen, UNIT_DIRS, watch};
use crate::sandbox::clock::Moment;
use crate::sandbox::core::Core;
use crate::sandbox::world::World;
use crate::sandbox::{double, guest, pace};

/// Larger files are only known by their digest.
const CONTENT_LIMIT: u64 = 256 << 10;
/// The node's downloads, which are carried into guests as a whole: nobody looks into them, and in an emulated node only
/// their digest is true.
const DOWNLOADS: &str = "/var/lib/phoenix/cache/";
/// So often what was missing is asked for: each time something lies deeper, or behind one more link.
const ROUNDS: usize = 64;
/// How long a machine that is taken over has been running.
const UPTIME: Duration = Duration::from_secs(3600);

/// A known machine with what was predicted in it.
pub(super) struct Known<'m> {
    pub(super) real: &'m HostHandle,
    pub(super) overlay: &'m mut Overlay,
    pub(super) world: &'m mut World,
    pub(super) core: &'m Core,
    pub(super) now: Moment,
    pub(super) place: Place,
    pub(super) name: String,
}

impl Known<'_> {
    /// Answers a read: from the body if something was predicted of what it looks at, else from the real machine.
    pub(super) fn look(&mut self, op: &Op) -> Result<Answer, HostError> {
        // Of these nothing is ever predicted.
        if matches!(op, Op::Network | Op::SystemState | Op::Os) {
            return self.ask_really(op);
        }
        let (answer, seen) = self.speculate(|known| known.model(op))?;
        let answer = self.doubtful(op, &answer, &seen).unwrap_or(answer);
        // A program that nobody models may have looked at anything.
        let opaque = matches!(op, Op::Exec(_)) && is_unknown(&answer);
        if !opaque && !self.overlay.affects(&seen) {
            return self.ask_really(op);
        }
        let result = match (op, answer.result) {
            (Op::Units { names }, Ok(OpValue::Units(predicted))) => self.units(names, predicted)?,
            (Op::Listening, Ok(OpValue::Ports(mut ports))) => {
                if let Ok(OpValue::Ports(real)) = self.ask_one(op)? {
                    ports.extend(real);
                }
                Ok(OpValue::Ports(ports))
            }
            (_, result) => result,
        };
        Ok(Answer { result, took: answer.took })
    }

    /// Predicts a change.
    pub(super) fn predict(&mut self, op: &Op) -> Result<Answer, HostError> {
        if let Op::Move { from, .. } = op
            && let Ok(OpValue::Stat(Some(Stat { kind: FileKind::Directory, .. }))) =
                self.look(&Op::Stat { path: from.clone() })?.result
        {
            return Ok(unknown("what is in a directory that moves is not known"));
        }
        let (answer, seen) = self.speculate(|known| known.model(op))?;
        if let Some(doubtful) = self.doubtful(op, &answer, &seen) {
            self.take_changes();
            return Ok(doubtful);
        }
        let changes = self.take_changes();
        self.overlay.note(&changes);
        if let Op::Unit { name, action: UnitAction::Reload | UnitAction::Restart } = op {
            // Its state is the same, but what it answers from then on is not what it answers now.
            self.overlay.note(&[BodyChange::Unit { name: name.clone(), runtime: None }]);
        }
        Ok(answer)
    }

    /// Does something to the machine as it is known, and learns what that lacks, until nothing is lacking. Answers what
    /// came of it and what was looked at.
    pub(super) fn speculate<T>(&mut self, mut work: impl FnMut(&mut Self) -> T) -> Result<(T, Seen), HostError> {
        self.give_body()?;
        for _ in 0..ROUNDS {
            let before = self.world.body(&self.name).cloned();
            let (result, seen) = watch(|| work(self));
            let missing = self.overlay.missing(&seen);
            if missing.is_empty() {
                return Ok((result, seen));
            }
            if let Some(before) = before {
                self.world.place_body(&self.name, before);
            }
            self.learn(&missing)?;
        }
        Err(HostError::Unknown(format!("{} (it is not understood what it looks at)", self.place)))
    }

    /// Whether something of what was looked at is not known yet.
    pub(super) fn lacks_any(&self, seen: &Seen) -> bool {
        !self.overlay.missing(seen).is_empty()
    }

    /// Asks the real machine for what was looked at and is not known yet.
    pub(super) fn learn_of(&mut self, seen: &Seen) -> Result<(), HostError> {
        let missing = self.overlay.missing(seen);
        self.learn(&missing)
    }

    /// What was predicted since this was called last.
    pub(super) fn take_changes(&mut self) -> Vec<BodyChange> {
        self.world.body_mut(&self.name).map(Body::take_changes).unwrap_or_default()
    }

    /// Asks the body.
    fn model(&mut self, op: &Op) -> Answer {
        let answer = match self.place {
            Place::Node => guest::node_inside(self.world, self.core, self.now, |body, around| body.perform(op, around)),
            Place::Guest(id, _) => guest::inside(self.world, self.core, id, self.now, |body, around| {
                // The real machine shows the node's directories by itself.
                around.binds = &[];
                body.perform(op, around)
            }),
        };
        answer.unwrap_or_else(|| unknown("this machine has no modelled inside"))
    }

    /// A model that cannot be believed here: a program that it misses may have come with a package, and a double does not
    /// remember what the real service does.
    fn doubtful(&self, op: &Op, answer: &Answer, seen: &Seen) -> Option<Answer> {
        let Op::Exec(exec) = op else { return None };
        let program = exec.argv.first().map_or("", String::as_str);
        let forgotten = double::MEMORIES.iter().any(|memory| {
            seen.paths.contains(memory.path)
                && self.overlay.lacks(memory.path)
                && !self.overlay.predicts(memory.path)
                && !self.overlay.lacks(memory.program)
        });
        if forgotten {
            return Some(unknown(&format!("what `{program}` would answer after the changes is not known")));
        }
        match &answer.result {
            Ok(OpValue::Output(output)) if matches!(output.code, 126 | 127) && self.overlay.installs() => {
                Some(unknown(&format!("whether `{program}` is there after the changes is not known")))
            }
            _ => None,
        }
    }

    /// Units: those of which something was predicted from the body, the others from the real machine.
    fn units(&mut self, names: &[String], predicted: Vec<UnitState>) -> Result<OpResult, HostError> {
        let mut result = self.ask_one(&Op::Units { names: names.to_vec() })?;
        if let Ok(OpValue::Units(states)) = &mut result {
            for (state, predicted) in states.iter_mut().zip(predicted) {
                let op = Op::Units { names: vec![state.name.clone()] };
                let (_, seen) = watch(|| self.model(&op));
                if self.overlay.affects(&seen) {
                    *state = predicted;
                }
            }
        }
        Ok(result)
    }

    /// Reads from the real machine.
    fn ask(&self, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        self.real.perform(self.place, ops)
    }

    fn ask_one(&self, op: &Op) -> Result<OpResult, HostError> {
        let results = self.ask(std::slice::from_ref(op))?;
        let missing = || Err(OpError::new(OpErrorKind::NotRun, "the machine did not answer"));
        Ok(results.into_iter().next().unwrap_or_else(missing))
    }

    fn ask_really(&self, op: &Op) -> Result<Answer, HostError> {
        Ok(Answer { result: self.ask_one(op)?, took: pace::CHANNEL })
    }

    /// A body to predict in: nothing is known of it but that it runs, and what is installed.
    fn give_body(&mut self) -> Result<(), HostError> {
        // The node has one from the beginning: the directories that Proxmox makes are in it.
        if self.place != Place::Node && !self.world.is_known_in_part(&self.name) {
            let since = guest::timestamp(self.now).checked_sub(UPTIME).unwrap_or_default();
            let packages = match self.ask_one(&Op::Packages)? {
                Ok(OpValue::Packages(packages)) => packages,
                _ => Default::default(),
            };
            let body = Body::running(since, packages, &*self.core.programs);
            self.world.place_known(&self.name, body);
        }
        Ok(())
    }

    fn apply(&mut self, change: BodyChange) {
        if let Some(body) = self.world.body_mut(&self.name) {
            // What does not fit is behind something that was predicted, and hidden by it.
            let _ = body.apply(change);
        }
    }

    /// Asks the real machine for what is missing.
    fn learn(&mut self, missing: &Missing) -> Result<(), HostError> {
        self.learn_paths(missing.paths.clone())?;
        let lists: Vec<Op> = missing.directories.iter().map(|path| Op::List { path: path.clone() }).collect();
        let mut entries = Vec::new();
        for (directory, result) in missing.directories.iter().zip(self.ask(&lists)?) {
            self.overlay.learn_entries(directory);
            if let Ok(OpValue::Entries(Some(found))) = result {
                let above = directory.trim_end_matches('/');
                entries.extend(found.into_iter().map(|entry| format!("{above}/{}", entry.name)));
            }
        }
        let seen = Seen { paths: entries.into_iter().collect(), ..Seen::default() };
        self.learn_paths(self.overlay.missing(&seen).paths)?;
        if missing.all_units {
            self.overlay.learn_all_units();
            let lists = UNIT_DIRS.map(|directory| Op::List { path: directory.to_owned() });
            let mut seen = Seen::default();
            for result in self.ask(&lists)? {
                if let Ok(OpValue::Entries(Some(found))) = result {
                    let names = found.into_iter().map(|entry| entry.name);
                    seen.units.extend(names.filter(|name| {
                        (name.ends_with(".service") || name.ends_with(".socket")) && !name.contains("@.")
                    }));
                }
            }
            self.learn_units(self.overlay.missing(&seen).units)?;
        }
        self.learn_units(missing.units.clone())
    }

    fn learn_units(&mut self, names: Vec<String>) -> Result<(), HostError> {
        if names.is_empty() {
            return Ok(());
        }
        for name in &names {
            self.overlay.learn_unit(name);
        }
        if let Ok(OpValue::Units(states)) = self.ask_one(&Op::Units { names })? {
            for state in states.into_iter().filter(|state| state.active != "inactive" && !state.active.is_empty()) {
                let runtime = Runtime { active: state.active, sub: state.sub, loaded: String::new() };
                self.apply(BodyChange::Unit { name: state.name, runtime: Some(runtime) });
            }
        }
        Ok(())
    }

    /// Paths as they really are, those above before those below.
    fn learn_paths(&mut self, paths: Vec<String>) -> Result<(), HostError> {
        let stats: Vec<Op> = paths.iter().map(|path| Op::Stat { path: path.clone() }).collect();
        let mut files = Vec::new();
        for (path, result) in paths.into_iter().zip(self.ask(&stats)?) {
            if self.overlay.is_behind(&path) {
                continue;
            }
            let Ok(OpValue::Stat(stat)) = result else {
                self.overlay.learn(&path, None);
                continue;
            };
            self.overlay.learn(&path, stat.as_ref().map(|stat| stat.kind));
            let Some(Stat { mode, uid, gid, kind, size, target, device, .. }) = stat else {
                self.apply(BodyChange::Gone { path });
                continue;
            };
            match kind {
                FileKind::File => files.push((path, mode, uid, gid, size)),
                FileKind::Directory => self.directory(path, mode, uid, gid),
                FileKind::Symlink => self.apply(BodyChange::Link { path, target: target.unwrap_or_default() }),
                FileKind::Other => self.apply(BodyChange::Other { path, mode, uid, gid, device }),
            }
        }
        let reads: Vec<Op> = files
            .iter()
            .map(|(path, .., size)| match size {
                ..=CONTENT_LIMIT if !path.starts_with(DOWNLOADS) => {
                    Op::Read { path: path.clone(), limit: CONTENT_LIMIT }
                }
                _ => Op::Digest { path: path.clone() },
            })
            .collect();
        for ((path, mode, uid, gid, _), result) in files.into_iter().zip(self.ask(&reads)?) {
            let data = match result {
                Ok(OpValue::Bytes(Some(bytes))) => Data::of(bytes),
                Ok(OpValue::Digest(Some(sha256))) => Data::Digest { sha256 },
                _ => Data::Digest { sha256: String::new() },
            };
            self.apply(BodyChange::File { path, mode, uid, gid, data });
        }
        Ok(())
    }

    /// A directory that the body has already keeps what is in it.
    fn directory(&mut self, path: String, mode: u32, uid: u32, gid: u32) {
        let there = watch(|| self.model(&Op::Stat { path: path.clone() })).0.result;
        if matches!(there, Ok(OpValue::Stat(Some(Stat { kind: FileKind::Directory, .. })))) {
            self.apply(BodyChange::Attributes { path, mode, uid, gid });
        } else {
            self.apply(BodyChange::Dir { path, mode, uid, gid });
        }
    }
}

pub(super) fn unknown(message: &str) -> Answer {
    Answer { result: Err(OpError::new(OpErrorKind::Unknown, message)), took: Duration::ZERO }
}

fn is_unknown(answer: &Answer) -> bool {
    matches!(&answer.result, Err(error) if error.kind == OpErrorKind::Unknown)
}
