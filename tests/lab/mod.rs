//! The lab as its users start it: real containers behind an emulated node. Needs root and what `tests/run` installs.

mod chain;
mod life;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::container::cache;

/// A lab with a configuration of its own. Dropping it removes everything, also of a test that failed.
struct Laboratory {
    folder: TempDir,
}

impl Laboratory {
    /// The shipped platform.
    fn new() -> Laboratory {
        let lab = Laboratory { folder: tempfile::Builder::new().prefix("phoenix-lab-").tempdir().unwrap() };
        std::fs::create_dir_all(lab.dir()).unwrap();
        // The root file systems of the other tests.
        std::fs::create_dir_all(cache()).unwrap();
        std::os::unix::fs::symlink(cache(), lab.dir().join("base")).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc");
        let copied = Command::new("cp").arg("-r").arg(&shipped).arg(lab.path("etc")).status().unwrap();
        assert!(copied.success());
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn dir(&self) -> PathBuf {
        self.path("lab")
    }

    /// Changes the declarations of containers.
    fn declare(&self, change: impl FnOnce(&mut Value)) {
        let file = self.path("etc/phoenix_lxc_configs.json");
        let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        change(&mut all["lxc_configs"]);
        std::fs::write(&file, all.to_string()).unwrap();
    }

    /// A script of the installation's own.
    fn script(&self, path: &str, text: &str) {
        let file = self.path("scripts").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.env("HOME", self.path("home")).stdin(Stdio::null());
        command.arg("--config").arg(self.path("etc")).arg("--scripts").arg(self.path("scripts"));
        command.arg("--host").arg(format!("lab:{}", self.dir().display())).args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What a call prints that must succeed.
    fn told(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words:?}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }

    /// A shell script in a container, as typed on the node.
    fn inside(&self, id: &str, script: &str) -> String {
        self.told(&["sandbox", "exec", "--", "pct", "exec", id, "--", "sh", "-c", script])
    }

    /// Made, and made again without a change; prints how long both took.
    fn converges(&self, what: &str, ids: &[&str]) {
        let words = [&["create"], ids].concat();
        let began = Instant::now();
        self.told(&words);
        let first = began.elapsed();
        let began = Instant::now();
        let again = self.told(&words);
        let second = began.elapsed();
        assert!(again.contains("unchanged") && !again.contains(" changed"), "{again}");
        println!("{what} in the lab: first {first:.1?}, second {second:.1?}");
    }

    /// The address by which this machine reaches an address in the lab.
    fn seen(&self, address: &str) -> Ipv4Addr {
        let shown = self.namespace(&["nft", "list", "map", "ip", "lab", "seen"]);
        let words: Vec<&str> = shown.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty()).collect();
        let at = words.iter().position(|word| *word == address).unwrap_or_else(|| panic!("{address} in {shown}"));
        words[at - 2].parse().unwrap()
    }

    /// A program in the lab's network.
    fn namespace(&self, words: &[&str]) -> String {
        let output = Command::new("ip").args(["netns", "exec", &self.network()]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The name of its network namespace.
    fn network(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.dir().as_os_str().as_encoded_bytes());
        let name: String = digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("phoenix-{name}")
    }
}

impl Drop for Laboratory {
    fn drop(&mut self) {
        // A test that failed has its own words.
        let _ = self.run(&["sandbox", "reset"]);
    }
}

/// Asks until the answer is good, for at most half a minute.
fn until<T>(ask: impl Fn() -> T, good: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = ask();
        if good(&answer) || Instant::now() > end {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
