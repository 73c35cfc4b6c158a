//! Users and groups. `/etc/passwd` and `/etc/group` are the only place where they are kept.

use crate::op::{Group, OpError, OpErrorKind, OpResult, OpValue, User};

use super::data::Data;
use super::state::State;
use super::tree::{Errno, Kind, Last, Meta, Node};

/// What the account files say.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    pub(super) users: Vec<User>,
    pub(super) groups: Vec<Group>,
}

impl Accounts {
    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// Number of a user given by name or number.
    pub(super) fn uid(&self, owner: &str) -> Option<u32> {
        self.user(owner).map(|user| user.uid).or_else(|| owner.parse().ok())
    }

    /// Number of a group given by name or number.
    pub(super) fn gid(&self, group: &str) -> Option<u32> {
        self.group(group).map(|group| group.gid).or_else(|| group.parse().ok())
    }

    /// Name of a user number, or the number as text.
    pub(super) fn user_name(&self, uid: u32) -> String {
        let found = self.users.iter().find(|user| user.uid == uid);
        found.map_or_else(|| uid.to_string(), |user| user.name.clone())
    }

    /// Name of a group number, or the number as text.
    pub(super) fn group_name(&self, gid: u32) -> String {
        let found = self.groups.iter().find(|group| group.gid == gid);
        found.map_or_else(|| gid.to_string(), |group| group.name.clone())
    }

    /// A number that nobody has: upwards from 1000, for system accounts downwards from 999 (`useradd`'s manner).
    fn free(taken: impl Fn(u32) -> bool, system: bool) -> Option<u32> {
        if system { (100..1000).rev().find(|id| !taken(*id)) } else { (1000..60000).find(|id| !taken(*id)) }
    }
}

/// What is asked of a new user.
pub(super) struct NewUser<'a> {
    pub(super) name: &'a str,
    pub(super) uid: Option<u32>,
    pub(super) system: bool,
    pub(super) home: Option<&'a str>,
    pub(super) shell: Option<&'a str>,
}

impl State {
    /// What `/etc/passwd` and `/etc/group` say now; lines that are none are passed over.
    pub(super) fn accounts(&self) -> Accounts {
        let users = self.tree.text("/etc/passwd").unwrap_or_default();
        let groups = self.tree.text("/etc/group").unwrap_or_default();
        Accounts {
            users: users.lines().filter_map(user_of_line).collect(),
            groups: groups.lines().filter_map(group_of_line).collect(),
        }
    }

    pub(super) fn add_group(&mut self, name: &str, gid: Option<u32>, system: bool) -> OpResult {
        check_name("groupadd", "group", name)?;
        let accounts = self.accounts();
        if accounts.group(name).is_some() {
            return Err(OpError::new(OpErrorKind::Exists, format!("groupadd: group '{name}' already exists")));
        }
        let taken = |id| accounts.groups.iter().any(|group| group.gid == id);
        let gid = match gid {
            Some(gid) if taken(gid) => {
                return Err(OpError::new(OpErrorKind::Exists, format!("groupadd: GID '{gid}' already exists")));
            }
            Some(gid) => gid,
            None => Accounts::free(taken, system).ok_or_else(|| exhausted("groupadd"))?,
        };
        self.add_line("/etc/group", &format!("{name}:x:{gid}:"), 0o644)?;
        self.add_line("/etc/gshadow", &format!("{name}:!::"), 0o640)?;
        Ok(OpValue::Done)
    }

    pub(super) fn add_user(&mut self, new: &NewUser) -> OpResult {
        let name = new.name;
        check_name("useradd", "user", name)?;
        let accounts = self.accounts();
        if accounts.user(name).is_some() {
            return Err(OpError::new(OpErrorKind::Exists, format!("useradd: user '{name}' already exists")));
        }
        let taken = |id| accounts.users.iter().any(|user| user.uid == id);
        let free = |id| taken(id) || accounts.groups.iter().any(|group| group.gid == id);
        let uid = match new.uid {
            Some(uid) if taken(uid) => {
                return Err(OpError::new(OpErrorKind::Exists, format!("useradd: UID {uid} is not unique")));
            }
            Some(uid) => uid,
            None => Accounts::free(free, new.system).ok_or_else(|| exhausted("useradd"))?,
        };
        let gid = match accounts.group(name) {
            Some(_) => {
                let message =
                    format!("useradd: group {name} exists - if you want to add this user to that group, use -g.");
                return Err(OpError::new(OpErrorKind::Exists, message));
            }
            None => {
                let same = !accounts.groups.iter().any(|group| group.gid == uid);
                self.add_group(name, same.then_some(uid), new.system)?;
                self.accounts().gid(name).unwrap_or(uid)
            }
        };
        let home = new.home.map_or_else(|| format!("/home/{name}"), str::to_owned);
        let shell = new.shell.unwrap_or(if new.system { "/usr/sbin/nologin" } else { "/bin/bash" });
        self.add_line("/etc/passwd", &format!("{name}:x:{uid}:{gid}::{home}:{shell}"), 0o644)?;
        self.add_line("/etc/shadow", &format!("{name}:!:20000:0:99999:7:::"), 0o640)?;
        if !new.system && self.tree.get(&home).is_none() {
            let names = self.tree.make_dirs(&home).map_err(|errno| errno.at(&home))?;
            let skeleton = self.tree.get("/etc/skel").unwrap_or_else(|| Node::dir(Meta::root(0o755)).into());
            let mut node = Node::clone(&skeleton);
            give_to(&mut node, uid, gid);
            node.meta.mode = 0o700;
            self.tree.put(&names, node).map_err(|errno| errno.at(&home))?;
        }
        Ok(OpValue::Done)
    }

    pub(super) fn add_to_group(&mut self, user: &str, group: &str) -> OpResult {
        let accounts = self.accounts();
        let unknown = |message| Err(OpError::new(OpErrorKind::NoSuchUser, message));
        if accounts.user(user).is_none() {
            return unknown(format!("usermod: user '{user}' does not exist"));
        }
        match accounts.group(group) {
            None => return unknown(format!("usermod: group '{group}' does not exist")),
            Some(group) if group.members.iter().any(|member| member == user) => return Ok(OpValue::Done),
            Some(_) => {}
        }
        for path in ["/etc/group", "/etc/gshadow"] {
            let Some(text) = self.tree.text(path) else { continue };
            let joined: String = text.lines().map(|line| with_member(line, group, user) + "\n").collect();
            self.replace_text(path, &joined)?;
        }
        Ok(OpValue::Done)
    }

    /// A line at the end of an account file.
    fn add_line(&mut self, path: &str, line: &str, mode: u32) -> Result<(), OpError> {
        let text = self.tree.text(path).unwrap_or_default();
        if self.tree.get(path).is_none() {
            let node = Node::file(Meta::root(mode), Data::text(""));
            self.tree.place(path, node).map_err(|errno| errno.at(path))?;
        }
        self.replace_text(path, &format!("{text}{line}\n"))
    }

    /// Other text in an existing file; mode and owner stay.
    pub(super) fn replace_text(&mut self, path: &str, text: &str) -> Result<(), OpError> {
        let spot = self.tree.resolve(path, Last::Followed).map_err(|errno| errno.at(path))?;
        let node = self.tree.node_mut(&spot.names).ok_or_else(|| Errno::NoEntry.at(path))?;
        node.kind = Kind::File(Data::text(text));
        Ok(())
    }
}

fn user_of_line(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _password, uid, gid, _gecos, home, shell] = fields[..] else { return None };
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn group_of_line(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _password, gid, members] = fields[..] else { return None };
    let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
    Some(Group { name: name.to_owned(), gid: gid.parse().ok()?, members })
}

/// A line of `/etc/group` or `/etc/gshadow`, with the member if it is the group's.
fn with_member(line: &str, group: &str, user: &str) -> String {
    if line.split(':').next() != Some(group) {
        return line.to_owned();
    }
    if line.ends_with(':') { format!("{line}{user}") } else { format!("{line},{user}") }
}

/// A directory and everything in it for another owner.
fn give_to(node: &mut Node, uid: u32, gid: u32) {
    node.meta = Meta { uid, gid, ..node.meta };
    if let Kind::Dir(entries) = &mut node.kind {
        for entry in entries.values_mut() {
            give_to(std::sync::Arc::make_mut(entry), uid, gid);
        }
    }
}

/// shadow's rule for names on Debian: no colon, comma, slash, blank; not all digits; no dash, plus or tilde first.
fn check_name(program: &str, what: &str, name: &str) -> Result<(), OpError> {
    let bad = name.is_empty()
        || name.len() > 32
        || name.starts_with(['-', '+', '~'])
        || name.contains([':', ',', '/'])
        || name.contains(char::is_whitespace)
        || name.chars().all(|c| c.is_ascii_digit());
    if bad {
        return Err(OpError::new(OpErrorKind::Failed, format!("{program}: invalid {what} name '{name}'")));
    }
    Ok(())
}

fn exhausted(program: &str) -> OpError {
    OpError::new(OpErrorKind::Failed, format!("{program}: can't get unique id (no more available)"))
}
