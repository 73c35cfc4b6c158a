//! Builders of the commands that `pct` and `qm` share: one for each thing that is done to a guest, named after the
//! subcommand. Options are always written `--name value`; what a command changes and what it needs to itself is filled
//! in. What only one of the tools can do is in [`super::pct`] and [`super::qm`].

use std::fmt;
use std::time::Duration;

use crate::command::{CHANGE_TIMEOUT, Claim, Command, Resource};
use crate::model::{GuestId, GuestKind};

/// Storage-changing commands that may run on one storage at once. Proxmox takes a lock per storage and waits 10 s for
/// it, once; more of them would fail instead of wait.
pub const PER_STORAGE: u32 = 4;

/// Options of a command in order: name without dashes, value.
pub type Options = Vec<(String, String)>;

/// The tool for one guest: `pct` for containers, `qm` for virtual machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    kind: GuestKind,
    id: GuestId,
}

/// How a guest is cloned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clone {
    /// Name of the clone; absent: Proxmox chooses one.
    pub name: Option<String>,
    /// Copied from this snapshot.
    pub snapname: Option<String>,
    /// A copy of its own instead of a linked one.
    pub full: bool,
    /// Storage of the volumes. Named in the command only for full clones (Proxmox refuses it for linked ones, which lie
    /// where the source lies), counted in both cases.
    pub storage: Option<String>,
    /// The source runs.
    pub running: bool,
}

impl Tool {
    /// The tool for the guest of this kind and id.
    pub const fn of(kind: GuestKind, id: GuestId) -> Tool {
        Tool { kind, id }
    }

    /// `pct` or `qm`.
    pub const fn name(self) -> &'static str {
        match self.kind {
            GuestKind::Lxc => "pct",
            GuestKind::Vm => "qm",
        }
    }

    fn command(self, subcommand: &str, positionals: &[&str], options: &[(&str, &str)]) -> Command {
        let id = self.id.to_string();
        let words = subcommand.split(' ').chain([id.as_str()]).chain(positionals.iter().copied()).map(str::to_owned);
        let options = options.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
        Command::change(self.name(), words.chain(options))
    }

    /// How an operator looks inside the guest, for hints: `pct exec 101 -- ip route`.
    pub fn inside(self, words: &str) -> String {
        let exec = match self.kind {
            GuestKind::Lxc => "exec",
            GuestKind::Vm => "guest exec",
        };
        format!("{self} {exec} {} -- {words}", self.id)
    }

    /// A command that has the guest to itself.
    fn alone(self, subcommand: &str, positionals: &[&str], options: &[(&str, &str)]) -> Command {
        self.command(subcommand, positionals, options).claim(Claim::exclusive(Resource::Guest(self.id)))
    }

    /// A command whose options may make volumes.
    pub(super) fn making(self, subcommand: &str, positionals: &[&str], options: &[(String, String)]) -> Command {
        let borrowed: Vec<(&str, &str)> = options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        counted(self.alone(subcommand, positionals, &borrowed), storages(self.kind, options))
    }

    /// `clone` of this guest to `id`. A container is locked for the whole copy, and so is a virtual machine that runs:
    /// they are claimed exclusively. Of one that is stopped any number of clones is made at once.
    pub fn clone(self, id: GuestId, clone: &Clone) -> Command {
        let name = if self.kind == GuestKind::Lxc { "hostname" } else { "name" };
        let mut options: Vec<(&str, &str)> = Vec::new();
        options.extend(clone.name.as_deref().map(|value| (name, value)));
        options.extend(clone.snapname.as_deref().map(|name| ("snapname", name)));
        options.extend(clone.storage.as_deref().filter(|_| clone.full).map(|storage| ("storage", storage)));
        options.push(("full", if clone.full { "1" } else { "0" }));
        let source = Resource::Guest(self.id);
        let shared = self.kind == GuestKind::Vm && !clone.running;
        let claim = if shared { Claim::shared(source) } else { Claim::exclusive(source) };
        let command = self.command("clone", &[&id.to_string()], &options).claim(claim);
        counted(command.claim(Claim::exclusive(Resource::Guest(id))), clone.storage.clone())
    }

    /// `set`: all differing keys in one call.
    pub fn set(self, options: &[(String, String)]) -> Command {
        self.making("set", &[], options)
    }

    /// `start`.
    pub fn start(self) -> Command {
        self.alone("start", &[], &[])
    }

    /// `stop`: at once, without asking the guest.
    pub fn stop(self) -> Command {
        self.alone("stop", &[], &[])
    }

    /// `shutdown`: init (of a virtual machine its agent, else its power button) is asked, and the guest stopped hard
    /// after `limit`.
    pub fn shutdown(self, limit: Duration) -> Command {
        let options = [("timeout", &*limit.as_secs().to_string()), ("forceStop", "1")];
        self.alone("shutdown", &[], &options).timeout(limit + CHANGE_TIMEOUT)
    }

    /// `reboot`: shut down and started again; pending changes take effect. A container is stopped hard after `limit`,
    /// a virtual machine is not. It is started after the command has returned.
    pub fn reboot(self, limit: Duration) -> Command {
        self.alone("reboot", &[], &[("timeout", &limit.as_secs().to_string())]).timeout(limit + CHANGE_TIMEOUT)
    }

    /// `snapshot`, without a virtual machine's memory.
    pub fn snapshot(self, name: &str) -> Command {
        self.alone("snapshot", &[name], &[])
    }

    /// `delsnapshot`.
    pub fn delsnapshot(self, name: &str) -> Command {
        self.alone("delsnapshot", &[name], &[])
    }

    /// `delsnapshot` of what a killed `snapshot` left: its entry goes even if the storage knows no such snapshot.
    pub fn delsnapshot_remains(self, name: &str) -> Command {
        self.alone("delsnapshot", &[name], &[("force", "1")])
    }

    /// `rollback`. It stops a running guest and leaves it stopped.
    pub fn rollback(self, name: &str) -> Command {
        self.alone("rollback", &[name], &[])
    }

    /// `template`. Its exit code is 0 even when it fails in the storage: read `template: 1` back.
    pub fn template(self) -> Command {
        self.alone("template", &[], &[])
    }

    /// `qm template` of one disk of a template: what a killed `qm template` did not come to.
    pub fn template_disk(self, disk: &str) -> Command {
        self.alone("template", &[], &[("disk", disk)])
    }

    /// `pct resize`, `qm disk resize`: to a whole size (`16G`). The exit code is 0 even when it fails: read `size=`
    /// back.
    pub fn resize(self, disk: &str, size: &str) -> Command {
        let subcommand = match self.kind {
            GuestKind::Lxc => "resize",
            GuestKind::Vm => "disk resize",
        };
        self.alone(subcommand, &[disk, size], &[])
    }

    /// `destroy`: with its volumes, and out of backup jobs, replication and HA. It must be stopped.
    pub fn destroy(self) -> Command {
        self.alone("destroy", &[], &[("purge", "1")])
    }

    /// `destroy` of what a killed `create` or `clone` left: its volumes are known to nobody but the storage.
    pub fn destroy_remains(self) -> Command {
        self.alone("destroy", &[], &[("destroy-unreferenced-disks", "1"), ("purge", "1")])
    }

    /// `unlock`: removes a lock that a killed command left behind.
    pub fn unlock(self) -> Command {
        self.alone("unlock", &[], &[])
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The storages on which these options make volumes: those of disk keys with a value like `STORAGE:SIZE`.
fn storages(kind: GuestKind, options: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<String> = options
        .iter()
        .filter(|(name, _)| is_disk(kind, name))
        .filter_map(|(_, value)| value.split_once(':'))
        .map(|(storage, _)| storage)
        .filter(|storage| !storage.contains(['/', '=', ',']))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether a key of a guest's configuration stands for a disk.
pub fn is_disk(kind: GuestKind, key: &str) -> bool {
    let (whole, numbered): (&[&str], &[&str]) = match kind {
        GuestKind::Lxc => (&["rootfs"], &["mp"]),
        GuestKind::Vm => (&["efidisk0", "tpmstate0"], &["ide", "sata", "scsi", "virtio"]),
    };
    let number = |stem: &&str| key.strip_prefix(*stem).is_some_and(|number| number.parse::<u32>().is_ok());
    whole.contains(&key) || numbered.iter().any(number)
}

fn counted(command: Command, storages: impl IntoIterator<Item = String>) -> Command {
    storages
        .into_iter()
        .fold(command, |command, storage| command.claim(Claim::counted(Resource::Storage(storage), PER_STORAGE)))
}
