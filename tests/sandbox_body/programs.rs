//! Built-in programs, models, and what nobody models.

use phoenix::command::Output;
use phoenix::op::{Attributes, Content, Op, OpErrorKind, OpValue};
use phoenix::sandbox::body::{Bind, Body, Template, Unmodelled};
use phoenix::sandbox::programs::{Inside, PackageModel, ProgramCall, Programs, UnitModel};

use super::{around, around_with, booted, exec, exec_op, perform, read, write};

fn install(names: &[&str]) -> Op {
    Op::InstallPackages { names: names.iter().map(|name| (*name).to_owned()).collect(), recommends: false }
}

/// A package `greeter` from a vendor's repository, with a program and a service.
struct Greeter;

impl Programs for Greeter {
    fn knows(&self, program: &str) -> bool {
        program == "greet"
    }

    fn run(&self, call: &ProgramCall, inside: &mut dyn Inside) -> Option<Output> {
        let [_, whom] = call.argv.as_slice() else { return None };
        let name = inside.identity().name;
        inside.write("/var/lib/greeter/last", 0o600, whom).ok()?;
        Some(Output::success(format!("hello {whom}, this is {name}")))
    }

    fn package(&self, name: &str) -> Option<PackageModel> {
        (name == "greeter").then(|| PackageModel {
            version: "2.0".to_owned(),
            source: "packages.example.org".to_owned(),
            units: vec!["greeter.service".to_owned()],
            users: vec!["greeter".to_owned()],
            programs: vec!["greet".to_owned(), "/usr/sbin/greeter".to_owned()],
            files: [("/etc/greeter.conf".to_owned(), "quiet\n".to_owned())].into(),
            ..PackageModel::default()
        })
    }

    fn unit(&self, name: &str) -> Option<UnitModel> {
        (name == "greeter.service").then(|| UnitModel { listens: vec![7], serves: None })
    }
}

#[test]
fn a_modelled_package_comes_with_program_user_and_service() {
    let mut body = booted(Template::Debian12);
    let mut ask = |op: Op| body.perform(&op, &mut around_with(&Greeter)).result;
    let words = |result: Result<OpValue, phoenix::op::OpError>| result.unwrap_err().message;
    let greet = || Op::Exec(exec_op(&["greet", "you"]));

    let OpValue::Output(output) = ask(greet()).unwrap() else { panic!() };
    assert_eq!((output.code, output.assumed), (127, false), "modelled, but not installed");
    assert_eq!(
        words(ask(install(&["greeter"]))),
        "Reading package lists...\nBuilding dependency tree...\nE: Unable to locate package greeter"
    );
    ask(Op::RefreshPackages).unwrap();
    assert_eq!(
        words(ask(install(&["greeter"]))),
        "Reading package lists...\nBuilding dependency tree...\nE: Unable to locate package greeter",
        "its source is missing"
    );
    ask(write(
        "/etc/apt/sources.list.d/g.sources",
        "Types: deb\nURIs: https://packages.example.org/apt\nSuites: stable\nComponents: main\n",
    ))
    .unwrap();
    ask(Op::RefreshPackages).unwrap();
    ask(install(&["greeter"])).unwrap();

    let OpValue::Output(output) = ask(greet()).unwrap() else { panic!() };
    assert_eq!(output.text(), "hello you, this is web");
    let OpValue::Packages(packages) = ask(Op::Packages).unwrap() else { panic!() };
    assert_eq!(packages["greeter"], "2.0");
    let OpValue::Accounts { users, .. } = ask(Op::Accounts).unwrap() else { panic!() };
    assert!(users.iter().any(|user| user.name == "greeter" && user.uid < 1000));
    assert_eq!(ask(Op::Listening).unwrap(), OpValue::Ports([7, 22].into()));

    ask(Op::RemovePackages { names: vec!["greeter".to_owned()] }).unwrap();
    assert_eq!(ask(Op::Listening).unwrap(), OpValue::Ports([22].into()));
    let OpValue::Stat(conf) = ask(Op::Stat { path: "/etc/greeter.conf".to_owned() }).unwrap() else { panic!() };
    assert!(conf.is_some(), "configuration files stay");
    let OpValue::Output(output) = ask(greet()).unwrap() else { panic!() };
    assert_eq!(output.code, 127);
}

#[test]
fn what_nobody_models_is_assumed_or_unknown() {
    let mut body = booted(Template::Debian12);
    let ask = |body: &mut Body, unmodelled| {
        let mut around = around();
        around.unmodelled = unmodelled;
        body.perform(&Op::Exec(exec_op(&["frobnicate", "--all"])), &mut around).result
    };
    let OpValue::Output(output) = ask(&mut body, Unmodelled::Assumed).unwrap() else { panic!() };
    assert_eq!(output, Output { assumed: true, ..Output::default() });
    assert_eq!(ask(&mut body, Unmodelled::Unknown).unwrap_err().kind, OpErrorKind::Unknown);
    perform(&mut body, Op::RefreshPackages).unwrap();
    let words = perform(&mut body, install(&["frobnicator"])).unwrap_err().message;
    assert_eq!(
        words,
        "Reading package lists...\nBuilding dependency tree...\n\
         E: Unable to locate package frobnicator (not modelled: name it under `packages` in a .model.rhai file)"
    );
}

#[test]
fn packages_of_debian_start_their_services_unless_forbidden() {
    let mut body = booted(Template::Debian12);
    perform(&mut body, Op::RefreshPackages).unwrap();
    perform(&mut body, install(&["nginx", "libnginx-mod-stream"])).unwrap();
    assert_eq!(exec(&mut body, &["systemctl", "is-active", "nginx"]), (0, "active\n".to_owned()));
    assert_eq!(perform(&mut body, Op::Listening).unwrap(), OpValue::Ports([22, 80].into()));
    perform(&mut body, write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")).unwrap();
    perform(&mut body, install(&["haproxy"])).unwrap();
    assert_eq!(exec(&mut body, &["systemctl", "is-active", "haproxy"]), (3, "inactive\n".to_owned()));
    assert_eq!(exec(&mut body, &["systemctl", "is-enabled", "haproxy"]), (0, "enabled\n".to_owned()));
}

#[test]
fn without_a_mirror_nothing_is_installed() {
    let mut body = booted(Template::Debian12);
    let mut around = around();
    around.faults.no_mirror = true;
    let error = body.perform(&Op::RefreshPackages, &mut around).result.unwrap_err();
    assert!(error.message.contains("Failed to fetch"), "{error}");
}

#[test]
fn a_small_shell_runs_lists_pipes_and_redirections() {
    let mut body = booted(Template::Debian12);
    perform(&mut body, write("/srv/a b", "text")).unwrap();
    let cases = [
        ("cat '/srv/a b'", 0, "text"),
        ("cat '/srv/a b' | wc -c", 0, "4\n"),
        ("a='1  2'; echo $a \"$a\"", 0, "1 2 1  2\n"),
        ("cd /srv && pwd", 0, "/srv\n"),
        ("true && false", 1, ""),
        ("echo a > /srv/c; echo b >> /srv/c; cat < /srv/c; exit 7", 7, "a\nb\n"),
        ("cat /nosuch 2>/dev/null || echo none", 0, "none\n"),
    ];
    for (line, code, said) in cases {
        assert_eq!(exec(&mut body, &["sh", "-c", line]), (code, said.to_owned()), "{line}");
    }
}

#[test]
fn what_the_shell_cannot_do_is_refused_before_anything_runs() {
    let mut body = booted(Template::Debian12);
    for line in ["cat /srv/*", "`id`", "echo $(id)", "touch /srv/x; if true; then :; fi", "touch /srv/x; frobnicate"] {
        let (code, said) = exec(&mut body, &["sh", "-c", line]);
        assert_eq!(code, 2, "{line}");
        assert!(said.contains(".model.rhai file"), "{said}");
    }
    assert_eq!(exec(&mut body, &["test", "-e", "/srv/x"]).0, 1);
}

#[test]
fn built_in_programs() {
    let mut body = booted(Template::Debian12);
    perform(&mut body, write("/srv/empty", "")).unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["true"], 0, ""),
        (&["/bin/false"], 1, ""),
        (&["echo", "-n", "a", "b"], 0, "a b"),
        (&["test", "-f", "/etc/passwd"], 0, ""),
        (&["test", "!", "-s", "/srv/empty"], 0, ""),
        (&["[", "-d", "/etc/passwd", "]"], 1, ""),
        (&["test", "a", "=", "b"], 1, ""),
        (&["ls", "/etc/ssl"], 0, "certs\nprivate\n"),
        (&["id", "-u"], 0, "0\n"),
        (&["id", "daemon"], 0, "uid=1(daemon) gid=1(daemon) groups=1(daemon)\n"),
        (&["id", "nobody-knows"], 1, "id: ‘nobody-knows’: no such user\n"),
        (&["getent", "passwd", "daemon"], 0, "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"),
        (&["getent", "group", "nogroup"], 0, "nogroup:x:65534:\n"),
        (&["getent", "hosts", "localhost"], 0, "127.0.0.1\tlocalhost\n"),
        (&["getent", "passwd", "who"], 2, ""),
        (&["hostname"], 0, "web\n"),
        (&["hostname", "-I"], 0, "192.0.2.10\n"),
        (&["uname", "-m"], 0, "x86_64\n"),
        (&["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", "bash"], 0, "bash installed\n"),
        (&["dpkg-query", "-W", "nope"], 1, "dpkg-query: no packages found matching nope\n"),
        (&["dpkg", "--print-architecture"], 0, "amd64\n"),
        (&["systemctl", "show", "-p", "ActiveState,SubState", "--value", "cron"], 0, "active\nrunning\n"),
        (
            &["systemctl", "is-enabled", "nothing"],
            1,
            "Failed to get unit file state for nothing.service: No such file or directory\n",
        ),
        (&["systemctl", "start", "nothing"], 5, "Failed to start nothing.service: Unit nothing.service not found.\n"),
        (&["sysctl", "-n", "net.ipv4.ip_forward"], 0, "0\n"),
        (&["sysctl", "-w", "net.ipv4.ip_forward=1"], 0, "net.ipv4.ip_forward = 1\n"),
        (&["sysctl", "-n", "net.ipv4.ip_forward"], 0, "1\n"),
        (
            &["sysctl", "-q", "-w", "vm.swappiness=1"],
            1,
            "sysctl: setting key \"vm.swappiness\": Read-only file system\n",
        ),
        (&["sysctl", "no.such"], 1, "sysctl: cannot stat /proc/sys/no/such: No such file or directory\n"),
        (&["timedatectl", "set-timezone", "Europe/Vienna"], 0, ""),
        (&["timedatectl", "show", "-p", "Timezone", "--value"], 0, "Europe/Vienna\n"),
        (&["update-locale", "LANG=en_US.UTF-8"], 0, ""),
        (&["ss", "-ltnH"], 0, "LISTEN 0      4096         0.0.0.0:22      0.0.0.0:*\n"),
        (&["ip", "route"], 0, "default dev eth0\n192.0.2.0/24 dev eth0 proto kernel scope link\n"),
        (&["mountpoint", "-q", "/srv"], 32, ""),
        (&["/etc/passwd"], 126, "timeout: failed to run command ‘/etc/passwd’: Permission denied\n"),
    ];
    for (argv, code, said) in cases {
        assert_eq!(exec(&mut body, argv), (*code, (*said).to_owned()), "{argv:?}");
    }
    assert_eq!(read(&mut body, "/etc/default/locale").as_deref(), Some("LANG=en_US.UTF-8\n"));
}

#[test]
fn locales_are_made_as_listed() {
    let mut body = booted(Template::Debian12);
    perform(&mut body, write("/etc/locale.gen", "# en_GB.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n")).unwrap();
    assert_eq!(exec(&mut body, &["locale-gen"]).0, 0);
    assert_eq!(exec(&mut body, &["locale", "-a"]), (0, "C\nC.utf8\nPOSIX\nen_US.utf8\n".to_owned()));
    perform(&mut body, write("/etc/locale.gen", "klingon UTF-8\n")).unwrap();
    assert_eq!(exec(&mut body, &["locale-gen"]).0, 1);
}

#[test]
fn a_local_authority_comes_into_the_bundle_and_goes() {
    let mut body = booted(Template::Debian12);
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let before = read(&mut body, bundle).unwrap();
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    perform(&mut body, write("/usr/local/share/ca-certificates/mine.crt", pem)).unwrap();
    let (code, said) = exec(&mut body, &["update-ca-certificates"]);
    assert_eq!(code, 0);
    assert!(said.contains("1 added, 0 removed; done."), "{said}");
    let after = read(&mut body, bundle).unwrap();
    assert!(after.contains(pem) && after.len() == before.len() + pem.len());
    assert_eq!(read(&mut body, "/etc/ssl/certs/mine.pem").as_deref(), Some(pem));
    perform(&mut body, Op::Remove { path: "/usr/local/share/ca-certificates/mine.crt".to_owned(), recursive: false })
        .unwrap();
    assert!(exec(&mut body, &["update-ca-certificates", "--fresh"]).1.contains("0 added, 1 removed; done."));
    assert_eq!(read(&mut body, bundle), Some(before));
}

#[test]
fn files_of_the_node_come_by_copy_and_by_mount() {
    let mut node = Body::of_template(Template::Debian13);
    perform(&mut node, write("/srv/tool", "tool")).unwrap();
    let mut guest = booted(Template::Debian12);
    let binds = [Bind { at: "/mnt/shared".to_owned(), from: "/srv".to_owned(), read_only: false, root_id: 0 }];
    let mut ask = |guest: &mut Body, op: Op| {
        let mut around = around();
        around.node = Some(&mut node);
        around.binds = &binds;
        guest.perform(&op, &mut around).result
    };
    let sha256 = "2aa8ebe2b5a5ceabd3e3f1e2c5bb03d7ec7aa92a4cbcf77cab0d2b93e2ba1fbd".to_owned();
    let carry = |sha256: String| Op::Write {
        path: "/usr/local/bin/tool".to_owned(),
        content: Content::NodeFile { path: "/srv/tool".to_owned(), sha256 },
        attributes: Attributes::default(),
        guard: None,
    };
    assert_eq!(ask(&mut guest, carry(sha256)).unwrap_err().kind, OpErrorKind::Conflict);
    let OpValue::Digest(Some(sha256)) = ask(&mut guest, Op::Digest { path: "/mnt/shared/tool".to_owned() }).unwrap()
    else {
        panic!()
    };
    ask(&mut guest, carry(sha256)).unwrap();
    assert_eq!(read(&mut guest, "/usr/local/bin/tool").as_deref(), Some("tool"));

    ask(&mut guest, write("/mnt/shared/note", "from the guest")).unwrap();
    assert_eq!(read(&mut guest, "/mnt/shared/note"), None, "it is the node's");
    assert_eq!(read(&mut node, "/srv/note").as_deref(), Some("from the guest"));
}

#[test]
fn what_is_fetched_has_the_digest_that_was_asked_for() {
    let mut node = Body::of_template(Template::Debian13);
    let sha256 = "ab".repeat(32);
    let fetch = |member: Option<&str>, path: &str| Op::Fetch {
        url: "https://example.org/tool.tar.gz".to_owned(),
        sha256: Some(sha256.clone()),
        member: member.map(str::to_owned),
        path: path.to_owned(),
    };
    perform(&mut node, fetch(None, "/var/cache/tool")).unwrap();
    assert_eq!(
        perform(&mut node, Op::Digest { path: "/var/cache/tool".to_owned() }).unwrap(),
        OpValue::Digest(Some(sha256.clone()))
    );
    perform(&mut node, fetch(Some("tool"), "/var/cache/member")).unwrap();
    assert_eq!(
        perform(&mut node, Op::Digest { path: "/var/cache/member".to_owned() }).unwrap(),
        OpValue::Digest(Some(sha256.clone()))
    );
}
