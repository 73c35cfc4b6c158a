//! Tests of `config`: what is read, and what is said about what cannot be.

#[path = "config/schema.rs"]
mod schema;

use std::path::{Path, PathBuf};

use phoenix::config::{Dir, Loaded, load, resolve_show};
use phoenix::finding::Severity;
use phoenix::model::{Catalogue, Role};
use phoenix::script::{Library, Roots};
use phoenix::ui::findings;
use proptest::prelude::*;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn catalogue() -> Catalogue {
    Library::load(&Roots::embedded()).0.catalogue().clone()
}

fn told(loaded: &Loaded) -> String {
    findings::render(&loaded.findings, false)
}

fn example(name: &str) -> Dir {
    Dir::Real(project("examples").join(name))
}

#[test]
fn the_shipped_platform_has_no_findings() {
    for dir in [Dir::Embedded, Dir::Real(project("etc")), example("minimal"), example("ai")] {
        let loaded = load(&dir, &catalogue());
        assert_eq!(told(&loaded), "", "{dir:?}");
        assert!(loaded.site.is_some());
    }
}

/// Every folder of `tests/data/config/bad` with exactly what is said about it.
#[test]
fn bad_configurations_are_told_exactly() {
    let mut names: Vec<String> = std::fs::read_dir(project("tests/data/config/bad"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 20);
    for name in names {
        // Relative to the project, where tests run: the same path for everybody.
        let loaded = load(&Dir::Real(format!("tests/data/config/bad/{name}").into()), &catalogue());
        insta::assert_snapshot!(format!("bad-{name}"), told(&loaded));
    }
}

fn legacy() -> Loaded {
    load(&Dir::Real("tests/data/config/legacy/etc".into()), &catalogue())
}

#[test]
fn the_predecessors_files_are_read_with_warnings_only() {
    let loaded = legacy();
    assert!(!loaded.has_errors(), "{}", told(&loaded));
    insta::assert_snapshot!("legacy-findings", told(&loaded));
}

#[test]
fn every_field_of_the_predecessor_lands_typed() {
    let site = legacy().site.unwrap();
    insta::assert_json_snapshot!("legacy-site", resolve_show(&site));
}

#[test]
fn plaintext_passwords_are_nowhere() {
    let loaded = legacy();
    let site = format!("{:?}", loaded.site.as_ref().unwrap());
    for text in [&site, &told(&loaded), &format!("{:?}", loaded.findings)] {
        assert!(!text.contains("do-not-show-me") && !text.contains("$6$"));
    }
}

#[test]
fn an_unknown_script_is_an_error_only_for_requests_that_need_it() {
    let mut catalogue = catalogue();
    for feature in ["docker", "portainer", "vllm"] {
        catalogue.features.remove(feature);
    }
    catalogue.apps.remove("vllm");
    let loaded = load(&Dir::Real("tests/data/config/legacy/etc".into()), &catalogue);
    let site = loaded.site.as_ref().unwrap();
    let severe = |names: &[&str]| -> Vec<String> {
        let ids: Vec<_> = names.iter().map(|name| site.find(name).unwrap().id).collect();
        let findings = loaded.findings_for(&ids);
        assert_eq!(findings.len(), loaded.findings.len());
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(ToString::to_string).collect()
    };
    assert_eq!(severe(&["Stem", "Seal", "Switch", "Door"]), [""; 0]);
    // The place is where the requested guest names the script, or what brings it, not the first guest of all.
    let vm = "tests/data/config/legacy/etc/phoenix_vm_configs.json";
    let missing = [":53:66: there is no feature `docker`", ":54:31: there is no feature `portainer`"];
    assert_eq!(severe(&["Harbour"]), missing.map(|finding| format!("{vm}{finding}")));
    assert_eq!(severe(&["Oracle"]).len(), 2);
}

#[test]
fn roles_are_derived_where_none_are_declared() {
    let site = legacy().site.unwrap();
    let with = |role| site.with_role(&role).map(|guest| guest.name.clone()).collect::<Vec<_>>();
    assert_eq!(with(Role::Ca), ["Seal"]);
    assert_eq!(with(Role::Router), ["Switch"]);
    assert_eq!(with(Role::Gateway), ["Door"]);
    assert_eq!(with(Role::Portainer), ["Cockpit"]);
    assert_eq!(with(Role::Docker), ["Cockpit", "Harbour"]);
}

/// Files with everything in them, to be damaged.
fn whole_files() -> Vec<(String, String)> {
    let folder = project("tests/data/config/legacy/etc");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// What a damaged place is replaced by: what people type, and what breaks readers.
const DAMAGE: [&str; 18] = [
    "",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e999",
    "\"\\ud800\"",
    "\u{0}",
    "ä",
    "// x\n",
    "{\"secret\": 1}",
    "[[[[[[[[",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_makes_it_panic(file in 0..5usize, cuts in prop::collection::vec((0.0..1.0f64, 0..40usize, 0..DAMAGE.len()), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        for (at, (name, text)) in whole_files().into_iter().enumerate() {
            let mut text = text;
            if at == file {
                for (place, length, damage) in &cuts {
                    let near = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
                    let start = near((text.len() as f64 * place) as usize);
                    let range = start..near(start + length);
                    text.replace_range(range, DAMAGE[*damage]);
                }
            }
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let loaded = load(&Dir::Real(dir.path().to_owned()), &Catalogue::default());
        // Drawing takes every place of every finding.
        let _ = told(&loaded);
    }
}

#[test]
fn a_thousand_guests_are_read_at_once() {
    let count = 1000;
    let guests: Vec<String> = (0..count)
        .map(|at| {
            let id = 1000 + at;
            let origin = if at == 0 {
                r#""is_template": true, "template": "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst""#.to_owned()
            } else {
                r#""clone_from_ctid": 1000"#.to_owned()
            };
            let dependency = if at > 1 { format!("{}", 1000 + at / 2) } else { String::new() };
            format!(
                r#""{id}": {{"name": "g{id}", {origin}, "dependencies": [{dependency}], "cores": 1, "memory_mb": 512,
                "storage_pool": "local-zfs", "storage_size_gb": 4, "features": ["base_setup"], "mac_address": "BC:24:11:00:{:02X}:{:02X}",
                "network_config": {{"bridge": "vmbr0", "ip": "10.9.{}.{}/16", "gw": "10.9.0.1"}}}}"#,
                at / 256, at % 256, 1 + at / 200, 1 + at % 200
            )
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("phoenix_hypervisor_config.json"), r#"{"domain_name": "lab.example.org"}"#).unwrap();
    let text = format!("{{\"lxc_configs\": {{{}}}}}", guests.join(",\n"));
    std::fs::write(dir.path().join("phoenix_lxc_configs.json"), text).unwrap();
    let catalogue = catalogue();
    let started = std::time::Instant::now();
    let loaded = load(&Dir::Real(dir.path().to_owned()), &catalogue);
    println!("{count} guests read in {:?}", started.elapsed());
    assert_eq!(told(&loaded), "");
    assert_eq!(loaded.site.unwrap().guests.len(), count);
}
