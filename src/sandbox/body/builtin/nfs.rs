//! `mount`, `umount`, `mountpoint`: the table of mounts, and shares of an NFS server among them.

use std::net::IpAddr;
use std::time::Duration;

use crate::command::Output;
use crate::model::Cidr;
use crate::sandbox::body::around::{Around, Unmodelled};
use crate::sandbox::body::exec::Within;
use crate::sandbox::body::state::State;
use crate::sandbox::programs::ProgramCall;

use super::{failure, lines, words};

/// Table of mounts, of the kernel and of what is to be mounted.
pub(in crate::sandbox::body) const MOUNTS: &str = "/proc/self/mounts";
const FSTAB: &str = "/etc/fstab";

/// So long a silent server is asked.
const SILENT: Duration = Duration::from_secs(125);

/// What is to be mounted where.
struct Wanted {
    source: String,
    target: String,
    kind: String,
    options: String,
}

impl Wanted {
    /// A line of a table of mounts.
    fn of_line(line: &str) -> Option<Wanted> {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (source, target) = (words.next()?, words.next()?);
        let kind = words.next().unwrap_or_else(|| "auto".to_owned());
        Some(Wanted { source, target, kind, options: words.next().unwrap_or_else(|| "defaults".to_owned()) })
    }

    fn is_nfs(&self) -> bool {
        matches!(self.kind.as_str(), "nfs" | "nfs4") || (self.kind == "auto" && self.source.contains(":/"))
    }

    /// The line of the kernel's table.
    fn mounted(&self) -> String {
        if self.is_nfs() {
            format!("{} {} nfs4 rw,relatime,vers=4.2,{} 0 0\n", self.source, self.target, self.options)
        } else {
            format!("{} {} {} {} 0 0\n", self.source, self.target, self.kind, self.options)
        }
    }

    /// Why it cannot be mounted: what `mount` says, and how long it takes to find out.
    fn refusal(&self, state: &State, around: &Around) -> Option<(Output, Duration)> {
        let (target, at_once) = (&self.target, Duration::ZERO);
        if !state.tree.get(target).is_some_and(|node| node.is_dir()) {
            return Some((failure(32, format!("mount: {target}: mount point does not exist.")), at_once));
        }
        if !self.is_nfs() {
            return None;
        }
        if !state.is_program("/usr/sbin/mount.nfs") {
            let said = format!(
                "mount: {target}: bad option; for several filesystems (e.g. nfs, cifs) you might need a \
                 /sbin/mount.<type> helper program."
            );
            return Some((failure(32, said), at_once));
        }
        let (server, path) = self.source.split_once(':')?;
        let source = &self.source;
        if around.faults.silent_nfs.iter().any(|silent| silent == server) || !around.default_route {
            let said = format!("mount.nfs: Connection timed out for {source} on {target}");
            return Some((failure(32, said), SILENT));
        }
        let reason = refused_by_server(server, path, around)?;
        let said = match reason {
            Refused::Missing => {
                format!("mount.nfs: mounting {source} failed, reason given by server: No such file or directory")
            }
            Refused::Denied => format!("mount.nfs: access denied by server while mounting {source}"),
            Refused::NoServer => format!("mount.nfs: Connection refused for {source} on {target}"),
        };
        Some((failure(32, said), at_once))
    }
}

/// Why a server does not give a share away.
enum Refused {
    Missing,
    Denied,
    NoServer,
}

/// What the node's `/etc/exports` and the files beside it say about a share. Other servers are taken to have everything, as is a real node
/// whose exports a rehearsal does not know.
fn refused_by_server(server: &str, path: &str, around: &Around) -> Option<Refused> {
    let server: IpAddr = server.parse().ok()?;
    if !around.node_addresses.contains(&server) || around.unmodelled == Unmodelled::Unknown {
        return None;
    }
    let node = around.node.as_ref()?;
    let tree = &node.state.tree;
    if tree.get("/etc/exports").is_none() {
        return Some(Refused::NoServer);
    }
    let beside: Vec<String> = tree.names("/etc/exports.d").iter().map(|name| name.to_string()).collect();
    let exports = super::node::exports(|path| tree.text(path), &beside);
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let entry = exports.iter().find_map(|line| {
        let mut words = line.split_whitespace();
        let exported = words.next()?;
        let within = path == exported || path.starts_with(&format!("{}/", exported.trim_end_matches('/')));
        within.then(|| words.map(str::to_owned).collect::<Vec<_>>())
    });
    let Some(clients) = entry else { return Some(Refused::Missing) };
    if !node.state.tree.get(path).is_some_and(|node| node.is_dir()) {
        return Some(Refused::Missing);
    }
    let admitted = clients.iter().any(|client| {
        let client = client.split('(').next().unwrap_or_default();
        let net = client.parse::<Cidr>().ok();
        client.is_empty()
            || client == "*"
            || around.addresses.iter().any(|own| {
                net.is_some_and(|net| Cidr { prefix: net.prefix, ..*own }.network() == net.network())
                    || client == own.address.to_string()
            })
    });
    (!admitted).then_some(Refused::Denied)
}

/// The lines of the kernel's table that come of `/etc/fstab` at a boot; what cannot be mounted is not there.
pub(in crate::sandbox::body) fn mounted_at_boot(state: &State, around: &Around) -> String {
    let table = state.tree.text(FSTAB).unwrap_or_default();
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut mounted = String::new();
    for line in lines.filter(|line| !line.contains("noauto")) {
        match Wanted::of_line(line) {
            Some(wanted) if wanted.is_nfs() => {
                if wanted.refusal(state, around).is_none() {
                    mounted += &wanted.mounted();
                }
            }
            _ => mounted += &format!("{line}\n"),
        }
    }
    mounted
}

/// `mount PATH` of a line in `/etc/fstab`, `mount [-t TYPE] [-o OPTIONS] SOURCE PATH`
pub(super) fn mount(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let table = within.body.state.tree.text(FSTAB).unwrap_or_default();
    let mut lines = table.lines().filter(|line| !line.trim_start().starts_with('#'));
    let (mut kind, mut options, mut given) = ("auto".to_owned(), "defaults".to_owned(), Vec::new());
    let mut words = words(call).into_iter();
    while let Some(word) = words.next() {
        match word {
            "-t" => words.next()?.clone_into(&mut kind),
            "-o" => words.next()?.clone_into(&mut options),
            word if word.starts_with('-') => return None,
            word => given.push(word),
        }
    }
    let wanted = match given[..] {
        [] => {
            let table = within.body.state.tree.text(MOUNTS).unwrap_or_default();
            return Some(super::lines(table.lines()));
        }
        [path] => {
            let path = path.trim_end_matches('/');
            match lines.find(|line| mounted_at(line) == Some(path)) {
                Some(line) => Wanted::of_line(line)?,
                None => return Some(failure(1, format!("mount: {path}: can't find in {FSTAB}."))),
            }
        }
        [source, target] => Wanted { source: source.to_owned(), target: target.to_owned(), kind, options },
        _ => return None,
    };
    if let Some((refusal, took)) = wanted.refusal(&within.body.state, within.around) {
        *within.took += took;
        return Some(refusal);
    }
    let mut mounts = within.body.state.tree.text(MOUNTS).unwrap_or_default();
    mounts.push_str(&wanted.mounted());
    Some(super::done(within.body.place(MOUNTS, 0o444, mounts.into_bytes())))
}

/// `umount PATH`
pub(super) fn umount(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let [path] = words[..] else { return None };
    let mounts = within.body.state.tree.text(MOUNTS).unwrap_or_default();
    let is_it = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some(path) || words.next() == Some(path)
    };
    if !mounts.lines().any(is_it) {
        return Some(failure(32, format!("umount: {path}: not mounted.")));
    }
    let left: String = mounts.lines().filter(|line| !is_it(line)).map(|line| format!("{line}\n")).collect();
    Some(super::done(within.body.place(MOUNTS, 0o444, left.into_bytes())))
}

/// `mountpoint [-q] PATH`
pub(super) fn mountpoint(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (quiet, path) = match words(call)[..] {
        ["-q", path] => (true, path),
        [path] => (false, path),
        _ => return None,
    };
    let mounts = within.body.state.tree.text(MOUNTS).unwrap_or_default();
    let found = path == "/" || mounts.lines().any(|line| mounted_at(line) == Some(path));
    let said = format!("{path} is {}a mountpoint", if found { "" } else { "not " });
    Some(Output { code: if found { 0 } else { 32 }, ..if quiet { Output::default() } else { lines([said]) } })
}

/// Second word of a line of a mount table.
fn mounted_at(line: &str) -> Option<&str> {
    line.split_whitespace().nth(1)
}
