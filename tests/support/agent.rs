//! QEMU's real guest agent, run in a throw-away container as it runs in a virtual machine: by systemd, as root, answering
//! on a unix socket. It is the machine's own program with its own libraries, so nothing is installed in the container.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::{Local, Paths};
use phoenix::model::GuestKind;
use phoenix::op::Place;
use tempfile::TempDir;

use super::container::Container;

/// Where it lies in the container.
const HOME: &str = "/opt/agent";

/// A machine with an agent; dropping it destroys it.
pub struct Agent {
    /// The machine, for looking at it around the agent.
    pub container: Container,
    /// The directory of the node's sockets.
    sockets: TempDir,
}

impl Agent {
    /// Boots a machine and starts its agent.
    pub fn boot() -> Agent {
        let container = Container::boot();
        let root = container.root();
        let home = root.join(HOME.trim_start_matches('/'));
        fs::create_dir_all(&home).unwrap();
        let program = Path::new("/usr/sbin/qemu-ga");
        assert!(program.exists(), "the package qemu-guest-agent is missing: tests/run installs it");
        for file in [program.to_owned()].into_iter().chain(libraries(program)) {
            fs::copy(&file, home.join(file.file_name().unwrap())).unwrap();
        }
        let sockets = tempfile::tempdir().unwrap();
        symlink(root.join("run/agent.socket"), sockets.path().join(format!("{}.qga", container.id()))).unwrap();
        let agent = Agent { container, sockets };
        agent.start();
        agent
    }

    /// Starts the agent, as a unit that comes back when it dies.
    pub fn start(&self) {
        self.container.sh(&format!(
            "systemd-run --quiet --unit=qemu-guest-agent --property=Restart=always --property=RestartSec=0 \
             --property=StartLimitIntervalSec=0 \
             {HOME}/ld-linux-x86-64.so.2 --library-path {HOME} {HOME}/qemu-ga -m unix-listen -p /run/agent.socket"
        ));
        let until = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < until, "the agent does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The socket, from the node.
    pub fn socket(&self) -> PathBuf {
        self.sockets.path().join(format!("{}.qga", self.container.id()))
    }

    /// The machine that Ops act in.
    pub fn place(&self) -> Place {
        Place::Guest(self.container.id(), GuestKind::Vm)
    }

    /// A node on which this is a virtual machine.
    pub fn host(&self) -> Local {
        let paths = Paths { sockets: self.sockets.path().to_owned(), ..Paths::default() };
        Local::with_paths(Interrupt::new(), paths).unwrap()
    }

    /// A node on which it has no socket for us, but a `qm` that knows it.
    pub fn host_with_qm(&self) -> Local {
        let qm = self.sockets.path().join("qm");
        let double = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/qm.py");
        let text = format!("#!/bin/sh\nexec python3 {} {} \"$@\"\n", double.display(), self.sockets.path().display());
        fs::write(&qm, text).unwrap();
        fs::set_permissions(&qm, fs::Permissions::from_mode(0o755)).unwrap();
        let nowhere = self.sockets.path().join("nowhere");
        let paths = Paths { sockets: nowhere, qm: qm.to_str().unwrap().to_owned(), ..Paths::default() };
        Local::with_paths(Interrupt::new(), paths).unwrap()
    }
}

/// What a program is linked with, and its loader.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
