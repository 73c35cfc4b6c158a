//! What a modelled machine is told about the world around it for the time of one operation.

use std::net::IpAddr;

use crate::model::Cidr;
use crate::op::{OpError, OpErrorKind};
use crate::sandbox::programs::{Identity, Programs};

use super::Body;

/// What happens when a program runs that nobody models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmodelled {
    /// It succeeds without output; the answer says `assumed`.
    Assumed,
    /// [`OpErrorKind::Unknown`]: a rehearsal does not guess.
    Unknown,
    /// [`OpErrorKind::Failed`]: nothing is taken on trust.
    Refused,
}

/// What is broken on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Nothing more can be written.
    pub disk_full: bool,
    /// Directories below which nothing more can be written.
    pub full: Vec<String>,
    /// No package mirror answers.
    pub no_mirror: bool,
    /// Another program holds the locks of apt and dpkg until then.
    pub packages_locked_until: Option<jiff::Timestamp>,
    /// cloud-init ended with this error.
    pub cloud_init: Option<String>,
    /// NFS servers that say nothing.
    pub silent_nfs: Vec<String>,
    /// URLs, or their file names, behind which other bytes are than there should be.
    pub spoilt: Vec<String>,
}

/// A directory of the node that a guest sees as its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Path in the guest.
    pub at: String,
    /// Path on the node.
    pub from: String,
    /// The guest cannot write there.
    pub read_only: bool,
    /// Id of the node that is root in the guest: 0, or 100000 for unprivileged containers.
    pub root_id: u32,
}

/// The world around a machine.
pub struct Around<'a> {
    /// Who the machine is, and its clock.
    pub identity: Identity,
    /// Its addresses, without loopback.
    pub addresses: Vec<Cidr>,
    /// The node's addresses.
    pub node_addresses: Vec<IpAddr>,
    /// Whether it has a default route.
    pub default_route: bool,
    /// Answers for programs, packages and units that it does not know itself.
    pub programs: &'a dyn Programs,
    /// The node that a guest runs on; absent for the node itself.
    pub node: Option<&'a mut Body>,
    /// Directories of the node inside it.
    pub binds: &'a [Bind],
    /// What happens when a program runs that nobody models.
    pub unmodelled: Unmodelled,
    /// What is broken on purpose.
    pub faults: Faults,
}

impl Faults {
    /// Whether other bytes come from a URL than there should be.
    pub(in crate::sandbox) fn is_spoilt(&self, url: &str) -> bool {
        self.spoilt.iter().any(|spoilt| url == spoilt || url.rsplit('/').next() == Some(spoilt))
    }
}

impl Around<'_> {
    /// Fails where the disk is full.
    pub(super) fn need_space(&self, path: &str) -> Result<(), OpError> {
        let below = |full: &String| std::path::Path::new(path).starts_with(full);
        if self.faults.disk_full || self.faults.full.iter().any(below) {
            return Err(OpError::new(OpErrorKind::NoSpace, format!("{path}: No space left on device")));
        }
        Ok(())
    }

    /// Fails as apt does where another program holds its lock. What it wants to lock is named in its words.
    pub(super) fn need_lock(&self, file: &str, what: &str) -> Result<(), OpError> {
        if self.faults.packages_locked_until.is_none_or(|until| until <= self.identity.now) {
            return Ok(());
        }
        let held = format!("Could not get lock {file}. It is held by process 812 (unattended-upgr)");
        let message = match what.strip_prefix("the ") {
            Some(_) => format!(
                "Waiting for cache lock: {held}...\n\
                 E: Unable to acquire {what} ({file}), is another process using it?"
            ),
            None => format!("Reading package lists...\nE: {held}\nE: Unable to lock directory {what}"),
        };
        Err(OpError::new(OpErrorKind::Failed, message))
    }
}
