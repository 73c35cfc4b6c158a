//! What went wrong in the program before this one, each with a test that fails if it came back.
//!
//! Ids are those of the list that the project was started with: P loss of data and damage to the node, L logic that did
//! not do what it said, R races and waits, S security. A test carries the id in its name. The table says which ones are
//! proven here and which wait for the part that they are about; a test holds table and names together.

mod l;
mod p;
mod r;
mod s;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use phoenix::config::Dir;
use phoenix::host::Host as _;
use phoenix::op::{Attributes, Content, Op, Place};
use phoenix::sandbox::World;
use serde_json::json;
use x509_parser::extensions::GeneralName;

use crate::support::scenario::Scenario;

/// The containers of the platform.
const ALL: &[u32] = &[900, 103, 101, 102];

/// Ids by letter: how many there are.
const KNOWN: &[(char, u32)] = &[('P', 19), ('L', 45), ('R', 10), ('S', 20)];

/// Ids that are not proven here, and what they are about.
const LATER: &[(&str, &[&str])] = &[
    ("setup of the node", &["P1", "P2", "P8", "P15", "P16", "P17", "P18", "P19", "L3", "L4", "L24", "S2", "S6", "S17"]),
    ("sync of DNS, routes, certificates and stacks", &["L10", "L11", "L12", "L14", "L15", "L33", "R9"]),
];

/// The names of all tests that carry an id, with the id. Most are here; some are where their bench is.
fn tests() -> BTreeMap<String, Vec<String>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                for after in text.split("#[test]\nfn ").skip(1) {
                    let name = after.split('(').next().unwrap();
                    let (id, _) = name.split_once('_').unwrap_or((name, ""));
                    if id.starts_with(['p', 'l', 'r', 's']) && id[1..].parse::<u32>().is_ok() {
                        tests.entry(id.to_uppercase()).or_default().push(name.to_owned());
                    }
                }
            }
        }
    }
    tests
}

#[test]
fn every_pitfall_is_proven_or_waits_for_its_part() {
    let tests = tests();
    let known: BTreeSet<String> =
        KNOWN.iter().flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}"))).collect();
    let later: BTreeSet<String> = LATER.iter().flat_map(|(_, ids)| ids.iter().map(|id| (*id).to_owned())).collect();
    assert_eq!(later.len(), LATER.iter().map(|(_, ids)| ids.len()).sum::<usize>(), "an id waits for two parts");
    let proven: BTreeSet<String> = tests.keys().cloned().collect();
    assert!(proven.is_subset(&known) && later.is_subset(&known), "an id that nobody knows");
    assert_eq!(proven.intersection(&later).collect::<Vec<_>>(), [] as [&String; 0], "proven, and said to wait");
    let missing: Vec<&String> = known.iter().filter(|id| !proven.contains(*id) && !later.contains(*id)).collect();
    assert!(missing.is_empty(), "neither proven nor said to wait: {missing:?}");
    println!("{} of {} pitfalls are proven by {} tests", proven.len(), known.len(), tests.values().flatten().count());
}

/// A container with these features of the shipped ones, on a node of its own.
fn worker(features: &[&str]) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    let node = json!({
        "domain_name": "example.org",
        "network": {"interfaces": {"name": "vmbr0", "address": "192.0.2.1/24", "gateway": "192.0.2.254"}},
    });
    let lxc = json!({"lxc_configs": {"200": {
        "name": "worker",
        "template": "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
        "cores": 1, "memory_mb": 512, "storage_pool": "local-zfs", "storage_size_gb": 8,
        "network_config": {"name": "eth0", "bridge": "vmbr0", "ip": "192.0.2.20/24", "gw": "192.0.2.254"},
        "start_at_boot": true,
        "features": features,
    }}});
    std::fs::write(folder.path().join("phoenix_hypervisor_config.json"), node.to_string()).unwrap();
    std::fs::write(folder.path().join("phoenix_lxc_configs.json"), lxc.to_string()).unwrap();
    Scenario::configured(&Dir::Real(folder.path().to_owned()))
}

/// The shipped platform's four containers, made once.
fn platform() -> Scenario {
    static WORLD: OnceLock<World> = OnceLock::new();
    let mut scenario = Scenario::configured(&Dir::Embedded);
    let world = WORLD.get_or_init(|| {
        let mut scenario = Scenario::configured(&Dir::Embedded);
        scenario.create(ALL).is_fine();
        scenario.world()
    });
    scenario.world = Some(world.clone());
    scenario
}

/// Time passes on the node.
fn later(scenario: &mut Scenario, time: Duration) {
    let sandbox = scenario.sandbox();
    sandbox.sleep(time).unwrap();
    // A world remembers the moment of its last change.
    let now = Content::Bytes(sandbox.now().to_string().into_bytes().into());
    let path = "/var/cache/now".to_owned();
    let write = Op::Write { path, content: now, attributes: Attributes::default(), guard: None };
    sandbox.perform(Place::Node, &[write]).unwrap().remove(0).unwrap();
    scenario.world = Some(sandbox.world());
}

/// Declares a parameter of a script.
fn set(scenario: &mut Scenario, guest: u32, script: &str, parameter: &str, value: impl Into<serde_json::Value>) {
    let params = scenario.guest(guest).params.entry(script.to_owned()).or_default();
    params.insert(parameter.to_owned(), value.into());
}

/// Names and addresses of a certificate, sorted.
fn names_in(pem: &str) -> Vec<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let mut names: Vec<String> = names
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => bytes.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
            other => other.to_string(),
        })
        .collect();
    names.sort();
    names
}
