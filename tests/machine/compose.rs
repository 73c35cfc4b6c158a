//! `compose`, against the double of Docker.

use std::collections::BTreeMap;
use std::time::Duration;

use phoenix::command::Output;
use phoenix::machine::{COMPOSE_TIMEOUT, Change, Compose, Machine, MachineError};
use phoenix::op::{Attributes, Op, UnitAction};
use phoenix::sandbox::programs::{Inside, ProgramCall, UnitModel};
use phoenix::secret::Sealed;

use super::bench::{Bench, Models, converges, silent};

const FILE: &str = "/etc/phoenix/compose/web/compose.yaml";
const PROJECT: &str = "\
services:
  web:
    image: nginx:1.29
    environment:
      TOKEN: ${TOKEN:?is not given}
    ports:
    - 8080:80
  worker:
    image: ghcr.io/example/worker:2
";

fn docker(call: &ProgramCall, inside: &mut dyn Inside) -> Option<Output> {
    let answer = inside.double("docker", call.name(), serde_json::json!({})).unwrap();
    let text = |key: &str| answer[key].as_str().unwrap().as_bytes().to_vec();
    let code = i32::try_from(answer["code"].as_i64().unwrap()).unwrap();
    Some(Output { code, stdout: text("stdout"), stderr: text("stderr"), ..Output::default() })
}

/// A guest in which Docker runs.
fn bench() -> Bench {
    let mut models = Models::default();
    models.programs.insert("docker", docker);
    models.programs.insert("dockerd", docker);
    let serves = UnitModel { serves: Some("docker".to_owned()), ..UnitModel::default() };
    models.units.insert("docker.service", serves);
    let bench = Bench::with(models);
    bench.stand_still();
    for path in ["/usr/bin/docker", "/usr/bin/dockerd", "/usr/libexec/docker/cli-plugins/docker-compose"] {
        bench.put(path, "");
        let attributes = Attributes { mode: Some(0o755), ..Attributes::default() };
        bench.prepare(Op::SetAttributes { path: path.to_owned(), attributes });
    }
    bench.put("/etc/systemd/system/docker.service", "[Service]\nType=notify\nExecStart=/usr/bin/dockerd\n");
    bench.prepare(Op::ReloadUnits);
    bench.prepare(Op::Unit { name: "docker.service".to_owned(), action: UnitAction::Start });
    bench
}

fn project(content: &str) -> Compose {
    Compose {
        content: Sealed::plain(content),
        env: BTreeMap::from([("TOKEN".to_owned(), Sealed::new("s3cret", "<secret token>"))]),
        dir: None,
        watch: Vec::new(),
        timeout: COMPOSE_TIMEOUT,
    }
}

fn up(content: &str) -> impl Fn(&Machine) -> Result<Change, MachineError> {
    let project = project(content);
    move |machine| machine.compose("web", &project)
}

/// Runs docker behind phoenix's back.
fn by_hand(bench: &Bench, words: &[&str]) -> String {
    let argv = std::iter::once("docker").chain(words.iter().copied()).map(str::to_owned).collect();
    let exec = phoenix::op::Exec {
        argv,
        env: BTreeMap::new(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(600),
        effect: phoenix::command::Effect::Change,
    };
    match bench.prepare(Op::Exec(exec)) {
        phoenix::op::OpValue::Output(output) if output.ok() => String::from_utf8(output.stdout).unwrap(),
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn a_project_is_brought_up_once() {
    let bench = bench();
    let change = converges(&bench, up(PROJECT));
    assert_eq!(change.what, "compose web");
    assert!(!change.diff().contains("s3cret") && change.diff().contains("<secret token>"), "{}", change.diff());
    up(PROJECT)(&bench.machine()).unwrap();
    assert_eq!(by_hand(&bench, &["ps"]), "web-web-1\nweb-worker-1\n");
    assert_eq!(bench.text("/etc/phoenix/compose/web/.env").unwrap(), "TOKEN='s3cret'\n");
    assert!(!bench.changes().iter().any(|op| op.contains("s3cret")));
    bench.quiet();
    silent(&bench, up(PROJECT));
    assert_eq!(bench.trips(), 6, "round trips of a project that is right");
}

#[test]
fn what_was_done_to_containers_by_hand_is_put_right() {
    let bench = bench();
    up(PROJECT)(&bench.machine()).unwrap();
    let because = |change: &Change| {
        let [difference] = change.differences.as_slice() else { panic!("{change:?}") };
        (difference.what.clone(), difference.from.clone().unwrap_or_default())
    };
    by_hand(&bench, &["stop", "web-worker-1"]);
    let change = converges(&bench, up(PROJECT));
    assert_eq!(because(&change), ("service worker of compose web".to_owned(), "exited with status 137".to_owned()));
    up(PROJECT)(&bench.machine()).unwrap();
    by_hand(&bench, &["rm", "-f", "web-web-1"]);
    assert_eq!(because(&converges(&bench, up(PROJECT))), ("service web of compose web".to_owned(), String::new()));
}

#[test]
fn another_file_changes_what_it_is_about() {
    let bench = bench();
    up(PROJECT)(&bench.machine()).unwrap();
    let id = |bench: &Bench, name: &str| by_hand(bench, &["ps", "-q", "--filter", &format!("name={name}")]);
    let (web, worker) = (id(&bench, "web-web-1"), id(&bench, "web-worker-1"));
    let other = PROJECT.replace("nginx:1.29", "nginx:1.30");
    up(&other)(&bench.machine()).unwrap();
    assert_ne!(id(&bench, "web-web-1"), web);
    assert_eq!(id(&bench, "web-worker-1"), worker);
    // A service that is not declared any more is gone.
    let (one, _) = PROJECT.split_once("  worker:").unwrap();
    converges(&bench, up(one));
    up(one)(&bench.machine()).unwrap();
    assert_eq!(by_hand(&bench, &["ps", "-a"]), "web-web-1\n");
    // What containers read makes them anew.
    bench.put("/etc/web.conf", "1");
    let watching = Compose { watch: vec!["/etc/web.conf".to_owned()], ..project(one) };
    bench.machine().compose("web", &watching).unwrap();
    let before = id(&bench, "web-web-1");
    bench.put("/etc/web.conf", "2");
    assert!(bench.machine().compose("web", &watching).unwrap().changed);
    assert_ne!(id(&bench, "web-web-1"), before);
    silent(&bench, |machine| machine.compose("web", &watching));
}

#[test]
fn another_secret_is_another_configuration() {
    let bench = bench();
    up(PROJECT)(&bench.machine()).unwrap();
    let env = BTreeMap::from([("TOKEN".to_owned(), Sealed::new("0ther", "<secret token>"))]);
    let other = Compose { env, ..project(PROJECT) };
    converges(&bench, |machine| machine.compose("web", &other));
}

#[test]
fn a_file_that_is_not_valid_does_not_get_there() {
    let bench = bench();
    up(PROJECT)(&bench.machine()).unwrap();
    let error = up("services:\n  web:\n    imagee: x\n")(&bench.machine()).unwrap_err();
    assert!(error.output().unwrap().contains("Additional property imagee is not allowed"), "{error:?}");
    assert_eq!(bench.text(FILE).unwrap(), PROJECT);
    let without = Compose { env: BTreeMap::new(), ..project(&format!("{PROJECT}# \n")) };
    let error = bench.machine().compose("web", &without).unwrap_err();
    assert!(error.output().unwrap().contains("required variable TOKEN is missing a value: is not given"), "{error:?}");
    silent(
        &{
            up(PROJECT)(&bench.machine()).unwrap();
            bench
        },
        up(PROJECT),
    );
}

#[test]
fn a_service_that_does_not_come_up_is_named_with_its_last_lines() {
    let bench = bench();
    let failing =
        |service: &str| format!("services:\n  web:\n    image: nginx\n  worker:\n    image: nginx\n{service}");
    let exits = failing("    command: sh -c 'echo no database; exit 3'\n");
    let error = up(&exits)(&bench.machine()).unwrap_err();
    assert_eq!(error.to_string(), "compose project web: service worker is exited with status 3");
    assert_eq!(error.output(), Some("no database"));
    let sick = failing("    healthcheck:\n      test: [CMD, \"false\"]\n");
    let error = up(&sick)(&bench.machine()).unwrap_err();
    assert_eq!(error.to_string(), "compose project web: service worker is unhealthy");
    let unknown = failing("  third:\n    image: registry.example.org/app:1\n");
    let error = up(&unknown)(&bench.machine()).unwrap_err();
    assert_eq!(error.to_string(), "compose project web: `docker compose up` failed with exit status 18");
    assert!(error.output().unwrap().contains("third Error Get \"https://registry.example.org/v2/\""), "{error:?}");
    let taken = "services:\n  other:\n    image: nginx\n    ports: [\"8080:80\"]\n";
    up(PROJECT)(&bench.machine()).unwrap();
    let error = bench.machine().compose("other", &project(taken)).unwrap_err();
    assert!(error.failure().output.unwrap().contains("port is already allocated"), "{error:?}");
}

#[test]
fn without_docker_it_says_what_is_missing() {
    let nothing = Bench::with(Models { programs: BTreeMap::from([("docker", docker as _)]), ..Models::default() });
    let error = up(PROJECT)(&nothing.machine()).unwrap_err();
    assert_eq!(error.hint().unwrap(), "docker is not installed: the script needs the feature `docker`");
    let bench = bench();
    bench.prepare(Op::Unit { name: "docker.service".to_owned(), action: UnitAction::Stop });
    let error = up(PROJECT)(&bench.machine()).unwrap_err();
    assert_eq!(error.hint().unwrap(), "`systemctl status docker` on the machine tells why it does not run");
    let plugin = "/usr/libexec/docker/cli-plugins/docker-compose".to_owned();
    bench.prepare(Op::Remove { path: plugin, recursive: false });
    let error = up(&format!("{PROJECT}# again\n"))(&bench.machine()).unwrap_err();
    assert_eq!(error.hint().unwrap(), "Compose v2 is not installed: the script needs the feature `docker`");
}

#[test]
fn names_and_values_that_compose_cannot_take_are_refused() {
    let bench = bench();
    let refused = |name: &str, project: &Compose| match bench.machine().compose(name, project) {
        Err(MachineError::Invalid(problem)) => problem,
        other => panic!("{other:?}"),
    };
    assert!(refused("Web", &project(PROJECT)).contains("`Web` is no name of a compose project"));
    let with = |name: &str, value: &str| Compose {
        env: BTreeMap::from([(name.to_owned(), Sealed::new(value, "<secret>"))]),
        ..project(PROJECT)
    };
    assert!(refused("web", &with("A-B", "x")).contains("`A-B` is no name of a variable"));
    let problem = refused("web", &with("TOKEN", "it's"));
    assert!(problem.contains("TOKEN") && !problem.contains("it's"), "{problem}");
}

#[test]
fn a_project_is_taken_away() {
    let bench = bench();
    let away = |machine: &Machine| machine.compose_absent("web", None);
    silent(&bench, away);
    up(PROJECT)(&bench.machine()).unwrap();
    converges(&bench, away);
    away(&bench.machine()).unwrap();
    assert_eq!(by_hand(&bench, &["ps", "-a"]), "");
    assert_eq!(bench.text(FILE), None);
}
