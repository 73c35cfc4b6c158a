//! Verbs of the node: what is there is compared, what others made stays, what would do harm is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use phoenix::event::Discard;
use phoenix::machine::{
    Change, File, Machine, MachineError, NfsExport, NodeFirewall, NodeStorage, Packages, Report, Scope, Timer,
    ZfsDataset, ZfsPool,
};
use phoenix::op::{Attributes, Op, Place};
use phoenix::script::{Entry, StagedGuest};
use phoenix::secret::Sealed;
use serde_json::json;

use super::stage::{Stage, feature, shown};

const DISKS: [&str; 2] = ["/dev/disk/by-id/ata-SAMPLE_1", "/dev/disk/by-id/ata-SAMPLE_2"];

fn stage() -> Stage {
    Stage::of_body("")
}

fn node(stage: &Stage) -> Machine {
    Machine::new(stage.stand.host().clone(), Place::Node, Report { guest: None, events: Arc::new(Discard) })
}

fn put(stage: &Stage, path: &str, text: &str) {
    let (above, _) = path.rsplit_once('/').unwrap();
    node(stage).dir(above, &Attributes::default()).unwrap();
    node(stage).file(path, &File::text(Sealed::plain(text))).unwrap();
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The first call changes something, the second one nothing.
#[track_caller]
fn converges(stage: &Stage, call: impl Fn(&Machine) -> Result<Change, MachineError>) -> Change {
    let first = call(&node(stage)).unwrap();
    assert!(first.changed, "nothing was changed: {first:?}");
    let again = call(&node(stage)).unwrap();
    assert!(!again.changed, "changed once more: {again:?}");
    first
}

/// A refusal, in its words.
#[track_caller]
fn refused(stage: &Stage, call: impl Fn(&Machine) -> Result<Change, MachineError>) -> String {
    let error = call(&node(stage)).unwrap_err();
    assert!(!matches!(error, MachineError::Conflict { hint: None, .. }), "nothing is said about what to do: {error}");
    error.to_string()
}

fn mirror(disks: &[&str]) -> ZfsPool {
    ZfsPool { raid: "mirror".to_owned(), disks: words(disks), ..ZfsPool::default() }
}

#[test]
fn a_pool_is_made_compared_and_never_made_anew() {
    let stage = stage();
    let pool = ZfsPool { properties: settings(&[("compression", "lz4")]), ..mirror(&DISKS) };
    converges(&stage, |node| node.zfs_pool("tank", &pool));
    // The disks by the kernel's names, in another order, are the same pool.
    assert!(!node(&stage).zfs_pool("tank", &mirror(&["/dev/sdz", "/dev/sdy"])).unwrap().changed);
    let tuned = ZfsPool {
        options: settings(&[("autotrim", "on")]),
        properties: settings(&[("compression", "zstd"), ("recordsize", "1M")]),
        ..mirror(&DISKS)
    };
    let change = converges(&stage, |node| node.zfs_pool("tank", &tuned));
    let told: Vec<&str> = change.differences.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!(told, ["tank autotrim", "tank compression", "tank recordsize"]);

    let stripe = ZfsPool { raid: "stripe".to_owned(), ..mirror(&DISKS) };
    let said = refused(&stage, |node| node.zfs_pool("tank", &stripe));
    let reason = "ZFS pool tank: is made of `mirror /dev/sdy /dev/sdz`, and `/dev/sdy /dev/sdz` is declared";
    assert_eq!(said, reason);
    let wide = ZfsPool { options: settings(&[("ashift", "13")]), ..mirror(&DISKS) };
    assert!(refused(&stage, |node| node.zfs_pool("tank", &wide)).contains("ashift"));
}

#[test]
fn disks_that_hold_anything_are_refused() {
    for (text, reason) in [
        ("ext4", "holds `ext4`"),
        ("gpt ext4 swap", "has 2 partitions or holders"),
        ("gpt", "has a partition table (gpt)"),
        ("zfs_member", "holds `zfs_member`"),
    ] {
        let stage = stage();
        put(&stage, "/dev/sdy", text);
        let said = refused(&stage, |node| node.zfs_pool("tank", &mirror(&DISKS)));
        assert_eq!(said, format!("disk {}: {reason}", DISKS[0]));
        assert_eq!(node(&stage).read("/dev/sdy").unwrap().as_deref(), Some(text), "something was written to it");
    }
    let stage = stage();
    assert!(refused(&stage, |node| node.zfs_pool("tank", &mirror(&["/dev/sdy", "/dev/none"]))).contains("is no disk"));
    for (raid, disks) in [("mirror", &DISKS[..1]), ("raidz1", &DISKS[..]), ("raid5", &DISKS[..])] {
        let pool = ZfsPool { raid: raid.to_owned(), ..mirror(disks) };
        assert!(matches!(node(&stage).zfs_pool("tank", &pool), Err(MachineError::Invalid(_))), "{raid}");
    }
    for name in ["mirror", "raidz-x", "9tank", "ta/nk"] {
        assert!(matches!(node(&stage).zfs_pool(name, &mirror(&DISKS)), Err(MachineError::Invalid(_))), "{name}");
    }
}

#[test]
fn a_dataset_comes_with_those_above_it_and_keeps_what_it_holds() {
    let stage = stage();
    let dataset = |pairs: &[(&str, &str)]| ZfsDataset { properties: settings(pairs) };
    let first = dataset(&[("mountpoint", "/srv/shared"), ("quota", "50G")]);
    converges(&stage, |node| node.zfs_dataset("rpool/shared/models", &first));
    put(&stage, "/srv/shared/kept", "x");
    let change = converges(&stage, |node| node.zfs_dataset("rpool/shared/models", &dataset(&[("quota", "none")])));
    assert_eq!(change.differences[0].from.as_deref(), Some("53687091200"));
    assert!(!node(&stage).zfs_dataset("rpool/shared", &ZfsDataset::default()).unwrap().changed, "it came along");
    assert_eq!(node(&stage).read("/srv/shared/kept").unwrap().as_deref(), Some("x"));
    let encrypted = dataset(&[("encryption", "on")]);
    assert!(refused(&stage, |node| node.zfs_dataset("rpool/shared", &encrypted)).contains("encryption=off"));
    assert!(refused(&stage, |node| node.zfs_dataset("none/x", &first)).contains("failed with exit status 1"));
    assert!(matches!(node(&stage).zfs_dataset("rpool", &first), Err(MachineError::Invalid(_))));
}

#[test]
fn a_storage_keeps_what_is_not_named() {
    let stage = stage();
    put(&stage, "/srv/images/x", "");
    let storage = |kind: &str, pairs: &[(&str, &str)]| NodeStorage { kind: kind.to_owned(), options: settings(pairs) };
    let images =
        storage("dir", &[("path", "/srv/images"), ("content", "iso,vztmpl"), ("prune-backups", "keep-last=3")]);
    converges(&stage, |node| node.storage("images", &images));
    // Another order is no difference.
    let more = storage("dir", &[("content", "vztmpl,iso")]);
    assert!(!node(&stage).storage("images", &more).unwrap().changed);
    let snippets = storage("dir", &[("content", "iso,vztmpl,snippets")]);
    converges(&stage, |node| node.storage("images", &snippets));
    let text = node(&stage).read("/etc/pve/storage.cfg").unwrap().unwrap();
    assert!(text.contains("keep-last=3"), "{text}");
    let other = refused(&stage, |node| node.storage("images", &storage("zfspool", &[("pool", "rpool/images")])));
    assert_eq!(other, "storage images: is of type `dir`, and `zfspool` is declared");
    let moved = refused(&stage, |node| node.storage("images", &storage("dir", &[("path", "/srv/else")])));
    assert_eq!(moved, "storage images: has path /srv/images, and /srv/else is declared");
    let said = refused(&stage, |node| node.storage("backups", &storage("dir", &[("nonsense", "1")])));
    assert!(said.contains("pvesm add"), "{said}");
}

#[test]
fn an_export_has_a_file_of_its_own_and_leaves_those_of_others_alone() {
    let stage = stage();
    let export = NfsExport { clients: words(&["192.0.2.0/24", "198.51.100.7"]), ..NfsExport::default() };
    assert!(refused(&stage, |node| node.nfs_export("/srv/shared", &export)).contains("the directory is not there"));
    put(&stage, "/srv/shared/x", "");
    assert!(refused(&stage, |node| node.nfs_export("/srv/shared", &export)).contains("there is no NFS server"));
    node(&stage).packages(&words(&["nfs-kernel-server"]), &Packages::default()).unwrap();
    put(&stage, "/etc/exports", "/srv 192.0.2.9(ro)\n");
    put(&stage, "/etc/exports.d/other.exports", "/srv/other *(ro)\n");
    node(&stage).dir("/srv/other", &Attributes::default()).unwrap();
    converges(&stage, |node| node.nfs_export("/srv/shared", &export));
    let table = node(&stage).read("/var/lib/nfs/etab").unwrap().unwrap();
    assert_eq!(
        table,
        "/srv 192.0.2.9(ro)\n/srv/other *(ro)\n/srv/shared 192.0.2.0/24(rw,sync,no_subtree_check) 198.51.100.7(rw,sync,no_subtree_check)\n"
    );
    let said = refused(&stage, |node| node.nfs_export("/srv/other", &export));
    assert_eq!(said, "NFS export /srv/other: /etc/exports.d/other.exports exports it already");
    converges(&stage, |node| node.nfs_export("/srv/shared", &NfsExport { absent: true, ..NfsExport::default() }));
    assert!(!node(&stage).read("/var/lib/nfs/etab").unwrap().unwrap().contains("/srv/shared"));
    let bad = NfsExport { clients: words(&["*(no_root_squash)"]), ..NfsExport::default() };
    assert!(matches!(node(&stage).nfs_export("/srv/shared", &bad), Err(MachineError::Invalid(_))));
}

fn rules(rules: &[&str], options: &[(&str, &str)]) -> NodeFirewall {
    NodeFirewall { scope: Scope::Cluster, options: settings(options), rules: words(rules) }
}

#[test]
fn rules_of_others_stay_and_nobody_is_locked_out() {
    let stage = stage();
    let theirs = "[OPTIONS]\n\nenable: 0\nlog_level_in: info\n\n[IPSET office]\n\n192.0.2.0/24\n\n[RULES]\n\n\
                  IN ACCEPT -source +office -p tcp -dport 443 # theirs\nIN DROP -p udp # phoenix-like\n";
    put(&stage, "/etc/pve/firewall/cluster.fw", theirs);
    let ours = "IN ACCEPT -source 192.0.2.0/24 -p tcp -dport 20:25,8006 # operators";
    for dangerous in [
        rules(&[], &[("enable", "1")]),
        rules(&["IN ACCEPT -p tcp -dport 80"], &[("enable", "1")]),
        rules(&["IN ACCEPT -p udp -dport 53"], &[("enable", "1"), ("policy_in", "DROP")]),
        rules(&["|IN ACCEPT -p tcp -dport 22"], &[("enable", "1"), ("policy_in", "REJECT")]),
        rules(&["IN SSH(DROP)"], &[("enable", "1")]),
    ] {
        assert!(
            refused(&stage, |node| node.firewall("web", &dangerous)).contains("would let nobody in"),
            "{dangerous:?}"
        );
    }
    assert_eq!(node(&stage).read("/etc/pve/firewall/cluster.fw").unwrap().as_deref(), Some(theirs));
    let wanted = rules(&[ours, "IN Ping(ACCEPT)"], &[("enable", "1"), ("policy_in", "DROP")]);
    converges(&stage, |node| node.firewall("management", &wanted));
    converges(&stage, |node| node.firewall("web", &rules(&["IN HTTPS(ACCEPT)"], &[])));
    insta::assert_snapshot!(node(&stage).read("/etc/pve/firewall/cluster.fw").unwrap().unwrap());
    // The last rule that lets the operator in does not go while the firewall is on.
    assert!(refused(&stage, |node| node.firewall("management", &rules(&[], &[]))).contains("would let nobody in"));
    converges(&stage, |node| node.firewall("web", &rules(&[], &[])));
    for bad in ["IN ALLOW", "nonsense", "IN ACCEPT -bad x"] {
        assert!(matches!(node(&stage).firewall("bad", &rules(&[bad], &[])), Err(MachineError::Invalid(_))), "{bad}");
    }
}

#[test]
fn what_proxmox_cannot_compile_is_taken_back() {
    let stage = stage();
    let ssh = rules(&["IN SSH(ACCEPT)"], &[("enable", "1")]);
    converges(&stage, |node| node.firewall("management", &ssh));
    let before = node(&stage).read("/etc/pve/firewall/cluster.fw").unwrap();
    let said = refused(&stage, |node| node.firewall("web", &rules(&["GROUP nobody-made-it"], &[])));
    assert!(said.contains("no such security group 'nobody-made-it'"), "{said}");
    assert_eq!(node(&stage).read("/etc/pve/firewall/cluster.fw").unwrap(), before);
    let own = NodeFirewall { scope: Scope::Node, ..rules(&["IN ACCEPT -p tcp -dport 9100"], &[]) };
    converges(&stage, |node| node.firewall("metrics", &own));
}

#[test]
fn a_record_is_answered_for_from_now_on() {
    let stage = stage();
    let ip = |text: &str| Some(text.parse().unwrap());
    assert!(refused(&stage, |node| node.dns_record("a.example.org", ip("192.0.2.1"))).contains("dnsmasq"));
    node(&stage).packages(&words(&["dnsmasq"]), &Packages::default()).unwrap();
    converges(&stage, |node| node.dns_record("a.example.org", ip("192.0.2.1")));
    let did = |call: &dyn Fn(&Machine) -> Result<Change, MachineError>| {
        let change = call(&node(&stage)).unwrap();
        change
            .differences
            .iter()
            .filter(|it| it.what.starts_with("unit"))
            .filter_map(|it| it.to.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(did(&|node| node.dns_record("b.example.org", ip("192.0.2.2"))), ["reloaded"]);
    // A run that was killed between the file and the reload reloads in the next one.
    put(&stage, "/etc/phoenix/dns.hosts", "# Written by phoenix.\n192.0.2.1 a.example.org\n192.0.2.3 b.example.org\n");
    assert_eq!(did(&|node| node.dns_record("b.example.org", ip("192.0.2.3"))), ["reloaded"]);
    converges(&stage, |node| node.dns_record("a.example.org", None));
    assert_eq!(
        node(&stage).read("/etc/phoenix/dns.hosts").unwrap().unwrap(),
        "# Written by phoenix.\n192.0.2.3 b.example.org\n"
    );
    for name in ["-a", "a_b", "a..b", "a b", ""] {
        assert!(matches!(node(&stage).dns_record(name, ip("192.0.2.1")), Err(MachineError::Invalid(_))), "{name}");
    }
}

#[test]
fn a_timer_waits_and_is_taken_away_again() {
    let stage = stage();
    let timer = Timer {
        on_calendar: "daily".to_owned(),
        exec: words(&["sh", "-c", "echo \"$HOME\""]),
        persistent: true,
        ..Timer::default()
    };
    converges(&stage, |node| node.timer("report", &timer));
    insta::assert_snapshot!(
        ["report.service", "report.timer"]
            .map(|unit| node(&stage).read(&format!("/etc/systemd/system/{unit}")).unwrap().unwrap())
            .join("--\n")
    );
    let units = node(&stage).host().perform(Place::Node, &[Op::Units { names: words(&["report.timer"]) }]).unwrap();
    assert!(format!("{units:?}").contains("\"active\", sub: \"waiting\", enabled: \"enabled\""), "{units:?}");
    converges(&stage, |node| node.timer("report", &Timer { on_calendar: "weekly".to_owned(), ..timer.clone() }));
    converges(&stage, |node| node.timer_absent("report"));
    assert!(!node(&stage).exists("/etc/systemd/system/report.timer").unwrap());
}

const CALLS: [&str; 7] = [
    "zfs_pool(\"t\", #{ disks: [\"/dev/sdy\"] })",
    "zfs_dataset(\"rpool/x\")",
    "storage(\"images\", #{ type: \"dir\", options: #{ path: \"/srv\" } })",
    "nfs_export(\"/srv\", #{ clients: [\"192.0.2.1\"] })",
    "firewall(\"x\", #{ rules: [] })",
    "dns_record(\"a.example.org\", \"192.0.2.1\")",
    "timer(\"x\", #{ on_calendar: \"daily\", exec: [\"true\"] })",
];

#[test]
fn a_guest_has_none_of_it() {
    for call in CALLS {
        // Known before anything runs where the guest is known as one; at run time where it is not.
        let name = call.split('(').next().unwrap();
        let stage = Stage::of_body(&format!("    guest.{call};"));
        let said = stage.failure();
        assert!(said.contains(&format!("a guest has no method `{name}`")), "{said}");
        let hidden = format!("    let all = [guest];\n    let it = all[0];\n    it.{call};");
        let said = Stage::of_body(&hidden).failure();
        assert!(said.contains(&format!("a guest has no `{name}`")), "{said}");
    }
}

#[test]
fn a_rehearsal_predicts_and_changes_nothing() {
    let all: String = CALLS.iter().map(|call| format!("    node.{call};\n")).collect();
    let body = format!(
        "    node.packages([\"dnsmasq\", \"nfs-kernel-server\"]);\n{all}    node.timer(\"gone\", #{{ state: \"absent\" }});"
    );
    let text = feature("", &body).replace("\"lxc\"", "\"node\"").replace("apply(guest", "apply(node");
    let stage = Stage::new(&[("features/x.rhai", &text)]);
    let run = |stand: &phoenix::testing::Stand| {
        std::thread::scope(|scope| {
            let run = || stand.run(Entry::Apply, "x", &json!({})).map_err(|error| shown(&error));
            phoenix::script::thread("x").spawn_scoped(scope, run).unwrap().join().unwrap()
        })
    };
    assert!(run(&stage.stand.rehearsal()).unwrap().changed);
    assert!(!node(&stage).exists("/etc/systemd/system/x.timer").unwrap());
    assert!(run(&stage.stand).unwrap().changed);
    assert!(!run(&stage.stand).unwrap().changed);
}
