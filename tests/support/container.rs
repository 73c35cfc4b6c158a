//! Throw-away systemd containers ([`phoenix::lab`]), as tests like them: whatever goes wrong is a panic that says so.
//!
//! Root file systems are made once and kept in the checkout under `.cache/` (about a minute, 250 MB each). A privileged
//! container is in layers over it, an unprivileged one has a copy. Needs root and the packages that `tests/run` installs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::lab::{Base, LabError, Throwaway};
use phoenix::model::GuestId;
use phoenix::op::Place;

/// A running container; dropping it destroys it.
pub struct Container(Throwaway);

impl Container {
    /// Boots a privileged one with Debian 12 and waits until its init is done.
    pub fn boot() -> Container {
        Container(sound(Throwaway::boot(&base("bookworm", false), &cache())))
    }

    /// The same with Debian 13, unprivileged, in which containers can run.
    pub fn boot_nesting() -> Container {
        Container(sound(Throwaway::boot(&base("trixie", true), &cache())))
    }

    /// Boots it again and waits until its init is done.
    pub fn start(&self) {
        sound(self.0.start());
    }

    /// Its id, as the channel knows it.
    pub fn id(&self) -> GuestId {
        self.0.id()
    }

    /// The machine that Ops act in.
    pub fn place(&self) -> Place {
        self.0.place()
    }

    /// Its address; reachable from this machine.
    pub fn address(&self) -> String {
        self.0.address()
    }

    /// Its root file system as it sees it, sockets included.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", sound(self.0.container().pid())))
    }

    /// Runs a shell script inside, around the channel; answers its standard output.
    pub fn sh(&self, script: &str) -> String {
        let output = self.0.container().enter(&["sh", "-c", script]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{script}` in container {}: {stderr}", self.id());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Copies a file of this machine into it; directories above are made.
    pub fn put(&self, from: &Path, to: &str) {
        let script = format!("mkdir -p \"$(dirname '{to}')\" && cat >'{to}'");
        let file = File::open(from).unwrap();
        let copied = self.0.container().enter(&["sh", "-c", &script]).stdin(file).status().unwrap();
        assert!(copied.success(), "{} to {to} in container {}", from.display(), self.id());
    }

    /// Stops it at once, as a power cut does.
    pub fn kill(&self) {
        sound(self.0.kill());
    }
}

fn sound<T>(result: Result<T, LabError>) -> T {
    result.unwrap_or_else(|error| panic!("{error} (tests with containers need root and what tests/run installs)"))
}

pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/containers")
}

/// The root file system that all containers of a release share; made by whoever comes first.
pub fn base(release: &str, shifted: bool) -> Base {
    sound(Base::of(&cache(), release, shifted, &|words| eprintln!("{words}")))
}

/// Runs a shell command on this machine; answers its standard output.
pub fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "`{script}` failed (tests with containers need root and what tests/run installs): {stderr}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
