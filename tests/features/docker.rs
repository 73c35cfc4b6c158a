//! Docker for real: the feature and the primitive `compose` in an unprivileged system container of Debian 13, as Proxmox
//! makes them with `nesting`, with the distribution's packages.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use phoenix::machine::{Change, Compose, Machine, MachineError, Packages};
use phoenix::script::Entry;
use phoenix::secret::Sealed;
use serde_json::json;

use super::stand::Stand;
use crate::support::container::Container;

/// The guest.
const NAME: &str = "apps";

const PROJECT: &str = r#"
services:
  web:
    image: example/busybox:1
    command: [/usr/bin/busybox, httpd, -f, -p, "80", -h, /srv]
    stop_grace_period: 0s
    environment:
      GREETING: ${GREETING:?is not given}
    ports: ["8080:80"]
    volumes: ["/srv/web:/srv:ro"]
    healthcheck: { test: [CMD, /usr/bin/busybox, test, -e, /srv/index.html], interval: 1s }
  worker:
    image: example/busybox:1
    command: [/usr/bin/busybox, sleep, infinity]
    stop_grace_period: 0s
"#;

fn project(content: &str) -> Compose {
    let env = BTreeMap::from([("GREETING".to_owned(), Sealed::new("it $costs 1 \"€\"", "<secret greeting>"))]);
    let (dir, watch) = (None, vec!["/srv/web".to_owned()]);
    Compose { content: Sealed::plain(content), env, dir, watch, timeout: std::time::Duration::from_secs(60) }
}

/// The answer of the published port, as this machine gets it.
fn page(stand: &Stand) -> String {
    let mut stream = TcpStream::connect((stand.container(NAME).address(), 8080)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[track_caller]
fn converges(stand: &Stand, call: impl Fn(&Machine) -> Result<Change, MachineError>) {
    let first = call(&stand.machine(NAME)).unwrap_or_else(|error| panic!("{:#?}", error.failure()));
    assert!(first.changed, "the first call changed nothing: {first:?}");
    let before = stand.counts.changes();
    let again = call(&stand.machine(NAME)).unwrap();
    assert!(!again.changed, "changed once more: {again:?}");
    assert_eq!(stand.counts.changes(), before, "changing operations");
}

#[test]
fn docker_and_compose_converge_in_a_real_unprivileged_container() {
    let start = Instant::now();
    let stand = Stand::of(BTreeMap::from([(NAME.to_owned(), Container::boot_nesting())]));
    println!("unprivileged container booted after {:.1?}", start.elapsed());
    // Health starts a container of its own.
    stand.converges(NAME, "docker", &json!({ "source": "distribution" }));
    let sh = |script: &str| stand.container(NAME).sh(script).trim().to_owned();
    assert_eq!(sh("docker network inspect bridge --format '{{(index .IPAM.Config 0).Subnet}}'"), "172.30.0.0/24");

    stand.machine(NAME).packages(&["busybox-static".to_owned()], &Packages::default()).unwrap();
    sh("tar -C / -c usr/bin/busybox | docker import - example/busybox:1");
    assert_eq!(sh("docker run --rm example/busybox:1 /usr/bin/busybox echo hello"), "hello");

    let began = Instant::now();
    sh("mkdir -p /srv/web && echo first >/srv/web/index.html");
    converges(&stand, |machine| machine.compose("site", &project(PROJECT)));
    println!("a compose project up, and found up, in {:.1?}", began.elapsed());
    assert!(page(&stand).contains("first"));
    let inside = |format: &str| sh(&format!("docker inspect site-web-1 --format '{format}'"));
    assert!(inside("{{.Config.Env}}").contains("GREETING=it $costs 1 \"€\""), "{}", inside("{{.Config.Env}}"));
    assert!(inside("{{(index .NetworkSettings.Networks \"site_default\").IPAddress}}").starts_with("172.30."));
    works_on_what_differs(&stand);
    the_daemon_changes_under_running_containers(&stand);
    println!("docker in all: {:.1?}", start.elapsed());
}

fn works_on_what_differs(stand: &Stand) {
    let sh = |script: &str| stand.container(NAME).sh(script).trim().to_owned();
    let id = |name: &str| sh(&format!("docker inspect {name} --format '{{{{.Id}}}}'"));
    let up = |content: &str| stand.machine(NAME).compose("site", &project(content));
    // By hand.
    sh("docker stop -t 0 site-worker-1 && docker rm -f site-web-1");
    converges(stand, |machine| machine.compose("site", &project(PROJECT)));
    // What a container reads.
    let (web, worker) = (id("site-web-1"), id("site-worker-1"));
    sh("echo second >/srv/web/index.html");
    converges(stand, |machine| machine.compose("site", &project(PROJECT)));
    assert!(page(stand).contains("second"));
    assert!(id("site-web-1") != web && id("site-worker-1") != worker);
    // One service configured otherwise, the other one not declared any more.
    let web = id("site-web-1");
    let (one, _) = PROJECT.split_once("  worker:").unwrap();
    converges(stand, |machine| machine.compose("site", &project(one)));
    assert_eq!(sh("docker ps --all --format '{{.Names}}'"), "site-web-1");
    assert_eq!(id("site-web-1"), web);
    // What compose refuses does not get there.
    let error = up("services:\n  web:\n    imagee: x\n").unwrap_err();
    assert!(error.output().unwrap().contains("imagee"), "{error:?}");
    assert_eq!(sh("cat /etc/phoenix/compose/site/compose.yaml"), one.trim());
    // What does not come up is named.
    let boom = format!(
        "{one}  worker:\n    image: example/busybox:1\n    command: [/usr/bin/busybox, sh, -c, \"echo no database; exit 3\"]\n"
    );
    let error = up(&boom).unwrap_err();
    assert_eq!(error.to_string(), "compose project site: service worker is exited with status 3");
    assert_eq!(error.output(), Some("no database"));
    let unknown = format!("{one}  worker:\n    image: registry.example.org/worker:1\n");
    let error = up(&unknown).unwrap_err();
    assert!(error.to_string().starts_with("compose project site: `docker compose up` failed"), "{error}");
    assert!(error.output().unwrap().contains("registry.example.org"), "{error:?}");
    converges(stand, |machine| machine.compose("site", &project(PROJECT)));
}

fn the_daemon_changes_under_running_containers(stand: &Stand) {
    let sh = |script: &str| stand.container(NAME).sh(script).trim().to_owned();
    let daemon = || sh("systemctl show --property MainPID --value docker.service");
    let apply = |params: &serde_json::Value| stand.call(NAME, "docker", Entry::Apply, params);
    let (first, started) = (daemon(), sh("docker inspect site-web-1 --format '{{.State.StartedAt}}'"));
    apply(&json!({ "source": "distribution", "insecure_registries": ["registry.example.org:5000"] }));
    assert_eq!(daemon(), first, "a reload is enough");
    assert!(sh("docker info --format '{{json .RegistryConfig.IndexConfigs}}'").contains("registry.example.org:5000"));
    apply(&json!({ "source": "distribution", "log_files": 5 }));
    assert_ne!(daemon(), first, "only a start brings it about");
    assert_eq!(sh("docker inspect site-web-1 --format '{{.State.StartedAt}}'"), started);
    assert!(page(stand).contains("second"));
    converges(stand, |machine| machine.compose_absent("site", None));
    assert_eq!(sh("docker ps --all --quiet"), "");
}
