//! Runs and rehearsals of the program itself on this machine as a node, whose guests are real containers.

use std::fs;

use phoenix::config::Dir;
use serde_json::{Value, json};

use crate::support::container::Container;
use crate::support::proxmox::{Node, Said, digest};
use crate::support::scenario::Scenario;

const GROUND: &str = r#"
const FEATURE = #{ name: "ground", summary: "What the test stands on", targets: ["lxc"] };
fn apply(guest, params) {
    guest.dir("/etc/ground", #{ mode: "0750" });
    guest.file("/etc/ground/first", #{ content: "one\ntwo\nthree\n", mode: "0644" });
    guest.line("/etc/ground/lines", "stays = yes", #{ matching: "^stays" });
    guest.file("/etc/systemd/system/ground.service", #{
        content: "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n\n[Install]\nWantedBy=multi-user.target\n" });
    guest.service("ground.service", #{ watch: ["/etc/systemd/system/ground.service"] });
}
fn health(guest, params) { if !guest.exists("/etc/ground/first") { fail("no ground"); } }
"#;

/// A node with running containers that phoenix made, whose scripts were never run inside.
fn node(containers: &[Container], folder: &std::path::Path) -> Node {
    let guests = containers.iter().map(|container| {
        let declared = json!({
            "name": format!("ct{}", container.id()), "template": "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst",
            "memory_mb": 512, "cores": 1, "storage_pool": "local-zfs", "storage_size_gb": 4,
            "network_config": { "name": "eth0", "bridge": "vmbr0", "ip": "dhcp" },
            "features": ["ground"],
        });
        (container.id().to_string(), declared)
    });
    let lxc = json!({ "lxc_configs": guests.collect::<serde_json::Map<_, _>>() });
    let hypervisor = json!({
        "domain_name": "example.org",
        "network": { "interfaces": { "name": "vmbr0", "address": "192.0.2.1/24", "gateway": "192.0.2.254" } },
    });
    fs::write(folder.join("phoenix_lxc_configs.json"), lxc.to_string()).unwrap();
    fs::write(folder.join("phoenix_hypervisor_config.json"), hypervisor.to_string()).unwrap();
    let scripts = folder.join("scripts");
    fs::create_dir_all(scripts.join("features")).unwrap();
    fs::write(scripts.join("features/ground.rhai"), GROUND).unwrap();
    let mut scenario = Scenario::configured_with(&Dir::Real(folder.to_owned()), &scripts);
    let ids: Vec<u32> = containers.iter().map(|container| container.id().get()).collect();
    scenario.create(&ids).is_fine();
    Node::new(&scenario.sandbox(), folder, &scripts)
}

fn summary(said: &Said) -> Value {
    let last = said.stdout.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{}\n{}", said.stdout, said.stderr));
    value["summary"].clone()
}

/// All differences of a run or plan, with their guests and steps.
fn differences(summary: &Value) -> Vec<(String, Value, Value)> {
    let mut all = Vec::new();
    for (guest, story) in summary["guests"].as_object().unwrap() {
        for step in story["steps"].as_array().unwrap() {
            all.push((guest.clone(), step["step"].clone(), step["changes"].clone()));
        }
    }
    all
}

#[test]
fn runs_and_rehearsals_on_real_containers_are_true_and_cost_one_process_for_each() {
    let containers = [Container::boot(), Container::boot()];
    let folder = tempfile::tempdir().unwrap();
    let node = node(&containers, folder.path());
    let ids: Vec<String> = containers.iter().map(|container| container.id().to_string()).collect();
    let run = |words: &[&str]| {
        let guests = ids.iter().map(String::as_str);
        let words: Vec<&str> = words.iter().copied().chain(guests).collect();
        let said = node.phoenix(&words);
        assert!(said.code == 0, "{words:?}: {}\n{}", said.stdout, said.stderr);
        said
    };

    // What the first run would do, and what it does.
    let untouched = containers.each_ref().map(digest);
    let planned = summary(&run(&["--json", "plan"]));
    assert_eq!(containers.each_ref().map(digest), untouched, "a rehearsal changed something");
    let done = summary(&run(&["--json", "create"]));
    assert_eq!(differences(&planned), differences(&done));
    assert!(done["changing"].as_u64() > Some(0), "{done}");

    // Nothing to do: one way into each container, and no other process.
    let idle = run(&["--json", "create"]);
    let summary_of_idle = summary(&idle);
    let attached: Vec<String> = ids.iter().map(|id| format!("lxc-attach -n {id} ")).collect();
    assert_eq!(idle.started.len(), containers.len(), "{:?}", idle.started);
    assert!(
        attached.iter().all(|way| idle.started.iter().any(|started| started.starts_with(way))),
        "{:?}",
        idle.started
    );
    let asked = &summary_of_idle["asked"];
    assert_eq!((&asked["proxmox"], &asked["programs"], &asked["channels"]), (&json!(0), &json!(0), &json!(2)));
    let told = run(&["-v", "create"]).stdout;
    assert!(told.contains("asked of the node: no Proxmox process, 2 channels into guests, "), "{told}");

    // Drift of every kind: the rehearsal shows it as it really is, changes nothing, and the run mends exactly that.
    containers[0].sh("printf 'one\\nTWO by hand\\nthree\\n' >/etc/ground/first; chmod 664 /etc/ground/first");
    containers[1].sh(
        "systemctl stop ground.service; rm /etc/ground/lines; echo '# by hand' >>/etc/systemd/system/ground.service; \
         mkdir -p /etc/elsewhere && mv /etc/ground/first /etc/elsewhere/ && ln -s /etc/elsewhere/first /etc/ground/first",
    );
    let drifted = containers.each_ref().map(digest);
    let plan = run(&["plan"]);
    assert!(plan.stdout.contains("-TWO by hand") && plan.stdout.contains("+two"), "{}", plan.stdout);
    assert!(plan.stdout.contains("-# by hand"), "{}", plan.stdout);
    assert!(plan.started.iter().all(|started| started.starts_with("lxc-attach ")), "{:?}", plan.started);
    let planned = summary(&run(&["--json", "plan"]));
    assert_eq!(containers.each_ref().map(digest), drifted, "a rehearsal changed something");
    let done = summary(&run(&["--json", "create"]));
    assert_eq!(differences(&planned), differences(&done));
    assert_eq!(summary(&run(&["--json", "create"]))["changing"], 0);
}
