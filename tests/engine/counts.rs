//! What a run asks of the node is counted: how many processes of Proxmox, how many channels.

use phoenix::config::Dir;
use phoenix::event::Asked;

use crate::support::scenario::{Ran, Scenario, id};

const PLATFORM: &[u32] = &[900, 103, 101, 102, 9000, 1001, 1002];

/// What was asked of Proxmox about a guest: `pct set`, or with what follows the guest's id when it is another guest's.
fn verbs(ran: &Ran, number: u32) -> Vec<String> {
    let number = number.to_string();
    let about = |words: &[&str]| match words {
        [_, "clone", _, target, ..] => *target == number,
        [_, "disk", _, target, ..] => *target == number,
        [_, _, target, ..] => *target == number,
        _ => false,
    };
    let verb = |command: &String| {
        let words: Vec<&str> = command.split(' ').collect();
        about(&words).then(|| if words[1] == "disk" { words[1..3].join(" ") } else { words[1].to_owned() })
    };
    ran.processes().iter().filter_map(verb).collect()
}

#[test]
fn a_run_of_the_whole_platform_that_changes_nothing_starts_no_process_but_a_channel_into_each_container() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    scenario.create(PLATFORM).is_fine();
    let idle = scenario.create(PLATFORM);
    idle.is_idle();
    let Asked { proxmox, programs, channels, .. } = idle.summary.asked;
    assert_eq!((proxmox, programs), (0, 0));
    let running = scenario.world().guests().filter(|guest| guest.running.is_some()).count();
    assert!(channels <= running as u64, "{channels} channels into {running} running guests");
    assert!(channels > 0);
}

#[test]
fn a_new_guest_costs_what_only_proxmox_can_do() {
    let mut scenario = Scenario::platform();
    scenario.guest(101).root.size_gb = 6;
    scenario.guest(102).root.size_gb = 6;
    let ran = scenario.create(&[900, 103, 101, 102]);
    ran.is_fine();
    assert_eq!(verbs(&ran, 101), ["clone", "set", "resize", "start"]);
    let snapshots = ["clone", "set", "resize", "start", "snapshot", "snapshot"];
    let mut of_102 = verbs(&ran, 102);
    of_102.sort_by_key(|verb| snapshots.iter().position(|known| known == verb));
    assert_eq!(of_102, snapshots);
    assert_eq!(ran.summary.asked.proxmox, ran.processes().len() as u64);

    let mut machines = Scenario::machines();
    machines.guest(1002).root.size_gb = 10;
    let ran = machines.create(&[9000, 1001, 1002]);
    ran.is_fine();
    assert_eq!(verbs(&ran, 1002), ["clone", "set", "disk resize", "start"]);
    assert_eq!(ran.summary.asked.proxmox, ran.processes().len() as u64);
    assert!(machines.world().guest(id(1002)).unwrap().running.is_some());
}
