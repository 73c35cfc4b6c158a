//! A real virtual machine from its first boot to an applied feature, through its own guest agent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phoenix::artifact::Artifacts;
use phoenix::command::Effect;
use phoenix::event::Discard;
use phoenix::host::interrupt::Interrupt;
use phoenix::host::record::{Counts, Recorder};
use phoenix::host::{Host as _, HostError, HostHandle};
use phoenix::machine::{Machine, Report, SecretStore};
use phoenix::model::{Guest, GuestKind, Image, Origin, ScriptKind, Site};
use phoenix::op::{Exec, Op, OpValue, Place};
use phoenix::pve::{storage, vm};
use phoenix::script::{self, Call, Entry, Library, Roots, ScriptReport};
use serde_json::json;

use super::channel::output;
use crate::conformance;
use crate::support::emulated::{Emulated, ID};
use crate::support::scenario;

/// Longest wait for the first boot, packages included; three minutes on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(1800);

fn run(argv: &[&str]) -> Op {
    Op::Exec(Exec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: BTreeMap::new(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(120),
        effect: Effect::Read,
    })
}

/// The vendor data that a machine made from an image gets.
fn vendor_data() -> String {
    let image = Image { source: "https://example.org/image.qcow2".to_owned(), sha256: None };
    let declared = scenario::container(ID, "image");
    let guest = Guest { kind: GuestKind::Vm, origin: Origin::Image(image), ..declared };
    let storages = storage::parse_cfg("dir: local\n\tpath /var/lib/vz\n\tcontent snippets\n");
    let vendor = vm::desired(&guest, storages.first()).vendor.expect("the storage holds snippets");
    vendor.file.content
}

/// Applies the feature.
fn base_setup(host: HostHandle, place: Place) -> ScriptReport {
    let (library, findings) = Library::load(&Roots::embedded());
    assert!(findings.is_empty(), "{findings:?}");
    let guest = scenario::container(ID, "image");
    let given = [
        ("packages".to_owned(), json!(["ca-certificates", "locales", "netbase"])),
        ("timezone".to_owned(), json!("Europe/Berlin")),
    ];
    let call = Call {
        library: &library,
        kind: ScriptKind::Feature,
        name: "base_setup",
        entry: Entry::Apply,
        machine: Machine::new(host.clone(), place, Report { guest: Some(guest.id), events: Arc::new(Discard) }),
        guest: guest.id,
        params: script::params(&library.catalogue().features["base_setup"], Some(&given.into())).unwrap(),
        site: Arc::new(Site { guests: [(guest.id, guest)].into(), ..Site::default() }),
        artifacts: Artifacts::default(),
        publishers: Vec::new(),
        secrets: SecretStore::new(host, Arc::new(|_| None)),
        interrupt: Interrupt::new(),
    };
    std::thread::scope(|scope| {
        let run = script::thread("base_setup").spawn_scoped(scope, move || script::run(call)).unwrap();
        run.join().unwrap().unwrap_or_else(|error| panic!("{:#?}", error.failure()))
    })
}

#[test]
#[ignore = "long: boots an emulated machine, whose cloud-init installs packages"]
fn a_virtual_machine_is_reached_as_soon_as_its_vendor_data_brought_the_agent() {
    let mut machine = Emulated::boot(&vendor_data());
    let (host, place) = (machine.host(), machine.place());
    let begun = Instant::now();
    let (state, addresses) = loop {
        let asked = Instant::now();
        match host.perform(place, &[Op::SystemState, Op::Network]) {
            Ok(answers) => match answers.as_slice() {
                [Ok(OpValue::SystemState(state)), Ok(OpValue::Network { addresses, default_route: true })]
                    if state != "starting" =>
                {
                    break (state.clone(), addresses.clone());
                }
                _ => (),
            },
            Err(HostError::Unreachable { .. }) => assert!(asked.elapsed() < Duration::from_secs(10)),
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < PATIENCE, "no agent after {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_secs(2));
    };
    println!("{state} after {:.0?}", begun.elapsed());
    assert!(addresses.contains(&machine.address()), "{addresses:?}");
    let ask = |argv: &[&str]| output(host.perform(place, &[run(argv)]).unwrap().remove(0)).text();
    let said = ask(&["cloud-init", "status", "--wait", "--long"]);
    assert!(said.contains("status: done"), "{said}");
    assert_eq!(ask(&["hostname", "--fqdn"]), "image.example.org\n");

    let stat = Op::Stat { path: "/etc/hostname".to_owned() };
    let asked = Instant::now();
    host.perform(place, &[stat]).unwrap();
    println!("a small batch took {:?}", asked.elapsed());

    let counts = Counts::default();
    let recorder = Arc::new(Recorder::new(Arc::new(machine.host()), Arc::new(Discard), None, counts.clone()));
    for again in [false, true] {
        let (began, ops, changes) = (Instant::now(), counts.ops(), counts.changes());
        assert_eq!(base_setup(recorder.clone(), place).changed, !again);
        assert_eq!(counts.changes() == changes, again, "changing operations");
        println!("base_setup: {:.1?} with {} operations", began.elapsed(), counts.ops() - ops);
    }

    let asked = Instant::now();
    conformance::holds(&host, place);
    println!("the conformance set took {:.0?}", asked.elapsed());

    let lost = std::thread::scope(|scope| {
        let running = scope.spawn(|| host.perform(place, &[run(&["sleep", "60"])]));
        std::thread::sleep(Duration::from_secs(2));
        machine.kill();
        running.join().unwrap()
    });
    assert!(matches!(lost, Err(HostError::Lost { .. })), "{lost:?}");
    assert!(matches!(host.perform(place, &[Op::Os]), Err(HostError::Unreachable { .. })));
}
