//! Races and waits.

use phoenix::config::Dir;
use phoenix::event::{Event, Outcome, Step};
use phoenix::host::{Holder, Host as _, HostError};
use phoenix::model::GuestId;
use phoenix::plan::Verb;

use super::{ALL, platform};
use crate::support::inside::Inside;
use crate::support::scenario::{Ran, Scenario, container, id};

/// Where in the run something was told.
fn at(ran: &Ran, what: impl Fn(&Event) -> bool) -> usize {
    ran.events.iter().position(what).expect("never told")
}

fn finished(number: u32, step: Step) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::StepFinished { guest, step: taken, .. } if *guest == id(number) && *taken == step)
}

#[test]
fn r1_a_wait_ends_at_its_deadline_with_its_cause() {
    let mut scenario = Scenario::of([container(105, "store")]);
    scenario.script(
        "features/patient.rhai",
        "const FEATURE = #{ name: \"patient\", summary: \"s\", targets: [\"lxc\"] };\n\
         fn apply(guest, params) { guest.wait_for(#{ port: 8080, timeout: 90 }); }\n",
    );
    scenario.guest(105).features = vec!["patient".to_owned()];
    let ran = scenario.create(&[105]);
    assert_eq!(ran.cause(105), "waited 90 s for port 8080: nothing listens there");
    let waits = |event: &Event| matches!(event, Event::Waiting { on, .. } if on.contains("port 8080"));
    assert!(ran.events.iter().any(waits), "the operator sees what is waited for");
}

#[test]
fn r2_an_authority_is_ready_when_it_answers_and_not_when_it_once_did() {
    let mut scenario = platform();
    scenario.on_the_node("pct exec 103 -- systemctl stop step-ca.service");
    let ran = scenario.run(Verb::Health, &[103]);
    assert!(ran.cause(103).contains("10.20.0.10:9000"), "{}", ran.cause(103));
}

#[test]
fn r3_features_run_when_the_network_is_there() {
    let mut scenario = Scenario::platform();
    let ran = scenario.create(ALL);
    for number in ALL {
        let ready = at(&ran, finished(*number, Step::Ready));
        let of_the_guest = |event: &Event| matches!(event, Event::StepStarted { guest, step: Step::Feature(_) } if guest.get() == *number);
        assert!(ready < at(&ran, of_the_guest), "{number}");
    }
}

#[test]
fn r4_nobody_asks_for_a_certificate_before_the_authority_is_healthy() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    let ran = scenario.create(ALL);
    let healthy = at(&ran, finished(103, Step::Health));
    let asks = |event: &Event| {
        matches!(event, Event::Did { guest: Some(guest), what, .. }
            if *guest != id(103) && what.contains("/1.0/sign"))
    };
    let asked: Vec<GuestId> = ran
        .events
        .iter()
        .filter(|event| asks(event))
        .filter_map(|event| match event {
            Event::Did { guest, .. } => *guest,
            _ => None,
        })
        .collect();
    assert!(asked.contains(&id(101)) && asked.contains(&id(102)), "{asked:?}");
    assert!(healthy < at(&ran, asks));
}

#[test]
fn r7_one_run_at_a_time_acts_on_a_node() {
    let sandbox = platform().sandbox();
    let held = sandbox.lock("phoenix create 101 (process 7)").unwrap();
    let second = sandbox.actor("second").lock("another").map(drop).unwrap_err();
    assert_eq!(
        second,
        HostError::Locked { by: Holder { owner: "phoenix create 101 (process 7)".to_owned(), ..Holder::default() } }
    );
    drop(held);
    assert!(sandbox.lock("another").is_ok());
}

#[test]
fn r10_a_template_is_shut_down_and_not_killed() {
    let mut scenario = Scenario::platform_of_a_template();
    let ran = scenario.create(&[900]);
    let commands = ran.processes();
    let of = |verb: &str| commands.iter().position(|command| command.starts_with(&format!("pct {verb} 900")));
    assert!(of("shutdown").unwrap() < of("template").unwrap(), "{commands:?}");
    assert_eq!(of("stop"), None, "{commands:?}");
}

#[test]
fn r8_a_run_leaves_nothing_where_another_one_could_find_it() {
    let mut scenario = Scenario::machines();
    scenario.create(&[9000, 1001]).is_fine();
    let inside = Inside::vm(&scenario, 1001);
    // The share that the old program handed its scripts over by, and what else was common ground.
    let left: Vec<String> = ["/data", "/tmp", "/var/tmp"].iter().flat_map(|place| inside.files(place)).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The predecessor asked the server what it exports and went on.
#[test]
fn r6_a_share_is_there_when_it_is_mounted() {
    let mut scenario = Scenario::machines();
    scenario.faults = vec!["nfs:198.51.100.7".parse().unwrap()];
    let ran = scenario.create(&[9000, 1001, 1002]);
    let cause = ran.cause(1001);
    assert!(cause.contains("the NFS export 198.51.100.7:/srv/data cannot be mounted at /data"), "{cause}");
    assert!(matches!(ran.outcome(1002), Outcome::Skipped { .. }), "{:?}", ran.outcome(1002));
    scenario.create(&[9000, 1001, 1002]).is_fine();
}
