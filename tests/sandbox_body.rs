//! The modelled inside of a machine.

use std::time::Duration;

use phoenix::op::{Attributes, Content, Op, OpErrorKind, OpResult, OpValue};
use phoenix::sandbox::body::{Answer, Around, Body, Faults, Layers, Template, Unmodelled};
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
    assert!(took > Duration::ZERO || matches!(result, Err(_)), "{op} takes time");
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

#[test]
fn a_fork_keeps_to_itself() {
    let mut base = Body::of_template(Template::Debian12);
    perform(&mut base, write("/srv/a", "one")).unwrap();
    let mut fork = base.fork();
    perform(&mut fork, write("/srv/a", "two")).unwrap();
    perform(&mut base, write("/srv/b", "three")).unwrap();
    assert_eq!(read(&mut base, "/srv/a").as_deref(), Some("one"));
    assert_eq!(read(&mut fork, "/srv/a").as_deref(), Some("two"));
    assert_eq!(read(&mut fork, "/srv/b"), None);
}

#[test]
fn machines_over_one_layer_share_it_in_the_world_file() {
    let mut base = Body::of_template(Template::Debian12);
    perform(&mut base, write("/srv/a", "one")).unwrap();
    let mut fork = base.fork();
    perform(&mut fork, write("/srv/b", "two")).unwrap();
    let mut layers = Layers::default();
    let saved = [layers.save(&base), layers.save(&fork)];
    assert_eq!(saved[0].layer, saved[1].layer);
    assert!(saved[0].changes.is_empty());
    assert_eq!(saved[1].changes.len(), 1);
    let mut read: Layers = serde_json::from_value(serde_json::to_value(&layers).unwrap()).unwrap();
    assert!(read.load(&saved[0]).unwrap().equals(&base));
    assert!(read.load(&saved[1]).unwrap().equals(&fork));
}

#[test]
fn a_full_disk_takes_nothing_more() {
    let mut body = Body::of_template(Template::Debian12);
    let mut around = around();
    around.faults.disk_full = true;
    let error = body.perform(&write("/srv/a", "one"), &mut around).result.unwrap_err();
    assert_eq!(error.kind, OpErrorKind::NoSpace);
}

/// Runs a program and answers its exit code and standard output.
fn exec(body: &mut Body, argv: &[&str]) -> (i32, String) {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let exec = phoenix::op::Exec {
        argv,
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(60),
        effect: phoenix::command::Effect::Change,
    };
    let mut around = around();
    around.identity.now += jiff::SignedDuration::from_secs(60);
    match body.perform(&Op::Exec(exec), &mut around).result.unwrap() {
        OpValue::Output(output) => {
            assert!(!output.assumed, "assumed");
            (output.code, format!("{}{}", output.text(), String::from_utf8_lossy(&output.stderr)))
        }
        other => panic!("{other:?}"),
    }
}

fn booted(template: Template) -> Body {
    let mut body = Body::of_template(template);
    body.boot(&mut around());
    body
}

#[test]
fn a_debian_boots_with_its_services() {
    for template in [Template::Debian12, Template::Debian13, Template::Ubuntu2404] {
        let mut body = booted(template);
        println!("{:?}", exec(&mut body, &["systemctl", "is-system-running"]));
        println!("{:?}", exec(&mut body, &["systemctl", "is-active", "ssh", "cron", "dbus"]));
        println!("{}", serde_json::to_string_pretty(&body.take_changes()).unwrap());
    }
}
