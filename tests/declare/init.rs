//! A starting configuration passes `check --host` and can be created, whatever the node is made of.

use std::fs;
use std::net::Ipv4Addr;

use phoenix::config::{self, Dir};
use phoenix::declare::{Extent, Proposal, Survey, Unable, Wishes, propose};
use phoenix::engine::Preflight;
use phoenix::finding::Finding;
use phoenix::model::Catalogue;
use phoenix::sandbox::{Bridge, Neighbour, Options, Sandbox, Storage, World};
use tempfile::TempDir;

use crate::support::scenario::{Scenario, id};

fn storage(kind: &str, path: &str) -> Storage {
    let storage = World::installed().storages.pop().unwrap();
    Storage { id: format!("disks-{kind}"), kind: kind.to_owned(), path: path.to_owned(), ..storage }
}

/// A node whose disks lie on this storage alone.
fn node_of(kind: &str, path: &str) -> World {
    let mut world = World::installed();
    world.storages.truncate(1);
    world.storages.push(storage(kind, path));
    world
}

fn try_propose(world: &World, extent: Extent, wishes: &Wishes) -> Result<Proposal, Unable> {
    let sandbox = Sandbox::in_memory(world.clone(), Options::default());
    let survey = Survey::of(&sandbox).unwrap();
    let proposal = propose(&survey, &sandbox, extent, wishes);
    assert_eq!(sandbox.changes(), 0, "it only looks");
    proposal
}

/// The proposal as a directory.
fn proposed(world: &World, extent: Extent, wishes: &Wishes) -> (Proposal, TempDir) {
    let proposal = try_propose(world, extent, wishes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in &proposal.files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    (proposal, dir)
}

fn check(dir: &TempDir, world: &World) -> Vec<Finding> {
    let scenario = Scenario::configured(&Dir::Real(dir.path().to_owned()));
    let library = scenario.library();
    let loaded = config::load(&Dir::Real(dir.path().to_owned()), library.catalogue());
    let sandbox = Sandbox::in_memory(world.clone(), Options::default());
    let found = Preflight { site: loaded.site.as_ref().unwrap(), locate: &|_| None, digests: false }.run(&sandbox);
    loaded.findings.into_iter().chain(found.unwrap()).collect()
}

fn chosen<'p>(proposal: &'p Proposal, what: &str) -> &'p str {
    &proposal
        .chosen
        .iter()
        .find(|one| one.what == what)
        .unwrap_or_else(|| panic!("{what}: {:?}", proposal.chosen))
        .value
}

/// Proposed, without a finding, created, and then there is nothing left to do.
#[track_caller]
fn works(world: World, extent: Extent, wishes: &Wishes) -> Proposal {
    let (proposal, dir) = proposed(&world, extent, wishes);
    assert_eq!(check(&dir, &world), [], "{:?}", proposal.files);
    let mut scenario = Scenario::configured(&Dir::Real(dir.path().to_owned()));
    scenario.world = Some(world);
    let ids: Vec<u32> = proposal.guests.iter().map(|id| id.get()).collect();
    scenario.create(&ids).is_fine();
    scenario.create(&ids).is_idle();
    proposal
}

#[test]
fn a_node_as_it_is_installed() {
    let proposal = works(World::installed(), Extent::Minimal, &Wishes::default());
    assert_eq!(proposal.guests, [id(200), id(201)]);
    assert_eq!(chosen(&proposal, "storage"), "local-zfs");
    insta::assert_snapshot!(
        "init-minimal",
        proposal.files.into_iter().map(|(name, text)| format!("{name}\n{text}")).collect::<String>()
    );
}

#[test]
fn the_platform_on_a_node_that_may_hold_snippets() {
    let mut world = World::installed();
    world.storages[0].content.push("snippets".to_owned());
    let proposal = works(world, Extent::Platform, &Wishes::default());
    assert_eq!(proposal.guests.len(), 7);
    let all: String = proposal.files.iter().map(|(_, text)| text.as_str()).collect();
    for foreign in ["10.20.", "tank", "lab.example.org", "BC:24:11"] {
        assert!(!all.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_platform_elsewhere_in_every_way() {
    let mut world = node_of("lvmthin", "vg0");
    world.storages[0].content.push("snippets".to_owned());
    world.bridges[0] = Bridge { name: "vmbr7".to_owned(), address: Some("10.9.8.130/25".to_owned()), mtu: 1500 };
    world.gateway = Some("10.9.8.129".parse().unwrap());
    world.neighbours = ["10.9.8.129", "10.9.8.137"].map(neighbour).into();
    world.resolv_conf = "search lan.example.net\nnameserver 10.9.8.129\n".to_owned();
    world.cpus = 2;
    let wishes = Wishes { first_id: Some(id(5000)), ..Wishes::default() };
    let proposal = works(world, Extent::Platform, &wishes);
    assert_eq!(proposal.guests, (5000..5007).map(id).collect::<Vec<_>>());
    assert_eq!(chosen(&proposal, "domain"), "lan.example.net");
    let all: String = proposal.files.iter().map(|(_, text)| text.as_str()).collect();
    assert!(all.contains("whoami.lan.example.net") && all.contains("\"source\": \"10.9.8.128/25\""), "{all}");
    assert!(!all.contains("10.9.8.137"), "somebody answers there");
}

fn neighbour(address: &str) -> Neighbour {
    Neighbour { address: address.parse().unwrap(), mac: "02:00:00:00:00:77".to_owned() }
}

#[test]
fn any_storage_will_do() {
    for (kind, path) in [("lvmthin", "vg0"), ("btrfs", "/srv/btrfs"), ("dir", "/srv/disks")] {
        let proposal = works(node_of(kind, path), Extent::Minimal, &Wishes::default());
        assert_eq!(chosen(&proposal, "storage"), format!("disks-{kind}"));
    }
}

#[test]
fn of_several_storages_the_able_one_with_most_room() {
    let mut world = World::installed();
    world.storages.push(Storage { size: Some(1 << 45), ..storage("dir", "/srv/big") });
    let mut better = storage("zfspool", "fast");
    better.size = Some(1 << 41);
    world.storages.push(better);
    let (proposal, _) = proposed(&world, Extent::Minimal, &Wishes::default());
    assert_eq!(chosen(&proposal, "storage"), "disks-zfspool");
    let wishes = Wishes { storage: Some("disks-dir".to_owned()), ..Wishes::default() };
    assert_eq!(chosen(&works(world, Extent::Minimal, &wishes), "storage"), "disks-dir");
}

#[test]
fn of_two_bridges_the_one_with_the_way_out_or_the_named_one() {
    let mut world = World::installed();
    world.bridges.insert(0, Bridge { name: "vmbr1".to_owned(), address: Some("10.77.0.1/16".to_owned()), mtu: 1500 });
    let proposal = works(world.clone(), Extent::Minimal, &Wishes::default());
    assert_eq!(chosen(&proposal, "bridge"), "vmbr0");
    let wishes = Wishes { bridge: Some("vmbr1".to_owned()), ..Wishes::default() };
    let proposal = works(world, Extent::Minimal, &wishes);
    assert_eq!((chosen(&proposal, "subnet"), chosen(&proposal, "gateway")), ("10.77.0.0/16", "10.77.0.1"));
}

#[test]
fn ids_and_addresses_that_others_have_are_left_to_them() {
    let sandbox = Sandbox::in_memory(World::installed(), Options::default());
    let words = "pct create 200 local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst --rootfs local-zfs:1 \
                 --hostname other --net0 name=eth0,bridge=vmbr0,ip=192.0.2.21/24";
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    assert!(sandbox.exec(&words, "").unwrap().ok());
    let mut world = sandbox.world();
    world.neighbours.push(neighbour("192.0.2.20"));
    let proposal = works(world, Extent::Minimal, &Wishes::default());
    assert_eq!(proposal.guests, [id(201), id(202)]);
    assert_eq!(chosen(&proposal, "addresses"), "192.0.2.22, 192.0.2.23");
}

#[test]
fn an_older_release() {
    let mut world = World::installed();
    world.version.insert("pve-manager".to_owned(), "8.4.14".to_owned());
    works(world, Extent::Minimal, &Wishes::default());
}

#[test]
fn without_an_address_on_any_bridge() {
    let mut world = World::installed();
    world.bridges[0].address = None;
    let (proposal, dir) = proposed(&world, Extent::Minimal, &Wishes::default());
    assert_eq!(chosen(&proposal, "addresses"), "dhcp");
    assert_eq!(check(&dir, &world), []);
    let Err(Unable::Choose { hint, .. }) = try_propose(&world, Extent::Platform, &Wishes::default()) else { panic!() };
    assert!(hint.contains("--subnet"), "{hint}");
    let wishes = Wishes {
        subnet: Some("198.51.100.0/24".parse().unwrap()),
        gateway: Some(Ipv4Addr::new(198, 51, 100, 1)),
        ..Wishes::default()
    };
    assert!(try_propose(&world, Extent::Platform, &wishes).is_ok());
}

#[test]
fn what_has_to_be_done_on_the_node_first_is_a_finding_with_its_command() {
    let mut world = World::installed();
    world.templates.clear();
    let (proposal, dir) = proposed(&world, Extent::Platform, &Wishes::default());
    assert_eq!(chosen(&proposal, "template"), "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst");
    let hints: Vec<String> = check(&dir, &world).into_iter().filter_map(|finding| finding.hint).collect();
    assert_eq!(hints.len(), 2, "{hints:?}");
    assert!(hints.iter().any(|hint| hint.contains("pveam download local debian-13")), "{hints:?}");
    assert!(hints.iter().any(|hint| hint.contains("pvesm set local --content")), "{hints:?}");
}

#[test]
fn what_cannot_be_chosen_is_said() {
    let refused = |world: &World, wishes: &Wishes| match try_propose(world, Extent::Minimal, wishes) {
        Err(Unable::Choose { message, hint }) => format!("{message} ({hint})"),
        other => panic!("{other:?}"),
    };
    let installed = World::installed();
    let wishes = |change: fn(&mut Wishes)| {
        let mut wishes = Wishes::default();
        change(&mut wishes);
        wishes
    };
    let bridge = wishes(|wishes| wishes.bridge = Some("vmbr3".to_owned()));
    assert_eq!(refused(&installed, &bridge), "the node has no bridge `vmbr3` (did you mean `vmbr0`?)");
    let storage = wishes(|wishes| wishes.storage = Some("ceph".to_owned()));
    assert_eq!(
        refused(&installed, &storage),
        "the node has no storage `ceph` (storages of the node: local, local-zfs)"
    );
    let gateway = wishes(|wishes| wishes.gateway = Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert!(refused(&installed, &gateway).contains("outside 192.0.2.0/24"));
    let subnet = wishes(|wishes| wishes.subnet = Some("198.51.100.0/24".parse().unwrap()));
    assert!(refused(&installed, &subnet).contains("`--gateway ADDRESS`"));
    let mut none = World::installed();
    none.bridges.clear();
    assert!(refused(&none, &Wishes::default()).contains("the node has no bridge"));
}

/// What the shipped files say is what the move expects of them.
#[test]
fn the_shipped_platform_can_be_moved() {
    let loaded = config::load(&Dir::Embedded, &Catalogue::default());
    assert_eq!(loaded.site.unwrap().guests.len(), 7);
}
