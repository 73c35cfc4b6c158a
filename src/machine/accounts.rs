//! `user` and `group`.

use super::{Change, Machine, MachineError, change::difference};
use crate::op::Op;

/// What a user shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Number; absent: the next free one.
    pub uid: Option<u32>,
    /// Whether a new user is one of the system.
    pub system: bool,
    /// Home directory.
    pub home: Option<String>,
    /// Shell.
    pub shell: Option<String>,
    /// Groups that it is in, besides those it is in already.
    pub groups: Vec<String>,
}

/// What a group shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Number; absent: the next free one.
    pub gid: Option<u32>,
    /// Whether a new group is one of the system.
    pub system: bool,
}

impl Machine {
    /// Brings a user about, with a group of the same name; never removes it from a group.
    ///
    /// # Errors
    /// When it exists with another number, or a group does not exist.
    pub fn user(&self, name: &str, wanted: &User) -> Result<Change, MachineError> {
        account_name(name)?;
        let facts = self.facts()?;
        let mut ops = Vec::new();
        let mut differences = Vec::new();
        match facts.user(name) {
            None => {
                ops.push(Op::AddUser {
                    name: name.to_owned(),
                    uid: wanted.uid,
                    system: wanted.system,
                    home: wanted.home.clone(),
                    shell: wanted.shell.clone(),
                });
                differences.push(difference(format!("user {name}"), None, Some("present".to_owned())));
            }
            Some(user) => {
                number(format!("user {name}"), user.uid, wanted.uid)?;
                for (part, flag, present, wanted) in
                    [("home", "--home", &user.home, &wanted.home), ("shell", "--shell", &user.shell, &wanted.shell)]
                {
                    if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != present) {
                        self.tool(&["usermod", flag, wanted, name])?;
                        self.forget_facts();
                        let what = format!("user {name} {part}");
                        differences.push(difference(what, Some(present.clone()), Some(wanted.clone())));
                    }
                }
            }
        }
        // A user is in the group of its own name from the beginning.
        for group in wanted.groups.iter().filter(|group| *group != name) {
            let Some(present) = facts.group(group) else {
                return Err(MachineError::Conflict {
                    what: format!("user {name}"),
                    reason: format!("group {group} does not exist"),
                    hint: Some("declare it with `group` before, or install the package that makes it".to_owned()),
                });
            };
            let first = facts.user(name).is_some_and(|user| user.gid == present.gid);
            if first || present.members.iter().any(|member| member == name) {
                continue;
            }
            ops.push(Op::AddToGroup { user: name.to_owned(), group: group.clone() });
            differences.push(difference(format!("user {name} in group {group}"), None, Some("member".to_owned())));
        }
        self.account(ops)?;
        Ok(self.done(Change::of(format!("user {name}"), differences)))
    }

    /// Brings a group about.
    ///
    /// # Errors
    /// When it exists with another number.
    pub fn group(&self, name: &str, wanted: &Group) -> Result<Change, MachineError> {
        account_name(name)?;
        let what = format!("group {name}");
        if let Some(group) = self.facts()?.group(name) {
            number(what.clone(), group.gid, wanted.gid)?;
            return Ok(Change::none(what));
        }
        self.account(vec![Op::AddGroup { name: name.to_owned(), gid: wanted.gid, system: wanted.system }])?;
        Ok(self.done(Change::of(what.clone(), vec![difference(what, None, Some("present".to_owned()))])))
    }

    /// Changes accounts and reads them again, in one round trip.
    fn account(&self, mut ops: Vec<Op>) -> Result<(), MachineError> {
        if !ops.is_empty() {
            ops.push(Op::Accounts);
            self.learn(self.all(&ops)?);
        }
        Ok(())
    }
}

fn number(what: String, present: u32, wanted: Option<u32>) -> Result<(), MachineError> {
    match wanted {
        Some(wanted) if wanted != present => Err(MachineError::Conflict {
            what,
            reason: format!("exists with number {present} instead of {wanted}"),
            hint: Some("files belong to numbers, so numbers are never changed: adapt the declaration".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// useradd's own rule.
fn account_name(name: &str) -> Result<(), MachineError> {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let rest = |byte: u8| first(byte) || byte.is_ascii_digit() || byte == b'-';
    if name.len() <= 32 && name.bytes().next().is_some_and(first) && name.bytes().all(rest) {
        Ok(())
    } else {
        Err(MachineError::Invalid(format!("`{name}` is no user or group name")))
    }
}
