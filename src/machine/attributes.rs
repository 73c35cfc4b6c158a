//! Mode and owner of a path against their declaration.

use super::change::difference;
use crate::event::Difference;
use crate::op::{Attributes, Stat};

/// What differs, part by part.
pub(super) fn differences(path: &str, stat: &Stat, wanted: &Attributes) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut part = |name: &str, from: String, to: String| {
        found.push(difference(format!("{path} {name}"), Some(from), Some(to)));
    };
    if let Some(mode) = wanted.mode
        && mode != stat.mode
    {
        part("mode", format!("{:04o}", stat.mode), format!("{mode:04o}"));
    }
    if let Some(owner) = &wanted.owner
        && !is(owner, &stat.owner, stat.uid)
    {
        part("owner", stat.owner.clone(), owner.clone());
    }
    if let Some(group) = &wanted.group
        && !is(group, &stat.group, stat.gid)
    {
        part("group", stat.group.clone(), group.clone());
    }
    found
}

/// The declared attributes; what is not declared stays as it is.
pub(super) fn kept(stat: Option<&Stat>, wanted: &Attributes) -> Attributes {
    Attributes {
        mode: wanted.mode.or(stat.map(|stat| stat.mode)),
        owner: wanted.owner.clone().or(stat.map(|stat| stat.uid.to_string())),
        group: wanted.group.clone().or(stat.map(|stat| stat.gid.to_string())),
    }
}

fn is(wanted: &str, name: &str, number: u32) -> bool {
    wanted == name || wanted.parse() == Ok(number)
}
