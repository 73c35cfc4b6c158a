//! A run: the lock, the actors, the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::boot::Boot;
use super::failure::StepError;
use super::journal::{Entry, Journal, run_id};
use super::lifecycle::{self, Turn};
use super::progress::Progress;
use super::record::Applied;
use super::scheduler::{self, End, Job, NotStarted, Work};
use super::sight::{self, Sight};
use super::stage::{Handles, Stage};
use super::summary::{GuestSummary, Span, Stale, Summary, critical_path};
use super::unsupported::{self, Unsupported};
use crate::artifact::{Artifact, Artifacts};
use crate::event::{Difference, Event, Events, Failure, Level, Outcome};
use crate::host::interrupt::Interrupt;
use crate::host::{Host, HostError, HostHandle};
use crate::machine::{Outside, SecretStore};
use crate::model::{Guest, GuestId, Site};
use crate::op::Place;
use crate::plan::{Graph, Plan, Verb};
use crate::pve::inventory::{self, Inventory};
use crate::script::Library;

/// Asks the operator whether a running guest may be restarted for these differences.
pub type Ask = dyn Fn(&Guest, &[Difference]) -> bool + Send + Sync;

/// Whether running guests may be restarted when a change needs it.
#[derive(Clone, Default)]
pub enum Consent {
    /// Left pending and reported.
    #[default]
    Withheld,
    /// Yes.
    Given,
    /// The operator is asked, once per guest.
    Ask(Arc<Ask>),
}

impl Consent {
    pub(super) fn to_restart(&self, guest: &Guest, differences: &[Difference]) -> bool {
        match self {
            Consent::Withheld => false,
            Consent::Given => true,
            Consent::Ask(ask) => ask(guest, differences),
        }
    }
}

impl fmt::Debug for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Consent::Withheld => "Withheld",
            Consent::Given => "Given",
            Consent::Ask(_) => "Ask",
        })
    }
}

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// What was asked for, as typed; the lock, the journal and events carry it.
    pub command: String,
    /// Guests worked on at the same time, at least one.
    pub jobs: usize,
    /// Whether running guests may be restarted.
    pub consent: Consent,
}

/// Everything a run needs.
pub struct Engine {
    /// The bare host that acts; recording, queueing and interrupting are put around it here.
    pub host: HostHandle,
    /// What is declared.
    pub site: Arc<Site>,
    /// The scripts.
    pub library: Arc<Library>,
    /// What is to be done.
    pub plan: Plan,
    /// Told what happens.
    pub events: Events,
    /// The operator's wish to stop.
    pub interrupt: Interrupt,
    /// Looks for secrets in the environment and among the credentials of this process.
    pub outside: Outside,
    /// How.
    pub options: Options,
}

/// Why a run did not begin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The node cannot be reached, or another run has its lock.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The node could not be read, or cannot be changed.
    #[error("{}", .0.message)]
    Node(Box<Failure>),
    /// The node's version does not have what is declared.
    #[error("{}", unsupported::count(.0))]
    Unsupported(Vec<Unsupported>),
}

/// What all actors of a run share.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) node: String,
    pub(super) site: Arc<Site>,
    pub(super) library: Arc<Library>,
    pub(super) plan: Plan,
    pub(super) graph: Graph,
    pub(super) options: Options,
    pub(super) stage: Stage,
    pub(super) journal: Journal,
    pub(super) boot: Boot,
    pub(super) artifacts: Artifacts,
    pub(super) secrets: SecretStore,
    /// Artifacts that a rehearsal could not learn, and what they depend on.
    unknown: Mutex<BTreeMap<(String, GuestId), String>>,
    /// Holds the lock of the run.
    progress: Progress,
    turns: Mutex<BTreeMap<GuestId, (Turn, Duration)>>,
    /// By whose end guests could begin.
    released: Mutex<BTreeMap<GuestId, GuestId>>,
    spans: Mutex<Vec<Span>>,
}

/// Runs a plan to its end: every guest that can be worked on is, whatever becomes of the others.
///
/// # Errors
/// When it did not begin: the node cannot be read, or another run has its lock. What goes wrong with single guests is in
/// the [`Summary`].
pub fn run(engine: Engine) -> Result<Summary, EngineError> {
    let Engine { host, site, library, plan, events, interrupt, outside, options } = engine;
    let began = host.now();
    let stage = Stage::new(&host, events, interrupt);
    let handles = stage.handles(host.clone(), None);
    // Whoever only asks needs no lock, and may ask in the middle of another run.
    let asks = plan.verb == Verb::Health;
    let lock = (!asks).then(|| handles.host.lock(&owner(&options.command, began))).transpose()?;
    let node = sight::node_name(handles.host.as_ref()).map_err(not_begun)?;
    let sight = sight::look(handles.host.as_ref(), &node).map_err(not_begun)?;
    if !asks {
        changeable(&sight.inventory)?;
    }
    let unsupported = unsupported::planned(&site, &plan, &sight.inventory);
    if !unsupported.is_empty() {
        return Err(EngineError::Unsupported(unsupported));
    }
    let id = run_id(began);
    let graph = Graph::new(&site, library.catalogue());
    let run = Run {
        node,
        boot: Boot::new(&plan, &site, &graph, &sight),
        secrets: SecretStore::new(handles.host.clone(), outside).declared(site.secrets.clone()),
        graph,
        site,
        library,
        progress: Progress::new(lock, plan.guests.len()),
        plan,
        options,
        stage,
        journal: Journal::new(&id),
        id,
        artifacts: Artifacts::default(),
        unknown: Mutex::default(),
        turns: Mutex::default(),
        released: Mutex::default(),
        spans: Mutex::default(),
    };
    run.begin(&handles, &sight);
    scheduler::run(&host, &run.jobs(), run.options.jobs, &run);
    Ok(run.end(&handles, &sight, began))
}

/// The words by which another run is told who has the lock.
fn owner(command: &str, since: jiff::Timestamp) -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(|| "root".to_owned());
    // Beside a process number it counts on which machine that is: a node is reached from many.
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let (machine, process) = (machine.trim(), std::process::id());
    format!("{user}@{machine}, process {process}, `{command}`, since {}", since.strftime("%Y-%m-%d %H:%M:%S UTC"))
}

/// A cluster without quorum can only be looked at: every change would fail, the first one in the middle of a run.
fn changeable(inventory: &Inventory) -> Result<(), EngineError> {
    if inventory.quorate {
        return Ok(());
    }
    let (online, away): (Vec<_>, Vec<_>) = inventory.members.iter().partition(|(_, online)| **online);
    let names = |nodes: &[(&String, &bool)]| nodes.iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!(
        "the cluster has no quorum ({} of {} nodes online: {}), so nothing can be changed",
        online.len(),
        inventory.members.len(),
        names(&online)
    );
    let others = if away.is_empty() { "its other nodes".to_owned() } else { names(&away) };
    let hint = format!("bring {others} back; or `pvecm expected 1` if this node has to go on alone");
    Err(EngineError::Node(Box::new(Failure { hint: Some(hint), ..Failure::new(message) })))
}

/// The node as it is now: its guests and storages, and what phoenix keeps about its guests.
///
/// # Errors
/// When it cannot be reached, is no Proxmox VE node, or a file on it is not what it should be.
pub fn observe(host: &dyn Host) -> Result<Sight, EngineError> {
    let node = sight::node_name(host).map_err(not_begun)?;
    let mut sight = sight::look(host, &node).map_err(not_begun)?;
    sight.inventory.complete(&host.perform(Place::Node, &inventory::details(&sight.inventory))?);
    Ok(sight)
}

fn not_begun(error: StepError) -> EngineError {
    match error {
        StepError::Interrupted => EngineError::Host(HostError::Interrupted),
        StepError::Unknown(what) => EngineError::Host(HostError::Unknown(what)),
        StepError::Failed(failure) => EngineError::Node(failure),
    }
}

impl Run {
    fn begin(&self, handles: &Handles, sight: &Sight) {
        // What guests that are there published before; those that are targets publish again.
        let there = sight.records.values().filter(|record| sight.inventory.guests.contains_key(&record.id));
        for artifact in there.flat_map(|record| &record.published) {
            self.artifacts.publish(artifact.clone());
        }
        let guests = self.plan.guests.iter().map(|planned| (planned.id, self.name(planned.id))).collect();
        let command = self.options.command.clone();
        let ids = self.plan.guests.iter().map(|planned| planned.id).collect();
        self.journal
            .note(handles.keeper.now(), Entry::Run { run: self.id.clone(), command: command.clone(), guests: ids });
        self.stage.tell(handles.keeper.as_ref(), Event::RunStarted { run: self.id.clone(), command, guests });
    }

    fn jobs(&self) -> Vec<Job> {
        let job = |planned: &crate::plan::PlannedGuest| Job {
            id: planned.id,
            after: planned.after.iter().map(|edge| edge.on).collect(),
            behind: self.boot.behind(&self.plan, planned.id),
        };
        self.plan.guests.iter().map(job).collect()
    }

    fn end(self, handles: &Handles, sight: &Sight, began: jiff::Timestamp) -> Summary {
        let interrupted = self.stage.interrupt.is_set();
        if self.journal.is_open() {
            self.journal.note(handles.keeper.now(), Entry::End { interrupted });
            self.save(handles, None);
        }
        let elapsed = since(handles, began);
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone();
        spans.sort_by_key(|span| self.plan.guests.iter().position(|planned| planned.id == span.guest));
        let critical_path = critical_path(&spans);
        let asked = self.stage.counts.asked();
        let event = Event::RunFinished { elapsed, interrupted, critical_path: critical_path.clone(), asked };
        self.stage.tell(handles.keeper.as_ref(), event);
        let stale = self.stale(sight);
        let mut turns = self.turns.into_inner().unwrap_or_else(PoisonError::into_inner);
        let guests = self.plan.guests.iter().filter_map(|planned| {
            let (turn, elapsed) = turns.remove(&planned.id)?;
            let name = self.site.guest(planned.id).map(|guest| guest.name.clone()).unwrap_or_default();
            let Turn { outcome, steps, pending, .. } = turn;
            Some(GuestSummary { id: planned.id, name, outcome, elapsed, steps, pending })
        });
        Summary { guests: guests.collect(), run_id: self.id, stale, interrupted, elapsed, critical_path, asked }
    }

    /// Guests outside this run that read artifacts which became other ones in it.
    fn stale(&self, sight: &Sight) -> Vec<Stale> {
        let outside =
            sight.records.values().filter(|record| self.plan.guests.iter().all(|guest| guest.id != record.id));
        let consumed = outside.flat_map(|record| {
            record.scripts.values().flat_map(move |applied| applied.consumed.iter().map(move |one| (record.id, one)))
        });
        let mut stale: Vec<Stale> = consumed
            .filter(|(_, (name, consumed))| {
                let now = self.artifacts.get(name, &[consumed.publisher]);
                now.is_some_and(|artifact| Applied::digest(artifact.value.as_bytes()) != consumed.digest)
            })
            .map(|(guest, (artifact, consumed))| Stale {
                guest,
                artifact: artifact.clone(),
                publisher: consumed.publisher,
            })
            .collect();
        stale.sort_by(|a, b| (a.guest, &a.artifact, a.publisher).cmp(&(b.guest, &b.artifact, b.publisher)));
        stale.dedup();
        stale
    }

    fn name(&self, id: GuestId) -> String {
        self.site.guest(id).map(|guest| guest.name.clone()).unwrap_or_default()
    }

    pub(super) fn publish(&self, artifact: Artifact) {
        self.artifacts.publish(artifact);
    }

    /// A rehearsal cannot know what this guest publishes.
    pub(super) fn unknown(&self, publisher: GuestId, names: &[String], on: &str) {
        let mut unknown = self.unknown_artifacts();
        unknown.extend(names.iter().map(|name| ((name.clone(), publisher), on.to_owned())));
    }

    /// What a script that reads these artifacts depends on, when a rehearsal could not learn one of them.
    pub(super) fn depends_on_unknown(&self, names: &[String], publishers: &[GuestId]) -> Option<String> {
        let unknown = self.unknown_artifacts();
        // The nearest publisher counts: its value if it is known, what it depends on if it is not.
        let is_published = |name: &String, id: &GuestId| self.artifacts.get(name, &[*id]).is_some();
        names.iter().find_map(|name| {
            let mut of = publishers.iter().map(|id| (id, unknown.get(&(name.clone(), *id))));
            of.find(|(id, on)| on.is_some() || is_published(name, id))?.1.cloned()
        })
    }

    fn unknown_artifacts(&self) -> MutexGuard<'_, BTreeMap<(String, GuestId), String>> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the pause after the guest that was started before this one is over.
    fn wait_for_boot(&self, handles: &Handles, id: GuestId) {
        let Some((before, left)) = self.boot.pause(&self.site, id, handles.keeper.now()) else { return };
        let on =
            format!("its turn to boot: {} s more after {before} ({})", left.as_secs_f64().ceil(), self.name(before));
        self.stage.tell(handles.keeper.as_ref(), Event::Waiting { guest: id, on });
        // An interrupt ends the turn that follows, too.
        drop(handles.host.sleep(left));
    }

    /// A guest's turn is over: told, noted, and on the node's disk if it is worth it.
    fn close(&self, handles: &Handles, id: GuestId, turn: Turn, elapsed: Duration) {
        self.journal.note(handles.keeper.now(), Entry::Guest { guest: id, outcome: turn.outcome.clone() });
        let worth_it = matches!(turn.outcome, Outcome::Changed | Outcome::Failed { .. }) || self.journal.is_open();
        if worth_it {
            self.save(handles, Some(id));
        }
        let event = Event::GuestFinished { guest: id, outcome: turn.outcome.clone(), elapsed };
        self.stage.tell(handles.keeper.as_ref(), event);
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (turn, elapsed));
        self.progress.ends(id);
    }

    /// A journal that cannot be kept is worth a warning; what counts is in the records and on the node. That the node
    /// was lost is told by whoever lost it.
    fn save(&self, handles: &Handles, guest: Option<GuestId>) {
        let saved = self.journal.save(handles.keeper.as_ref(), Vec::new());
        if let Err(error) = saved
            && self.stage.interrupt.lost().is_none()
        {
            let event = Event::Message { guest, level: Level::Warning, text: error.to_string() };
            self.stage.tell(handles.keeper.as_ref(), event);
        }
    }
}

impl Work for Run {
    fn starts(&self, host: &HostHandle, id: GuestId, by: Option<GuestId>) {
        if let Some(by) = by {
            self.released.lock().unwrap_or_else(PoisonError::into_inner).insert(id, by);
        }
        self.progress.begins(id);
        self.stage.tell(host.as_ref(), Event::GuestStarted { guest: id });
    }

    fn run(&self, host: HostHandle, id: GuestId) -> End {
        let handles = self.stage.handles(host, Some(id));
        let began = handles.keeper.now();
        let planned = self.plan.guests.iter().find(|planned| planned.id == id);
        let (Some(planned), Some(guest)) = (planned, self.site.guest(id)) else { return End::Unmet };
        let turn = match planned.rest.filter(|_| planned.steps.is_empty()) {
            Some(rest) => Turn::left_alone(rest),
            None => {
                self.wait_for_boot(&handles, id);
                lifecycle::run(self, planned, guest, handles.clone())
            }
        };
        let end = if turn.met { End::Met } else { End::Unmet };
        let elapsed = since(&handles, began);
        let released_by = self.released.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        let span = Span { guest: id, released_by, began, ended: handles.keeper.now() };
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).push(span);
        self.close(&handles, id, turn, elapsed);
        end
    }

    fn skipped(&self, host: &HostHandle, id: GuestId, why: NotStarted) {
        let reason = match why {
            NotStarted::Because(root) => format!("it needs {root} ({}), which failed", self.name(root)),
            NotStarted::Stopped => "interrupted".to_owned(),
        };
        let turn = Turn::ended(Outcome::Skipped { reason });
        self.close(&self.stage.handles(host.clone(), Some(id)), id, turn, Duration::ZERO);
    }

    fn panicked(&self, host: &HostHandle, id: GuestId, message: &str) {
        let cause = Failure {
            hint: Some("this is a mistake in phoenix: please report it".to_owned()),
            ..Failure::new(format!("internal error: {message}"))
        };
        let turn = Turn::ended(Outcome::Failed { cause });
        self.close(&self.stage.handles(host.clone(), Some(id)), id, turn, Duration::ZERO);
    }

    fn stopped(&self) -> bool {
        self.stage.interrupt.is_set()
    }
}

fn since(handles: &Handles, began: jiff::Timestamp) -> Duration {
    handles.keeper.now().duration_since(began).try_into().unwrap_or_default()
}
