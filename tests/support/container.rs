//! Throw-away systemd containers, made by Debian's `lxc` from a debootstrap root file system.
//!
//! The root file system is made once and kept in the checkout under `.cache/` (about a minute, 250 MB); a privileged
//! container is an overlay over it and boots in well under a second, an unprivileged one has a copy that the kernel shows
//! it with its own ids. Packages come from the machine's own apt sources, over a link of its own with NAT. Needs root and
//! the packages that `tests/run` installs; says so if they are missing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use phoenix::model::{GuestId, GuestKind};
use phoenix::op::Place;
use rustix::fs::FlockOperation;

/// What an unprivileged container's ids begin with on this machine, and how many it has.
const IDS: &str = "100000 65536";
/// What a Proxmox template of Debian has and a minimal one lacks.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,ca-certificates,openssl,procps,netbase";
/// Ids and addresses of containers are this plus their slot; one slot is one running container on this machine.
const FIRST_ID: u32 = 900_000;
const SLOTS: u32 = 250;
const NETWORK: &str = "198.51.100";
/// Every container's next hop, an address of this machine on each link.
pub const GATEWAY: &str = "169.254.0.1";
/// Longest wait for a boot; a boot takes less than a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kinds of containers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Debian 12, privileged.
    Plain,
    /// Debian 13, unprivileged, with Proxmox's `nesting`.
    Nesting,
}

impl Kind {
    const fn release(self) -> &'static str {
        match self {
            Kind::Plain => "bookworm",
            Kind::Nesting => "trixie",
        }
    }
}

/// A running container; dropping it destroys it.
pub struct Container {
    kind: Kind,
    slot: u32,
    dir: PathBuf,
    /// Held by the kernel, so that a slot is free again when its test is killed.
    _lock: File,
}

impl Container {
    /// Boots a container and waits until its init is done.
    pub fn boot() -> Container {
        Container::of(Kind::Plain)
    }

    /// The same with an unprivileged one in which containers can run.
    pub fn boot_nesting() -> Container {
        for ids in ["/etc/subuid", "/etc/subgid"] {
            let line = format!("root:{}", IDS.replace(' ', ":"));
            sh(&format!("grep -qx {line} {ids} || echo {line} >>{ids}"));
        }
        Container::of(Kind::Nesting)
    }

    fn of(kind: Kind) -> Container {
        let base = base(kind.release());
        let (slot, lock) = take_slot();
        let dir = cache().join(format!("container-{slot}"));
        let container = Container { kind, slot, dir, _lock: lock };
        container.remove();
        fs::create_dir_all(container.dir.join("upper")).unwrap();
        if kind == Kind::Nesting {
            sh(&format!("cp -a --reflink=auto {} {}", base.display(), container.dir.join("root").display()));
        }
        fs::write(container.dir.join("config"), container.config(&base)).unwrap();
        container.start();
        container
    }

    /// Boots it, for the first time or again, and waits until its init is done.
    pub fn start(&self) {
        sh(&format!("lxc-start -n {} -f {}", self.id(), self.dir.join("config").display()));
        self.link();
        self.wait();
    }

    /// Its id, as the channel knows it.
    pub fn id(&self) -> GuestId {
        GuestId::try_from(FIRST_ID + self.slot).unwrap()
    }

    /// The machine that Ops act in.
    pub fn place(&self) -> Place {
        Place::Guest(self.id(), GuestKind::Lxc)
    }

    /// Its address; reachable from this machine.
    pub fn address(&self) -> String {
        format!("{NETWORK}.{}", self.slot + 2)
    }

    /// Its root file system as it sees it, sockets included.
    pub fn root(&self) -> PathBuf {
        let init = sh(&format!("lxc-info -p -H -n {}", self.id()));
        PathBuf::from(format!("/proc/{}/root", init.trim()))
    }

    /// Runs a shell script inside, around the channel; answers its standard output.
    pub fn sh(&self, script: &str) -> String {
        let id = self.id().to_string();
        let output = Command::new("lxc-attach").args(["-n", &id, "--clear-env", "--", "sh", "-c", script]).output();
        let output = output.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{script}` in container {id}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Copies a file of this machine into it; directories above are made.
    pub fn put(&self, from: &Path, to: &str) {
        let id = self.id().to_string();
        let script = format!("mkdir -p \"$(dirname '{to}')\" && cat >'{to}'");
        let file = File::open(from).unwrap();
        let mut attach = Command::new("lxc-attach");
        let copied = attach.args(["-n", &id, "--clear-env", "--", "sh", "-c", &script]).stdin(file).status().unwrap();
        assert!(copied.success(), "{} to {to} in container {id}", from.display());
    }

    /// Stops it at once, as a power cut does.
    pub fn kill(&self) {
        let id = self.id().to_string();
        // Not running is fine.
        let _ = Command::new("lxc-stop").args(["-k", "-n", &id]).stderr(Stdio::null()).status();
    }

    fn config(&self, base: &Path) -> String {
        let (id, slot, dir) = (self.id(), self.slot, self.dir.display());
        let root = match self.kind {
            Kind::Plain => format!("lxc.rootfs.path = overlay:{}:{dir}/upper\n", base.display()),
            Kind::Nesting => format!(
                "lxc.include = /usr/share/lxc/config/debian.userns.conf\n\
                 lxc.include = /usr/share/lxc/config/nesting.conf\n\
                 lxc.idmap = u 0 {IDS}\n\
                 lxc.idmap = g 0 {IDS}\n\
                 lxc.rootfs.path = dir:{dir}/root\n\
                 lxc.rootfs.options = idmap=container\n"
            ),
        };
        format!(
            "lxc.include = /usr/share/lxc/config/debian.common.conf\n\
             lxc.apparmor.profile = unconfined\n\
             lxc.uts.name = ct{id}\n\
             {root}\
             lxc.log.file = {dir}/log\n\
             lxc.net.0.type = veth\n\
             lxc.net.0.veth.mode = router\n\
             lxc.net.0.veth.pair = phx{slot}\n\
             lxc.net.0.name = eth0\n\
             lxc.net.0.mtu = 1400\n\
             lxc.net.0.flags = up\n\
             lxc.net.0.ipv4.address = {}/32\n\
             lxc.net.0.ipv4.gateway = {GATEWAY}\n",
            self.address(),
        )
    }

    /// The machine's end of the link, and the way out.
    fn link(&self) {
        sh(&format!("ip addr add {GATEWAY}/32 dev phx{}", self.slot));
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        // Declared anew each time, in one transaction: adding what is there would add it twice.
        sh(&format!(
            "nft -f - <<'END'\n\
             table ip phoenix_tests\n\
             delete table ip phoenix_tests\n\
             table ip phoenix_tests {{\n\
             chain out {{\n\
             type nat hook postrouting priority 100\n\
             ip saddr {NETWORK}.0/24 oifname != \"phx*\" masquerade\n\
             }}\n\
             }}\n\
             END"
        ));
    }

    fn wait(&self) {
        let until = Instant::now() + PATIENCE;
        let id = self.id().to_string();
        loop {
            let state = Command::new("lxc-attach").args(["-n", &id, "--", "systemctl", "is-system-running"]).output();
            let state = String::from_utf8_lossy(&state.unwrap().stdout).trim().to_owned();
            if state == "running" {
                return;
            }
            assert!(Instant::now() < until, "container {id} is still `{state}` after {} s", PATIENCE.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing of it is left, nor of an earlier one that was not destroyed.
    fn remove(&self) {
        self.kill();
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir).unwrap();
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A slot that nobody on this machine uses.
fn take_slot() -> (u32, File) {
    let dir = Path::new("/run/lock/phoenix-tests");
    fs::create_dir_all(dir).expect("tests with containers need root");
    let free = (0..SLOTS).find_map(|slot| {
        let file = File::create(dir.join(slot.to_string())).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok().map(|()| (slot, file))
    });
    free.expect("no more than 250 containers at once")
}

pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/containers")
}

/// The root file system that all containers of a release share; made by whoever comes first.
pub fn base(release: &str) -> PathBuf {
    let cache = cache();
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join(format!("lock-{release}"))).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    let base = cache.join(release);
    if !base.exists() {
        let unfinished = cache.join(format!("unfinished-{release}"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).unwrap();
        }
        let root = unfinished.display();
        let sources = sources(release);
        let mirror = sources.split_whitespace().nth(1).expect("a mirror").to_owned();
        sh(&format!("debootstrap --variant=minbase --include={PACKAGES} {release} {root} {mirror} >&2"));
        fs::write(unfinished.join("etc/apt/sources.list"), sources).unwrap();
        sh(&format!("apt-config dump | grep -i '::proxy' >{root}/etc/apt/apt.conf.d/00machine || true"));
        // Proxmox's templates leave to the node what belongs to it, too.
        for unit in ["sys-kernel-debug.mount", "systemd-modules-load.service"] {
            std::os::unix::fs::symlink("/dev/null", unfinished.join("etc/systemd/system").join(unit)).unwrap();
        }
        sh(&format!("rm -f {root}/etc/machine-id {root}/var/cache/apt/archives/*.deb; touch {root}/etc/machine-id"));
        sh(&format!("chroot {root} apt-get -q update >&2"));
        fs::rename(&unfinished, &base).unwrap();
    }
    base
}

/// The machine's own sources, of another release if it is another, as lines of a `sources.list`.
fn sources(release: &str) -> String {
    let format = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)";
    let own = sh("sed -n 's/^VERSION_CODENAME=//p' /etc/os-release").trim().to_owned();
    let listed =
        sh(&format!("apt-get indextargets --format '{format}' 'Created-By: Packages' 'Origin: Debian' | sort -u"));
    let suite = |line: &str| line.split(' ').nth(2).unwrap_or_default().to_owned();
    let mut lines: Vec<String> = listed
        .lines()
        .filter(|line| suite(line).starts_with(&own))
        .map(|line| format!("{}\n", line.replace(&own, release)))
        .collect();
    // The release itself first: it is what debootstrap needs.
    lines.sort_by_key(|line| suite(line) != release);
    assert!(!lines.is_empty(), "no apt source of {own} on this machine, or `apt-get update` never ran");
    lines.concat()
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
