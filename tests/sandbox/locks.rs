//! Locks: the one in the configuration refuses at once, the one in a file is waited for.

use phoenix::host::Host;

use super::*;

/// Long enough for everybody to finish.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);

#[test]
fn the_source_of_a_clone_is_locked_while_it_is_copied() {
    let sandbox = in_memory();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs tank:1 --hostname base")]);
    let other = sandbox.actor("second clone");
    let thread = std::thread::spawn(move || other.run(&change("pct clone 201 203")).unwrap());
    let first = sandbox.run(&change("pct clone 201 202")).unwrap();
    sandbox.sleep(LONG).unwrap();
    let second = thread.join().unwrap();
    let (won, lost) = if first.ok() { (first, second) } else { (second, first) };
    assert!(won.ok());
    assert_eq!(lost.tail(1), "CT is locked (disk)");
    assert_eq!(typed(&sandbox, "pct config 201").1.lines().filter(|line| line.starts_with("lock")).count(), 0);
}

#[test]
fn a_lock_file_is_waited_for_ten_seconds() {
    let sandbox = in_memory();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs btr:1"), "pct start 201"]);
    // A stopped container takes 22 s to grow, and the lock file is held all the time.
    all_fine(&sandbox, &["pct stop 201"]);
    let other = sandbox.actor("resize");
    let thread = std::thread::spawn(move || other.run(&change("pct resize 201 rootfs 2G")).unwrap());
    sandbox.sleep(std::time::Duration::from_secs(1)).unwrap();
    let before = sandbox.now();
    let output = sandbox.run(&change("pct set 201 --memory 256")).unwrap();
    let waited = sandbox.now().duration_since(before);
    sandbox.sleep(LONG).unwrap();
    assert!(thread.join().unwrap().ok());
    let stderr = String::from_utf8(output.stderr).unwrap();
    let timeout = "can't lock file '/run/lock/lxc/pve-config-201.lock' - got timeout";
    assert_eq!(stderr, format!("trying to acquire lock...\n{timeout}\n"));
    assert_eq!(waited.as_millis(), 10_450);

    let other = sandbox.actor("start");
    let thread = std::thread::spawn(move || other.run(&change("pct start 201")).unwrap());
    sandbox.sleep(std::time::Duration::from_millis(500)).unwrap();
    let output = sandbox.run(&change("pct set 201 --memory 256")).unwrap();
    sandbox.sleep(LONG).unwrap();
    assert!(thread.join().unwrap().ok());
    assert!(output.ok());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "trying to acquire lock...\n OK\n");
}

#[test]
fn one_run_at_a_time() {
    let sandbox = in_memory();
    let held = sandbox.lock("create 101 by root").unwrap();
    let refused = sandbox.lock("create 102 by root").map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "another phoenix run is active on this node: create 101 by root");
    held.tell("1 of 3 guests done, working on 102");
    let refused = sandbox.lock("create 102 by root").map(|_| ()).unwrap_err();
    assert!(refused.to_string().ends_with("create 101 by root; 1 of 3 guests done, working on 102"), "{refused}");
    drop(held);
    assert!(sandbox.lock("create 102 by root").is_ok());
}
