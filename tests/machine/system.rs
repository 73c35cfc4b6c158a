//! Packages, repositories, units, services, accounts and the rest of the system.

use std::collections::BTreeMap;

use phoenix::machine::{AptRepo, Group, Key, MachineError, Mount, Packages, Service, User};
use phoenix::op::{Op, OpValue};
use phoenix::sandbox::programs::PackageModel;
use phoenix::secret::Sealed;

use super::bench::{Bench, Models, converges, silent};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn package(depends: &[&str], units: &[&str], programs: &[&str]) -> PackageModel {
    PackageModel { depends: names(depends), units: names(units), programs: names(programs), ..PackageModel::default() }
}

fn models() -> Models {
    let mut models = Models::default();
    models.packages.insert("tool", package(&["libtool"], &[], &["tool"]));
    models.packages.insert("libtool", package(&[], &[], &[]));
    models.packages.insert("web", package(&[], &["web.service"], &[]));
    models.packages.insert("vendor", PackageModel { source: "example.org".to_owned(), ..PackageModel::default() });
    models
}

#[test]
fn packages_come_in_one_transaction_and_the_index_once_per_run() {
    let bench = Bench::with(models());
    let change = converges(&bench, |machine| machine.packages(&names(&["web", "tool", "web"]), &Packages::default()));
    assert_eq!(change.differences.len(), 2);
    let machine = bench.machine();
    bench.quiet();
    machine.packages(&names(&["tool"]), &Packages::default()).unwrap();
    machine.packages(&names(&["web"]), &Packages::default()).unwrap();
    assert_eq!(bench.changes(), ["refresh package index", "install tool", "install web"]);
    bench.quiet();
    machine.packages(&names(&["web", "tool"]), &Packages::default()).unwrap();
    assert_eq!(bench.trips(), 0, "what our own changes taught us is asked again");
    let absent = Packages { absent: true, ..Packages::default() };
    converges(&bench, |machine| machine.packages(&names(&["tool"]), &absent));
    silent(&bench, |machine| machine.packages(&names(&["never"]), &absent));
}

#[test]
fn what_is_no_package_name_is_refused() {
    let error = Bench::new().machine().packages(&names(&["Bad Name"]), &Packages::default()).unwrap_err();
    assert!(matches!(error, MachineError::Invalid(_)));
}

#[test]
fn a_repository_makes_the_index_stale() {
    let bench = Bench::with(models());
    let repo = AptRepo {
        url: "https://example.org/debian".to_owned(),
        key: Some(Key::Content(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n".to_vec())),
        ..AptRepo::default()
    };
    converges(&bench, |machine| machine.apt_repo("vendor", &repo));
    let machine = bench.machine();
    machine.packages(&names(&["tool"]), &Packages::default()).unwrap();
    machine.apt_repo("vendor", &repo).unwrap();
    machine.packages(&names(&["vendor"]), &Packages::default()).unwrap();
    insta::assert_snapshot!(bench.text("/etc/apt/sources.list.d/vendor.sources").unwrap(), @r"
    # Written by phoenix.
    Types: deb
    URIs: https://example.org/debian
    Suites: trixie
    Components: main
    Signed-By: /etc/apt/keyrings/vendor.asc
    ");
    for (name, url) in [("../x", "https://example.org"), ("x", "not a url")] {
        let repo = AptRepo { url: url.to_owned(), ..AptRepo::default() };
        assert!(matches!(machine.apt_repo(name, &repo), Err(MachineError::Invalid(_))));
    }
}

#[test]
fn a_key_comes_by_url_with_or_without_a_digest() {
    let bench = Bench::with(models());
    for sha256 in [Some("ab".repeat(32)), None] {
        let repo = AptRepo {
            url: "https://example.org/debian".to_owned(),
            suite: Some("./".to_owned()),
            key: Some(Key::Url { url: "https://example.org/key.gpg".to_owned(), sha256 }),
            ..AptRepo::default()
        };
        converges(&bench, |machine| machine.apt_repo("vendor", &repo));
        bench.machine().apt_repo("vendor", &repo).unwrap();
        let source = bench.text("/etc/apt/sources.list.d/vendor.sources").unwrap();
        assert!(!source.contains("Components"), "{source}");
        // It is text, whatever it is called.
        assert!(source.ends_with("Signed-By: /etc/apt/keyrings/vendor.asc\n"), "{source}");
    }
}

const UNIT: &str = "[Service]\nExecStart=/usr/bin/cat\n[Install]\nWantedBy=multi-user.target\n";

fn state(bench: &Bench, name: &str) -> phoenix::op::UnitState {
    match bench.prepare(Op::Units { names: names(&[name]) }) {
        OpValue::Units(mut states) => states.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_unit_is_read_by_systemd_when_it_changed_also_after_a_kill() {
    let bench = Bench::with(models());
    converges(&bench, |machine| machine.unit("x", &Sealed::plain(UNIT)));
    bench.machine().unit("x.service", &Sealed::plain(UNIT)).unwrap();
    bench.quiet();
    bench.machine().unit("x", &Sealed::plain(format!("# new\n{UNIT}"))).unwrap();
    assert!(bench.changes().contains(&"reload unit files".to_owned()));
    assert!(matches!(bench.machine().unit("a/b", &Sealed::plain("")), Err(MachineError::Invalid(_))));
}

#[test]
fn a_service_is_started_once_and_restarted_when_its_files_differ() {
    let bench = Bench::with(models());
    bench.machine().unit("x", &Sealed::plain(UNIT)).unwrap();
    bench.put("/etc/x/a.conf", "1");
    let watching = Service { watch: names(&["/etc/x"]), ..Service::default() };
    converges(&bench, |machine| machine.service("x", &watching));
    bench.machine().service("x", &watching).unwrap();
    let now = state(&bench, "x.service");
    assert_eq!((now.active.as_str(), now.enabled.as_str()), ("active", "enabled"));

    bench.put("/etc/x/a.conf", "2");
    bench.put("/etc/x/b.conf", "1");
    bench.quiet();
    let change = bench.machine().service("x", &watching).unwrap();
    assert_eq!(bench.changes()[0], "restart x.service");
    let to = change.differences[0].to.as_deref();
    assert_eq!(to, Some("restarted (/etc/x/a.conf, /etc/x/b.conf changed)"));
    silent(&bench, |machine| machine.service("x", &watching));
}

#[test]
fn a_reload_survives_a_kill_between_write_and_reaction() {
    let bench = Bench::with(models());
    let unit = UNIT.replace("[Install]", "ExecReload=/usr/bin/true\n[Install]");
    bench.machine().unit("x", &Sealed::plain(unit)).unwrap();
    bench.put("/etc/x.conf", "1");
    let watching = Service { watch: names(&["/etc/x.conf"]), reload: true, ..Service::default() };
    bench.machine().service("x", &watching).unwrap();
    bench.put("/etc/x.conf", "2");
    for cut in 0..3 {
        let bench = bench.fork();
        bench.cut_off_after(cut);
        assert!(bench.machine().service("x", &watching).is_err());
        bench.cut_off_after(100);
        bench.quiet();
        assert!(bench.machine().service("x", &watching).unwrap().changed);
        assert_eq!(bench.changes()[0], "reload x.service");
        silent(&bench, |machine| machine.service("x", &watching));
    }
}

#[test]
fn a_service_that_runs_unwatched_is_brought_in_step_once() {
    // What a package starts when it is installed has not read our files.
    let bench = Bench::with(models());
    bench.machine().packages(&names(&["web"]), &Packages::default()).unwrap();
    bench.put("/etc/web.conf", "1");
    let watching = Service { watch: names(&["/etc/web.conf"]), ..Service::default() };
    if state(&bench, "web.service").active == "active" {
        let change = converges(&bench, |machine| machine.service("web", &watching));
        assert_eq!(change.differences[0].to.as_deref(), Some("restarted (first seen with these files)"));
    }
}

#[test]
fn a_service_can_be_stopped_and_a_missing_one_is_fine_then() {
    let bench = Bench::with(models());
    bench.machine().unit("x", &Sealed::plain(UNIT)).unwrap();
    bench.machine().service("x", &Service::default()).unwrap();
    let off = Service { running: Some(false), enabled: Some(false), ..Service::default() };
    converges(&bench, |machine| machine.service("x", &off));
    silent(&bench, |machine| machine.service("none", &off));
    let error = bench.machine().service("none", &Service::default()).unwrap_err();
    assert_eq!(error.to_string(), "unit none.service: does not exist");
    assert!(error.hint().unwrap().contains("`unit`"));
}

#[test]
fn a_service_that_does_not_come_up_is_an_error() {
    let bench = Bench::with(models());
    let unit = "[Service]\nExecStart=/usr/bin/not-there\n[Install]\nWantedBy=multi-user.target\n";
    bench.machine().unit("x", &Sealed::plain(unit)).unwrap();
    let error = bench.machine().service("x", &Service::default()).unwrap_err();
    assert!(matches!(error, MachineError::Unit { .. } | MachineError::Op { .. }), "{error:?}");
    assert!(bench.machine().service("x", &Service::default()).is_err(), "a failed unit counts as right");
}

#[test]
fn users_and_groups() {
    let bench = Bench::with(models());
    let group = Group { gid: Some(1500), ..Group::default() };
    converges(&bench, |machine| machine.group("ops", &group));
    bench.machine().group("ops", &group).unwrap();
    let user = User {
        system: true,
        home: Some("/srv/app".to_owned()),
        shell: Some("/usr/sbin/nologin".to_owned()),
        groups: names(&["ops"]),
        ..User::default()
    };
    let change = converges(&bench, |machine| machine.user("app", &user));
    assert_eq!(change.differences.len(), 2);
    let machine = bench.machine();
    machine.user("app", &user).unwrap();
    let facts = machine.facts().unwrap();
    assert_eq!(facts.user("app").unwrap().home, "/srv/app");
    assert!(facts.group("ops").unwrap().members.contains(&"app".to_owned()));

    let other = User { uid: Some(4), ..User::default() };
    assert!(machine.user("app", &other).unwrap_err().to_string().contains("exists with number"));
    let other = Group { gid: Some(4), ..Group::default() };
    assert!(machine.group("ops", &other).is_err());
    let lost = User { groups: names(&["docker"]), ..User::default() };
    assert!(machine.user("app", &lost).unwrap_err().hint().unwrap().contains("`group`"));
    assert!(matches!(machine.user("Bad:Name", &user), Err(MachineError::Invalid(_))));
}

#[test]
fn kernel_parameters_now_and_at_boot() {
    let bench = Bench::with(models());
    let values = BTreeMap::from([("net.ipv6.conf.all.disable_ipv6".to_owned(), "1".to_owned())]);
    let change = bench.machine().sysctl("phoenix-ipv6", &values).unwrap();
    assert!(change.changed);
    assert!(bench.text("/etc/sysctl.d/phoenix-ipv6.conf").unwrap().ends_with("net.ipv6.conf.all.disable_ipv6 = 1\n"));
    silent(&bench, |machine| machine.sysctl("phoenix-ipv6", &values));
    // The running kernel has another value: set again, although the file is right.
    bench.put("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n");
    bench.quiet();
    assert!(bench.machine().sysctl("phoenix-ipv6", &values).unwrap().changed);
    assert_eq!(bench.changes(), ["sysctl -q -w 'net.ipv6.conf.all.disable_ipv6=1'"]);
    bench.put("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n");
    silent(&bench, |machine| machine.sysctl("phoenix-ipv6", &values));
}

#[test]
fn a_host_name_stands_in_our_own_region() {
    let bench = Bench::with(models());
    bench.put(
        "/etc/hosts",
        "127.0.0.1 localhost\n# --- BEGIN PVE ---\n192.0.2.5 guest.example.org guest\n# --- END PVE ---\n",
    );
    converges(&bench, |machine| machine.hosts("ca.example.org", "192.0.2.9"));
    silent(&bench, |machine| machine.hosts("guest", "192.0.2.5"));
    for (name, address) in [("ca.example.org", "192.0.2.9"), ("db", "2001:db8::1"), ("ca.example.org", "192.0.2.10")] {
        bench.machine().hosts(name, address).unwrap();
    }
    insta::assert_snapshot!(bench.text("/etc/hosts").unwrap(), @r"
    127.0.0.1 localhost
    # --- BEGIN PVE ---
    192.0.2.5 guest.example.org guest
    # --- END PVE ---
    # BEGIN phoenix hosts
    2001:db8::1 db
    192.0.2.10 ca.example.org
    # END phoenix hosts
    ");
    assert!(bench.machine().hosts("x", "300.1.1.1").is_err());
}

#[test]
fn locale_and_time_zone() {
    let bench = Bench::with(models());
    converges(&bench, |machine| machine.locale("en_US.UTF-8"));
    bench.machine().locale("en_US.UTF-8").unwrap();
    assert!(bench.text("/etc/locale.gen").unwrap().contains("\nen_US.UTF-8 UTF-8\n"));
    assert_eq!(bench.text("/etc/default/locale").unwrap(), "LANG=en_US.UTF-8\n");
    converges(&bench, |machine| machine.locale("C.UTF-8"));
    bench.machine().packages(&names(&["locales"]), &Packages { absent: true, ..Packages::default() }).unwrap();
    let error = bench.machine().locale("de_DE.UTF-8").unwrap_err();
    assert!(error.to_string().contains("package locales"), "{error}");

    bench.put("/usr/share/zoneinfo/Europe/Berlin", "TZif");
    converges(&bench, |machine| machine.timezone("Europe/Berlin"));
    let error = bench.machine().timezone("Europe/Berlinn").unwrap_err();
    assert_eq!(error.to_string(), "time zone Europe/Berlinn: is not known to the machine");
}

#[test]
fn a_mount_now_and_at_boot() {
    let bench = Bench::with(models());
    bench.put("/etc/fstab", "# table\n/dev/sdb1 /srv/data ext4 defaults 0 0\n/dev/sda1 / ext4 defaults 0 1\n");
    let mount = Mount { source: "LABEL=a b".to_owned(), fstype: "xfs".to_owned(), options: names(&["ro", "soft"]) };
    bench.machine().mount("/srv/data", &mount).unwrap();
    let table = bench.text("/etc/fstab").unwrap();
    assert_eq!(table, "# table\n/dev/sda1 / ext4 defaults 0 1\nLABEL=a\\040b /srv/data xfs ro,soft 0 0\n");
    silent(&bench, |machine| machine.mount("/srv/data", &mount));
    // Right in the table, but not mounted.
    bench.put("/proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n");
    bench.quiet();
    assert!(bench.machine().mount("/srv/data", &mount).unwrap().changed);
    assert_eq!(bench.changes(), ["mount /srv/data"]);
}
