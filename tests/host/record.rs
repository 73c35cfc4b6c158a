//! What was asked of a host is told and counted.

use std::sync::Arc;

use phoenix::command::{Command, Effect};
use phoenix::event::{Collect, Event};
use phoenix::host::Host as _;
use phoenix::host::record::{Counts, Recorder};
use phoenix::model::GuestId;
use phoenix::op::{Attributes, Content, Op, Place};
use phoenix::secret::Sealed;

use super::node;

#[test]
fn every_command_and_op_is_told_once_and_no_secret_with_it() {
    let (events, counts) = (Arc::new(Collect::default()), Counts::default());
    let guest = GuestId::try_from(101).unwrap();
    let host = Recorder::new(Arc::new(node()), events.clone(), Some(guest), counts.clone());
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let write = |path: String| Op::Write {
        path,
        content: Content::Text(Sealed::new("geheim", "***")),
        attributes: Attributes::default(),
        guard: None,
    };
    host.run(&Command::change("sh", ["-c", "exit 3"]).stdin(Sealed::new("geheim", "***"))).unwrap();
    let batch = [Op::Os, write(path("a")), write(path("no/b")), Op::Os];
    host.actor("other").perform(Place::Node, &batch).unwrap();

    let told: Vec<(String, Effect, bool, bool)> = events
        .events()
        .into_iter()
        .map(|stamped| match stamped.event {
            Event::Did { guest: Some(who), what, effect, process, ok, .. } if who == guest => {
                (what, effect, process, ok)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("sh -c 'exit 3'".to_owned(), Effect::Change, true, false),
        ("node: operating system".to_owned(), Effect::Read, false, true),
        (format!("node: write {}", path("a")), Effect::Change, false, true),
        (format!("node: write {}", path("no/b")), Effect::Change, false, false),
        // The last op was not run, so there is nothing to tell.
    ];
    assert_eq!(told, expected);
    assert_eq!((counts.commands(), counts.ops(), counts.requests(), counts.changes()), (1, 3, 0, 3));
    assert!(!format!("{:?}", events.events()).contains("geheim"));
}
