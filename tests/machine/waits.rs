//! Every primitive that waits: it ends at its limit with the last answer, and at Ctrl-C in its next pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phoenix::command::{Command, Output};
use phoenix::event::Discard;
use phoenix::host::interrupt::{Interrupt, Interruptible};
use phoenix::host::{Host, HostError, HostHandle, RunLock};
use phoenix::machine::{Condition, Exec, Machine, MachineError, Packages, Reboot, Report, Service, Wait};
use phoenix::op::{Op, OpResult, OpValue, Place};
use phoenix::request::{Request, Response};
use phoenix::sandbox::body::Faults;
use phoenix::sandbox::programs::PackageModel;

use super::bench::{Bench, Models};

/// A host on which the operator presses Ctrl-C in the first pause; commands of the node succeed and restart nothing.
struct Impatient {
    inner: HostHandle,
    interrupt: Interrupt,
    pauses: Arc<AtomicUsize>,
    /// What the guest's init says, instead of what it is.
    state: Option<&'static str>,
}

impl Host for Impatient {
    fn run(&self, _: &Command) -> Result<Output, HostError> {
        Ok(Output::default())
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let mut answers = self.inner.perform(place, ops)?;
        for (op, answer) in ops.iter().zip(&mut answers) {
            if let (Op::SystemState, Some(state)) = (op, self.state) {
                *answer = Ok(OpValue::SystemState(state.to_owned()));
            }
        }
        Ok(answers)
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        self.inner.request(request)
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        if self.pauses.fetch_add(1, Ordering::Relaxed) == 0 {
            self.interrupt.set();
        }
        self.inner.sleep(duration)
    }

    fn now(&self) -> jiff::Timestamp {
        self.inner.now()
    }

    fn actor(&self, name: &str) -> HostHandle {
        self.inner.actor(name)
    }

    fn park(&self) {}

    fn wake(&self) {}

    fn close_channel(&self, _: Place) {}

    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        self.inner.lock(owner)
    }
}

type Call = fn(&Machine) -> Result<(), MachineError>;

const LIMIT: Duration = Duration::from_secs(20);
const WAIT: Wait = Wait { timeout: LIMIT, every: Duration::from_secs(1) };

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What waits, each for something that does not come.
const WAITING: &[(&str, Call)] = &[
    ("packages", |machine| {
        let options = Packages { wait: LIMIT, ..Packages::default() };
        machine.packages(&words(&["tool"]), &options).map(drop)
    }),
    ("wait_for port", |machine| machine.wait_for(&Condition::Port(81), WAIT)),
    ("wait_for file", |machine| machine.wait_for(&Condition::File("/none".to_owned()), WAIT)),
    ("wait_for command", |machine| machine.wait_for(&Condition::Command(words(&["false"])), WAIT)),
    ("wait_for unit", |machine| machine.wait_for(&Condition::Unit("none".to_owned()), WAIT)),
    ("wait_for http", |machine| machine.wait_for(&Condition::Http(Box::new(Request::get("http://192.0.2.9/"))), WAIT)),
    ("reboot", |machine| machine.reboot(&Reboot { timeout: LIMIT, ..Reboot::default() }).map(drop)),
];

fn bench() -> Bench {
    let mut models = Models::default();
    models.packages.insert("tool", PackageModel::default());
    let bench = Bench::with(models);
    let until = bench.now() + Duration::from_secs(86_400);
    bench.faults(Faults { packages_locked_until: Some(until), ..Faults::default() });
    bench
}

fn machine(bench: &Bench, ctrl_c: bool) -> (Machine, Arc<AtomicUsize>) {
    let (interrupt, pauses) = (Interrupt::new(), Arc::new(AtomicUsize::new(usize::from(!ctrl_c))));
    let inner = Impatient {
        inner: bench.handle(),
        interrupt: interrupt.clone(),
        pauses: pauses.clone(),
        state: Some("starting"),
    };
    let host: HostHandle = Arc::new(Interruptible::new(Arc::new(inner), interrupt));
    let (plain, _) = bench.reporting();
    let report = Report { events: Arc::new(Discard), ..plain.report().clone() };
    (Machine::new(host, plain.place(), report), pauses)
}

#[test]
fn whatever_waits_ends_at_ctrl_c() {
    for (name, call) in WAITING {
        let (machine, pauses) = machine(&bench(), true);
        let error = call(&machine).unwrap_err();
        assert!(error.is_interrupted(), "{name}: {error}");
        assert_eq!(pauses.load(Ordering::Relaxed), 1, "{name}: it went on");
    }
}

#[test]
fn whatever_waits_ends_at_its_limit_and_says_what_it_saw() {
    let mut told = String::new();
    for (name, call) in WAITING {
        let bench = bench();
        let began = bench.now();
        let error = call(&machine(&bench, false).0).unwrap_err();
        let took = bench.now().duration_since(began).as_secs();
        assert!((20..40).contains(&took), "{name}: {took} s");
        told += &format!("{name}: {error}\n");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_program_ends_at_its_limit() {
    let bench = bench();
    let sleep = words(&["sleep", "600"]);
    let short = Exec { timeout: LIMIT, ..Exec::default() };
    let error = bench.machine().exec(&sleep, &short).unwrap_err();
    assert!(error.to_string().contains("did not finish within 20 s"), "{error}");
    assert_eq!(bench.machine().probe(&sleep, &short).unwrap().code, 124);
    assert!(bench.machine().service("none", &Service::default()).is_err());
}
