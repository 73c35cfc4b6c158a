//! A real node taken home: it goes on there, and no secret is in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use phoenix::model::{GuestId, GuestKind};
use phoenix::op::{Attributes, Content, Op, Place};
use phoenix::sandbox::{NodeFile, Sandbox, World};

use crate::support::looked::OnlyLooked;
use crate::support::scenario::{Scenario, id};

const ALL: &[u32] = &[900, 103, 101, 102];
const CANARY: &str = "canary-4711-secret";

fn write(path: &str, mode: u32) -> Op {
    Op::Write {
        path: path.to_owned(),
        content: Content::Bytes(format!("{CANARY}\n").into_bytes().into()),
        attributes: Attributes { mode: Some(mode), ..Attributes::default() },
        guard: None,
    }
}

fn dir(path: &str, mode: u32) -> Op {
    let attributes = Attributes { mode: Some(mode), ..Attributes::default() };
    Op::MakeDir { path: path.to_owned(), attributes }
}

/// Text of the file that the node of a scenario is taken home to, and its world.
fn taken(scenario: &Scenario, inside: &[u32]) -> (String, World) {
    let node = Arc::new(scenario.sandbox());
    let looked = OnlyLooked::at(node.clone());
    let inventory = phoenix::engine::observe(&looked).unwrap().inventory;
    let inside: BTreeSet<GuestId> = inside.iter().map(|number| id(*number)).collect();
    let world = World::taken_home(&inventory, &looked, &inside, &phoenix::sandbox::programs::NoPrograms).unwrap();
    assert_eq!((looked.tried(), node.changes()), (Vec::new(), 0));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.world");
    Sandbox::keep(&file, world).unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let world = phoenix::sandbox::parse_world(&text).unwrap();
    (text, world)
}

#[test]
fn a_node_goes_on_where_it_was_taken_to() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.on_the_node("pct snapshot 103 mine");
    scenario.on_the_node("pct set 101 --delete searchdomain");
    let (_, copy) = taken(&scenario, &[101, 102, 103]);
    let original = scenario.world();
    for guest in original.guests() {
        let there = copy.guest(guest.id).unwrap();
        assert_eq!(there.config.render(guest.kind), guest.config.render(guest.kind));
        assert_eq!(there.running.is_some(), guest.running.is_some());
    }
    assert_eq!(copy.volumes().len(), original.volumes().len());
    let ids = |world: &World| world.storages.iter().map(|storage| storage.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&copy), ids(&original));

    scenario.world = Some(copy);
    scenario.create(ALL).is_idle();
    scenario.guest(101).memory_mb = 768;
    assert_eq!(scenario.create(&[101]).processes(), ["pct set 101 --memory 768"]);
    scenario.on_the_node("pct rollback 103 mine");
}

#[test]
fn secrets_stay_where_they_are() {
    let mut scenario = Scenario::machines();
    scenario.create(&[9000, 1001]).is_fine();
    let machine = Place::Guest(id(1001), GuestKind::Vm);
    scenario.perform(
        machine,
        &[
            write("/etc/private.env", 0o600),
            write("/etc/of-a-group", 0o640),
            dir("/etc/closed", 0o700),
            write("/etc/closed/readable", 0o644),
            write("/root/notes", 0o644),
        ],
    );
    scenario.perform(
        Place::Node,
        &[
            dir("/var/lib/phoenix/secrets", 0o700),
            write("/var/lib/phoenix/secrets/provisioner", 0o600),
            dir("/etc/pve/priv", 0o700),
            write("/etc/pve/priv/token.cfg", 0o600),
            write("/etc/shadow", 0o640),
        ],
    );
    let config = "/etc/pve/qemu-server/1001.conf";
    let mut text = scenario.world().guest(id(1001)).unwrap().config.render(GuestKind::Vm);
    text = format!("cipassword: {CANARY}\n{text}\n[old]\ncipassword: {CANARY}\nmemory: 512\nsnaptime: 1767225600\n");
    scenario.write_on_the_node(config, &text);
    assert!(scenario.world().guest(id(1001)).unwrap().config.render(GuestKind::Vm).contains(CANARY));

    let (text, copy) = taken(&scenario, &[1001]);
    let at = text.find(CANARY).map(|at| &text[at.saturating_sub(200)..at + 20]);
    assert_eq!(at, None);
    let config = copy.guest(id(1001)).unwrap().config.render(GuestKind::Vm);
    assert_eq!(config.matches("cipassword: **********").count(), 2, "{config}");
    assert!(text.contains("/etc/private.env") || text.contains("private.env"), "the file is there, but empty");
}

#[test]
fn what_decides_on_the_node_comes_along() {
    let mut scenario = Scenario::platform();
    scenario.create(&[900]).is_fine();
    scenario.write_on_the_node("/etc/pve/firewall/cluster.fw", "[OPTIONS]\nenable: 1\n");
    scenario.write_on_the_node("/etc/exports", "/srv 192.0.2.0/24(rw)\n");
    let interfaces = "auto vmbr0\niface vmbr0 inet static\n\taddress 198.51.100.1/24\n\tgateway 198.51.100.254\n\niface vmbr0 inet6 static\n\taddress 2001:db8::1/64\n";
    scenario.write_on_the_node("/etc/network/interfaces", interfaces);
    let (_, copy) = taken(&scenario, &[]);
    let text = |path: &str| match copy.files.get(path) {
        Some(NodeFile::Text(text)) => text.clone(),
        other => panic!("{path}: {other:?}"),
    };
    assert!(text("/etc/pve/firewall/cluster.fw").contains("enable: 1"));
    assert!(text("/etc/exports").starts_with("/srv"));
    assert!(text("/var/lib/phoenix/guests/900.json").contains("base"));
    assert_eq!(copy.bridges[0].address.as_deref(), Some("198.51.100.1/24"));
}

fn phoenix(folder: &Path, words: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_phoenix"))
        .env("HOME", folder)
        .current_dir(folder)
        .args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/etc")])
        .args(words)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn an_emulated_node_is_copied_and_no_file_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| phoenix(folder.path(), words);
    assert_eq!(run(&["--host", "sandbox:a.world", "create", "900"]).0, 0);
    let (code, text) = run(&["--host", "sandbox:a.world", "sandbox", "seed", "b.world"]);
    assert_eq!((code, text.starts_with("node pve with 1 guest in b.world\n")), (0, true), "{text}");
    let idle = run(&["--host", "sandbox:b.world", "create", "900"]);
    assert!(idle.0 == 0 && idle.1.contains("1 unchanged"), "{}", idle.1);
    let (code, text) = run(&["--host", "sandbox:a.world", "sandbox", "seed", "b.world"]);
    assert_eq!(code, 2);
    assert!(text.contains("b.world is there already") && text.contains("`--yes` overwrites it"), "{text}");
    assert_eq!(run(&["--host", "sandbox:a.world", "--yes", "sandbox", "seed", "b.world"]).0, 0);
    // This machine is no node.
    let (code, text) = run(&["sandbox", "seed", "c.world"]);
    assert_eq!(code, 4, "{text}");
    assert!(!folder.path().join("c.world").exists());
}
