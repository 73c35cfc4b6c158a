//! Programs on the node, each in a process group of its own, so that what it started ends with it.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::command::{Command, LOCALE, Output};
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
        .env(LOCALE.0, LOCALE.1)
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
    let mut guard = KillOnDrop(Group::of(&child));
    tokio::spawn(feed(child.stdin.take(), command.stdin.clone()));
    let stdout = Drain::start(child.stdout.take());
    let stderr = Drain::start(child.stderr.take());
    let Ok(status) = timeout(command.timeout, child.wait()).await else {
        guard.0.signal(Signal::INT);
        let _ = timeout(CLEAN_UP, child.wait()).await;
        return Err(HostError::Timeout { what: command.to_string(), after: command.timeout });
    };
    // What it left behind in the background is meant to go on.
    guard.0 = Group(None);
    let status = status.map_err(failed)?;
    let patience = Instant::now() + PATIENCE;
    let (stdout, stderr) = (stdout.finish(patience).await, stderr.finish(patience).await);
    if [&stdout, &stderr].iter().any(|stream| stream.len() as u64 > OUTPUT_LIMIT) {
        let reason = format!("wrote more than {} MiB to one stream", OUTPUT_LIMIT >> 20);
        return Err(HostError::Io { what: format!("`{command}`"), reason });
    }
    Ok(Output { code: code(status), stdout, stderr, assumed: false })
}

/// Writes standard input and closes it; a program need not read it.
async fn feed(stdin: Option<ChildStdin>, input: Option<Sealed>) {
    if let (Some(mut stdin), Some(input)) = (stdin, input) {
        let _ = stdin.write_all(input.expose().as_bytes()).await;
    }
}

/// Reads a stream up to one byte beyond the limit; then the program loses it.
struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Drain {
    fn start(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Drain {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let reading = tokio::spawn(async move {
            let Some(stream) = stream else { return };
            let mut stream = stream.take(OUTPUT_LIMIT + 1);
            let mut chunk = vec![0; 1 << 14];
            while let Ok(count @ 1..) = stream.read(&mut chunk).await {
                into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..count]);
            }
        });
        Drain { bytes, reading }
    }

    /// What came until the stream's end, or until `patience` ends.
    async fn finish(mut self, patience: Instant) -> Vec<u8> {
        let _ = timeout_at(patience, &mut self.reading).await;
        self.reading.abort();
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Exit status as a shell tells it: 128 + signal number when killed by one.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
