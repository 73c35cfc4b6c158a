//! What a machine is and has: read in one batch, kept up to date by our own changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Machine, MachineError};
use crate::op::{Group, Op, OpValue, User};

/// What the operating system calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Os {
    /// `debian`, `ubuntu`.
    pub id: String,
    /// `13`, `24.04`.
    pub version: String,
    /// `trixie`, `noble`.
    pub codename: String,
    /// dpkg's architecture: `amd64`, `arm64`.
    pub arch: String,
}

/// What a machine is and has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Operating system.
    pub os: Os,
    /// Installed packages: name -> version.
    pub packages: BTreeMap<String, String>,
    /// Users.
    pub users: Vec<User>,
    /// Groups.
    pub groups: Vec<Group>,
}

impl Facts {
    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// Takes in what Ops answered.
    fn learn(&mut self, values: impl IntoIterator<Item = OpValue>) {
        for value in values {
            match value {
                OpValue::Os { id, version, codename, arch } => self.os = Os { id, version, codename, arch },
                OpValue::Packages(packages) => self.packages = packages,
                OpValue::Accounts { users, groups } => (self.users, self.groups) = (users, groups),
                _ => {}
            }
        }
    }
}

impl Machine {
    /// What the machine is and has. One round trip the first time, and after something ran that may have changed it.
    ///
    /// # Errors
    /// When the machine does not answer.
    pub fn facts(&self) -> Result<Arc<Facts>, MachineError> {
        if let Some(facts) = &self.known().facts {
            return Ok(Arc::clone(facts));
        }
        let mut facts = Facts::default();
        facts.learn(self.all(&[Op::Os, Op::Packages, Op::Accounts])?);
        let facts = Arc::new(facts);
        self.known().facts = Some(Arc::clone(&facts));
        Ok(facts)
    }

    /// Takes in what Ops answered after a change of ours.
    pub(super) fn learn(&self, values: Vec<OpValue>) {
        if let Some(facts) = &mut self.known().facts {
            Arc::make_mut(facts).learn(values);
        }
    }

    /// Something ran that may have changed anything.
    pub(super) fn forget_facts(&self) {
        self.known().facts = None;
    }
}
