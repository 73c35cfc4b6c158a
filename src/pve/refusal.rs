//! What Proxmox's tools say when they refuse, sorted by what it means. Exit numbers mean nothing: only the words tell.
//!
//! This is the one place that knows the texts; whoever reacts to a failure asks here. Texts that mean the same to
//! everybody are one [`Refusal`]; what is not among them is nothing that phoenix reacts to.

use crate::command::Output;

/// Why a tool of Proxmox's refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The guest's configuration carries a lock: refused at once. Its name: `disk`, `backup`, `create` ...
    Locked(String),
    /// A lock file, or a lock of the cluster, was not to be had within ten seconds.
    LockTimeout,
    /// The cluster has no quorum: nothing below `/etc/pve` can be changed.
    NoQuorum,
    /// Proxmox's cluster file system does not run.
    NoFileSystem,
    /// This node has no guest of this id and kind; also said of guests of other nodes.
    Absent,
    /// Another guest of the cluster has this id.
    IdTaken,
    /// It has to be stopped for that, and runs.
    Running,
    /// It has to run for that, and is stopped.
    NotRunning,
    /// It is protected against being removed.
    Protected,
    /// It is a template.
    IsTemplate,
    /// Linked clones still use a volume of it.
    InUse,
    /// Proxmox's high availability has it among its resources.
    HaManaged,
    /// No snapshot of this name.
    NoSnapshot,
    /// A snapshot of this name is there already.
    SnapshotExists,
    /// A storage, or a mount of a directory of the node, does not allow snapshots.
    SnapshotImpossible,
    /// A storage, or a mount of a directory of the node, does not allow this clone.
    CloneImpossible,
    /// On ZFS only the newest snapshot can be gone back to.
    NotNewest,
    /// A key that cannot be changed after the guest was made.
    ReadOnly,
    /// Somebody changed the configuration meanwhile.
    Modified,
    /// The agent of the virtual machine is not configured since its last start, or does not answer.
    NoAgent,
    /// It did not shut down in time.
    DoesNotStop,
    /// A storage is full.
    Full,
    /// Storage, volume, bridge, template or directory does not exist.
    Missing,
    /// The node's tool does not know an option, or not this value of it.
    BadArgument,
}

/// The texts, the more telling ones first.
const TEXTS: [(&[&str], Refusal); 38] = [
    (&["got lock request timeout"], Refusal::LockTimeout),
    (&["can't lock file", "got timeout"], Refusal::LockTimeout),
    (&["no quorum"], Refusal::NoQuorum),
    (&["ipcc_send_rec"], Refusal::NoFileSystem),
    (&["Unable to load access control list"], Refusal::NoFileSystem),
    (&["Configuration file ", "does not exist"], Refusal::Absent),
    (&["unable to find configuration file for VM"], Refusal::Absent),
    (&["already exists on node"], Refusal::IdTaken),
    (&["config file already exists"], Refusal::IdTaken),
    (&["close (rename) atomic file", "File exists"], Refusal::IdTaken),
    (&["used in HA resources"], Refusal::HaManaged),
    (&["protection mode enabled"], Refusal::Protected),
    (&["is still in use by linked clone"], Refusal::InUse),
    (&["if it's a template"], Refusal::IsTemplate),
    (&["convert a template to a template"], Refusal::IsTemplate),
    (&["already running"], Refusal::Running),
    (&["container is running"], Refusal::Running),
    (&["is running - destroy failed"], Refusal::Running),
    (&["Full clone of a running container"], Refusal::Running),
    (&["if VM is running"], Refusal::Running),
    (&["volumes of a running container"], Refusal::Running),
    (&["not running"], Refusal::NotRunning),
    (&["files to a running CT"], Refusal::NotRunning),
    (&["files from a running VM"], Refusal::NotRunning),
    (&["snapshot name ", "already used"], Refusal::SnapshotExists),
    (&["snapshot '", "does not exist"], Refusal::NoSnapshot),
    (&["snapshot feature is not available"], Refusal::SnapshotImpossible),
    (&["unable to clone mountpoint"], Refusal::CloneImpossible),
    (&["clone feature ", "is not "], Refusal::CloneImpossible),
    (&["is not most recent snapshot"], Refusal::NotNewest),
    (&["read-only option"], Refusal::ReadOnly),
    (&["file changed by other user"], Refusal::Modified),
    (&["file change by other user"], Refusal::Modified),
    (&["container did not stop"], Refusal::DoesNotStop),
    (&["quit/powerdown failed"], Refusal::DoesNotStop),
    (&["No space left on device"], Refusal::Full),
    (&["out of space"], Refusal::Full),
    (&["does not exist"], Refusal::Missing),
];

impl Refusal {
    /// What a command that failed was refused for.
    pub fn of(output: &Output) -> Option<Refusal> {
        let stderr = String::from_utf8_lossy(&output.stderr);
        Refusal::in_text(&stderr).or_else(|| Refusal::in_text(&output.text()))
    }

    /// What this text says. The last line that says anything counts: reasons come after the lines of the work.
    pub fn in_text(text: &str) -> Option<Refusal> {
        if text.contains("400 ") || text.contains("Unknown option: ") {
            return Some(Refusal::BadArgument);
        }
        text.lines().rev().find_map(Refusal::in_line)
    }

    fn in_line(line: &str) -> Option<Refusal> {
        if let Some((_, rest)) = line.split_once(" is locked (") {
            return rest.split_once(')').map(|(lock, _)| Refusal::Locked(lock.to_owned()));
        }
        if line.contains("guest agent") {
            return Some(Refusal::NoAgent);
        }
        let told = |words: &&[&str]| words.iter().all(|word| line.contains(word));
        TEXTS.iter().find(|(words, _)| told(words)).map(|(_, refusal)| refusal.clone())
    }

    /// Whether the same command may succeed a little later with nothing done about it: somebody else is at work.
    pub fn passes(&self) -> bool {
        matches!(self, Refusal::Locked(_) | Refusal::LockTimeout)
    }

    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Refusal::Locked(lock) => who_locks(lock).1,
            Refusal::LockTimeout => {
                "another command holds a lock of Proxmox's for long: the task list of the web interface shows which"
            }
            Refusal::NoQuorum => "the cluster has no quorum: bring its other nodes back, or `pvecm expected 1`",
            Refusal::NoFileSystem => "Proxmox's cluster file system is down: `systemctl status pve-cluster`",
            Refusal::Full => "the storage is full: `pvesm status`",
            Refusal::Protected => "`--protection 0` of `pct set` or `qm set` lifts the protection",
            Refusal::InUse => "delete the clones first",
            Refusal::HaManaged => "`ha-manager remove` takes it out of high availability",
            Refusal::Missing => "`phoenix check --host` compares storages, bridges, templates and images with the node",
            Refusal::NotNewest => "remove the newer snapshots first, or go back to the newest one",
            Refusal::NoAgent => "the agent counts from the next cold start on: stop the virtual machine and start it",
            _ => return None,
        })
    }
}

/// What holds a lock of this name, and what to do when it stays. A lock that a killed command left behind looks like that
/// of one that is at work: only the task list tells.
pub fn who_locks(lock: &str) -> (&'static str, &'static str) {
    const LEFT: &str =
        "if no task works on it any more (task list of the web interface), `pct unlock` or `qm unlock` frees it";
    let holder = match lock {
        "backup" => "a backup",
        "clone" | "create" => "its creation",
        "destroyed" => "its removal",
        "disk" => "a clone of it, or one of its disks being changed",
        "fstrim" => "a trim of its disks",
        "migrate" => "its migration",
        "mounted" => return ("`pct mount`", "`pct unmount` gives it free"),
        "rollback" => "a rollback",
        "snapshot" | "snapshot-delete" => "a snapshot",
        "suspending" | "suspended" => return ("its hibernation", "`qm resume` wakes it"),
        _ => "another operation",
    };
    (holder, LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of the real tools, and what they mean.
    const SAID: &[(&str, Refusal)] = &[
        ("Configuration file 'nodes/pve/lxc/777.conf' does not exist", Refusal::Absent),
        ("Configuration file 'nodes/pve/qemu-server/777.conf' does not exist", Refusal::Absent),
        ("unable to find configuration file for VM 777 on node 'pve'", Refusal::Absent),
        ("CT 777 not running", Refusal::NotRunning),
        ("CT 901 already exists on node 'pve'", Refusal::IdTaken),
        ("unable to create VM 9000 - VM 9000 already exists on node 'pve'", Refusal::IdTaken),
        ("unable to create VM 9010: config file already exists", Refusal::IdTaken),
        ("close (rename) atomic file '/etc/pve/nodes/pve/qemu-server/921.conf' failed: File exists", Refusal::IdTaken),
        ("CT 901 already running", Refusal::Running),
        ("VM 9000 already running", Refusal::Running),
        ("container '901' not running!", Refusal::NotRunning),
        ("can only push files to a running CT", Refusal::NotRunning),
        ("can only pull files from a running VM at /usr/share/perl5/PVE/CLI/pct.pm line 1.", Refusal::NotRunning),
        ("VM 9000 is not running", Refusal::NotRunning),
        ("unable to destroy CT 901 - container is running", Refusal::Running),
        ("VM 9000 is running - destroy failed", Refusal::Running),
        ("can't remove CT 901 - protection mode enabled", Refusal::Protected),
        ("base volume 'local:9000/base-9000-disk-0.qcow2' is still in use by linked cloned", Refusal::InUse),
        ("base volume 'tank:basevol-900-disk-0' is still in use by linked clones", Refusal::InUse),
        ("unable to remove CT 100 - used in HA resources and purge parameter not set.", Refusal::HaManaged),
        ("cfs-lock 'storage-tank' error: got lock request timeout", Refusal::LockTimeout),
        (
            "trying to acquire lock...\ncan't lock file '/run/lock/lxc/pve-config-901.lock' - got timeout",
            Refusal::LockTimeout,
        ),
        ("cluster not ready - no quorum?", Refusal::NoQuorum),
        ("cfs-lock 'file-storage_cfg' error: no quorum!", Refusal::NoQuorum),
        ("snapshot name 's1' already used", Refusal::SnapshotExists),
        ("snapshot 'nosuch' does not exist", Refusal::NoSnapshot),
        ("snapshot feature is not available", Refusal::SnapshotImpossible),
        ("unable to clone mountpoint 'mp2' (type bind)", Refusal::CloneImpossible),
        ("Full clone of a running container is only possible from a snapshot", Refusal::Running),
        ("Linked clone feature for 'local:900/base-900-disk-0.raw' is not available", Refusal::CloneImpossible),
        ("Linked clone feature is not supported for 'tank:vm-900-disk-0' (scsi0)", Refusal::CloneImpossible),
        ("can't rollback, 'one' is not most recent snapshot on 'tank:subvol-201-disk-0'", Refusal::NotNewest),
        ("you can't convert a template to a template", Refusal::IsTemplate),
        ("you can't start a CT if it's a template", Refusal::IsTemplate),
        ("you can't start a vm if it's a template", Refusal::IsTemplate),
        ("you can't convert a VM to template if VM is running", Refusal::Running),
        ("cannot move volumes of a running container", Refusal::Running),
        ("Unknown option: nosuch\n400 unable to parse option\npct set <vmid> [OPTIONS]", Refusal::BadArgument),
        (
            "400 Parameter verification failed.\nnet0: invalid format - format error\npct set <vmid> [OPTIONS]",
            Refusal::BadArgument,
        ),
        ("400 not enough arguments\npct set <vmid> [OPTIONS]", Refusal::BadArgument),
        ("storage 'nosuch' does not exist", Refusal::Missing),
        ("unable to create CT 910 - volume 'local:vztmpl/x' does not exist", Refusal::Missing),
        ("tar: etc: Cannot write: No space left on device", Refusal::Full),
        ("bridge 'vmbr9' does not exist", Refusal::Missing),
        ("unable to create CT 910 - directory '/srv/nosuch' does not exist", Refusal::Missing),
        ("unable to modify read-only option: 'unprivileged'", Refusal::ReadOnly),
        ("detected modified configuration - file changed by other user? Try again.", Refusal::Modified),
        ("checksum mismatch (file change by other user?)", Refusal::Modified),
        ("container did not stop", Refusal::DoesNotStop),
        ("VM quit/powerdown failed - got timeout", Refusal::DoesNotStop),
        ("No QEMU guest agent configured", Refusal::NoAgent),
        ("QEMU guest agent is not running", Refusal::NoAgent),
        (
            "ipcc_send_rec[1] failed: Connection refused\nUnable to load access control list: Connection refused",
            Refusal::NoFileSystem,
        ),
    ];

    #[test]
    fn every_text_is_understood() {
        let wrong: Vec<_> =
            SAID.iter().filter(|(text, refusal)| Refusal::in_text(text).as_ref() != Some(refusal)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(Refusal::in_text("CT is locked (disk)"), Some(Refusal::Locked("disk".to_owned())));
        assert_eq!(
            Refusal::in_text("VM is locked (snapshot-delete)"),
            Some(Refusal::Locked("snapshot-delete".to_owned()))
        );
        assert_eq!(Refusal::in_text("hookscript error for 901 on pre-start: exit code 9"), None);
    }

    #[test]
    fn only_what_somebody_else_ends_passes() {
        let passing: Vec<_> = SAID.iter().filter(|(_, refusal)| refusal.passes()).map(|(text, _)| text).collect();
        assert_eq!(passing.len(), 2, "{passing:?}");
        assert!(Refusal::Locked("backup".to_owned()).passes());
    }

    #[test]
    fn the_reason_counts_and_not_what_came_before_it() {
        let output = Output {
            code: 255,
            stdout: b"WARNING: volume 'x' does not exist\n".to_vec(),
            stderr: b"CT is locked (backup)\n".to_vec(),
            assumed: false,
        };
        assert_eq!(Refusal::of(&output), Some(Refusal::Locked("backup".to_owned())));
    }
}
