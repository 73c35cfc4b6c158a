//! The emulated node: what its tools answer, what its file keeps, how its time passes.

#[path = "sandbox/conformance.rs"]
mod conformance;
#[path = "sandbox/faults.rs"]
mod faults;
#[path = "sandbox/files.rs"]
mod files;
#[path = "sandbox/keeping.rs"]
mod keeping;
#[path = "sandbox/locks.rs"]
mod locks;
#[path = "sandbox/on_real.rs"]
mod on_real;
#[path = "sandbox/rehearsal.rs"]
mod rehearsal;
#[path = "sandbox/rules.rs"]
mod rules;
#[path = "sandbox/seed.rs"]
mod seed;
#[path = "sandbox/survival.rs"]
mod survival;
#[path = "sandbox/time.rs"]
mod time;
#[path = "sandbox/truth.rs"]
mod truth;
#[path = "sandbox/vm.rs"]
mod vm;

use std::path::Path;

use phoenix::command::{Command, Output};
use phoenix::host::Host;
use phoenix::model::{GuestId, GuestKind};
use phoenix::op::{Attributes, Content, Op, OpValue, Place};
use phoenix::sandbox::{Fault, Options, Sandbox, World, parse_world};

const TEMPLATE: &str = "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst";

/// The recorded node, with a ZFS pool beside its storages.
fn world() -> World {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sandbox/world.json");
    let mut world: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let pool = serde_json::json!({"id": "tank", "type": "zfspool", "path": "tank", "content": ["rootdir", "images"]});
    world["storages"].as_array_mut().unwrap().push(pool);
    parse_world(&world.to_string()).unwrap()
}

fn with_faults(words: &[&str]) -> Options {
    let faults: Vec<Fault> = words.iter().map(|word| word.parse().unwrap()).collect();
    Options { faults, ..Options::default() }
}

fn in_memory() -> Sandbox {
    Sandbox::in_memory(world(), Options::default())
}

fn id(id: u32) -> GuestId {
    id.try_into().unwrap()
}

fn inside(guest: u32) -> Place {
    Place::Guest(id(guest), GuestKind::Lxc)
}

/// Types a command; answers its exit status and both streams as text.
fn typed(sandbox: &Sandbox, line: &str) -> (i32, String, String) {
    let Output { code, stdout, stderr, .. } = sandbox.exec(&shlex::split(line).unwrap(), "").unwrap();
    (code, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Types commands that must succeed.
fn all_fine(sandbox: &Sandbox, lines: &[&str]) {
    for line in lines {
        let (code, _, stderr) = typed(sandbox, line);
        assert_eq!(code, 0, "{line}: {stderr}");
    }
}

/// A changing command, as a builder would make it.
fn change(line: &str) -> Command {
    let words = shlex::split(line).unwrap();
    Command::change(&words[0], words[1..].iter().cloned())
}

fn write(path: &str, text: &str) -> Op {
    let content = Content::Bytes(text.as_bytes().into());
    Op::Write { path: path.to_owned(), content, attributes: Attributes::default(), guard: None }
}

fn read(host: &dyn Host, place: Place, path: &str) -> Option<String> {
    let op = Op::Read { path: path.to_owned(), limit: 1 << 20 };
    match host.perform(place, &[op]).unwrap().remove(0).unwrap() {
        OpValue::Bytes(bytes) => bytes.map(|bytes| String::from_utf8(bytes).unwrap()),
        other => panic!("{other:?}"),
    }
}
