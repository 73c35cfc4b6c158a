//! This machine as a Proxmox VE node with real containers: its files are there in a mount namespace of their own, its tools
//! are not, and every program that phoenix starts is counted.
//!
//! What the node's files say comes out of a sandbox in which the same guests were made.

use std::path::{Path, PathBuf};
use std::process::Command;

use phoenix::host::Host as _;
use phoenix::op::{Op, OpValue, Place};
use phoenix::sandbox::Sandbox;

use super::container::Container;

/// Programs that phoenix may start on a node; none of them but the way into containers is there.
const PROGRAMS: [&str; 9] =
    ["lxc-attach", "pct", "qm", "pvesm", "pvesh", "pveam", "ha-manager", "systemctl", "apt-get"];

/// A node whose guests are containers of this machine.
pub struct Node {
    folder: tempfile::TempDir,
    config: PathBuf,
    scripts: PathBuf,
}

/// What a command of phoenix came to.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Programs that it started, in order, each with its first arguments.
    pub started: Vec<String>,
}

impl Node {
    /// Guests of a sandbox, some of which are these containers.
    pub fn new(sandbox: &Sandbox, config: &Path, scripts: &Path) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let node = Node { folder, config: config.to_owned(), scripts: scripts.to_owned() };
        for (from, to) in [("/etc/pve", "pve"), ("/var/lib/phoenix", "state")] {
            copy(sandbox, from, &node.folder.path().join(to));
        }
        std::fs::create_dir_all(node.folder.path().join("state")).unwrap();
        let programs = node.folder.path().join("sbin");
        std::fs::create_dir(&programs).unwrap();
        for program in PROGRAMS {
            let real = if program == "lxc-attach" { "exec /usr/bin/lxc-attach \"$@\"" } else { "exit 99" };
            let script = format!("#!/bin/sh\necho \"{program} $1 $2 $3\" >>{}\n{real}\n", node.log().display());
            std::fs::write(programs.join(program), script).unwrap();
            Command::new("chmod").arg("755").arg(programs.join(program)).status().unwrap();
        }
        node
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("started")
    }

    /// Runs `phoenix WORDS` on the node.
    pub fn phoenix(&self, words: &[&str]) -> Said {
        // Not there is fine.
        let _ = std::fs::remove_file(self.log());
        let folder = self.folder.path().display();
        // The machine's own /etc and /var/lib get a layer of their own, in which the node's directories are.
        let script = format!(
            "set -e\n\
             mkdir -p {folder}/layers && mount -t tmpfs none {folder}/layers\n\
             for dir in etc var/lib; do\n\
             mkdir -p {folder}/layers/$dir/upper {folder}/layers/$dir/work\n\
             mount -t overlay overlay -o lowerdir=/$dir,upperdir={folder}/layers/$dir/upper,workdir={folder}/layers/$dir/work /$dir\n\
             done\n\
             mkdir -p /etc/pve /var/lib/phoenix\n\
             mount --bind {folder}/pve /etc/pve\n\
             mount --bind {folder}/state /var/lib/phoenix\n\
             mount --bind {folder}/sbin /usr/local/sbin\n\
             exec \"$@\""
        );
        let output = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_phoenix")])
            .args(["--host", "local", "--config"])
            .arg(&self.config)
            .arg("--scripts")
            .arg(&self.scripts)
            .args(words)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let started = std::fs::read_to_string(self.log()).unwrap_or_default();
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            started: started.lines().map(str::to_owned).collect(),
        }
    }
}

/// Copies what a sandbox's node has below a directory.
fn copy(sandbox: &Sandbox, from: &str, to: &Path) {
    let list = sandbox.perform(Place::Node, &[Op::List { path: from.to_owned() }]).unwrap().remove(0).unwrap();
    let OpValue::Entries(Some(entries)) = list else { return };
    std::fs::create_dir_all(to).unwrap();
    for entry in entries {
        let path = format!("{from}/{}", entry.name);
        let read = Op::Read { path: path.clone(), limit: 1 << 24 };
        match sandbox.perform(Place::Node, &[read]).unwrap().remove(0) {
            Ok(OpValue::Bytes(Some(bytes))) => std::fs::write(to.join(&entry.name), bytes).unwrap(),
            _ => copy(sandbox, &path, &to.join(&entry.name)),
        }
    }
}

/// A digest of everything in a container that lasts: names, modes, owners, content.
pub fn digest(container: &Container) -> String {
    container.sh(
        "cd / && find . -xdev \\( -path ./proc -o -path ./sys -o -path ./run -o -path ./tmp -o -path ./dev -o -path ./var/log \\) -prune \
         -o -printf '%p %m %U %G %y %l\\n' -type f -exec sha256sum {} + | sort | sha256sum",
    )
}
