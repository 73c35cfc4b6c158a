//! Clusters: high availability, guests of other nodes, a lost quorum.

use phoenix::engine::EngineError;
use phoenix::event::{Outcome, Step};
use phoenix::host::Host;
use phoenix::op::{Op, Place};
use phoenix::plan::Verb;

use super::*;
use crate::support::scenario::{Scenario, id};

/// The platform, with the HA manager looking after a guest.
fn managed(sid: &str) -> Scenario {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.on_the_node(&format!("ha-manager add {sid}"));
    scenario
}

/// The node is one of two.
fn of_two(scenario: &mut Scenario) {
    let mut world = scenario.world();
    world.cluster.members = vec![world.node.clone(), "pve2".to_owned()];
    scenario.world = Some(world);
}

#[test]
fn for_a_managed_guest_a_start_is_only_a_request() {
    let mut scenario = managed("ct:101");
    scenario.create(ALL).is_idle();
    let sandbox = scenario.sandbox();
    assert_eq!(fine(&sandbox, "pct stop 101"), "Requesting HA stop for CT 101\n");
    assert_eq!(fine(&sandbox, "pct status 101"), "status: running\n", "only asked for");
    sandbox.sleep(std::time::Duration::from_secs(11)).unwrap();
    assert_eq!(fine(&sandbox, "pct status 101"), "status: stopped\n");
    assert!(fine(&sandbox, "ha-manager status").ends_with("service ct:101 (pve, stopped)\n"));
    assert_eq!(fine(&sandbox, "pct start 101"), "Requesting HA start for CT 101\n");
    assert_eq!(fine(&sandbox, "pct status 101"), "status: stopped\n");
    sandbox.sleep(std::time::Duration::from_secs(11)).unwrap();
    assert_eq!(fine(&sandbox, "pct status 101"), "status: running\n");
    assert_eq!(fine(&sandbox, "ha-manager config"), "ct:101\n\tstate started\n\n");
}

#[test]
fn what_was_requested_of_the_ha_manager_is_waited_for() {
    let mut scenario = managed("ct:101");
    let stopped = scenario.run(Verb::Stop, &[101]);
    stopped.is_fine();
    assert_eq!(stopped.waits(101)[0], "Proxmox's HA manager, which looks after the guest and stops it on request");
    assert_eq!(scenario.on_the_node("pct status 101"), "status: stopped\n");
    let started = scenario.create(&[101]);
    started.is_fine();
    assert_eq!(started.processes(), ["pct start 101"]);
    assert_eq!(started.step(101, &Step::Start), Some(&Outcome::Changed));
    assert_eq!(started.waits(101)[0], "Proxmox's HA manager, which looks after the guest and starts it on request");
    assert_eq!(scenario.on_the_node("pct status 101"), "status: running\n");
    scenario.create(ALL).is_idle();
}

#[test]
fn a_machine_that_is_managed_is_waited_for_too() {
    let mut scenario = Scenario::machines();
    scenario.create(MACHINES).is_fine();
    scenario.on_the_node("ha-manager add vm:1002");
    scenario.run(Verb::Stop, &[1002]).is_fine();
    assert_eq!(scenario.on_the_node("qm status 1002"), "status: stopped\n");
    scenario.create(&[1002]).is_fine();
    scenario.create(MACHINES).is_idle();
}

#[test]
fn a_guest_that_the_ha_manager_gave_up_has_a_cause_and_a_way_out() {
    let mut scenario = managed("ct:101");
    scenario.run(Verb::Stop, &[101]).is_fine();
    let mut world = scenario.world();
    world.ha.get_mut("ct:101").unwrap().failed = true;
    scenario.world = Some(world);
    let ran = scenario.create(&[101]);
    assert_eq!(ran.cause(101), "Proxmox's HA manager gave it up: `ct:101` is in state `error`");
    assert!(ran.hint(101).contains("`ha-manager set ct:101 --state disabled`"), "{}", ran.hint(101));
    scenario.on_the_node("ha-manager set ct:101 --state disabled");
    scenario.create(&[101]).is_fine();
}

#[test]
fn an_ignored_resource_is_as_good_as_not_managed() {
    let mut scenario = managed("ct:101");
    scenario.on_the_node("ha-manager set ct:101 --state ignored");
    let ran = scenario.run(Verb::Stop, &[101]);
    ran.is_fine();
    assert_eq!(ran.waits(101), [] as [&str; 0]);
}

#[test]
fn a_managed_guest_is_destroyed_with_purge_only() {
    let mut scenario = managed("ct:101");
    let sandbox = scenario.sandbox();
    let message = "unable to remove CT 101 - used in HA resources and purge parameter not set.";
    assert_eq!(refused(&sandbox, "pct destroy 101"), message);
    let ran = scenario.run(Verb::Delete, &[101]);
    ran.is_fine();
    assert!(ran.processes().contains(&"pct destroy 101 --purge 1".to_owned()), "{:?}", ran.processes());
    assert_eq!(scenario.on_the_node("ha-manager config"), "", "the manager forgot it");
}

#[test]
fn a_guest_that_stopped_under_the_ha_manager_is_started_again() {
    let mut scenario = managed("ct:102");
    let sandbox = scenario.sandbox();
    fine(&sandbox, "pct rollback 102 final-form");
    assert_eq!(fine(&sandbox, "pct status 102"), "status: stopped\n");
    sandbox.sleep(std::time::Duration::from_secs(11)).unwrap();
    assert_eq!(fine(&sandbox, "pct status 102"), "status: running\n");
    scenario.world = Some(sandbox.world());
    scenario.create(&[102]).is_fine();
}

#[test]
fn a_guest_that_the_ha_manager_moved_away_is_not_made_again() {
    let mut scenario = managed("ct:101");
    of_two(&mut scenario);
    let sandbox = scenario.sandbox();
    assert_eq!(fine(&sandbox, "pct migrate 101 pve2 --restart 1"), "Requesting HA migration for CT 101 to node pve2\n");
    sandbox.sleep(std::time::Duration::from_secs(11)).unwrap();
    fine(&sandbox, "pct list");
    scenario.world = Some(sandbox.world());
    let ran = scenario.create(&[101]);
    assert!(ran.cause(101).contains("is on node `pve2`, not on `pve`"), "{}", ran.cause(101));
    assert_eq!(ran.processes(), [] as [&str; 0]);
}

#[test]
fn a_guest_of_another_node_looks_absent_and_is_refused_with_its_node() {
    let mut scenario = Scenario::platform();
    of_two(&mut scenario);
    let mut world = serde_json::to_value(scenario.world()).unwrap();
    let theirs = serde_json::json!({
        "id": 101, "kind": "lxc", "node": "pve2", "config": "hostname: gateway\nrootfs: tank:subvol-101-disk-0,size=4G\n",
    });
    world["guests"].as_array_mut().unwrap().push(theirs);
    scenario.world = Some(phoenix::sandbox::parse_world(&world.to_string()).unwrap());

    let sandbox = scenario.sandbox();
    let message = "Configuration file 'nodes/pve/lxc/101.conf' does not exist";
    for command in ["pct start 101", "pct config 101", "pct set 101 --memory 512", "pct destroy 101"] {
        assert_eq!(refused(&sandbox, command), message, "{command}");
    }
    let ran = scenario.create(ALL);
    assert_eq!(ran.cause(101), "container 101 (stopped) is on node `pve2`, not on `pve`");
    assert_eq!(ran.hint(101), "declare `node` for guest 101, or move it with `pct migrate 101`");
    assert!(ran.processes().iter().all(|command| !command.contains(" 101")), "{:?}", ran.processes());
    for verb in [Verb::Start, Verb::Stop, Verb::Delete] {
        assert!(scenario.run(verb, &[101]).cause(101).contains("is on node `pve2`"));
    }
}

#[test]
fn a_guest_that_is_declared_for_another_node_is_left_to_it() {
    let mut scenario = Scenario::platform();
    scenario.guest(101).node = Some("pve2".to_owned());
    let ran = scenario.create(ALL);
    assert_eq!(ran.cause(101), "it belongs on node `pve2`, this is `pve`");
    assert_eq!(ran.hint(101), "run phoenix on `pve2`, or change `node` of guest 101");
    assert!(ran.processes().iter().all(|command| !command.contains(" 101")), "{:?}", ran.processes());
    assert_eq!(*ran.outcome(102), Outcome::Changed);
}

#[test]
fn without_quorum_nothing_is_begun() {
    let mut scenario = Scenario::platform();
    scenario.create(&[900, 103]).is_fine();
    of_two(&mut scenario);
    let mut world = scenario.world();
    world.cluster.quorate = false;
    scenario.world = Some(world);

    let sandbox = scenario.sandbox();
    for command in ["pct set 103 --memory 768", "pct start 900", "pct clone 900 555", "pvesm add dir more --path /srv"]
    {
        assert_eq!(refused(&sandbox, command), "cluster not ready - no quorum?", "{command}");
    }
    fine(&sandbox, "pct config 103");
    fine(&sandbox, "pct exec 103 -- true");
    let remove = Op::Remove { path: "/etc/pve/nodes/pve/lxc/103.conf".to_owned(), recursive: false };
    assert!(sandbox.perform(Place::Node, &[remove]).unwrap()[0].is_err(), "/etc/pve is read-only");

    for verb in [Verb::Create, Verb::Start, Verb::Stop] {
        let EngineError::Node(failure) = scenario.refused(verb, &[103]) else { panic!("refused for another reason") };
        assert_eq!(failure.message, "the cluster has no quorum (1 of 2 nodes online: pve), so nothing can be changed");
        let hint = "bring pve2 back; or `pvecm expected 1` if this node has to go on alone";
        assert_eq!(failure.hint.as_deref(), Some(hint));
    }
    // Whoever only asks may.
    assert!(matches!(scenario.run(Verb::Health, &[103]).outcome(103), Outcome::Unchanged));
    assert!(scenario.world().guest(id(103)).unwrap().running.is_some());
}
