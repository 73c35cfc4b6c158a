//! `check --host`: each finding with a world that provokes it, where it points, and what mends it.

use std::fs;
use std::path::Path;

use phoenix::config::{self, Dir};
use phoenix::engine::{Preflight, Spot};
use phoenix::finding::{Finding, Severity};
use phoenix::host::Host;
use phoenix::model::{Cidr, Device, Guest, IdMap, Image, NfsVolume, Nic, Origin, Volume};
use phoenix::op::{Op, OpValue, Place};
use phoenix::sandbox::{Neighbour, NodeFile, Options, Sandbox, World};
use phoenix::script::{Library, Roots};

use crate::support::scenario::{Scenario, container, id, machine};

/// A site of these guests on a network of its own, and the node that it describes.
fn site(guests: impl IntoIterator<Item = Guest>) -> Scenario {
    let mut scenario = Scenario::of(guests);
    scenario.site.node.address = Some("192.0.2.2/24".parse::<Cidr>().unwrap());
    scenario.site.node.gateway = Some("192.0.2.1".parse().unwrap());
    scenario.site.node.bridges = vec!["vmbr0".to_owned()];
    scenario
}

fn look(scenario: &Scenario, world: World, faults: &[&str]) -> Vec<Finding> {
    let faults = faults.iter().map(|word| word.parse().unwrap()).collect();
    let sandbox = Sandbox::in_memory(world, Options { faults, strict: true, ..Options::default() });
    let found = Preflight { site: &scenario.site, locate: &|_| None, digests: false }.run(&sandbox).unwrap();
    assert_eq!(sandbox.changes(), 0, "it only looks");
    found
}

/// What is found when the fresh node is changed like that: codes with messages and hints.
#[track_caller]
fn found(scenario: &Scenario, change: impl FnOnce(&mut World)) -> Vec<(String, String)> {
    let mut world = scenario.fresh();
    change(&mut world);
    told(look(scenario, world, &[]))
}

fn told(findings: Vec<Finding>) -> Vec<(String, String)> {
    let words = |one: Finding| {
        (one.code.to_owned(), format!("{}: {}", one.message, one.hint.expect("every finding has advice")))
    };
    findings.into_iter().map(words).collect()
}

/// Exactly one finding, of this code, with these words in message or hint.
#[track_caller]
fn only(found: &[(String, String)], code: &str, words: &[&str]) {
    let [(is, text)] = found else { panic!("one finding `{code}` expected: {found:#?}") };
    assert_eq!(is, code, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` in: {text}");
    }
}

fn one() -> Scenario {
    site([container(101, "web")])
}

#[test]
fn the_node_that_a_configuration_describes_lacks_nothing() {
    assert_eq!(found(&one(), |_| {}), []);
    for dir in [Dir::Embedded, Dir::Real(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal"))] {
        assert_eq!(found(&Scenario::configured(&dir), |_| {}), [], "{dir:?}");
    }
}

#[test]
fn storages_are_there_switched_on_and_for_this_content() {
    let scenario = one();
    let at = |world: &mut World, change: fn(&mut phoenix::sandbox::Storage)| {
        change(world.storages.iter_mut().find(|storage| storage.id == "tank").unwrap());
    };
    only(&found(&scenario, |world| at(world, |storage| storage.id = "tankk".into())), "storage-absent", &["`tankk`?"]);
    only(
        &found(&scenario, |world| at(world, |storage| storage.disable = true)),
        "storage-disabled",
        &["`pvesm set tank --disable 0`"],
    );
    only(
        &found(&scenario, |world| at(world, |storage| storage.content = vec!["images".into()])),
        "storage-content",
        &["`pvesm set tank --content images,rootdir`"],
    );
    let inactive = told(look(&scenario, scenario.fresh(), &["offline:tank"]));
    only(&inactive, "storage-inactive", &["storage `tank` (guest 101) is not active", "`zpool status`"]);
}

/// The predecessor looked for the beginning of a name.
#[test]
fn l44_a_storage_with_a_longer_name_is_another_one() {
    let longer = |world: &mut World| {
        world.storages.iter_mut().find(|storage| storage.id == "tank").unwrap().id = "tank-sync".into();
    };
    only(&found(&one(), longer), "storage-absent", &["`tank`"]);
}

#[test]
fn what_is_not_there_yet_needs_room() {
    let mut scenario = one();
    only(&told(look(&scenario, scenario.fresh(), &["full:tank"])), "storage-full", &["nothing of 1024 GiB free"]);
    let small = |world: &mut World| {
        world.storages.iter_mut().find(|storage| storage.id == "tank").unwrap().size = Some(6 << 30);
    };
    assert_eq!(found(&scenario, small), [], "4 GiB fit");
    scenario.guest(101).volumes =
        vec![Volume { storage: "tank".into(), size_gb: 4, mount_point: "/data".into(), ..Volume::default() }];
    only(&found(&scenario, small), "storage-space", &["disks of 8 GiB", "6 GiB free", "until they are filled"]);
    let thick = |world: &mut World| {
        small(world);
        world.storages.iter_mut().find(|storage| storage.id == "tank").unwrap().kind = "lvm".into();
    };
    only(&found(&scenario, thick), "storage-space", &["declare smaller disks"]);
}

#[test]
fn linked_clones_begin_with_nothing_of_their_own() {
    let mut base = container(900, "base");
    (base.is_template, base.boot.start_at_boot) = (true, false);
    let clones = (101..120).map(|number| {
        let mut guest = container(number, &format!("clone{number}"));
        guest.origin = Origin::Clone(id(900));
        guest
    });
    let scenario = site(std::iter::once(base).chain(clones));
    let small = |world: &mut World| {
        world.storages.iter_mut().find(|storage| storage.id == "tank").unwrap().size = Some(6 << 30);
    };
    assert_eq!(found(&scenario, small), []);
}

#[test]
fn storages_can_do_what_is_declared() {
    let kind = |kind: &'static str| {
        move |world: &mut World| {
            let storage = world.storages.iter_mut().find(|storage| storage.id == "tank").unwrap();
            (storage.kind, storage.path) = (kind.into(), "/srv/tank".into());
        }
    };
    let mut scenario = one();
    scenario.guest(101).is_template = true;
    only(&found(&scenario, kind("lvm")), "no-templates", &["storage `tank` (lvm) cannot hold templates"]);
    assert_eq!(found(&scenario, kind("dir")), []);
    let mut scenario = one();
    scenario.guest(101).snapshots.after_features = Some("final-form".into());
    only(&found(&scenario, kind("dir")), "no-snapshots", &["cannot take snapshots of guest 101"]);
    assert_eq!(found(&scenario, kind("btrfs")), []);
}

#[test]
fn bridges_are_there() {
    let scenario = one();
    let renamed = |world: &mut World| world.bridges[0].name = "vmbr1".into();
    only(&found(&scenario, renamed), "bridge-absent", &["bridge `vmbr0` (guest 101)", "did you mean `vmbr1`?"]);
    let none = |world: &mut World| world.bridges.clear();
    only(&found(&scenario, none), "bridge-absent", &["the node has no bridge"]);
}

#[test]
fn templates_and_images_are_there_and_what_they_should_be() {
    only(
        &found(&one(), |world| world.templates.clear()),
        "template-absent",
        &["(guest 101)", "pveam download local debian-12-standard_12.12-1_amd64.tar.zst"],
    );
    let mut vm = machine(9000, "base");
    let image = Image { source: "local:import/debian.qcow2".into(), sha256: Some("5e".repeat(32)) };
    vm.origin = Origin::Image(image);
    let scenario = site([vm]);
    assert_eq!(found(&scenario, |_| {}), []);
    only(&found(&scenario, |world| world.files.clear()), "image-absent", &["/var/lib/vz/import/debian.qcow2"]);
    let other = |world: &mut World| {
        let path = "/var/lib/vz/import/debian.qcow2".to_owned();
        world.files.insert(path, NodeFile::Text("something else".into()));
    };
    only(&found(&scenario, other), "image-digest", &["its SHA-256 is f41f3fa6", "(guest 9000)"]);
    let installed = |world: &mut World| {
        let local = world.storages.iter_mut().find(|storage| storage.id == "local").unwrap();
        local.content = ["iso", "vztmpl", "import"].map(str::to_owned).into();
    };
    only(&found(&scenario, installed), "snippets-absent", &["`pvesm set local --content iso,vztmpl,import,snippets`"]);
}

#[test]
fn ids_are_free_or_ours() {
    let mut scenario = one();
    scenario.create(&[101]).is_fine();
    assert_eq!(told(look(&scenario, scenario.world(), &[])), [], "ours");
    let taken = |config: &str, kind: &str| serde_json::json!({"node": "pve", "guests": [{"id": 101, "kind": kind, "config": config}]});
    for (kind, code, words) in [
        ("lxc", "id-taken", ["container 101 (`old`, stopped)", "--adopt 101"]),
        ("vm", "id-of-other-kind", ["is a virtual machine 101", "declare another id"]),
    ] {
        let key = if kind == "lxc" { "hostname" } else { "name" };
        let stray: World = serde_json::from_value(taken(&format!("{key}: old\n"), kind)).unwrap();
        let found = found(&one(), |world| {
            let mut merged = serde_json::to_value(&*world).unwrap();
            merged["guests"] = serde_json::to_value(&stray).unwrap()["guests"].take();
            *world = serde_json::from_value(merged).unwrap();
        });
        only(&found, code, &words);
    }
}

#[test]
fn nobody_else_answers_for_an_address() {
    let scenario = one();
    let address = scenario.site.guest(id(101)).unwrap().ip().unwrap();
    let std::net::IpAddr::V4(address) = address else { panic!() };
    let stranger = |world: &mut World| {
        world.neighbours.push(Neighbour { address, mac: "00:11:22:33:44:55".into() });
    };
    let words = ["somebody with the hardware address 00:11:22:33:44:55 answers", "the address of guest 101"];
    only(&found(&scenario, stranger), "address-taken", &words);

    // A guest of ours that runs may answer; one that phoenix does not know may not.
    let mut both = site([container(101, "web")]);
    both.create(&[101]).is_fine();
    assert_eq!(told(look(&both, both.world(), &[])), []);
    both.site.guests.clear();
    let mut other = container(101, "web");
    other.id = id(150);
    both.site.guests.insert(other.id, other);
    let found = told(look(&both, both.world(), &[]));
    only(&found, "address-taken", &["container 101 (`web`, running)", "the address of guest 150"]);
}

#[test]
fn gateways_answer() {
    let silent = |world: &mut World| world.neighbours.clear();
    only(&found(&one(), silent), "gateway-silent", &["nobody answers for the gateway 192.0.2.1 (guest 101)"]);
    let mut own = one();
    own.guest(101).nics[0].gateway = Some("192.0.2.2".parse().unwrap());
    own.site.node.gateway = None;
    assert_eq!(found(&own, silent), [], "the node is the way out itself");
    let mut tagged = one();
    tagged.guest(101).nics[0].vlan = Some(7);
    tagged.site.node.gateway = None;
    assert_eq!(found(&tagged, silent), [], "nobody can ask from here");
}

#[test]
fn memory_and_cores_of_the_node() {
    let mut scenario = one();
    scenario.guest(101).cores = 16;
    only(&found(&scenario, |world| world.cpus = 4), "too-many-cores", &["16 cores, the node has 4"]);
    let scenario = one();
    only(&found(&scenario, |world| world.memory = 256), "too-much-memory", &["512 MiB", "256 MiB"]);
    let many = site((101..110).map(|number| container(number, &format!("web{number}"))));
    only(&found(&many, |world| world.memory = 4096), "memory-overcommitted", &["4.5 GiB", "4 GiB"]);
    let mut big = machine(9000, "big");
    (big.cores, big.memory_mb) = (8, 65_536);
    let found = found(&site([big]), |world| (world.cpus, world.memory) = (4, 1024));
    let codes: Vec<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["too-many-cores", "too-much-memory"]);
}

#[test]
fn gpus_and_their_driver() {
    let mut scenario = one();
    scenario.guest(101).lxc.gpus = vec![0, 1];
    assert_eq!(found(&scenario, |_| {}), []);
    let without = |world: &mut World| world.devices.retain(|path| path != "/dev/nvidia1");
    only(&found(&scenario, without), "device-absent", &["the node has no /dev/nvidia1 (guest 101)"]);
    let none = |world: &mut World| {
        world.devices.clear();
        world.files.clear();
    };
    only(&found(&scenario, none), "device-absent", &["driver is not loaded"]);
    let version = Some("1.2.3".to_owned());
    scenario.guest(101).lxc.nvidia = Some(phoenix::model::Nvidia { driver_version: version, ..Default::default() });
    let other = |world: &mut World| {
        let text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  9.8.7  Thu Jan  1\n".to_owned();
        world.files.insert("/proc/driver/nvidia/version".into(), NodeFile::Text(text));
    };
    only(&found(&scenario, other), "driver-version", &["driver 1.2.3, the node runs 9.8.7"]);
}

#[test]
fn shared_ids_are_allowed() {
    let mut scenario = one();
    scenario.guest(101).lxc.id_maps = vec![IdMap { kind: "both".into(), host_id: 1000, container_id: 1000, size: 2 }];
    assert_eq!(found(&scenario, |_| {}), []);
    let found = found(&scenario, |world| {
        world.files.insert("/etc/subgid".into(), NodeFile::Text("root:100000:65536\nroot:1000:1\n".into()));
    });
    only(&found, "id-not-allowed", &["guest 101 have its id 1000", "`echo root:1000:2 >> /etc/subgid`"]);
}

#[test]
fn rules_count_only_behind_the_switch() {
    let mut scenario = one();
    scenario.guest(101).firewall.enabled = true;
    only(&found(&scenario, |_| {}), "firewall-off", &["the rules of guest 101 have no effect", "--enable 1"]);
    scenario.site.node.firewall.enabled = true;
    assert_eq!(found(&scenario, |_| {}), []);
}

#[test]
fn what_is_mounted_from_the_node_is_exported() {
    let mut vm = machine(1001, "store");
    vm.origin = Origin::Image(Image { source: "https://example.org/debian-12.qcow2".into(), sha256: None });
    vm.vm.nfs = vec![NfsVolume {
        name: "data".into(),
        server: "192.0.2.2".into(),
        path: "/srv/data/store".into(),
        mount_point: "/data".into(),
    }];
    let scenario = site([vm]);
    assert_eq!(found(&scenario, |_| {}), []);
    let not = |world: &mut World| {
        world.files.insert("/etc/exports".into(), NodeFile::Text("# nothing\n/srv/dat *(rw)\n".into()));
    };
    only(&found(&scenario, not), "export-absent", &["/srv/data/store (guest 1001)", "exportfs -ra"]);
}

#[test]
fn the_node_is_the_declared_one() {
    let mut scenario = one();
    scenario.site.node.name = Some("pve2".into());
    only(&found(&scenario, |world| world.node = "pve".into()), "other-node", &["for node `pve2`, this is `pve`"]);
    let mut scenario = one();
    scenario.guest(101).node = Some("pve3".into());
    let members = |world: &mut World| world.cluster.members = vec!["pve".into(), "pve2".into()];
    only(&found(&scenario, members), "unknown-node", &["belongs on node `pve3`, which is none", "did you mean `pve"]);
}

#[test]
fn the_cluster_has_quorum() {
    let alone = |world: &mut World| {
        world.cluster.members = vec!["pve".into(), "pve2".into()];
        world.cluster.quorate = false;
    };
    only(&found(&one(), alone), "no-quorum", &["nothing can be changed", "`pvecm status`"]);
}

#[test]
fn versions_are_known_and_have_what_is_declared() {
    let of =
        |version: &'static str| move |world: &mut World| _ = world.version.insert("pve-manager".into(), version.into());
    assert_eq!(found(&one(), of("8.4.14")), []);
    only(&found(&one(), of("7.4.3")), "version-too-old", &["Proxmox VE 7.4.3, phoenix needs 8.1"]);
    only(&found(&one(), of("10.1.2")), "version-too-new", &["10.1.2, which phoenix was not tried with"]);
    only(&found(&one(), |world| world.version.clear()), "version-unknown", &["`pveversion`"]);
    let mut scenario = one();
    scenario.guest(101).options.insert("entrypoint".into(), "/sbin/init".into());
    assert_eq!(found(&scenario, |_| {}), []);
    only(
        &found(&scenario, of("8.4.14")),
        "option-too-new",
        &["guest 101: `entrypoint` needs Proxmox VE 9.1, the node has 8.4"],
    );
}

#[test]
fn declared_devices_are_there() {
    let mut scenario = one();
    scenario.guest(101).lxc.devices = vec![Device { path: "/dev/net/tun".into(), ..Device::default() }];
    let with = |world: &mut World| world.devices = vec!["/dev/net/tun".into()];
    assert_eq!(found(&scenario, with), []);
    only(&found(&scenario, |world| world.devices.clear()), "device-absent", &["no /dev/net/tun (guest 101)"]);
}

#[test]
fn somebody_keeps_the_clock() {
    let unit = "[Service]\nExecStart=/usr/sbin/chronyd\n".to_owned();
    let stopped = |world: &mut World| {
        world.files.insert("/etc/systemd/system/chrony.service".into(), NodeFile::Text(unit));
    };
    only(&found(&one(), stopped), "clock-alone", &["`systemctl start chrony.service`"]);
}

#[test]
fn our_directory_can_be_written_to() {
    let read_only = |world: &mut World| {
        let mounts = "rpool / zfs rw 0 0\nrpool/var /var zfs ro,relatime 0 0\n".to_owned();
        world.files.insert("/proc/mounts".into(), NodeFile::Text(mounts));
    };
    only(&found(&one(), read_only), "not-writable", &["/var/lib/phoenix lies on", "read-only"]);
    let file = |world: &mut World| {
        world.files.insert("/var/lib/phoenix".into(), NodeFile::Text(String::new()));
    };
    only(&found(&one(), file), "not-writable", &["/var/lib/phoenix is no directory"]);
}

#[test]
fn who_answers_is_asked_for_without_a_process() {
    let scenario = one();
    let sandbox = Sandbox::in_memory(scenario.fresh(), Options::default());
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.77", "198.51.100.1"].map(|text| text.parse().unwrap());
    let results = sandbox.perform(Place::Node, &[Op::Neighbours { addresses: addresses.to_vec() }]).unwrap();
    let Some(Ok(OpValue::Neighbours(found))) = results.first() else { panic!("{results:?}") };
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        addresses[..1],
        "neither the node nor the silent nor the distant"
    );
}

/// All findings of a broken world at once, each with its line.
#[test]
fn findings_point_into_the_files() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["phoenix_hypervisor_config.json", "phoenix_lxc_configs.json", "phoenix_vm_configs.json"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc").join(file);
        fs::copy(shipped, dir.path().join(file)).unwrap();
    }
    let (library, _) = Library::load(&Roots::only(Path::new(env!("CARGO_MANIFEST_DIR"))));
    let loaded = config::load(&Dir::Real(dir.path().to_owned()), library.catalogue());
    let site = loaded.site.as_ref().unwrap();
    let mut world = World::fresh(site);
    world.bridges[0].name = "vmbr9".into();
    world.storages.retain(|storage| storage.id != "tank-guests");
    world.templates.clear();
    world.files.remove("/etc/exports");
    world.neighbours.clear();
    world.cpus = 2;
    let locate = |spot: Spot<'_>| match spot {
        Spot::Guest(id, path) => loaded.places.of_guest(id, path),
        Spot::Node(path) => loaded.places.of_node(path),
    };
    let sandbox = Sandbox::in_memory(world, Options::default());
    let findings = Preflight { site, locate: &locate, digests: false }.run(&sandbox).unwrap();
    let shown: Vec<String> = findings
        .iter()
        .map(|finding| {
            let place = finding.place.as_ref().map_or_else(String::new, |place| {
                let (line, _) = place.source.line_column(place.span.start);
                let name = place.source.path.rsplit('/').next().unwrap_or_default();
                format!("{name}:{line} `{}` ", &place.source.text[place.span.clone()])
            });
            let word = if finding.severity == Severity::Error { "error" } else { "warning" };
            format!("{word} {} {place}{}", finding.code, finding.message)
        })
        .collect();
    insta::assert_snapshot!("check-host-places", shown.join("\n"));
}

/// A second interface counts like the first.
#[test]
fn every_interface_is_looked_at() {
    let mut scenario = one();
    let first = scenario.guest(101).nics[0].clone();
    scenario.guest(101).nics.push(Nic { name: "eth1".into(), bridge: "vmbr7".into(), ..first });
    let found = found(&scenario, |world| world.bridges.truncate(1));
    assert!(found.iter().any(|(code, text)| code == "bridge-absent" && text.contains("vmbr7")), "{found:?}");
}
