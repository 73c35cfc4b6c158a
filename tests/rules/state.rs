//! What has to run and what must not, what a running guest takes at once, what only a new guest can have.

use phoenix::engine::Consent;
use phoenix::event::{Cost, Outcome, Step};
use phoenix::plan::Verb;
use phoenix::pve::refusal::Refusal;

use super::*;
use crate::support::scenario::Scenario;

/// The subcommands that were run for a guest.
fn verbs(commands: &[String], guest: u32) -> Vec<String> {
    let guest = guest.to_string();
    let of = |command: &String| {
        let words: Vec<&str> = command.split(' ').collect();
        (words.get(2) == Some(&guest.as_str())).then(|| words[1].to_owned())
    };
    commands.iter().filter_map(of).collect()
}

#[test]
fn a_running_guest_is_stopped_before_it_is_destroyed() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    assert_eq!(refused(&scenario.sandbox(), "pct destroy 101"), "unable to destroy CT 101 - container is running");
    let ran = scenario.run(Verb::Delete, &[101]);
    ran.is_fine();
    assert_eq!(verbs(&ran.processes(), 101), ["shutdown", "destroy"]);
}

#[test]
fn a_running_guest_is_stopped_before_it_becomes_a_template() {
    let mut scenario = Scenario::platform_of_a_template();
    let ran = scenario.create(&[900]);
    ran.is_fine();
    let verbs = verbs(&ran.processes(), 900);
    assert_eq!(verbs[verbs.len() - 2..], ["shutdown", "template"]);
}

#[test]
fn a_running_container_is_only_copied_from_a_snapshot() {
    let mut scenario = Scenario::platform();
    scenario.guest(900).snapshots = Default::default();
    scenario.create(&[900, 103]).is_fine();
    scenario.on_the_node("pct start 900");
    let message = "Full clone of a running container is only possible from a snapshot";
    assert_eq!(refused(&scenario.sandbox(), "pct clone 900 555 --full 1"), message);
    let ran = scenario.create(&[101]);
    assert_eq!(ran.cause(101), "guest 900 runs and has no snapshot to clone from");
    assert!(ran.hint(101).contains("`template_snapshot_name`"));
    assert_eq!(ran.processes(), [] as [&str; 0]);
}

#[test]
fn a_running_container_takes_some_keys_at_once_and_others_after_a_restart() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(101).memory_mb = 768;
    scenario.guest(101).lxc.features.insert("nesting".to_owned(), "1".to_owned());
    let ran = scenario.create(&[101]);
    assert_eq!(ran.processes(), ["pct set 101 --memory 768"]);
    assert_eq!(ran.pending(101).iter().map(|one| one.cost).collect::<Vec<_>>(), [Cost::Restart]);
    assert!(!scenario.on_the_node("pct pending 101").contains("pending"), "nothing lies in wait for the next start");

    scenario.consent = Consent::Given;
    let ran = scenario.create(&[101]);
    ran.is_fine();
    assert_eq!(verbs(&ran.processes(), 101), ["set", "shutdown", "start"]);
    assert!(scenario.on_the_node("pct config 101 --current 1").contains("nesting=1"));
    scenario.create(ALL).is_idle();
}

#[test]
fn a_virtual_machine_takes_its_pending_keys_at_a_cold_start_only() {
    let mut scenario = Scenario::machines();
    scenario.create(MACHINES).is_fine();
    scenario.on_the_node("qm set 1002 --memory 2048");
    scenario.on_the_node("qm reset 1002");
    assert!(!scenario.on_the_node("qm config 1002 --current 1").contains("memory: 2048"), "a reset is no cold start");
    scenario.guest(1002).memory_mb = 2048;
    scenario.consent = Consent::Given;
    let ran = scenario.create(&[1002]);
    ran.is_fine();
    // It was set already, and only waits for a start.
    assert_eq!(verbs(&ran.processes(), 1002), ["shutdown", "start"]);
    assert!(scenario.on_the_node("qm config 1002 --current 1").contains("memory: 2048"));
    scenario.create(MACHINES).is_idle();
}

#[test]
fn unprivileged_is_for_ever() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    let message = "unable to modify read-only option: 'unprivileged'";
    assert_eq!(refused(&scenario.sandbox(), "pct set 101 --unprivileged 0"), message);
    scenario.guest(101).lxc.unprivileged = false;
    let ran = scenario.create(&[101]);
    assert_eq!(ran.processes(), [] as [&str; 0]);
    let pending = ran.pending(101);
    assert_eq!((pending[0].what.as_str(), pending[0].cost), ("unprivileged", Cost::Rebuild));
}

#[test]
fn a_protected_guest_is_the_operator_s_to_free() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.on_the_node("pct set 101 --protection 1");
    assert_eq!(refused(&scenario.sandbox(), "pct destroy 101"), "can't remove CT 101 - protection mode enabled");
    let ran = scenario.run(Verb::Delete, &[101]);
    assert_eq!(ran.cause(101), "it is protected (`protection: 1`)");
    assert_eq!(ran.hint(101), "`pct set 101 --protection 0` lifts the protection");
    assert!(ran.processes().iter().all(|command| !command.contains("protection")), "{:?}", ran.processes());
}

#[test]
fn only_the_newest_snapshot_of_zfs_can_be_gone_back_to() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    let sandbox = scenario.sandbox();
    let message = refused(&sandbox, "pct rollback 102 pre-configured");
    assert_eq!(message, "can't rollback, 'pre-configured' is not most recent snapshot on 'tank:subvol-102-disk-0'");
    assert_eq!(Refusal::in_text(&message), Some(Refusal::NotNewest));
    fine(&sandbox, "pct rollback 102 final-form");
}

#[test]
fn a_rollback_leaves_the_guest_stopped_and_the_next_run_starts_it() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.on_the_node("pct rollback 102 final-form");
    assert_eq!(scenario.on_the_node("pct status 102"), "status: stopped\n");
    let ran = scenario.create(&[102]);
    ran.is_fine();
    assert_eq!(ran.step(102, &Step::Start), Some(&Outcome::Changed));
    assert_eq!(ran.processes(), ["pct start 102"]);
    scenario.create(ALL).is_idle();
}

#[test]
fn an_agent_that_was_switched_on_counts_from_the_next_cold_start() {
    let mut scenario = Scenario::machines();
    scenario.create(MACHINES).is_fine();
    for command in ["qm set 1002 --agent 0", "qm stop 1002", "qm start 1002", "qm set 1002 --agent 1"] {
        scenario.on_the_node(command);
    }
    let ran = scenario.create(&[1002]);
    assert_eq!(
        ran.cause(1002),
        "it was started without a channel for its guest agent, so nothing inside can be reached"
    );
    assert_eq!(ran.hint(1002), "`agent` counts from the next cold start: `phoenix restart 1002`");
    scenario.consent = Consent::Given;
    let ran = scenario.create(&[1002]);
    ran.is_fine();
    assert_eq!(verbs(&ran.processes(), 1002), ["shutdown", "start"]);
    scenario.create(MACHINES).is_idle();
}

#[test]
fn cloud_init_runs_again_when_what_it_is_told_changes_so_nobody_touches_that_without_need() {
    let mut scenario = Scenario::machines();
    scenario.create(MACHINES).is_fine();
    let keys = |scenario: &mut Scenario| {
        scenario.on_the_node("qm guest exec 1002 -- cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")
    };
    let before = keys(&mut scenario);
    // A restart with nothing changed is the same instance.
    scenario.on_the_node("qm stop 1002");
    scenario.create(&[1002]).is_fine();
    assert_eq!(keys(&mut scenario), before);
    scenario.create(MACHINES).is_idle();

    scenario.guest(1002).search_domain = Some("example.org".to_owned());
    let ran = scenario.create(&[1002]);
    let pending = ran.pending(1002);
    assert_eq!((pending[0].what.as_str(), pending[0].cost), ("searchdomain", Cost::Restart), "told, and not done");
    assert_eq!(ran.processes(), [] as [&str; 0]);
    scenario.consent = Consent::Given;
    scenario.create(&[1002]).is_fine();
    assert_ne!(keys(&mut scenario), before, "a new instance has new host keys");
    scenario.create(MACHINES).is_idle();
}
