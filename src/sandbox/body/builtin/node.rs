//! Programs of a node that check or read what was written: `exportfs`, `dnsmasq --test`, `pve-firewall compile`; and
//! `modprobe`.

use crate::command::Output;
use crate::pve::firewall_file::FirewallFile;
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

use super::{failure, lines, words};

/// What the NFS server exports.
const TABLE: &str = "/var/lib/nfs/etab";

/// Lines of exports: path and clients, of `/etc/exports` and the files beside it.
pub(super) fn exports(read: impl Fn(&str) -> Option<String>, beside: &[String]) -> Vec<String> {
    let files =
        std::iter::once("/etc/exports".to_owned()).chain(beside.iter().map(|name| format!("/etc/exports.d/{name}")));
    let text: String = files.filter_map(|path| Some(read(&path)? + "\n")).collect();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// `exportfs -ra`, `exportfs`
pub(super) fn exportfs(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let tree = &within.body.state.tree;
    match words(call)[..] {
        [] => Some(lines(tree.text(TABLE).unwrap_or_default().lines())),
        ["-ra"] => {
            let names = tree.names("/etc/exports.d");
            let names = names.iter().map(|name| name.to_string()).filter(|name| name.ends_with(".exports"));
            let names: Vec<String> = names.collect();
            let all = exports(|path| tree.text(path), &names);
            let path = |line: &String| line.split_whitespace().next().unwrap_or_default().to_owned();
            if let Some(missing) = all.iter().map(path).find(|path| tree.get(path).is_none()) {
                return Some(failure(1, format!("exportfs: Failed to stat {missing}: No such file or directory")));
            }
            let table: String = all.iter().map(|line| format!("{line}\n")).collect();
            Some(super::done(within.body.place(TABLE, 0o644, table.into_bytes())))
        }
        _ => None,
    }
}

/// `dnsmasq --test`: options of the drop-ins that are known are taken.
pub(super) fn dnsmasq(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let ["--test"] = words(call)[..] else { return None };
    const KNOWN: [&str; 12] = [
        "addn-hosts",
        "address",
        "bind-interfaces",
        "cache-size",
        "domain",
        "domain-needed",
        "expand-hosts",
        "hostsdir",
        "interface",
        "listen-address",
        "local",
        "server",
    ];
    let tree = &within.body.state.tree;
    for name in tree.names("/etc/dnsmasq.d").iter() {
        let text = tree.text(&format!("/etc/dnsmasq.d/{name}")).unwrap_or_default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let key = line.split('=').next().unwrap_or_default().trim();
            if !line.starts_with('#') && !KNOWN.contains(&key) {
                let said = format!("dnsmasq: bad option at line {} of /etc/dnsmasq.d/{name}", number + 1);
                return Some(failure(1, said));
            }
        }
    }
    Some(Output { stderr: b"dnsmasq: syntax check OK.\n".to_vec(), ..Output::default() })
}

/// `pve-firewall compile`: complains of rules whose groups or sets are not there.
pub(super) fn pve_firewall(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let ["compile"] = words(call)[..] else { return None };
    let cluster = within.body.state.tree.text("/etc/pve/firewall/cluster.fw").unwrap_or_default();
    let file = FirewallFile::parse(&cluster);
    let missing = file.rules.iter().find_map(|rule| {
        let group = (rule.direction == "group" && !file.groups.contains_key(&rule.action)).then_some(&rule.action);
        group.map(|group| {
            format!("/etc/pve/firewall/cluster.fw - errors in rule parameters: no such security group '{group}'")
        })
    });
    Some(match missing {
        Some(said) => Output { stderr: format!("{said}\n").into_bytes(), ..Output::default() },
        None => Output::default(),
    })
}

/// `modprobe [--] MODULE`: any module is there.
pub(super) fn modprobe(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (["--", name] | [name]) = words(call)[..] else { return None };
    let path = format!("/sys/module/{}", name.replace('-', "_"));
    Some(super::done(within.body.place_dir(&path)))
}
