//! Every builder makes a command line that Proxmox accepts.

use std::collections::BTreeSet;
use std::time::Duration;

use phoenix::command::{Command, Effect, Mode, Resource};
use phoenix::model::{GuestId, GuestKind};
use phoenix::pve::tool::{Clone, Options, Tool};
use phoenix::pve::{argv, pct, qm};

fn id(number: u32) -> GuestId {
    number.try_into().unwrap()
}

fn options(pairs: &[(&str, &str)]) -> Options {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn words(command: &Command) -> Vec<String> {
    std::iter::once(command.program.clone()).chain(command.args.iter().cloned()).collect()
}

fn claims(command: &Command) -> BTreeSet<String> {
    command
        .claims
        .iter()
        .map(|claim| {
            let mode = match claim.mode {
                Mode::Exclusive => "exclusive".to_owned(),
                Mode::Shared => "shared".to_owned(),
                Mode::Counted(limit) => format!("at most {limit}"),
            };
            match &claim.resource {
                Resource::Guest(id) => format!("{id} {mode}"),
                Resource::Storage(storage) => format!("{storage} {mode}"),
            }
        })
        .collect()
}

fn both() -> [Tool; 2] {
    [GuestKind::Lxc, GuestKind::Vm].map(|kind| Tool::of(kind, id(101)))
}

fn all() -> Vec<Command> {
    let minute = Duration::from_secs(60);
    let linked = Clone { storage: Some("tank".into()), ..Clone::default() };
    let full = Clone {
        name: Some("web".into()),
        snapname: Some("final-form".into()),
        full: true,
        storage: Some("tank".into()),
        running: false,
    };
    let archive = "local:vztmpl/debian.tar.zst";
    let image = "tank:0,import-from=local:import/debian.qcow2,discard=on";
    let mut commands = vec![
        pct::create(id(100), archive, &options(&[("rootfs", "tank:8"), ("mp0", "tank:2,mp=/data")])),
        pct::exec(id(101), ["ls", "-la"]),
        qm::create(id(100), &options(&[("scsi0", image), ("ide2", "tank:cloudinit"), ("agent", "enabled=1")])),
        qm::guest_exec(id(101), minute, ["ls", "-la"]),
    ];
    for tool in both() {
        let disk = if tool.name() == "pct" { "rootfs" } else { "scsi0" };
        commands.extend([
            tool.clone(id(102), &linked),
            tool.clone(id(102), &full),
            tool.set(&options(&[("memory", "2048"), ("tags", "phoenix"), ("delete", "nameserver")])),
            tool.start(),
            tool.stop(),
            tool.shutdown(minute),
            tool.reboot(minute),
            tool.snapshot("pre-configured"),
            tool.delsnapshot("pre-configured"),
            tool.delsnapshot_remains("pre-configured"),
            tool.rollback("pre-configured"),
            tool.template(),
            tool.resize(disk, "16G"),
            tool.destroy(),
            tool.destroy_remains(),
            tool.unlock(),
        ]);
    }
    commands
}

#[test]
fn proxmox_accepts_every_command_line() {
    for command in all() {
        let call = argv::parse(&words(&command));
        assert!(call.is_ok(), "{command}: {}", call.unwrap_err().stderr);
        assert_eq!(command.effect, Effect::Change, "{command}");
    }
}

#[test]
fn options_are_written_in_one_form() {
    for command in all() {
        assert!(!command.args.iter().any(|word| word.starts_with("--") && word.contains('=')), "{command}");
    }
    let clone = Clone { name: Some("web".into()), ..Clone::default() };
    let [container, machine] = both();
    assert_eq!(container.clone(id(102), &clone).to_string(), "pct clone 101 102 --hostname web --full 0");
    assert_eq!(machine.clone(id(102), &clone).to_string(), "qm clone 101 102 --name web --full 0");
    assert_eq!(container.resize("rootfs", "16G").to_string(), "pct resize 101 rootfs 16G");
    assert_eq!(machine.resize("scsi0", "16G").to_string(), "qm disk resize 101 scsi0 16G");
    assert_eq!(pct::exec(id(101), ["ls", "-la"]).to_string(), "pct exec 101 -- ls -la");
}

#[test]
fn a_container_being_cloned_is_locked_and_a_stopped_machine_is_shared() {
    let linked = Clone { storage: Some("tank".into()), ..Clone::default() };
    let [container, machine] = both();
    let of = |tool: Tool, running| claims(&tool.clone(id(102), &Clone { running, ..linked.clone() }));
    let expected = |source: &str| [source, "102 exclusive", "tank at most 4"].map(str::to_owned).into();
    assert_eq!(of(container, false), expected("101 exclusive"));
    assert_eq!(of(machine, false), expected("101 shared"));
    assert_eq!(of(machine, true), expected("101 exclusive"));
    // Proxmox refuses `--storage` for linked clones.
    assert!(!machine.clone(id(102), &linked).args.contains(&"--storage".to_owned()));
}

#[test]
fn new_volumes_claim_their_storages_and_directories_do_not() {
    let options = options(&[("rootfs", "tank:8"), ("mp0", "/srv/www,mp=/var/www"), ("mp1", "bulk:20,mp=/data")]);
    let command = pct::create(id(100), "local:vztmpl/debian.tar.zst", &options);
    let expected = ["100 exclusive", "bulk at most 4", "tank at most 4"];
    assert_eq!(claims(&command), expected.map(str::to_owned).into());
}

#[test]
fn disks_and_cloud_init_drives_claim_their_storages() {
    let options = options(&[
        ("scsi0", "tank:0,import-from=local:import/debian.qcow2"),
        ("ide2", "bulk:cloudinit"),
        ("sata0", "none,media=cdrom"),
        ("cicustom", "vendor=local:snippets/vendor.yaml"),
    ]);
    let expected = ["100 exclusive", "bulk at most 4", "tank at most 4"];
    assert_eq!(claims(&qm::create(id(100), &options)), expected.map(str::to_owned).into());
}
