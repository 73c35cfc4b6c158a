//! Faults: the k-th changing value fails, the node is cut off at it, or its guest is lost.

use phoenix::host::HostError;

use super::*;

/// A container's way into the world, value by value.
fn steps() -> Vec<String> {
    [
        &format!("pct create 201 {TEMPLATE} --rootfs tank:1 --hostname base"),
        "pct start 201",
        "pct snapshot 201 one",
        "pct set 201 --memory 256 --nameserver 192.0.2.1",
        "pct rollback 201 one",
        "pct delsnapshot 201 one",
        "pct template 201",
        "pct clone 201 202",
        "pct clone 201 203 --full 1",
        "pct destroy 203",
    ]
    .map(ToString::to_string)
    .into()
}

#[test]
fn the_kth_changing_value_fails_and_changes_nothing() {
    let sandbox = Sandbox::in_memory(world(), with_faults(&["fail:2"]));
    let steps = steps();
    assert!(sandbox.run(&change(&steps[0])).unwrap().ok());
    let failed = sandbox.run(&change(&steps[1])).unwrap();
    assert_eq!((failed.code, failed.tail(1).as_str()), (255, "injected fault"));
    assert_eq!(typed(&sandbox, "pct status 201").1, "status: stopped\n");
    assert!(sandbox.run(&change(&steps[1])).unwrap().ok());
    assert_eq!(sandbox.changes(), 3);
}

#[test]
fn a_cut_anywhere_leaves_a_command_undone_done_or_half_done_as_proxmox_leaves_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut locks = std::collections::BTreeSet::new();
    let (mut cuts, mut undone) = (0, 0);
    for seed in 0..6 {
        for k in 1..=steps().len() {
            let path = directory.path().join(format!("{seed}-{k}.world"));
            let fresh = || {
                let mut world = world();
                world.seed = seed;
                world
            };
            let sandbox = Sandbox::open(&path, fresh, with_faults(&[&format!("cut:{k}")])).unwrap();
            let mut done = 0;
            for line in steps() {
                match sandbox.run(&change(&line)) {
                    Ok(output) => assert!(output.ok(), "{line}: {}", output.tail(1)),
                    Err(error) => {
                        assert!(matches!(error, HostError::Lost { .. }), "{error}");
                        break;
                    }
                }
                done += 1;
            }
            assert_eq!(done, k - 1);
            assert!(sandbox.now() > jiff::Timestamp::UNIX_EPOCH);
            assert!(sandbox.perform(Place::Node, &[Op::Os]).is_err(), "the node is gone for good");
            drop(sandbox);
            cuts += 1;

            let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
            let found: Vec<String> = sandbox
                .status()
                .guests
                .iter()
                .filter_map(|guest| Some(format!("{} {}", guest.id, guest.lock.as_ref()?)))
                .collect();
            undone += usize::from(found.is_empty());
            locks.extend(found);
            // A half-made container is mended as on a real node: unlocked and destroyed.
            for guest in sandbox.status().guests.into_iter().rev() {
                if guest.lock.is_some() {
                    all_fine(&sandbox, &[&format!("pct unlock {}", guest.id)]);
                }
                all_fine(&sandbox, &[&format!("pct destroy {} --force 1", guest.id)]);
            }
        }
    }
    println!("{cuts} cuts, {undone} of them left no lock; locks left: {locks:?}");
    for left in
        ["201 create", "201 disk", "202 create", "201 snapshot", "201 rollback", "201 snapshot-delete", "203 destroyed"]
    {
        assert!(locks.contains(left), "no cut left {left}: {locks:?}");
    }
}

#[test]
fn a_lost_guest_stops_in_the_middle_of_a_batch() {
    let sandbox = Sandbox::in_memory(world(), with_faults(&["lost:201:2"]));
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs tank:1"), "pct start 201"]);
    sandbox.perform(inside(201), &[write("/root/a", "1")]).unwrap();
    let lost = sandbox.perform(inside(201), &[write("/root/b", "1"), write("/root/c", "1")]).unwrap_err();
    assert_eq!(lost.to_string(), "container 201 was lost: it stopped (injected fault)");
    let gone = sandbox.perform(inside(201), &[Op::Os]).unwrap_err();
    assert_eq!(gone.to_string(), "container 201 cannot be reached: it is not running");
    all_fine(&sandbox, &["pct start 201"]);
    assert_eq!(read(&sandbox, inside(201), "/root/a").as_deref(), Some("1"));
}

#[test]
fn faults_may_stand_in_the_world_file() {
    let mut world = world();
    world.faults = vec!["fail:1".parse().unwrap()];
    let sandbox = Sandbox::in_memory(world, Options::default());
    assert!(!sandbox.run(&change("pct unlock 999")).unwrap().ok());
    let results = sandbox.perform(Place::Node, &[write("/root/x", "1")]).unwrap();
    assert!(results[0].is_ok());
}
