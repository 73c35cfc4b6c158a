//! `true`, `false`, `cat`.

use crate::command::Output;
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

pub(super) fn yes(_call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    Some(Output::default())
}

pub(super) fn no(_call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    Some(Output::failure(1, ""))
}

pub(super) fn cat(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let mut output = Output::default();
    for path in call.args() {
        match within.file(call, path) {
            Some(bytes) => output.stdout.extend_from_slice(&bytes),
            None => {
                output.code = 1;
                output.stderr.extend(format!("cat: {path}: No such file or directory\n").bytes());
            }
        }
    }
    if call.args().is_empty() {
        output.stdout.extend(call.stdin.bytes());
    }
    Some(output)
}
