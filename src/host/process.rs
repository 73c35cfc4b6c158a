//! Programs on the node, each in a process group of its own, so that what it started ends with it.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::time::{Instant, sleep_until, timeout};

use crate::command::{Command, Output};
use crate::host::HostError;
use crate::host::channel::OUTPUT_LIMIT;
use crate::secret::Sealed;

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long after a program's end its output is waited for while a child of it holds the pipes open.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a program may clean up behind itself when its time is over: `pct create` and `clone` undo everything on
/// SIGINT, and leave locks and volumes on SIGKILL.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// Whether a program is to be found.
pub(super) fn finds(program: &str) -> bool {
    PATH.split(':').any(|dir| Path::new(dir).join(program).is_file())
}

/// A program with a clean environment, at `/`, in a process group of its own.
pub(super) fn prepare<A: AsRef<str>>(program: &str, args: &[A]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command
        .args(args.iter().map(AsRef::as_ref))
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        // Under any other locale Proxmox's tools destroy what is not ASCII in their arguments.
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .process_group(0);
    command
}

/// The process group of a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group that a child from [`prepare`] leads.
    pub(super) fn of(child: &Child) -> Group {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Group(id.and_then(Pid::from_raw))
    }

    /// Sends a signal to all of it; none is left if that fails.
    pub(super) fn signal(self, signal: Signal) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, signal);
        }
    }
}

/// Kills the group unless it came to its own end.
struct KillOnDrop(Group);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.signal(Signal::KILL);
    }
}

/// Runs a program to its end or its limit.
pub(super) async fn run(command: &Command) -> Result<Output, HostError> {
    let failed = |error: io::Error| HostError::Io { what: format!("`{command}`"), reason: error.to_string() };
    let stdin = if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = prepare(&command.program, &command.args)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => HostError::NotFound { program: command.program.clone() },
            _ => failed(error),
        })?;
    let group = Group::of(&child);
    let mut stdout = Vec::new();
    let mut stderr = Vec::new();
    let status = {
        let mut guard = KillOnDrop(group);
        let talk = {
            let feed = feed(child.stdin.take(), command.stdin.as_ref());
            let out = drain(child.stdout.take(), &mut stdout);
            let err = drain(child.stderr.take(), &mut stderr);
            async { tokio::join!(feed, out, err) }
        };
        tokio::pin!(talk);
        let mut talking = true;
        let deadline = Instant::now() + command.timeout;
        loop {
            tokio::select! {
                status = child.wait() => {
                    if talking {
                        let _ = timeout(PATIENCE, &mut talk).await;
                    }
                    // What it left behind in the background is meant to go on.
                    guard.0 = Group(None);
                    break status.map_err(failed)?;
                }
                _ = &mut talk, if talking => talking = false,
                () = sleep_until(deadline) => {
                    group.signal(Signal::INT);
                    let _ = timeout(CLEAN_UP, child.wait()).await;
                    return Err(HostError::Timeout { what: command.to_string(), after: command.timeout });
                }
            }
        }
    };
    if [&stdout, &stderr].iter().any(|stream| stream.len() as u64 > OUTPUT_LIMIT) {
        let reason = format!("wrote more than {} MiB to one stream", OUTPUT_LIMIT >> 20);
        return Err(HostError::Io { what: format!("`{command}`"), reason });
    }
    Ok(Output { code: code(status), stdout, stderr, assumed: false })
}

/// Writes standard input and closes it; a program need not read it.
async fn feed(stdin: Option<ChildStdin>, input: Option<&Sealed>) {
    if let (Some(mut stdin), Some(input)) = (stdin, input) {
        let _ = stdin.write_all(input.expose().as_bytes()).await;
    }
}

/// Reads a stream up to one byte beyond the limit; then the program loses it.
async fn drain(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    if let Some(stream) = stream {
        let _ = stream.take(OUTPUT_LIMIT + 1).read_to_end(into).await;
    }
}

/// Exit status as a shell tells it: 128 + signal number when killed by one.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
