//! `init`, `check --host`, `import` and `--adopt` as an operator types them: whole processes, exit codes, streams.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::program::Ended;

const TEMPLATE: &str = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";

/// A user with a node of their own.
struct User(TempDir);

impl User {
    fn new() -> User {
        User(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program on the emulated node; `line` begins with its own arguments.
    fn run(&self, line: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.0.path())
            .args(["--host", &format!("sandbox:{}", self.path("world").display())])
            .args(shlex::split(line).unwrap())
            .stdin(Stdio::null());
        Ended::of(&mut command)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

#[test]
fn a_first_installation() {
    let user = User::new();
    user.run("init lab").ends(0).says("lab/phoenix_lxc_configs.json").says("nobody answers there");
    assert!(!user.path("world").exists(), "it only looks");
    assert!(user.path("lab/schema/lxc.schema.json").exists());
    user.run("init lab").ends(2).says("is there already").says("nothing was written");
    user.run("--config lab check --strict").ends(0).says("no findings");
    user.run("--config lab plan 201").ends(0).says("2 to change");
    user.run("--config lab create 201").ends(0).says("2 changed");
    user.run("--config lab create 201").ends(0).says("unchanged");
    let told = user.run("--json init other").ends(0);
    let document: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(document["guests"], serde_json::json!([202, 203]), "200 and 201 are taken: {document}");
    assert_eq!(document["findings"], serde_json::json!([]));
}

#[test]
fn a_guest_that_was_there_before() {
    let user = User::new();
    user.run("init lab").ends(0);
    user.run("--config lab create 201").ends(0);
    let create = format!(
        "pct create 150 {TEMPLATE} --hostname old --rootfs local-zfs:2 --memory 333 --unprivileged 1 --net0 name=eth0,bridge=vmbr0,ip=192.0.2.77/24,gw=192.0.2.1"
    );
    user.run(&format!("--config lab sandbox exec -- {create}")).ends(0);
    user.run("--config lab sandbox exec -- pct start 150").ends(0);
    let before = user.read("lab/phoenix_lxc_configs.json");

    user.run("--config lab import 151").ends(2).says("the node has no guest `151`").says("did you mean");
    user.run("--config lab import od").ends(2).says("did you mean `old`?");
    user.run("--config lab import 201").ends(2).says("guest 201 is declared already").says("line");
    user.run("--config lab import old --print").ends(0).says("\"memory_mb\": 333");
    assert_eq!(user.read("lab/phoenix_lxc_configs.json"), before);

    user.run("--config lab import old").ends(0).says("150 old").says("nothing was changed on the node");
    let after = user.read("lab/phoenix_lxc_configs.json");
    let begin = after.find("        \"150\"").unwrap();
    let end = after.find("        \"200\"").unwrap();
    assert_eq!(format!("{}{}", &after[..begin], &after[end..]), before, "every other byte stays");
    user.run("--config lab check --strict").ends(3).says("id-taken").says("--adopt 150");
    user.run("--config lab create 150").ends(1).says("phoenix did not make it").says("--adopt 150");
    user.run("--config lab plan 150 --adopt 150").ends(0).says("tags phoenix").says("1 to change");
    user.run("--config lab create 150 --adopt 150").ends(0).says("1 changed");
    user.run("--config lab plan 150 --detailed-exitcode").ends(0).says("1 unchanged");
    user.run("--config lab check --strict").ends(0).says("no findings");
}

#[test]
fn imported_and_marked_at_once() {
    let user = User::new();
    user.run("init lab").ends(0);
    user.run("--config lab create 200").ends(0);
    for number in [120, 121] {
        let create =
            format!("qm create {number} --name vm{number} --memory 512 --scsi0 local-zfs:2 --net0 virtio,bridge=vmbr0");
        user.run(&format!("--config lab sandbox exec -- {create}")).ends(0);
    }
    user.run("--config lab sandbox exec -- qm start 121").ends(0);
    let ran = user.run("--config lab --json import 121 120 --adopt").ends(0);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["imported"][0]["id"], 120);
    assert_eq!(document["imported"][1]["adopted"], true);
    user.run("--config lab plan 121 --detailed-exitcode").ends(0).says("1 unchanged");
    user.run("--config lab sandbox exec -- qm config 120").ends(0).says("tags: phoenix");
    user.run("--config lab sandbox exec -- qm status 120").ends(0).says("stopped");
    user.run("--config lab status 120").ends(0).says("vm120");
}

#[test]
fn what_would_break_the_configuration_is_taken_back() {
    let user = User::new();
    user.run("init lab").ends(0);
    user.run("--config lab create 200").ends(0);
    let create = format!(
        "pct create 150 {TEMPLATE} --hostname other --rootfs local-zfs:1 --net0 name=eth0,bridge=vmbr0,ip=192.0.2.21/24"
    );
    user.run(&format!("--config lab sandbox exec -- {create}")).ends(0);
    let before = user.read("lab/phoenix_lxc_configs.json");
    user.run("--config lab import 150").ends(3).says("the address 192.0.2.21 belongs to");
    assert_eq!(user.read("lab/phoenix_lxc_configs.json"), before);
    user.run("--config lab sandbox exec -- pct set 150 --hostname hello").ends(0);
    user.run("--config lab import 150").ends(2).says("as guest 201 is declared");
}
