//! Root file systems that containers share: one per release of Debian, made once out of the machine's own package
//! sources and never changed afterwards.
//!
//! ```text
//! CACHE/RELEASE             as debootstrap leaves it, for privileged containers
//! CACHE/RELEASE-shifted     the same with the ids of unprivileged ones
//! CACHE/lock-NAME           held while one of them is made; CACHE/unfinished-NAME is what is being made
//! ```

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::FlockOperation;

use super::program::{LabError, run, shell};

/// The first id of this machine that an unprivileged container has, as on Proxmox VE.
pub const FIRST_ID: u32 = 100_000;
/// How many it has.
pub const IDS: u32 = 65_536;
/// What a Proxmox template of Debian has and a minimal one lacks.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,ca-certificates,openssl,procps,netbase";

/// The root file system of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    root: PathBuf,
    shifted: bool,
}

impl Base {
    /// The root file system of a release of Debian, by its code name, below the directory `cache`; its files belong to
    /// the ids of a privileged container, or to those of an unprivileged one (`shifted`). Made by whoever comes first,
    /// which takes about a minute and is told in advance.
    ///
    /// # Errors
    /// When a package is missing on this machine, or its sources do not have the release.
    pub fn of(cache: &Path, release: &str, shifted: bool, tell: &dyn Fn(&str)) -> Result<Base, LabError> {
        let plain = once(cache, release, |root| {
            tell(&format!("making a root file system of {release}, once, from this machine's package sources"));
            bootstrap(release, root)
        })?;
        let root =
            if shifted { once(cache, &format!("{release}-shifted"), |root| shift(&plain, root))? } else { plain };
        Ok(Base { root, shifted })
    }

    /// Where it is. Nobody may write there.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether its files belong to the ids of unprivileged containers.
    pub fn is_shifted(&self) -> bool {
        self.shifted
    }
}

/// A directory that is made once, whole or not at all, whoever comes first.
fn once(cache: &Path, name: &str, make: impl FnOnce(&Path) -> Result<(), LabError>) -> Result<PathBuf, LabError> {
    let made = cache.join(name);
    if made.exists() {
        return Ok(made);
    }
    super::check(&[])?;
    fs::create_dir_all(cache).map_err(LabError::at(cache))?;
    let lock = cache.join(format!("lock-{name}"));
    let held = File::create(&lock).map_err(LabError::at(&lock))?;
    rustix::fs::flock(&held, FlockOperation::LockExclusive).map_err(|errno| LabError::at(&lock)(errno.into()))?;
    if !made.exists() {
        let unfinished = cache.join(format!("unfinished-{name}"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(LabError::at(&unfinished))?;
        }
        make(&unfinished)?;
        fs::rename(&unfinished, &made).map_err(LabError::at(&made))?;
    }
    Ok(made)
}

fn bootstrap(release: &str, root: &Path) -> Result<(), LabError> {
    let sources = sources(release)?;
    let mirror = sources.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let include = format!("--include={PACKAGES}");
    // In a mount namespace of its own: what it mounts there ends with it, however it ends.
    let mut debootstrap = Command::new("unshare");
    debootstrap.args(["--mount", "--propagation", "private", "debootstrap", "--variant=minbase", &include, release]);
    run(debootstrap.arg(root).arg(mirror))?;
    let list = root.join("etc/apt/sources.list");
    fs::write(&list, sources).map_err(LabError::at(&list))?;
    // Proxmox's templates leave to the node what belongs to it, too.
    let finish = "cd \"$1\"
        ln -s /dev/null etc/systemd/system/sys-kernel-debug.mount
        ln -s /dev/null etc/systemd/system/systemd-modules-load.service
        apt-config dump | grep -i '::proxy' >etc/apt/apt.conf.d/00machine || true
        rm -f var/cache/apt/archives/*.deb etc/hostname
        : >etc/machine-id
        chroot . apt-get -q update >&2";
    shell("the root file system's last touches", finish, &[&root.to_string_lossy()]).map(drop)
}

/// The machine's own sources, of another release if it is another, as lines of a `sources.list`.
fn sources(release: &str) -> Result<String, LabError> {
    let own = shell("this machine's release", ". /etc/os-release && printf %s \"$VERSION_CODENAME\"", &[])?;
    let format = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)";
    let mut targets = Command::new("apt-get");
    let listed = run(targets.args(["indextargets", "--format", format, "Created-By: Packages", "Origin: Debian"]))?;
    let suite = |line: &str| line.split(' ').nth(2).unwrap_or_default().to_owned();
    let lines = listed.lines().filter(|line| suite(line).starts_with(&own));
    let mut lines: Vec<String> = lines.map(|line| format!("{}\n", line.replace(&own, release))).collect();
    // The release itself first: it is what debootstrap needs.
    lines.sort_by_key(|line| (suite(line) != release, line.clone()));
    lines.dedup();
    if lines.is_empty() {
        let reason = format!("this machine has no Debian package source of {own}, or `apt-get update` never ran");
        return Err(LabError::failed(format!("root file system of {release}"), reason));
    }
    Ok(lines.concat())
}

/// A copy whose ids are those of unprivileged containers: unpacked where these ids are in force, so that modes and
/// capabilities of files stay true.
fn shift(plain: &Path, root: &Path) -> Result<(), LabError> {
    let what = "a copy for unprivileged containers";
    fs::create_dir(root).map_err(LabError::at(root))?;
    std::os::unix::fs::chown(root, Some(FIRST_ID), Some(FIRST_ID)).map_err(LabError::at(root))?;
    let keep = ["--numeric-owner", "--xattrs", "--xattrs-include=*"];
    let mut pack = Command::new("tar");
    // Device nodes are the container's business, and cannot be made there.
    let pack = pack.process_group(0).arg("-C").arg(plain).args(keep).args(["--exclude=./dev/*", "-cf", "-", "."]);
    let mut packing = pack.stdout(Stdio::piped()).spawn().map_err(|error| LabError::failed(what, error))?;
    let packed = packing.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut unpack = Command::new("lxc-usernsexec");
    let map = format!("b:0:{FIRST_ID}:{IDS}");
    let unpack = unpack.args(["-m", &map, "--", "tar", "-C"]).arg(root).args(keep).args(["-xpf", "-"]).stdin(packed);
    let unpacked = unpack.process_group(0).output().map_err(|error| LabError::failed(what, error))?;
    let all = packing.wait().map_err(|error| LabError::failed(what, error))?;
    if !all.success() || !unpacked.status.success() {
        return Err(LabError::failed(what, super::program::last_lines(&String::from_utf8_lossy(&unpacked.stderr))));
    }
    Ok(())
}
