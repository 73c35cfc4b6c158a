//! `zfs_pool`: a pool of the declared layout on disks that nobody uses.

use super::zfs::Properties;
use crate::event::Difference;
use crate::machine::change::difference;
use crate::machine::{Change, Exec, Machine, MachineError, PROBE_TIMEOUT, path};
use crate::op::{FileKind, Op, OpValue};

/// Options that only a new pool can have.
const FIXED: [&str; 1] = ["ashift"];
/// Properties that only a new dataset can have, the pool's own among them.
pub(super) const FIXED_OF_DATASETS: [&str; 5] =
    ["casesensitivity", "encryption", "keyformat", "normalization", "utf8only"];

/// A pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZfsPool {
    /// `stripe`, `mirror`, `raid10`, `raidz1`, `raidz2` or `raidz3`.
    pub raid: String,
    /// Disks by path, best below `/dev/disk/by-id`.
    pub disks: Vec<String>,
    /// Options of the pool: `ashift`, `autotrim`.
    pub options: Properties,
    /// Properties of its first dataset, which the others inherit: `compression`, `atime`.
    pub properties: Properties,
}

/// One virtual device: its kind (empty for a single disk) and its disks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Vdev {
    kind: String,
    disks: Vec<String>,
}

impl Vdev {
    fn shown(all: &[Vdev]) -> String {
        let one = |vdev: &Vdev| format!("{} {}", vdev.kind, vdev.disks.join(" ")).trim().to_owned();
        all.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

impl Machine {
    /// Brings a pool about. One that is there is compared: its options and properties are set, another layout is a
    /// conflict. Disks that hold anything are refused.
    ///
    /// # Errors
    /// [`MachineError::Conflict`] for another layout and for disks that are in use or missing.
    pub fn zfs_pool(&self, name: &str, pool: &ZfsPool) -> Result<Change, MachineError> {
        self.on_the_node("zfs_pool")?;
        let what = format!("ZFS pool {name}");
        let layout = layout(name, pool)?;
        let Some(options) = self.zfs_get("zpool", name, &pool.options)? else {
            return self.new_pool(name, pool, &layout).map(|difference| self.done(Change::of(what, vec![difference])));
        };
        let (found, wanted) = (self.pool_layout(name)?, self.on_real_disks(&layout)?);
        if found != wanted {
            return Err(MachineError::Conflict {
                what,
                reason: format!("is made of `{}`, and `{}` is declared", Vdev::shown(&found), Vdev::shown(&wanted)),
                hint: Some("declare what is there; a pool is never made anew by a script".to_owned()),
            });
        }
        let mut differences = self.zfs_set("zpool", name, &options, &pool.options, &FIXED)?;
        let properties = self.zfs_get("zfs", name, &pool.properties)?.unwrap_or_default();
        differences.extend(self.zfs_set("zfs", name, &properties, &pool.properties, &FIXED_OF_DATASETS)?);
        Ok(self.done(Change::of(what, differences)))
    }

    fn new_pool(&self, name: &str, pool: &ZfsPool, layout: &[Vdev]) -> Result<Difference, MachineError> {
        for disk in layout.iter().flat_map(|vdev| &vdev.disks) {
            if let Some(reason) = self.disk_in_use(disk)? {
                return Err(MachineError::Conflict {
                    what: format!("disk {disk}"),
                    reason,
                    hint: Some(
                        "nothing is ever wiped here; a disk that is meant is emptied by hand (`wipefs -a`, an exported \
                         pool by `zpool import`)"
                            .to_owned(),
                    ),
                });
            }
        }
        let mut words = vec!["zpool".to_owned(), "create".to_owned()];
        for (flag, settings) in [("-o", &pool.options), ("-O", &pool.properties)] {
            words.extend(settings.iter().flat_map(|(key, value)| [flag.to_owned(), format!("{key}={value}")]));
        }
        words.push(name.to_owned());
        for vdev in layout {
            words.extend((!vdev.kind.is_empty()).then(|| vdev.kind.clone()));
            words.extend(vdev.disks.iter().cloned());
        }
        self.node_tool(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(difference(format!("ZFS pool {name}"), None, Some(Vdev::shown(layout))))
    }

    /// What a disk is used for or holds; absent: it is blank and nobody's.
    fn disk_in_use(&self, disk: &str) -> Result<Option<String>, MachineError> {
        let columns = "NAME,TYPE,FSTYPE,PTTYPE,MOUNTPOINTS";
        let words = ["lsblk", "--json", "--paths", "--output", columns, disk].map(str::to_owned);
        let listed = self.probe(&words, &Exec { timeout: PROBE_TIMEOUT, ..Exec::default() })?;
        let Ok(tree) = serde_json::from_slice::<serde_json::Value>(&listed.stdout) else {
            return Ok(Some("is no disk of this node".to_owned()));
        };
        let Some(found) = tree["blockdevices"].get(0) else {
            return Ok(Some("is no disk of this node".to_owned()));
        };
        let text = |key: &str| found[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let mounted = found["mountpoints"].as_array().into_iter().flatten().find_map(|mount| mount.as_str());
        let parts = found["children"].as_array().map_or(0, Vec::len);
        let reason = match (mounted, parts, text("fstype"), text("pttype")) {
            (Some(mount), ..) => Some(format!("is mounted at {mount}")),
            (None, 1.., ..) => Some(format!("has {parts} partitions or holders")),
            (None, 0, Some(kind), _) => Some(format!("holds `{kind}`")),
            (None, 0, None, Some(table)) => Some(format!("has a partition table ({table})")),
            (None, 0, None, None) => None,
        };
        if reason.is_some() {
            return Ok(reason);
        }
        let words = ["wipefs", "--no-act", "--noheadings", "--output", "TYPE", disk].map(str::to_owned);
        let signatures = self.probe(&words, &Exec { timeout: PROBE_TIMEOUT, ..Exec::default() })?;
        if !signatures.ok() {
            return Ok(Some(format!("cannot be looked at: {}", signatures.tail(1))));
        }
        let kinds = signatures.text().split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(", ");
        Ok((!kinds.is_empty()).then(|| format!("holds a signature of `{kinds}`")))
    }

    /// What a pool is made of, by real disks.
    fn pool_layout(&self, name: &str) -> Result<Vec<Vdev>, MachineError> {
        let words = ["zpool", "status", "-P", "-L", name].map(str::to_owned);
        let output = self.probe(&words, &Exec { timeout: PROBE_TIMEOUT, ..Exec::default() })?;
        if !output.ok() {
            return Err(crate::machine::exec::failed(&words.join(" "), &output));
        }
        Ok(parse_status(name, &output.text()))
    }

    /// A layout with every disk by the name that the kernel gives it.
    fn on_real_disks(&self, layout: &[Vdev]) -> Result<Vec<Vdev>, MachineError> {
        let mut real = Vec::new();
        for vdev in layout {
            let disks = vdev.disks.iter().map(|disk| Ok(whole_disk(&self.real_path(disk)?)));
            let mut disks: Vec<String> = disks.collect::<Result<_, MachineError>>()?;
            disks.sort();
            real.push(Vdev { kind: vdev.kind.clone(), disks });
        }
        real.sort();
        Ok(real)
    }

    fn real_path(&self, disk: &str) -> Result<String, MachineError> {
        let mut path = disk.to_owned();
        for _ in 0..10 {
            match self.one(Op::Stat { path: path.clone() })? {
                OpValue::Stat(Some(stat)) if stat.kind == FileKind::Symlink => {
                    path = path::behind(&path, stat.target.as_deref().unwrap_or_default());
                }
                _ => return Ok(path),
            }
        }
        Err(MachineError::conflict(disk, "is a symlink that leads in circles"))
    }
}

/// The layout that is declared.
fn layout(name: &str, pool: &ZfsPool) -> Result<Vec<Vdev>, MachineError> {
    let invalid = |reason: String| Err(MachineError::Invalid(format!("ZFS pool {name}: {reason}")));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    let reserved = ["mirror", "raidz", "draid", "spare", "log"];
    if !name.starts_with(|c: char| c.is_ascii_alphabetic())
        || !name.bytes().all(plain)
        || reserved.iter().any(|word| name.starts_with(word))
    {
        return invalid("cannot be called so".to_owned());
    }
    let mut disks = Vec::new();
    for disk in &pool.disks {
        disks.push(path::absolute(disk)?);
    }
    let mut unique = disks.clone();
    unique.sort();
    unique.dedup();
    if unique.len() != disks.len() {
        return invalid("a disk is named twice".to_owned());
    }
    let (least, kind) = match pool.raid.as_str() {
        "stripe" => (1, ""),
        "mirror" => (2, "mirror"),
        "raid10" => (4, "mirror"),
        "raidz1" => (3, "raidz1"),
        "raidz2" => (4, "raidz2"),
        "raidz3" => (5, "raidz3"),
        other => {
            return invalid(format!(
                "`raid` is `stripe`, `mirror`, `raid10`, `raidz1`, `raidz2` or `raidz3`, not `{other}`"
            ));
        }
    };
    if disks.len() < least || pool.raid == "raid10" && disks.len() % 2 == 1 {
        return invalid(format!("`{}` of {} disks: it needs {least} or more", pool.raid, disks.len()));
    }
    let vdev = |disks: &[String]| Vdev { kind: kind.to_owned(), disks: disks.to_vec() };
    Ok(match pool.raid.as_str() {
        "stripe" => disks.chunks(1).map(vdev).collect(),
        "raid10" => disks.chunks(2).map(vdev).collect(),
        _ => vec![vdev(&disks)],
    })
}

/// The `config:` of `zpool status -P -L`: the pool, its devices below it, their disks below them. Logs, caches and spares
/// stand at the pool's own level and are no part of what is compared.
fn parse_status(name: &str, text: &str) -> Vec<Vdev> {
    let mut all: Vec<Vdev> = Vec::new();
    let rows = text.lines().skip_while(|line| !line.trim_start().starts_with("NAME")).skip(1);
    let mut inside = false;
    for line in rows.take_while(|line| !line.trim().is_empty()) {
        let line = line.trim_start_matches('\t');
        let depth = line.len() - line.trim_start().len();
        let word = line.split_whitespace().next().unwrap_or_default();
        match depth {
            0 => inside = word == name,
            _ if !inside => {}
            2 if word.starts_with('/') => all.push(Vdev { kind: String::new(), disks: vec![whole_disk(word)] }),
            2 => {
                let kind = word.rsplit_once('-').map_or(word, |(kind, _)| kind);
                all.push(Vdev { kind: kind.to_owned(), disks: Vec::new() });
            }
            _ => {
                if let Some(vdev) = all.last_mut() {
                    vdev.disks.push(whole_disk(word));
                }
            }
        }
    }
    all.iter_mut().for_each(|vdev| vdev.disks.sort());
    all.sort();
    all
}

/// ZFS makes a partition on a whole disk that it is given, and tells that one.
fn whole_disk(path: &str) -> String {
    let bare = path.trim_end_matches(|c: char| c.is_ascii_digit());
    if let Some(disk) = bare.strip_suffix("-part") {
        return disk.to_owned();
    }
    match bare.strip_suffix('p') {
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => disk.to_owned(),
        _ if bare.len() < path.len() && path.starts_with("/dev/sd") || path.starts_with("/dev/vd") => bare.to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_read_from_the_status() {
        let text = "  pool: tank\n state: ONLINE\nconfig:\n\n\tNAME           STATE     READ WRITE CKSUM\n\
                    \ttank           ONLINE       0     0     0\n\t  mirror-0     ONLINE       0     0     0\n\
                    \t    /dev/sdc1  ONLINE       0     0     0\n\t    /dev/sdb1  ONLINE       0     0     0\n\
                    \tlogs\t\n\t  /dev/nvme0n1p4  ONLINE       0     0     0\n\nerrors: No known data errors\n";
        let disks = ["/dev/sdb", "/dev/sdc"].map(str::to_owned).to_vec();
        assert_eq!(parse_status("tank", text), [Vdev { kind: "mirror".to_owned(), disks }]);
    }

    #[test]
    fn a_partition_is_told_from_its_disk() {
        for (part, disk) in [
            ("/dev/sdb1", "/dev/sdb"),
            ("/dev/sdb", "/dev/sdb"),
            ("/dev/nvme0n1p1", "/dev/nvme0n1"),
            ("/dev/nvme0n1", "/dev/nvme0n1"),
            ("/dev/disk/by-id/ata-X_1234-part1", "/dev/disk/by-id/ata-X_1234"),
        ] {
            assert_eq!(whole_disk(part), disk);
        }
    }
}
