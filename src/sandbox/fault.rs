//! What goes wrong on purpose: the k-th changing value fails, the process dies at it, a guest is lost in it; a program,
//! a disk, a mirror, an agent, cloud-init, an NFS server, an image or a storage does not do what it should.
//!
//! A *changing value* is one call of the host that may change something: a command, a batch of Ops with at least one
//! change among them, a request. They are counted from 1 on in the order in which they are answered, over all actors.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::body::Faults;
use super::random;
use super::storage::Storage;
use super::world::World;
use crate::command::Output;
use crate::model::{GuestId, fits};
use crate::op::{Op, OpError, OpErrorKind, OpResult, OpValue};

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    /// `fail:K`: the K-th changing value fails and changes nothing.
    Fail(u64),
    /// `kill:K`: the process dies by abort at the K-th changing value: before it, in the middle or after it, by seed.
    Kill(u64),
    /// `cut:K`: the same moments as `kill`, but only the node is lost: this and every later call says so. What a
    /// lost ssh session looks like, and how a test in one process dies.
    Cut(u64),
    /// `lost:ID:K`: the K-th changing value inside guest ID ends with the guest, which stops at once.
    Lost(GuestId, u64),
    /// `next:ID:WHAT`: the next Op inside the guest that is meant by this fails, once: a pattern of its line (`install *`),
    /// a program's name, or one of the words `apt`, `file`, `unit`, `user`, `download`.
    Next(GuestId, String),
    /// `disk:ID:PATH`: nothing more can be written below this directory of the guest.
    Disk(GuestId, String),
    /// `mirror:ID`: no package mirror answers this guest.
    Mirror(GuestId),
    /// `agent:ID:never`: the agent of this machine never answers.
    AgentNever(GuestId),
    /// `agent:ID:late:SECONDS`: it answers so much later than it would.
    AgentLate(GuestId, u64),
    /// `agent:ID:dies:K`: it dies in the middle of the K-th changing value inside, and stays away until the machine
    /// boots again or the fault is gone.
    AgentDies(GuestId, u64),
    /// `cloud-init:ID:TEXT`: cloud-init in this guest ends with this error.
    CloudInit(GuestId, String),
    /// `nfs:SERVER`: this NFS server says nothing.
    Nfs(String),
    /// `image:NAME`: behind this URL (or its file name) are other bytes than there should be.
    Image(String),
    /// `full:STORAGE`: nothing more goes onto this storage.
    Full(String),
    /// `offline:STORAGE`: this storage cannot be reached.
    Offline(String),
}

/// A word that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no fault: expected `fail:K`, `kill:K`, `cut:K`, `lost:ID:K`, `next:ID:WHAT`, `disk:ID:PATH`, \
     `mirror:ID`, `agent:ID:never`, `agent:ID:late:SECONDS`, `agent:ID:dies:K`, `cloud-init:ID:TEXT`, `nfs:SERVER`, `image:NAME`, `full:STORAGE` or `offline:STORAGE`"
)]
pub struct InvalidFault(pub String);

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(word: &str) -> Result<Fault, InvalidFault> {
        let invalid = || InvalidFault(word.to_owned());
        let number = |text: &str| text.parse::<u64>().ok().filter(|k| *k > 0).ok_or_else(invalid);
        let guest = |text: &str| text.parse::<GuestId>().map_err(|_| invalid());
        let (kind, rest) = word.split_once(':').filter(|(_, rest)| !rest.is_empty()).ok_or_else(invalid)?;
        match kind {
            // Names and texts may have colons in them.
            "nfs" => return Ok(Fault::Nfs(rest.to_owned())),
            "image" => return Ok(Fault::Image(rest.to_owned())),
            "full" => return Ok(Fault::Full(rest.to_owned())),
            "offline" => return Ok(Fault::Offline(rest.to_owned())),
            "cloud-init" | "next" | "disk" => {
                let (id, text) = rest.split_once(':').filter(|(_, text)| !text.is_empty()).ok_or_else(invalid)?;
                let (id, text) = (guest(id)?, text.to_owned());
                return match kind {
                    "cloud-init" => Ok(Fault::CloudInit(id, text)),
                    "next" => Ok(Fault::Next(id, text)),
                    _ if text.starts_with('/') => Ok(Fault::Disk(id, text)),
                    _ => Err(invalid()),
                };
            }
            "mirror" => return Ok(Fault::Mirror(guest(rest)?)),
            _ => {}
        }
        match word.split(':').collect::<Vec<_>>()[..] {
            ["fail", k] => Ok(Fault::Fail(number(k)?)),
            ["kill", k] => Ok(Fault::Kill(number(k)?)),
            ["cut", k] => Ok(Fault::Cut(number(k)?)),
            ["lost", id, k] => Ok(Fault::Lost(guest(id)?, number(k)?)),
            ["agent", id, "never"] => Ok(Fault::AgentNever(guest(id)?)),
            ["agent", id, "late", seconds] => Ok(Fault::AgentLate(guest(id)?, number(seconds)?)),
            ["agent", id, "dies", k] => Ok(Fault::AgentDies(guest(id)?, number(k)?)),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Fault {
    type Error = InvalidFault;

    fn try_from(word: String) -> Result<Fault, InvalidFault> {
        word.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> String {
        fault.to_string()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Fail(k) => write!(f, "fail:{k}"),
            Fault::Kill(k) => write!(f, "kill:{k}"),
            Fault::Cut(k) => write!(f, "cut:{k}"),
            Fault::Lost(id, k) => write!(f, "lost:{id}:{k}"),
            Fault::Next(id, what) => write!(f, "next:{id}:{what}"),
            Fault::Disk(id, path) => write!(f, "disk:{id}:{path}"),
            Fault::Mirror(id) => write!(f, "mirror:{id}"),
            Fault::AgentNever(id) => write!(f, "agent:{id}:never"),
            Fault::AgentLate(id, seconds) => write!(f, "agent:{id}:late:{seconds}"),
            Fault::AgentDies(id, k) => write!(f, "agent:{id}:dies:{k}"),
            Fault::CloudInit(id, text) => write!(f, "cloud-init:{id}:{text}"),
            Fault::Nfs(server) => write!(f, "nfs:{server}"),
            Fault::Image(name) => write!(f, "image:{name}"),
            Fault::Full(storage) => write!(f, "full:{storage}"),
            Fault::Offline(storage) => write!(f, "offline:{storage}"),
        }
    }
}

/// When within a changing value the end comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Nothing of it was done.
    Before,
    /// Done as far as the command commits itself before its long work.
    Midway,
    /// All of it was done, but nobody hears.
    After,
}

/// What is to happen to one changing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing special.
    Fine,
    /// It fails.
    Fails,
    /// The process or the node ends there.
    Ends { when: When, abort: bool },
    /// Its guest is lost.
    Lost,
    /// The agent that does it dies.
    AgentDies,
}

impl World {
    /// How much later than it would the agent of a machine answers; none: it never does.
    pub(super) fn agent_delay(&self, id: GuestId) -> Option<Duration> {
        let never = self.in_force.contains(&Fault::AgentNever(id)) || self.dead_agents.contains(&id);
        let late = self.in_force.iter().find_map(|fault| match fault {
            Fault::AgentLate(guest, seconds) if *guest == id => Some(Duration::from_secs(*seconds)),
            _ => None,
        });
        (!never).then(|| late.unwrap_or_default())
    }

    /// The agent of a machine is gone.
    pub(super) fn lose_agent(&mut self, id: GuestId) {
        self.dead_agents.insert(id);
    }

    /// A machine that boots has its agent again.
    pub(super) fn revive_agent(&mut self, id: GuestId) {
        self.dead_agents.remove(&id);
    }

    /// Whether other bytes come from a URL than there should be.
    pub(super) fn is_spoilt(&self, url: &str) -> bool {
        self.faults_inside(None).is_spoilt(url)
    }

    /// What is broken inside a guest, or on the node.
    pub(super) fn faults_inside(&self, guest: Option<GuestId>) -> Faults {
        let mut faults = Faults::default();
        for fault in &self.in_force {
            match fault {
                Fault::Disk(id, path) if guest == Some(*id) => faults.full.push(path.clone()),
                Fault::Mirror(id) if guest == Some(*id) => faults.no_mirror = true,
                Fault::CloudInit(id, text) if guest == Some(*id) => faults.cloud_init = Some(text.clone()),
                Fault::Nfs(server) => faults.silent_nfs.push(server.clone()),
                Fault::Image(name) => faults.spoilt.push(name.clone()),
                _ => {}
            }
        }
        faults
    }

    /// Whether nothing more goes onto a storage.
    pub(super) fn is_full(&self, storage: &Storage) -> bool {
        self.in_force.contains(&Fault::Full(storage.id.clone()))
    }

    /// Whether a storage cannot be reached.
    pub(super) fn is_offline(&self, storage: &Storage) -> bool {
        self.in_force.contains(&Fault::Offline(storage.id.clone()))
    }

    /// Room for a volume of this name, or for more of it.
    ///
    /// # Errors
    /// The storage's words when it is full.
    pub(super) fn space(&self, storage: &Storage, name: &str) -> Result<(), String> {
        if self.is_offline(storage) {
            return Err(format!("storage '{}' is not online", storage.id));
        }
        if !self.is_full(storage) {
            return Ok(());
        }
        let place = &storage.path;
        Err(match storage.kind.as_str() {
            "zfspool" => format!("zfs error: cannot create '{place}/{name}': out of space"),
            "lvmthin" | "lvm" => format!(
                "lvcreate '{place}/{name}' error:   Volume group \"{place}\" has insufficient free space (0 extents)"
            ),
            "rbd" => "rbd create error: rbd: create error: (28) No space left on device".to_owned(),
            _ => {
                let path = storage.path_of(name);
                format!("unable to create image: qemu-img: {path}: Could not resize file: No space left on device")
            }
        })
    }
}

/// Counts changing values and knows which of them is doomed.
#[derive(Debug, Default)]
pub(super) struct Doom {
    faults: Vec<Fault>,
    seed: u64,
    count: u64,
    inside: std::collections::BTreeMap<GuestId, u64>,
}

impl Doom {
    pub(super) fn new(faults: Vec<Fault>, seed: u64) -> Doom {
        Doom { faults, seed, ..Doom::default() }
    }

    /// Counts one changing value, `inside` a guest or not, and says what happens to it.
    pub(super) fn next(&mut self, inside: Option<GuestId>) -> Fate {
        self.count += 1;
        let count = self.count;
        let in_guest = inside.map(|id| {
            let n = self.inside.entry(id).or_default();
            *n += 1;
            (id, *n)
        });
        let when = match random::mix(&[self.seed, count]) % 3 {
            0 => When::Before,
            1 => When::Midway,
            _ => When::After,
        };
        for fault in &self.faults {
            match *fault {
                Fault::Fail(k) if k == count => return Fate::Fails,
                Fault::Kill(k) if k == count => return Fate::Ends { when, abort: true },
                Fault::Cut(k) if k == count => return Fate::Ends { when, abort: false },
                Fault::Lost(id, k) if in_guest == Some((id, k)) => return Fate::Lost,
                Fault::AgentDies(id, k) if in_guest == Some((id, k)) => return Fate::AgentDies,
                _ => {}
            }
        }
        Fate::Fine
    }

    /// How many changing values there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How many of them were inside this guest.
    pub(super) fn count_inside(&self, id: GuestId) -> u64 {
        self.inside.get(&id).copied().unwrap_or_default()
    }

    /// From now on this goes wrong too.
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// What becomes of an Op that is meant by a `next` fault, which is used up by it.
    pub(super) fn refuses(&mut self, id: GuestId, op: &Op) -> Option<Refused> {
        let meant = |fault: &Fault| matches!(fault, Fault::Next(guest, what) if *guest == id && is_meant(what, op));
        let at = self.faults.iter().position(meant)?;
        self.faults.remove(at);
        Some(match op {
            Op::Exec(_) => Refused::With(Ok(OpValue::Output(Output::failure(1, "injected fault\n")))),
            Op::RefreshPackages | Op::InstallPackages { .. } => Refused::WithoutMirror,
            _ => Refused::With(Err(OpError::new(OpErrorKind::Failed, "injected fault"))),
        })
    }
}

/// How an Op fails that is to fail.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refused {
    /// With this result, without being done.
    With(OpResult),
    /// As it does when no mirror answers.
    WithoutMirror,
}

/// Whether an Op is meant by these words: its line, its program, or what it is about.
fn is_meant(what: &str, op: &Op) -> bool {
    let about = match op {
        Op::RefreshPackages | Op::InstallPackages { .. } | Op::RemovePackages { .. } => "apt",
        Op::Write { .. } | Op::Append { .. } => "file",
        Op::Unit { .. } | Op::ReloadUnits => "unit",
        Op::AddUser { .. } | Op::AddGroup { .. } | Op::AddToGroup { .. } => "user",
        Op::Fetch { .. } => "download",
        Op::Exec(exec) => exec.argv.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program)),
        _ => "",
    };
    about == what || fits(what, &op.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were() {
        for word in [
            "fail:3",
            "kill:1",
            "cut:12",
            "lost:101:2",
            "next:101:install *",
            "disk:101:/var/lib",
            "mirror:101",
            "agent:1001:never",
            "agent:1001:late:90",
            "agent:1001:dies:2",
            "cloud-init:1001:('users', KeyError: x)",
            "nfs:192.0.2.1",
            "image:https://example.org/a.qcow2",
            "full:tank",
        ] {
            assert_eq!(word.parse::<Fault>().unwrap().to_string(), word);
        }
        for word in [
            "fail",
            "fail:0",
            "fail:x",
            "lost:7:1",
            "break:1",
            "",
            "agent:1001",
            "disk:101:var",
            "mirror:",
            "nfs:",
            "cloud-init:1001",
        ] {
            assert!(word.parse::<Fault>().is_err(), "{word}");
        }
    }

    #[test]
    fn the_counted_value_is_the_doomed_one() {
        let guest: GuestId = "101".parse().unwrap();
        let mut doom = Doom::new(vec![Fault::Fail(2), Fault::Lost(guest, 2)], 1);
        let fates: Vec<Fate> = [Some(guest), None, None, Some(guest)].into_iter().map(|g| doom.next(g)).collect();
        assert_eq!(fates, [Fate::Fine, Fate::Fails, Fate::Fine, Fate::Lost]);
        assert_eq!(doom.count(), 4);
    }
}
