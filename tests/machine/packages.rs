//! Package transactions that fail: what they are told apart by, what is waited for, and what is suggested.

use std::collections::BTreeSet;
use std::time::Duration;

use phoenix::event::Event;
use phoenix::machine::{MachineError, PackageFailure, Packages};
use phoenix::op::{Op, OpErrorKind};
use phoenix::sandbox::body::Faults;
use phoenix::sandbox::programs::PackageModel;

use super::bench::{Bench, Models};

/// What apt and dpkg of three releases said, taken down from the real programs.
const TEXTS: [(&str, &str); 3] = [
    ("bookworm", include_str!("../data/apt/bookworm.txt")),
    ("noble", include_str!("../data/apt/noble.txt")),
    ("trixie", include_str!("../data/apt/trixie.txt")),
];

fn bench() -> Bench {
    let mut models = Models::default();
    let package = |version: &str, source: &str| PackageModel {
        version: version.to_owned(),
        source: source.to_owned(),
        ..PackageModel::default()
    };
    models.packages.insert("tool", package("1.2-3", ""));
    models.packages.insert("vendor", package("", "example.org"));
    Bench::with(models)
}

fn install(bench: &Bench, name: &str) -> MachineError {
    bench.machine().packages(&[name.to_owned()], &Packages::default()).unwrap_err()
}

fn cause(error: &MachineError) -> PackageFailure {
    match error {
        MachineError::Packages { trouble, .. } => trouble.cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_real_programs_say_is_told_apart() {
    let mut told = String::new();
    let mut causes = BTreeSet::new();
    for (release, texts) in TEXTS {
        for case in texts.split("=== ").skip(1) {
            let (name, words) = case.split_once('\n').unwrap();
            let bench = bench();
            // A transaction that was cut off is finished first, and fails in the same way again.
            for _ in 0..2 {
                bench.fail("install tool", OpErrorKind::Failed, words.trim_end());
            }
            let no_wait = Packages { wait: Duration::ZERO, ..Packages::default() };
            let error = bench.machine().packages(&["tool".to_owned()], &no_wait).unwrap_err();
            causes.insert(cause(&error));
            assert!(error.hint().is_some(), "{release} {name}: nothing is said about what to do");
            told += &format!("{release} {name}: {error}\n");
        }
    }
    // Nobody could be made to break a certificate's trust or to hang there.
    let unseen = [PackageFailure::Untrusted, PackageFailure::TimedOut, PackageFailure::Other];
    assert_eq!(causes.len() + unseen.len(), 17, "{causes:?}");
    assert!(unseen.iter().all(|cause| !causes.contains(cause)));
    insta::assert_snapshot!(told);
}

#[test]
fn the_model_fails_in_the_same_words() {
    let bench = bench();
    let told = |bench: &Bench, name: &str| {
        let error = install(bench, name);
        (cause(&error), error.to_string())
    };
    let mut all = vec![told(&bench, "vendor"), told(&bench, "tool=9.9-9")];
    let index = || bench.prepare(Op::RefreshPackages);
    index();
    for faults in [
        Faults { no_mirror: true, ..Faults::default() },
        Faults { disk_full: true, ..Faults::default() },
        Faults { packages_locked_until: Some(bench.now() + Duration::from_secs(86_400)), ..Faults::default() },
    ] {
        bench.faults(faults);
        all.push(told(&bench, "tool"));
    }
    let shown: Vec<String> = all.into_iter().map(|(cause, words)| format!("{cause:?}: {words}")).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    NotKnown: packages vendor: not known to any repository of this machine: `vendor`
    NoSuchVersion: packages tool=9.9-9: no repository of this machine has this version: `tool` 9.9-9
    Unresolved: packages tool: the name of the package mirror cannot be resolved: deb.debian.org
    NoSpace: packages tool: the disk is full
    Locked: packages tool: another program holds the package lock: process 812 (unattended-upgr)
    ");
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let hint = install(&bench(), "openssh-sever").hint().unwrap();
    assert!(hint.starts_with("did you mean `openssh-server`?"), "{hint}");
    let hint = install(&bench(), "zzzzzzzz").hint().unwrap();
    assert!(hint.starts_with("check the spelling"), "{hint}");
}

#[test]
fn whoever_holds_the_lock_is_named_and_waited_for() {
    let bench = bench();
    let until = bench.now() + Duration::from_secs(40);
    bench.faults(Faults { packages_locked_until: Some(until), ..Faults::default() });
    let (machine, events) = bench.reporting();
    assert!(machine.packages(&["tool".to_owned()], &Packages::default()).unwrap().changed);
    assert!(bench.now() >= until);
    let waits: Vec<String> = events
        .events()
        .into_iter()
        .filter_map(|stamped| match stamped.event {
            Event::Waiting { on, .. } => Some(on),
            _ => None,
        })
        .collect();
    assert_eq!(waits, ["the package lock, which process 812 (unattended-upgr) holds (up to 600 s)"]);
}

#[test]
fn the_wait_for_a_lock_has_an_end() {
    let bench = bench();
    bench.faults(Faults { packages_locked_until: Some(bench.now() + Duration::from_secs(9000)), ..Faults::default() });
    let began = bench.now();
    let options = Packages { wait: Duration::from_secs(30), ..Packages::default() };
    let error = bench.machine().packages(&["tool".to_owned()], &options).unwrap_err();
    assert_eq!(cause(&error), PackageFailure::Locked);
    assert!(error.to_string().contains("process 812"), "{error}");
    let waited = bench.now().duration_since(began).as_secs();
    assert!((30..60).contains(&waited), "{waited} s");
}

#[test]
fn a_transaction_that_was_cut_off_is_finished_once() {
    let bench = bench();
    let words = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ";
    bench.fail("install tool", OpErrorKind::Failed, words);
    bench.quiet();
    bench.machine().packages(&["tool".to_owned()], &Packages::default()).unwrap();
    let repairs = |bench: &Bench| bench.changes().iter().filter(|op| op.starts_with("dpkg --configure -a")).count();
    assert_eq!(repairs(&bench), 1, "{:?}", bench.changes());

    let bench = self::bench();
    for _ in 0..5 {
        bench.fail("install tool", OpErrorKind::Failed, words);
    }
    assert_eq!(cause(&install(&bench, "tool")), PackageFailure::Interrupted);
    assert_eq!(repairs(&bench), 1, "{:?}", bench.changes());
}
