//! Users and groups.

use phoenix::op::OpErrorKind::{Exists, NoSuchUser};
use phoenix::op::{FileKind, Op, OpValue};

use super::Expect::{Fails, Shows};
use super::{Case, stat};

pub fn cases() -> Vec<Case> {
    vec![users(), groups()]
}

fn user(name: &str, uid: Option<u32>, system: bool, home: Option<&str>, shell: Option<&str>) -> Op {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Op::AddUser { name: name.to_owned(), uid, system, home: owned(home), shell: owned(shell) }
}

fn group(name: &str, gid: Option<u32>, system: bool) -> Op {
    Op::AddGroup { name: name.to_owned(), gid, system }
}

fn join(user: &str, group: &str) -> Op {
    Op::AddToGroup { user: user.to_owned(), group: group.to_owned() }
}

fn has_user(value: &OpValue, wanted: &str, test: impl Fn(&phoenix::op::User) -> bool) -> bool {
    matches!(value, OpValue::Accounts { users, groups } if users.iter().any(|user| user.name == wanted && test(user)
        && groups.iter().any(|group| group.name == wanted && group.gid == user.gid)))
}

fn has_group(value: &OpValue, wanted: &str, test: impl Fn(&phoenix::op::Group) -> bool) -> bool {
    matches!(value, OpValue::Accounts { groups, .. } if groups.iter().any(|group| group.name == wanted && test(group)))
}

fn users() -> Case {
    Case::new("users")
        .op(Op::Accounts, Shows("root first", |value| has_user(value, "root", |user| user.uid == 0)))
        .does(user("alice", Some(4001), false, None, None))
        .op(
            Op::Accounts,
            Shows("alice with home, shell and group", |value| {
                has_user(value, "alice", |user| {
                    (user.uid, user.gid, &*user.home, &*user.shell) == (4001, 4001, "/home/alice", "/bin/bash")
                })
            }),
        )
        .op(
            stat("/home/alice"),
            Shows("a home of her own", |value| {
                matches!(value, OpValue::Stat(Some(stat))
                    if (stat.kind, stat.mode, stat.uid, &*stat.group) == (FileKind::Directory, 0o700, 4001, "alice"))
            }),
        )
        .does(user("svc", None, true, Some("/srv/svc"), None))
        .op(
            Op::Accounts,
            Shows("a system user", |value| {
                has_user(value, "svc", |user| {
                    (100..1000).contains(&user.uid) && user.home == "/srv/svc" && user.shell == "/usr/sbin/nologin"
                })
            }),
        )
        .op(stat("/srv/svc"), Shows("no home", |value| *value == OpValue::Stat(None)))
        .does(user("robot", Some(4002), false, Some("/srv/robot"), Some("/bin/sh")))
        .op(
            Op::Accounts,
            Shows("what was asked for", |value| {
                has_user(value, "robot", |user| user.home == "/srv/robot" && user.shell == "/bin/sh")
            }),
        )
        .op(user("alice", None, false, None, None), Fails(Exists))
        .op(user("other", Some(4001), false, None, None), Fails(Exists))
        .does(group("taken", Some(4100), false))
        .op(user("taken", None, false, None, None), Fails(Exists))
}

fn groups() -> Case {
    Case::new("groups")
        .does(group("crew", Some(4200), false))
        .does(group("daemons", None, true))
        .op(Op::Accounts, Shows("crew", |value| has_group(value, "crew", |group| group.gid == 4200)))
        .op(
            Op::Accounts,
            Shows("a system group", |value| has_group(value, "daemons", |group| (100..1000).contains(&group.gid))),
        )
        .op(group("crew", None, false), Fails(Exists))
        .op(group("other", Some(4200), false), Fails(Exists))
        .does(user("bob", None, false, None, None))
        .does(user("carol", None, false, None, None))
        .does(join("bob", "crew"))
        .does(join("carol", "crew"))
        .does(join("bob", "crew"))
        .op(
            Op::Accounts,
            Shows("bob and carol in the crew", |value| {
                has_group(value, "crew", |group| group.members == ["bob", "carol"])
            }),
        )
        .op(join("nosuchuser", "crew"), Fails(NoSuchUser))
        .op(join("bob", "nosuchgroup"), Fails(NoSuchUser))
}
