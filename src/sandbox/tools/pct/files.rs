//! `pct push` and `pct pull`. What goes wrong within their tasks leaves exit status 0.

use super::*;
use crate::op::{Attributes, Content, FileKind, Op, OpErrorKind, OpResult, OpValue, Place};
use crate::sandbox::guest;

const LIMIT: u64 = 1 << 30;

fn word(call: &Call, at: usize) -> String {
    call.positionals.get(at).cloned().unwrap_or_default()
}

fn is_running(s: &Session, id: GuestId) -> bool {
    here(s.world(), id).is_ok_and(|guest| guest.running.is_some())
}

pub(super) fn push(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    flock(s, id)?;
    if !is_running(s, id) {
        return Err(fail("can only push files to a running CT"));
    }
    task(s, Exit::Lost, |s| {
        let (from, to) = (word(call, 1), word(call, 2));
        let bytes = read(s, Place::Node, &from)?;
        let bytes = bytes.ok_or_else(|| fail(format!("failed to open {from} for reading")))?;
        put(s, Place::Guest(id, KIND), call, &to, bytes)
    })
}

pub(super) fn pull(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    flock(s, id)?;
    if !is_running(s, id) {
        return Err(fail("can only pull files from a running VM at /usr/share/perl5/PVE/CLI/pct.pm line 459."));
    }
    task(s, Exit::Lost, |s| {
        let (from, to) = (word(call, 1), word(call, 2));
        // The file on the node is made before the other is looked for.
        put(s, Place::Node, call, &to, Vec::new())?;
        let bytes = read(s, Place::Guest(id, KIND), &from)?;
        let bytes = bytes.ok_or_else(|| fail(format!("failed to open {from}: No such file or directory")))?;
        put(s, Place::Node, call, &to, bytes)
    })
}

/// An Op on the node or in a container.
fn perform(s: &mut Session, place: Place, op: Op) -> Done<OpResult> {
    match place {
        Place::Guest(id, _) => Ok(inside::perform(s, id, &op)?.result),
        Place::Node => {
            let (core, now) = (s.core(), s.now());
            let done = guest::node_inside(s.world_mut(), core, now, |body, around| body.perform(&op, around).result);
            done.ok_or_else(|| fail("the node has no modelled inside"))
        }
    }
}

/// A file's bytes; a directory opens, and gives none.
fn read(s: &mut Session, place: Place, path: &str) -> Done<Option<Vec<u8>>> {
    Ok(match perform(s, place, Op::Read { path: path.to_owned(), limit: LIMIT })? {
        Ok(OpValue::Bytes(bytes)) => bytes,
        Err(error) if error.kind == OpErrorKind::IsADirectory => Some(Vec::new()),
        _ => None,
    })
}

/// `--perms`, octal unless it begins with `0x`.
fn mode(call: &Call) -> Result<Option<u32>, String> {
    let Some(perms) = call.option("perms") else { return Ok(None) };
    let perms = if perms.starts_with('0') { perms.to_owned() } else { format!("0{perms}") };
    let (digits, radix) = match perms.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (perms.as_str(), 8),
    };
    u32::from_str_radix(digits, radix).map(Some).map_err(|_| format!("invalid mode: '{perms}'"))
}

/// Writes a file in place: an existing one keeps owner and mode unless told otherwise.
fn put(s: &mut Session, place: Place, call: &Call, path: &str, bytes: Vec<u8>) -> Done {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    if let Ok(OpValue::Accounts { users, groups }) = perform(s, place, Op::Accounts)? {
        let number = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
        if let Some(user) = call.option("user").filter(|name| !number(name) && !users.iter().any(|u| u.name == **name))
        {
            return Err(fail(format!("failed to get uid for: {user}")));
        }
        if let Some(group) =
            call.option("group").filter(|name| !number(name) && !groups.iter().any(|g| g.name == **name))
        {
            return Err(fail(format!("failed to get gid for: {group}")));
        }
    }
    let mode = mode(call).map_err(fail)?;
    let shown = path.clone();
    let old = match perform(s, place, Op::Stat { path: path.clone() })? {
        Ok(OpValue::Stat(Some(stat))) if stat.kind == FileKind::Directory => {
            return Err(fail(format!("failed to create file: {shown}: Is a directory")));
        }
        Ok(OpValue::Stat(stat)) => stat,
        _ => None,
    };
    let kept =
        |given: Option<&str>, old: Option<u32>| given.map(str::to_owned).or_else(|| old.map(|id| id.to_string()));
    let attributes = Attributes {
        mode: mode.or(old.as_ref().map(|stat| stat.mode)),
        owner: kept(call.option("user"), old.as_ref().map(|stat| stat.uid)),
        group: kept(call.option("group"), old.as_ref().map(|stat| stat.gid)),
    };
    let content = Content::Bytes(bytes.into());
    let written = perform(s, place, Op::Write { path: path.clone(), content, attributes, guard: None })?;
    written.map(drop).map_err(|_| fail(format!("failed to create file: {path}: No such file or directory")))
}
