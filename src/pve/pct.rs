//! Builders of `pct` commands. Options are always written `--name value`; what a command changes and what it needs to
//! itself is filled in.

use std::time::Duration;

use crate::command::{Claim, Command, Resource};
use crate::model::GuestId;

/// Storage-changing commands that may run on one storage at once. Proxmox takes a lock per storage and waits 10 s for
/// it, once; more of them would fail instead of wait.
pub const PER_STORAGE: u32 = 4;

/// Options of a command in order: name without dashes, value.
pub type Options = Vec<(String, String)>;

fn pct(subcommand: &str, positionals: &[String], options: &[(String, String)]) -> Command {
    let words = std::iter::once(subcommand.to_owned())
        .chain(positionals.iter().cloned())
        .chain(options.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]));
    Command::change("pct", words)
}

fn on(id: GuestId, subcommand: &str, more: &[&str], options: &[(&str, &str)]) -> Command {
    let positionals: Vec<String> =
        std::iter::once(id.to_string()).chain(more.iter().map(|word| (*word).to_owned())).collect();
    let options: Options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    pct(subcommand, &positionals, &options).claim(Claim::exclusive(Resource::Guest(id)))
}

/// The storages on which these options make volumes: `rootfs` and `mpN` with a value like `STORAGE:SIZE`.
fn storages(options: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<String> = options
        .iter()
        .filter(|(name, _)| name == "rootfs" || name.starts_with("mp"))
        .filter_map(|(_, value)| value.split_once(':'))
        .map(|(storage, _)| storage)
        .filter(|storage| !storage.contains(['/', '=']))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

fn counted(command: Command, storages: impl IntoIterator<Item = String>) -> Command {
    storages
        .into_iter()
        .fold(command, |command, storage| command.claim(Claim::counted(Resource::Storage(storage), PER_STORAGE)))
}

/// `pct create`: a container from a template archive (a volume id like `local:vztmpl/x.tar.zst`, or an absolute path).
pub fn create(id: GuestId, template: &str, options: &[(String, String)]) -> Command {
    let command = pct("create", &[id.to_string(), template.to_owned()], options);
    counted(command.claim(Claim::exclusive(Resource::Guest(id))), storages(options))
}

/// How a container is cloned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clone {
    /// Host name of the clone; absent: that of the source.
    pub hostname: Option<String>,
    /// Copied from this snapshot.
    pub snapname: Option<String>,
    /// A copy of its own instead of a linked one.
    pub full: bool,
    /// Storage of the volumes. Named in the command only for full clones (Proxmox refuses it for linked ones, which lie
    /// where the source lies), counted in both cases.
    pub storage: Option<String>,
}

/// `pct clone`. The source is locked for the whole copy: it is claimed exclusively.
pub fn clone(source: GuestId, id: GuestId, clone: &Clone) -> Command {
    let mut options: Vec<(&str, &str)> = Vec::new();
    options.extend(clone.hostname.as_deref().map(|name| ("hostname", name)));
    options.extend(clone.snapname.as_deref().map(|name| ("snapname", name)));
    options.extend(clone.storage.as_deref().filter(|_| clone.full).map(|storage| ("storage", storage)));
    options.push(("full", if clone.full { "1" } else { "0" }));
    let command = on(source, "clone", &[&id.to_string()], &options).claim(Claim::exclusive(Resource::Guest(id)));
    counted(command, clone.storage.clone())
}

/// `pct set`: all differing keys in one call.
pub fn set(id: GuestId, options: &[(String, String)]) -> Command {
    let command = pct("set", &[id.to_string()], options).claim(Claim::exclusive(Resource::Guest(id)));
    counted(command, storages(options))
}

/// `pct start`.
pub fn start(id: GuestId) -> Command {
    on(id, "start", &[], &[])
}

/// `pct stop`: at once, without asking the guest.
pub fn stop(id: GuestId) -> Command {
    on(id, "stop", &[], &[])
}

/// `pct shutdown`: init is asked, and the container stopped hard after `limit`.
pub fn shutdown(id: GuestId, limit: Duration) -> Command {
    on(id, "shutdown", &[], &[("timeout", &limit.as_secs().to_string()), ("forceStop", "1")])
}

/// `pct reboot`: shut down (hard after `limit`) and started again; pending changes take effect.
pub fn reboot(id: GuestId, limit: Duration) -> Command {
    on(id, "reboot", &[], &[("timeout", &limit.as_secs().to_string())])
}

/// `pct snapshot`.
pub fn snapshot(id: GuestId, name: &str) -> Command {
    on(id, "snapshot", &[name], &[])
}

/// `pct delsnapshot`.
pub fn delsnapshot(id: GuestId, name: &str) -> Command {
    on(id, "delsnapshot", &[name], &[])
}

/// `pct delsnapshot` of what a killed `pct snapshot` left: its entry goes even if the storage knows no such snapshot.
pub fn delsnapshot_remains(id: GuestId, name: &str) -> Command {
    on(id, "delsnapshot", &[name], &[("force", "1")])
}

/// `pct rollback`. It stops a running container and leaves it stopped.
pub fn rollback(id: GuestId, name: &str) -> Command {
    on(id, "rollback", &[name], &[])
}

/// `pct template`. Its exit code is 0 even when it fails in the storage: read `template: 1` back.
pub fn template(id: GuestId) -> Command {
    on(id, "template", &[], &[])
}

/// `pct resize` to a whole size (`16G`). Its exit code is 0 even when it fails: read `size=` back.
pub fn resize(id: GuestId, disk: &str, size: &str) -> Command {
    on(id, "resize", &[disk, size], &[])
}

/// `pct destroy`: with its volumes, and out of backup jobs, replication and HA. It must be stopped.
pub fn destroy(id: GuestId) -> Command {
    on(id, "destroy", &[], &[("purge", "1")])
}

/// `pct destroy` of what a killed `pct create` left: its volume is known to nobody but the storage.
pub fn destroy_remains(id: GuestId) -> Command {
    on(id, "destroy", &[], &[("destroy-unreferenced-disks", "1"), ("purge", "1")])
}

/// `pct unlock`: removes a lock that a killed command left behind.
pub fn unlock(id: GuestId) -> Command {
    on(id, "unlock", &[], &[])
}

/// `pct exec`, the slow way into a container; `--` is always written.
pub fn exec<'a>(id: GuestId, argv: impl IntoIterator<Item = &'a str>) -> Command {
    let words = ["exec".to_owned(), id.to_string(), "--".to_owned()];
    Command::change("pct", words.into_iter().chain(argv.into_iter().map(str::to_owned)))
}
