//! Rehearsals: what is not touched yet is read from the real node, and nothing is ever changed there.

use std::sync::Arc;

use phoenix::command::Effect;
use phoenix::op::{Exec, OpErrorKind};
use phoenix::pve::inventory;

use super::*;
use crate::support::looked::OnlyLooked;

/// A node with a running container 201 and a stopped one 202, and a rehearsal on it.
fn rehearsal() -> Sandbox {
    let real = in_memory();
    let net = "name=eth0,bridge=vmbr0,ip=192.0.2.10/24,gw=192.0.2.1";
    all_fine(
        &real,
        &[
            &format!("pct create 201 {TEMPLATE} --rootfs tank:1 --hostname one --net0 {net}"),
            &format!("pct create 202 {TEMPLATE} --rootfs tank:1 --hostname two"),
            "pct start 201",
        ],
    );
    real.sleep(std::time::Duration::from_secs(10)).unwrap();
    let make = |path: &str| Op::MakeDir { path: path.to_owned(), attributes: Attributes::default() };
    real.perform(inside(201), &[make("/srv/app"), write("/srv/app/real.conf", "real\n")]).unwrap();
    let mut found = inventory::parse(&real.perform(Place::Node, &inventory::ops("pve")).unwrap()).unwrap();
    let details = real.perform(Place::Node, &inventory::details(&found)).unwrap();
    found.complete(&details);
    let real = OnlyLooked::at(Arc::new(real));
    let world = World::of_node(&found, &real).unwrap();
    Sandbox::rehearse(world, Some(Arc::new(real)), Options::default())
}

#[test]
fn what_is_not_touched_is_read_and_what_is_touched_is_predicted() {
    let rehearsal = rehearsal();
    assert_eq!(read(&rehearsal, inside(201), "/srv/app/real.conf").as_deref(), Some("real\n"));
    let results = rehearsal
        .perform(
            inside(201),
            &[
                write("/srv/app/new.conf", "predicted\n"),
                Op::Append { path: "/srv/app/real.conf".to_owned(), bytes: b"more\n".to_vec(), sync: false },
                Op::List { path: "/srv/app".to_owned() },
                Op::Packages,
            ],
        )
        .unwrap();
    let entries = match &results[2] {
        Ok(OpValue::Entries(Some(entries))) => entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(entries, ["new.conf", "real.conf"]);
    assert!(matches!(&results[3], Ok(OpValue::Packages(packages)) if packages.contains_key("systemd")));
    assert_eq!(read(&rehearsal, inside(201), "/srv/app/real.conf").as_deref(), Some("real\nmore\n"));
    assert_eq!(read(&rehearsal, inside(201), "/srv/app/new.conf").as_deref(), Some("predicted\n"));
    assert_eq!(read(&rehearsal, inside(201), "/etc/hostname").as_deref(), Some("one\n"));
}

#[test]
fn packages_and_their_files_are_predicted_over_the_real_ones() {
    let rehearsal = rehearsal();
    let install = Op::InstallPackages { names: vec!["nginx".to_owned()], recommends: false };
    let results = rehearsal.perform(inside(201), &[Op::RefreshPackages, install, Op::Packages]).unwrap();
    assert!(matches!(&results[2], Ok(OpValue::Packages(packages)) if packages.contains_key("nginx")), "{results:?}");
    let units = Op::Units { names: vec!["nginx.service".to_owned(), "ssh.service".to_owned()] };
    match rehearsal.perform(inside(201), &[units]).unwrap().remove(0).unwrap() {
        OpValue::Units(states) => assert_eq!(states[0].load, "loaded"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn later_commands_see_the_effects_of_earlier_ones() {
    let rehearsal = rehearsal();
    for line in [
        &format!("pct create 301 {TEMPLATE} --rootfs tank:1 --hostname new") as &str,
        "pct start 301",
        "pct set 201 --memory 1024",
        "pct clone 202 302 --hostname copy",
    ] {
        let output = rehearsal.run(&change(line)).unwrap();
        assert!(output.ok(), "{line}: {}", output.tail(2));
    }
    rehearsal.perform(inside(301), &[write("/root/x", "1")]).unwrap()[0].as_ref().unwrap();
    assert!(read(&rehearsal, Place::Node, "/etc/pve/lxc/201.conf").unwrap().contains("memory: 1024"));
    assert!(typed(&rehearsal, "pct list").1.contains("302        stopped"));
}

#[test]
fn what_nobody_can_know_is_unknown() {
    let rehearsal = rehearsal();
    all_fine(&rehearsal, &["pct start 202"]);
    let result = rehearsal.perform(inside(202), &[Op::Packages]).unwrap().remove(0);
    assert_eq!(result.unwrap_err().kind, OpErrorKind::Unknown);
    let exec = |effect| exec(&["some-program"], effect);
    let result = rehearsal.perform(inside(201), &[exec(Effect::Change)]).unwrap().remove(0);
    assert_eq!(result.unwrap_err().kind, OpErrorKind::Unknown);
    assert!(
        rehearsal.perform(inside(201), &[exec(Effect::Read)]).unwrap().remove(0).is_ok(),
        "a probe asks the real guest"
    );
}

fn exec(words: &[&str], effect: Effect) -> Op {
    Op::Exec(Exec {
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: std::time::Duration::from_secs(10),
        effect,
    })
}

#[test]
fn programs_answer_as_the_real_ones_where_nothing_that_they_look_at_was_predicted() {
    let rehearsal = rehearsal();
    rehearsal.perform(inside(201), &[write("/srv/app/new.conf", "predicted\n")]).unwrap();
    let ask = |words: &[&str], effect| rehearsal.perform(inside(201), &[exec(words, effect)]).unwrap().remove(0);
    for effect in [Effect::Read, Effect::Change] {
        // It was looked for, and this guest does not have it.
        let answer = ask(&["nginx", "-t"], effect);
        assert!(matches!(&answer, Ok(OpValue::Output(output)) if output.code == 127), "{answer:?}");
        // Nobody can tell what it looks at.
        assert_eq!(ask(&["some-program"], effect).unwrap_err().kind, OpErrorKind::Unknown);
    }
    let answer = ask(&["cat", "/srv/app/new.conf", "/srv/app/real.conf"], Effect::Read);
    assert!(matches!(&answer, Ok(OpValue::Output(output)) if output.text() == "predicted\nreal\n"), "{answer:?}");
    // What a package of which nothing is known brings may be any program.
    let install = Op::InstallPackages { names: vec!["nobody-knows".to_owned()], recommends: false };
    rehearsal.perform(inside(201), &[install]).unwrap();
    assert_eq!(ask(&["nginx", "-t"], Effect::Read).unwrap_err().kind, OpErrorKind::Unknown);
}

#[test]
fn links_lead_where_they_really_lead() {
    let rehearsal = rehearsal();
    let link = |path: &str, target: &str| Op::Link { path: path.to_owned(), target: target.to_owned() };
    rehearsal.perform(inside(201), &[link("/srv/now", "/srv/app"), write("/srv/now/real.conf", "through\n")]).unwrap();
    assert_eq!(read(&rehearsal, inside(201), "/srv/app/real.conf").as_deref(), Some("through\n"));
    assert_eq!(read(&rehearsal, inside(201), "/srv/now/real.conf").as_deref(), Some("through\n"));
    let owner = Op::SetAttributes {
        path: "/srv/app".to_owned(),
        attributes: Attributes { mode: Some(0o700), ..Attributes::default() },
    };
    rehearsal.perform(inside(201), &[owner]).unwrap();
    let list = rehearsal.perform(inside(201), &[Op::List { path: "/srv/now".to_owned() }]).unwrap().remove(0);
    assert!(matches!(&list, Ok(OpValue::Entries(Some(entries))) if entries.len() == 1), "{list:?}");
}

#[test]
fn copies_of_what_cannot_be_read_cannot_be_known() {
    let rehearsal = rehearsal();
    let kind_of = |place: Place| rehearsal.perform(place, &[Op::Packages]).unwrap().remove(0).map_err(|e| e.kind);
    rehearsal.perform(inside(201), &[write("/srv/app/new.conf", "predicted\n")]).unwrap();
    all_fine(
        &rehearsal,
        &[
            "pct clone 202 302 --hostname copy",
            "pct start 302",
            "pct snapshot 201 now",
            "pct stop 201",
            "pct rollback 201 now",
            "pct start 201",
        ],
    );
    assert_eq!(kind_of(inside(302)), Err(OpErrorKind::Unknown));
    assert_eq!(kind_of(inside(201)), Err(OpErrorKind::Unknown), "what it was at the snapshot");
    // What is made anew is known again.
    all_fine(
        &rehearsal,
        &[
            "pct stop 302",
            "pct destroy 302",
            &format!("pct create 302 {TEMPLATE} --rootfs tank:1 --hostname new"),
            "pct start 302",
        ],
    );
    assert!(kind_of(inside(302)).is_ok());
}

#[test]
fn a_restart_writes_proxmoxs_files_over_the_real_ones() {
    let rehearsal = rehearsal();
    rehearsal.perform(inside(201), &[write("/srv/app/new.conf", "predicted\n")]).unwrap();
    all_fine(&rehearsal, &["pct set 201 --nameserver 192.0.2.53", "pct stop 201", "pct start 201"]);
    let resolv = read(&rehearsal, inside(201), "/etc/resolv.conf").unwrap();
    assert!(resolv.contains("nameserver 192.0.2.53"), "{resolv}");
    assert_eq!(read(&rehearsal, inside(201), "/srv/app/new.conf").as_deref(), Some("predicted\n"));
    assert_eq!(read(&rehearsal, inside(201), "/etc/hostname").as_deref(), Some("one\n"));
}

#[test]
fn virtual_machines_are_read_through_their_agent() {
    let real = vm::defined(Options::default());
    all_fine(&real, &["qm start 9000"]);
    vm::until_answered(&real, 9000);
    let machine = |guest| Place::Guest(id(guest), GuestKind::Vm);
    real.perform(machine(9000), &[write("/root/real", "real\n")]).unwrap();
    all_fine(&real, &["qm clone 9000 9001 --name copy --full 1", "qm stop 9001", "qm template 9001"]);
    let mut found = inventory::parse(&real.perform(Place::Node, &inventory::ops("pve")).unwrap()).unwrap();
    let details = real.perform(Place::Node, &inventory::details(&found)).unwrap();
    found.complete(&details);
    let real = OnlyLooked::at(Arc::new(real));
    let world = World::of_node(&found, &real).unwrap();
    let volume = &world.volumes()["tank:base-9001-disk-0"];
    assert_eq!((volume.size, volume.format.as_str()), (20 << 30, "raw"));
    let rehearsal = Sandbox::rehearse(world, Some(Arc::new(real)), Options::default());

    assert_eq!(read(&rehearsal, machine(9000), "/root/real").as_deref(), Some("real\n"));
    rehearsal.perform(machine(9000), &[write("/root/real", "predicted\n")]).unwrap();
    assert_eq!(read(&rehearsal, machine(9000), "/root/real").as_deref(), Some("predicted\n"));

    // The address of a clone is declared; what is in it was copied from a template, which nobody can look into.
    all_fine(&rehearsal, &["qm clone 9001 101 --name web", "qm set 101 --ipconfig0 ip=10.77.0.60/24,gw=10.77.0.1"]);
    all_fine(&rehearsal, &["qm start 101"]);
    let answer = rehearsal.perform(machine(101), &[Op::SystemState]).unwrap().remove(0);
    assert_eq!(answer.unwrap_err().kind, OpErrorKind::Unknown);
}
