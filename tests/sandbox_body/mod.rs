//! The modelled inside of a machine. What each Op answers is told by the conformance set; here is what it does not ask.

mod ca;
mod changes;
mod portainer;
mod programs;
mod services;
mod units;

use std::time::Duration;

use phoenix::command::Effect;
use phoenix::op::{Attributes, Content, Exec, Op, OpResult, OpValue};
use phoenix::sandbox::body::{Answer, Around, Body, Faults, Template, Unmodelled};
use phoenix::sandbox::programs::{Identity, NoPrograms, Programs};

/// A machine named `web` at 192.0.2.10 that nobody models anything for.
fn around() -> Around<'static> {
    around_with(&NoPrograms)
}

fn around_with(programs: &dyn Programs) -> Around<'_> {
    Around {
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
        programs,
        node: None,
        binds: &[],
        unmodelled: Unmodelled::Assumed,
        faults: Faults::default(),
    }
}

fn perform(body: &mut Body, op: Op) -> OpResult {
    let Answer { result, took } = body.perform(&op, &mut around());
    assert!(took > Duration::ZERO, "{op} takes time");
    result
}

fn write(path: &str, text: &str) -> Op {
    let content = Content::Bytes(text.as_bytes().into());
    Op::Write { path: path.to_owned(), content, attributes: Attributes::default(), guard: None }
}

fn read(body: &mut Body, path: &str) -> Option<String> {
    match perform(body, Op::Read { path: path.to_owned(), limit: 1 << 20 }).unwrap() {
        OpValue::Bytes(bytes) => bytes.map(|bytes| String::from_utf8(bytes).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn exec_op(argv: &[&str]) -> Exec {
    Exec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(60),
        effect: Effect::Change,
    }
}

/// Runs a program a minute after the boot; answers its exit code and everything it printed.
fn exec(body: &mut Body, argv: &[&str]) -> (i32, String) {
    let mut around = around();
    around.identity.now += Duration::from_secs(60);
    match body.perform(&Op::Exec(exec_op(argv)), &mut around).result.unwrap() {
        OpValue::Output(output) => {
            assert!(!output.assumed, "{argv:?} is assumed");
            (output.code, format!("{}{}", output.text(), String::from_utf8_lossy(&output.stderr)))
        }
        other => panic!("{other:?}"),
    }
}

/// A machine of this template that was just started; it has host keys, as every container that `pct` made.
fn booted(template: Template) -> Body {
    let mut body = Body::of_template(template);
    let mut around = around();
    body.make_host_keys(&around.identity).unwrap();
    body.boot(&mut around);
    body
}
