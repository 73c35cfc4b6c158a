//! A node with one guest, both modelled, whose host counts, fails and is cut off as a test wants it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use phoenix::command::{Command, Effect, Output};
use phoenix::event::{Collect, Event};
use phoenix::host::{Host, HostError, HostHandle, RunLock};
use phoenix::machine::{Change, Machine, MachineError, Report};
use phoenix::model::{GuestId, GuestKind};
use phoenix::op::{Op, OpError, OpErrorKind, OpResult, OpValue, Place};
use phoenix::request::{Request, Response};
use phoenix::sandbox::body::{Around, Body, Faults, Template, Unmodelled};
use phoenix::sandbox::programs::{Identity, Inside, PackageModel, ProgramCall, Programs, UnitModel};

/// What a program does.
type Program = fn(&ProgramCall, &mut dyn Inside) -> Option<Output>;
/// What a request is answered with.
type Answer = Box<dyn FnMut(&Request, jiff::Timestamp) -> Result<Response, HostError> + Send>;

/// Programs, packages and units of a test.
#[derive(Clone, Default)]
pub struct Models {
    pub programs: BTreeMap<&'static str, Program>,
    pub packages: BTreeMap<&'static str, PackageModel>,
    pub units: BTreeMap<&'static str, UnitModel>,
}

impl Programs for Models {
    fn knows(&self, program: &str) -> bool {
        self.programs.contains_key(program)
    }

    fn run(&self, call: &ProgramCall, inside: &mut dyn Inside) -> Option<Output> {
        self.programs.get(call.name()).and_then(|program| program(call, inside))
    }

    fn package(&self, name: &str) -> Option<PackageModel> {
        self.packages.get(name).cloned()
    }

    fn unit(&self, name: &str) -> Option<UnitModel> {
        self.units.get(name).cloned()
    }
}

struct World {
    node: Body,
    guest: Body,
    now: jiff::Timestamp,
    /// Time stands still whatever takes some.
    still: bool,
    models: Models,
    faults: Faults,
    answer: Answer,
    /// Changing Ops that are still done before the connection is lost.
    left: Option<usize>,
    /// Everything that was asked, with its place.
    asked: Vec<(Place, Op)>,
    /// Round trips.
    trips: usize,
    /// What is answered instead of doing an Op.
    instead: Vec<(String, OpError)>,
}

/// The host of a test.
#[derive(Clone)]
pub struct Bench(Arc<Mutex<World>>);

const GUEST: u32 = 150;

fn guest() -> GuestId {
    GuestId::try_from(GUEST).unwrap()
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(Models::default())
    }

    pub fn with(models: Models) -> Bench {
        let world = World {
            node: Body::of_template(Template::Debian13),
            guest: Body::of_template(Template::Debian13),
            now: "2030-05-01T12:00:00Z".parse().unwrap(),
            still: false,
            models,
            faults: Faults::default(),
            answer: Box::new(|request, _| {
                Err(HostError::Unreachable { what: request.url.clone(), reason: "connection refused".to_owned() })
            }),
            left: None,
            asked: Vec::new(),
            trips: 0,
            instead: Vec::new(),
        };
        let bench = Bench(Arc::new(Mutex::new(world)));
        {
            let mut world = bench.world();
            let World { node, guest, now, models, .. } = &mut *world;
            node.boot(&mut around(None, *now, models, Faults::default(), None));
            guest.boot(&mut around(Some(self::guest()), *now, models, Faults::default(), Some(node)));
            world.now += Duration::from_secs(60);
        }
        bench
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub fn handle(&self) -> HostHandle {
        Arc::new(self.clone())
    }

    /// The guest as a machine that nothing is known about yet.
    pub fn machine(&self) -> Machine {
        self.reporting().0
    }

    /// The guest as a machine, and what it reports.
    pub fn reporting(&self) -> (Machine, Arc<Collect>) {
        let events = Arc::new(Collect::default());
        let report = Report { guest: Some(guest()), events: events.clone() };
        (Machine::new(self.handle(), Place::Guest(guest(), GuestKind::Lxc), report), events)
    }

    /// A copy that goes its own way.
    pub fn fork(&self) -> Bench {
        let other = Bench::with(self.world().models.clone());
        {
            let mut world = self.world();
            let (node, guest, now, faults) = (world.node.fork(), world.guest.fork(), world.now, world.faults.clone());
            let mut other = other.world();
            (other.node, other.guest, other.now, other.faults) = (node, guest, now, faults);
            other.still = world.still;
        }
        other
    }

    pub fn cut_off_after(&self, changes: usize) {
        self.world().left = Some(changes);
    }

    pub fn faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// Time stands still, so that moments that machines remember are the same whatever was done before.
    pub fn stand_still(&self) {
        self.world().still = true;
    }

    pub fn later(&self, duration: Duration) {
        self.world().now += duration;
    }

    pub fn now(&self) -> jiff::Timestamp {
        self.world().now
    }

    /// Requests are answered like this.
    pub fn answers(&self, mut answer: impl FnMut(&Request) -> Result<Response, HostError> + Send + 'static) {
        self.answers_at(move |request, _| answer(request));
    }

    /// Requests are answered like this, with the node's time.
    pub fn answers_at(
        &self,
        answer: impl FnMut(&Request, jiff::Timestamp) -> Result<Response, HostError> + Send + 'static,
    ) {
        self.world().answer = Box::new(answer);
    }

    /// The next Op whose line is `op` fails like this.
    pub fn fail(&self, op: &str, kind: OpErrorKind, message: &str) {
        self.world().instead.push((op.to_owned(), OpError::new(kind, message)));
    }

    /// Forgets what was asked so far.
    pub fn quiet(&self) {
        let mut world = self.world();
        world.asked.clear();
        world.trips = 0;
    }

    pub fn trips(&self) -> usize {
        self.world().trips
    }

    /// The changing Ops since the last [`Bench::quiet`].
    pub fn changes(&self) -> Vec<String> {
        let changing = |(_, op): &&(Place, Op)| op.effect() == Effect::Change;
        self.world().asked.iter().filter(changing).map(|(_, op)| op.to_string()).collect()
    }

    /// What is in the guest at a path.
    pub fn text(&self, path: &str) -> Option<String> {
        self.ask(Place::Guest(guest(), GuestKind::Lxc), path)
    }

    /// What is on the node at a path.
    pub fn node_text(&self, path: &str) -> Option<String> {
        self.ask(Place::Node, path)
    }

    fn ask(&self, place: Place, path: &str) -> Option<String> {
        let op = Op::Read { path: path.to_owned(), limit: 1 << 20 };
        match self.world().answer(place, &op) {
            Ok(OpValue::Bytes(bytes)) => bytes.map(|bytes| String::from_utf8(bytes).unwrap()),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Does an Op in the guest without counting it.
    pub fn prepare(&self, op: Op) -> OpValue {
        self.world().answer(Place::Guest(guest(), GuestKind::Lxc), &op).unwrap()
    }

    pub fn put(&self, path: &str, text: &str) {
        let mut world = self.world();
        world.guest.place(path, 0o644, text.as_bytes().to_vec()).unwrap();
    }

    pub fn put_on_node(&self, path: &str, bytes: &[u8]) {
        self.world().node.place(path, 0o600, bytes.to_vec()).unwrap();
    }

    pub fn remove_on_node(&self, path: &str) {
        self.world().answer(Place::Node, &Op::Remove { path: path.to_owned(), recursive: false }).unwrap();
    }

    pub fn node_mode(&self, path: &str) -> u32 {
        match self.world().answer(Place::Node, &Op::Stat { path: path.to_owned() }) {
            Ok(OpValue::Stat(Some(stat))) => stat.mode,
            other => panic!("{path}: {other:?}"),
        }
    }

    pub fn same_guest(&self, other: &Bench) -> bool {
        let mut copy = other.world().guest.fork();
        let _ = copy.take_changes();
        self.world().guest.equals(&copy)
    }
}

fn around<'a>(
    id: Option<GuestId>,
    now: jiff::Timestamp,
    models: &'a Models,
    faults: Faults,
    node: Option<&'a mut Body>,
) -> Around<'a> {
    let name = if id.is_some() { "guest" } else { "node" }.to_owned();
    Around {
        identity: Identity { id, kind: id.map(|_| GuestKind::Lxc), name, ip: None, now },
        addresses: Vec::new(),
        node_addresses: Vec::new(),
        default_route: true,
        programs: models,
        node,
        binds: &[],
        unmodelled: Unmodelled::Assumed,
        faults,
    }
}

impl World {
    fn answer(&mut self, place: Place, op: &Op) -> OpResult {
        let World { node, guest, now, models, faults, .. } = self;
        let answer = match place {
            Place::Node => node.perform(op, &mut around(None, *now, models, faults.clone(), None)),
            Place::Guest(id, _) => guest.perform(op, &mut around(Some(id), *now, models, faults.clone(), Some(node))),
        };
        if !self.still {
            self.now += answer.took;
        }
        answer.result
    }
}

impl Host for Bench {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        panic!("a primitive started a process on the node: {command}")
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let mut world = self.world();
        world.trips += 1;
        let mut results = Vec::new();
        let mut failed = false;
        for op in ops {
            if failed {
                results.push(Err(OpError::new(OpErrorKind::NotRun, "not run")));
                continue;
            }
            world.asked.push((place, op.clone()));
            if op.effect() == Effect::Change {
                match world.left {
                    Some(0) => return Err(HostError::Lost { place: place.to_string(), reason: "cut off".to_owned() }),
                    Some(left) => world.left = Some(left - 1),
                    None => {}
                }
            }
            let line = op.to_string();
            let instead = world.instead.iter().position(|(at, _)| *at == line).map(|at| world.instead.remove(at).1);
            let result = match instead {
                Some(error) => Err(error),
                None => world.answer(place, op),
            };
            failed = result.is_err() && op.effect() == Effect::Change;
            results.push(result);
        }
        Ok(results)
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        let mut world = self.world();
        let now = world.now;
        (world.answer)(request, now)
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        self.later(duration);
        Ok(())
    }

    fn now(&self) -> jiff::Timestamp {
        Bench::now(self)
    }

    fn actor(&self, _: &str) -> HostHandle {
        self.handle()
    }

    fn park(&self) {}

    fn wake(&self) {}

    fn close_channel(&self, _: Place) {}

    fn lock(&self, _: &str) -> Result<Box<dyn RunLock>, HostError> {
        Ok(Box::new(()))
    }
}

/// What every primitive has to keep: the first call changes something, the second one nothing and sends no changing Op, and
/// a call that was cut off anywhere is finished by the next one, to the same end.
#[track_caller]
pub fn converges(start: &Bench, call: impl Fn(&Machine) -> Result<Change, MachineError>) -> Change {
    let whole = start.fork();
    whole.quiet();
    let first = call(&whole.machine()).unwrap();
    assert!(first.changed, "the first call changed nothing: {first:?}");
    let changes = whole.changes();
    assert!(!changes.is_empty());
    silent(&whole, &call);
    for (cut, before) in changes.iter().enumerate() {
        let bench = start.fork();
        bench.cut_off_after(cut);
        let lost = call(&bench.machine());
        assert!(matches!(lost, Err(MachineError::Host(HostError::Lost { .. }))), "cut off at {cut}: {lost:?}");
        bench.world().left = None;
        call(&bench.machine()).unwrap_or_else(|error| panic!("after a cut before `{before}`: {error}"));
        silent(&bench, &call);
        assert!(bench.same_guest(&whole), "another end after a cut before `{before}`");
    }
    first
}

/// A call that finds everything right.
#[track_caller]
pub fn silent(bench: &Bench, call: impl Fn(&Machine) -> Result<Change, MachineError>) {
    bench.quiet();
    let (machine, events) = bench.reporting();
    let change = call(&machine).unwrap();
    assert!(!change.changed && change.differences.is_empty(), "changed once more: {change:?}");
    assert_eq!(bench.changes(), Vec::<String>::new());
    assert!(!events.events().iter().any(|event| matches!(event.event, Event::Change { .. })));
}
