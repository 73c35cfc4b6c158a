//! Who has to wait for whom.

use phoenix::event::{Event, Outcome};
use phoenix::sandbox::Fault;

use super::*;
use crate::support::scenario::{ARCHIVE, Ran, Scenario, id};

/// Commands that ended with another status than 0.
fn failed(ran: &Ran) -> Vec<String> {
    let failed = |event: &Event| match event {
        Event::Did { what, process: true, ok: false, .. } => Some(what.clone()),
        _ => None,
    };
    ran.events.iter().filter_map(failed).collect()
}

#[test]
fn two_clones_of_one_container_wait_in_line() {
    let mut scenario = Scenario::platform();
    let ran = scenario.create(ALL);
    ran.is_fine();
    assert_eq!(failed(&ran), [] as [&str; 0], "no clone may find its source locked");
    // 101 and 102 begin at the same moment, when 103 is healthy.
    let waits: Vec<String> = [101, 102].iter().flat_map(|number| ran.waits(*number)).collect();
    let for_whom = |on: &&String| on.starts_with("guest 900 (guest 10") && on.contains(": `pct clone 900 10");
    assert_eq!(waits.iter().filter(for_whom).count(), 1, "{waits:?}");
}

#[test]
fn a_clone_that_somebody_else_makes_is_waited_for() {
    let mut scenario = Scenario::platform();
    scenario.create(&[900]).is_fine();
    let ran = scenario.create_beside(&[103], |node| {
        let clone = node.run(&change("pct clone 900 555 --snapname final-form --full 1")).unwrap();
        assert!(clone.ok(), "{}", clone.tail(3));
    });
    ran.is_fine();
    assert_eq!(failed(&ran).len(), ran.waits(103).iter().filter(|on| on.contains("(`disk`)")).count());
    let first = &ran.waits(103)[0];
    assert_eq!(
        first,
        "`pct clone`: the guest is locked by a clone of it, or one of its disks being changed (`disk`), trying again in 1 s"
    );
    assert!(ran.processes().iter().all(|command| !command.contains("unlock")), "{:?}", ran.processes());
}

#[test]
fn a_lock_file_that_is_held_longer_than_ten_seconds_is_tried_again() {
    let mut scenario = Scenario::platform();
    let mut world = scenario.fresh();
    let storage = serde_json::json!({"id": "files", "type": "dir", "path": "/srv/files", "content": ["rootdir"]});
    world.storages.push(serde_json::from_value(storage).unwrap());
    scenario.world = Some(world);
    ALL.iter().for_each(|number| scenario.guest(*number).root.storage = "files".to_owned());
    scenario.create(ALL).is_fine();
    scenario.on_the_node("pct stop 101");
    scenario.guest(101).memory_mb = 768;
    scenario.guest(101).root.size_gb = 8;
    // A stopped container's file system takes 22 s to grow, under the lock file all the time.
    let ran =
        scenario.create_beside(&[101], |node| assert!(node.run(&change("pct resize 101 rootfs 8G")).unwrap().ok()));
    ran.is_fine();
    assert_eq!(
        failed(&ran).iter().filter(|command| command.starts_with("pct set 101")).count(),
        2,
        "{:?}",
        failed(&ran)
    );
    assert_eq!(ran.waits(101)[0], "`pct set`: another command has held Proxmox's lock for 10 s, trying again in 1 s");
    scenario.create(ALL).is_idle();
}

#[test]
fn a_lock_that_is_not_proven_ours_is_never_removed() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.on_the_node("pct set 101 --lock backup");
    scenario.guest(101).memory_mb = 768;
    let ran = scenario.create(ALL);
    assert_eq!(ran.cause(101), "`pct set` failed");
    assert!(ran.hint(101).contains("`pct unlock`"), "{}", ran.hint(101));
    let waits = ran.waits(101);
    assert!(waits[0].contains("locked by a backup (`backup`), trying again in 1 s"), "{waits:?}");
    assert!(waits.last().unwrap().contains("trying again in 10 s"), "the pauses grow: {waits:?}");
    assert!(waits.len() > 30, "it waits for ten minutes: {}", waits.len());
    assert!(scenario.on_the_node("pct config 101").contains("lock: backup"));
    // The others are not held up by it.
    assert_eq!(*ran.outcome(102), Outcome::Unchanged);
}

#[test]
fn a_killed_create_is_taken_back_when_the_journal_proves_it_ours() {
    let half_made = (1..20).find_map(|k| {
        let mut scenario = Scenario::platform();
        scenario.faults = vec![Fault::Cut(k)];
        (0..8).find_map(|seed| {
            scenario.seed = seed;
            scenario.faults = vec![Fault::Cut(k)];
            scenario.world = None;
            scenario.create(&[900]);
            let world = scenario.world();
            let lock = world.guest(id(900)).and_then(|guest| guest.config.current.get("lock").map(str::to_owned));
            (lock.as_deref() == Some("create")).then(|| std::mem::replace(&mut scenario, Scenario::platform()))
        })
    });
    let mut scenario = half_made.expect("one of the cuts hits the create in its middle");
    let ran = scenario.create(&[900]);
    ran.is_fine();
    let about: Vec<String> = ran.processes().into_iter().take(3).collect();
    assert_eq!(about[0], "pct unlock 900");
    assert_eq!(about[1], "pct destroy 900 --destroy-unreferenced-disks 1 --purge 1");
    assert!(about[2].starts_with("pct create 900 "), "{about:?}");
    assert_eq!(scenario.world().volumes().len(), 1, "{:?}", scenario.world().volumes().keys());
}

#[test]
fn a_half_made_guest_that_is_not_ours_is_left_alone() {
    let mut scenario = Scenario::platform();
    scenario.on_the_node(&format!("pct create 900 {ARCHIVE} --rootfs tank:4 --unprivileged 1"));
    scenario.on_the_node("pct set 900 --lock create");
    let ran = scenario.create(&[900]);
    assert!(ran.cause(900).contains("phoenix did not make it"), "{}", ran.cause(900));
    assert_eq!(ran.processes(), [] as [&str; 0]);
}
