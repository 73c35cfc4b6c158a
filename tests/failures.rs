//! What goes wrong: a failing command, a foreign guest, a run that is cut off at any moment.

use phoenix::engine::Consent;
use phoenix::event::{Event, Outcome, Step};
use phoenix::model::GuestKind;
use phoenix::plan::Verb;
use phoenix::sandbox::Fault;

use crate::support::scenario::{ARCHIVE, Scenario, container, id};

const ALL: &[u32] = &[900, 103, 101, 102];

#[test]
fn a_foreign_guest_is_refused_and_untouched() {
    let mut scenario = Scenario::platform();
    scenario.on_the_node(&format!("pct create 102 {ARCHIVE} --rootfs tank:4 --unprivileged 1 --hostname theirs"));
    let before = scenario.on_the_node("pct config 102");
    let ran = scenario.create(ALL);
    assert_eq!(ran.cause(102), "container 102 (`theirs`, stopped) is left alone: phoenix did not make it");
    for number in [900, 103, 101] {
        assert_eq!(*ran.outcome(number), Outcome::Changed);
    }
    assert_eq!(scenario.on_the_node("pct config 102"), before);
    assert!(ran.changing().iter().all(|what| !what.contains("102")), "{:?}", ran.changing());
    for verb in [Verb::Stop, Verb::Delete, Verb::Start] {
        assert!(scenario.run(verb, &[102]).cause(102).contains("is left alone"));
    }
    assert_eq!(scenario.on_the_node("pct config 102"), before);
}

#[test]
fn a_guest_without_its_tag_is_not_ours_any_more() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.on_the_node("pct set 101 --delete tags");
    assert!(scenario.create(ALL).cause(101).contains("it does not carry the tag `phoenix`"));
}

#[test]
fn a_guest_of_another_kind_is_refused() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    // The declaration changes its mind about what 101 is; the sandbox keeps the container.
    scenario.guest(101).kind = GuestKind::Vm;
    let library = scenario.library();
    let request = phoenix::plan::Request::new(Verb::Create, [id(101)]);
    let plan = phoenix::plan::make(&scenario.site, library.catalogue(), &request).unwrap();
    assert_eq!(plan.guests.last().unwrap().id, id(101));
}

#[test]
fn each_failing_value_leaves_a_run_that_the_next_one_completes() {
    let mut whole = Scenario::platform();
    let count = whole.create(ALL).values;
    let mut failures = 0;
    for k in 1..=count {
        let mut scenario = Scenario::platform();
        scenario.faults = vec![Fault::Fail(k)];
        let ran = scenario.create(ALL);
        let failed: Vec<u32> = failed(&ran.summary);
        failures += failed.len();
        for guest in &ran.summary.guests {
            if let Outcome::Skipped { reason } = &guest.outcome {
                assert!(reason.starts_with("it needs "), "{reason}");
            }
        }
        scenario.create(ALL).is_fine();
        scenario.create(ALL).is_idle();
    }
    assert!(failures > 20, "{failures} failures in {count} runs");
}

fn failed(summary: &phoenix::engine::Summary) -> Vec<u32> {
    let failed = summary.guests.iter().filter(|guest| matches!(guest.outcome, Outcome::Failed { .. }));
    failed.map(|guest| guest.id.get()).collect()
}

#[test]
fn dependents_of_a_failed_guest_are_skipped_by_name_and_the_others_finish() {
    let mut scenario = Scenario::platform();
    scenario.script(
        "features/authority.rhai",
        r#"
const FEATURE = #{ name: "authority", summary: "Never works", targets: ["lxc"], publishes: ["authority/root"] };
fn apply(guest, params) { fail("the authority is out of order"); }
"#,
    );
    let mut other = crate::support::scenario::container(110, "other");
    other.features = vec!["ground".to_owned()];
    scenario.site.guests.insert(other.id, other);
    let ran = scenario.create(&[900, 103, 101, 102, 110]);
    assert!(ran.cause(103).contains("the authority is out of order"));
    assert_eq!(ran.reason(101), "it needs 103 (authority), which failed");
    assert_eq!(ran.reason(102), "it needs 103 (authority), which failed");
    assert_eq!(*ran.outcome(110), Outcome::Changed);
}

#[test]
fn a_run_that_is_cut_off_at_any_moment_is_completed_by_the_next_one() {
    cut_off(Scenario::platform);
}

#[test]
fn a_run_with_a_template_that_is_cut_off_at_any_moment_is_completed_by_the_next_one() {
    cut_off(Scenario::platform_of_a_template);
}

fn cut_off(platform: fn() -> Scenario) {
    let count = platform().create(ALL).values;
    println!("a run of {count} changing values, cut off at each of them");
    for k in 1..=count {
        let mut scenario = platform();
        // The seed decides whether the value is cut off before it, in the middle of it or after it.
        scenario.seed = k % 11;
        scenario.faults = vec![Fault::Cut(k)];
        scenario.create(ALL);
        let next = scenario.create(ALL);
        for guest in &next.summary.guests {
            let fine = matches!(guest.outcome, Outcome::Changed | Outcome::Unchanged);
            assert!(fine, "cut at {k}: guest {}: {:?}", guest.id, guest.outcome);
        }
        scenario.create(ALL).is_idle();
        nothing_twice(&mut scenario, k);
    }
}

#[test]
fn a_restart_that_was_cut_off_is_made_up_for() {
    let change = |scenario: &mut Scenario| {
        scenario.guest(105).lxc.features.insert("nesting".to_owned(), "1".to_owned());
        scenario.guest(105).lxc.raw = vec![("lxc.prlimit.nofile".to_owned(), "4096".to_owned())];
        scenario.consent = Consent::Given;
    };
    let made = || {
        let mut scenario = Scenario::of([container(105, "store")]);
        scenario.create(&[105]).is_fine();
        scenario
    };
    let mut whole = made();
    change(&mut whole);
    for k in 1..=whole.create(&[105]).values {
        let mut scenario = made();
        change(&mut scenario);
        scenario.faults = vec![Fault::Cut(k)];
        let mut commands = scenario.create(&[105]).processes();
        let next = scenario.create(&[105]);
        next.is_fine();
        commands.extend(next.processes());
        let set = commands.iter().rposition(|command| command.starts_with("pct set 105"));
        let start = commands.iter().rposition(|command| command.starts_with("pct start 105"));
        assert!(start > set, "cut at {k}: {commands:?}");
        scenario.create(&[105]).is_idle();
    }
}

#[test]
fn a_process_that_is_killed_leaves_a_node_that_the_next_one_completes() {
    let folder = tempfile::tempdir().unwrap();
    let phoenix = |world: &str, more: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("phoenix").unwrap();
        command.args(["--config", "etc", "--host", world]).args(more).output().unwrap()
    };
    // Every moment is tried in the process above; here some of them end it for good.
    for k in (1..).step_by(11) {
        let world = format!("sandbox:{}", folder.path().join(format!("{k}.json")).display());
        let killed = phoenix(&world, &["--fault", &format!("kill:{k}"), "create", "103"]);
        let next = phoenix(&world, &["create", "103"]);
        assert!(next.status.success(), "killed at {k}: {}", String::from_utf8_lossy(&next.stderr));
        let last = phoenix(&world, &["plan", "103", "--detailed-exitcode"]);
        assert_eq!(last.status.code(), Some(0), "killed at {k}: {}", String::from_utf8_lossy(&last.stdout));
        if killed.status.success() {
            println!("killed at every 11th of {k} changing values");
            break;
        }
    }
}

/// As many volumes as guests want, each snapshot once, no lock left.
fn nothing_twice(scenario: &mut Scenario, k: u64) {
    let world = scenario.world();
    assert_eq!(world.volumes().len(), ALL.len(), "cut at {k}: {:?}", world.volumes().keys());
    for number in ALL {
        let config = scenario.on_the_node(&format!("pct config {number}"));
        assert!(!config.contains("lock:"), "cut at {k}: {config}");
    }
}

#[test]
fn an_interrupt_lets_the_running_command_finish_and_the_next_run_goes_on() {
    let moments: [fn(&Event) -> bool; 4] = [
        |event| matches!(event, Event::StepStarted { step: Step::Define, .. }),
        |event| matches!(event, Event::Did { what, .. } if what.starts_with("pct start 103")),
        |event| matches!(event, Event::Section { .. } | Event::Change { .. }),
        |event| matches!(event, Event::GuestFinished { .. }),
    ];
    for moment in moments {
        let mut scenario = Scenario::platform();
        scenario.interrupt_at = Some(moment);
        let ran = scenario.create(ALL);
        assert!(ran.summary.interrupted);
        assert_eq!(ran.reason(101), "interrupted");
        scenario.create(ALL).is_fine();
        scenario.create(ALL).is_idle();
    }
}

const MACHINES: &[u32] = &[9000, 1001, 1002];

/// What a run of the machines tells about the guest that a fault hits.
fn struck(scenario: &mut Scenario, fault: &str, hit: u32) -> String {
    scenario.faults = vec![fault.parse().unwrap()];
    let ran = scenario.create(MACHINES);
    let Outcome::Failed { cause } = ran.outcome(hit) else { panic!("{fault}: {:?}", ran.outcome(hit)) };
    let mut told = format!("{fault}\n  {}\n", cause.message);
    for (what, words) in [("command", &cause.command), ("output", &cause.output), ("hint", &cause.hint)] {
        told.extend(words.as_ref().map(|words| format!("  {what}: {}\n", words.replace('\n', "\n    "))));
    }
    told
}

#[test]
fn faults_around_machines_have_their_words_and_the_next_run_completes() {
    let faults = [
        ("agent:9000:never", 9000),
        ("agent:1001:never", 1001),
        ("cloud-init:9000:('package-update-upgrade-install', ProcessExecutionError('apt-get update'))", 9000),
        ("nfs:198.51.100.7", 1001),
        ("image:noble-server-cloudimg-amd64.img", 9000),
        ("full:tank", 9000),
    ];
    let mut told = String::new();
    for (fault, hit) in faults {
        let mut scenario = Scenario::machines();
        told += &struck(&mut scenario, fault, hit);
        scenario.create(MACHINES).is_fine();
        scenario.create(MACHINES).is_idle();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn an_agent_that_answers_late_is_waited_for() {
    let mut scenario = Scenario::machines();
    scenario.faults = vec!["agent:9000:late:100".parse().unwrap()];
    let ran = scenario.create(MACHINES);
    ran.is_fine();
    let waits = |event: &Event| matches!(event, Event::Waiting { guest, on } if *guest == id(9000) && on == "its guest agent does not answer");
    assert!(ran.events.iter().any(waits));
    scenario.create(MACHINES).is_idle();
}

#[test]
fn an_agent_that_dies_in_any_operation_leaves_a_run_that_the_next_one_completes() {
    let mut deaths: Vec<String> = Vec::new();
    let mut survived = 0;
    for k in 1.. {
        let mut scenario = Scenario::machines();
        scenario.faults = vec![format!("agent:1001:dies:{k}").parse().unwrap()];
        let ran = scenario.create(MACHINES);
        match ran.outcome(1001) {
            Outcome::Failed { cause } if !deaths.contains(&cause.message) => deaths.push(cause.message.clone()),
            Outcome::Failed { .. } => {}
            // Not needed any more, or there is no such operation.
            _ => survived += 1,
        }
        scenario.create(MACHINES).is_fine();
        scenario.create(MACHINES).is_idle();
        if survived == 2 {
            println!("its agent died in each of {k} operations");
            break;
        }
    }
    insta::assert_snapshot!(deaths.join("\n"));
}
