//! Programs that every modelled machine knows. The list is closed and documented in `docs/sandbox-programs.md`;
//! everything else is said in a `.model.rhai` file beside the feature that needs it.
//!
//! A built-in program answers the calls that are documented; for others it is as unknown as any program that nobody
//! models. The shell is a small one: what features do to files, packages and accounts they do by operations.

mod cloud_init;
mod disks;
mod file_changes;
mod files;
mod host;
mod locale;
mod network;
mod nfs;
mod node;
mod packages;
mod process;
mod shell;
mod shell_line;
mod sysctl;
mod systemctl;
mod text;
mod trust;
mod zfs;

use crate::command::Output;
use crate::sandbox::programs::ProgramCall;

use super::exec::Within;

pub(super) use nfs::{MOUNTS, mounted_at_boot};
pub(in crate::sandbox) use zfs::cache_of;

/// A built-in program; none: not known for these arguments.
type Builtin = fn(&ProgramCall, &mut Within) -> Option<Output>;

/// Name and function, sorted by name.
const BUILTINS: &[(&str, Builtin)] = &[
    ("[", files::test),
    ("apt-cache", packages::apt_cache),
    ("cat", files::cat),
    ("chmod", file_changes::chmod),
    ("chown", file_changes::chown),
    ("cloud-init", cloud_init::cloud_init),
    ("dnsmasq", node::dnsmasq),
    ("dpkg", packages::dpkg),
    ("dpkg-query", packages::dpkg_query),
    ("echo", shell::echo),
    ("env", process::env),
    ("exportfs", node::exportfs),
    ("false", shell::no),
    ("getent", host::getent),
    ("head", text::head),
    ("hostname", host::hostname),
    ("id", host::id),
    ("ip", network::ip),
    ("journalctl", systemctl::journalctl),
    ("kill", process::kill),
    ("locale", locale::locale),
    ("locale-gen", locale::locale_gen),
    ("ls", files::ls),
    ("lsblk", disks::lsblk),
    ("mkdir", file_changes::mkdir),
    ("modprobe", node::modprobe),
    ("mount", nfs::mount),
    ("mountpoint", nfs::mountpoint),
    ("mv", file_changes::mv),
    ("nginx", host::nginx),
    ("printenv", process::printenv),
    ("printf", shell::printf),
    ("pve-firewall", node::pve_firewall),
    ("pwd", process::pwd),
    ("readlink", files::readlink),
    ("rm", file_changes::rm),
    ("sh", shell::sh),
    ("sleep", shell::sleep),
    ("ss", network::ss),
    ("ssh-keygen", host::ssh_keygen),
    ("sshd", host::sshd),
    ("stat", files::stat),
    ("sysctl", sysctl::sysctl),
    ("systemctl", systemctl::systemctl),
    ("tail", text::tail),
    ("tee", text::tee),
    ("test", files::test),
    ("timedatectl", locale::timedatectl),
    ("touch", file_changes::touch),
    ("true", shell::yes),
    ("truncate", file_changes::truncate),
    ("umount", nfs::umount),
    ("uname", host::uname),
    ("update-ca-certificates", trust::update_ca_certificates),
    ("update-locale", locale::update_locale),
    ("wc", text::wc),
    ("whoami", host::whoami),
    ("wipefs", disks::wipefs),
    ("zfs", zfs::zfs),
    ("zpool", zfs::zpool),
];

/// Whether a program is built in.
pub(super) fn knows(name: &str) -> bool {
    BUILTINS.binary_search_by_key(&name, |(name, _)| name).is_ok()
}

/// Names of all built-in programs, sorted.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|(name, _)| *name)
}

/// What a built-in program answers; none when it is none, or not known for these arguments.
pub(super) fn run(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let index = BUILTINS.binary_search_by_key(&call.name(), |(name, _)| name).ok()?;
    (BUILTINS[index].1)(call, within)
}

/// The arguments as plain words.
fn words(call: &ProgramCall) -> Vec<&str> {
    call.args().iter().map(String::as_str).collect()
}

/// Success with lines on standard output.
fn lines<T: std::fmt::Display>(lines: impl IntoIterator<Item = T>) -> Output {
    Output::success(lines.into_iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// Failure with a line on standard error.
fn failure(code: i32, line: impl std::fmt::Display) -> Output {
    Output::failure(code, format!("{line}\n"))
}

/// Success, or failure with what an Op said.
fn done(result: Result<(), crate::op::OpError>) -> Output {
    match result {
        Ok(()) => Output::default(),
        Err(error) => failure(1, error),
    }
}
