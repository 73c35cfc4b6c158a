//! A batch of Ops as a stream of calls, and the stream of answers as results; the same over every channel.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::time::timeout;

use crate::command::Effect;
use crate::host::channel::answer::Answer;
use crate::host::channel::call::{Call, MOST, QUICK};
use crate::host::channel::lower::{self, Lowered};
use crate::op::{Op, OpError, OpErrorKind, OpResult};

/// What stands before the calls of a batch.
const HEAD: &[u8] = b"batch\n";
/// How much longer than an op's own limit its answer is waited for: the far end kills first.
pub(super) const GRACE: Duration = Duration::from_secs(15);

/// Ops with their calls.
pub(super) struct Batch<'a> {
    ops: &'a [Op],
    calls: Arc<[Lowered]>,
}

/// Why a batch came to no end.
pub(super) enum Broken<'a> {
    /// This op was not answered in its time.
    Late(&'a Op, Duration),
    /// The answers ended before this op's.
    Gone(&'a Op, io::Error),
}

impl<'a> Batch<'a> {
    /// Makes the calls. Reads files of the node whose content is sent, to know how long they are.
    pub(super) fn new(ops: &'a [Op]) -> Batch<'a> {
        Batch { ops, calls: ops.iter().map(lower::lower).collect() }
    }

    /// How many bytes are sent.
    pub(super) fn length(&self) -> u64 {
        let length = |lowered: &Lowered| lowered.line.len() as u64 + lowered.call.payload_length();
        HEAD.len() as u64 + self.calls.iter().map(length).sum::<u64>()
    }

    /// How long all of it may take at the far end. What takes no time unless something is broken does so together.
    pub(super) fn limit(&self) -> Duration {
        QUICK + self.calls.iter().map(|lowered| lowered.call.own).sum::<Duration>()
    }

    /// How many bytes its answers have at most.
    pub(super) fn most(&self) -> u64 {
        self.calls.iter().fold(MOST, |most, lowered| most.saturating_add(lowered.call.most))
    }

    /// Whether it runs programs that may well end what carries it, as a new version of a guest agent is installed.
    pub(super) fn may_end_its_carrier(&self) -> bool {
        self.ops.iter().any(|op| match op {
            Op::InstallPackages { .. } | Op::RemovePackages { .. } | Op::Unit { .. } => true,
            Op::Exec(exec) => exec.effect == Effect::Change,
            _ => false,
        })
    }

    /// Sends it; the future outlives the batch, so that answers can be received meanwhile. Answers the other end of it.
    pub(super) fn send<W: AsyncWrite + Unpin>(&self, to: W) -> impl Future<Output = io::Result<W>> + use<W> {
        let calls = Arc::clone(&self.calls);
        async move {
            // Lines and small payloads are gathered: a batch goes in few pieces.
            let mut writer = BufWriter::with_capacity(1 << 16, to);
            writer.write_all(HEAD).await?;
            for Lowered { line, call } in calls.iter() {
                writer.write_all(line.as_bytes()).await?;
                call.send_payload(&mut writer).await?;
            }
            writer.flush().await?;
            Ok(writer.into_inner())
        }
    }

    /// Reads as many answers as there are ops.
    pub(super) async fn receive(&self, from: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<OpResult>, Broken<'a>> {
        let mut results = Vec::with_capacity(self.ops.len());
        for (op, Lowered { call, .. }) in self.ops.iter().zip(self.calls.iter()) {
            let answer = match timeout(call.limit() + GRACE, Answer::receive(from, call.most)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return Err(Broken::Gone(op, error)),
                Err(_) => return Err(Broken::Late(op, call.limit())),
            };
            results.push(read(op, call, answer));
        }
        Ok(results)
    }
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
