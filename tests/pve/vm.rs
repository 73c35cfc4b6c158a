//! The desired virtual machine against the present one.

use phoenix::command::Cost;
use phoenix::model::{Address, Boot, Guest, GuestKind, Image, Nic, Origin};
use phoenix::pve::difference::{Changes, Known};
use phoenix::pve::guest_config::{GuestConfig, Section};
use phoenix::pve::inventory::{Inventory, Present};
use phoenix::pve::property::Properties;
use phoenix::pve::storage::{Storage, parse_cfg};
use phoenix::pve::table::grammar_of;
use phoenix::pve::tool::Tool;
use phoenix::pve::vm::{Desired, Snippets, can_link, desired, difference, snapshot_obstacle};
use phoenix::pve::{argv, qm};

use crate::plan::{guest, id};

const IMAGE: &str = "/var/lib/phoenix/cache/noble.img";

fn storages() -> Vec<Storage> {
    parse_cfg(
        "dir: local\n\tpath /var/lib/vz\n\tcontent iso,snippets,images\n\nzfspool: tank\n\tpool tank\n\tcontent images\n",
    )
}

fn machine() -> Guest {
    let nic = Nic {
        gateway: Some("192.0.2.1".parse().unwrap()),
        firewall: true,
        ..Nic::new("eth0", "vmbr0", Address::Static("192.0.2.21/24".parse().unwrap()))
    };
    let mut guest = Guest {
        kind: GuestKind::Vm,
        name: "docker".into(),
        memory_mb: 4096,
        nics: vec![nic],
        nameservers: vec!["192.0.2.53".parse().unwrap()],
        search_domain: Some("example.org".into()),
        boot: Boot { start_at_boot: true, order: Some(4), delay: Some(10), ..Boot::default() },
        origin: Origin::Image(Image { source: "https://example.org/noble.img".into(), sha256: None }),
        ..guest(9000)
    };
    guest.vm.username = Some("ops".into());
    guest.vm.ssh_keys = vec!["ssh-ed25519 AAAAC3Nza ops@example.org".into()];
    guest.options = [("cpu".into(), "host".into())].into();
    guest
}

fn clone() -> Guest {
    Guest { origin: Origin::Clone(id(9000)), ..machine() }
}

fn wish(guest: &Guest) -> Desired {
    desired(guest, Snippets::storage(&storages(), "pve1"))
}

/// What Proxmox makes of options: volumes get names, interfaces addresses, keys are encoded.
fn written(current: &mut Section, options: &[(String, String)]) {
    for (key, value) in options {
        let value = match key.as_str() {
            "delete" => {
                value.split(',').for_each(|key| _ = current.remove(key));
                continue;
            }
            "net0" => {
                let grammar = grammar_of("qm set", key).unwrap();
                let mut properties = Properties::parse(value, grammar).unwrap();
                if properties.get("macaddr").is_none() {
                    properties.set("macaddr", "BC:24:11:00:00:99");
                }
                properties.print(grammar)
            }
            "scsi0" => "tank:vm-9000-disk-0,discard=on,size=3584M".to_owned(),
            "ide2" => "tank:vm-9000-cloudinit,media=cdrom".to_owned(),
            "sshkeys" => "ssh-ed25519%20AAAAC3Nza%20ops%40example.org%0A".to_owned(),
            _ => value.clone(),
        };
        current.set(key, &value);
    }
}

fn created(guest: &Guest) -> Present {
    let mut present = Present {
        kind: GuestKind::Vm,
        node: "pve1".into(),
        config: GuestConfig::parse("meta: creation-qemu=10.1.2,ctime=1790000000\n"),
        running: false,
    };
    let options = wish(guest).create_options(IMAGE, storages().get(1));
    accepted(&qm::create(guest.id, &options));
    written(&mut present.config.current, &options);
    present
}

fn accepted(command: &phoenix::command::Command) {
    let argv: Vec<String> = std::iter::once(command.program.clone()).chain(command.args.clone()).collect();
    argv::parse(&argv).unwrap_or_else(|refusal| panic!("{command}\n{}", refusal.stderr));
}

fn applied(present: &Present, changes: &Changes) -> Present {
    let mut after = present.clone();
    if let Some(options) = changes.set_options() {
        accepted(&Tool::of(GuestKind::Vm, id(9000)).set(&options));
        written(&mut after.config.current, &options);
    }
    for (disk, size) in &changes.resize {
        let text = after.config.current.get(disk).unwrap().replace("size=3584M", &format!("size={size}"));
        after.config.current.set(disk, &text);
    }
    after
}

fn of_source(source: &GuestConfig) -> Known<'_> {
    Known { source: Some(source), ..Known::default() }
}

fn told(changes: &Changes) -> Vec<String> {
    let part = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    changes.differences.iter().map(|d| format!("{} {} -> {}", d.key, part(&d.from), part(&d.to))).collect()
}

#[test]
fn a_machine_is_made_from_an_image_with_one_command() {
    let options = wish(&machine()).create_options(IMAGE, storages().get(1));
    let text: Vec<String> = options.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let expected = [
        "scsi0 tank:0,import-from=/var/lib/phoenix/cache/noble.img,discard=on",
        "ide2 tank:cloudinit",
        "boot order=scsi0",
        "ciupgrade 0",
        "ostype l26",
        "scsihw virtio-scsi-single",
        "serial0 socket",
        "vga serial0",
        "ciuser ops",
        "cores 1",
        "cpu host",
        "memory 4096",
        "name docker",
        "nameserver 192.0.2.53",
        "onboot 1",
        "searchdomain example.org",
        "agent 1",
        "tags phoenix",
        "startup order=4,up=10",
        "net0 virtio,bridge=vmbr0,firewall=1",
        "ipconfig0 gw=192.0.2.1,ip=192.0.2.21/24",
        "sshkeys /var/lib/phoenix/keys/9000.pub",
        "cicustom vendor=local:snippets/phoenix-9000-vendor.yaml",
    ];
    assert_eq!(text, expected);
    let files: Vec<String> = wish(&machine()).files().map(|file| file.path.clone()).collect();
    assert_eq!(files, ["/var/lib/phoenix/keys/9000.pub", "/var/lib/vz/snippets/phoenix-9000-vendor.yaml"]);
}

#[test]
fn in_directories_disks_are_made_so_that_they_know_snapshots() {
    let options = wish(&machine()).create_options(IMAGE, storages().first());
    assert!(options[0].1.ends_with(",format=qcow2"), "{options:?}");
}

#[test]
fn what_was_created_differs_by_its_size_only() {
    let present = created(&machine());
    let changes = difference(&wish(&machine()), &present, &Known::default());
    assert_eq!(told(&changes), ["scsi0 size 3584M -> 8G"]);
    assert!(difference(&wish(&machine()), &applied(&present, &changes), &Known::default()).is_empty());
}

#[test]
fn a_clone_becomes_its_own_with_one_set() {
    let template = created(&machine());
    let mut present = template.clone();
    present.config.current.set("name", "docker");
    let mut wanted = clone();
    wanted.nics[0].address = Address::Static("192.0.2.22/24".parse().unwrap());
    let changes = difference(&wish(&wanted), &present, &of_source(&template.config));
    assert_eq!(
        told(&changes),
        [
            "ipconfig0 ip 192.0.2.21/24 -> 192.0.2.22/24",
            "cicustom vendor=local:snippets/phoenix-9000-vendor.yaml -> -",
            "scsi0 size 3584M -> 8G",
        ]
    );
    assert_eq!(changes.delete, ["cicustom"]);
    assert!(difference(&wish(&wanted), &applied(&present, &changes), &of_source(&template.config)).is_empty());
}

#[test]
fn keys_of_cloud_init_are_compared_by_what_they_say() {
    let mut present = created(&machine());
    let current = &mut present.config.current;
    current.set("scsi0", "tank:vm-9000-disk-0,size=8G");
    current.set("ipconfig0", "ip=192.0.2.21/24,gw=192.0.2.1");
    current.set("sshkeys", "ssh-ed25519%20AAAAC3Nza%20ops%40example.org%0A%0A");
    current.set("searchdomain", "example.org");
    current.set("net0", "virtio=BC:24:11:00:00:99,bridge=vmbr0,firewall=1,queues=2");
    current.set("agent", "enabled=1,fstrim_cloned_disks=1");
    current.set("cpu", "cputype=host");
    assert_eq!(told(&difference(&wish(&machine()), &present, &Known::default())), Vec::<String>::new());
}

#[test]
fn a_machine_that_is_there_keeps_its_hardware() {
    let mut present = created(&machine());
    let current = &mut present.config.current;
    current.set("scsi0", "tank:vm-9000-disk-0,size=8G");
    for (key, value) in
        [("vga", "std"), ("scsihw", "virtio-scsi-pci"), ("ostype", "other"), ("hostpci0", "0000:01:00.0")]
    {
        current.set(key, value);
    }
    current.set("net0", "e1000=BC:24:11:00:00:99,bridge=vmbr0,firewall=1");
    current.remove("ciupgrade");
    assert_eq!(told(&difference(&wish(&machine()), &present, &Known::default())), Vec::<String>::new());
}

#[test]
fn a_running_machine_takes_most_keys_with_a_restart_only() {
    let mut present = created(&machine());
    present.config.current.set("scsi0", "tank:vm-9000-disk-0,size=8G");
    present.running = true;
    let cost = |change: &dyn Fn(&mut Guest)| {
        let mut guest = machine();
        change(&mut guest);
        let changes = difference(&wish(&guest), &present, &Known::default());
        assert_eq!(changes.differences.len(), 1, "{changes:?}");
        changes.cost()
    };
    assert_eq!(cost(&|guest| guest.memory_mb = 8192), Cost::Restart);
    assert_eq!(cost(&|guest| guest.name = "other".into()), Cost::Restart);
    assert_eq!(cost(&|guest| guest.vm.username = Some("admin".into())), Cost::Restart);
    assert_eq!(cost(&|guest| guest.nics[0].mac = Some("02:00:00:00:00:01".parse().unwrap())), Cost::Restart);
    assert_eq!(cost(&|guest| guest.nics[0].vlan = Some(7)), Cost::None);
    assert_eq!(cost(&|guest| guest.boot.order = Some(5)), Cost::None);
    assert_eq!(cost(&|guest| guest.root.size_gb = 16), Cost::None);
    assert_eq!(cost(&|guest| guest.root.size_gb = 4), Cost::Rebuild);
}

#[test]
fn what_a_running_machine_has_not_seen_yet_waits() {
    let mut present = created(&machine());
    present.running = true;
    present.config.current.set("scsi0", "tank:vm-9000-disk-0,size=8G");
    let sections =
        "\n[PENDING]\nmemory: 4096\ndelete: balloon\n\n[special:cloudinit]\nciuser: admin\nadded: nameserver\n";
    let text = present.config.render().replace("memory: 4096\n", "memory: 2048\n") + sections;
    present.config = GuestConfig::parse(&text);
    let changes = difference(&wish(&machine()), &present, &Known::default());
    assert_eq!(told(&changes), ["memory 2048 -> 4096", "ciuser admin -> ops", "nameserver - -> 192.0.2.53"]);
    assert!(changes.is_settled() && changes.differences.iter().all(|one| one.waiting));
}

#[test]
fn new_keys_of_a_user_are_told_by_their_names() {
    let present = created(&machine());
    let mut more = machine();
    more.root.size_gb = 3;
    more.vm.ssh_keys.push("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ".into());
    let changes = difference(&wish(&more), &present, &Known::default());
    assert_eq!(told(&changes)[0], "sshkeys ops@example.org -> ops@example.org, ...ADAQABAAABgQ");
    assert_eq!(changes.set, [("sshkeys".to_owned(), "/var/lib/phoenix/keys/9000.pub".to_owned())]);
}

#[test]
fn what_can_be_done_with_disks_is_a_matter_of_their_storages() {
    let mut inventory = Inventory::default();
    inventory.storages = storages();
    let config = |disks: &str| GuestConfig::parse(disks);
    let drive = "ide2: local:9000/vm-9000-cloudinit.qcow2,media=cdrom\nide3: local:iso/x.iso,media=cdrom\n";
    let zfs = config(&format!("scsi0: tank:base-9000-disk-0,size=8G\n{drive}"));
    assert_eq!(snapshot_obstacle(&zfs, &inventory), None);
    assert!(can_link(&zfs, &inventory, "tank"));
    assert!(!can_link(&zfs, &inventory, "local"));
    let raw = config("scsi0: local:9000/base-9000-disk-0.raw,size=8G\n");
    assert_eq!(snapshot_obstacle(&raw, &inventory).unwrap(), "storage `local` cannot snapshot raw disks");
    assert!(can_link(&raw, &inventory, "local"));
    let device = config("scsi0: /dev/sdb,size=8G\n");
    assert!(snapshot_obstacle(&device, &inventory).unwrap().contains("/dev/sdb of the node"));
    assert!(!can_link(&device, &inventory, "tank"));
}
