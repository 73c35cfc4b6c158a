//! Clones, templates and snapshots: what storages and mounts allow, what a copy keeps, and what it gets anew.

use phoenix::model::BindMount;
use phoenix::plan::Verb;
use phoenix::pve::storage::{Capability, Storage};

use super::*;
use crate::support::scenario::{ARCHIVE, Scenario, container};

/// The value of a key in `pct config`.
fn key(config: &str, name: &str) -> String {
    let start = format!("{name}: ");
    config
        .lines()
        .find_map(|line| line.strip_prefix(&start))
        .unwrap_or_else(|| panic!("no {name}: {config}"))
        .to_owned()
}

fn part(value: &str, name: &str) -> String {
    let start = format!("{name}=");
    value
        .split(',')
        .find_map(|part| part.strip_prefix(&start))
        .unwrap_or_else(|| panic!("no {name}: {value}"))
        .to_owned()
}

#[test]
fn a_clone_gets_an_address_of_its_own_before_its_first_start() {
    let mut scenario = Scenario::platform();
    let ran = scenario.create(ALL);
    ran.is_fine();
    let commands = ran.processes();
    let at = |start: &str| commands.iter().position(|command| command.starts_with(start)).unwrap();
    for number in [103, 101, 102] {
        let clone = commands
            .iter()
            .position(|command| command.starts_with("pct clone") && command.contains(&format!(" {number} ")))
            .unwrap();
        let set = at(&format!("pct set {number} "));
        assert!(clone < set && set < at(&format!("pct start {number}")), "{commands:?}");
        assert!(commands[set].contains("ip=192.0.2."), "{}", commands[set]);
    }
}

#[test]
fn a_clone_gets_ssh_host_keys_of_its_own() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    let keys: BTreeSet<String> = ALL[1..]
        .iter()
        .map(|number| scenario.on_the_node(&format!("pct exec {number} -- cat /etc/ssh/ssh_host_ed25519_key.pub")))
        .collect();
    assert_eq!(keys.len(), 3, "clones keep the keys of their source unless somebody renews them");
    let ids: BTreeSet<String> = ALL[1..]
        .iter()
        .map(|number| scenario.on_the_node(&format!("pct exec {number} -- cat /etc/machine-id")))
        .collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn an_interface_that_is_set_again_keeps_its_hardware_address() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    let before = part(&key(&scenario.on_the_node("pct config 101"), "net0"), "hwaddr");
    // Proxmox gives a new one to every interface that is set without.
    let sandbox = scenario.sandbox();
    fine(&sandbox, "pct set 101 --net0 name=eth0,bridge=vmbr0,ip=192.0.2.103/24");
    assert_ne!(part(&key(&fine(&sandbox, "pct config 101"), "net0"), "hwaddr"), before);

    scenario.guest(101).nics[0].gateway = Some("192.0.2.254".parse().unwrap());
    let ran = scenario.create(&[101]);
    ran.is_fine();
    assert!(ran.processes()[0].contains(&format!("hwaddr={before}")), "{:?}", ran.processes());
    assert_eq!(part(&key(&scenario.on_the_node("pct config 101"), "net0"), "hwaddr"), before);
    scenario.create(ALL).is_idle();
}

/// Types of storages that the emulator has, with what phoenix believes of them.
const TYPES: &[&str] = &["dir", "nfs", "btrfs", "zfspool", "lvmthin", "lvm", "rbd"];

#[test]
fn storages_decide_about_snapshots_clones_and_templates() {
    for kind in TYPES {
        let mut scenario = Scenario::platform();
        let mut world = scenario.fresh();
        let storage =
            serde_json::json!({"id": "probe", "type": kind, "path": "/srv/probe", "content": ["rootdir", "images"]});
        world.storages.push(serde_json::from_value(storage).unwrap());
        scenario.world = Some(world);
        let sandbox = scenario.sandbox();
        fine(&sandbox, &format!("pct create 201 {ARCHIVE} --rootfs probe:1 --unprivileged 1"));
        let believed = Storage {
            id: "probe".to_owned(),
            kind: (*kind).to_owned(),
            content: Vec::new(),
            nodes: Vec::new(),
            disabled: false,
            properties: Default::default(),
        };
        let snapshot = typed(&sandbox, "pct snapshot 201 one").0 == 0;
        assert_eq!(snapshot, believed.can(Capability::ContainerSnapshot), "snapshot on {kind}");
        if snapshot {
            fine(&sandbox, "pct delsnapshot 201 one");
        }
        typed(&sandbox, "pct template 201");
        let template = fine(&sandbox, "pct config 201").contains("template: 1");
        assert_eq!(template, believed.can(Capability::ContainerTemplate), "template on {kind}");
        if template {
            let linked = typed(&sandbox, "pct clone 201 202 --full 0").0 == 0;
            assert_eq!(linked, believed.can(Capability::ContainerLinkedClone), "linked clone on {kind}");
            assert!(linked || typed(&sandbox, "pct clone 201 203 --full 1").0 == 0, "full clone on {kind}");
        }
    }
}

#[test]
fn a_storage_without_snapshots_costs_the_snapshots_and_not_the_run() {
    let mut scenario = Scenario::platform();
    let mut world = scenario.fresh();
    let storage = serde_json::json!({"id": "files", "type": "dir", "path": "/srv/files", "content": ["rootdir"]});
    world.storages.push(serde_json::from_value(storage).unwrap());
    scenario.world = Some(world);
    for number in ALL {
        scenario.guest(*number).root.storage = "files".to_owned();
    }
    let ran = scenario.create(ALL);
    ran.is_fine();
    assert!(ran.processes().iter().all(|command| !command.contains(" snapshot ")), "{:?}", ran.processes());
    let clones: Vec<String> = ran.processes().into_iter().filter(|command| command.starts_with("pct clone")).collect();
    assert!(clones.iter().all(|clone| clone.ends_with("--full 1") && !clone.contains("snapname")), "{clones:?}");
    scenario.create(ALL).is_idle();
}

#[test]
fn a_bind_mount_forbids_snapshots_so_a_raw_line_shows_the_directory() {
    let mut scenario = Scenario::platform();
    let mount: BindMount = serde_json::from_value(serde_json::json!({
        "host_path": "/srv/shared", "container_path": "/shared", "file": false, "read_only": false,
    }))
    .unwrap_or_else(|error| panic!("{error}"));
    scenario.guest(102).mounts.push(mount);
    scenario.create(ALL).is_fine();
    let config = scenario.on_the_node("pct config 102");
    assert!(config.contains("lxc.mount.entry: /srv/shared shared"), "{config}");
    assert!(!config.contains("mp0"), "{config}");
    let sandbox = scenario.sandbox();
    fine(&sandbox, "pct snapshot 102 another");
    fine(&sandbox, "pct set 102 --mp0 /srv/shared,mp=/again");
    assert_eq!(refused(&sandbox, "pct snapshot 102 more"), "snapshot feature is not available");
    fine(&sandbox, "pct stop 102");
    assert_eq!(refused(&sandbox, "pct clone 102 555"), "unable to clone mountpoint 'mp0' (type bind)");
    scenario.create(ALL).is_idle();
}

#[test]
fn a_template_lives_as_long_as_its_linked_clones() {
    let mut scenario = Scenario::platform_of_a_template();
    scenario.site.guests.retain(|id, _| id.get() == 900);
    scenario.create(&[900]).is_fine();
    scenario.on_the_node("pct clone 900 555");
    let before = scenario.on_the_node("pct config 900");
    let ran = scenario.run(Verb::Delete, &[900]);
    assert_eq!(ran.cause(900), "its disks are in use: 555 is linked to it");
    assert_eq!(ran.hint(900), "delete 555 first");
    assert_eq!(ran.processes(), [] as [&str; 0]);
    assert_eq!(scenario.on_the_node("pct config 900"), before);
    // The tool itself begins, and leaves its lock when it finds out.
    let message = "base volume 'tank:basevol-900-disk-0' is still in use by linked clones";
    assert_eq!(refused(&scenario.sandbox(), "pct destroy 900"), message);
    scenario.on_the_node("pct destroy 555");
    scenario.run(Verb::Delete, &[900]).is_fine();
}

#[test]
fn a_clone_of_a_template_is_linked_where_the_storage_can_and_copied_where_it_cannot() {
    let mut scenario = Scenario::platform_of_a_template();
    scenario.create(ALL).is_fine();
    assert!(
        key(&scenario.on_the_node("pct config 101"), "rootfs").starts_with("tank:basevol-900-disk-0/subvol-101-disk-0")
    );

    let mut other = container(104, "elsewhere");
    other.origin = phoenix::model::Origin::Clone(crate::support::scenario::id(900));
    other.root.storage = "files".to_owned();
    scenario.site.guests.insert(other.id, other);
    let mut world = scenario.world();
    let storage = serde_json::json!({"id": "files", "type": "dir", "path": "/srv/files", "content": ["rootdir"]});
    world.storages.push(serde_json::from_value(storage).unwrap());
    scenario.world = Some(world);
    let ran = scenario.create(&[104]);
    ran.is_fine();
    assert!(ran.processes()[0].ends_with("--storage files --full 1"), "{:?}", ran.processes());
}
