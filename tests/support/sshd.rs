//! A node behind a real sshd on loopback: its own keys, its own `/etc` and `/var/lib/phoenix`, gone with this value.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use phoenix::host::interrupt::Interrupt;
use phoenix::host::ssh::{self, Address, Needs, Ssh, SshError};
use tempfile::TempDir;

/// What the node's root finds at home and in `/etc`, beyond what this machine has.
#[derive(Default)]
pub struct Setup {
    /// Lines of root's `.bashrc`.
    pub bashrc: &'static str,
    /// It has no `/etc/pve`.
    pub no_proxmox: bool,
}

/// A running sshd.
pub struct Sshd {
    folder: TempDir,
    port: u16,
    child: Child,
}

/// The program as it is carried: without what a debugger wants.
pub fn node_binary() -> &'static Path {
    static STRIPPED: OnceLock<PathBuf> = OnceLock::new();
    STRIPPED.get_or_init(|| {
        let (built, folder) = (Path::new(env!("CARGO_BIN_EXE_phoenix")), Path::new(env!("CARGO_TARGET_TMPDIR")));
        let (path, new) = (folder.join("phoenix-stripped"), folder.join(format!("stripped-{}", std::process::id())));
        let made = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
        if made(&path) < made(built) {
            let strip = Command::new("strip").arg("-o").arg(&new).arg(built).status();
            assert!(strip.expect("binutils").success());
            fs::rename(&new, &path).unwrap();
        }
        path
    })
}

impl Sshd {
    pub fn start() -> Sshd {
        Sshd::with(&Setup::default())
    }

    pub fn with(setup: &Setup) -> Sshd {
        let sshd = "/usr/sbin/sshd";
        assert!(Path::new(sshd).exists(), "{sshd} is missing: tests/run installs openssh-server");
        let folder = tempfile::Builder::new().prefix("phoenix-sshd-").tempdir().unwrap();
        let at = folder.path();
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["root", "etc", "bin"] {
            fs::create_dir(at.join(folder)).unwrap();
        }
        for key in ["host_key", "other_key", "key"] {
            let words = ["-q", "-t", "ed25519", "-N", "", "-f"];
            assert!(Command::new("ssh-keygen").args(words).arg(at.join(key)).status().unwrap().success());
        }
        // Nobody else listens there as long as sshd does not.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = at.display();
        let public = fs::read_to_string(at.join("host_key.pub")).unwrap();
        fs::write(at.join("known_hosts"), format!("[127.0.0.1]:{port} {public}")).unwrap();
        fs::write(at.join("root/.bashrc"), setup.bashrc).unwrap();
        fs::copy(at.join("key.pub"), at.join("authorized_keys")).unwrap();
        fs::write(
            at.join("sshd_config"),
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {path}/host_key\nPidFile none\n\
                 AuthorizedKeysFile {path}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\nLogLevel ERROR\n"
            ),
        )
        .unwrap();
        fs::write(
            at.join("ssh_config"),
            format!(
                "Host *\nIdentityFile {path}/key\nIdentitiesOnly yes\nIdentityAgent none\n\
                 UserKnownHostsFile {path}/known_hosts\nGlobalKnownHostsFile /dev/null\nLogLevel INFO\n"
            ),
        )
        .unwrap();
        let shim = at.join("bin/ssh");
        fs::write(&shim, format!("#!/bin/sh\nexec /usr/bin/ssh -F {path}/ssh_config \"$@\"\n")).unwrap();
        fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
        // Its own users, its own `/etc/pve`, its own `/var/lib/phoenix`: nothing of this machine is touched.
        let script = r#"set -e
            cp -a /etc/. "$1/etc/"
            sed -i "s|^root:.*|root:x:0:0:root:$1/root:/bin/bash|" "$1/etc/passwd"
            sed -i "s|^root:[^:]*|root:*|" "$1/etc/shadow"
            echo "anna:x:4711:4711::/:/bin/sh" >>"$1/etc/passwd"
            echo "anna:*:19000:0:99999:7:::" >>"$1/etc/shadow"
            rm -rf "$1/etc/pve" "$1/etc/phoenix"
            [ "$2" = no ] || mkdir "$1/etc/pve"
            mkdir -p /run/sshd /var/lib/phoenix /srv
            mount --bind "$1/etc" /etc
            mount -t tmpfs tmpfs /var/lib/phoenix
            mount -t tmpfs tmpfs /srv
            exec /usr/sbin/sshd -D -f "$1/sshd_config""#;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"])
            .arg(at)
            .arg(if setup.no_proxmox { "no" } else { "yes" })
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0);
        let child = command.spawn().expect("unshare");
        let sshd = Sshd { folder, port, child };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "sshd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        sshd
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("ssh://root@127.0.0.1:{}", self.port)
    }

    /// Runs a shell line on the node, by ssh alone.
    pub fn sh(&self, line: &str) -> Output {
        let port = self.port.to_string();
        Command::new(self.path("bin/ssh")).args(["-p", &port, "root@127.0.0.1", line]).output().unwrap()
    }

    /// The node itself as a host.
    pub fn open(&self) -> Ssh {
        self.try_open(&self.url(), Some(node_binary()), &Interrupt::new()).unwrap()
    }

    /// The emulated node that workstations act on.
    pub fn open_world(&self) -> Ssh {
        let host = format!("sandbox:{}", self.path("world").display());
        self.connect(&self.url(), Some(node_binary()), &["--host", &host, "serve"], &Interrupt::new()).unwrap()
    }

    pub fn try_open(&self, url: &str, binary: Option<&Path>, interrupt: &Interrupt) -> Result<Ssh, SshError> {
        self.connect(url, binary, &["serve"], interrupt)
    }

    fn connect(
        &self,
        url: &str,
        binary: Option<&Path>,
        arguments: &[&str],
        interrupt: &Interrupt,
    ) -> Result<Ssh, SshError> {
        let address: Address = url.parse().unwrap();
        let options = ssh::Options {
            client: self.path("bin/ssh"),
            binary: binary.map(Path::to_owned),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            needs: Needs::Proxmox,
            terminal: false,
            copying: &|_| {},
        };
        Ssh::open(&address, &options, interrupt)
    }

    /// A workstation of somebody with a home of their own, told to act on an emulated node that is kept on the node.
    pub fn workstation(&self, home: &Path, url: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command
            .env_clear()
            .env("HOME", home)
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .current_dir(home)
            .args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/etc"), "--host", url])
            .args(["--node-serves", &format!("sandbox:{}", self.path("world").display())])
            .arg("--node-binary")
            .arg(node_binary())
            .args(words)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // All that runs on the node goes with the first process of its namespace.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A line to an sshd that breaks after so many bytes from it.
pub struct Frail {
    port: u16,
    passed: Arc<AtomicUsize>,
    silent: Arc<AtomicBool>,
}

impl Frail {
    pub fn line(to: &Sshd, breaks_after: usize) -> Frail {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let known = fs::read_to_string(to.path("known_hosts")).unwrap();
        let more = known.lines().next().unwrap().replace(&format!(":{} ", to.port), &format!(":{port} "));
        fs::write(to.path("known_hosts"), format!("{known}{more}\n")).unwrap();
        let passed = Arc::new(AtomicUsize::new(0));
        let silent = Arc::new(AtomicBool::new(false));
        let (target, counted, mute) = (to.port, Arc::clone(&passed), Arc::clone(&silent));
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                let there = TcpStream::connect(("127.0.0.1", target)).unwrap();
                carry(&here, &there, usize::MAX, Arc::default(), Arc::clone(&mute));
                carry(&there, &here, breaks_after, Arc::clone(&counted), Arc::clone(&mute));
            }
        });
        Frail { port, passed, silent }
    }

    pub fn url(&self) -> String {
        format!("ssh://root@127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing passes, and nobody is told.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// Bytes that came over it.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

fn carry(from: &TcpStream, to: &TcpStream, limit: usize, passed: Arc<AtomicUsize>, silent: Arc<AtomicBool>) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            if silent.load(Ordering::Relaxed) {
                continue;
            }
            if passed.fetch_add(count, Ordering::Relaxed) + count > limit || to.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        drop(from.shutdown(std::net::Shutdown::Both));
        drop(to.shutdown(std::net::Shutdown::Both));
    });
}
