//! `head`, `tail`, `tee`, `wc`.

use crate::command::Output;
use crate::op::{Attributes, Content, Op, OpValue};
use crate::sandbox::body::exec::{Within, absolute};
use crate::sandbox::programs::{Inside, ProgramCall};

use super::{failure, words};

/// The bytes of a file, or of standard input without one.
fn input(call: &ProgramCall, within: &mut Within, path: Option<&str>) -> Result<Vec<u8>, Output> {
    let Some(path) = path else { return Ok(call.stdin.clone().into_bytes()) };
    match within.perform(&Op::Read { path: absolute(call, path), limit: u64::MAX }) {
        Ok(OpValue::Bytes(Some(bytes))) => Ok(bytes),
        _ => {
            let message = if within.body.state.is_busybox() {
                format!("{}: {path}: No such file or directory", call.name())
            } else {
                format!("{}: cannot open '{path}' for reading: No such file or directory", call.name())
            };
            Err(failure(1, message))
        }
    }
}

/// Number of lines or bytes, and the file: `[-n N | -c N | -N] [FILE]`.
fn amount<'w>(words: &[&'w str]) -> Option<(usize, bool, Option<&'w str>)> {
    let (count, bytes, rest) = match words {
        ["-n", count, rest @ ..] => (count.parse().ok()?, false, rest),
        ["-c", count, rest @ ..] => (count.parse().ok()?, true, rest),
        [option, rest @ ..] if option.starts_with("-n") => (option[2..].parse().ok()?, false, rest),
        [option, rest @ ..] if option.starts_with("-c") => (option[2..].parse().ok()?, true, rest),
        [option, rest @ ..] if option.starts_with('-') => (option[1..].parse().ok()?, false, rest),
        rest => (10, false, rest),
    };
    match rest {
        [] => Some((count, bytes, None)),
        [file] => Some((count, bytes, Some(file))),
        _ => None,
    }
}

/// `head [-n N | -c N] [FILE]`
pub(super) fn head(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (count, bytes, file) = amount(&words(call))?;
    Some(match input(call, within, file) {
        Ok(text) if bytes => Output::success(text[..count.min(text.len())].to_vec()),
        Ok(text) => {
            Output::success(text.split_inclusive(|b| *b == b'\n').take(count).flatten().copied().collect::<Vec<u8>>())
        }
        Err(output) => output,
    })
}

/// `tail [-n N | -c N] [FILE]`
pub(super) fn tail(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (count, bytes, file) = amount(&words(call))?;
    Some(match input(call, within, file) {
        Ok(text) if bytes => Output::success(text[text.len().saturating_sub(count)..].to_vec()),
        Ok(text) => {
            let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
            Output::success(lines[lines.len().saturating_sub(count)..].concat())
        }
        Err(output) => output,
    })
}

/// `tee FILE`
pub(super) fn tee(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let [file] = words(call)[..] else { return None };
    let content = Content::Bytes(call.stdin.clone().into_bytes().into());
    let path = absolute(call, file);
    let written = within.perform(&Op::Write { path, content, attributes: Attributes::default(), guard: None });
    let mut output = Output::success(call.stdin.clone());
    if let Err(error) = written {
        let reason = error.message.rsplit(": ").next().unwrap_or_default();
        output.stderr.extend(format!("tee: {file}: {reason}\n").bytes());
        output.code = 1;
    }
    Some(output)
}

/// `wc [-l | -c | -w] [FILE]`
pub(super) fn wc(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    let (what, file) = match words[..] {
        [what @ ("-l" | "-c" | "-w")] => (what, None),
        [what @ ("-l" | "-c" | "-w"), file] => (what, Some(file)),
        _ => return None,
    };
    let bytes = match input(call, within, file) {
        Ok(bytes) => bytes,
        Err(output) => return Some(output),
    };
    let count = match what {
        "-l" => bytes.iter().filter(|byte| **byte == b'\n').count(),
        "-c" => bytes.len(),
        _ => String::from_utf8_lossy(&bytes).split_whitespace().count(),
    };
    let name = file.map(|file| format!(" {file}")).unwrap_or_default();
    Some(Output::success(format!("{count}{name}\n")))
}
