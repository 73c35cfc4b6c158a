//! What is written down: records of guests, journals of runs.

use std::collections::BTreeMap;

use phoenix::engine::journal::{Entry, Journal, Line, run_id};
use phoenix::engine::record::{self, Applied, Consumed, Irreversible, Provenance, Record};
use phoenix::event::{Failure, Outcome, Step};
use phoenix::host::Host;
use phoenix::model::{GuestKind, ScriptKind};
use phoenix::op::{Op, OpValue, Place};
use phoenix::sandbox::{self, Fault, Sandbox, World};

use crate::support::scenario::id;

#[test]
fn a_record_comes_back_as_it_was_kept() {
    let mut kept = Record::new(id(105), "store", GuestKind::Lxc, Provenance::Made, "run");
    let consumed = Consumed { publisher: id(103), digest: Applied::digest(b"root") };
    kept.scripts.insert(
        Record::key(ScriptKind::Feature, "trust"),
        Applied {
            script: "aa".to_owned(),
            params: "bb".to_owned(),
            consumed: [("authority/root".to_owned(), consumed)].into(),
        },
    );
    kept.stale_snapshots.insert("final-form".to_owned());
    let ops = kept.keep().unwrap();
    let bytes = ops
        .iter()
        .find_map(|op| match op {
            Op::Append { bytes, sync: true, .. } => Some(bytes.clone()),
            _ => None,
        })
        .unwrap();
    let read = record::parse_all(&Ok(OpValue::Files([("105.json".to_owned(), bytes)].into()))).unwrap();
    assert_eq!(read, BTreeMap::from([(id(105), kept)]));
}

#[test]
fn a_record_is_on_the_disk_before_it_takes_the_place_of_the_old_one() {
    let ops = Record::new(id(105), "store", GuestKind::Lxc, Provenance::Made, "run").keep().unwrap();
    let last: Vec<String> = ops.iter().skip(1).map(ToString::to_string).collect();
    let beside = "/var/lib/phoenix/guests/105.json.new";
    let moved = format!("move {beside} -> /var/lib/phoenix/guests/105.json");
    assert_eq!(last, [format!("remove {beside}"), format!("append {beside}"), moved]);
}

#[test]
fn a_file_that_is_no_record_is_named() {
    let files = Ok(OpValue::Files([("105.json".to_owned(), b"{}".to_vec())].into()));
    let error = record::parse_all(&files).unwrap_err().to_string();
    assert!(error.starts_with("/var/lib/phoenix/guests/105.json is no record of a guest: "), "{error}");
}

#[test]
fn a_journal_reaches_the_node_only_when_it_is_saved() {
    let sandbox = Sandbox::in_memory(World::empty("pve"), sandbox::Options::default());
    let journal = Journal::new("20260102T030405.678Z");
    journal.save(&sandbox, Vec::new()).unwrap();
    assert_eq!(sandbox.changes(), 0);
    let entries = [
        Entry::Begun { guest: id(105), what: Irreversible::Clone { from: id(100) } },
        Entry::Step { guest: id(105), step: Step::Snapshot("final-form".to_owned()), outcome: Outcome::Changed },
        Entry::Guest { guest: id(105), outcome: Outcome::Failed { cause: Failure::new("no room") } },
    ];
    for entry in &entries {
        journal.note(sandbox.now(), entry.clone());
    }
    assert!(!journal.is_open());
    journal.save(&sandbox, Vec::new()).unwrap();
    assert!(journal.is_open());
    let read = Op::Read { path: Journal::path("20260102T030405.678Z"), limit: 9999 };
    let answers = sandbox.perform(Place::Node, &[read]).unwrap();
    let Ok(OpValue::Bytes(Some(bytes))) = &answers[0] else { panic!("{answers:?}") };
    let text = String::from_utf8(bytes.clone()).unwrap();
    let lines: Vec<Entry> = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().entry).collect();
    assert_eq!(lines, entries);
    let before = sandbox.changes();
    journal.save(&sandbox, Vec::new()).unwrap();
    assert_eq!(sandbox.changes(), before);
}

#[test]
fn lines_that_could_not_be_saved_are_saved_the_next_time() {
    let options = sandbox::Options { faults: vec![Fault::Fail(1)], ..sandbox::Options::default() };
    let sandbox = Sandbox::in_memory(World::empty("pve"), options);
    let journal = Journal::new("run");
    journal.note(sandbox.now(), Entry::End { interrupted: false });
    journal.save(&sandbox, Vec::new()).unwrap_err();
    journal.save(&sandbox, Vec::new()).unwrap();
    let answers = sandbox.perform(Place::Node, &[Op::Read { path: Journal::path("run"), limit: 9999 }]).unwrap();
    assert!(matches!(&answers[0], Ok(OpValue::Bytes(Some(bytes))) if bytes.ends_with(b"}\n")), "{answers:?}");
}

#[test]
fn runs_are_named_after_their_beginning() {
    assert_eq!(run_id("2026-01-02T03:04:05.678Z".parse().unwrap()), "20260102T030405.678Z");
}
