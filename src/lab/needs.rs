//! What containers need of this machine.

use std::path::Path;

use super::base::{FIRST_ID, IDS};
use super::program::LabError;

/// Programs, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 8] = [
    ("lxc-start", "lxc"),
    ("lxc-usernsexec", "lxc"),
    ("newuidmap", "uidmap"),
    ("debootstrap", "debootstrap"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("tar", "tar"),
];

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The ids that unprivileged containers have on this machine; `newuidmap` asks it of root too.
fn ids() -> String {
    format!("root:{FIRST_ID}:{IDS}")
}

/// Makes sure that this machine can run containers, with these programs (and their packages) beside the usual ones.
///
/// # Errors
/// Everything that is missing, at once, with the line that installs it.
pub fn check(more: &[(&str, &str)]) -> Result<(), LabError> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    let there = |program: &str| PATH.split(':').any(|dir| Path::new(dir).join(program).is_file());
    let all = PROGRAMS.iter().chain(more);
    let mut packages: Vec<&str> = all.filter(|(program, _)| !there(program)).map(|(_, package)| *package).collect();
    packages.dedup();
    if !packages.is_empty() {
        missing.push(format!("what `apt-get install --no-install-recommends {}` brings", packages.join(" ")));
    }
    let mapped = |file: &str| std::fs::read_to_string(file).is_ok_and(|text| text.lines().any(|line| line == ids()));
    if !["/etc/subuid", "/etc/subgid"].into_iter().all(mapped) {
        missing.push(format!("the line `{}` in /etc/subuid and /etc/subgid (ids of unprivileged containers)", ids()));
    }
    if missing.is_empty() { Ok(()) } else { Err(LabError::Needs(missing.join(", and "))) }
}
