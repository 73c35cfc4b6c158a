//! Programs.

use std::time::Duration;

use crate::command::Output;
use crate::host::channel::OUTPUT_LIMIT;
use crate::host::channel::call::Call;
use crate::host::channel::lower::seconds;
use crate::host::content;
use crate::op::{Exec, OpError, OpErrorKind, OpValue};

/// What `ulimit -f` counts in.
const BLOCK: u64 = 512;
/// How long a program that does not want to go may stay when its time is over.
const TO_DIE: Duration = Duration::from_secs(5);
/// Its own limit is the caller's word: a machine that stands still is not waited for much longer.
const SLACK: Duration = Duration::from_secs(10);

pub(super) fn call(exec: &Exec) -> Result<Call, OpError> {
    if exec.argv.is_empty() {
        return Err(OpError::new(OpErrorKind::Failed, "no program to run was named"));
    }
    let cwd = exec.cwd.as_deref().unwrap_or("/");
    content::absolute(cwd)?;
    let mut call = Call::new("execute")
        .arg(seconds(exec.timeout))
        .arg(OUTPUT_LIMIT / BLOCK)
        .arg(cwd)
        .arg(exec.user.as_deref().unwrap_or_default());
    for (name, value) in &exec.env {
        check_variable(name)?;
        call = call.arg(format!("{name}={}", value.expose()));
    }
    call = call.arg("--").args(&exec.argv).takes(exec.timeout + TO_DIE).slack(SLACK);
    if let Some(stdin) = &exec.stdin {
        call = call.bytes(stdin.expose().as_bytes());
    }
    Ok(call.reads(|_, answer| {
        let code = answer.text(0)?.parse().ok()?;
        Some(OpValue::Output(Output { code, stdout: answer.bytes(1)?, stderr: answer.bytes(2)?, assumed: false }))
    }))
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
