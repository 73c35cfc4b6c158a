//! A rehearsal on a node, then the run on the same node: what the rehearsal said is what is done.

use std::collections::BTreeSet;
use std::path::Path;

use phoenix::config::Dir;
use phoenix::engine::Consent;
use phoenix::event::{Difference, Step};
use phoenix::model::{BindMount, GuestKind};
use phoenix::op::{Op, Place, UnitAction};

use crate::features::gpus;
use crate::support::scenario::{self, Ran, Scenario, id};

const PLATFORM: &[u32] = &[900, 103, 102, 101, 9000, 1001, 1002];

/// Where the rehearsal said something else than the run did: `guest step: ...`. Steps that it did not know are left out
/// and answered apart.
fn compare(rehearsed: &Ran, ran: &Ran) -> (Vec<String>, Vec<String>) {
    let (said, done) = (rehearsed.story(), ran.story());
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for (guest, said) in &said.guests {
        let done = &done.guests[guest];
        for step in &said.steps {
            let what = format!("{guest} {}", step.step);
            if step.outcome.is_unknown() {
                unknown.push(format!("{what}: {:?}", step.outcome));
                continue;
            }
            match done.steps.iter().find(|done| done.step == step.step) {
                None => wrong.push(format!("{what}: the run did not come to it, it was to be {:?}", step.outcome)),
                Some(done) if done.outcome != step.outcome || !alike(&done.changes, &step.changes) => {
                    let mut text = format!("{what}: said {:?}, done {:?}", step.outcome, done.outcome);
                    for change in step.changes.iter().filter(|change| {
                        !done
                            .changes
                            .iter()
                            .any(|other| alike(std::slice::from_ref(change), std::slice::from_ref(other)))
                    }) {
                        text += &format!("\n    only said: {change:?}");
                    }
                    for change in done.changes.iter().filter(|change| {
                        !step
                            .changes
                            .iter()
                            .any(|other| alike(std::slice::from_ref(change), std::slice::from_ref(other)))
                    }) {
                        text += &format!("\n    only done: {change:?}");
                    }
                    wrong.push(text);
                }
                Some(_) => {}
            }
        }
        for step in &done.steps {
            if !said.steps.iter().any(|said| said.step == step.step) {
                wrong.push(format!("{guest} {}: nobody said it: {step:?}", step.step));
            }
        }
        if said.pending != done.pending {
            wrong.push(format!("{guest}: pending {:?}, in truth {:?}", said.pending, done.pending));
        }
    }
    (wrong, unknown)
}

fn alike(said: &[Difference], done: &[Difference]) -> bool {
    said.iter().map(lasting).eq(done.iter().map(lasting))
}

/// The difference without what is made anew each time: keys, certificates and their times, hardware addresses.
fn lasting(difference: &Difference) -> Difference {
    let is_made = |word: &str| {
        let word = word.trim_matches(['"', ',', '+', '-', '\'']);
        let is_time = word.len() == 20 && word.ends_with('Z') && word.contains("T0");
        let is_address = word.len() == 17 && word.starts_with("BC:24:11:");
        let is_key = word.len() >= 27 && word.chars().all(|c| c.is_ascii_alphanumeric() || "+/=-_".contains(c));
        is_time || is_address || is_key || word.starts_with("MII")
    };
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').map(|word| if is_made(word) { "MADE" } else { word }).collect();
        words.join(" ")
    };
    let text = |text: &String| {
        // A certificate is a line longer or shorter, by chance.
        let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with("@@")).map(line).collect();
        let last_of_key = |line: &String| line.ends_with('=') && !line.contains(' ');
        lines.retain(|line| !last_of_key(line));
        lines.dedup_by(|a, b| a == "MADE" && b == "MADE" || a == "+MADE" && b == "+MADE");
        lines.join("\n")
    };
    let size = |value: &String| if value.ends_with(" bytes") { "some bytes".to_owned() } else { text(value) };
    Difference {
        from: difference.from.as_ref().map(size),
        to: difference.to.as_ref().map(size),
        diff: difference.diff.as_ref().map(text),
        ..difference.clone()
    }
}

/// Rehearses and runs; everything that was said comes true. Answers what was not known.
fn holds(scenario: &mut Scenario, targets: &[u32]) -> Vec<String> {
    let (wrong, unknown, ran) = both(scenario, targets);
    ran.is_fine();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    unknown
}

/// The same where guests fail: they were said to fail so.
fn both(scenario: &mut Scenario, targets: &[u32]) -> (Vec<String>, Vec<String>, Ran) {
    let rehearsed = scenario.rehearse(targets);
    let ran = scenario.create(targets);
    let (wrong, unknown) = compare(&rehearsed, &ran);
    (wrong, unknown, ran)
}

fn shipped() -> Scenario {
    Scenario::configured(&Dir::Embedded)
}

fn inside(number: u32) -> Place {
    Place::Guest(id(number), if number >= 1000 { GuestKind::Vm } else { GuestKind::Lxc })
}

fn append(path: &str, text: &str) -> Op {
    Op::Append { path: path.to_owned(), bytes: text.as_bytes().to_vec(), sync: false }
}

#[test]
fn on_an_empty_node_everything_is_foretold() {
    let mut scenario = shipped();
    assert_eq!(holds(&mut scenario, PLATFORM), Vec::<String>::new());
    assert_eq!(holds(&mut scenario, PLATFORM), Vec::<String>::new());
    scenario.rehearse(PLATFORM).is_idle();
    scenario.create(PLATFORM).is_idle();
}

#[test]
fn what_somebody_changed_inside_running_guests() {
    let mut scenario = shipped();
    scenario.create(PLATFORM).is_fine();
    let unit = |name: &str, action| Op::Unit { name: name.to_owned(), action };
    let remove = |path: &str| Op::Remove { path: path.to_owned(), recursive: false };
    let packages = |names: &[&str]| Op::RemovePackages { names: names.iter().map(|name| (*name).to_owned()).collect() };
    type Drift<'a> = (&'a [(u32, Vec<Op>)], &'a [&'a str]);
    let drifts: [Drift; 4] = [
        (
            &[
                (103, vec![append("/etc/default/locale", "LANGUAGE=de\n"), packages(&["git"])]),
                (102, vec![append("/etc/traefik/traefik.yml", "# by hand\n")]),
                (101, vec![append("/etc/nginx/nginx.conf", "# by hand\n")]),
                (1002, vec![append("/etc/fstab", "# by hand\n")]),
            ],
            // What it reads will be otherwise.
            &["102 health"],
        ),
        (
            &[
                (102, vec![append("/etc/systemd/system/traefik.service", "# by hand\n"), Op::ReloadUnits]),
                (101, vec![packages(&["jq", "htop"])]),
                (1002, vec![packages(&["rsync"])]),
            ],
            &["102 health"],
        ),
        (
            // A service that would be started cannot be asked how it is.
            &[
                (102, vec![remove("/etc/traefik/traefik.yml"), unit("traefik.service", UnitAction::Stop)]),
                (101, vec![unit("nginx.service", UnitAction::Stop)]),
                (1001, vec![unit("docker.service", UnitAction::Stop)]),
            ],
            &["102 health", "101 health", "1001 feature portainer", "1001 health"],
        ),
        (
            &[
                (103, vec![append("/etc/step-ca/config/ca.json", " ")]),
                (101, vec![unit("nginx.service", UnitAction::Disable)]),
            ],
            &["103 health"],
        ),
    ];
    for (drifts, unknown) in drifts {
        for (guest, ops) in drifts {
            scenario.perform(inside(*guest), ops);
        }
        assert_eq!(steps(&holds(&mut scenario, PLATFORM)), unknown);
    }
    scenario.create(PLATFORM).is_idle();
}

/// Guests and steps of what was not known.
fn steps(unknown: &[String]) -> Vec<&str> {
    unknown.iter().map(|line| line.split(':').next().unwrap()).collect()
}

#[test]
fn what_the_configuration_says_otherwise() {
    let mut scenario = shipped();
    scenario.create(PLATFORM).is_fine();
    let param = |scenario: &mut Scenario, guest: u32, script: &str, name: &str, value: serde_json::Value| {
        scenario.guest(guest).params.entry(script.to_owned()).or_default().insert(name.to_owned(), value);
    };
    scenario.guest(101).memory_mb = 1536;
    param(&mut scenario, 101, "base_setup", "extra_packages", serde_json::json!(["tree"]));
    param(&mut scenario, 102, "base_setup", "timezone", "Europe/Berlin".into());
    param(&mut scenario, 103, "base_setup", "disable_ipv6", true.into());
    // What needs a restart is left as it is.
    scenario.guest(101).lxc.features.insert("fuse".to_owned(), "1".to_owned());
    assert_eq!(holds(&mut scenario, PLATFORM), Vec::<String>::new());
    // With consent it is done.
    scenario.consent = Consent::Given;
    scenario.guest(101).nameservers = vec!["9.9.9.9".parse().unwrap()];
    scenario.guest(1002).cores = 2;
    assert_eq!(holds(&mut scenario, PLATFORM), Vec::<String>::new());
    scenario.create(PLATFORM).is_idle();
}

#[test]
fn guests_that_cannot_be_read_are_not_known_and_nothing_that_builds_upon_them() {
    let mut scenario = shipped();
    scenario.create(PLATFORM).is_fine();
    scenario.on_the_node("pct stop 103");
    scenario.on_the_node("qm stop 1002");
    let unknown = holds(&mut scenario, PLATFORM);
    let of =
        |number: &str| steps(&unknown).into_iter().filter_map(|step| step.strip_prefix(number)).collect::<Vec<_>>();
    assert_eq!(of("103 "), ["ready", "feature base_setup", "feature step_ca", "app ca", "health"]);
    assert_eq!(of("1002 ")[..3], ["ready", "mount", "feature base_setup"]);
    assert!(unknown[0].contains("depends on what is inside: it did not run, so it cannot be read"), "{unknown:?}");
    assert!(unknown[1].contains("depends on features/base_setup.rhai:"), "{unknown:?}");
    // They consume what it publishes.
    assert_eq!(of("101 "), ["feature trusted_ca", "feature step_cli", "app gateway", "health"]);
    scenario.create(PLATFORM).is_idle();

    let mut scenario = shipped();
    scenario.create(&[900, 103]).is_fine();
    let unknown = holds(&mut scenario, &[101]);
    let expected = ["ready", "feature base_setup", "feature trusted_ca", "feature step_cli", "app gateway", "health"];
    assert_eq!(steps(&unknown), expected.map(|step| format!("101 {step}")));
    assert!(unknown[0].contains("depends on what is inside: it is a copy of what cannot be read"), "{unknown:?}");
}

#[test]
fn a_foreign_guest_with_the_same_id() {
    let mut scenario = shipped();
    let archive = scenario.fresh().templates[0].volid.clone();
    scenario.on_the_node(&format!("pct create 101 {archive} --rootfs tank-guests:1 --hostname foreign"));
    let (wrong, unknown, ran) = both(&mut scenario, PLATFORM);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(unknown, Vec::<String>::new());
    assert!(ran.cause(101).contains("phoenix did not make it"));
}

#[test]
fn a_run_that_was_cut_off() {
    cut_off((20..200).step_by(60));
}

#[test]
#[ignore = "long: five minutes"]
fn a_run_that_was_cut_off_at_any_moment() {
    cut_off(1..260);
}

fn cut_off(moments: impl Iterator<Item = u32>) {
    for at in moments {
        let mut scenario = shipped();
        scenario.faults = vec![format!("cut:{at}").parse().unwrap()];
        scenario.create(PLATFORM);
        let (wrong, ..) = both(&mut scenario, PLATFORM);
        assert!(wrong.is_empty(), "cut at {at}: {}", wrong.join("\n"));
    }
}

#[test]
fn devices_of_the_node_are_looked_for_on_the_node() {
    let mut scenario = gpus::scenario("1");
    assert_eq!(holds(&mut scenario, &[200]), Vec::<String>::new());
    scenario.perform(inside(200), &[Op::RemovePackages { names: vec!["jq".to_owned()] }]);
    assert_eq!(holds(&mut scenario, &[200]), Vec::<String>::new());
}

/// Guests that serve models, and what asks them.
const MODELS: &[u32] = &[300, 301, 310, 311, 312, 320];

fn models() -> Scenario {
    Scenario::configured(&Dir::Real(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ai")))
}

#[test]
fn servers_of_models_are_what_was_predicted() {
    let mut scenario = models();
    assert_eq!(holds(&mut scenario, MODELS), Vec::<String>::new());
    scenario.perform(inside(310), &[Op::Remove { path: "/opt/vllm/installed.txt".to_owned(), recursive: false }]);
    assert_eq!(holds(&mut scenario, MODELS), Vec::<String>::new());
}

#[test]
fn directories_of_the_node_are_shown_in_new_guests_as_they_are() {
    let mut guest = scenario::container(110, "store");
    guest.app = Some("keep".to_owned());
    guest.mounts = vec![BindMount {
        host_path: "/srv/kept".to_owned(),
        container_path: "/data".to_owned(),
        owner_uid: None,
        owner_gid: None,
        file: false,
        read_only: false,
        id_map: None,
    }];
    guest.lxc.unprivileged = false;
    let mut scenario = Scenario::of([guest]);
    scenario.script(
        "apps/keep.rhai",
        r#"
const APP = #{ name: "keep", summary: "Keeps something on the node", targets: ["lxc"] };
fn apply(guest, params) {
    guest.file("/data/old", #{ content: "new\n" });
    guest.file("/data/same", #{ content: "same\n" });
    guest.file("/data/more", #{ content: "more\n" });
}
"#,
    );
    scenario.write_on_the_node("/srv/kept/old", "old\n");
    scenario.write_on_the_node("/srv/kept/same", "same\n");
    assert_eq!(holds(&mut scenario, &[110]), Vec::<String>::new());
    scenario.create(&[110]).is_idle();
}

#[test]
fn every_shipped_script_is_rehearsed_here() {
    let library = shipped().library();
    let catalogue = library.catalogue();
    let all: BTreeSet<&String> = catalogue.features.keys().chain(catalogue.apps.keys()).collect();
    let mut rehearsed = BTreeSet::new();
    let scenarios = [(shipped(), PLATFORM), (gpus::scenario("1"), &[200][..]), (models(), MODELS)];
    for (mut scenario, targets) in scenarios {
        for guest in scenario.rehearse(targets).story().guests.values() {
            rehearsed.extend(guest.steps.iter().filter_map(|step| match &step.step {
                Step::Feature(name) | Step::App(name) => Some(name.clone()),
                _ => None,
            }));
        }
    }
    assert_eq!(rehearsed.iter().collect::<BTreeSet<_>>(), all);
}
