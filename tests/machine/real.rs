//! The same primitives through the production channel, in a real systemd container: what the models cannot prove.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phoenix::event::{Collect, Discard, Event};
use phoenix::host::HostHandle;
use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::Local;
use phoenix::host::record::{Counts, Recorder};
use phoenix::machine::{
    Block, Change, Condition, Exec, File, Group, Line, Machine, MachineError, Mount, Packages, Report, SealedJson,
    Service, User, Wait, shell,
};
use phoenix::op::Attributes;
use phoenix::secret::Sealed;
use serde_json::json;

use crate::support::container::Container;

/// A container, and how much was changed in it.
struct Real {
    container: Container,
    host: HostHandle,
    counts: Counts,
}

impl Real {
    fn boot() -> Real {
        let counts = Counts::default();
        let local: HostHandle = Arc::new(Local::new(Interrupt::new()).unwrap());
        let host = Arc::new(Recorder::new(local, Arc::new(Discard), None, counts.clone()));
        Real { container: Container::boot(), host, counts }
    }

    fn machine(&self) -> Machine {
        let report = Report { guest: Some(self.container.id()), events: Arc::new(Discard) };
        Machine::new(self.host.clone(), self.container.place(), report)
    }

    /// The first call changes something, the second one, which knows nothing of the first, sends no changing Op.
    #[track_caller]
    fn converges(&self, call: impl Fn(&Machine) -> Result<Change, MachineError>) -> Change {
        let first = call(&self.machine()).unwrap();
        assert!(first.changed, "the first call changed nothing: {first:?}");
        self.silent(call);
        first
    }

    #[track_caller]
    fn silent(&self, call: impl Fn(&Machine) -> Result<Change, MachineError>) {
        let before = self.counts.changes();
        let again = call(&self.machine()).unwrap();
        assert!(!again.changed, "changed once more: {again:?}");
        assert_eq!(self.counts.changes(), before, "changing operations for {}", again.what);
    }
}

fn plain(text: &str) -> File {
    File::text(Sealed::plain(text))
}

fn mode(mode: u32) -> Attributes {
    Attributes { mode: Some(mode), ..Attributes::default() }
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const UNIT: &str =
    "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/true\n[Install]\nWantedBy=multi-user.target\n";

#[test]
fn primitives_converge_in_a_real_container() {
    let real = Real::boot();
    files(&real);
    programs(&real);
    system(&real);
    services(&real);
}

/// Another program holds dpkg's lock for some seconds: who it is is told, and its end waited for. A name that is nearly
/// right is suggested out of apt's own lists, and a mirror that cannot be reached is told by its name.
#[test]
fn package_failures_are_told_apart_in_a_real_container() {
    let real = Real::boot();
    let events = Arc::new(Collect::default());
    let report = Report { guest: Some(real.container.id()), events: events.clone() };
    let machine = Machine::new(real.host.clone(), real.container.place(), report);
    real.container.sh(
        "setsid apt-get -y -o 'DPkg::Pre-Invoke::=touch /tmp/held; sleep 8' install patch </dev/null >/tmp/log 2>&1 &\n\
         for i in $(seq 100); do test -e /tmp/held && exit 0; sleep 0.2; done; cat /tmp/log >&2; exit 1",
    );
    let began = Instant::now();
    machine.packages(&argv(&["tree"]), &Packages::default()).unwrap();
    let waited = |event: &Event| matches!(event, Event::Waiting { on, .. } if on.contains("(apt-get) holds"));
    assert!(events.events().iter().any(|stamped| waited(&stamped.event)), "{:?}", events.events());
    println!("waited {:.1} s for the lock", began.elapsed().as_secs_f64());

    let error = machine.packages(&argv(&["openssh-sever"]), &Packages::default()).unwrap_err();
    assert!(error.hint().unwrap().contains("`openssh-server`"), "{error:?}");
    real.container.sh("echo 'deb http://mirror.invalid/debian stable main' > /etc/apt/sources.list.d/none.list");
    let error = real.machine().packages(&argv(&["file"]), &Packages::default()).unwrap_err();
    let said = "packages file: the name of the package mirror cannot be resolved: mirror.invalid";
    assert_eq!(error.to_string(), said, "{error:?}");
}

fn files(real: &Real) {
    real.converges(|machine| machine.dir("/srv/a/b", &mode(0o750)));
    real.silent(|machine| machine.dir("/bin", &mode(0o755)));
    real.converges(|machine| machine.file("/srv/a/x", &File { attributes: mode(0o640), ..plain("one\n") }));
    let change = real.converges(|machine| machine.file("/srv/a/x", &plain("two\n")));
    assert!(change.diff().contains("-<masked>\n+two"), "{}", change.diff());
    assert_eq!(real.container.sh("stat -c '%a %U' /srv/a/x"), "640 root\n");
    let checked = |text: &str| File { validate: argv(&["grep", "-q", "good", "%s"]), ..plain(text) };
    real.converges(|machine| machine.file("/srv/a/v", &checked("good\n")));
    assert!(matches!(real.machine().file("/srv/a/v", &checked("bad\n")), Err(MachineError::Exec { code: 1, .. })));
    let in_place = |text: &str| File { validate: argv(&["grep", "-q", "good", "/srv/a/v"]), ..plain(text) };
    real.converges(|machine| machine.file("/srv/a/v", &in_place("good again\n")));
    assert!(real.machine().file("/srv/a/v", &in_place("bad\n")).is_err());
    assert_eq!(real.container.sh("cat /srv/a/v; ls /srv/a"), "good again\nb\nv\nx\n");

    real.converges(|machine| machine.link("/srv/a/l", "x"));
    let line = Line { matching: Some("^two".to_owned()), ..Line::default() };
    real.converges(|machine| machine.line("/srv/a/l", &Sealed::plain("two and more"), &line));
    assert_eq!(real.container.sh("cat /srv/a/x; readlink /srv/a/l"), "two and more\nx\n");
    real.converges(|machine| machine.block("/srv/a/x", "mine", &Sealed::plain("1\n2"), &Block::default()));
    let value = SealedJson::from(json!({"a": {"b": [1, "ä\n"]}}));
    real.converges(|machine| machine.json("/srv/a/d.json", &value, &mode(0o644)));
    real.converges(|machine| machine.json_set("/srv/a/d.json", "a.c.d", &json!(true).into(), &Attributes::default()));
    real.converges(|machine| machine.template("/srv/a/t", "t", "{{ n }}\n", &json!({"n": 7}).into(), &File::default()));
    real.converges(|machine| machine.absent("/srv/a/b", true));
    assert_eq!(real.machine().read("/srv/a/t").unwrap().as_deref(), Some("7\n"));
    assert_eq!(real.machine().read("/srv/none").unwrap(), None);
}

fn programs(real: &Real) {
    let creates = Exec { creates: Some("/srv/made".to_owned()), ..Exec::default() };
    real.converges(|machine| Ok(machine.exec(&shell("echo 1 > /srv/made"), &creates)?.change));
    let watch = Exec { watch: argv(&["/srv/a", "/srv/made"]), ..Exec::default() };
    real.converges(|machine| Ok(machine.exec(&argv(&["true"]), &watch)?.change));
    real.machine().file("/srv/a/deep", &plain("x")).unwrap();
    real.converges(|machine| Ok(machine.exec(&argv(&["true"]), &watch)?.change));
    let unless = Exec { unless: argv(&["test", "-e", "/srv/two"]), ..Exec::default() };
    real.converges(|machine| Ok(machine.exec(&argv(&["touch", "/srv/two"]), &unless)?.change));
    let error = real.machine().exec(&shell("echo last words >&2; exit 3"), &Exec::default()).unwrap_err();
    assert_eq!((error.output(), error.to_string().contains("status 3")), (Some("last words"), true));
    let machine = real.machine();
    assert_eq!(machine.probe(&argv(&["no-such-program"]), &Exec::default()).unwrap().code, 127);
    let slow = Exec { timeout: Duration::from_millis(300), ..Exec::default() };
    assert_eq!(machine.probe(&argv(&["sleep", "30"]), &slow).unwrap().code, 124);
    let env = BTreeMap::from([("TOKEN".to_owned(), Sealed::new("s3cret", "<secret>"))]);
    let given = Exec { env, cwd: Some("/srv".to_owned()), stdin: Some(Sealed::plain("in")), ..Exec::default() };
    let output = machine.probe(&shell("echo $TOKEN $(pwd) $(cat)"), &given).unwrap();
    assert_eq!(output.text(), "s3cret /srv in\n");
}

fn system(real: &Real) {
    let names = argv(&["locales"]);
    real.converges(|machine| machine.packages(&names, &Packages::default()));
    real.converges(|machine| machine.locale("en_US.UTF-8"));
    assert!(real.container.sh("locale -a").contains("en_US.utf8"));
    real.converges(|machine| machine.timezone("Europe/Berlin"));
    assert!(real.container.sh("date +%Z").starts_with("CE"));
    real.converges(|machine| machine.group("ops", &Group { gid: Some(1500), ..Group::default() }));
    let user = User {
        system: true,
        home: Some("/srv/app".to_owned()),
        shell: Some("/usr/sbin/nologin".to_owned()),
        groups: argv(&["ops"]),
        ..User::default()
    };
    real.converges(|machine| machine.user("app", &user));
    real.converges(|machine| machine.user("app", &User { shell: Some("/bin/sh".to_owned()), ..user.clone() }));
    assert_eq!(real.container.sh("id -nG app"), "app ops\n");
    let owned = Attributes { owner: Some("app".to_owned()), group: Some("ops".to_owned()), mode: Some(0o600) };
    real.converges(|machine| machine.file("/srv/owned", &File { attributes: owned.clone(), ..plain("x") }));
    real.converges(|machine| machine.hosts("ca.example.org", "192.0.2.9"));
    assert!(real.container.sh("getent hosts ca.example.org").starts_with("192.0.2.9"));
    let parameters = BTreeMap::from([("net.ipv4.conf.lo.forwarding".to_owned(), "0".to_owned())]);
    real.container.sh("echo 1 > /proc/sys/net/ipv4/conf/lo/forwarding");
    real.converges(|machine| machine.sysctl("phoenix-test", &parameters));
    assert_eq!(real.container.sh("cat /proc/sys/net/ipv4/conf/lo/forwarding"), "0\n");
    let mount = Mount { source: "tmpfs".to_owned(), fstype: "tmpfs".to_owned(), options: argv(&["size=1m"]) };
    real.converges(|machine| machine.mount("/srv/ram disk", &mount));
    assert!(real.container.sh("df -h '/srv/ram disk'").contains("1.0M"));
}

fn services(real: &Real) {
    real.converges(|machine| machine.unit("x", &Sealed::plain(UNIT)));
    real.machine().file("/etc/x.conf", &plain("1\n")).unwrap();
    let service = Service { watch: argv(&["/etc/x.conf", "/etc/systemd/system/x.service"]), ..Service::default() };
    let main = || real.container.sh("systemctl show -p MainPID --value x");
    real.converges(|machine| machine.service("x", &service));
    assert_eq!(real.container.sh("systemctl is-enabled x"), "enabled\n");
    let before = main();
    real.machine().file("/etc/x.conf", &plain("2\n")).unwrap();
    let reload = Service { reload: true, ..service.clone() };
    real.converges(|machine| machine.service("x", &reload));
    assert_eq!(main(), before, "reloaded, not restarted");
    real.machine().file("/etc/x.conf", &plain("3\n")).unwrap();
    real.converges(|machine| machine.service("x", &service));
    assert_ne!(main(), before);
    // Killed between the unit file and systemd's reading of it: the next run has it read.
    real.container.sh("sed -i s/infinity/123456/ /etc/systemd/system/x.service");
    real.converges(|machine| machine.unit("x", &Sealed::plain(UNIT.replace("infinity", "123456"))));
    real.converges(|machine| machine.service("x", &service));
    assert!(
        real.container.sh("tr '\\0' ' ' < /proc/$(systemctl show -p MainPID --value x)/cmdline").contains("123456")
    );

    let wait = Wait { timeout: Duration::from_secs(1), every: Duration::from_millis(200) };
    let machine = real.machine();
    machine.wait_for(&Condition::Unit("x".to_owned()), wait).unwrap();
    let error = machine.wait_for(&Condition::Port(9), wait).unwrap_err();
    assert!(error.to_string().contains("nothing listens there"), "{error}");
    let off = Service { running: Some(false), enabled: Some(false), ..Service::default() };
    real.converges(|machine| machine.service("x", &off));
    real.silent(|machine| machine.service("not-there", &off));
    let broken = UNIT.replace("/bin/sleep infinity", "/bin/false");
    real.machine().unit("y", &Sealed::plain(broken.replace("[Service]", "[Service]\nType=oneshot"))).unwrap();
    let error = real.machine().service("y", &Service::default()).unwrap_err();
    assert!(matches!(error, MachineError::Unit { .. }), "{error:?}");
    assert!(error.output().is_some_and(|log| log.contains("status=1") || log.contains("Failed")), "{error:?}");
}
