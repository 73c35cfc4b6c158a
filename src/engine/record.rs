//! What phoenix keeps on the node about a guest it made: `/var/lib/phoenix/guests/ID.json`.
//!
//! The record is one half of the mark (the other is the tag `phoenix`); it proves which irreversible thing was begun
//! by us, and says which scripts were applied with which digests. What the guest *is* gets read from the node every
//! time and is never taken from here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::host::HostError;
use crate::model::{GuestId, GuestKind, ScriptKind};
use crate::op::{Op, OpError, OpResult, OpValue};

/// Where records live on the node.
pub const DIRECTORY: &str = "/var/lib/phoenix/guests";

/// An irreversible thing, written down before it is begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Irreversible {
    /// Created from a template archive or an image.
    Create,
    /// Cloned from another guest. Proxmox locks a container meanwhile.
    Clone {
        /// The source.
        from: GuestId,
    },
    /// A snapshot taken.
    Snapshot {
        /// Its name.
        name: String,
    },
    /// A snapshot removed.
    RemoveSnapshot {
        /// Its name.
        name: String,
    },
    /// Cleaned of what its clones must not share; done when it is stopped, as a boot makes it anew.
    Clean,
    /// Converted to a template.
    Template,
    /// Destroyed.
    Destroy,
}

impl std::fmt::Display for Irreversible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Irreversible::Create => f.write_str("create"),
            Irreversible::Clone { from } => write!(f, "clone of {from}"),
            Irreversible::Snapshot { name } => write!(f, "snapshot {name}"),
            Irreversible::RemoveSnapshot { name } => write!(f, "removal of snapshot {name}"),
            Irreversible::Clean => f.write_str("cleaning"),
            Irreversible::Template => f.write_str("conversion to a template"),
            Irreversible::Destroy => f.write_str("destroy"),
        }
    }
}

/// Something irreversible that a run began and has not reported as done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// What.
    #[serde(flatten)]
    pub what: Irreversible,
    /// The run that began it; its journal says the same.
    pub run: String,
}

/// A script that was applied to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Digest of the script and everything it imports ([`crate::model::ScriptSpec::digest`]).
    pub script: String,
    /// Digest of its parameters, fallbacks filled in.
    pub params: String,
    /// Artifacts it read: name -> publisher and digest of the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consumed: BTreeMap<String, Consumed>,
}

impl Applied {
    /// How parameters and artifacts are compared: SHA-256 in lower-case hex.
    pub fn digest(bytes: &[u8]) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// An artifact as a script read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// Who published it.
    pub publisher: GuestId,
    /// SHA-256 of the value.
    pub digest: String,
}

/// How a guest became ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Created or cloned by phoenix.
    Made,
    /// It was there before and was taken over (`--adopt`).
    Adopted,
}

/// What phoenix knows about a guest it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Guest.
    pub id: GuestId,
    /// Its name when the record was last written.
    pub name: String,
    /// Kind.
    pub kind: GuestKind,
    /// How it became ours.
    pub provenance: Provenance,
    /// The run that made it or took it over.
    pub made_by: String,
    /// Something irreversible that was begun and not reported as done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// A clone got SSH host keys of its own.
    #[serde(default)]
    pub own_host_keys: bool,
    /// What phoenix put into the guest's configuration, by name (see [`crate::pve::difference::Changes::declared`]): what
    /// is not declared any more goes, what others put there stays.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub settings: BTreeSet<String>,
    /// Scripts that were applied to the end: `feature NAME`, `app NAME`.
    #[serde(default)]
    pub scripts: BTreeMap<String, Applied>,
    /// What its scripts published.
    #[serde(default)]
    pub published: Vec<Artifact>,
    /// Snapshots of the end of its life that are older than its last change.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stale_snapshots: BTreeSet<String>,
    /// Something was written that takes effect when it is started again, and it was not started again since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart_due: bool,
    /// The run that last changed it and went through every step; absent: it was never finished.
    #[serde(default)]
    pub finished_by: Option<String>,
}

impl Record {
    /// The record of a guest that `run` is about to make or take over.
    pub fn new(id: GuestId, name: &str, kind: GuestKind, provenance: Provenance, run: &str) -> Record {
        Record {
            id,
            name: name.to_owned(),
            kind,
            provenance,
            made_by: run.to_owned(),
            begun: None,
            own_host_keys: false,
            settings: BTreeSet::new(),
            scripts: BTreeMap::new(),
            published: Vec::new(),
            stale_snapshots: BTreeSet::new(),
            restart_due: false,
            finished_by: None,
        }
    }

    /// Where the record of a guest is kept.
    pub fn path(id: GuestId) -> String {
        format!("{DIRECTORY}/{id}.json")
    }

    /// The key of a script in [`Record::scripts`].
    pub fn key(kind: ScriptKind, name: &str) -> String {
        match kind {
            ScriptKind::Feature => format!("feature {name}"),
            ScriptKind::App => format!("app {name}"),
        }
    }

    /// The Ops that put the record on the node's disk as a whole: written beside, synced, then renamed, so that a
    /// power failure leaves either the old or the new one.
    pub fn keep(&self) -> Result<Vec<Op>, RecordError> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| RecordError::Unreadable { path: Record::path(self.id), reason: error.to_string() })?;
        bytes.push(b'\n');
        let path = Record::path(self.id);
        let beside = format!("{path}.new");
        Ok(vec![
            Op::MakeDir { path: DIRECTORY.to_owned(), attributes: Default::default() },
            Op::Remove { path: beside.clone(), recursive: false },
            Op::Append { path: beside.clone(), bytes, sync: true },
            Op::Move { from: beside, to: path },
        ])
    }
}

/// Why a record could not be read or kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The node did not answer.
    #[error("the records of guests on the node: {0}")]
    Host(#[from] HostError),
    /// The node refused.
    #[error("the records of guests on the node: {0}")]
    Op(#[from] OpError),
    /// It is no record.
    #[error("{path} is no record of a guest: {reason}")]
    Unreadable {
        /// Its path on the node.
        path: String,
        /// Why.
        reason: String,
    },
}

/// The one Op that reads all records; [`parse_all`] understands its answer.
pub fn read_all() -> Op {
    Op::ReadAll { path: DIRECTORY.to_owned(), suffix: ".json".to_owned() }
}

/// All records of the node, by guest.
pub fn parse_all(result: &OpResult) -> Result<BTreeMap<GuestId, Record>, RecordError> {
    let files = match result {
        Ok(OpValue::Files(files)) => files,
        Ok(_) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.clone().into()),
    };
    files
        .iter()
        .map(|(name, bytes)| {
            let record: Record = serde_json::from_slice(bytes).map_err(|error| RecordError::Unreadable {
                path: format!("{DIRECTORY}/{name}"),
                reason: error.to_string(),
            })?;
            Ok((record.id, record))
        })
        .collect()
}
