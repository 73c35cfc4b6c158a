//! The desired container against the present one.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use phoenix::command::Cost;
use phoenix::model::{Address, BindMount, Boot, Guest, GuestKind, LxcNeeds, Nic, Origin, Prepared, Site, Volume};
use phoenix::op::Op;
use phoenix::pve::difference::{Changes, Known};
use phoenix::pve::guest_config::{GuestConfig, Section};
use phoenix::pve::inventory::Present;
use phoenix::pve::lxc::{Desired, desired, difference};
use phoenix::pve::property::Properties;
use phoenix::pve::table::grammar_of;
use phoenix::pve::tool::Tool;
use phoenix::pve::{argv, pct};

use crate::plan::{guest, id, site};

fn nic() -> Nic {
    Nic {
        gateway: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        firewall: true,
        ..Nic::new("eth0", "vmbr0", Address::Static("192.0.2.10/24".parse().unwrap()))
    }
}

fn bind(host_path: &str, container_path: &str) -> BindMount {
    BindMount { host_path: host_path.into(), container_path: container_path.into(), ..BindMount::default() }
}

/// A container that declares something of everything.
fn web() -> Guest {
    Guest {
        name: "web".into(),
        memory_mb: 2048,
        swap_mb: Some(512),
        nics: vec![nic()],
        nameservers: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 53))],
        search_domain: Some("example.org".into()),
        boot: Boot { start_at_boot: true, order: Some(3), delay: Some(15), ..Boot::default() },
        tags: ["front".to_owned()].into(),
        volumes: vec![Volume {
            name: "data".into(),
            storage: "bulk".into(),
            size_gb: 20,
            mount_point: "/data".into(),
            ..Volume::default()
        }],
        mounts: vec![bind("/srv/www", "/var/www")],
        ..guest(100)
    }
}

fn wish(guest: &Guest) -> Desired {
    let prepared = Prepared { devices: [("/dev/fuse".to_owned(), "0666".to_owned())].into(), ..Prepared::default() };
    desired(&site([guest.clone()]), guest, LxcNeeds { nesting: true, ..LxcNeeds::default() }, &prepared)
}

fn stopped(text: &str) -> Present {
    Present { kind: GuestKind::Lxc, node: "pve1".into(), config: GuestConfig::parse(text), running: false }
}

/// What Proxmox makes of options: volumes get names, interfaces addresses, property strings their canonical form.
fn written(current: &mut Section, options: &[(String, String)]) {
    for (key, value) in options {
        let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
        let grammar = grammar_of("pct set", key);
        let value = match (stem, grammar) {
            ("delete", _) => {
                value.split(',').for_each(|key| _ = current.remove(key));
                continue;
            }
            ("net", Some(grammar)) => {
                let mut properties = Properties::parse(value, grammar).unwrap();
                if properties.get("hwaddr").is_none() {
                    properties.set("hwaddr", "BC:24:11:00:00:99");
                }
                properties.set("type", "veth");
                properties.print(grammar)
            }
            ("mp" | "rootfs", Some(grammar)) => {
                let mut properties = Properties::parse(value, grammar).unwrap();
                let volume = properties.get("volume").unwrap().to_owned();
                if let Some((storage, size)) = volume.split_once(':').filter(|(_, size)| size.parse::<u32>().is_ok()) {
                    properties.set("volume", format!("{storage}:subvol-100-disk-{key}"));
                    properties.set("size", format!("{size}G"));
                }
                properties.print(grammar)
            }
            ("tags", _) => value.to_lowercase(),
            _ => value.clone(),
        };
        current.set(key, &value);
    }
}

/// The present container after what the changes say was done.
fn applied(present: &Present, changes: &Changes) -> Present {
    let mut after = present.clone();
    if let Some(options) = changes.set_options() {
        let command = Tool::of(GuestKind::Lxc, id(100)).set(&options);
        let argv: Vec<String> = std::iter::once(command.program.clone()).chain(command.args.clone()).collect();
        let call = argv::parse(&argv);
        assert!(call.is_ok(), "{command}\n{}", call.unwrap_err().stderr);
        written(&mut after.config.current, &options);
    }
    if let Some(raw) = &changes.raw {
        after.config.current.set_raw(raw);
    }
    for (disk, size) in &changes.resize {
        let text = after.config.current.get(disk).unwrap().to_owned();
        let mut properties = Properties::of_option("pct set", disk, &text).unwrap();
        properties.set("size", size);
        after.config.current.set(disk, &properties.print(grammar_of("pct set", disk).unwrap()));
    }
    after
}

fn created(desired: &Desired) -> Present {
    let mut present = stopped("arch: amd64\nostype: debian\n");
    let command = pct::create(id(100), "local:vztmpl/debian.tar.zst", &desired.create_options());
    let argv: Vec<String> = std::iter::once(command.program.clone()).chain(command.args.clone()).collect();
    argv::parse(&argv).unwrap_or_else(|refusal| panic!("{command}\n{}", refusal.stderr));
    written(&mut present.config.current, &desired.create_options());
    let raw = difference(desired, &present, &Known::default()).raw;
    present.config.current.set_raw(&raw.unwrap_or_default());
    present
}

fn of_source(source: &GuestConfig) -> Known<'_> {
    Known { source: Some(source), ..Known::default() }
}

fn told(changes: &Changes) -> Vec<String> {
    let part = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    changes.differences.iter().map(|d| format!("{} {} -> {}", d.key, part(&d.from), part(&d.to))).collect()
}

#[test]
fn a_container_is_created_with_one_command() {
    let options = wish(&web()).create_options();
    let text: Vec<String> = options.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let expected = [
        "rootfs tank:8",
        "unprivileged 1",
        "cores 1",
        "hostname web",
        "memory 2048",
        "nameserver 192.0.2.53 198.51.100.53",
        "onboot 1",
        "searchdomain example.org",
        "swap 512",
        "features nesting=1",
        "tags front;phoenix",
        "startup order=3,up=15",
        "net0 name=eth0,bridge=vmbr0,firewall=1,gw=192.0.2.1,ip=192.0.2.10/24",
        "mp0 bulk:20,mp=/data",
        "mp1 /srv/www,mp=/var/www",
        "dev0 /dev/fuse,mode=0666",
    ];
    assert_eq!(text, expected);
}

#[test]
fn what_was_created_as_declared_does_not_differ() {
    let desired = wish(&web());
    let present = created(&desired);
    assert_eq!(told(&difference(&desired, &present, &Known::default())), Vec::<String>::new());
}

#[test]
fn one_changed_value_is_one_difference() {
    let present = created(&wish(&web()));
    let more = Guest { memory_mb: 3333, ..web() };
    let changes = difference(&wish(&more), &present, &Known::default());
    assert_eq!(told(&changes), ["memory 2048 -> 3333"]);
    assert_eq!(changes.set, [("memory".to_owned(), "3333".to_owned())]);
    assert_eq!(changes.cost(), Cost::None);
}

#[test]
fn addresses_change_and_the_hardware_address_stays() {
    let present = created(&wish(&web()));
    let mut moved = web();
    moved.nics[0].address = Address::Static("192.0.2.11/24".parse().unwrap());
    moved.nics[0].vlan = Some(7);
    let changes = difference(&wish(&moved), &present, &Known::default());
    assert_eq!(told(&changes), ["net0 ip 192.0.2.10/24 -> 192.0.2.11/24", "net0 tag - -> 7"]);
    let net =
        "name=eth0,bridge=vmbr0,firewall=1,gw=192.0.2.1,hwaddr=BC:24:11:00:00:99,ip=192.0.2.11/24,tag=7,type=veth";
    assert_eq!(changes.set, [("net0".to_owned(), net.to_owned())]);

    moved.nics[0].mac = Some("02:00:00:00:00:01".parse().unwrap());
    let changes = difference(&wish(&moved), &present, &Known::default());
    assert!(changes.set[0].1.contains("hwaddr=02:00:00:00:00:01"), "{:?}", changes.set);
}

#[test]
fn what_is_not_ours_stays() {
    let mut present = created(&wish(&web()));
    let foreign = [
        ("mp7", "bulk:subvol-100-disk-9,mp=/foreign,size=1G"),
        ("net3", "name=eth3,bridge=vmbr9,hwaddr=BC:24:11:00:00:03,type=veth"),
        ("cmode", "shell"),
        ("description", "by hand"),
        ("protection", "1"),
        ("startup", "order=3,up=15,down=40"),
    ];
    for (key, value) in foreign {
        present.config.current.set(key, value);
    }
    present.config.current.set("tags", "backup;front;phoenix");
    present.config.current.set_raw(&[("lxc.cgroup2.devices.allow".into(), "c 10:200 rwm".into())]);
    let present_net = present.config.current.get("net0").unwrap().replace("type=veth", "mtu=1400,rate=5,type=veth");
    present.config.current.set("net0", &present_net);
    assert_eq!(told(&difference(&wish(&web()), &present, &Known::default())), Vec::<String>::new());

    let mut moved = web();
    moved.nics[0].gateway = None;
    let changes = difference(&wish(&moved), &present, &Known::default());
    assert!(changes.set[0].1.contains("mtu=1400,rate=5"), "{:?}", changes.set);
}

#[test]
fn mount_points_are_known_by_their_path() {
    let desired = wish(&web());
    let mut present = created(&desired);
    let text = present.config.render().replace("mp0:", "mp5:").replace("mp1:", "mp0:");
    present.config = GuestConfig::parse(&text);
    assert_eq!(told(&difference(&desired, &present, &Known::default())), Vec::<String>::new());

    let mut more = web();
    more.volumes.push(Volume {
        name: "log".into(),
        storage: "bulk".into(),
        size_gb: 2,
        mount_point: "/var/log".into(),
        ..Volume::default()
    });
    let changes = difference(&wish(&more), &present, &Known::default());
    assert_eq!(changes.set, [("mp1".to_owned(), "bulk:2,mp=/var/log".to_owned())]);
}

#[test]
fn disks_grow_and_never_shrink() {
    let present = created(&wish(&web()));
    let mut larger = web();
    larger.root.size_gb = 16;
    larger.volumes[0].size_gb = 40;
    let changes = difference(&wish(&larger), &present, &Known::default());
    assert_eq!(told(&changes), ["rootfs size 8G -> 16G", "mp0 size 20G -> 40G"]);
    assert_eq!(changes.resize, [("rootfs".into(), "16G".into()), ("mp0".into(), "40G".into())]);
    assert!(changes.set_options().is_none());

    let mut smaller = web();
    smaller.root.size_gb = 4;
    smaller.volumes[0].size_gb = 10;
    let changes = difference(&wish(&smaller), &present, &Known::default());
    assert_eq!(told(&changes), ["rootfs size 8G -> 4G", "mp0 size 20G -> 10G"]);
    assert_eq!(changes.cost(), Cost::Rebuild);
    assert!(changes.is_settled());
    // A clone is as large as its source at least.
    assert!(difference(&wish(&smaller), &present, &of_source(&present.config)).differences.is_empty());
}

#[test]
fn what_only_a_new_container_can_have_is_said() {
    let present = created(&wish(&web()));
    let mut other = web();
    other.lxc.unprivileged = false;
    other.root.storage = "other".into();
    let changes = difference(&wish(&other), &present, &Known::default());
    assert_eq!(told(&changes), ["unprivileged 1 -> 0", "rootfs storage tank -> other"]);
    assert_eq!(changes.cost(), Cost::Rebuild);
}

#[test]
fn a_running_container_takes_some_keys_at_once() {
    let mut present = created(&wish(&web()));
    present.running = true;
    let costs = |guest: &Guest, present: &Present| {
        let changes = difference(&wish(guest), present, &Known::default());
        changes.differences.iter().map(|d| (d.key.clone(), d.cost)).collect::<Vec<_>>()
    };
    let memory = Guest { memory_mb: 4096, ..web() };
    assert_eq!(costs(&memory, &present), [("memory".to_owned(), Cost::None)]);
    let domain = Guest { search_domain: Some("example.net".into()), ..web() };
    assert_eq!(costs(&domain, &present), [("searchdomain".to_owned(), Cost::Restart)]);
    let mut volume = web();
    volume.volumes.push(Volume {
        name: "x".into(),
        storage: "bulk".into(),
        size_gb: 1,
        mount_point: "/x".into(),
        ..Volume::default()
    });
    assert_eq!(costs(&volume, &present), [("mp2".to_owned(), Cost::None)]);

    present.running = false;
    assert_eq!(costs(&domain, &present), [("searchdomain".to_owned(), Cost::None)]);
}

#[test]
fn what_waits_for_a_restart_is_told_and_not_set_again() {
    let domain = Guest { search_domain: Some("example.net".into()), ..web() };
    let mut present = created(&wish(&web()));
    present.running = true;
    let pending = "\n[pve:pending]\ncmode: shell\nsearchdomain: example.net\n";
    present.config = GuestConfig::parse(&(present.config.render() + pending));
    let changes = difference(&wish(&domain), &present, &Known::default());
    assert_eq!(told(&changes), ["searchdomain example.org -> example.net"]);
    assert!(changes.is_settled() && changes.differences[0].waiting && changes.cost() == Cost::Restart);
    // What goes with the next start is still there now.
    let text = present.config.render().replace("cmode: shell", "delete: mp1");
    let mut raw = domain.clone();
    raw.mounts = vec![BindMount { file: true, ..bind("/srv/www", "/var/www") }];
    let leaving = Present { config: GuestConfig::parse(&text), ..present.clone() };
    let told = told(&difference(&wish(&raw), &leaving, &Known::default()));
    assert!(told.contains(&"mp1 /srv/www,mp=/var/www -> -".to_owned()), "{told:?}");
    // And when the declaration goes back, the pending value is overwritten.
    let changes = difference(&wish(&web()), &present, &Known::default());
    assert_eq!(changes.set, [("searchdomain".to_owned(), "example.org".to_owned())]);
}

#[test]
fn directories_of_guests_with_snapshots_are_raw_lines() {
    let mut guest = web();
    guest.snapshots.after_features = Some("final-form".into());
    let wanted = wish(&guest);
    let line = ("lxc.mount.entry".to_owned(), "/srv/www var/www none bind,create=dir 0 0".to_owned());
    assert!(wanted.binds.is_empty() && wanted.raw == [line.clone()]);

    // The same directory as a mount point is moved.
    let present = created(&wish(&web()));
    let changes = difference(&wanted, &present, &Known::default());
    assert_eq!((changes.delete.as_slice(), changes.raw.as_deref()), (&["mp1".to_owned()][..], Some(&[line][..])));
    let after = applied(&present, &changes);
    assert_eq!(told(&difference(&wanted, &after, &Known::default())), Vec::<String>::new());
    let back = difference(&wish(&web()), &after, &Known::default());
    assert_eq!((back.set[0].0.as_str(), back.raw.as_deref()), ("mp1", Some(&[][..])));

    // A clone source and a template too; a single file always.
    let source = web();
    let clone = Guest { origin: Origin::Clone(id(100)), ..guest_101() };
    let both: Site = site([source.clone(), clone]);
    assert!(desired(&both, &source, LxcNeeds::default(), &Prepared::default()).binds.is_empty());
    let mut file = web();
    file.mounts = vec![BindMount { file: true, read_only: true, ..bind("/srv/a key.pem", "/etc/key.pem") }];
    assert_eq!(wish(&file).raw[0].1, "/srv/a\\040key.pem etc/key.pem none bind,ro,create=file 0 0");
}

fn guest_101() -> Guest {
    guest(101)
}

#[test]
fn a_clone_drops_what_it_brought_along_and_does_not_declare() {
    let entry =
        |source: &str, path: &str| ("lxc.mount.entry".to_owned(), format!("{source} {path} none bind,create=dir 0 0"));
    let mut source = stopped("tags: base;phoenix\n");
    let by_hand = ("lxc.cap.drop".to_owned(), "sys_time".to_owned());
    source.config.current.set_raw(&[entry("/srv/base", "base"), entry("/srv/www", "var/www"), by_hand.clone()]);
    let mut present = created(&wish(&web()));
    present.config.current.set_raw(&[entry("/srv/base", "base"), entry("/srv/own", "own"), by_hand.clone()]);
    present.config.current.set("tags", "base;front;phoenix");
    let changes = difference(&wish(&web()), &present, &of_source(&source.config));
    assert_eq!(changes.raw.as_deref(), Some(&[entry("/srv/own", "own"), by_hand][..]));
    assert_eq!(changes.set, [("tags".to_owned(), "front;phoenix".to_owned())]);
    assert!(difference(&wish(&web()), &applied(&present, &changes), &of_source(&source.config)).is_empty());
}

#[test]
fn raw_lines_are_written_under_proxmox_s_lock() {
    let mut guest = web();
    guest.lxc.raw = vec![("lxc.apparmor.profile".into(), "unconfined".into())];
    let present = created(&wish(&web()));
    let changes = difference(&wish(&guest), &present, &Known::default());
    assert_eq!(told(&changes), ["lxc.apparmor.profile - -> unconfined"]);
    let Some(Op::Write { path, content, guard: Some(guard), .. }) =
        changes.edit("pve1", GuestKind::Lxc, id(100), &present.config)
    else {
        panic!("no write");
    };
    assert_eq!(path, "/etc/pve/nodes/pve1/lxc/100.conf");
    assert_eq!(guard.lock, "/run/lock/lxc/pve-config-100.lock");
    let phoenix::op::Content::Bytes(bytes) = content else { panic!("no bytes") };
    let expected = present.config.render() + "lxc.apparmor.profile: unconfined\n";
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}

fn any_guest() -> impl Strategy<Value = Guest> {
    let nic =
        (1u8..250, prop::option::of(1u16..4095), any::<bool>(), any::<bool>()).prop_map(|(host, vlan, on, dhcp)| Nic {
            address: if dhcp { Address::Dhcp } else { Address::Static(format!("192.0.2.{host}/24").parse().unwrap()) },
            vlan,
            firewall: on,
            ..nic()
        });
    let volume = (0u8..4, 1u32..50).prop_map(|(n, size_gb)| Volume {
        name: format!("v{n}"),
        storage: "bulk".into(),
        size_gb,
        mount_point: format!("/v{n}"),
        ..Volume::default()
    });
    let mount = (0u8..4, any::<bool>(), any::<bool>()).prop_map(|(n, read_only, file)| BindMount {
        read_only,
        file,
        ..bind(&format!("/srv/{n}"), &format!("/m{n}"))
    });
    (
        (16u32..9000, 1u32..32, prop::option::of(0u32..900), 1u32..100),
        prop::collection::vec(nic, 0..3),
        prop::collection::vec(volume, 0..4),
        prop::collection::vec(mount, 0..4),
        (any::<bool>(), prop::option::of(0u32..99), prop::option::of(0u32..99)),
        any::<bool>(),
        prop::collection::btree_set("[a-z]{2,6}", 0..3),
    )
        .prop_map(|((memory_mb, cores, swap_mb, size), nics, mut volumes, mut mounts, boot, snapshots, tags)| {
            volumes.dedup_by_key(|volume| volume.mount_point.clone());
            volumes.sort_by_key(|volume| volume.mount_point.clone());
            volumes.dedup_by_key(|volume| volume.mount_point.clone());
            mounts.sort_by_key(|mount| mount.container_path.clone());
            mounts.dedup_by_key(|mount| mount.container_path.clone());
            let mut guest = Guest { memory_mb, cores, swap_mb, nics, volumes, mounts, tags, ..guest(100) };
            guest.root.size_gb = size;
            guest.boot = Boot { start_at_boot: boot.0, order: boot.1, delay: boot.2, ..Boot::default() };
            guest.snapshots.before_features = snapshots.then(|| "pre-configured".to_owned());
            guest
        })
}

proptest! {
    /// Whatever was declared before: once the changes are made, only what needs a new container differs.
    #[test]
    fn after_the_changes_nothing_is_left_to_do(before in any_guest(), after in any_guest()) {
        let present = created(&wish(&before));
        prop_assert_eq!(told(&difference(&wish(&before), &present, &Known::default())), Vec::<String>::new());
        let wanted = wish(&after);
        let changes = difference(&wanted, &present, &Known::default());
        let done = applied(&present, &changes);
        let left = difference(&wanted, &done, &Known::default());
        prop_assert!(left.is_settled(), "{:?}\n{}", left, done.config.render());
        prop_assert!(left.differences.iter().all(|d| d.cost == Cost::Rebuild), "{:?}", left);
        let volumes = |present: &Present| present.config.render().matches(":subvol-").count();
        prop_assert!(volumes(&done) >= volumes(&present), "a volume was given up");
    }
}
