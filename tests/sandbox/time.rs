//! Actors and the clock: durations overlap, and one seed fixes everything.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use phoenix::host::{Host, HostHandle};

use super::*;

/// Four containers side by side, each with a file of its own; answers the order of events and the kept world.
fn four_guests(seed: u64, path: &Path) -> (Vec<String>, Vec<u8>) {
    let world = || {
        let mut world = world();
        world.seed = seed;
        world
    };
    let sandbox = Sandbox::open(path, world, Options::default()).unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let main: HostHandle = Arc::new(sandbox);
    let left = Arc::new(Mutex::new(4));
    let threads: Vec<_> = (201..205)
        .map(|guest| {
            let host = main.actor(&format!("guest {guest}"));
            let (log, main, left) = (Arc::clone(&log), Arc::clone(&main), Arc::clone(&left));
            std::thread::spawn(move || {
                let tell = |what: &str| {
                    // Asking the time may mean waiting for one's turn: never with a lock in hand.
                    let now = host.now();
                    log.lock().unwrap().push(format!("{now} {guest} {what}"));
                };
                let create =
                    format!("pct create {guest} {TEMPLATE} --rootfs tank:1 --net0 name=eth0,bridge=vmbr0,ip=dhcp");
                for line in [create, format!("pct start {guest}"), format!("pct snapshot {guest} done")] {
                    tell(&line);
                    assert!(host.run(&change(&line)).unwrap().ok());
                }
                host.perform(inside(guest), &[write("/root/name", &guest.to_string())]).unwrap();
                tell("done");
                let mut left = left.lock().unwrap();
                *left -= 1;
                if *left == 0 {
                    main.wake();
                }
                drop(left);
                drop(host);
            })
        })
        .collect();
    main.park();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(main);
    let log = log.lock().unwrap().clone();
    (log, std::fs::read(path).unwrap())
}

#[test]
fn one_seed_fixes_a_whole_run() {
    let directory = tempfile::tempdir().unwrap();
    let run = |seed: u64, n: u32| four_guests(seed, &directory.path().join(format!("{seed}-{n}.world")));
    let first = run(1, 0);
    for n in 1..20 {
        let next = run(1, n);
        assert_eq!(next.0, first.0);
        assert_eq!(next.1, first.1);
    }
    assert_ne!(run(2, 0).1, first.1);
}

#[test]
fn side_by_side_is_faster_than_one_after_another_and_waiting_costs_nothing() {
    let began = Instant::now();
    let sandbox = in_memory();
    let before = sandbox.now();
    let create = |guest: u32| format!("pct create {guest} {TEMPLATE} --rootfs tank:1");
    all_fine(&sandbox, &[&create(301), &create(302)]);
    let one_by_one = sandbox.now().duration_since(before);

    let before = sandbox.now();
    let other = sandbox.actor("other");
    let thread = std::thread::spawn(move || {
        assert!(other.run(&change(&create(303))).unwrap().ok());
    });
    assert!(sandbox.run(&change(&create(304))).unwrap().ok());
    let side_by_side = sandbox.now().duration_since(before);
    assert_eq!(side_by_side.as_millis() * 2, one_by_one.as_millis());
    // Whoever joins a thread must see to it that the thread can run.
    sandbox.sleep(Duration::from_secs(1)).unwrap();
    thread.join().unwrap();

    sandbox.sleep(Duration::from_secs(86_400)).unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
}
