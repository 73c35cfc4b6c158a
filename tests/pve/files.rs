//! Files under `/etc/pve`: what is read and rendered again is the same, and edits touch what they name.

use std::collections::BTreeMap;

use proptest::prelude::*;

use phoenix::model::{GuestId, GuestKind};
use phoenix::op::{Entry, FileKind, Op, OpResult, OpValue, Stat};
use phoenix::pve::guest_config::{GuestConfig, Section, decode, encode};
use phoenix::pve::inventory;
use phoenix::pve::property::Properties;
use phoenix::pve::table::table;

const CONTAINER: &str = include_str!("../data/pve/container.conf");

fn edit(change: impl FnOnce(&mut Section)) -> String {
    let mut config = GuestConfig::parse(CONTAINER);
    change(&mut config.current);
    config.render()
}

#[test]
fn a_container_file_is_taken_apart() {
    let config = GuestConfig::parse(CONTAINER);
    assert_eq!(config.render(), CONTAINER);
    assert_eq!(config.current.description(), "managed: phoenix\ngrün\n");
    assert_eq!(config.current.get("memory"), Some("2048"));
    assert_eq!(config.current.tags(), ["docker", "phoenix"]);
    assert_eq!(config.current.raw().count(), 2);
    assert_eq!(config.coming("cores"), Some("4"));
    assert_eq!(config.coming("swap"), None);
    assert_eq!(config.snapshots().map(|(name, _)| name).collect::<Vec<_>>(), ["base", "later"]);
    assert_eq!(config.snapshot("base").and_then(|base| base.get("memory")), Some("1024"));
}

#[test]
fn edits_touch_only_the_current_section() {
    let edited = edit(|current| current.set("memory", "4096"));
    assert_eq!(edited, CONTAINER.replacen("memory: 2048", "memory: 4096", 1));
    let edited = edit(|current| current.set("onboot", "1"));
    assert_eq!(edited, CONTAINER.replacen("ostype: debian", "onboot: 1\nostype: debian", 1));
    let edited = edit(|current| _ = current.remove("parent"));
    assert_eq!(edited, CONTAINER.replacen("parent: later\n", "", 1));
}

#[test]
fn raw_lines_go_before_the_first_section() {
    let edited = edit(|current| {
        let mut raw: Vec<(String, String)> =
            current.raw().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        raw.push(("lxc.apparmor.profile".into(), "unconfined".into()));
        current.set_raw(&raw);
    });
    let last = "lxc.mount.entry = /srv/data data none bind,create=dir 0 0\n";
    assert_eq!(edited, CONTAINER.replacen(last, &format!("{last}lxc.apparmor.profile: unconfined\n"), 1));
    assert_eq!(edit(|current| current.set_raw(&current.clone().raw().map(owned).collect::<Vec<_>>())), CONTAINER);
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn a_file_without_its_last_newline_is_still_a_file() {
    let mut config = GuestConfig::parse("memory: 512");
    assert_eq!(config.render(), "memory: 512");
    config.current.set("swap", "0");
    assert_eq!(config.render(), "memory: 512\nswap: 0\n");
}

/// Anything that may stand in such a file, and things that should not.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}[0-9]{0,2}: [ -~]{0,20}",
        "lxc\\.[a-z.]{1,12}( = |: |=)[ -~]{0,20}",
        "#[ -~äöü]{0,20}",
        "\\[[a-z][a-z0-9_-]{1,6}\\]",
        Just("[pve:pending]".to_owned()),
        Just("[PENDING]".to_owned()),
        Just("[special:cloudinit]".to_owned()),
        "[ \t]{0,3}",
        "[ -~]{0,20}",
    ]
}

proptest! {
    #[test]
    fn files_come_out_byte_by_byte(lines in prop::collection::vec(any_line(), 0..20), end in "\n?") {
        let text = lines.join("\n") + end.as_str();
        prop_assert_eq!(GuestConfig::parse(&text).render(), text);
    }

    #[test]
    fn what_was_set_is_read_and_nothing_else_moves(
        lines in prop::collection::vec(any_line(), 0..20),
        key in "[a-z]{2,8}",
        value in "[a-z0-9=,]{1,10}",
    ) {
        let text = lines.join("\n") + "\n";
        let mut config = GuestConfig::parse(&text);
        let before: Vec<(String, String)> =
            config.current.entries().filter(|(name, _)| *name != key).map(owned).collect();
        config.current.set(&key, &value);
        let again = GuestConfig::parse(&config.render());
        prop_assert_eq!(again.current.get(&key), Some(value.as_str()));
        let after: Vec<(String, String)> =
            again.current.entries().filter(|(name, _)| *name != key).map(owned).collect();
        prop_assert_eq!(before, after);
        let old = GuestConfig::parse(&text);
        prop_assert!(old.snapshots().eq(again.snapshots()));
    }

    #[test]
    fn descriptions_survive(text in "[ -~äöüß€\t]{0,40}") {
        prop_assert_eq!(decode(&encode(&text)), text);
    }

    #[test]
    fn property_strings_survive(
        ip in "192\\.0\\.2\\.[1-9]/24",
        tag in prop::option::of(1u32..4095),
        firewall in prop::option::of(any::<bool>()),
        rate in prop::option::of(1u32..100),
    ) {
        let mut text = format!("bridge=vmbr0,ip={ip},name=eth0");
        if let Some(tag) = tag { text += &format!(",tag={tag}"); }
        if let Some(on) = firewall { text += if on { ",firewall=yes" } else { ",firewall=0" }; }
        if let Some(rate) = rate { text += &format!(",rate={rate}"); }
        let grammar = table().grammar("ct-net").unwrap();
        let parsed = Properties::parse(&text, grammar).unwrap();
        let printed = parsed.print(grammar);
        let again = Properties::parse(&printed, grammar).unwrap();
        let pairs = |properties: &Properties| -> BTreeMap<String, String> { properties.iter().map(owned).collect() };
        prop_assert_eq!(pairs(&parsed), pairs(&again));
        prop_assert_eq!(again.print(grammar), printed);
    }
}

fn id(number: u32) -> GuestId {
    number.try_into().unwrap()
}

/// A node's answers to the reads of an inventory.
fn answers(ops: &[Op]) -> Vec<OpResult> {
    let text = |text: &str| Ok(OpValue::Bytes(Some(text.as_bytes().to_vec())));
    let files = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        Ok(OpValue::Files(files.collect::<BTreeMap<_, _>>()))
    };
    ops.iter()
        .map(|op| match op {
            Op::Read { path, .. } => match path.as_str() {
                "/etc/pve/.members" => text(
                    r#"{"nodename": "pve1", "version": 6, "cluster": {"name": "home", "version": 2, "nodes": 2, "quorate": 0},
                        "nodelist": {"pve1": {"id": 1, "online": 1, "ip": "192.0.2.1"},
                            "pve2": {"id": 2, "online": 0}}}"#,
                ),
                "/etc/pve/ha/resources.cfg" => text("vm: 200\n\tstate started\n"),
                "/etc/pve/ha/manager_status" => Ok(OpValue::Bytes(None)),
                "/etc/pve/.vmlist" => text(
                    r#"{"version": 4, "ids": {"100": {"node": "pve1", "type": "lxc", "version": 1},
                        "200": {"node": "pve1", "type": "qemu", "version": 1},
                        "201": {"node": "pve1", "type": "qemu", "version": 1},
                        "300": {"node": "pve2", "type": "qemu", "version": 1}}}"#,
                ),
                "/etc/pve/storage.cfg" => Ok(OpValue::Bytes(None)),
                "/proc/net/unix" => text(
                    "Num RefCount Protocol Flags Type St Inode Path\n\
                     ffff: 00000002 00000000 00010000 0001 01 21 @/var/lib/lxc/100/command\n\
                     ffff: 00000003 00000000 00000000 0001 03 22 @/var/lib/lxc/100/command\n",
                ),
                "/usr/share/perl5/PVE/pvecfg.pm" => text(
                    "package PVE::pvecfg;\nsub package { return 'pve-manager'; }\nsub version { return '9.2.11'; }\n",
                ),
                "/proc/71/cmdline" => text("/usr/bin/kvm\x00-id\x00200\x00-name\x00db\x00"),
                "/proc/72/cmdline" => text("/usr/bin/vim\x00notes\x00"),
                other => panic!("unexpected read of {other}"),
            },
            Op::ReadAll { path, .. } => match path.as_str() {
                "/etc/pve/nodes/pve1/lxc" => files(&[("100.conf", CONTAINER)]),
                "/etc/pve/nodes/pve1/qemu-server" => files(&[("200.conf", "name: db\n"), ("201.conf", "name: old\n")]),
                "/var/run/qemu-server" => files(&[("200.pid", "71\n"), ("201.pid", "72\n")]),
                "/etc/pve/firewall" => files(&[("100.fw", "[OPTIONS]\n"), ("cluster.fw", "[OPTIONS]\nenable: 1\n")]),
                other => panic!("unexpected read of {other}"),
            },
            Op::List { .. } => Ok(OpValue::Entries(Some(
                ["eth0", "lo", "vmbr0"].map(|name| Entry { name: name.into(), kind: FileKind::Symlink }).into(),
            ))),
            Op::Stat { path } => Ok(OpValue::Stat((path == "/sys/class/net/vmbr0/bridge").then(|| Stat {
                kind: FileKind::Directory,
                size: 0,
                mode: 0o755,
                uid: 0,
                gid: 0,
                owner: "root".into(),
                group: "root".into(),
                target: None,
                device: None,
            }))),
            other => panic!("unexpected {other}"),
        })
        .collect()
}

#[test]
fn a_node_is_read_from_its_files() {
    let ops = inventory::ops("pve1");
    let mut node = inventory::parse(&answers(&ops)).unwrap();
    assert_eq!((node.node.as_str(), node.version), ("pve1", "9.2.11".parse().ok()));
    assert!(node.guests[&id(100)].running && node.guests[&id(100)].is_marked());
    assert_eq!(node.guests[&id(100)].name(), Some("web01"));
    assert_eq!((node.guests[&id(300)].node.as_str(), node.guests[&id(300)].kind), ("pve2", GuestKind::Vm));
    assert!(!node.quorate && node.members == BTreeMap::from([("pve1".to_owned(), true), ("pve2".to_owned(), false)]));
    assert!(node.ha.manages(id(200)).is_some() && node.ha.manages(id(100)).is_none());
    assert!(node.firewalls.contains_key("cluster") && node.storage("local").is_some());

    let details = answers(&inventory::details(&node));
    node.complete(&details);
    assert_eq!(node.bridges, ["vmbr0".to_owned()].into());
    assert!(node.guests[&id(200)].running);
    assert!(!node.guests[&id(201)].running, "its pid file is stale");
}

#[test]
fn a_machine_without_proxmox_is_told_apart() {
    let mut results = answers(&inventory::ops("pve1"));
    results[0] = Ok(OpValue::Bytes(None));
    let error = inventory::parse(&results).unwrap_err().to_string();
    assert!(error.starts_with("/etc/pve/.members is missing: Proxmox VE does not run"), "{error}");
}

/// Lines of a section that nobody of us wrote.
fn any_section() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        "[a-z]{2,6}[0-9]?: [ -~]{0,12}",
        "#[ -~]{0,12}",
        "lxc\\.[a-z.]{1,10}(: | = |:|=)[!-~]{1,8}",
        Just(String::new()),
        "[!-Z^-~]{1,10}",
    ];
    prop::collection::vec(line, 0..8)
}

proptest! {
    /// An edit of raw lines touches the raw lines of the first section, and not one byte of anything else.
    #[test]
    fn editing_raw_lines_keeps_every_other_byte(
        current in any_section(),
        others in prop::collection::vec(any_section(), 0..4),
        (crlf, end, pending) in (any::<bool>(), any::<bool>(), any::<bool>()),
        keep in any::<bool>(),
    ) {
        let newline = if crlf { "\r\n" } else { "\n" };
        let mut text = current.iter().map(|line| format!("{line}{newline}")).collect::<String>();
        for (number, section) in others.iter().enumerate() {
            let name = if number == 0 && pending { "pve:pending".to_owned() } else { format!("snapshot{number}") };
            text.push_str(&format!("{newline}[{name}]{newline}"));
            text.extend(section.iter().map(|line| format!("{line}{newline}")));
        }
        if !end {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        let before = GuestConfig::parse(&text);
        let mut raw: Vec<(String, String)> = before.current.raw().map(owned).collect();
        if !keep {
            raw.clear();
        }
        raw.push(("lxc.cap.drop".to_owned(), "sys_time".to_owned()));
        let mut after = before.clone();
        after.current.set_raw(&raw);
        let written = after.render();
        let again = GuestConfig::parse(&written);
        prop_assert_eq!(again.current.raw().map(owned).collect::<Vec<_>>(), raw);
        let is_raw = |line: &&str| GuestConfig::parse(line).current.raw().next().is_some();
        let first = |text: &str| text.split("\n[").next().unwrap_or_default().to_owned();
        let theirs = |text: &str| first(text).lines().filter(|line| !is_raw(line)).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(theirs(&written), theirs(&text));
        let rest = |text: &str| text.find("\n[").map(|at| text[at..].to_owned());
        prop_assert_eq!(rest(&written), rest(&text));
    }
}
