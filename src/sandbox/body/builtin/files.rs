//! Looking at files: `cat`, `ls`, `readlink`, `stat`, `test`.

use crate::command::Output;
use crate::op::{FileKind, Op, OpValue, Stat};
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

/// `readlink PATH`
pub(super) fn readlink(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let [path] = words(call)[..] else { return None };
    match within.perform(&Op::Stat { path: absolute(call, path) }) {
        Ok(OpValue::Stat(Some(Stat { target: Some(target), .. }))) => Some(lines([target])),
        _ => Some(Output::failure(1, "")),
    }
}

/// `stat -c FORMAT PATH...` with `%a %A %F %g %G %n %s %u %U`
pub(super) fn stat(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let (format, paths) = match &words[..] {
        ["-c", format, paths @ ..] if !paths.is_empty() => (*format, paths),
        [option, paths @ ..] if !paths.is_empty() => {
            (option.strip_prefix("--format=").or_else(|| option.strip_prefix("-c"))?, paths)
        }
        _ => return None,
    };
    let mut output = Output::default();
    for path in paths {
        match within.perform(&Op::Stat { path: absolute(call, path) }) {
            Ok(OpValue::Stat(Some(stat))) => {
                output.stdout.extend(described(format, path, &stat)?.bytes());
                output.stdout.push(b'\n');
            }
            _ => {
                let busybox = within.body.state.is_busybox();
                let message = if busybox { "can't stat" } else { "cannot statx" };
                output.stderr.extend(format!("stat: {message} '{path}': No such file or directory\n").bytes());
                output.code = 1;
            }
        }
    }
    Some(output)
}

fn described(format: &str, path: &str, stat: &Stat) -> Option<String> {
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match chars.next()? {
            'a' => text.push_str(&format!("{:o}", stat.mode)),
            'A' => text.push_str(&permissions(stat)),
            'u' => text.push_str(&stat.uid.to_string()),
            'g' => text.push_str(&stat.gid.to_string()),
            'U' => text.push_str(&stat.owner),
            'G' => text.push_str(&stat.group),
            's' => text.push_str(&stat.size.to_string()),
            'n' => text.push_str(path),
            'F' => text.push_str(match stat.kind {
                FileKind::File if stat.size == 0 => "regular empty file",
                FileKind::File => "regular file",
                FileKind::Directory => "directory",
                FileKind::Symlink => "symbolic link",
                _ => return None,
            }),
            '%' => text.push('%'),
            _ => return None,
        }
    }
    Some(text)
}

/// `drwxr-xr-x`
fn permissions(stat: &Stat) -> String {
    let kind = match stat.kind {
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        _ => '-',
    };
    let bit = |at: u32| match stat.mode >> at & 1 {
        0 => '-',
        _ => ['x', 'w', 'r'][(at % 3) as usize],
    };
    std::iter::once(kind).chain((0..9).rev().map(bit)).collect()
}
