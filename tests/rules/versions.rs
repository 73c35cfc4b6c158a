//! Versions of Proxmox VE.

use std::collections::BTreeMap;

use phoenix::config::Dir;
use phoenix::engine::{Consent, EngineError};
use phoenix::event::Cost;
use phoenix::model::Device;
use phoenix::plan::Verb;
use phoenix::sandbox::World;

use super::*;
use crate::support::scenario::{ARCHIVE, Scenario};

/// The same world on the last release before 9.
fn on_8_4(mut world: World) -> World {
    let versions = [("pve-manager", "8.4.14"), ("pve-container", "5.3.0"), ("qemu-server", "8.4.2")];
    world.version = versions.map(|(package, version)| (package.to_owned(), version.to_owned())).into();
    world
}

#[test]
fn an_older_node_refuses_options_that_it_does_not_know() {
    let scenario = Scenario::platform();
    let old = phoenix::sandbox::Sandbox::in_memory(on_8_4(scenario.fresh()), Default::default());
    let new = scenario.sandbox();
    for sandbox in [&old, &new] {
        fine(sandbox, &format!("pct create 201 {ARCHIVE} --rootfs tank:1 --unprivileged 1"));
    }
    let first = |sandbox: &Sandbox, line: &str| {
        let (code, _, stderr) = typed(sandbox, line);
        (code == 0, stderr.lines().take(3).map(str::to_owned).collect::<Vec<_>>().join("\n"))
    };
    let (ok, words) = first(&old, "pct set 201 --entrypoint /sbin/init");
    assert!(!ok && words.starts_with("Unknown option: entrypoint\n400 unable to parse option\n"), "{words}");
    assert!(first(&new, "pct set 201 --entrypoint /sbin/init").0);
    let (ok, words) = first(&old, "pct set 201 --net0 name=eth0,bridge=vmbr0,host-managed=1");
    let undefined = "property is not defined in schema and the schema does not allow additional properties";
    assert!(!ok && words.ends_with(&format!("net0.host-managed: {undefined}")), "{words}");
    assert!(first(&new, "pct set 201 --net0 name=eth0,bridge=vmbr0,host-managed=1").0);
    assert!(first(&old, "pvesm set tank --maxfiles 3").0 || !first(&new, "pvesm set tank --maxfiles 3").0);
    let (_, words) = first(&new, "pvesm add dir more --path /srv/more --maxfiles 3");
    assert!(words.starts_with("Unknown option: maxfiles"), "{words}");
}

#[test]
fn what_the_node_does_not_have_is_refused_before_anything_runs() {
    let mut scenario = Scenario::machines();
    scenario.guest(1002).options = BTreeMap::from([("allow-ksm".to_owned(), "0".to_owned())]);
    scenario.create(MACHINES).is_fine();

    scenario.world = Some(on_8_4(scenario.fresh()));
    let refused = scenario.refused(Verb::Create, MACHINES);
    assert_eq!(refused.to_string(), "guest 1002: `allow-ksm` needs Proxmox VE 9, the node has 8.4");
    let EngineError::Unsupported(unsupported) = refused else { panic!("refused for another reason") };
    assert_eq!((unsupported.len(), unsupported[0].guest.get()), (1, 1002));
    // Whoever does not need it is not held up.
    scenario.create(&[9000, 1001]).is_fine();
}

#[test]
fn new_devices_wait_for_a_restart_before_9() {
    for old in [false, true] {
        let mut scenario = Scenario::platform();
        let mut world = scenario.fresh();
        world.devices.push("/dev/ttyUSB0".to_owned());
        scenario.world = Some(if old { on_8_4(world) } else { world });
        let sandbox = scenario.sandbox();
        fine(&sandbox, &format!("pct create 201 {ARCHIVE} --rootfs tank:1 --unprivileged 1 --start 1"));
        fine(&sandbox, "pct set 201 --dev0 /dev/ttyUSB0");
        assert_eq!(fine(&sandbox, "pct pending 201").contains("new dev0: /dev/ttyUSB0"), old);
        fine(&sandbox, "pct reboot 201");
        assert!(fine(&sandbox, "pct config 201 --current 1").contains("dev0: /dev/ttyUSB0"));
    }
}

#[test]
fn a_new_device_costs_a_restart_before_9_only() {
    for old in [false, true] {
        let mut scenario = Scenario::platform();
        let mut world = scenario.fresh();
        world.devices.push("/dev/ttyUSB0".to_owned());
        scenario.world = Some(if old { on_8_4(world) } else { world });
        scenario.create(ALL).is_fine();
        let device = Device { path: "/dev/ttyUSB0".to_owned(), ..Device::default() };
        scenario.guest(101).lxc.devices.push(device);
        let ran = scenario.create(&[101]);
        assert_eq!(ran.processes().len(), usize::from(!old), "{:?}", ran.processes());
        assert_eq!(ran.pending(101).iter().any(|one| one.cost == Cost::Restart), old);
        scenario.consent = Consent::Given;
        scenario.create(&[101]).is_fine();
        assert!(scenario.on_the_node("pct config 101 --current 1").contains("dev0: /dev/ttyUSB0"));
        scenario.create(ALL).is_idle();
    }
}

#[test]
fn the_whole_platform_is_made_on_8_4() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    scenario.world = Some(on_8_4(scenario.fresh()));
    let all = &[900, 103, 101, 102, 9000, 1001, 1002];
    scenario.create(all).is_fine();
    scenario.create(all).is_idle();
}
