//! Guests made and brought in line, told through whole runs. Names in capitals are pitfalls of the predecessor.

use phoenix::config::Dir;
use phoenix::engine::Consent;
use phoenix::event::{Cost, Outcome, Step};
use phoenix::plan::Verb;

use crate::support::scenario::{Ran, Scenario, id};

const ALL: &[u32] = &[900, 103, 101, 102];

#[test]
fn four_containers_and_then_nothing_is_left_to_do() {
    let mut scenario = Scenario::platform();
    let first = scenario.create(ALL);
    first.is_fine();
    assert!(first.summary.guests.iter().all(|guest| guest.outcome == Outcome::Changed));
    scenario.create(ALL).is_idle();
}

#[test]
fn a_base_that_is_a_template_serves_linked_clones_and_then_nothing_is_left_to_do() {
    let mut scenario = Scenario::platform_of_a_template();
    let first = scenario.create(ALL);
    first.is_fine();
    assert!(first.processes().iter().any(|command| command == "pct clone 900 103 --hostname authority --full 0"));
    scenario.create(ALL).is_idle();
}

#[test]
fn the_shipped_platform_is_made_and_then_nothing_is_left_to_do() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    scenario.create(ALL).is_fine();
    scenario.create(ALL).is_idle();
}

#[test]
fn a_dependency_that_is_not_named_is_only_made_sure_to_be_healthy() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(103).memory_mb = 768;
    scenario.on_the_node("pct stop 103");
    let ran = scenario.create(&[101]);
    ran.is_fine();
    assert_eq!(ran.step(103, &Step::Start), Some(&Outcome::Changed));
    assert_eq!(ran.step(103, &Step::Configure), None);
    assert!(!scenario.on_the_node("pct config 103").contains("memory: 768"));
}

#[test]
fn one_edited_value_is_exactly_one_difference() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(101).memory_mb = 3333;
    let ran = scenario.create(ALL);
    ran.is_fine();
    let differences = ran.differences();
    assert_eq!(differences.len(), 1, "{differences:?}");
    let (guest, difference) = &differences[0];
    assert_eq!((*guest, difference.what.as_str()), (id(101), "memory"));
    assert_eq!((difference.from.as_deref(), difference.to.as_deref()), (Some("512"), Some("3333")));
    assert_eq!(ran.processes(), ["pct set 101 --memory 3333"]);
    scenario.create(ALL).is_idle();
}

#[test]
fn a_rehearsal_says_what_a_run_does_and_touches_nothing() {
    let mut scenario = Scenario::platform();
    let rehearsed = scenario.rehearse(ALL);
    rehearsed.is_fine();
    let ran = scenario.create(ALL);
    let steps = |ran: &Ran| ran.summary.guests.iter().map(|guest| guest.steps.clone()).collect::<Vec<_>>();
    assert_eq!(steps(&rehearsed), steps(&ran));

    scenario.rehearse(ALL).is_idle();
    scenario.guest(101).memory_mb = 3333;
    scenario.guest(102).params.insert("ground".to_owned(), [("motto".to_owned(), "calm".into())].into());
    let rehearsed = scenario.rehearse(ALL);
    rehearsed.is_fine();
    assert_eq!(rehearsed.differences(), scenario.create(ALL).differences());
}

#[test]
fn a_restart_waits_for_consent() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(101).lxc.features.insert("nesting".to_owned(), "1".to_owned());
    let pending = scenario.create(&[101]);
    assert!(pending.summary.pending());
    assert!(!pending.summary.changed(), "{:?}", pending.differences());
    assert_eq!(pending.processes(), Vec::<String>::new());
    let difference = &pending.summary.guests.iter().find(|guest| guest.id == id(101)).unwrap().pending[0];
    assert_eq!((difference.what.as_str(), difference.cost), ("features", Cost::Restart));

    scenario.consent = Consent::Given;
    let done = scenario.create(&[101]);
    done.is_fine();
    assert!(!done.summary.pending());
    assert_eq!(done.step(101, &Step::Start), Some(&Outcome::Changed));
    scenario.create(ALL).is_idle();
}

#[test]
fn snapshots_of_the_end_are_retaken_only_after_a_change() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(102).params.insert("ground".to_owned(), [("motto".to_owned(), "calm".into())].into());
    let ran = scenario.create(ALL);
    ran.is_fine();
    let of_102: Vec<String> = ran.processes().into_iter().filter(|command| command.contains(" 102 ")).collect();
    assert_eq!(of_102, ["pct delsnapshot 102 final-form", "pct snapshot 102 final-form"]);
    scenario.create(ALL).is_idle();
}

#[test]
fn a_resting_source_is_compared_but_not_started() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(900).memory_mb = 768;
    let ran = scenario.create(&[900]);
    ran.is_fine();
    let expected = ["pct set 900 --memory 768", "pct delsnapshot 900 final-form", "pct snapshot 900 final-form"];
    assert_eq!(ran.processes(), expected);
    scenario.create(&[900]).is_idle();
}

#[test]
fn a_resting_source_whose_script_changed_is_started_brought_up_to_date_and_stopped_again() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(900).params.insert("ground".to_owned(), [("motto".to_owned(), "calm".into())].into());
    let ran = scenario.create(&[900]);
    ran.is_fine();
    let verbs: Vec<String> =
        ran.processes().iter().map(|command| command.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(verbs, ["start", "shutdown", "delsnapshot", "snapshot"]);
    scenario.create(ALL).is_idle();
}

#[test]
fn a_template_whose_script_changed_needs_a_rebuild() {
    let mut scenario = Scenario::platform_of_a_template();
    scenario.create(ALL).is_fine();
    scenario.guest(900).params.insert("ground".to_owned(), [("motto".to_owned(), "calm".into())].into());
    let ran = scenario.create(&[900]);
    let pending = &ran.summary.guests[0].pending;
    assert_eq!((pending[0].what.as_str(), pending[0].cost), ("feature ground", Cost::Rebuild));
    assert_eq!(ran.changing(), Vec::<String>::new());
}

#[test]
fn who_reads_an_artifact_follows_its_change() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(103).params.insert("authority".to_owned(), [("root".to_owned(), "root two".into())].into());
    let ran = scenario.create(&[103]);
    ran.is_fine();
    let stale: Vec<u32> = ran.summary.stale.iter().map(|stale| stale.guest.get()).collect();
    assert_eq!(stale, [101, 102]);
    scenario.create(ALL).is_fine();
    assert_eq!(scenario.on_the_node("pct exec 101 -- cat /etc/trust"), "root two");
}

#[test]
fn an_adopted_guest_becomes_ours() {
    let mut scenario = Scenario::platform();
    scenario
        .on_the_node(&format!("pct create 102 {} --rootfs tank:4 --unprivileged 1", crate::support::scenario::ARCHIVE));
    scenario.adopt.insert(id(102));
    let ran = scenario.create(ALL);
    ran.is_fine();
    assert!(scenario.on_the_node("pct config 102").contains("tags: phoenix"));
    scenario.adopt.clear();
    scenario.create(ALL).is_idle();
}

#[test]
fn a_deleted_guest_is_gone_with_its_record_and_comes_back_whole() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.run(Verb::Delete, &[101]);
    assert!(!scenario.on_the_node("pct list").contains("101"));
    assert!(!scenario.on_the_node("ls /var/lib/phoenix/guests").contains("101"));
    scenario.create(ALL).is_fine();
    scenario.create(ALL).is_idle();
}

#[test]
fn a_protected_guest_is_not_deleted() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.on_the_node("pct set 101 --protection 1");
    let ran = scenario.run(Verb::Delete, &[101]);
    assert_eq!(ran.cause(101), "it is protected (`protection: 1`)");
}

#[test]
fn one_job_at_a_time_comes_to_the_same_as_four() {
    let configs = |jobs| {
        let mut scenario = Scenario::platform();
        scenario.jobs = jobs;
        scenario.create(ALL).is_fine();
        ALL.iter()
            .map(|number| {
                let config = scenario.on_the_node(&format!("pct config {number}"));
                // Generated ones depend on the order of creation.
                config.split(',').filter(|part| !part.starts_with("hwaddr=")).collect::<Vec<_>>().join(",")
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(configs(1), configs(4));
}

#[test]
fn a_seed_fixes_a_whole_run() {
    for seed in 0..20 {
        let run = || {
            let mut scenario = Scenario::platform();
            scenario.seed = seed;
            let ran = scenario.create(ALL);
            ran.is_fine();
            ran.events.iter().map(|event| serde_json::to_string(event).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn clones_have_addresses_of_their_own_before_their_first_start() {
    let mut scenario = Scenario::platform();
    let ran = scenario.create(ALL);
    for number in [101, 102, 103] {
        let commands = ran.processes();
        let at = |start: String| commands.iter().position(|command| command.starts_with(&start)).unwrap();
        assert!(at(format!("pct set {number} ")) < at(format!("pct start {number}")));
    }
}
