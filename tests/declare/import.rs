//! Guests that somebody else made: their declaration says what they are, so that a plan changes nothing but the mark.

use std::collections::BTreeSet;
use std::fs;

use phoenix::config::{self, Dir};
use phoenix::declare::{Declared, declare};
use phoenix::engine::sight;
use phoenix::event::Outcome;
use phoenix::finding::Severity;
use phoenix::model::{Catalogue, GuestKind};
use phoenix::sandbox::{NodeFile, Options, Sandbox, World};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::scenario::{Scenario, id};

const TEMPLATE: &str = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
const HYPERVISOR: &str = "{\"domain_name\": \"example.org\"}\n";

fn node() -> World {
    let mut world = World::installed();
    world.storages[0].content.extend(["snippets", "rootdir", "images"].map(str::to_owned));
    world.directories = vec!["/srv/shared".to_owned(), "/srv/more".to_owned()];
    world.devices = vec!["/dev/net/tun".to_owned(), "/dev/fuse".to_owned()];
    world.files.insert("/var/lib/vz/snippets/hook.sh".to_owned(), NodeFile::Text("#!/bin/sh\n".to_owned()));
    world.bridges.push(phoenix::sandbox::Bridge { name: "vmbr1".to_owned(), address: None, mtu: 1500 });
    world
}

/// The world after these commands.
fn after(world: World, commands: &[Vec<String>]) -> Result<World, String> {
    let sandbox = Sandbox::in_memory(world, Options::default());
    for words in commands {
        let output = sandbox.exec(words, "").unwrap();
        if !output.ok() {
            return Err(format!("{}: {}", words.join(" "), output.tail(5)));
        }
    }
    Ok(sandbox.world())
}

fn words(line: &str) -> Vec<String> {
    shlex::split(line).unwrap()
}

/// The declaration of a guest of this world.
fn declared(world: &World, number: u32) -> Result<Declared, String> {
    let sandbox = Sandbox::in_memory(world.clone(), Options::default());
    let sight = sight::look(&sandbox, &world.node).unwrap();
    declare(&sight, id(number), &sight.inventory.guests[&id(number)], HYPERVISOR)
}

/// A configuration with these declarations.
fn written(declared: &[&Declared]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(config::HYPERVISOR), HYPERVISOR).unwrap();
    for (kind, name, empty) in
        [(GuestKind::Lxc, config::LXC, "{\"lxc_configs\": {}}"), (GuestKind::Vm, config::VM, "{\"vms\": []}")]
    {
        let of_kind = declared.iter().filter(|one| one.kind == kind);
        let text = of_kind.fold(empty.to_owned(), |text, one| {
            config::insert(&text, kind, one.id, |indent| one.text(indent)).unwrap()
        });
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// Imports the guest, and proves that taking it over changes nothing but the mark.
fn holds(world: World, number: u32) -> Result<Declared, String> {
    let declared = declared(&world, number)?;
    let dir = written(&[&declared]);
    let at = Dir::Real(dir.path().to_owned());
    let loaded = config::load(&at, &Catalogue::default());
    let wrong = loaded.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<String> = wrong.map(ToString::to_string).collect();
    let said =
        fs::read_to_string(dir.path().join(if declared.kind == GuestKind::Lxc { config::LXC } else { config::VM }))
            .unwrap();
    if !errors.is_empty() {
        return Err(format!("{errors:?}\n{said}"));
    }
    let before = world.guest(id(number)).unwrap().clone();
    let mut scenario = Scenario::configured(&at);
    scenario.world = Some(world);
    scenario.adopt = BTreeSet::from([id(number)]);
    let planned: Vec<String> =
        scenario.rehearse(&[number]).differences().into_iter().map(|(_, one)| one.what).collect();
    if planned != ["guest", "tags"] {
        return Err(format!("planned: {planned:?}\n{said}"));
    }
    let ran = scenario.create(&[number]);
    ran.is_fine();
    let tool = if declared.kind == GuestKind::Lxc { "pct" } else { "qm" };
    let processes = ran.processes();
    if processes.len() != 1 || !processes[0].starts_with(&format!("{tool} set {number} --tags ")) {
        return Err(format!("{processes:?}\n{said}"));
    }
    // Nothing else is another one.
    let told = |guest: &phoenix::sandbox::Guest| {
        let mut current = guest.config.current.clone();
        current.keys.remove("tags");
        (current, guest.running.clone())
    };
    let (was, now) = (told(&before), told(scenario.world().guest(id(number)).unwrap()));
    if was != now {
        return Err(format!("{was:?}\n{now:?}"));
    }
    scenario.adopt.clear();
    scenario.create(&[number]).is_idle();
    Ok(declared)
}

fn container(number: u32, options: &str) -> World {
    let create = format!("pct create {number} {TEMPLATE} --hostname web{number} {options}");
    after(node(), &[words(&create), words(&format!("pct start {number}"))]).unwrap()
}

#[test]
fn a_container_with_everything_that_fields_can_say() {
    let options = "--rootfs local-zfs:4 --cores 2 --memory 777 --swap 128 --cpulimit 1.5 --cpuunits 200 --onboot 1 \
                   --startup order=3,up=20,down=60 --tags web;prod --description 'The web: 100 % ours' --protection 1 \
                   --net0 name=eth0,bridge=vmbr0,ip=192.0.2.30/24,gw=192.0.2.1,firewall=1,tag=7,mtu=1400,rate=12.5 \
                   --net1 name=lan0,bridge=vmbr1,ip=dhcp --nameserver '9.9.9.9 192.0.2.1' --searchdomain lan.example.org \
                   --mp0 local-zfs:2,mp=/data,backup=1,mountoptions=noatime --mp1 /srv/shared,mp=/shared,ro=1 \
                   --features nesting=1,keyctl=1 --unprivileged 1 --timezone host --cmode shell --console 0 --tty 4 \
                   --dev0 /dev/net/tun,mode=0666,uid=5 --ostype debian";
    let declared = holds(container(105, options), 105).unwrap();
    insta::assert_snapshot!("import-container", declared.text(0));
    let left: Vec<&str> = declared.left.iter().map(|left| left.key.as_str()).collect();
    assert_eq!(left, [] as [&str; 0]);
}

#[test]
fn raw_lines_and_a_firewall() {
    let world =
        container(105, "--rootfs local-zfs:4 --net0 name=eth0,bridge=vmbr0,ip=dhcp,firewall=1 --unprivileged 1");
    let sandbox = Sandbox::in_memory(world, Options::default());
    use phoenix::host::Host;
    use phoenix::op::{Attributes, Content, Op, Place};
    let read = |path: &str| match sandbox
        .perform(Place::Node, &[Op::Read { path: path.into(), limit: 1 << 20 }])
        .unwrap()
        .remove(0)
    {
        Ok(phoenix::op::OpValue::Bytes(Some(bytes))) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    let conf = "/etc/pve/nodes/pve/lxc/105.conf";
    let text = read(conf)
        + "lxc.cgroup2.devices.allow: c 10:200 rwm\nlxc.environment: A=1 2\nlxc.mount.entry: /srv/more srv/more none bind,create=dir 0 0\n";
    let rules = "[OPTIONS]\n\nenable: 1\npolicy_in: REJECT\nipfilter: 1\n\n[RULES]\n\nIN ACCEPT -source 192.0.2.0/24 -p tcp -dport 22 # SSH\n|OUT DROP -p udp\nIN SSH(ACCEPT)\n";
    let write = |path: &str, text: String| Op::Write {
        path: path.into(),
        content: Content::Bytes(text.into_bytes().into()),
        attributes: Attributes::default(),
        guard: None,
    };
    let ops = [write(conf, text), write("/etc/pve/firewall/105.fw", rules.to_owned())];
    assert!(sandbox.perform(Place::Node, &ops).unwrap().iter().all(Result::is_ok));
    let declared = holds(sandbox.world(), 105).unwrap();
    insta::assert_snapshot!("import-raw-and-firewall", declared.text(0));
}

#[test]
fn what_no_field_says_is_named_and_stays() {
    let declared = holds(container(105, "--rootfs local-zfs:0.5 --unprivileged 0"), 105).unwrap();
    let left: Vec<(&str, &str)> = declared.left.iter().map(|left| (left.key.as_str(), left.why.as_str())).collect();
    assert_eq!(left, [] as [(&str, &str); 0], "the storage is said, its size is not whole");
    assert!(declared.entry.get("storage_size_gb").is_none() && declared.entry.get("cores").is_none());
}

#[test]
fn a_virtual_machine_with_everything_that_fields_can_say() {
    let create = "qm create 120 --name web --memory 2048 --cores 2 --sockets 2 --cpu host --scsi0 local-zfs:8,discard=on,ssd=1 \
                  --scsi1 local-zfs:3 --ide2 local-zfs:cloudinit --scsihw virtio-scsi-single --boot order=scsi0 --ostype l26 \
                  --net0 virtio,bridge=vmbr0,firewall=1,tag=9 --net1 e1000,bridge=vmbr1 --ipconfig0 ip=192.0.2.40/24,gw=192.0.2.1 \
                  --nameserver 9.9.9.9 --searchdomain lan.example.org --ciuser ops --agent enabled=1,fstrim_cloned_disks=1 \
                  --serial0 socket --vga serial0 --balloon 512 --onboot 1 --startup order=2 --tags db \
                  --description 'A database' --machine q35 --bios ovmf --efidisk0 local-zfs:1 --tablet 0 --numa 1";
    let world = after(node(), &[words(create), words("qm start 120")]).unwrap();
    let declared = holds(world, 120).unwrap();
    let text = declared.text(0).replace(|c: char| c.is_ascii_hexdigit() && c.is_ascii_uppercase(), "X");
    assert!(text.contains("\"disk_size_gb\": 8") && text.contains("\"model\": \"e1000\""), "{text}");
    assert!(text.contains("scsi1=local-zfs:vm-120-disk-"), "{text}");
    let left: Vec<&str> = declared.left.iter().map(|left| left.key.as_str()).collect();
    assert!(left.iter().all(|key| ["ide2", "vmgenid", "smbios1", "meta"].contains(key)), "{left:?}");
}

#[test]
fn a_machine_without_an_agent_and_with_another_boot_disk() {
    let create = "qm create 121 --name odd --virtio0 local-zfs:4 --net0 rtl8139,bridge=vmbr1 --memory 256";
    let world = after(node(), &[words(create), words("qm start 121")]).unwrap();
    let declared = holds(world, 121).unwrap();
    assert!(declared.entry.get("storage_pool").is_none(), "{}", declared.text(0));
}

#[test]
fn templates_stay_templates() {
    let create =
        format!("pct create 900 {TEMPLATE} --hostname base --rootfs local-zfs:4 --net0 name=eth0,bridge=vmbr0,ip=dhcp");
    let world = after(node(), &[words(&create), words("pct template 900")]).unwrap();
    let declared = holds(world, 900).unwrap();
    assert_eq!(declared.entry["is_template"], true);
    let create = "qm create 9000 --name vm-base --scsi0 local-zfs:4 --net0 virtio,bridge=vmbr0";
    let world = after(node(), &[words(create), words("qm template 9000")]).unwrap();
    assert_eq!(holds(world, 9000).unwrap().entry["is_template"], true);
}

#[test]
fn without_adoption_nobody_is_touched() {
    let world = after(
        container(105, "--rootfs local-zfs:4"),
        &[words(&format!("pct create 106 {TEMPLATE} --rootfs local-zfs:1 --hostname other"))],
    )
    .unwrap();
    let (one, other) = (declared(&world, 105).unwrap(), declared(&world, 106).unwrap());
    let dir = written(&[&one, &other]);
    let mut scenario = Scenario::configured(&Dir::Real(dir.path().to_owned()));
    scenario.world = Some(world.clone());
    let ran = scenario.create(&[105, 106]);
    for number in [105, 106] {
        assert!(ran.cause(number).contains("phoenix did not make it"), "{}", ran.cause(number));
    }
    assert_eq!(ran.processes(), [] as [String; 0]);
    scenario.adopt = BTreeSet::from([id(105)]);
    let ran = scenario.create(&[105, 106]);
    assert_eq!(*ran.outcome(105), Outcome::Changed);
    assert!(matches!(ran.outcome(106), Outcome::Failed { .. }), "only the named one is taken over");
    assert_eq!(scenario.world().guest(id(106)), world.guest(id(106)));
}

#[test]
fn an_imported_guest_that_is_gone_is_not_made_anew() {
    let world = container(105, "--rootfs local-zfs:4");
    let one = declared(&world, 105).unwrap();
    let dir = written(&[&one]);
    let mut scenario = Scenario::configured(&Dir::Real(dir.path().to_owned()));
    scenario.world = Some(node());
    let cause = scenario.create(&[105]).cause(105);
    assert!(cause.contains("imported and is not on the node any more"), "{cause}");
}

/// One option, or none.
fn maybe(option: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Option<String>> {
    proptest::option::of(option).boxed()
}

fn of(options: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(options).prop_map(str::to_owned)
}

/// Options that both kinds have.
fn both() -> Vec<BoxedStrategy<Option<String>>> {
    vec![
        maybe((16u32..5000).prop_map(|memory| format!("--memory {memory}"))),
        maybe((1u32..4).prop_map(|cores| format!("--cores {cores}"))),
        maybe((1u32..30).prop_map(|limit| format!("--cpulimit {}", f64::from(limit) / 10.0))),
        maybe((8u32..500).prop_map(|units| format!("--cpuunits {units}"))),
        maybe((0u32..2).prop_map(|on| format!("--onboot {on}"))),
        maybe((0u32..2).prop_map(|on| format!("--protection {on}"))),
        maybe(of(&["--startup order=5", "--startup up=3,order=2", "--startup down=9", "--startup 7"])),
        maybe(of(&["--tags b;a", "--tags one", "--tags x,y;z"])),
        maybe(of(&["--nameserver 9.9.9.9", "--nameserver '9.9.9.9 192.0.2.1'"])),
        maybe(of(&["--searchdomain example.org", "--searchdomain 'a.example.org b.example.org'"])),
        maybe(
            "[ -~]{1,40}".prop_map(|text| format!("--description {}", shlex::try_quote(&format!("x{text}")).unwrap())),
        ),
    ]
}

fn containers() -> Vec<BoxedStrategy<Option<String>>> {
    let mut all = both();
    all.extend([
        of(&[
            "--rootfs local-zfs:1",
            "--rootfs local-zfs:0.3",
            "--rootfs local-zfs:2,mountoptions=noatime",
            "--rootfs local:1",
        ])
        .prop_map(Some)
        .boxed(),
        maybe(of(&["--unprivileged 0", "--unprivileged 1"])),
        maybe((0u32..900).prop_map(|swap| format!("--swap {swap}"))),
        maybe(of(&[
            "--net0 name=eth0,bridge=vmbr0,ip=192.0.2.50/24,gw=192.0.2.1",
            "--net0 name=eth0,bridge=vmbr0,ip=dhcp,ip6=auto,firewall=1",
            "--net0 name=lan,bridge=vmbr1,mtu=1300,tag=4,rate=3",
            "--net0 name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:BB:01,ip6=fd00::5/64,gw6=fd00::1,link_down=1",
            "--net3 name=eth3,bridge=vmbr0,ip=dhcp",
        ])),
        maybe(of(&[
            "--net1 name=eth1,bridge=vmbr1,ip=manual",
            "--net1 name=eth1,bridge=vmbr1,ip=10.1.1.1/8,firewall=1",
        ])),
        maybe(of(&[
            "--mp0 local-zfs:1,mp=/data",
            "--mp0 local-zfs:0.7,mp=/odd,acl=1",
            "--mp0 local-zfs:2,mp=/d,backup=1,replicate=0,mountoptions=noatime;nodev",
        ])),
        maybe(of(&[
            "--mp4 /srv/shared,mp=/shared",
            "--mp4 /srv/shared,mp=/deep/er,ro=1",
            "--mp4 /srv/more,mp=/m,backup=1,shared=1",
        ])),
        maybe(of(&[
            "--features nesting=1",
            "--features keyctl=1,nesting=1",
            "--features fuse=1",
            "--features mount=nfs,nesting=0",
        ])),
        maybe(of(&["--dev0 /dev/fuse", "--dev0 /dev/net/tun,mode=0600,gid=7", "--dev2 /dev/fuse,deny-write=1"])),
        maybe(of(&["--timezone host", "--timezone Europe/Berlin"])),
        maybe(of(&["--cmode shell", "--cmode console"])),
        maybe(of(&["--tty 0", "--tty 6"])),
        maybe(of(&["--console 0", "--console 1"])),
    ]);
    all
}

fn machines() -> Vec<BoxedStrategy<Option<String>>> {
    let mut all = both();
    all.extend([
        maybe(of(&[
            "--scsi0 local-zfs:2",
            "--scsi0 local-zfs:0.4,discard=on",
            "--virtio0 local-zfs:1,iothread=1",
            "--sata0 local:1,format=qcow2",
        ])),
        maybe(of(&["--scsi3 local-zfs:1,backup=0", "--ide0 none,media=cdrom", "--scsi5 local-zfs:1,serial=abc"])),
        maybe(of(&["--ide2 local-zfs:cloudinit", "--ide2 none,media=cdrom"])),
        maybe(of(&[
            "--net0 virtio,bridge=vmbr0",
            "--net0 e1000e,bridge=vmbr1,firewall=1,tag=3",
            "--net0 rtl8139,bridge=vmbr0,link_down=1",
            "--net0 virtio,bridge=vmbr0,mtu=1,rate=5,queues=2",
        ])),
        maybe(of(&["--net1 vmxnet3,bridge=vmbr1", "--net2 virtio,bridge=vmbr1"])),
        maybe(of(&[
            "--ipconfig0 ip=dhcp",
            "--ipconfig0 ip=192.0.2.60/24,gw=192.0.2.1",
            "--ipconfig0 ip=192.0.2.61/24",
            "--ipconfig0 ip6=auto",
        ])),
        maybe(of(&["--agent 1", "--agent enabled=0", "--agent enabled=1,fstrim_cloned_disks=1"])),
        maybe(of(&["--ciuser ops", "--ciuser root"])),
        maybe(of(&["--cpu host", "--cpu x86-64-v3,flags=+aes", "--cpu kvm64"])),
        maybe(of(&["--sockets 2", "--sockets 1"])),
        maybe(of(&["--balloon 0", "--balloon 128"])),
        maybe(of(&["--bios ovmf", "--bios seabios"])),
        maybe(of(&["--machine q35", "--machine pc"])),
        maybe(of(&["--ostype l26", "--ostype win11", "--ostype other"])),
        maybe(of(&["--scsihw virtio-scsi-pci", "--scsihw lsi"])),
        maybe(of(&["--vga std", "--vga serial0", "--vga qxl,memory=32"])),
        maybe(of(&["--serial0 socket"])),
        maybe(of(&[
            "--numa 1",
            "--tablet 0",
            "--acpi 1",
            "--localtime 1",
            "--hotplug network,disk",
            "--rng0 source=/dev/urandom",
        ])),
        maybe(of(&[
            "--usb0 spice",
            "--watchdog model=i6300esb,action=reset",
            "--args '-device foo'",
            "--audio0 device=ich9-intel-hda",
        ])),
    ]);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_container_is_imported_as_it_is(options in containers()) {
        let options: Vec<String> = options.into_iter().flatten().collect();
        let create = format!("pct create 150 {TEMPLATE} --hostname any {}", options.join(" "));
        // What Proxmox itself refuses is nobody's guest.
        let world = after(node(), &[words(&create), words("pct start 150")]).map_err(TestCaseError::reject)?;
        holds(world, 150).map_err(|error| TestCaseError::fail(format!("{create}\n{error}")))?;
    }

    #[test]
    fn any_machine_is_imported_as_it_is(options in machines()) {
        let options: Vec<String> = options.into_iter().flatten().collect();
        let create = format!("qm create 150 --name any {}", options.join(" "));
        let world = after(node(), &[words(&create), words("qm start 150")]).map_err(TestCaseError::reject)?;
        holds(world, 150).map_err(|error| TestCaseError::fail(format!("{create}\n{error}")))?;
    }
}
