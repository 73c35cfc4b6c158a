//! Virtual machines made and brought in line, told through whole runs. Names in capitals are pitfalls of the predecessor.

use phoenix::config::Dir;
use phoenix::engine::Consent;
use phoenix::event::{Cost, Outcome, Step};
use phoenix::plan::Verb;
use phoenix::sandbox::Fault;

use crate::support::scenario::{Ran, Scenario, id};

const ALL: &[u32] = &[9000, 1001, 1002];

fn commands(ran: &Ran, start: &str) -> Vec<String> {
    ran.processes().into_iter().filter(|command| command.starts_with(start)).collect()
}

#[test]
fn a_template_and_its_clones_and_then_nothing_is_left_to_do() {
    let mut scenario = Scenario::machines();
    let first = scenario.create(ALL);
    first.is_fine();
    assert!(first.summary.guests.iter().all(|guest| guest.outcome == Outcome::Changed));
    assert_eq!(
        commands(&first, "qm clone"),
        ["qm clone 9000 1001 --name store --full 0", "qm clone 9000 1002 --name worker --full 0"]
    );
    assert_eq!(commands(&first, "qm set").len(), 2, "{:?}", commands(&first, "qm set"));
    assert_eq!(commands(&first, "qm create").len(), 1);
    scenario.create(ALL).is_idle();
}

#[test]
fn a_rehearsal_of_machines_says_what_a_run_does() {
    let mut scenario = Scenario::machines();
    let rehearsed = scenario.rehearse(ALL);
    rehearsed.is_fine();
    let ran = scenario.create(ALL);
    let steps = |ran: &Ran| ran.summary.guests.iter().map(|guest| guest.steps.clone()).collect::<Vec<_>>();
    assert_eq!(steps(&rehearsed), steps(&ran));
    scenario.rehearse(ALL).is_idle();
}

#[test]
fn the_whole_shipped_platform_is_made_and_then_nothing_is_left_to_do() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    let all = &[900, 103, 101, 102, 9000, 1001, 1002];
    scenario.create(all).is_fine();
    scenario.create(all).is_idle();
}

#[test]
fn l21_a_finished_template_is_compared_and_not_started_again() {
    let mut scenario = Scenario::machines();
    scenario.create(&[9000]).is_fine();
    scenario.create(&[9000]).is_idle();
    scenario.guest(9000).memory_mb = 1024;
    let ran = scenario.create(&[9000]);
    ran.is_fine();
    assert_eq!(ran.processes(), ["qm set 9000 --memory 1024"]);
}

#[test]
fn l20_a_clone_gets_its_declared_size_and_is_never_shrunk() {
    let mut scenario = Scenario::machines();
    scenario.guest(1001).root.size_gb = 32;
    let first = scenario.create(&[1001]);
    first.is_fine();
    assert_eq!(commands(&first, "qm disk resize 1001"), ["qm disk resize 1001 scsi0 32G"]);
    scenario.guest(1001).root.size_gb = 40;
    let grown = scenario.create(&[1001]);
    grown.is_fine();
    assert_eq!(commands(&grown, "qm disk"), ["qm disk resize 1001 scsi0 40G"]);
    scenario.guest(1001).root.size_gb = 16;
    let shrunk = scenario.create(&[1001]);
    shrunk.is_fine();
    assert_eq!(shrunk.processes(), Vec::<String>::new());
    let pending = &shrunk.summary.guests.iter().find(|guest| guest.id == id(1001)).unwrap().pending;
    assert_eq!((pending[0].what.as_str(), pending[0].cost), ("scsi0 size", Cost::Rebuild));
}

#[test]
fn more_memory_waits_for_the_consent_to_a_restart() {
    let mut scenario = Scenario::machines();
    scenario.create(ALL).is_fine();
    scenario.guest(1002).memory_mb = 2048;
    let pending = scenario.create(&[1002]);
    assert!(pending.summary.pending());
    assert_eq!(pending.processes(), Vec::<String>::new());
    scenario.consent = Consent::Given;
    let done = scenario.create(&[1002]);
    done.is_fine();
    assert_eq!(
        done.processes(),
        ["qm set 1002 --memory 2048", "qm shutdown 1002 --timeout 60 --forceStop 1", "qm start 1002"]
    );
    scenario.create(ALL).is_idle();
}

#[test]
fn r10_a_template_is_shut_down_after_it_was_cleaned() {
    let mut scenario = Scenario::machines();
    let ran = scenario.create(&[9000]);
    ran.is_fine();
    assert_eq!(ran.step(9000, &Step::Clean), Some(&Outcome::Changed));
    assert_eq!(commands(&ran, "qm stop"), Vec::<String>::new());
    let order: Vec<String> =
        ran.processes().into_iter().map(|command| command.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(order, ["qm create", "qm disk", "qm start", "qm shutdown", "qm template"]);
}

#[test]
fn machines_are_started_stopped_and_deleted() {
    let mut scenario = Scenario::machines();
    scenario.create(ALL).is_fine();
    scenario.run(Verb::Stop, &[1002]).is_fine();
    assert!(scenario.on_the_node("qm status 1002").contains("stopped"));
    scenario.run(Verb::Stop, &[1002]).is_fine();
    assert_eq!(*scenario.run(Verb::Start, &[1002]).outcome(1002), Outcome::Changed);
    scenario.run(Verb::Delete, &[1002]).is_fine();
    let ran = scenario.create(ALL);
    ran.is_fine();
    assert_eq!(*ran.outcome(1001), Outcome::Unchanged);
    assert_eq!(*ran.outcome(1002), Outcome::Changed);
}

#[test]
fn a_run_with_machines_that_is_cut_off_at_any_moment_is_completed_by_the_next_one() {
    let count = Scenario::machines().create(ALL).values;
    println!("a run of {count} changing values, cut off at each of them");
    for k in 1..=count {
        let mut scenario = Scenario::machines();
        scenario.seed = k % 11;
        scenario.faults = vec![Fault::Cut(k)];
        scenario.create(ALL);
        let next = scenario.create(ALL);
        for guest in &next.summary.guests {
            let fine = matches!(guest.outcome, Outcome::Changed | Outcome::Unchanged);
            assert!(fine, "cut at {k}: guest {}: {:?}", guest.id, guest.outcome);
        }
        scenario.create(ALL).is_idle();
    }
}

#[test]
fn a_pid_file_that_a_crashed_qemu_left_behind_is_no_running_machine() {
    let mut scenario = Scenario::machines();
    scenario.create(ALL).is_fine();
    let crashed = |scenario: &mut Scenario| {
        let pid = scenario.world().guest(id(1002)).unwrap().running.as_ref().map(|running| running.pid).unwrap();
        scenario.on_the_node("qm stop 1002");
        scenario.write_on_the_node("/var/run/qemu-server/1002.pid", &format!("{pid}\n"));
    };
    let runs = |scenario: &Scenario| {
        let sight = phoenix::engine::observe(&scenario.sandbox()).unwrap();
        sight.inventory.guests[&id(1002)].running
    };
    assert!(runs(&scenario));

    crashed(&mut scenario);
    assert!(!runs(&scenario), "its process is gone");
    assert_eq!(scenario.rehearse(&[1002]).step(1002, &Step::Start), Some(&Outcome::Changed));
    let ran = scenario.run(Verb::Start, &[1002]);
    assert_eq!(*ran.outcome(1002), Outcome::Changed);
    assert_eq!(ran.processes(), ["qm start 1002"]);
    assert!(runs(&scenario));

    crashed(&mut scenario);
    // The process id of the file may have been given to somebody else since.
    let other = scenario.world().guest(id(1001)).unwrap().running.as_ref().map(|running| running.pid).unwrap();
    scenario.write_on_the_node("/var/run/qemu-server/1002.pid", &format!("{other}\n"));
    assert!(!runs(&scenario), "it is the process of another machine");
    let ran = scenario.create(&[1002]);
    ran.is_fine();
    assert_eq!(ran.processes(), ["qm start 1002"]);
    scenario.create(ALL).is_idle();
}
