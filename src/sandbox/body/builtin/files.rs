//! `cat`, `ls`, `test`, `truncate`.

use crate::command::Output;
use crate::op::{Attributes, Content, FileKind, Op, OpValue};
use crate::sandbox::body::exec::{Within, absolute};
use crate::sandbox::body::tree::{Kind, Last};
use crate::sandbox::programs::{Inside, ProgramCall};

use super::{failure, lines, words};

/// `cat [FILE...]`
pub(super) fn cat(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let mut output = Output::default();
    for path in words(call) {
        match within.perform(&Op::Read { path: absolute(call, path), limit: u64::MAX }) {
            Ok(OpValue::Bytes(Some(bytes))) => output.stdout.extend_from_slice(&bytes),
            Err(error) => {
                output.code = 1;
                let words = error.message.rsplit(": ").next().unwrap_or_default().to_owned();
                output.stderr.extend(format!("cat: {}: {words}\n", quoted(path)).bytes());
            }
            Ok(_) => {
                output.code = 1;
                output.stderr.extend(format!("cat: {}: No such file or directory\n", quoted(path)).bytes());
            }
        }
    }
    if call.args().is_empty() {
        output.stdout.extend(call.stdin.bytes());
    }
    Some(output)
}

/// A name as coreutils show it in messages: quoted where a shell would need it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

/// `ls [-1aA] [PATH]`
pub(super) fn ls(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (options, paths): (Vec<&str>, Vec<&str>) = words(call).into_iter().partition(|word| word.starts_with('-'));
    if !options.iter().all(|option| matches!(*option, "-1" | "-a" | "-A" | "-1a" | "-1A")) {
        return None;
    }
    let path = match paths[..] {
        [] => call.cwd.clone(),
        [path] => absolute(call, path),
        _ => return None,
    };
    let node = within.body.state.tree.get(&path);
    let Some(node) = node else {
        return Some(failure(2, format!("ls: cannot access '{path}': No such file or directory")));
    };
    let Some(entries) = node.entries() else { return Some(lines([path])) };
    within.body.state.tree.listed(&path);
    let hidden = options.iter().any(|option| option.contains(['a', 'A']));
    Some(lines(entries.keys().filter(|name| hidden || !name.starts_with('.'))))
}

/// `test` and `[` with one condition, possibly negated.
pub(super) fn test(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let mut words = words(call);
    if call.name() == "[" && words.pop() != Some("]") {
        return Some(failure(2, "[: missing ]"));
    }
    let negated = words.first() == Some(&"!") && words.len() > 1;
    let holds = condition(&words[usize::from(negated)..], call, within)?;
    Some(if holds != negated { Output::default() } else { Output::failure(1, "") })
}

fn condition(words: &[&str], call: &ProgramCall, within: &mut Within) -> Option<bool> {
    let number = |word: &str| word.parse::<i64>().ok();
    Some(match *words {
        [] => false,
        [word] => !word.is_empty(),
        ["-n", word] => !word.is_empty(),
        ["-z", word] => word.is_empty(),
        [option, path] => {
            let path = absolute(call, path);
            if matches!(option, "-L" | "-h") {
                let stat = within.perform(&Op::Stat { path });
                return Some(matches!(stat, Ok(OpValue::Stat(Some(stat))) if stat.kind == FileKind::Symlink));
            }
            let node = within.body.state.tree.resolve(&path, Last::Followed).ok().and_then(|spot| spot.node);
            match (option, node) {
                ("-e" | "-f" | "-d" | "-s" | "-r" | "-w" | "-x" | "-c" | "-b", None) => false,
                // Everybody is root here, who may do everything but run what nobody may run.
                ("-e" | "-r" | "-w", Some(_)) => true,
                ("-f", Some(node)) => matches!(node.kind, Kind::File(_)),
                ("-d", Some(node)) => node.is_dir(),
                ("-s", Some(node)) => !matches!(&node.kind, Kind::File(data) if data.size() == 0),
                ("-x", Some(node)) => node.is_dir() || node.meta.mode & 0o111 != 0,
                ("-c" | "-b", Some(node)) => matches!(node.kind, Kind::Other(Some(_))),
                _ => return None,
            }
        }
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, "-eq", right] => number(left)? == number(right)?,
        [left, "-ne", right] => number(left)? != number(right)?,
        [left, "-lt", right] => number(left)? < number(right)?,
        [left, "-gt", right] => number(left)? > number(right)?,
        _ => return None,
    })
}

/// `truncate -s 0 PATH...`
pub(super) fn truncate(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let paths = match &words[..] {
        ["-s" | "--size", "0", paths @ ..] | ["-s0" | "--size=0", paths @ ..] if !paths.is_empty() => paths,
        _ => return None,
    };
    let mut output = Output::default();
    for path in paths {
        let path = absolute(call, path);
        let empty = Op::Write {
            path: path.clone(),
            content: Content::Bytes(Vec::new().into()),
            attributes: Attributes::default(),
            guard: None,
        };
        if let Err(error) = within.perform(&empty) {
            let reason = error.message.rsplit(": ").next().unwrap_or_default();
            output.stderr.extend(format!("truncate: cannot open '{path}' for writing: {reason}\n").bytes());
            output.code = 1;
        }
    }
    Some(output)
}
