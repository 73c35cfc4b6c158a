//! The catalogue as a whole: its tests reach what it does, its pages say what can be declared, its index is complete.

use std::fs;
use std::path::Path;

use phoenix::config;
use phoenix::model::ScriptKind;
use phoenix::script::{Library, Roots};
use phoenix::{testing, ui};
use serde_json::{Value, json};

/// Lines of every shipped script, module and model that its tests must run, in percent.
const LEAST: usize = 90;

fn shipped() -> Library {
    let (library, findings) = Library::load(&Roots::embedded());
    assert!(findings.is_empty(), "{findings:?}");
    library
}

/// Kind, folder and name of every script.
fn scripts(library: &Library) -> Vec<(ScriptKind, &'static str, String)> {
    let catalogue = library.catalogue();
    let features = catalogue.features.keys().map(|name| (ScriptKind::Feature, "features", name.clone()));
    features.chain(catalogue.apps.keys().map(|name| (ScriptKind::App, "apps", name.clone()))).collect()
}

#[test]
fn every_script_converges_and_its_tests_pass_and_reach_what_it_does() {
    let library = shipped();
    let results = testing::run(&library, &testing::Request { coverage: true, ..testing::Request::default() });
    let failed: Vec<String> = results
        .cases
        .iter()
        .filter_map(|case| Some(format!("{} {}: {}", case.script, case.case, case.failure.as_ref()?.message)))
        .collect();
    assert!(results.passed(), "{failed:#?}\n{:?}", results.findings);
    assert!(results.cases.len() > scripts(&library).len());

    let covered = results.coverage.unwrap();
    let lines: usize = covered.iter().map(|file| file.lines.len()).sum();
    let ran: usize = covered.iter().map(phoenix::script::Covered::covered).sum();
    let files: Vec<_> = covered
        .iter()
        .map(|file| ui::coverage::File {
            path: &file.path,
            lines: file.lines.len(),
            covered: file.covered(),
            percent: file.percent(),
            missed: file.missed(),
        })
        .collect();
    println!("coverage table of shipped scripts\n{}", ui::coverage::render(&files, ran * 100 / lines));
    let low: Vec<&str> = files.iter().filter(|file| file.percent < LEAST).map(|file| file.path).collect();
    assert!(low.is_empty(), "less than {LEAST} % of their lines run in their tests: {}", low.join(", "));
}

/// The example in a script's head, as the page shows it; pages of others get one made.
fn example(library: &Library, kind: ScriptKind, name: &str) -> Option<Value> {
    let (_, rest) = library.doc(kind, name)?.split_once("```json\n")?;
    let example = serde_json::from_str(rest.split("```").next()?);
    Some(example.unwrap_or_else(|error| panic!("{name}: {error}")))
}

#[test]
fn what_the_pages_declare_can_be_declared() {
    let library = shipped();
    for (kind, _, name) in scripts(&library) {
        let Some(example) = example(&library, kind, &name) else { continue };
        let guest = |name: &str, ip: &str| {
            json!({
                "name": name,
                "template": "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
                "cores": 1, "memory_mb": 512, "storage_pool": "local-zfs", "storage_size_gb": 8,
                "network_config": {"name": "eth0", "bridge": "vmbr0", "ip": ip, "gw": "192.0.2.254"},
                "start_at_boot": true,
            })
        };
        let mut worker = guest("worker", "192.0.2.20/24");
        worker.as_object_mut().unwrap().extend(example.as_object().unwrap().clone());
        let mut guests = json!({ "200": worker });
        if worker["features"].as_array().unwrap().iter().all(|feature| feature != "step_ca") {
            let mut authority = guest("authority", "192.0.2.3/24");
            authority["features"] = json!(["base_setup", "step_ca"]);
            guests["103"] = authority;
        }
        let folder = tempfile::tempdir().unwrap();
        let node = json!({
            "domain_name": "example.org",
            "network": {"interfaces": {"name": "vmbr0", "address": "192.0.2.1/24", "gateway": "192.0.2.254"}},
        });
        fs::write(folder.path().join("phoenix_hypervisor_config.json"), node.to_string()).unwrap();
        fs::write(folder.path().join("phoenix_lxc_configs.json"), json!({ "lxc_configs": guests }).to_string())
            .unwrap();
        let loaded = config::load(&config::Dir::Real(folder.path().to_owned()), library.catalogue());
        assert!(loaded.site.is_some(), "{name}: {:#?}", loaded.findings);
        assert!(loaded.findings.is_empty(), "{name}: {:#?}", loaded.findings);
    }
}

#[test]
fn the_index_names_every_script_once() {
    let library = shipped();
    for (kind, folder, name) in scripts(&library) {
        let index = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("README.md")).unwrap();
        let summary = &library.catalogue().get(kind, &name).unwrap().summary;
        let row = format!("| [`{name}`](../docs/{folder}/{name}.md) | {summary} |");
        assert_eq!(index.matches(&row).count(), 1, "{folder}/README.md lacks\n{row}");
    }
}
