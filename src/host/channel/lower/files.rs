//! Files and directories.

use crate::host::channel::answer::Answer;
use crate::host::channel::call::Call;
use crate::host::content;
use crate::op::{Attributes, Content, Entry, FileKind, Guard, OpError, OpErrorKind, OpValue, Stat};

pub(super) fn stat(path: &str) -> Result<Call, OpError> {
    Ok(Call::new("stat_path").arg(absolute(path)?).reads(|_, answer| {
        if answer.len() == 0 {
            return Some(OpValue::Stat(None));
        }
        parse_stat(&answer.text(0)?, answer.text(1)).map(|stat| OpValue::Stat(Some(stat)))
    }))
}

pub(super) fn read(path: &str, limit: u64) -> Result<Call, OpError> {
    let call = Call::new("read_file").arg(absolute(path)?).arg(limit.saturating_add(1)).answers(limit);
    Ok(call.reads(|_, answer| match answer.len() {
        0 => Some(OpValue::Bytes(None)),
        _ => Some(OpValue::Bytes(Some(answer.bytes(0)?))),
    }))
}

/// One byte more than the limit was asked for.
pub(super) fn check_size(path: &str, limit: u64, answer: &Answer) -> Result<(), OpError> {
    match answer.bytes(0) {
        Some(bytes) if bytes.len() as u64 > limit => {
            Err(OpError::new(OpErrorKind::TooLarge, format!("{path}: is larger than {limit} bytes")))
        }
        _ => Ok(()),
    }
}

pub(super) fn digest(path: &str) -> Result<Call, OpError> {
    Ok(Call::new("digest").arg(absolute(path)?).reads(|_, answer| {
        if answer.len() == 0 {
            return Some(OpValue::Digest(None));
        }
        let hex = answer.text(0)?.get(..64)?.to_owned();
        Some(OpValue::Digest(Some(hex)))
    }))
}

pub(super) fn list(path: &str) -> Result<Call, OpError> {
    Ok(Call::new("list").arg(absolute(path)?).reads(|_, answer| {
        if answer.len() == 0 {
            return Some(OpValue::Entries(None));
        }
        let entry = |index| {
            let text = answer.text(index)?;
            let mut letters = text.chars();
            let kind = match letters.next()? {
                'f' => FileKind::File,
                'd' => FileKind::Directory,
                'l' => FileKind::Symlink,
                _ => FileKind::Other,
            };
            Some(Entry { name: letters.as_str().to_owned(), kind })
        };
        let mut entries: Vec<Entry> = (1..answer.len()).map(entry).collect::<Option<_>>()?;
        entries.sort();
        Some(OpValue::Entries(Some(entries)))
    }))
}

pub(super) fn read_all(path: &str, suffix: &str) -> Result<Call, OpError> {
    Ok(Call::new("read_all").arg(absolute(path)?).arg(suffix).reads(|_, answer| {
        let pair = |index| Some((answer.text(index)?, answer.bytes(index + 1)?));
        (0..answer.len()).step_by(2).map(pair).collect::<Option<_>>().map(OpValue::Files)
    }))
}

pub(super) fn write(
    path: &str,
    content: &Content,
    attributes: &Attributes,
    guard: Option<&Guard>,
) -> Result<Call, OpError> {
    let length = content::length(content)?;
    let mut call = with_attributes(Call::new("write").arg(absolute(path)?), attributes);
    if let Some(guard) = guard {
        call = call.arg(absolute(&guard.lock)?).arg(&guard.expect);
    }
    Ok(call.content(content, length))
}

pub(super) fn append(path: &str, bytes: &[u8], sync: bool) -> Result<Call, OpError> {
    Ok(Call::new("append").arg(absolute(path)?).arg(flag(sync)).bytes(bytes))
}

pub(super) fn make_dir(path: &str, attributes: &Attributes) -> Result<Call, OpError> {
    Ok(with_attributes(Call::new("make_dir").arg(absolute(path)?), attributes))
}

pub(super) fn link(path: &str, target: &str) -> Result<Call, OpError> {
    Ok(Call::new("link").arg(absolute(path)?).arg(target))
}

pub(super) fn remove(path: &str, recursive: bool) -> Result<Call, OpError> {
    Ok(Call::new("remove").arg(absolute(path)?).arg(flag(recursive)))
}

pub(super) fn rename(from: &str, to: &str) -> Result<Call, OpError> {
    Ok(Call::new("move").arg(absolute(from)?).arg(absolute(to)?))
}

pub(super) fn set_attributes(path: &str, attributes: &Attributes) -> Result<Call, OpError> {
    Ok(with_attributes(Call::new("set_attributes").arg(absolute(path)?), attributes))
}

fn with_attributes(call: Call, attributes: &Attributes) -> Call {
    // Five digits: with fewer, chmod leaves the set-id bits of directories alone.
    let mode = attributes.mode.map(|mode| format!("{mode:05o}")).unwrap_or_default();
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    call.arg(mode).arg(name(&attributes.owner)).arg(name(&attributes.group))
}

fn flag(set: bool) -> &'static str {
    if set { "1" } else { "" }
}

fn absolute(path: &str) -> Result<&str, OpError> {
    content::absolute(path).map(|()| path)
}

/// `%f %s %u %g %t %T %U %G` of stat(1): mode, device numbers in hex, the others decimal.
fn parse_stat(line: &str, target: Option<String>) -> Option<Stat> {
    let words: Vec<&str> = line.splitn(8, ' ').collect();
    let [mode, size, uid, gid, major, minor, owner, group] = words.try_into().ok()?;
    let mode = u32::from_str_radix(mode, 16).ok()?;
    let kind = content::kind(mode);
    let device = || Some((u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?));
    // stat(1)'s word for a number without a name.
    let name = |name: &str, number: &str| if name == "UNKNOWN" { number.to_owned() } else { name.to_owned() };
    Some(Stat {
        kind,
        size: if kind == FileKind::File { size.parse().ok()? } else { 0 },
        mode: mode & 0o7777,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        owner: name(owner, uid),
        group: name(group, gid),
        target,
        device: if content::is_device(mode) { Some(device()?) } else { None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_and_a_nameless_owner() {
        let stat = parse_stat("21b6 0 0 4242 1 3 root UNKNOWN", None).expect("well-formed");
        assert_eq!((stat.kind, stat.mode, stat.device), (FileKind::Other, 0o666, Some((1, 3))));
        assert_eq!((stat.owner.as_str(), stat.group.as_str()), ("root", "4242"));
    }
}
