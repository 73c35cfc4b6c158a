//! Whose a guest is.

use phoenix::engine::StepError;
use phoenix::engine::mark::{Standing, judge};
use phoenix::engine::record::{Begun, Irreversible, Provenance, Record};
use phoenix::model::GuestKind;
use phoenix::pve::guest_config::GuestConfig;
use phoenix::pve::inventory::Present;

use crate::support::scenario::{container, id};

fn present(config: &str) -> Present {
    Present { kind: GuestKind::Lxc, node: "pve".to_owned(), config: GuestConfig::parse(config), running: false }
}

fn record(begun: Option<Irreversible>) -> Record {
    let begun = begun.map(|what| Begun { what, run: "before".to_owned() });
    Record { begun, ..Record::new(id(105), "store", GuestKind::Lxc, Provenance::Made, "before") }
}

fn refusal(present: &Present, record: Option<&Record>) -> (String, String) {
    match judge(&container(105, "store"), "pve", Some(present), record, false) {
        Err(StepError::Failed(failure)) => (failure.message, failure.hint.unwrap()),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn tag_and_record_together_are_the_mark() {
    let marked = present("hostname: store\ntags: other;phoenix\n");
    let bare = present("hostname: store\n");
    let store = container(105, "store");
    assert_eq!(judge(&store, "pve", Some(&marked), Some(&record(None)), false).unwrap(), Standing::Ours);
    assert_eq!(judge(&store, "pve", None, None, false).unwrap(), Standing::Absent);
    let (message, hint) = refusal(&bare, None);
    assert_eq!(message, "container 105 (`store`, stopped) is left alone: phoenix did not make it");
    assert!(hint.starts_with("`--adopt 105` takes it over"), "{hint}");
    assert!(refusal(&marked, None).0.ends_with("this node has no record of it"));
    assert!(refusal(&bare, Some(&record(None))).0.ends_with("it does not carry the tag `phoenix`"));
    for other in [&marked, &bare] {
        assert_eq!(judge(&store, "pve", Some(other), None, true).unwrap(), Standing::Adopted);
    }
}

#[test]
fn only_what_we_wrote_down_makes_a_locked_remainder_ours() {
    let remainder = present("lock: create\n");
    let store = container(105, "store");
    let begun = record(Some(Irreversible::Create));
    assert_eq!(judge(&store, "pve", Some(&remainder), Some(&begun), false).unwrap(), Standing::HalfMade);
    let clone = record(Some(Irreversible::Clone { from: id(100) }));
    assert_eq!(judge(&store, "pve", Some(&remainder), Some(&clone), false).unwrap(), Standing::HalfMade);
    refusal(&remainder, None);
    refusal(&remainder, Some(&record(None)));
    refusal(&remainder, Some(&record(Some(Irreversible::Snapshot { name: "s".to_owned() }))));
}

#[test]
fn another_kind_and_another_node_are_refused() {
    let vm = Present { kind: GuestKind::Vm, running: true, ..present("name: web\ntags: phoenix\n") };
    assert_eq!(refusal(&vm, Some(&record(None))).0, "virtual machine 105 (`web`, running) is declared as a container");
    let elsewhere = Present { node: "other".to_owned(), ..present("") };
    assert_eq!(refusal(&elsewhere, Some(&record(None))).0, "container 105 (stopped) is on node `other`, not on `pve`");
    let mut declared = container(105, "store");
    declared.node = Some("other".to_owned());
    assert!(judge(&declared, "pve", None, None, false).is_err());
}
