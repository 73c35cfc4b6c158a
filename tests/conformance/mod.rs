//! The conformance set of Ops: what each of them answers, asked of the model and of a real container alike.
//!
//! A case is a story in steps; a step is one batch of Ops with what each must answer. Cases share a machine and keep
//! to a directory of their own, so their order does not matter.

mod accounts;
mod exec;
mod files;
mod packages;
mod system;
mod units;

use std::time::Duration;

use phoenix::command::Effect;
use phoenix::host::Host;
use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::Local;
use phoenix::op::{Attributes, Content, Exec, Op, OpError, OpErrorKind, OpResult, OpValue, Place};
use phoenix::sandbox::body::{Around, Body, Faults, Template, Unmodelled};
use phoenix::sandbox::programs::{Identity, NoPrograms};

use crate::support::agent::Agent;
use crate::support::container::Container;

/// A story in steps.
pub struct Case {
    name: &'static str,
    steps: Vec<Vec<(Op, Expect)>>,
}

/// What an Op must answer.
pub enum Expect {
    /// Exactly this.
    Is(OpValue),
    /// A failure of this class.
    Fails(OpErrorKind),
    /// Something that this is true of, said in words.
    Shows(&'static str, fn(&OpValue) -> bool),
}

impl Case {
    fn new(name: &'static str) -> Case {
        Case { name, steps: Vec::new() }
    }

    /// With a batch of one.
    fn op(self, op: Op, expect: Expect) -> Case {
        self.batch([(op, expect)])
    }

    /// With a change that must succeed.
    fn does(self, op: Op) -> Case {
        self.op(op, Expect::Is(OpValue::Done))
    }

    /// With a batch.
    fn batch(mut self, batch: impl IntoIterator<Item = (Op, Expect)>) -> Case {
        self.steps.push(batch.into_iter().collect());
        self
    }

    /// Runs the story; answers what went otherwise.
    fn run(&self, perform: &mut dyn FnMut(&[Op]) -> Vec<OpResult>) -> Vec<String> {
        let mut wrong = Vec::new();
        for step in &self.steps {
            let ops: Vec<Op> = step.iter().map(|(op, _)| op.clone()).collect();
            let results = perform(&ops);
            assert_eq!(results.len(), ops.len(), "{}: as many answers as ops", self.name);
            for ((op, expect), result) in step.iter().zip(&results) {
                let (right, expected) = match (expect, result) {
                    (Expect::Is(value), Ok(found)) => (value == found, short(value)),
                    (Expect::Is(value), Err(_)) => (false, short(value)),
                    (Expect::Fails(kind), Err(error)) => (error.kind == *kind, format!("{kind:?}")),
                    (Expect::Fails(kind), Ok(_)) => (false, format!("{kind:?}")),
                    (Expect::Shows(words, holds), Ok(found)) => (holds(found), (*words).to_owned()),
                    (Expect::Shows(words, _), Err(_)) => (false, (*words).to_owned()),
                };
                if !right {
                    wrong.push(format!("{}: `{op}`: expected {expected}, got {}", self.name, short(result)));
                }
            }
        }
        wrong
    }
}

/// Enough of a value to see what it is.
fn short(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take(300).collect()
}

/// All cases.
fn cases() -> Vec<Case> {
    [files::cases(), packages::cases(), units::cases(), accounts::cases(), exec::cases(), system::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// The cases about files, asked of the node that this host acts on, which has nobody's `/srv`.
pub fn holds_on_the_node(host: &dyn Host) {
    let mut perform = |ops: &[Op]| host.perform(Place::Node, ops).unwrap();
    perform(&[remove(files::ROOM)]);
    run_all(&files::cases(), &mut perform);
    perform(&[remove(files::ROOM)]);
}

/// All cases, asked of a machine through its channel.
pub fn holds(host: &Local, place: Place) {
    run_all(&cases(), &mut |ops| host.perform(place, ops).unwrap());
}

/// Runs all cases and fails with everything that went otherwise.
fn run_all(cases: &[Case], perform: &mut dyn FnMut(&[Op]) -> Vec<OpResult>) {
    let wrong: Vec<String> = cases.iter().flat_map(|case| case.run(perform)).collect();
    let ops: usize = cases.iter().flat_map(|case| &case.steps).map(Vec::len).sum();
    println!("{} cases with {ops} ops, {} answered otherwise", cases.len(), wrong.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_model_answers_as_a_machine_does() {
    let mut body = Body::of_template(Template::Debian12);
    let mut around = Around {
        identity: Identity {
            id: Some(101.try_into().unwrap()),
            kind: Some(phoenix::model::GuestKind::Lxc),
            name: "web".to_owned(),
            ip: Some("192.0.2.10".parse().unwrap()),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        },
        addresses: vec!["192.0.2.10/24".parse().unwrap()],
        node_addresses: Vec::new(),
        default_route: true,
        programs: &NoPrograms,
        node: None,
        binds: &[],
        unmodelled: Unmodelled::Assumed,
        faults: Faults::default(),
    };
    body.boot(&mut around);
    around.identity.now += Duration::from_secs(60);
    // A body answers one op; stopping a batch is its host's business.
    let mut perform = |ops: &[Op]| {
        let mut failed = false;
        let mut answer = |op: &Op| {
            if failed {
                return Err(OpError::new(OpErrorKind::NotRun, ""));
            }
            let result = body.perform(op, &mut around).result;
            failed = result.is_err() && op.effect() == Effect::Change;
            result
        };
        ops.iter().map(&mut answer).collect()
    };
    run_all(&cases(), &mut perform);
}

#[test]
fn a_real_container_answers_so_through_its_channel() {
    let container = Container::boot();
    holds(&Local::new(Interrupt::new()).unwrap(), container.place());
}

#[test]
fn a_real_guest_agent_answers_so_over_its_socket() {
    let agent = Agent::boot();
    holds(&agent.host(), agent.place());
}

#[test]
fn a_real_guest_agent_answers_so_by_qm() {
    let agent = Agent::boot();
    holds(&agent.host_with_qm(), agent.place());
}

#[test]
fn the_node_itself_answers_so_about_files() {
    let host = Local::new(Interrupt::new()).unwrap();
    let mut perform = |ops: &[Op]| host.perform(Place::Node, ops).unwrap();
    perform(&[remove(files::ROOM)]);
    run_all(&files::cases(), &mut perform);
    std::fs::remove_dir_all(files::ROOM).unwrap();
}

// --- short ways to say ops and answers --------------------------------------------------------------------------------

fn write(path: &str, bytes: impl Into<Vec<u8>>) -> Op {
    write_as(path, bytes, Attributes::default())
}

fn write_as(path: &str, bytes: impl Into<Vec<u8>>, attributes: Attributes) -> Op {
    Op::Write { path: path.to_owned(), content: Content::Bytes(bytes.into().into()), attributes, guard: None }
}

fn attributes(mode: impl Into<Option<u32>>, owner: &str, group: &str) -> Attributes {
    let name = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    Attributes { mode: mode.into(), owner: name(owner), group: name(group) }
}

fn read(path: &str) -> Op {
    Op::Read { path: path.to_owned(), limit: 1 << 30 }
}

fn stat(path: &str) -> Op {
    Op::Stat { path: path.to_owned() }
}

fn dir(path: &str) -> Op {
    Op::MakeDir { path: path.to_owned(), attributes: Attributes::default() }
}

fn remove(path: &str) -> Op {
    Op::Remove { path: path.to_owned(), recursive: true }
}

fn exec(argv: &[&str]) -> Exec {
    Exec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(20),
        effect: Effect::Change,
    }
}

fn bytes(bytes: impl Into<Vec<u8>>) -> Expect {
    Expect::Is(OpValue::Bytes(Some(bytes.into())))
}
