//! The program as its users start it: whole processes, exit codes, streams.

mod bad_scripts;
mod one_command;
mod shell;
mod terminal;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::program::Ended;

const FOUR: [&str; 5] = ["create", "900", "103", "101", "102"];

/// A user with a home and a world of their own.
struct User {
    home: TempDir,
    config: PathBuf,
}

impl User {
    fn new() -> User {
        User { home: tempfile::tempdir().unwrap(), config: Path::new(env!("CARGO_MANIFEST_DIR")).join("etc") }
    }

    /// The same user with a copy of the configuration, to be edited.
    fn with_own_config() -> User {
        let mut user = User::new();
        let own = user.home.path().join("etc");
        let copied = Command::new("cp").arg("-r").arg(&user.config).arg(&own).status().unwrap();
        assert!(copied.success());
        user.config = own;
        user
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.config.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {file}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn world(&self) -> PathBuf {
        self.home.path().join("world")
    }

    fn lock(&self) -> PathBuf {
        self.home.path().join("world.lock")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.home.path())
            .args(["--config", self.config.to_str().unwrap()])
            .args(["--host", &format!("sandbox:{}", self.world().display())])
            .args(words)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Ended {
        Ended::of(&mut self.command(words))
    }
}

#[test]
fn four_containers_twice_then_one_edit() {
    let user = User::with_own_config();
    user.run(&FOUR).ends(0).says("4 guests: 4 changed");
    let kept = fs::read(user.world()).unwrap();
    let again = user.run(&[&["--json"], &FOUR[..]].concat()).ends(0);
    let summary: serde_json::Value = serde_json::from_str(again.out.lines().last().unwrap()).unwrap();
    assert_eq!(summary["summary"]["changing"], 0, "the second run sent changing values");
    assert_eq!(summary["summary"]["processes"], 0, "the second run started processes on the node");
    assert_eq!(fs::read(user.world()).unwrap(), kept, "the second run touched the world");
    user.run(&["plan", "900", "103", "101", "102", "--detailed-exitcode"]).ends(0).says("4 guests: 4 unchanged");

    let of_the_authority = "\"clone_from_ctid\": 900,\n            \"memory_mb\": ";
    user.edit("phoenix_lxc_configs.json", &format!("{of_the_authority}1024"), &format!("{of_the_authority}1333"));
    let plan = user.run(&["plan", "900", "103", "101", "102", "--detailed-exitcode"]).ends(5);
    let named: Vec<&str> = plan.out.lines().filter(|line| line.contains(" -> ")).map(str::trim).collect();
    assert_eq!(named, ["memory 1024 -> 1333 (at once)"], "{}", plan.out);
    user.run(&["status", "103"]).ends(0).says("memory");
    assert_eq!(fs::read(user.world()).unwrap(), kept, "a plan touched the world");
}

#[test]
fn a_second_run_is_told_who_is_at_work_and_how_far() {
    let user = User::new();
    let first = user.command(&[&["--pace", "0.05"], &FOUR[..]].concat());
    let mut first = { first }.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !user.lock().exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = loop {
        let second = user.run(&["create", "900"]);
        if second.err.contains("1 of 4 guests done, working on ") || Instant::now() > until {
            break second;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let owner = format!("process {}, `phoenix ", first.id());
    refused.ends(4).says("is in use by another process: ").says(&owner).says("`, since ").says("wait for it");
    // A run that is killed leaves no lock behind, whatever it said last.
    first.kill().unwrap();
    first.wait().unwrap();
    user.run(&FOUR).ends(0);
    assert_eq!(fs::read_dir(user.home.path()).unwrap().count(), 1, "nothing is left beside the world");
}

#[test]
fn a_dry_run_makes_no_world() {
    let user = User::new();
    user.run(&[&FOUR[..], &["--dry-run"]].concat()).ends(0).says("4 to change");
    assert!(!user.world().exists());
}

#[test]
fn killed_at_every_moment_the_next_run_completes() {
    let user = User::new();
    user.run(&FOUR).ends(0);
    let counted = user.run(&["--json", "sandbox", "status"]).ends(0);
    let status: serde_json::Value = serde_json::from_str(&counted.out).unwrap();
    let guests = status["guests"].as_array().unwrap().len();
    let mut k = 0;
    loop {
        k += 1;
        drop(fs::remove_file(user.world()));
        let killed = user.run(&[&["--fault", &format!("kill:{k}")], &FOUR[..]].concat());
        if killed.code == Some(0) {
            break;
        }
        assert_eq!(killed.code, None, "kill:{k} did not kill: {}\n{}", killed.out, killed.err);
        user.run(&FOUR).ends(0);
        user.run(&FOUR).ends(0).says("4 guests: 4 unchanged");
        let after = user.run(&["--json", "sandbox", "status"]).ends(0);
        let after: serde_json::Value = serde_json::from_str(&after.out).unwrap();
        assert_eq!(after["guests"].as_array().unwrap().len(), guests, "kill:{k} left a guest too many");
        assert_eq!(after["volumes"], status["volumes"], "kill:{k} left a volume");
    }
    println!("killed at each of {} changing values; every next run completed", k - 1);
    assert!(k > 100, "only {k} changing values");
}

#[test]
fn a_failing_command_is_told_with_its_cause() {
    let user = User::new();
    let failed = user.run(&[&["--fault", "fail:20"], &FOUR[..]].concat()).ends(1);
    assert!(failed.out.contains("error: ") && failed.out.contains("skipped: it needs"), "{}", failed.out);
    user.run(&FOUR).ends(0);
}

#[test]
fn a_foreign_guest_is_refused_and_untouched() {
    let user = User::new();
    let shown = user.run(&["--json", "config", "show", "900"]).ends(0);
    let base: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let template = base["origin"]["template"].as_str().unwrap().to_owned();
    let storages = user.run(&["sandbox", "exec", "--", "pvesm", "status", "--content", "rootdir"]).ends(0);
    let storage = storages.out.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let root = format!("{storage}:4");
    user.run(&["sandbox", "exec", "--", "pct", "create", "102", &template, "--hostname", "theirs", "--rootfs", &root])
        .ends(0);
    let before = user.run(&["sandbox", "exec", "--", "pct", "config", "102"]).ends(0).out;
    user.run(&FOUR).ends(1).says("theirs").says("--adopt 102");
    assert_eq!(user.run(&["sandbox", "exec", "--", "pct", "config", "102"]).out, before);
}

#[test]
fn mistakes_are_answered_with_advice() {
    let user = User::new();
    user.run(&["create", "9999"]).ends(2).says("no guest `9999` is declared");
    user.run(&["create", "gatewya"]).ends(2).says("did you mean `gateway`?");
    user.run(&["create"]).ends(2);
    user.run(&["--fault", "nonsense", "create", "900"]).ends(2).says("is no fault");
    user.run(&["feature", "show", "trusted_cb"]).ends(2).says("did you mean `trusted_ca`?");
    let nowhere = Command::new(env!("CARGO_BIN_EXE_phoenix")).args(["--host", "nowhere", "status"]).output().unwrap();
    Ended::from(&nowhere).ends(2);
}

#[test]
fn a_node_without_proxmox_is_named_with_ways_out() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/etc");
    let output =
        Command::new(env!("CARGO_BIN_EXE_phoenix")).args(["--config", config, "create", "900"]).output().unwrap();
    Ended::from(&output).ends(4).says("--sandbox").says("--host");
}

#[test]
fn power_and_deletion() {
    let user = User::new();
    user.run(&FOUR).ends(0);
    user.run(&["stop", "101"]).ends(0);
    user.run(&["status", "101"]).ends(0).says("stopped");
    user.run(&["start", "gateway"]).ends(0);
    user.run(&["restart", "101"]).ends(0);
    user.run(&["status", "101"]).ends(0).says("running");
    user.run(&["delete", "103", "--yes"]).ends(2).says("needed by");
    user.run(&["delete", "101"]).ends(2).says("--yes");
    user.run(&["delete", "101", "--yes"]).ends(0);
    user.run(&["status", "101"]).ends(0).says("absent");
    user.run(&FOUR).ends(0).says("1 changed");
}

#[test]
fn everything_up_twice() {
    let user = User { config: Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal"), ..User::new() };
    user.run(&["up"]).ends(0).says("2 guests: 2 changed").says("critical path: 200 (");
    let kept = fs::read(user.world()).unwrap();
    user.run(&["LetsGo"]).ends(0).says("2 guests: 2 unchanged");
    user.run(&["converge", "--all"]).ends(0).says("2 guests: 2 unchanged");
    assert_eq!(fs::read(user.world()).unwrap(), kept, "where everything runs nothing is done");
    user.run(&["stop", "hello"]).ends(0);
    user.run(&["up"]).ends(0).says("1 changed");
    user.run(&["status", "hello"]).ends(0).says("running");
}

#[test]
fn health_is_told_by_a_table_and_by_the_exit_code() {
    let user = User::new();
    let nobody = user.run(&["health", "900", "103"]).ends(1);
    assert_eq!(
        nobody.out,
        "\
ID   NAME  HEALTH
900  base  not asked: it is a template
103  ca    it is not on the node

103 ca
  error: it is not on the node
    hint: `phoenix create 103` makes it
2 guests: 1 not healthy, 1 not asked
"
    );
    user.run(&FOUR).ends(0);
    let kept = fs::read(user.world()).unwrap();
    user.run(&["health", "base", "ca", "gateway", "router"]).ends(0).says("4 guests: 3 healthy, 1 not asked");
    assert_eq!(fs::read(user.world()).unwrap(), kept, "asking touched the world");
    user.run(&["sandbox", "exec", "--", "pct", "exec", "102", "--", "systemctl", "stop", "traefik"]).ends(0);
    let sick = user.run(&["health", "102"]).ends(1);
    let (table, causes) = sick.out.split_once("\n\n").unwrap();
    assert!(table.ends_with("102  router  traefik     not healthy\n102  router  router      not healthy"), "{table}");
    let first = "102 router: traefik\n  error: http://10.20.0.12:80/ping cannot be reached: connection refused\n";
    assert!(causes.starts_with(first), "{causes}");
    let json = user.run(&["--json", "health", "102", "103"]).ends(1);
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(document["guests"][0]["health"], "healthy", "the authority, which comes first");
    assert_eq!(document["guests"][1]["health"], "not_healthy");
    user.run(&["sandbox", "exec", "--", "pct", "exec", "102", "--", "systemctl", "start", "traefik"]).ends(0);
    user.run(&["health", "102"]).ends(0);
    user.run(&["health", "gatewya"]).ends(2).says("did you mean `gateway`?");
}

#[test]
fn a_world_in_use_is_refused() {
    let user = User::new();
    user.run(&["create", "900"]).ends(0);
    let mut shell = user.command(&["sandbox", "shell"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(shell.stdin.as_ref().unwrap(), "pct status 900").unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "status: stopped");
    user.run(&["create", "900"]).ends(4).says("in use by another process");
    drop(shell.stdin.take());
    assert!(shell.wait().unwrap().success());
}

#[test]
fn schemas_are_written_without_a_configuration() {
    let mut user = User::new();
    user.config = user.home.path().join("none");
    let folder = user.home.path().join("schemas");
    let ran = user.run(&["config", "schema", "--output", folder.to_str().unwrap()]).ends(0);
    assert_eq!(ran.out.lines().count(), 5);
    let written = fs::read_to_string(folder.join("lxc.schema.json")).unwrap();
    assert_eq!(user.run(&["config", "schema", "lxc"]).ends(0).out, written);
    user.run(&["config", "schema", "lxc", "--output", "x"]).ends(2);
    user.run(&["config", "schema", "nonsense"]).ends(2);
}

#[test]
fn every_verb_that_shows_something_has_json() {
    let user = User::new();
    for words in [
        &["status"][..],
        &["health", "900"],
        &["graph"],
        &["check"],
        &["config", "show"],
        &["config", "show", "900"],
        &["config", "schema"],
        &["config", "schema", "vm"],
        &["feature", "list"],
        &["feature", "show", "step_ca"],
        &["sandbox", "status"],
    ] {
        let ran = user.run(&[&["--json"], words].concat()).ends(0);
        let _: serde_json::Value =
            serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{words:?}: {e}\n{}", ran.out));
    }
    for line in user.run(&["--json", "plan", "900"]).ends(0).out.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
}

#[test]
fn pipes_get_no_colours_and_a_closed_one_is_no_error() {
    let user = User::new();
    let ran = user.run(&FOUR).ends(0);
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'));
    let coloured = user.run(&["--color", "always", "status"]).ends(0);
    assert!(coloured.out.contains('\u{1b}'));
    let phoenix = user.command(&["graph"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut phoenix = phoenix;
    drop(phoenix.stdout.take());
    assert!(phoenix.wait().unwrap().success());
}

#[test]
fn one_command_on_the_node_keeps_its_streams_and_its_exit_code() {
    let user = User::new();
    let ran = user.run(&["sandbox", "exec", "--", "pct", "status", "777"]);
    assert_ne!(ran.code, Some(0));
    assert_eq!(ran.err.trim(), "Configuration file 'nodes/pve/lxc/777.conf' does not exist");
    user.run(&["sandbox", "reset"]).ends(0);
}

#[test]
fn what_the_node_cannot_do_is_told_at_its_place_before_anything_runs() {
    let user = User::with_own_config();
    user.run(&["sandbox", "exec", "--", "pvesm", "add", "dir", "more", "--path", "/srv/more"]).ends(0);
    let change = |from: &str, to: &str| {
        let text = fs::read_to_string(user.world()).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(user.world(), text.replace(from, to)).unwrap();
    };
    change("9.2.11", "8.4.14");
    let kept = fs::read(user.world()).unwrap();
    let from = "\"name\": \"gateway\",";
    user.edit("phoenix_lxc_configs.json", from, &format!("{from}\n            \"entrypoint\": \"/sbin/init\","));
    let text = fs::read_to_string(user.config.join("phoenix_lxc_configs.json")).unwrap();
    let line = text.lines().position(|line| line.contains("\"entrypoint\"")).unwrap() + 1;
    for verb in ["create", "plan"] {
        let refused = user.run(&[verb, "101"]).ends(3);
        let refused = refused.says("guest 101: `entrypoint` needs Proxmox VE 9.1, the node has 8.4");
        refused.says(&format!("phoenix_lxc_configs.json:{line}:")).says("leave it out, or upgrade the node to 9.1");
    }
    user.run(&["check"]).says("`entrypoint` needs");
    assert_eq!(fs::read(user.world()).unwrap(), kept);

    change("\"quorate\":true", "\"quorate\":false");
    let refused = user.run(&["create", "900"]).ends(4);
    refused.says("the cluster has no quorum (1 of 1 nodes online: ").says("`pvecm expected 1`");
}
