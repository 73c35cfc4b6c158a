//! Files of the node that are rendered from the world, and taken back into it.

use phoenix::op::{Guard, OpErrorKind};
use phoenix::pve::inventory;

use super::*;

#[test]
fn the_inventory_of_an_emulated_node_is_complete() {
    let sandbox = in_memory();
    all_fine(
        &sandbox,
        &[
            &format!("pct create 201 {TEMPLATE} --rootfs tank:1 --hostname one --tags phoenix"),
            &format!("pct create 202 {TEMPLATE} --rootfs btr:1 --hostname two"),
            "pct start 202",
            "pct set 202 --nameserver 192.0.2.1",
        ],
    );
    let name = inventory::node_name(&sandbox.perform(Place::Node, &[inventory::node_name_op()]).unwrap()[0]).unwrap();
    assert_eq!(name, "pve");
    let mut found = inventory::parse(&sandbox.perform(Place::Node, &inventory::ops(&name)).unwrap()).unwrap();
    let details = sandbox.perform(Place::Node, &inventory::details(&found)).unwrap();
    found.complete(&details);
    assert_eq!(found.version, "9.2.11".parse().ok());
    assert_eq!(found.bridges.iter().collect::<Vec<_>>(), ["vmbr0"]);
    assert_eq!(found.storages.iter().map(|storage| storage.id.as_str()).collect::<Vec<_>>(), ["local", "btr", "tank"]);
    let running: Vec<bool> = found.guests.values().map(|guest| guest.running).collect();
    assert_eq!(running, [false, true]);
    assert!(found.guests[&id(201)].is_marked());
    assert_eq!(found.guests[&id(202)].config.coming("nameserver"), Some("192.0.2.1"));
    assert_eq!(sandbox.changes(), 0);
}

#[test]
fn a_written_configuration_counts_and_keeps_its_bytes() {
    let sandbox = in_memory();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs tank:1")]);
    let path = "/etc/pve/lxc/201.conf";
    let old = read(&sandbox, Place::Node, path).unwrap();
    assert_eq!(read(&sandbox, Place::Node, "/etc/pve/nodes/pve/lxc/201.conf").as_ref(), Some(&old));
    let new = format!("{old}lxc.mount.entry: /srv/conformance/share mnt/share none bind,create=dir\n");
    sandbox.perform(Place::Node, &[write(path, &new)]).unwrap()[0].as_ref().unwrap();
    assert_eq!(read(&sandbox, Place::Node, path).as_ref(), Some(&new));
    all_fine(&sandbox, &["pct start 201"]);
    assert_eq!(read(&sandbox, inside(201), "/mnt/share/note.txt").as_deref(), Some("shared\n"));
    sandbox.perform(inside(201), &[write("/mnt/share/back.txt", "from inside")]).unwrap();
    assert_eq!(read(&sandbox, Place::Node, "/srv/conformance/share/back.txt").as_deref(), Some("from inside"));
    all_fine(&sandbox, &["pct stop 201", "pct destroy 201"]);
    assert_eq!(read(&sandbox, Place::Node, "/srv/conformance/share/back.txt").as_deref(), Some("from inside"));
}

#[test]
fn a_configuration_that_changed_meanwhile_is_not_replaced() {
    let sandbox = in_memory();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs tank:1")]);
    let path = "/etc/pve/lxc/201.conf".to_owned();
    let guard = Guard { lock: "/run/lock/lxc/pve-config-201.lock".to_owned(), expect: "0".repeat(64) };
    let content = Content::Bytes(b"memory: 1\n".as_slice().into());
    let op = Op::Write { path, content, attributes: Attributes::default(), guard: Some(guard) };
    let error = sandbox.perform(Place::Node, &[op]).unwrap().remove(0).unwrap_err();
    assert_eq!(error.kind, OpErrorKind::Conflict);
    assert!(typed(&sandbox, "pct config 201").1.contains("memory: 512"));
}

#[test]
fn a_firewall_goes_where_its_guest_goes() {
    let sandbox = in_memory();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs btr:1")]);
    let rules = "[OPTIONS]\n\nenable: 1\n\n";
    let make = Op::MakeDir { path: "/etc/pve/firewall".to_owned(), attributes: Attributes::default() };
    sandbox.perform(Place::Node, &[make, write("/etc/pve/firewall/201.fw", rules)]).unwrap();
    all_fine(&sandbox, &["pct clone 201 202", "pct destroy 201"]);
    assert_eq!(read(&sandbox, Place::Node, "/etc/pve/firewall/201.fw"), None);
    assert_eq!(read(&sandbox, Place::Node, "/etc/pve/firewall/202.fw").as_deref(), Some(rules));
}
