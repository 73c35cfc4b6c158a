//! One open channel: the process, its two ends, and batches over it.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::host::channel::answer::Answer;
use crate::host::channel::batch::{Batch, Broken};
use crate::host::channel::call::MOST;
use crate::host::{HostError, process};
use crate::op::{Op, OpResult, Place};

/// What runs at the far end.
pub(super) const SCRIPT: &str = include_str!("guest.sh");
/// How long a channel may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How long the far end may take to go by itself.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How many of the last bytes are kept that the channel's process says on its own behalf.
const TAIL: usize = 4096;

/// An open channel. Dropping it kills its process with everything in its group.
pub(super) struct Session {
    place: Place,
    child: Child,
    group: process::Group,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    complaints: Arc<Mutex<Vec<u8>>>,
}

impl Session {
    /// Opens a channel; `way` is what stands before `sh`.
    pub(super) async fn open(place: Place, way: &[String]) -> Result<Session, HostError> {
        let words: Vec<&str> = way.iter().map(String::as_str).chain(["sh", "-c", SCRIPT, "phoenix"]).collect();
        let unreachable = |reason: String| HostError::Unreachable { what: place.to_string(), reason };
        let mut child = process::prepare(words[0], &words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| unreachable(format!("{}: {error}", words[0])))?;
        let (Some(input), Some(output), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(unreachable("its process has no pipes".to_owned()));
        };
        let group = process::Group::of(&child);
        let complaints = Arc::default();
        tokio::spawn(keep_tail(stderr, Arc::clone(&complaints)));
        let output = BufReader::with_capacity(1 << 16, output);
        let mut session = Session { place, child, group, input: Some(input), output, complaints };
        match timeout(OPEN_LIMIT, Answer::receive(&mut session.output, MOST)).await {
            Ok(Ok(_)) => Ok(session),
            Ok(Err(error)) => Err(unreachable(session.last_words(&error.to_string()).await)),
            Err(_) => Err(unreachable(format!("no answer within {} s", OPEN_LIMIT.as_secs()))),
        }
    }

    /// Performs a batch. The session comes back only if it can be used again.
    pub(super) async fn perform(mut self, ops: &[Op]) -> Result<(Vec<OpResult>, Session), HostError> {
        let batch = Batch::new(ops);
        let Some(input) = self.input.take() else {
            return Err(self.lost("its input is closed").await);
        };
        // Both directions at once: the far end may answer much before it has taken everything.
        let sending = tokio::spawn(batch.send(input));
        let received = batch.receive(&mut self.output).await;
        if received.is_err() {
            sending.abort();
        }
        let sent = sending.await.map_err(io::Error::other).and_then(|sent| sent);
        match (received, sent) {
            (Ok(results), Ok(input)) => {
                self.input = Some(input);
                Ok((results, self))
            }
            (Err(Broken::Late(op, after)), _) => {
                Err(HostError::Timeout { what: format!("{}: {op}", self.place), after })
            }
            (Err(Broken::Gone(_, error)), _) | (Ok(_), Err(error)) => Err(self.lost(&error.to_string()).await),
        }
    }

    /// The machine was lost: in the words of the channel's process, or else in these.
    async fn lost(&mut self, otherwise: &str) -> HostError {
        let reason = self.last_words(otherwise).await;
        HostError::Lost { place: self.place.to_string(), reason }
    }

    /// Lets the far end go: it leaves at the end of its input.
    pub(super) async fn close(mut self) {
        drop(self.input.take());
        let _ = timeout(CLOSE_LIMIT, self.child.wait()).await;
    }

    /// What the channel's process said on its own behalf, or else `otherwise`.
    async fn last_words(&mut self, otherwise: &str) -> String {
        // Its end and its last words come at the same time.
        let _ = timeout(Duration::from_millis(300), self.child.wait()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let said = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said);
        let said = said.trim();
        if said.is_empty() { otherwise.to_owned() } else { said.to_owned() }
    }
}

/// Keeps the end of what comes.
async fn keep_tail(mut stderr: ChildStderr, tail: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&chunk[..count]);
        let beyond = tail.len().saturating_sub(TAIL);
        tail.drain(..beyond);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.group.signal(Signal::KILL);
    }
}
