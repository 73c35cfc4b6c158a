//! Changing files: `chmod`, `chown`, `mkdir`, `mv`, `rm`, `touch`, `truncate`.

use crate::command::Output;
use crate::op::{Attributes, Content, FileKind, Op, OpError, OpValue};
use crate::sandbox::body::exec::{Within, absolute};
use crate::sandbox::programs::{Inside, ProgramCall};

use super::words;

/// Does something to each path; what goes wrong is told as coreutils do.
fn each(
    call: &ProgramCall,
    within: &mut Within,
    paths: &[&str],
    mut work: impl FnMut(&mut Within, String) -> Result<(), OpError>,
    complaint: impl Fn(&str, &str) -> String,
) -> Output {
    let mut output = Output::default();
    for path in paths {
        if let Err(error) = work(within, absolute(call, path)) {
            let reason = error.message.rsplit(": ").next().unwrap_or_default();
            output.stderr.extend(format!("{}: {}\n", call.name(), complaint(path, reason)).bytes());
            output.code = 1;
        }
    }
    output
}

fn done(result: crate::op::OpResult) -> Result<(), OpError> {
    result.map(drop)
}

/// `truncate -s 0 PATH...`
pub(super) fn truncate(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let paths = match &words[..] {
        ["-s" | "--size", "0", paths @ ..] | ["-s0" | "--size=0", paths @ ..] if !paths.is_empty() => paths,
        _ => return None,
    };
    let empty = |within: &mut Within, path| done(within.perform(&write(path, Vec::new())));
    Some(each(call, within, paths, empty, |path, why| {
        format!("cannot open '{}' for writing: {why}", absolute(call, path))
    }))
}

fn write(path: String, bytes: Vec<u8>) -> Op {
    Op::Write { path, content: Content::Bytes(bytes.into()), attributes: Attributes::default(), guard: None }
}

/// `touch PATH...`
pub(super) fn touch(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    if words.is_empty() || words.iter().any(|word| word.starts_with('-')) {
        return None;
    }
    let touch = |within: &mut Within, path: String| match within.perform(&Op::Stat { path: path.clone() }) {
        Ok(OpValue::Stat(Some(_))) => Ok(()),
        _ => done(within.perform(&write(path, Vec::new()))),
    };
    Some(each(call, within, &words, touch, |path, why| format!("cannot touch '{path}': {why}")))
}

/// `mkdir [-p] PATH...`
pub(super) fn mkdir(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let (parents, paths) = match &words[..] {
        ["-p", paths @ ..] => (true, paths),
        paths => (false, paths),
    };
    if paths.is_empty() || paths.iter().any(|path| path.starts_with('-')) {
        return None;
    }
    let make = |within: &mut Within, path: String| {
        if !parents {
            let above = path.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above });
            let is = |within: &mut Within, path: &str| {
                matches!(within.perform(&Op::Stat { path: path.to_owned() }), Ok(OpValue::Stat(Some(_))))
            };
            let refuse = |why: &str| Err(OpError::new(crate::op::OpErrorKind::Failed, why));
            if is(within, &path) {
                return refuse("File exists");
            }
            if !is(within, above) {
                return refuse("No such file or directory");
            }
        }
        done(within.perform(&Op::MakeDir { path, attributes: Attributes::default() }))
    };
    // What busybox says otherwise.
    let cannot = if within.body.state.is_busybox() { "can't" } else { "cannot" };
    Some(each(call, within, paths, make, |path, why| format!("{cannot} create directory '{path}': {why}")))
}

/// `rm [-r] [-f] PATH...`
pub(super) fn rm(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (options, paths): (Vec<&str>, Vec<&str>) = words(call).into_iter().partition(|word| word.starts_with('-'));
    let flags: String = options.iter().map(|option| option.trim_start_matches('-')).collect();
    if !flags.chars().all(|flag| matches!(flag, 'r' | 'R' | 'f')) || paths.is_empty() {
        return None;
    }
    let (recursive, force) = (flags.contains(['r', 'R']), flags.contains('f'));
    let remove = |within: &mut Within, path: String| {
        let refuse = |why: &str| Err(OpError::new(crate::op::OpErrorKind::Failed, why));
        match within.perform(&Op::Stat { path: path.clone() }) {
            Ok(OpValue::Stat(None)) if force => return Ok(()),
            Ok(OpValue::Stat(None)) => return refuse("No such file or directory"),
            Ok(OpValue::Stat(Some(stat))) if stat.kind == FileKind::Directory && !recursive => {
                return refuse("Is a directory");
            }
            _ => {}
        }
        done(within.perform(&Op::Remove { path, recursive }))
    };
    Some(each(call, within, &paths, remove, |path, why| format!("cannot remove '{path}': {why}")))
}

/// `mv FROM TO`
pub(super) fn mv(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let [from, to] = words(call)[..] else { return None };
    let target = absolute(call, to);
    let inside = within.body.state.tree.get(&target).is_some_and(|node| node.is_dir());
    let leaf = from.rsplit('/').next().unwrap_or(from);
    let target = if inside { format!("{}/{leaf}", target.trim_end_matches('/')) } else { target };
    let moves = |within: &mut Within, from: String| done(within.perform(&Op::Move { from, to: target.clone() }));
    Some(each(call, within, &[from], moves, |path, why| format!("cannot move '{path}' to '{to}': {why}")))
}

/// `chmod MODE PATH...` with an octal mode
pub(super) fn chmod(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let [mode, paths @ ..] = &words[..] else { return None };
    let mode = u32::from_str_radix(mode, 8).ok()?;
    let attributes = Attributes { mode: Some(mode), ..Attributes::default() };
    Some(set(call, within, paths, &attributes))
}

/// `chown USER[:GROUP] PATH...`
pub(super) fn chown(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let [owner, paths @ ..] = &words[..] else { return None };
    if owner.starts_with('-') {
        return None;
    }
    let (user, group) = owner.split_once(':').map_or((*owner, None), |(user, group)| (user, Some(group)));
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let attributes = Attributes { mode: None, owner: name(user), group: group.and_then(name) };
    Some(set(call, within, paths, &attributes))
}

fn set(call: &ProgramCall, within: &mut Within, paths: &[&str], attributes: &Attributes) -> Output {
    let set = |within: &mut Within, path: String| {
        done(within.perform(&Op::SetAttributes { path, attributes: attributes.clone() }))
    };
    each(call, within, paths, set, |path, why| format!("cannot access '{path}': {why}"))
}
