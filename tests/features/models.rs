//! Guests that serve models: as the predecessor's files declare them, and as the example does.

use std::fs;
use std::path::{Path, PathBuf};

use phoenix::config::{self, Dir};
use phoenix::script::{Library, Roots};

use crate::support::scenario::Scenario;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A platform of seven and eight guests with GPUs in the predecessor's spelling: fifteen in all.
fn platform() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["etc", "stacks"] {
        let copied = std::process::Command::new("cp")
            .args(["-r", "--"])
            .args([project(&format!("tests/data/config/legacy/{part}")), folder.path().to_owned()])
            .status();
        assert!(copied.unwrap().success());
    }
    let path = folder.path().join("etc/phoenix_lxc_configs.json");
    let read = |path: &Path| serde_json::from_str::<serde_json::Value>(&fs::read_to_string(path).unwrap()).unwrap();
    let mut containers = read(&path);
    let guests = containers["lxc_configs"].as_object_mut().unwrap();
    guests.remove("160");
    let serving = read(&project("tests/data/config/model-servers.json"));
    guests.extend(serving.as_object().unwrap().clone());
    fs::write(path, containers.to_string()).unwrap();
    // Its health check runs curl in a machine, which nobody models.
    let path = folder.path().join("etc/phoenix_vm_configs.json");
    let mut machines = read(&path);
    for machine in machines["vms"].as_array_mut().unwrap() {
        machine.as_object_mut().unwrap().remove("health_checks");
    }
    fs::write(path, machines.to_string()).unwrap();
    folder
}

#[test]
fn two_that_serve_models_bring_the_eight_that_they_need() {
    let folder = platform();
    let mut scenario = Scenario::configured(&Dir::Real(folder.path().join("etc")));
    scenario.create(&[181, 190]).is_fine();
    let made: Vec<String> = scenario.world().guests().map(|guest| guest.id.to_string()).collect();
    assert_eq!(made, ["150", "152", "153", "161", "171", "181", "190", "1500", "1501", "1502"]);
    scenario.create(&[181, 190]).is_idle();
}

#[test]
fn fifteen_guests_come_up_and_stay_as_they_are() {
    let folder = platform();
    let mut scenario = Scenario::configured(&Dir::Real(folder.path().join("etc")));
    let all: Vec<u32> = scenario.site.guests.keys().map(|id| id.get()).collect();
    assert_eq!(all.len(), 15);
    scenario.create(&all).is_fine();
    scenario.create(&all).is_idle();
    let unit = scenario.on_the_node("pct exec 181 -- cat /etc/systemd/system/vllm.service");
    // Settings that nobody knows are passed on: names as options, `true` bare, `false` not at all.
    assert!(unit.contains("--max-model-len 4096 --max-num-seqs 16 --disable-custom-all-reduce\n"), "{unit}");
    let unit = scenario.on_the_node("pct exec 191 -- cat /etc/systemd/system/llamacpp.service");
    assert!(unit.contains("--port 8081 "), "the port that the router publishes: {unit}");
}

#[test]
fn scripts_that_never_were_are_told() {
    let folder = platform();
    let (library, _) = Library::load(&Roots::embedded());
    let loaded = config::load(&Dir::Real(folder.path().join("etc")), library.catalogue());
    let about = |code: &str| -> Vec<String> {
        let findings = loaded.findings.iter().filter(|finding| finding.code == code);
        findings.map(|finding| finding.message.clone()).collect()
    };
    insta::assert_snapshot!(about("meant-app").join("\n"));
    insta::assert_snapshot!(about("passed-on").join("\n"));
}

#[test]
fn the_example_comes_up_and_stays_as_it_is() {
    let mut scenario = Scenario::configured(&Dir::Real(project("examples/ai")));
    let all: Vec<u32> = scenario.site.guests.keys().map(|id| id.get()).collect();
    scenario.create(&all).is_fine();
    scenario.create(&all).is_idle();
    let key = scenario.on_the_node("cat /var/lib/phoenix/secrets/chat_api_key");
    let shown = scenario.on_the_node("pct exec 310 -- cat /etc/vllm/secrets.env");
    assert_eq!(
        shown.trim(),
        format!("VLLM_API_KEY={}", key.trim()),
        "the declared secret is made, and the same everywhere"
    );
    let shown = scenario.on_the_node("pct exec 320 -- cat /etc/tools.env");
    assert_eq!(shown.trim(), format!("OPENAI_API_KEY={}", key.trim()));
}
