//! The way of one script: what it needs, its container, run after run, until nothing of it is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{StandError, ground};
use super::around::{Around, Staged};
use super::workshop::Workshop;
use super::{Options, Proof, Times, Verdict};
use crate::event::{Event, Failure, Level, Outcome, Stamped};
use crate::host::interrupt::Interruptible;
use crate::host::local::Local;
use crate::host::record::{Counts, Recorder};
use crate::host::{Host as _, HostError, HostHandle};
use crate::lab::{Base, LabError};
use crate::machine::{File, Machine, MachineError, Report, SecretStore};
use crate::model::{Cidr, Guest, GuestId, Os, RealRun, ScriptKind, ScriptSpec, Step, Target};
use crate::op::{Attributes, Place};
use crate::request::Request;
use crate::script::{self, Call, Entry, Library, Models, ScriptError, ScriptReport, TestFile};
use crate::secret::Sealed;

/// Why a script does not come to its end.
pub(super) enum Stop {
    /// It is wrong.
    Failed(Box<Failure>),
    /// This machine cannot tell.
    Impossible(String),
    /// The operator asked to stop.
    Interrupted,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(Box::new(failure))
    }
}

impl From<LabError> for Stop {
    fn from(error: LabError) -> Stop {
        Failure::new(error.to_string()).into()
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Stop {
        MachineError::from(error).into()
    }
}

impl From<MachineError> for Stop {
    fn from(error: MachineError) -> Stop {
        if error.is_interrupted() { Stop::Interrupted } else { error.failure().into() }
    }
}

impl From<StandError> for Stop {
    fn from(error: StandError) -> Stop {
        match error {
            StandError::Machine(error) => error.into(),
            StandError::Host(error) => error.into(),
            error => Failure::new(error.to_string()).into(),
        }
    }
}

impl From<ScriptError> for Stop {
    fn from(error: ScriptError) -> Stop {
        match error {
            ScriptError::Interrupted => Stop::Interrupted,
            error => error.failure().into(),
        }
    }
}

/// Proves one script; whatever comes of it, its container is destroyed.
pub(super) fn prove(
    library: &Library,
    models: &Models,
    spec: &ScriptSpec,
    file: Option<&TestFile>,
    options: &Options,
) -> Proof {
    let wanted = file.map_or_else(|| Ok(RealRun::default()), TestFile::real);
    let described = file.and_then(|file| serde_json::from_value(file.guest().remove("os")?).ok());
    let os = options.os.or(wanted.as_ref().ok().and_then(|wanted| wanted.os)).or(described).unwrap_or_default();
    let proven = wanted.map_err(|wrong| Stop::from(Failure::new(wrong))).and_then(|wanted| {
        possible(spec, &wanted)?;
        let around = Around::new(library, spec, file, &wanted, options)?;
        let real = Arc::new(Local::new(options.interrupt.clone())?);
        let script = Course { library, models, spec, options, wanted, around, os, real };
        script.reaches()?;
        script.prepare()?;
        let proven = script.in_a_container();
        options.bench.clear();
        proven
    });
    let verdict = match proven {
        Ok(times) => Verdict::Proven(times),
        Err(_) if options.interrupt.is_set() => Verdict::Interrupted,
        Err(Stop::Interrupted) => Verdict::Interrupted,
        Err(Stop::Impossible(reason)) => Verdict::Impossible { reason },
        Err(Stop::Failed(failure)) => Verdict::Failed { failure },
    };
    Proof { kind: spec.kind, script: spec.name.clone(), os, verdict }
}

/// Whether any container will do, by what its files say.
fn possible(spec: &ScriptSpec, wanted: &RealRun) -> Result<(), Stop> {
    if let Some(why) = &wanted.why_not {
        return Err(Stop::Impossible(why.clone()));
    }
    if spec.targets.contains(&Target::Lxc) {
        return Ok(());
    }
    let whom = if spec.targets.contains(&Target::Vm) { "virtual machines" } else { "the node" };
    Err(Stop::Impossible(format!("it is for {whom} only")))
}

/// A script on its way.
struct Course<'a> {
    library: &'a Library,
    models: &'a Models,
    spec: &'a ScriptSpec,
    options: &'a Options,
    wanted: RealRun,
    around: Around,
    os: Os,
    real: Arc<Local>,
}

impl Course<'_> {
    fn reaches(&self) -> Result<(), Stop> {
        for url in &self.wanted.reaches {
            let request = Request { timeout: Duration::from_secs(10), ..Request::get(url.clone()) };
            if let Err(error) = self.real.request(&request) {
                return Err(Stop::Impossible(error.to_string()));
            }
        }
        Ok(())
    }

    /// What the scripts want of the node: there is none here, so whoever wants anything cannot be run.
    fn prepare(&self) -> Result<(), Stop> {
        let guest = self.around.guest();
        for (kind, name) in &self.around.scripts {
            let Some(spec) = self.library.catalogue().get(*kind, name).filter(|spec| spec.has_prepare) else {
                continue;
            };
            let prepared = run(Call {
                library: self.library,
                kind: *kind,
                name,
                entry: Entry::Prepare,
                machine: Machine::new(self.real.clone(), Place::Node, self.report(guest.id)),
                site: self.around.site(),
                guest: guest.id,
                params: params(spec, guest)?,
                artifacts: Default::default(),
                publishers: Vec::new(),
                secrets: SecretStore::new(self.real.clone(), Arc::new(|_| None)),
                interrupt: self.options.interrupt.clone(),
            });
            match prepared {
                Ok(report) if report.prepared == Default::default() => {}
                Ok(_) => return Err(Stop::Impossible(format!("{name} wants devices, mounts or settings of a node"))),
                Err(ScriptError::Failed(failure)) => return Err(Stop::Impossible(failure.message)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn in_a_container(&self) -> Result<Times, Stop> {
        let Options { bases, lab, bench, .. } = self.options;
        let nesting = self.around.needs.nesting;
        let tell = |text: &str| {
            self.tell(Event::Message { guest: None, level: Level::Info, text: text.to_owned() });
        };
        let base = Base::of(bases, self.os.codename(), nesting, &tell).map_err(|error| {
            Stop::Impossible(format!("no {} can be made from this machine's package sources: {error}", self.os))
        })?;
        let began = Instant::now();
        let (id, address) = bench.boot(&base, lab)?;
        let guest = (id, self.around.guest().name.clone());
        self.tell(Event::RunStarted { run: String::new(), command: String::new(), guests: vec![guest] });
        self.tell(Event::GuestStarted { guest: id });
        let booted =
            Event::StepFinished { guest: id, step: Step::Start, outcome: Outcome::Changed, elapsed: began.elapsed() };
        self.tell(booted);
        let address =
            Cidr { address: address.parse().map_err(|_| Failure::new("a container without an address"))?, prefix: 24 };
        let staged = self.around.stage(self.library, self.models, (id, address), &self.wanted)?;
        let runs = Runs::new(self, staged);
        let ended = runs.all();
        runs.host.close_channel(runs.place);
        let outcome = match &ended {
            Ok(_) => Outcome::Changed,
            Err(Stop::Failed(cause)) => Outcome::Failed { cause: (**cause).clone() },
            Err(Stop::Impossible(reason)) => Outcome::Skipped { reason: reason.clone() },
            Err(Stop::Interrupted) => Outcome::Skipped { reason: "interrupted".to_owned() },
        };
        self.tell(Event::GuestFinished { guest: id, outcome, elapsed: began.elapsed() });
        ended
    }

    fn report(&self, guest: GuestId) -> Report {
        Report { guest: Some(guest), events: Arc::clone(&self.options.events) }
    }

    fn tell(&self, event: Event) {
        self.options.events.emit(Stamped { at: self.real.now(), event });
    }
}

/// The runs in the container.
struct Runs<'a> {
    course: &'a Course<'a>,
    staged: Staged,
    workshop: Arc<Workshop>,
    counts: Counts,
    host: HostHandle,
    place: Place,
    secrets: SecretStore,
}

impl<'a> Runs<'a> {
    fn new(course: &'a Course<'a>, staged: Staged) -> Runs<'a> {
        let Options { lab, events, interrupt, .. } = course.options;
        let place = Place::Guest(staged.id, course.around.guest().kind);
        let cache = lab.join("downloads");
        let neighbours = staged.neighbours.clone();
        let workshop = Arc::new(Workshop::new(course.real.clone(), staged.sandbox.clone(), neighbours, place, &cache));
        let counts = Counts::default();
        let recorder = Recorder::new(workshop.clone(), Arc::clone(events), Some(staged.id), counts.clone());
        let host: HostHandle = Arc::new(Interruptible::new(Arc::new(recorder), interrupt.clone()));
        let secrets = SecretStore::new(host.clone(), Arc::new(|_| None));
        Runs { course, staged, workshop, counts, host, place, secrets }
    }

    /// Applied, applied again, healthy, removed again.
    fn all(&self) -> Result<Times, Stop> {
        let machine = self.machine();
        self.furnish(&machine)?;
        let mut first = Duration::ZERO;
        for (kind, name) in &self.course.around.scripts {
            let (report, took) = self
                .step(step(*kind, name), || self.call(&machine, Entry::Apply, (*kind, name)))
                .map_err(|stop| self.blamed(stop, name))?;
            if let Some(reason) = report.skipped.filter(|_| self.is_it(*kind, name)) {
                return Err(Stop::Impossible(format!("it leaves by itself: {reason}")));
            }
            first = took;
        }
        self.host.close_channel(self.place);
        let machine = self.machine();
        let (mut second, mut operations) = (Duration::ZERO, 0);
        for (kind, name) in &self.course.around.scripts {
            self.workshop.changes();
            let before = self.counts.ops() + self.counts.requests();
            let (report, took) = self.step(step(*kind, name), || self.call(&machine, Entry::Apply, (*kind, name)))?;
            self.unchanged(&format!("the second run of {name}"), &report)?;
            (second, operations) = (took, self.counts.ops() + self.counts.requests() - before);
        }
        self.step(Step::Health, || {
            let ask = |(kind, name): &(ScriptKind, String)| self.call(&machine, Entry::Health, (*kind, name));
            let reports: Result<Vec<_>, Stop> = self.course.around.scripts.iter().map(ask).collect();
            reports.map(|_| ScriptReport::default())
        })?;
        let removed = self.course.spec.has_remove;
        if removed {
            let script = (self.course.spec.kind, self.course.spec.name.as_str());
            self.call(&machine, Entry::Remove, script)?;
            self.workshop.changes();
            let report = self.call(&machine, Entry::Remove, script)?;
            self.unchanged(&format!("removing {} a second time", script.1), &report)?;
        }
        Ok(Times { first, second, operations, removed })
    }

    /// Puts into the container what is there before anything runs.
    fn furnish(&self, machine: &Machine) -> Result<(), Stop> {
        for (path, text) in &self.course.options.files {
            if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
                machine.dir(above, &Attributes::default())?;
            }
            machine.file(path, &File::text(Sealed::plain(text.as_str())))?;
        }
        let declared = &self.course.around.declared;
        ground::keep_secrets(&self.host, &declared.secrets)?;
        ground::furnish(machine, declared)?;
        Ok(())
    }

    fn machine(&self) -> Machine {
        Machine::new(self.host.clone(), self.place, self.course.report(self.staged.id))
    }

    fn is_it(&self, kind: ScriptKind, name: &str) -> bool {
        (kind, name) == (self.course.spec.kind, self.course.spec.name.as_str())
    }

    /// A failure of the first run, unless this machine is to blame: then it cannot be run here.
    fn blamed(&self, stop: Stop, name: &str) -> Stop {
        let Stop::Failed(mut failure) = stop else { return stop };
        if let Some(lacking) = self.workshop.out_of_reach() {
            return Stop::Impossible(lacking);
        }
        if name != self.course.spec.name {
            failure.message = format!("{name}, which it needs: {}", failure.message);
        }
        Stop::Failed(failure)
    }

    fn unchanged(&self, what: &str, report: &ScriptReport) -> Result<(), Stop> {
        let changes = self.workshop.changes();
        if !report.changed && changes.is_empty() {
            return Ok(());
        }
        let changes = if changes.is_empty() { String::new() } else { format!(": {}", changes.join("; ")) };
        Err(Stop::from(Failure {
            hint: Some("guard `exec`, and compare before writing: verbs do so by themselves".to_owned()),
            ..Failure::new(format!("{what} still changes something{changes}"))
        }))
    }

    /// A step that is told; answers the time that it took.
    fn step(
        &self,
        step: Step,
        act: impl FnOnce() -> Result<ScriptReport, Stop>,
    ) -> Result<(ScriptReport, Duration), Stop> {
        let guest = self.staged.id;
        self.course.tell(Event::StepStarted { guest, step: step.clone() });
        let began = Instant::now();
        let ended = act();
        let elapsed = began.elapsed();
        let outcome = match &ended {
            Ok(ScriptReport { skipped: Some(reason), .. }) => Outcome::Skipped { reason: reason.clone() },
            Ok(report) if report.changed => Outcome::Changed,
            Ok(_) => Outcome::Unchanged,
            Err(Stop::Failed(cause)) => Outcome::Failed { cause: (**cause).clone() },
            Err(Stop::Impossible(reason)) => Outcome::Skipped { reason: reason.clone() },
            Err(Stop::Interrupted) => Outcome::Skipped { reason: "interrupted".to_owned() },
        };
        self.course.tell(Event::StepFinished { guest, step, outcome, elapsed });
        ended.map(|report| (report, elapsed))
    }

    fn call(&self, machine: &Machine, entry: Entry, (kind, name): (ScriptKind, &str)) -> Result<ScriptReport, Stop> {
        let course = self.course;
        let spec = course.library.catalogue().get(kind, name);
        let spec = spec.ok_or_else(|| Failure::new(format!("there is no script `{name}`")))?;
        let Staged { site, id, artifacts, .. } = &self.staged;
        let mut publishers = vec![*id];
        publishers.extend(site.guests.keys().filter(|other| *other != id));
        let guest = &site.guests[id];
        let report = run(Call {
            library: course.library,
            kind,
            name,
            entry,
            machine: machine.clone(),
            site: Arc::clone(site),
            guest: *id,
            params: params(spec, guest)?,
            artifacts: artifacts.clone(),
            publishers,
            secrets: self.secrets.clone(),
            interrupt: course.options.interrupt.clone(),
        })?;
        for artifact in &report.published {
            artifacts.publish(artifact.clone());
        }
        Ok(report)
    }
}

fn step(kind: ScriptKind, name: &str) -> Step {
    match kind {
        ScriptKind::Feature => Step::Feature(name.to_owned()),
        ScriptKind::App => Step::App(name.to_owned()),
    }
}

fn params(spec: &ScriptSpec, guest: &Guest) -> Result<std::collections::BTreeMap<String, serde_json::Value>, Failure> {
    script::params(spec, guest.params.get(&spec.name)).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(all.join("; "))
    })
}

/// Scripts run on threads of their own: they need more stack than others.
fn run(call: Call<'_>) -> Result<ScriptReport, ScriptError> {
    std::thread::scope(|scope| {
        let running = script::thread(call.name).spawn_scoped(scope, || script::run(call));
        let failed = |what: String| ScriptError::Failed(Box::new(Failure::new(what)));
        let running = running.map_err(|error| failed(format!("the script could not be run: {error}")))?;
        running.join().unwrap_or_else(|_| Err(failed("the script ran into a mistake of this program".to_owned())))
    })
}
