//! Programs.

use std::time::Duration;

use crate::command::Output;
use crate::host::channel::OUTPUT_LIMIT;
use crate::host::channel::answer::Answer;
use crate::host::channel::call::{Call, QUICK};
use crate::host::channel::lower::seconds;
use crate::host::content;
use crate::op::{Exec, OpError, OpErrorKind, OpValue};

/// What `ulimit -f` counts in.
const BLOCK: u64 = 512;
/// `timeout`'s exit status when it had to send SIGTERM, and when only SIGKILL helped.
const TIMED_OUT: [i32; 2] = [124, 137];

pub(super) fn call(exec: &Exec) -> Result<Call, OpError> {
    if exec.argv.is_empty() {
        return Err(OpError::new(OpErrorKind::Failed, "no program to run was named"));
    }
    let cwd = exec.cwd.as_deref().unwrap_or("/");
    content::absolute(cwd)?;
    let mut call = Call::new("execute")
        .arg(seconds(exec.timeout))
        .arg(OUTPUT_LIMIT / BLOCK + 1)
        .arg(cwd)
        .arg(exec.user.as_deref().unwrap_or_default())
        .arg(exec.env.len());
    for (name, value) in &exec.env {
        check_variable(name)?;
        call = call.arg(name).arg(value.expose());
    }
    call = call.args(&exec.argv).limit(exec.timeout + QUICK);
    if let Some(stdin) = &exec.stdin {
        call = call.bytes(stdin.expose().as_bytes());
    }
    Ok(call.reads(|_, answer| {
        let code = answer.text(0)?.parse().ok()?;
        Some(OpValue::Output(Output { code, stdout: answer.bytes(1)?, stderr: answer.bytes(2)?, assumed: false }))
    }))
}

/// Whether the program was killed for its time, or for what it wrote.
pub(super) fn check(exec: &Exec, answer: &Answer, elapsed: Duration) -> Result<(), OpError> {
    let code: Option<i32> = answer.text(0).and_then(|code| code.parse().ok());
    if code.is_some_and(|code| TIMED_OUT.contains(&code)) && elapsed >= exec.timeout {
        let message = format!("`{}` did not finish within {} s", exec.argv[0], exec.timeout.as_secs_f64());
        return Err(OpError::new(OpErrorKind::Timeout, message));
    }
    let most = OUTPUT_LIMIT as usize;
    if [1, 2].iter().any(|&stream| answer.bytes(stream).is_some_and(|bytes| bytes.len() > most)) {
        let message = format!("`{}` wrote more than {} MiB to one stream", exec.argv[0], OUTPUT_LIMIT >> 20);
        return Err(OpError::new(OpErrorKind::TooLarge, message));
    }
    Ok(())
}

/// The shell exports nothing else.
fn check_variable(name: &str) -> Result<(), OpError> {
    let mut letters = name.chars();
    let starts = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if starts && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        return Ok(());
    }
    Err(OpError::new(OpErrorKind::Failed, format!("`{name}` is no name of an environment variable")))
}
