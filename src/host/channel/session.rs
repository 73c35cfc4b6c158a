//! One open channel: the process, its two ends, and batches over it.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::host::channel::answer::Answer;
use crate::host::channel::call::Call;
use crate::host::channel::lower::{self, Lowered};
use crate::host::{HostError, process};
use crate::op::{Op, OpError, OpErrorKind, OpResult, Place};

/// What runs at the far end.
const SCRIPT: &str = include_str!("guest.sh");
/// How long a channel may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How much longer than an op's own limit its answer is waited for: the far end kills first.
const GRACE: Duration = Duration::from_secs(15);
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
        match timeout(OPEN_LIMIT, Answer::receive(&mut session.output)).await {
            Ok(Ok(_)) => Ok(session),
            Ok(Err(error)) => Err(unreachable(session.last_words(&error.to_string()).await)),
            Err(_) => Err(unreachable(format!("no answer within {} s", OPEN_LIMIT.as_secs()))),
        }
    }

    /// Performs a batch. The session comes back only if it can be used again.
    pub(super) async fn perform(mut self, ops: &[Op]) -> Result<(Vec<OpResult>, Session), HostError> {
        let calls: Arc<[Lowered]> = ops.iter().map(lower::lower).collect();
        // Both directions at once: the far end may answer much before it has taken everything.
        let sending = tokio::spawn(send(self.input.take(), Arc::clone(&calls)));
        let received = receive(&mut self.output, ops, &calls).await;
        if received.is_err() {
            sending.abort();
        }
        let sent = sending.await.map_err(io::Error::other).and_then(|sent| sent);
        match (received, sent) {
            (Ok(results), Ok(input)) => {
                self.input = input;
                Ok((results, self))
            }
            (Err(Broken::Late(what, after)), _) => {
                Err(HostError::Timeout { what: format!("{}: {what}", self.place), after })
            }
            (Err(Broken::Gone(error)), _) | (Ok(_), Err(error)) => {
                let reason = self.last_words(&error.to_string()).await;
                Err(HostError::Lost { place: self.place.to_string(), reason })
            }
        }
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

/// Why a batch came to no end.
enum Broken {
    Late(String, Duration),
    Gone(io::Error),
}

/// Sends a batch; a far end that cannot be given all of it loses its input, and leaves.
async fn send(input: Option<ChildStdin>, calls: Arc<[Lowered]>) -> io::Result<Option<ChildStdin>> {
    let Some(input) = input else { return Ok(None) };
    // Lines and small payloads are gathered: a batch goes in few pieces.
    let mut writer = BufWriter::with_capacity(1 << 16, input);
    writer.write_all(b"batch\n").await?;
    for Lowered { line, call } in calls.iter() {
        writer.write_all(line.as_bytes()).await?;
        call.send_payload(&mut writer).await?;
    }
    writer.flush().await?;
    Ok(Some(writer.into_inner()))
}

async fn receive(output: &mut BufReader<ChildStdout>, ops: &[Op], calls: &[Lowered]) -> Result<Vec<OpResult>, Broken> {
    let mut results = Vec::with_capacity(ops.len());
    for (op, Lowered { call, .. }) in ops.iter().zip(calls) {
        let answer = match timeout(call.limit + GRACE, Answer::receive(output)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Broken::Gone(error)),
            Err(_) => return Err(Broken::Late(op.to_string(), call.limit)),
        };
        results.push(read(op, call, answer));
    }
    Ok(results)
}

fn read(op: &Op, call: &Call, mut answer: Answer) -> OpResult {
    match answer.error.take() {
        Some(error) => Err(error),
        None => lower::check(op, &answer).and_then(|()| {
            let unreadable = || OpError::new(OpErrorKind::Failed, format!("`{op}` got an answer that makes no sense"));
            (call.reader)(op, &answer).ok_or_else(unreadable)
        }),
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
