//! What only `qm` can do; the rest is in [`super::tool`].

use std::time::Duration;

use serde_json::Value;

use super::tool::Tool;
use crate::command::{Command, Output};
use crate::model::{GuestId, GuestKind};

/// `qm create`: a virtual machine with these keys. A disk `STORAGE:0,import-from=SOURCE` is a copy of an image (a volume
/// id like `local:import/x.qcow2`, or an absolute path of the node) and as large as it.
pub fn create(id: GuestId, options: &[(String, String)]) -> Command {
    Tool::of(GuestKind::Vm, id).making("create", &[], options)
}

/// `qm guest exec`, the slow way into a virtual machine; `--` is always written. Its exit status is 0 whatever became of
/// the program: the answer is JSON. After `limit` (whole seconds, 0 for none) it answers with the process id, and the
/// program goes on. The program is given the command's standard input, of which there may be 1 MiB.
pub fn guest_exec<'a>(id: GuestId, limit: Duration, argv: impl IntoIterator<Item = &'a str>) -> Command {
    let seconds = limit.as_secs().to_string();
    let words = ["guest", "exec", &id.to_string(), "--timeout", &seconds, "--pass-stdin", "1", "--"].map(str::to_owned);
    Command::change("qm", words.into_iter().chain(argv.into_iter().map(str::to_owned)))
}

/// What `qm guest exec` answered about a program that came to its end; nothing if it did not.
pub fn guest_exec_answer(stdout: &[u8]) -> Option<Output> {
    let answer: Value = serde_json::from_str(&String::from_utf8_lossy(stdout)).ok()?;
    let flag = |name: &str| answer[name] == true || answer[name] == 1;
    if !flag("exited") || flag("out-truncated") || flag("err-truncated") {
        return None;
    }
    let number = |name: &str| answer[name].as_i64().and_then(|number| i32::try_from(number).ok());
    // Each byte comes as the character of its number.
    let stream = |name: &str| {
        let text = answer[name].as_str().unwrap_or_default();
        text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
    };
    Some(Output {
        code: number("exitcode").or_else(|| Some(128 + number("signal")?))?,
        stdout: stream("out-data"),
        stderr: stream("err-data"),
        assumed: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_as_characters() {
        let said = r#"{ "exitcode" : 3, "exited" : 1, "out-data" : "gr\u00c3\u00bcn \u00ff\u0000" }"#;
        let output = guest_exec_answer(said.as_bytes()).expect("it came to its end");
        assert_eq!((output.code, output.stdout.as_slice()), (3, &b"gr\xc3\xbcn \xff\0"[..]));
        let killed = guest_exec_answer(br#"{"exited":1,"signal":9}"#).expect("it came to its end");
        assert_eq!((killed.code, killed.stdout.len(), killed.stderr.len()), (137, 0, 0));
    }

    #[test]
    fn a_program_that_goes_on_has_no_answer() {
        assert_eq!(guest_exec_answer(br#"{ "pid" : 1234 }"#), None);
        assert_eq!(guest_exec_answer(br#"{ "exited" : 1, "exitcode" : 0, "out-truncated" : 1 }"#), None);
    }
}
