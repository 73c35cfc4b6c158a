//! The inside of a modelled guest, looked at and changed by a test.

use phoenix::host::Host as _;
use phoenix::model::GuestKind;
use phoenix::op::{Attributes, Content, FileKind, Op, OpValue, Place, Stat};
use phoenix::sandbox::{Sandbox, World};

use super::scenario::{Scenario, id};

/// A running guest of a scenario's world.
pub struct Inside {
    sandbox: Sandbox,
    place: Place,
}

impl Inside {
    /// The container of this id.
    pub fn container(scenario: &Scenario, number: u32) -> Inside {
        Inside { sandbox: scenario.sandbox(), place: Place::Guest(id(number), GuestKind::Lxc) }
    }

    /// The virtual machine of this id.
    pub fn vm(scenario: &Scenario, number: u32) -> Inside {
        Inside { sandbox: scenario.sandbox(), place: Place::Guest(id(number), GuestKind::Vm) }
    }

    /// The node itself.
    pub fn node(scenario: &Scenario) -> Inside {
        Inside { sandbox: scenario.sandbox(), place: Place::Node }
    }

    fn ask(&self, op: Op) -> OpValue {
        self.sandbox.perform(self.place, &[op]).unwrap().remove(0).unwrap()
    }

    /// A file's text.
    pub fn text(&self, path: &str) -> Option<String> {
        match self.ask(Op::Read { path: path.to_owned(), limit: 1 << 24 }) {
            OpValue::Bytes(bytes) => bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Mode and owner.
    pub fn stat(&self, path: &str) -> Option<Stat> {
        match self.ask(Op::Stat { path: path.to_owned() }) {
            OpValue::Stat(stat) => stat,
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Regular files below a directory; none without it.
    pub fn files(&self, below: &str) -> Vec<String> {
        let OpValue::Entries(entries) = self.ask(Op::List { path: below.to_owned() }) else { panic!("{below}") };
        let mut files = Vec::new();
        for entry in entries.unwrap_or_default() {
            let path = format!("{}/{}", below.trim_end_matches('/'), entry.name);
            match entry.kind {
                FileKind::Directory => files.extend(self.files(&path)),
                FileKind::File => files.push(path),
                _ => {}
            }
        }
        files
    }

    /// Writes a file, as somebody inside would.
    pub fn write(&self, path: &str, text: &str) {
        let content = Content::Bytes(text.as_bytes().into());
        self.ask(Op::Write { path: path.to_owned(), content, attributes: Attributes::default(), guard: None });
    }

    /// Takes a file away, as somebody inside would.
    pub fn remove(&self, path: &str) {
        self.ask(Op::Remove { path: path.to_owned(), recursive: false });
    }

    /// The world as it is now.
    pub fn world(&self) -> World {
        self.sandbox.world()
    }
}
