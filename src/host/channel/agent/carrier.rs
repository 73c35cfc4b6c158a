//! Carries one batch into a machine and its answers out of it, by programs that run one after the other.

use std::time::Duration;

use ring::rand::SecureRandom as _;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::{Line, Said, Trouble};
use crate::host::channel::batch::{Batch, GRACE};
use crate::host::channel::session::SCRIPT;
use crate::host::{HostError, content};

/// What carries batches.
const SPOOL: &str = include_str!("spool.sh");
/// Most bytes that go into the machine, or come out of it, in one piece: takes the agent some 50 ms, and is far from every
/// limit between here and there.
const PIECE: usize = 384 << 10;
/// Exit status of `spool.sh` where nothing was begun.
const REFUSED: i32 = 1;
/// How long carrying one piece may take, and how much longer than its limit a batch is waited for.
const CARRY: Duration = Duration::from_secs(60);

/// Carries one batch.
pub(super) struct Carrier<'a> {
    line: &'a mut Line,
    /// Of the directory in the machine.
    name: String,
    /// Whether the machine has answered to this batch before: then it is in the middle of it.
    met: bool,
}

/// What came back.
pub(super) struct Answers {
    bytes: Vec<u8>,
    /// Exit status of the shell that answered.
    pub(super) code: i32,
    /// The far end killed the shell because its time was over.
    pub(super) late: bool,
    /// What it said on its own behalf.
    pub(super) complaints: String,
}

impl Answers {
    /// What comes behind the shell's word that it is there: an answer to nobody's call.
    pub(super) fn after_greeting(&self) -> &[u8] {
        let end = self.bytes.windows(2).position(|pair| pair == [0, 0]).map_or(self.bytes.len(), |at| at + 2);
        &self.bytes[end..]
    }
}

impl<'a> Carrier<'a> {
    /// For one batch over this line.
    pub(super) fn new(line: &'a mut Line) -> Result<Carrier<'a>, HostError> {
        let mut random = [0; 12];
        let failed =
            |_| HostError::Io { what: "random numbers".to_owned(), reason: "the system gives none".to_owned() };
        ring::rand::SystemRandom::new().fill(&mut random).map_err(failed)?;
        Ok(Carrier { line, name: format!("phoenix-{}", content::hex(&random)), met: false })
    }

    /// Carries it in, lets it run, carries its answers out, and leaves nothing behind.
    pub(super) async fn carry(&mut self, batch: &Batch<'_>) -> Result<Answers, Trouble> {
        let carried = if batch.length() <= PIECE as u64 {
            let calls = batch.send(Vec::new()).await.map_err(|error| Trouble::Failed(error.to_string()))?;
            self.run("perform", &calls, batch).await
        } else {
            self.carry_in_pieces(batch).await
        };
        if carried.is_err() && self.line.answers() {
            // Nothing of it is left behind, as far as that can be helped.
            let _ = self.spool("drop", &[], &[], CARRY).await;
        }
        carried
    }

    async fn carry_in_pieces(&mut self, batch: &Batch<'_>) -> Result<Answers, Trouble> {
        self.spool("make", &[&(batch.length() >> 10).to_string()], &[], CARRY).await?;
        let (mut from, to) = tokio::io::duplex(PIECE);
        let sending = batch.send(to);
        // Its end is dropped at once, so that the calls end there.
        let sending = tokio::spawn(async { sending.await.map(drop) });
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        let mut piece = Vec::with_capacity(PIECE);
        // What cannot be read ends it; the sender knows why.
        while (&mut from).take(PIECE as u64).read_to_end(&mut piece).await.is_ok_and(|count| count > 0) {
            digest.update(&piece);
            self.spool("add", &[], &piece, CARRY).await?;
            piece.clear();
        }
        let sent = sending.await.map_err(std::io::Error::other).and_then(|sent| sent);
        sent.map_err(|error| Trouble::Failed(error.to_string()))?;
        let arrived = self.spool("digest", &[], &[], CARRY).await?;
        if String::from_utf8_lossy(&arrived).trim() != content::hex(digest.finish().as_ref()) {
            return Err(Trouble::Failed("what was sent did not arrive as it was".to_owned()));
        }
        self.run("run", &[], batch).await
    }

    /// Lets the calls run, and brings the answers.
    async fn run(&mut self, verb: &str, calls: &[u8], batch: &Batch<'_>) -> Result<Answers, Trouble> {
        let limit = batch.limit() + GRACE;
        let begun = Instant::now();
        let until = begun + limit + CARRY;
        let (most, seconds) = (PIECE.to_string(), limit.as_secs().to_string());
        let apart = if batch.may_end_its_carrier() { "apart" } else { "" };
        let mut said = self.ask(verb, &[&most, apart, &seconds, SCRIPT], calls, limit + CARRY).await;
        // An agent that was ended by what it ran, as an upgrade of its package does, is asked again when it is back.
        while let Err(Trouble::Lost(reason)) = &said {
            let left = until.saturating_duration_since(Instant::now());
            if apart.is_empty() || left.is_zero() {
                break;
            }
            let lost = || Err(Trouble::Lost(reason.clone()));
            said = match self.ask("await", &[&most, apart], &[], left).await {
                Ok(said) if said.code != 0 => return lost(),
                Err(Trouble::Unreachable(_)) => return lost(),
                other => other,
            };
        }
        let said = said?;
        let complaints = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        if said.code == REFUSED {
            return Err(Trouble::Failed(complaints));
        }
        let (head, rest) = split_line(&said.stdout);
        let Some((code, size, digest)) = parse_head(head) else {
            return Err(Trouble::Lost(format!("its shell ended with {}: {complaints}", said.code)));
        };
        // Exit status of `timeout`; what was killed by somebody else has the second one too.
        let late = code == 124 || code == 137 && begun.elapsed() >= limit;
        if size > batch.most() {
            return Err(Trouble::Lost(format!("it has {size} bytes of answers, more than was asked for")));
        }
        if digest == "-" {
            let bytes = rest.to_vec();
            if !apart.is_empty() {
                // The answers are here; what stays there otherwise is removed by the next batch.
                let _ = self.spool("drop", &[], &[], CARRY).await;
            }
            return Ok(Answers { bytes, code, late, complaints });
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            let piece = self.spool("take", &[&bytes.len().to_string(), &PIECE.to_string()], &[], CARRY).await?;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        self.spool("drop", &[], &[], CARRY).await?;
        if content::hex(ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref()) != digest {
            return Err(Trouble::Lost("its answers did not arrive as they were".to_owned()));
        }
        Ok(Answers { bytes, code, late, complaints })
    }

    /// A step of carrying that must succeed.
    async fn spool(&mut self, verb: &str, words: &[&str], input: &[u8], limit: Duration) -> Result<Vec<u8>, Trouble> {
        let said = self.ask(verb, words, input, limit).await?;
        if said.code == 0 {
            return Ok(said.stdout);
        }
        Err(Trouble::Failed(String::from_utf8_lossy(&said.stderr).trim().to_owned()))
    }

    async fn ask(&mut self, verb: &str, words: &[&str], input: &[u8], limit: Duration) -> Result<Said, Trouble> {
        let mut program = vec!["/bin/sh", "-c", SPOOL, "phoenix", self.line.form(), &self.name, verb];
        program.extend(words);
        let said = self.line.run(&program, input, limit).await.map_err(|trouble| match trouble {
            Trouble::Unreachable(reason) if self.met => Trouble::Lost(reason),
            trouble => trouble,
        })?;
        self.met = true;
        Ok(said)
    }
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// `CODE SIZE DIGEST`.
fn parse_head(head: &[u8]) -> Option<(i32, u64, String)> {
    let head = std::str::from_utf8(head).ok()?;
    let mut words = head.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.to_owned()))
}
