//! What is read of the node beside its guests: one batch of plain reads.

use std::net::IpAddr;

use crate::engine::run::EngineError;
use crate::host::Host;
use crate::model::{Cidr, Site};
use crate::op::{FileKind, Op, OpResult, OpValue, Place, Stat, UnitState};

/// Limit of files that are read here.
const LIMIT: u64 = 4 << 20;

/// Where phoenix keeps what it knows.
pub(super) const OURS: &str = "/var/lib/phoenix";

/// Units that keep a clock right, in the order in which Proxmox VE came with them.
pub(super) const CLOCKS: [&str; 5] =
    ["chrony.service", "systemd-timesyncd.service", "ntpsec.service", "ntp.service", "openntpd.service"];

/// The tools that phoenix calls, with what they are for.
pub(super) const TOOLS: [(&str, &str); 5] = [
    ("/usr/sbin/pct", "pve-container"),
    ("/usr/bin/lxc-attach", "lxc-pve"),
    ("/usr/sbin/qm", "qemu-server"),
    ("/usr/sbin/pvesm", "libpve-storage-perl"),
    ("/usr/sbin/pvesh", "pve-manager"),
];

/// What the node is, has and offers. What could not be read is absent.
pub(super) struct Facts {
    /// Its addresses.
    pub(super) addresses: Vec<Cidr>,
    /// Bytes of memory.
    pub(super) memory: Option<u64>,
    /// CPUs.
    pub(super) cpus: Option<u32>,
    /// `/etc/subuid`, `/etc/subgid`.
    pub(super) subordinate: [String; 2],
    /// `/etc/exports`.
    pub(super) exports: String,
    /// Options of the mount that our directory lies in.
    pub(super) mounted: Option<String>,
    /// Our directory.
    pub(super) ours: Option<FileKind>,
    /// States of [`CLOCKS`]; empty where nobody tells.
    pub(super) clocks: Vec<UnitState>,
    /// Which of [`TOOLS`] are there.
    pub(super) tools: Vec<bool>,
    /// Version of NVIDIA's driver.
    pub(super) nvidia: Option<String>,
    /// Device files that are declared, as far as they are there.
    pub(super) devices: Vec<String>,
}

impl Facts {
    /// Reads them.
    pub(super) fn read(site: &Site, host: &dyn Host) -> Result<Facts, EngineError> {
        let text = |path: &str| Op::Read { path: path.to_owned(), limit: LIMIT };
        let stat = |path: &str| Op::Stat { path: path.to_owned() };
        let mut ops = vec![
            Op::Network,
            text("/proc/meminfo"),
            text("/sys/devices/system/cpu/online"),
            text("/etc/subuid"),
            text("/etc/subgid"),
            text("/etc/exports"),
            text("/proc/mounts"),
            stat(OURS),
            Op::Units { names: CLOCKS.map(str::to_owned).to_vec() },
            text("/proc/driver/nvidia/version"),
        ];
        ops.extend(TOOLS.iter().map(|(path, _)| stat(path)));
        let devices = super::devices::declared(site);
        ops.extend(devices.iter().map(|path| stat(path)));
        let mut results = host.perform(Place::Node, &ops)?.into_iter();
        let mut next = || results.next().unwrap_or(Ok(OpValue::Done));
        Ok(Facts {
            addresses: match next() {
                Ok(OpValue::Network { addresses, .. }) => {
                    addresses.iter().filter_map(|address| address.parse().ok()).collect()
                }
                _ => Vec::new(),
            },
            memory: text_of(next()).as_deref().and_then(memory_total),
            cpus: text_of(next()).as_deref().and_then(cpus),
            subordinate: [text_of(next()).unwrap_or_default(), text_of(next()).unwrap_or_default()],
            exports: text_of(next()).unwrap_or_default(),
            mounted: text_of(next()).as_deref().and_then(|mounts| options_of(mounts, OURS)),
            ours: stat_of(&next()).map(|stat| stat.kind),
            clocks: match next() {
                Ok(OpValue::Units(states)) => states,
                _ => Vec::new(),
            },
            nvidia: text_of(next()).as_deref().and_then(driver_version),
            tools: TOOLS.iter().map(|_| stat_of(&next()).is_some()).collect(),
            devices: devices.into_iter().filter(|_| stat_of(&next()).is_some()).collect(),
        })
    }

    /// Whether an address lies in a network that the node is in itself.
    pub(super) fn is_near(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.contains(address))
    }

    /// Whether an address is the node's own.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.address == address)
    }
}

fn text_of(result: OpResult) -> Option<String> {
    match result {
        Ok(OpValue::Bytes(Some(bytes))) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => None,
    }
}

fn stat_of(result: &OpResult) -> Option<&Stat> {
    match result {
        Ok(OpValue::Stat(stat)) => stat.as_ref(),
        _ => None,
    }
}

/// Bytes of `MemTotal:  65536 kB`.
pub fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
}

/// How many CPUs `0-3,6` are.
pub fn cpus(online: &str) -> Option<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    online.trim().split(',').map(range).sum()
}

/// Options of the innermost mount that a path lies in.
fn options_of(mounts: &str, path: &str) -> Option<String> {
    let lies_in = |point: &str| {
        point == "/" || path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let parsed = mounts.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        Some((*words.get(1)?, *words.get(3)?))
    });
    let (_, options) = parsed.filter(|(point, _)| lies_in(point)).max_by_key(|(point, _)| point.len())?;
    Some(options.to_owned())
}

/// The version in `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Thu ...`.
fn driver_version(text: &str) -> Option<String> {
    let rest = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let version = |word: &&str| word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    rest.split_whitespace().find(version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_understood() {
        assert_eq!(memory_total("MemTotal:       65536000 kB\nMemFree: 1 kB\n"), Some(65_536_000 << 10));
        assert_eq!((cpus("0-3,6\n"), cpus("0"), cpus("")), (Some(5), Some(1), None));
        let mounts =
            "rpool/ROOT / zfs rw,relatime 0 0\ntank /var/lib/phoenix zfs ro,noatime 0 0\nx /var/lib/ph zfs rw 0 0\n";
        assert_eq!(options_of(mounts, OURS).as_deref(), Some("ro,noatime"));
        assert_eq!(
            driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Thu Jan\nGCC 12.2\n").as_deref(),
            Some("580.95.05")
        );
    }
}
