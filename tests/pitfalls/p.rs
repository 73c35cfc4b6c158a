//! Loss of data and damage to the node.

use std::path::Path;

use phoenix::engine::Consent;
use phoenix::model::{BindMount, IdMap, Volume};

use super::{ALL, platform};
use crate::support::inside::Inside;
use crate::support::scenario::{Scenario, container};

fn volume(name: &str, path: &str, size_gb: u32) -> Volume {
    Volume {
        name: name.to_owned(),
        storage: "tank".to_owned(),
        size_gb,
        mount_point: path.to_owned(),
        ..Volume::default()
    }
}

fn mount(host_path: &str, container_path: &str) -> BindMount {
    BindMount {
        host_path: host_path.to_owned(),
        container_path: container_path.to_owned(),
        owner_uid: Some(33),
        owner_gid: Some(33),
        ..BindMount::default()
    }
}

fn store() -> Scenario {
    Scenario::of([container(105, "store")])
}

/// Lines of a guest's configuration that begin with `key`.
fn lines(scenario: &mut Scenario, key: &str) -> Vec<String> {
    let config = scenario.on_the_node("pct config 105");
    config.lines().filter(|line| line.starts_with(key)).map(str::to_owned).collect()
}

/// The guest's configuration file.
fn file(scenario: &Scenario) -> String {
    Inside::node(scenario).text("/etc/pve/lxc/105.conf").unwrap()
}

#[test]
fn p3_volumes_are_known_by_their_mount_path() {
    let mut scenario = store();
    scenario.guest(105).volumes = vec![volume("data", "/srv/data", 2), volume("logs", "/var/log/app", 1)];
    scenario.create(&[105]).is_fine();
    let before = lines(&mut scenario, "mp");
    assert!(before[0].contains("mp=/srv/data") && before[1].contains("mp=/var/log/app"), "{before:?}");
    scenario.create(&[105]).is_idle();

    // In another order, one larger, one new: nothing is allocated twice, nothing mounted over another.
    scenario.guest(105).volumes =
        vec![volume("more", "/srv/more", 1), volume("logs", "/var/log/app", 1), volume("data", "/srv/data", 3)];
    let ran = scenario.create(&[105]);
    ran.is_fine();
    assert!(ran.processes().iter().any(|command| command.starts_with("pct resize 105 mp")), "{:?}", ran.processes());
    let after = lines(&mut scenario, "mp");
    assert_eq!(after.len(), 3, "{after:?}");
    assert_eq!(lines(&mut scenario, "unused"), [] as [&str; 0]);
    scenario.create(&[105]).is_idle();
}

#[test]
fn p4_a_volume_takes_the_next_free_mount_point() {
    let mut scenario = store();
    scenario.create(&[105]).is_fine();
    scenario.on_the_node("pct set 105 --mp0 tank:1,mp=/srv/theirs");
    scenario.guest(105).volumes = vec![volume("data", "/srv/data", 2)];
    scenario.create(&[105]).is_fine();
    let mounts = lines(&mut scenario, "mp");
    assert!(mounts[0].starts_with("mp0:") && mounts[0].contains("mp=/srv/theirs"), "{mounts:?}");
    assert!(mounts[1].starts_with("mp1:") && mounts[1].contains("mp=/srv/data"), "{mounts:?}");
    assert_eq!(lines(&mut scenario, "unused"), [] as [&str; 0]);
}

#[test]
fn p5_bind_mounts_are_not_repeated() {
    let mut scenario = store();
    scenario.guest(105).mounts = vec![mount("/srv/shared", "/mnt/shared"), mount("/srv/other", "/mnt/other")];
    scenario.create(&[105]).is_fine();
    let shown = |scenario: &mut Scenario| file(scenario).matches("/srv/").count();
    assert_eq!(shown(&mut scenario), 2);
    scenario.create(&[105]).is_idle();
    // A run that changes something else does not repeat them either.
    scenario.guest(105).memory_mb = 768;
    scenario.create(&[105]).is_fine();
    assert_eq!(shown(&mut scenario), 2);
}

#[test]
fn p6_no_guest_is_stopped_when_nothing_needs_it() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(101).memory_mb = 1024;
    let ran = scenario.create(&[101]);
    ran.is_fine();
    assert_eq!(ran.processes(), ["pct set 101 --memory 1024"]);
}

#[test]
fn p7_sites_of_others_survive_the_gateway() {
    let mut scenario = platform();
    let gateway = Inside::container(&scenario, 101);
    gateway.write("/etc/nginx/sites-available/theirs", "server { listen 8081; }\n");
    gateway.write("/etc/nginx/sites-enabled/theirs", "server { listen 8081; }\n");
    scenario.world = Some(gateway.world());
    scenario.guest(101).params.insert("gateway".to_owned(), [("read_timeout".to_owned(), 60.into())].into());
    scenario.create(&[101]).is_fine();
    let gateway = Inside::container(&scenario, 101);
    assert!(gateway.text("/etc/nginx/sites-available/gateway").unwrap().contains("proxy_read_timeout 60s;"));
    for site in ["/etc/nginx/sites-available/theirs", "/etc/nginx/sites-enabled/theirs"] {
        assert!(gateway.text(site).is_some(), "{site} is gone");
    }
}

#[test]
fn p9_no_script_and_no_code_knows_where_storage_is_mounted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The emulated node has Proxmox's own defaults.
    let emulated = root.join("src/sandbox");
    let mut folders = ["src", "features", "apps", "etc"].map(|folder| root.join(folder)).to_vec();
    let mut named = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path == emulated {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            if lines.into_iter().any(|line| line.contains("/mnt/pve")) {
                named.push(path);
            }
        }
    }
    assert!(named.is_empty(), "the node's storages say where they are: {named:?}");
}

#[test]
fn p10_raw_lines_go_to_the_guest_and_not_to_its_last_snapshot() {
    let mut scenario = store();
    scenario.create(&[105]).is_fine();
    scenario.on_the_node("pct snapshot 105 before");
    scenario.guest(105).lxc.raw = vec![("lxc.prlimit.nofile".to_owned(), "4096".to_owned())];
    scenario.consent = Consent::Given;
    scenario.create(&[105]).is_fine();
    let file = file(&scenario);
    let (now, snapshot) = file.split_once("[before]").unwrap();
    assert!(now.contains("lxc.prlimit.nofile: 4096"), "{file}");
    assert!(!snapshot.contains("lxc.prlimit"), "{file}");
    scenario.create(&[105]).is_idle();
}

#[test]
fn p11_values_with_blanks_and_stars_arrive_whole() {
    let mut scenario = store();
    scenario.guest(105).lxc.raw = vec![("lxc.cgroup2.devices.allow".to_owned(), "c 195:* rwm".to_owned())];
    scenario.guest(105).mounts = vec![mount("/srv/my share", "/mnt/my share")];
    scenario.create(&[105]).is_fine();
    let file = file(&scenario);
    assert!(file.lines().any(|line| line == "lxc.cgroup2.devices.allow: c 195:* rwm"), "{file}");
    assert_eq!(scenario.on_the_node("ls /srv").trim(), "my share");
    scenario.create(&[105]).is_idle();
}

#[test]
fn p12_a_declared_map_of_ids_is_the_one_that_counts() {
    let mut scenario = store();
    let hole = |kind: &str| IdMap { kind: kind.to_owned(), host_id: 1000, container_id: 33, size: 1 };
    scenario.guest(105).lxc.id_maps = vec![hole("u"), hole("g")];
    scenario.create(&[105]).is_fine();
    let file = file(&scenario);
    let maps: Vec<&str> = file.lines().filter_map(|line| line.strip_prefix("lxc.idmap: ")).collect();
    let whole = ["0 100000 33", "33 1000 1", "34 100034 65502"];
    let expected: Vec<String> = ["u", "g"].iter().flat_map(|kind| whole.map(|map| format!("{kind} {map}"))).collect();
    assert_eq!(maps, expected);
    scenario.create(&[105]).is_idle();
}

#[test]
fn p14_a_path_with_a_dot_in_it_is_a_directory() {
    let mut scenario = store();
    scenario.guest(105).mounts = vec![mount("/srv/my.app", "/mnt/my.app")];
    scenario.create(&[105]).is_fine();
    // What is listed is what is in it: of a file it would be its own name.
    assert_eq!(scenario.on_the_node("ls /srv/my.app"), "");
    scenario.create(&[105]).is_idle();
}
