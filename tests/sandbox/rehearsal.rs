//! Rehearsals: what is not touched yet is read from the real node, and nothing is ever changed there.

use std::sync::Arc;

use phoenix::command::Effect;
use phoenix::host::{Host, HostError, HostHandle, RunLock};
use phoenix::op::{Exec, OpErrorKind, OpResult};
use phoenix::pve::inventory;
use phoenix::request::{Request, Response};

use super::*;

/// A real node that must not be changed.
struct OnlyLooked(HostHandle);

impl Host for OnlyLooked {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        assert_eq!(command.effect, Effect::Read, "{command}");
        self.0.run(command)
    }
    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        for op in ops {
            assert_eq!(op.effect(), Effect::Read, "{op}");
        }
        self.0.perform(place, ops)
    }
    fn request(&self, request: &Request) -> Result<Response, HostError> {
        assert_eq!(request.effect, Effect::Read, "{request}");
        self.0.request(request)
    }
    fn sleep(&self, duration: std::time::Duration) -> Result<(), HostError> {
        self.0.sleep(duration)
    }
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }
    fn actor(&self, name: &str) -> HostHandle {
        Arc::new(OnlyLooked(self.0.actor(name)))
    }
    fn park(&self) {
        self.0.park();
    }
    fn wake(&self) {
        self.0.wake();
    }
    fn close_channel(&self, place: Place) {
        self.0.close_channel(place);
    }
    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        self.0.lock(owner)
    }
}

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
    let real = OnlyLooked(Arc::new(real));
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
    let exec = |effect| {
        Op::Exec(Exec {
            argv: vec!["some-program".to_owned()],
            env: Default::default(),
            cwd: None,
            stdin: None,
            user: None,
            timeout: std::time::Duration::from_secs(10),
            effect,
        })
    };
    let result = rehearsal.perform(inside(201), &[exec(Effect::Change)]).unwrap().remove(0);
    assert_eq!(result.unwrap_err().kind, OpErrorKind::Unknown);
    assert!(
        rehearsal.perform(inside(201), &[exec(Effect::Read)]).unwrap().remove(0).is_ok(),
        "a probe asks the real guest"
    );
}

#[test]
fn a_program_that_only_the_real_guest_has_is_unknown_once_something_changed() {
    let rehearsal = rehearsal();
    rehearsal.perform(inside(201), &[write("/srv/app/new.conf", "predicted\n")]).unwrap();
    for effect in [Effect::Read, Effect::Change] {
        // The sandbox knows nginx, but has not looked whether this guest has it.
        let check = Op::Exec(Exec {
            argv: vec!["nginx".to_owned(), "-t".to_owned()],
            env: Default::default(),
            cwd: None,
            stdin: None,
            user: None,
            timeout: std::time::Duration::from_secs(10),
            effect,
        });
        let result = rehearsal.perform(inside(201), &[check]).unwrap().remove(0);
        assert_eq!(result.unwrap_err().kind, OpErrorKind::Unknown);
    }
}

#[test]
fn virtual_machines_are_read_through_their_agent_and_their_clones_are_predicted() {
    let real = vm::defined(Options::default());
    all_fine(&real, &["qm start 9000"]);
    vm::until_answered(&real, 9000);
    let machine = |guest| Place::Guest(id(guest), GuestKind::Vm);
    real.perform(machine(9000), &[write("/root/real", "real\n")]).unwrap();
    all_fine(&real, &["qm clone 9000 9001 --name copy --full 1", "qm stop 9001", "qm template 9001"]);
    let mut found = inventory::parse(&real.perform(Place::Node, &inventory::ops("pve")).unwrap()).unwrap();
    let details = real.perform(Place::Node, &inventory::details(&found)).unwrap();
    found.complete(&details);
    let real = OnlyLooked(Arc::new(real));
    let world = World::of_node(&found, &real).unwrap();
    let volume = &world.volumes()["tank:base-9001-disk-0"];
    assert_eq!((volume.size, volume.format.as_str()), (20 << 30, "raw"));
    let rehearsal = Sandbox::rehearse(world, Some(Arc::new(real)), Options::default());

    assert_eq!(read(&rehearsal, machine(9000), "/root/real").as_deref(), Some("real\n"));
    rehearsal.perform(machine(9000), &[write("/root/real", "predicted\n")]).unwrap();
    assert_eq!(read(&rehearsal, machine(9000), "/root/real").as_deref(), Some("predicted\n"));

    // The vendor's data are read from the real node.
    all_fine(&rehearsal, &["qm clone 9001 101 --name web", "qm set 101 --ipconfig0 ip=10.77.0.60/24,gw=10.77.0.1"]);
    all_fine(&rehearsal, &["qm start 101"]);
    vm::until_answered(&rehearsal, 101);
    assert_eq!(read(&rehearsal, machine(101), "/etc/hostname").as_deref(), Some("web\n"));
}
