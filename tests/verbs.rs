//! `converge`, `up` and `health`, told through whole runs in the sandbox.

use std::time::Duration;

use phoenix::engine::{Span, critical_path};
use phoenix::event::{Event, Outcome, Step};
use phoenix::model::HealthCheck;
use phoenix::plan::Verb;

use crate::support::scenario::{Ran, Scenario, container, id};

const ALL: &[u32] = &[900, 103, 101, 102];

fn starts(ran: &Ran) -> Vec<String> {
    ran.processes().into_iter().filter(|command| command.starts_with("pct start")).collect()
}

fn waits(ran: &Ran) -> Vec<(u32, String)> {
    let waiting = |event: &Event| match event {
        Event::Waiting { guest, on } if on.contains("boot") => Some((guest.get(), on.clone())),
        _ => None,
    };
    ran.events.iter().filter_map(waiting).collect()
}

fn elapsed(ran: &Ran, number: u32) -> Duration {
    ran.summary.guests.iter().find(|guest| guest.id == id(number)).unwrap().elapsed
}

/// The small platform with an order and pauses for the boot of its node.
fn bootable() -> Scenario {
    let mut scenario = Scenario::platform();
    for (number, order, delay) in [(103, 2, Some(30)), (102, 1, Some(20)), (101, 3, Some(60))] {
        let boot = &mut scenario.guest(number).boot;
        (boot.order, boot.delay) = (Some(order), delay);
    }
    scenario
}

#[test]
fn converge_applies_the_whole_chain() {
    let mut scenario = Scenario::platform();
    scenario.run(Verb::Converge, &[101]).is_fine();
    scenario.run(Verb::Converge, &[101]).is_idle();
    scenario.guest(103).memory_mb = 768;
    scenario.create(&[101]).is_idle();
    let ran = scenario.run(Verb::Converge, &[101]);
    assert_eq!(*ran.outcome(103), Outcome::Changed);
    assert_eq!(ran.processes(), ["pct set 103 --memory 768"]);
    scenario.run(Verb::Converge, &[101]).is_idle();
}

#[test]
fn up_makes_everything_and_then_has_nothing_to_do() {
    let mut scenario = bootable();
    let first = scenario.run(Verb::Up, ALL);
    first.is_fine();
    assert_eq!(waits(&first), [], "guests that were just made are not started a second time");
    let second = scenario.run(Verb::Up, ALL);
    second.is_idle();
    assert_eq!(waits(&second), [], "nobody waits when everything runs");
    assert!(second.summary.elapsed < Duration::from_secs(1), "{:?}", second.summary.elapsed);
    assert!(scenario.on_the_node("pct status 900").contains("stopped"));
}

#[test]
fn up_starts_what_is_stopped_in_boot_order_with_its_pauses() {
    let mut scenario = bootable();
    scenario.run(Verb::Up, ALL).is_fine();
    for number in [101, 102, 103] {
        scenario.on_the_node(&format!("pct stop {number}"));
    }
    let ran = scenario.run(Verb::Up, ALL);
    ran.is_fine();
    // 102 comes first at boot, but needs 103.
    assert_eq!(starts(&ran), ["pct start 103", "pct start 102", "pct start 101"]);
    let waits = waits(&ran);
    assert_eq!(waits.iter().map(|(guest, _)| *guest).collect::<Vec<_>>(), [102, 101]);
    assert!(waits[0].1.ends_with("more after 103 (authority)"), "{waits:?}");
    assert!(elapsed(&ran, 102) > Duration::from_secs(20), "30 s of pause, less what 103 took to be ready");
    assert!(elapsed(&ran, 103) < Duration::from_secs(20), "nobody waits before the first");
    let total = ran.summary.elapsed.as_secs();
    assert!((50..60).contains(&total), "no pause after the last one: {total} s");
    let path: Vec<u32> = ran.summary.critical_path.iter().map(|share| share.guest.get()).collect();
    assert_eq!(path, [900, 103, 102, 101]);
    scenario.run(Verb::Up, ALL).is_idle();
}

#[test]
fn up_does_not_wait_for_one_that_cannot_start() {
    let mut scenario = bootable();
    let mut lone = container(110, "lone");
    (lone.boot.order, lone.boot.delay) = (Some(0), Some(3600));
    scenario.site.guests.insert(lone.id, lone);
    let all = &[110, 900, 103, 101, 102];
    scenario.run(Verb::Up, all).is_fine();
    for number in [101, 102, 103, 110] {
        scenario.on_the_node(&format!("pct stop {number}"));
    }
    scenario.faults = vec!["fail:1".parse().unwrap()];
    let ran = scenario.run(Verb::Up, all);
    assert!(matches!(ran.outcome(110), Outcome::Failed { .. }), "{:?}", ran.outcome(110));
    assert_eq!(starts(&ran)[1..], ["pct start 103", "pct start 102", "pct start 101"], "they only boot after 110");
    assert_eq!(waits(&ran).iter().map(|(guest, _)| *guest).collect::<Vec<_>>(), [102, 101]);
    let ran = scenario.run(Verb::Up, all);
    assert_eq!(waits(&ran), [], "one was missing: nobody comes after it");
    ran.is_fine();
}

#[test]
fn up_starts_at_once_what_is_needed_to_make_others() {
    let mut scenario = bootable();
    scenario.create(&[103, 102]).is_fine();
    scenario.on_the_node("pct stop 102");
    scenario.on_the_node("pct stop 103");
    let ran = scenario.run(Verb::Up, ALL);
    ran.is_fine();
    assert_eq!(starts(&ran), ["pct start 103", "pct start 101", "pct start 102"]);
    assert_eq!(waits(&ran), [], "only 102 is started as at boot, and nobody was before it");
}

#[test]
fn up_needs_no_more_than_one_job() {
    let mut scenario = bootable();
    scenario.jobs = 1;
    scenario.run(Verb::Up, ALL).is_fine();
    for number in [101, 102, 103] {
        scenario.on_the_node(&format!("pct stop {number}"));
    }
    scenario.run(Verb::Up, ALL).is_fine();
}

fn checks(ran: &Ran) -> Vec<(u32, String, Option<String>)> {
    let check = |event: &Event| match event {
        Event::Check { guest, name, cause } => {
            Some((guest.get(), name.clone(), cause.as_ref().map(|cause| cause.message.clone())))
        }
        _ => None,
    };
    let mut all: Vec<_> = ran.events.iter().filter_map(check).collect();
    all.sort();
    all
}

#[test]
fn health_asks_everybody_and_changes_nothing() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    let ran = scenario.run(Verb::Health, ALL);
    assert_eq!(ran.changing(), Vec::<String>::new());
    assert_eq!(ran.processes(), Vec::<String>::new());
    assert_eq!(ran.reason(900), "it is only cloned from");
    let well: Vec<_> = checks(&ran).into_iter().map(|(guest, name, cause)| (guest, name, cause.is_none())).collect();
    let expected = [(101, "site"), (102, "ground"), (102, "site"), (103, "authority"), (103, "ground"), (103, "site")];
    assert_eq!(well, expected.map(|(guest, name)| (guest, name.to_owned(), true)));
}

#[test]
fn health_goes_on_after_a_bad_answer_and_does_not_skip_dependents() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(103).health_checks =
        vec![HealthCheck { name: "declared".to_owned(), command: vec!["false".to_owned()], retries: 2, interval: 10 }];
    let authority = r#"
const FEATURE = #{ name: "authority", summary: "Publishes a root", targets: ["lxc"], publishes: ["authority/root"] };
fn apply(guest, params) { guest.publish("authority/root", "/etc/authority/root"); }
fn health(guest, params) { fail("no root"); }
"#;
    scenario.script("features/authority.rhai", authority);
    scenario.on_the_node("pct stop 101");
    let ran = scenario.run(Verb::Health, ALL);
    assert_eq!(ran.cause(103), "authority is not healthy: no root");
    let of_103: Vec<_> = checks(&ran).into_iter().filter(|(guest, ..)| *guest == 103).collect();
    let sick = |name: &str, cause: Option<&str>| (103, name.to_owned(), cause.map(str::to_owned));
    let expected = [
        sick("authority", Some("no root")),
        sick("declared", Some("exit status 1")),
        sick("ground", None),
        sick("site", None),
    ];
    assert_eq!(of_103, expected);
    assert_eq!(elapsed(&ran, 103).as_secs(), 20, "two more tries, ten seconds apart; scripts are asked once");
    assert_eq!(ran.cause(101), "it does not run");
    assert_eq!(*ran.outcome(102), Outcome::Unchanged, "it needs 103, but is asked for itself");
}

#[test]
fn the_critical_path_follows_who_released_whom() {
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
    let span = |guest, released_by: Option<u32>, began, ended| Span {
        guest: id(guest),
        released_by: released_by.map(id),
        began: at(began),
        ended: at(ended),
    };
    let told = |spans: &[Span]| -> Vec<(u32, u64)> {
        critical_path(spans).iter().map(|share| (share.guest.get(), share.elapsed.as_secs())).collect()
    };
    assert_eq!(told(&[]), []);
    let all = [
        span(900, None, 0, 30),
        span(103, Some(900), 30, 50),
        span(101, Some(103), 50, 60),
        span(102, Some(103), 50, 75),
        span(9000, None, 0, 70),
        span(1001, Some(102), 75, 90),
    ];
    assert_eq!(told(&all), [(900, 30), (103, 20), (102, 25), (1001, 15)]);
    assert_eq!(told(&all[..5]), [(900, 30), (103, 20), (102, 25)]);
    // Of two that ended together the first; released by one without a turn of its own: the path begins there.
    assert_eq!(told(&[span(5001, Some(777), 4, 9), span(5002, None, 0, 9)]), [(5001, 5)]);
    // Guests that claim to have released each other are not followed for ever.
    assert_eq!(told(&[span(601, Some(602), 0, 1), span(602, Some(601), 1, 2)]).len(), 2);
}

#[test]
fn a_real_run_tells_what_it_took_so_long_for() {
    let mut scenario = Scenario::platform();
    let ran = scenario.create(ALL);
    let path: Vec<u32> = ran.summary.critical_path.iter().map(|share| share.guest.get()).collect();
    assert_eq!(path[..2], [900, 103]);
    assert_eq!(path.len(), 3);
    let sum: Duration = ran.summary.critical_path.iter().map(|share| share.elapsed).sum();
    let rest = ran.summary.elapsed - sum;
    assert!(rest < Duration::from_millis(100), "{rest:?} of {:?} are not explained", ran.summary.elapsed);
    let told = ran.events.iter().any(
        |event| matches!(event, Event::RunFinished { critical_path, .. } if *critical_path == ran.summary.critical_path),
    );
    assert!(told);
    assert_eq!(ran.step(900, &Step::Health), Some(&Outcome::Unchanged));
}
