//! What a machine's own files and tools say about it, read alike on the node and in guests.

use std::collections::{BTreeMap, BTreeSet};

use crate::op::{Group, OpValue, UnitState, User};

/// dpkg's record of every package it knows.
pub(super) const DPKG_STATUS: &str = "/var/lib/dpkg/status";

/// Installed packages of dpkg's status file: name -> version.
pub(super) fn packages(status: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(status);
    let installed = text.split("\n\n").filter_map(|paragraph| {
        let field =
            |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim);
        let state = field("Status")?.rsplit(' ').next()?;
        (state == "installed").then_some(())?;
        Some((field("Package")?.to_owned(), field("Version")?.to_owned()))
    });
    installed.collect()
}

/// Users of `/etc/passwd`, in its order.
pub(super) fn users(passwd: &[u8]) -> Vec<User> {
    let text = String::from_utf8_lossy(passwd);
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, shell] = fields.try_into().ok()?;
        Some(User {
            name: name.to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: home.to_owned(),
            shell: shell.to_owned(),
        })
    };
    text.lines().filter_map(user).collect()
}

/// Groups of `/etc/group`, in its order.
pub(super) fn groups(group: &[u8]) -> Vec<Group> {
    let text = String::from_utf8_lossy(group);
    let group = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = fields.try_into().ok()?;
        let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
        Some(Group { name: name.to_owned(), gid: gid.parse().ok()?, members })
    };
    text.lines().filter_map(group).collect()
}

/// Ports that something listens on, of `/proc/net/tcp` or `tcp6`.
pub(super) fn listening(table: &[u8]) -> BTreeSet<u16> {
    /// TCP_LISTEN of the kernel's `tcp_states.h`.
    const LISTEN: &str = "0A";
    let text = String::from_utf8_lossy(table);
    let port = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (local, state) = (fields.nth(1)?, fields.nth(1)?);
        (state == LISTEN).then_some(())?;
        u16::from_str_radix(local.rsplit(':').next()?, 16).ok()
    };
    text.lines().filter_map(port).collect()
}

/// States of units in the order asked, of `systemctl show`: a paragraph for each. None if the paragraphs do not match.
pub(super) fn units(names: &[String], shown: &str) -> Option<Vec<UnitState>> {
    let paragraphs: Vec<&str> = shown.split("\n\n").collect();
    if paragraphs.len() != names.len() {
        return None;
    }
    let state = |(name, paragraph): (&String, &&str)| {
        let property = |key: &str| {
            let value = paragraph.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_default().to_owned()
        };
        UnitState {
            name: name.clone(),
            load: property("LoadState"),
            active: property("ActiveState"),
            sub: property("SubState"),
            enabled: property("UnitFileState"),
        }
    };
    Some(names.iter().zip(&paragraphs).map(state).collect())
}

/// Addresses of `ip -o addr` without loopback and link-local ones, and whether `ip -o route show default` of IPv4 or
/// IPv6 says anything.
pub(super) fn network(addresses: &str, routes: &str) -> OpValue {
    let address = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let at = words.iter().position(|word| *word == "inet" || *word == "inet6")?;
        let local = words.windows(2).any(|pair| pair[0] == "scope" && (pair[1] == "host" || pair[1] == "link"));
        (!local).then(|| words.get(at + 1).map(|word| (*word).to_owned()))?
    };
    OpValue::Network {
        addresses: addresses.lines().filter_map(address).collect(),
        default_route: !routes.trim().is_empty(),
    }
}

/// Fields of `/etc/os-release` and dpkg's architecture.
pub(super) fn os(release: &[u8], arch: &str) -> OpValue {
    let text = String::from_utf8_lossy(release);
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        // os-release(5): shell syntax.
        value.and_then(shlex::split).and_then(|words| words.into_iter().next()).unwrap_or_default()
    };
    OpValue::Os {
        id: field("ID"),
        version: field("VERSION_ID"),
        codename: field("VERSION_CODENAME"),
        arch: arch.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_counts() {
        let status = b"Package: a\nStatus: install ok installed\nVersion: 1-2\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: c\nStatus: hold ok installed\nDepends: x\nVersion: 2:3\n";
        let found = packages(status);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("a".into(), "1-2".into()), ("c".into(), "2:3".into())]);
    }

    #[test]
    fn only_listening_sockets_count() {
        let table = b"  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A 0\n   1: 0100007F:0016 0100007F:9999 01 0\n";
        assert_eq!(listening(table).into_iter().collect::<Vec<_>>(), [8080]);
    }

    #[test]
    fn loopback_and_link_local_addresses_do_not_count() {
        let shown = "1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\n2: eth0    inet6 fe80::1/64 scope link \n";
        let expected = OpValue::Network { addresses: vec!["192.0.2.7/24".into()], default_route: false };
        assert_eq!(network(shown, "\n"), expected);
    }

    #[test]
    fn os_release_is_unquoted() {
        let OpValue::Os { id, version, codename, .. } = os(b"ID=debian\nVERSION_ID=\"12\"\nX='y'\n", "amd64") else {
            panic!("an operating system");
        };
        assert_eq!((id.as_str(), version.as_str(), codename.as_str()), ("debian", "12", ""));
    }
}
