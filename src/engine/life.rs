//! One guest during one run: what was read of it, what is remembered about it, and the few verbs its steps are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failure::{Result, StepError};
use super::journal::Entry;
use super::mark::{self, Standing};
use super::record::{Begun, Irreversible, Provenance, Record};
use super::run::Run;
use super::sight::{self, Sight};
use super::stage::Handles;
use crate::command::{Command, Output};
use crate::event::{Cost, Difference, Event, Level};
use crate::machine::{Machine, Report};
use crate::model::{Guest, GuestId, Origin, Prepared};
use crate::op::{Op, OpValue, Place};
use crate::plan::PlannedGuest;
use crate::pve::difference::{Changes, Known};
use crate::pve::guest::Desired;
use crate::pve::inventory::Present;
use crate::pve::refusal::{self, Refusal};
use crate::pve::tool::Tool;

/// How long a command is tried again while Proxmox says that something is locked.
const LOCKED_DEADLINE: Duration = Duration::from_secs(600);
/// Longest pause between two tries.
const LOCKED_PAUSE: Duration = Duration::from_secs(10);

/// One guest during one run.
pub(super) struct Life<'a> {
    pub(super) run: &'a Run,
    pub(super) planned: &'a PlannedGuest,
    pub(super) guest: &'a Guest,
    pub(super) handles: Handles,
    /// The node as last read.
    pub(super) sight: Sight,
    /// How the guest stood when its turn began.
    pub(super) standing: Standing,
    pub(super) record: Record,
    /// The record as it is on the node.
    kept: Option<Record>,
    /// What its scripts ask of Proxmox.
    pub(super) prepared: Prepared,
    /// The running guest is to be restarted by this run.
    pub(super) restarts: bool,
    consented: Option<bool>,
    /// Differences left as they are.
    pub(super) pending: Vec<Difference>,
    /// Scripts that a rehearsal cannot know the work of, in order, and what it depends on.
    pub(super) unknown: Vec<(String, String)>,
    machine: Option<Machine>,
}

impl<'a> Life<'a> {
    /// Reads the node and finds out how the guest stands.
    ///
    /// # Errors
    /// The node cannot be read, or the guest is not ours to touch.
    pub(super) fn open(
        run: &'a Run,
        planned: &'a PlannedGuest,
        guest: &'a Guest,
        handles: Handles,
    ) -> Result<Life<'a>> {
        let sight = sight::look(handles.host.as_ref(), &run.node)?;
        let present = sight.inventory.guests.get(&guest.id);
        let kept = sight.records.get(&guest.id).cloned();
        let standing = mark::judge(guest, &run.node, present, kept.as_ref(), planned.adopt)?;
        let anew = |provenance| Record::new(guest.id, &guest.name, guest.kind, provenance, &run.id);
        let record = match (standing, &kept) {
            (Standing::Ours | Standing::HalfMade, Some(kept)) => kept.clone(),
            (Standing::Adopted, _) => anew(Provenance::Adopted),
            _ => anew(Provenance::Made),
        };
        Ok(Life {
            run,
            planned,
            guest,
            handles,
            sight,
            standing,
            record,
            kept,
            prepared: Prepared::default(),
            restarts: false,
            consented: None,
            pending: Vec::new(),
            unknown: Vec::new(),
            machine: None,
        })
    }

    pub(super) fn id(&self) -> GuestId {
        self.guest.id
    }

    /// Its tool of Proxmox.
    pub(super) fn tool(&self) -> Tool {
        self.tool_of(self.guest.id)
    }

    /// The tool of a guest of the same kind.
    pub(super) fn tool_of(&self, id: GuestId) -> Tool {
        Tool::of(self.guest.kind, id)
    }

    /// The guest on the node, as last read.
    pub(super) fn present(&self) -> Option<&Present> {
        self.sight.inventory.guests.get(&self.guest.id)
    }

    /// The guest on the node, which an earlier step has defined.
    pub(super) fn defined(&self) -> Result<&Present> {
        self.present().ok_or_else(|| StepError::new(format!("guest {} is not on the node any more", self.guest.id)))
    }

    pub(super) fn running(&self) -> bool {
        self.present().is_some_and(|present| present.running)
    }

    /// Whether it is a copy of another guest that phoenix made.
    pub(super) fn cloned(&self) -> bool {
        matches!(self.guest.origin, Origin::Clone(_)) && self.record.provenance == Provenance::Made
    }

    /// The guest that is declared, with what its scripts need.
    pub(super) fn desired(&self) -> Desired {
        Desired::of(&self.run.site, self.guest, &self.sight.inventory, self.planned.needs, &self.prepared)
    }

    /// How the guest on the node differs from it.
    pub(super) fn differences(&self) -> Result<Changes> {
        let mut known = Known { source: None, ours: self.record.settings.clone(), node: self.sight.inventory.version };
        if let Origin::Clone(source) = self.guest.origin {
            known.source = self.sight.inventory.guests.get(&source).map(|source| &source.config);
            // What the source was declared to have, a fresh clone has brought along; its data stays.
            let of_source =
                self.sight.records.get(&source).filter(|_| self.cloned() && self.record.finished_by.is_none());
            let settings = of_source.into_iter().flat_map(|record| &record.settings);
            known.ours.extend(settings.filter(|name| !name.starts_with("mount ")).cloned());
        }
        Ok(self.desired().difference(self.defined()?, &known))
    }

    /// Reads the node again.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.sight.inventory = sight::inventory(self.handles.host.as_ref(), &self.run.node)?;
        Ok(())
    }

    /// Runs a program on the node. While Proxmox says that the guest or a storage is locked, it is tried again, with
    /// longer and longer pauses.
    ///
    /// # Errors
    /// It could not be run, or ended with another status than 0.
    pub(super) fn command(&self, command: &Command) -> Result<Output> {
        let host = &self.handles.host;
        let began = host.now();
        let mut pause = Duration::from_secs(1);
        loop {
            let output = host.run(command)?;
            if output.ok() {
                return Ok(output);
            }
            let waited = Duration::try_from(host.now().duration_since(began)).unwrap_or_default();
            match Refusal::of(&output).filter(Refusal::passes) {
                Some(refusal) if waited < LOCKED_DEADLINE => {
                    self.waiting(&for_whom(&refusal, command, pause));
                    host.sleep(pause)?;
                    pause = (pause * 2).min(LOCKED_PAUSE);
                }
                _ => return Err(StepError::command(&format!("`{}`", verb(command)), command, &output)),
            }
        }
    }

    /// Waits until no operation of Proxmox's holds the guest's configuration.
    ///
    /// # Errors
    /// It did not come free.
    pub(super) fn unlocked(&mut self) -> Result<()> {
        let began = self.handles.host.now();
        let mut pause = Duration::from_secs(1);
        while let Some(lock) = self.defined()?.config.lock().map(str::to_owned) {
            let waited = Duration::try_from(self.handles.host.now().duration_since(began)).unwrap_or_default();
            if waited >= LOCKED_DEADLINE {
                let hint = format!("if nothing is at work on it any more: `{} unlock {}`", self.tool(), self.id());
                return Err(StepError::with_hint(format!("the guest is locked ({lock})"), hint));
            }
            self.waiting(&format!("its lock ({lock})"));
            self.handles.host.sleep(pause)?;
            pause = (pause * 2).min(LOCKED_PAUSE);
            self.refresh()?;
        }
        Ok(())
    }

    /// Performs Ops that must all succeed.
    ///
    /// # Errors
    /// The machine cannot be reached, or one of them failed.
    pub(super) fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpValue>> {
        let results = self.handles.host.perform(place, ops)?;
        ops.iter().zip(results).map(|(op, result)| result.map_err(|error| StepError::op(op, &error))).collect()
    }

    /// Where things inside the guest are done.
    pub(super) fn place(&self) -> Place {
        Place::Guest(self.guest.id, self.guest.kind)
    }

    /// The guest as a machine; its facts are read once.
    pub(super) fn machine(&mut self) -> Machine {
        let place = self.place();
        let report = Report { guest: Some(self.guest.id), events: self.run.stage.events.clone() };
        self.machine.get_or_insert_with(|| Machine::new(self.handles.host.clone(), place, report)).clone()
    }

    /// Ends the channel into the guest and forgets what was learnt through it; before it is stopped or snapshotted.
    pub(super) fn close_channel(&mut self) {
        self.machine = None;
        self.handles.host.close_channel(self.place());
    }

    /// Tells a difference that is brought in line now.
    pub(super) fn changes(&self, difference: Difference) {
        self.tell(Event::Change { guest: self.guest.id, difference });
    }

    /// Tells a difference that is left as it is, once.
    pub(super) fn leaves(&mut self, difference: Difference) {
        if !self.pending.contains(&difference) {
            self.tell(Event::Pending { guest: self.guest.id, difference: difference.clone() });
            self.pending.push(difference);
        }
    }

    /// Whether a restart of the running guest may be done for these differences; asked at most once.
    pub(super) fn consents(&mut self, differences: &[Difference]) -> bool {
        if let Some(answer) = self.consented {
            return answer;
        }
        let answer = self.run.options.consent.to_restart(self.guest, differences);
        self.consented = Some(answer);
        answer
    }

    pub(super) fn waiting(&self, on: &str) {
        self.tell(Event::Waiting { guest: self.guest.id, on: on.to_owned() });
    }

    pub(super) fn says(&self, level: Level, text: impl Into<String>) {
        self.tell(Event::Message { guest: Some(self.guest.id), level, text: text.into() });
    }

    pub(super) fn tell(&self, event: Event) {
        self.run.stage.tell(self.handles.keeper.as_ref(), event);
    }

    /// Writes down, on the node's disk, that something irreversible is about to be begun.
    pub(super) fn begin(&mut self, what: Irreversible) -> Result<()> {
        self.note(Entry::Begun { guest: self.guest.id, what: what.clone() });
        self.record.begun = Some(Begun { what, run: self.run.id.clone() });
        self.keep()
    }

    /// Writes down that it is done.
    pub(super) fn done(&mut self) -> Result<()> {
        if let Some(begun) = self.record.begun.take() {
            self.note(Entry::Done { guest: self.guest.id, what: begun.what });
        }
        self.keep()
    }

    /// Writes down that the guest is about to differ from the snapshots of its end, so that they are retaken even if
    /// this run is cut off.
    pub(super) fn touch(&mut self) -> Result<()> {
        let declared = &self.guest.snapshots;
        self.record.stale_snapshots.extend(declared.after_features.iter().chain(&declared.template).cloned());
        self.keep()
    }

    pub(super) fn note(&self, entry: Entry) {
        self.run.journal.note(self.handles.keeper.now(), entry);
    }

    /// Brings record and journal to the node's disk, if the record differs from what is there.
    pub(super) fn keep(&mut self) -> Result<()> {
        if self.kept.as_ref() == Some(&self.record) {
            return Ok(());
        }
        self.run.journal.save(self.handles.keeper.as_ref(), self.record.keep()?)?;
        self.kept = Some(self.record.clone());
        Ok(())
    }

    /// Forgets the guest: its record goes.
    pub(super) fn forget(&mut self) -> Result<()> {
        let gone = Op::Remove { path: Record::path(self.guest.id), recursive: false };
        self.run.journal.save(self.handles.keeper.as_ref(), vec![gone])?;
        self.kept = None;
        Ok(())
    }
}

/// `pct set` of `pct set ...`.
pub(super) fn verb(command: &Command) -> String {
    match command.args.first() {
        Some(first) => format!("{} {first}", command.program),
        None => command.program.clone(),
    }
}

/// What a command that is refused for now waits for.
fn for_whom(refusal: &Refusal, command: &Command, pause: Duration) -> String {
    let again = format!("trying again in {} s", pause.as_secs());
    match refusal {
        Refusal::Locked(lock) => {
            format!("`{}`: the guest is locked by {} (`{lock}`), {again}", verb(command), refusal::who_locks(lock).0)
        }
        _ => format!("`{}`: another command has held Proxmox's lock for 10 s, {again}", verb(command)),
    }
}

/// A difference without a diff.
pub(super) fn difference(what: &str, from: Option<&str>, to: Option<&str>, cost: Cost) -> Difference {
    Difference {
        what: what.to_owned(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
        diff: None,
        cost,
        way: None,
    }
}

/// Records of other guests that are clones of `source` begun by an earlier run and not reported as done.
pub(super) fn unfinished_clones(records: &BTreeMap<GuestId, Record>, source: GuestId, run: &str) -> bool {
    records
        .values()
        .filter_map(|record| record.begun.as_ref())
        .any(|begun| begun.run != run && begun.what == Irreversible::Clone { from: source })
}
