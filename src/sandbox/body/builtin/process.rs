//! `env`, `printenv`, `pwd`, `kill`.

use crate::command::Output;
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

use super::{failure, lines, words};

/// `env`
pub(super) fn env(call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    words(call).is_empty().then(|| lines(call.env.iter().map(|(name, value)| format!("{name}={value}"))))
}

/// `printenv [NAME]`
pub(super) fn printenv(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    match words(call)[..] {
        [] => env(call, within),
        [name] => Some(call.env.get(name).map_or_else(|| Output::failure(1, ""), |value| lines([value]))),
        _ => None,
    }
}

/// `pwd`
pub(super) fn pwd(call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    Some(lines([&call.cwd]))
}

/// `kill -PWR 1` and what else makes init halt the machine; of other processes there are none.
pub(super) fn kill(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    match words(call)[..] {
        ["-PWR" | "-SIGPWR" | "-30" | "-RTMIN+3" | "-RTMIN+4", "1"] | ["-s", "PWR" | "SIGPWR", "1"] => {
            within.body.halt();
            Some(Output::default())
        }
        [] | ["-l" | "-L", ..] => None,
        [.., pid] if pid != "1" && pid.bytes().all(|b| b.is_ascii_digit()) => {
            Some(failure(1, format!("kill: ({pid}) - No such process")))
        }
        _ => None,
    }
}
