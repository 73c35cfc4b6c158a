//! Containers with the node's GPUs: devices and driver are the node's, and a node without them says so before anything
//! is made. Names in capitals are pitfalls of the predecessor.

use std::fs;

use phoenix::config::Dir;
use phoenix::event::{Failure, Outcome};
use phoenix::sandbox::NodeFile;

use crate::support::scenario::{Ran, Scenario, id};

const VERSION: &str = "/proc/driver/nvidia/version";

/// A container that sees these GPUs.
pub fn scenario(gpus: &str) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    let node = serde_json::json!({
        "domain_name": "example.org",
        "network": {"interfaces": {"name": "vmbr0", "address": "192.0.2.1/24", "gateway": "192.0.2.254"}},
        "nvidia_driver": {"version": "580.95.05"},
    });
    let lxc = serde_json::json!({
        "nvidia_driver_version": "580.95.05",
        "lxc_configs": {"200": {
            "name": "worker",
            "template": "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
            "cores": 1, "memory_mb": 512, "storage_pool": "local-zfs", "storage_size_gb": 8,
            "network_config": {"name": "eth0", "bridge": "vmbr0", "ip": "192.0.2.20/24", "gw": "192.0.2.254"},
            "start_at_boot": true,
            "gpu_assignment": gpus,
            "features": ["base_setup", "nvidia"],
        }},
    });
    fs::write(folder.path().join("phoenix_hypervisor_config.json"), node.to_string()).unwrap();
    fs::write(folder.path().join("phoenix_lxc_configs.json"), lxc.to_string()).unwrap();
    Scenario::configured(&Dir::Real(folder.path().to_owned()))
}

fn failure(ran: &Ran) -> &Failure {
    match ran.outcome(200) {
        Outcome::Failed { cause } => cause,
        other => panic!("{other:?}"),
    }
}

/// What happens on a node that differs from what is declared.
fn on(gpus: &str, node: impl FnOnce(&mut phoenix::sandbox::World)) -> (String, String) {
    let mut scenario = scenario(gpus);
    let mut world = scenario.fresh();
    node(&mut world);
    scenario.world = Some(world);
    let ran = scenario.create(&[200]);
    assert!(!scenario.world().guests().any(|guest| guest.id == id(200)), "the guest was made all the same");
    let failure = failure(&ran);
    (failure.message.clone(), failure.hint.clone().unwrap_or_default())
}

#[test]
fn a_container_gets_exactly_its_gpus() {
    let mut scenario = scenario("1");
    scenario.create(&[200]).is_fine();
    let config = scenario.on_the_node("pct config 200");
    let devices: Vec<&str> = config.lines().filter(|line| line.starts_with("dev")).collect();
    insta::assert_snapshot!(devices.join("\n"), @r"
    dev0: /dev/nvidia-caps/nvidia-cap1,mode=0666
    dev1: /dev/nvidia-caps/nvidia-cap2,mode=0666
    dev2: /dev/nvidia-modeset,mode=0666
    dev3: /dev/nvidia-uvm,mode=0666
    dev4: /dev/nvidia-uvm-tools,mode=0666
    dev5: /dev/nvidia1,mode=0666
    dev6: /dev/nvidiactl,mode=0666
    ");
    scenario.create(&[200]).is_idle();
}

#[test]
fn p13_numbers_of_devices_are_read_never_assumed() {
    let leftover = |world: &mut phoenix::sandbox::World| {
        let NodeFile::Text(devices) = &world.files["/proc/devices"] else { panic!("no text") };
        let loaded_again = devices.replace("507 nvidia-uvm", "511 nvidia-uvm");
        world.files.insert("/proc/devices".to_owned(), NodeFile::Text(loaded_again));
    };
    let (message, hint) = on("0", leftover);
    assert_eq!(message, "/dev/nvidia-uvm is a leftover: its major number is 507, the driver's is 511");
    assert!(hint.contains("nvidia-modprobe"), "{hint}");
}

#[test]
fn a_node_without_a_driver() {
    let (message, hint) = on("0", |world| _ = world.files.remove(VERSION));
    assert_eq!(message, "the node runs no NVIDIA driver");
    assert!(hint.contains("install it there"), "{hint}");
}

#[test]
fn a_node_with_another_driver() {
    let other = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.01  Release Build\n";
    let (message, hint) = on("0", |world| _ = world.files.insert(VERSION.into(), NodeFile::Text(other.into())));
    assert_eq!(message, "the node runs version 570.01 of NVIDIA's driver, but 580.95.05 is declared");
    assert!(hint.contains("must agree"), "{hint}");
}

#[test]
fn a_node_without_that_gpu() {
    let (message, hint) = on("0,1", |world| world.devices.retain(|path| path != "/dev/nvidia1"));
    assert_eq!((message.as_str(), hint.as_str()), ("the node has no GPU 1", "it has /dev/nvidia0"));
    let (message, hint) = on("0", |world| world.devices.retain(|path| path != "/dev/nvidia-uvm"));
    assert_eq!(message, "the node has no /dev/nvidia-uvm");
    assert!(hint.contains("gone after a boot"), "{hint}");
}

#[test]
fn a_container_that_shares_none() {
    let mut scenario = scenario("none");
    let ran = scenario.create(&[200]);
    assert_eq!(failure(&ran).message, "worker sees no GPU");
}
