//! One op as a call of the shell at the far end: a line, its payload, its time limit, and how its answer is read.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::command::Effect;
use crate::host::channel::answer::Answer;
use crate::op::{Content, Op, OpError, OpErrorKind, OpValue};

/// Reads a successful answer.
pub(super) type Reader = fn(&Op, &Answer) -> Option<OpValue>;

/// Limit of what takes no time unless something is broken.
pub(super) const QUICK: Duration = Duration::from_secs(60);
/// Most bytes of an answer whose op names no limit of its own.
pub(super) const MOST: u64 = 64 << 20;

/// A call, ready to be sent.
pub(super) struct Call {
    words: Vec<String>,
    payload: Payload,
    /// How long it may take by its own nature.
    pub(super) own: Duration,
    /// How much longer its answer may take because the machine is busy.
    slack: Duration,
    /// Most bytes of its answer.
    pub(super) most: u64,
    /// How the answer is read.
    pub(super) reader: Reader,
}

/// Bytes that follow a call.
enum Payload {
    None,
    Content(Content, u64),
    Bytes(Vec<u8>),
}

impl Call {
    /// A call of `function` that answers nothing but success.
    pub(super) fn new(function: &'static str) -> Call {
        Call {
            words: vec![function.to_owned()],
            payload: Payload::None,
            own: Duration::ZERO,
            slack: QUICK,
            most: MOST,
            reader: |_, _| Some(OpValue::Done),
        }
    }

    /// With another argument.
    pub(super) fn arg(mut self, argument: impl ToString) -> Call {
        self.words.push(argument.to_string());
        self
    }

    /// With these arguments.
    pub(super) fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a String>) -> Call {
        self.words.extend(arguments.into_iter().cloned());
        self
    }

    /// With content that follows it.
    pub(super) fn content(mut self, content: &Content, length: u64) -> Call {
        self.own += Duration::from_secs(length >> 20);
        self.payload = Payload::Content(content.clone(), length);
        self
    }

    /// With bytes that follow it.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Call {
        self.payload = Payload::Bytes(bytes.to_vec());
        self
    }

    /// It may take so long by its own nature.
    pub(super) fn takes(mut self, own: Duration) -> Call {
        self.own += own;
        self
    }

    /// With a slack of its own.
    pub(super) fn slack(mut self, slack: Duration) -> Call {
        self.slack = slack;
        self
    }

    /// With an answer that carries so many bytes at most.
    pub(super) fn answers(mut self, bytes: u64) -> Call {
        self.most = MOST.max(bytes.saturating_add(bytes / 2));
        self
    }

    /// With an answer that is read so.
    pub(super) fn reads(mut self, reader: Reader) -> Call {
        self.reader = reader;
        self
    }

    /// A call that does nothing but fail, so that what is impossible from here stops a batch like any other failure.
    pub(super) fn refuse(error: &OpError) -> Call {
        Call::new("refuse").arg(class(error.kind)).arg(&error.message)
    }

    /// The line that is sent.
    ///
    /// # Errors
    /// When an argument holds a NUL byte, which no program can be given.
    pub(super) fn line(&self, effect: Effect) -> Result<String, OpError> {
        let effect = if effect == Effect::Change { "change" } else { "read" };
        let mut line = format!("op {effect} {}", self.payload.length());
        for word in &self.words {
            line.push(' ');
            line.push_str(&quoted(word)?);
        }
        line.push('\n');
        Ok(line)
    }

    /// How long the answer may take, payload included.
    pub(super) fn limit(&self) -> Duration {
        self.own + self.slack
    }

    /// How many bytes follow the line.
    pub(super) fn payload_length(&self) -> u64 {
        self.payload.length()
    }

    /// Sends the payload.
    pub(super) async fn send_payload(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match &self.payload {
            Payload::None => Ok(()),
            Payload::Bytes(bytes) => to.write_all(bytes).await,
            Payload::Content(Content::Bytes(bytes), _) => to.write_all(bytes).await,
            Payload::Content(Content::Text(text), _) => to.write_all(text.expose().as_bytes()).await,
            Payload::Content(Content::NodeFile { path, .. }, length) => {
                let mut file = File::open(path)?.take(*length);
                let mut chunk = vec![0; 1 << 16];
                let mut left = *length;
                while left > 0 {
                    let count = file.read(&mut chunk)?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    to.write_all(&chunk[..count]).await?;
                    left -= count as u64;
                }
                Ok(())
            }
        }
    }
}

impl Payload {
    fn length(&self) -> u64 {
        match self {
            Payload::None => 0,
            Payload::Content(_, length) => *length,
            Payload::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// A word of one line that the shell reads as these very bytes. A line ends at a newline whatever quotes are open, so
/// newlines stand in a variable of the far end.
fn quoted(word: &str) -> Result<String, OpError> {
    let pieces: Result<Vec<_>, _> = word.split('\n').map(shlex::try_quote).collect();
    match pieces {
        Ok(pieces) => Ok(pieces.join(r#""$nl""#)),
        Err(_) => Err(OpError::new(OpErrorKind::Failed, format!("{word:?} holds a NUL byte"))),
    }
}

/// The word for a class of errors that both ends use.
pub(super) fn class(kind: OpErrorKind) -> &'static str {
    CLASSES.iter().find(|(_, known)| *known == kind).map_or("-", |(word, _)| word)
}

/// Classes of errors by their words.
pub(super) const CLASSES: &[(&str, OpErrorKind)] = &[
    ("not_found", OpErrorKind::NotFound),
    ("not_a_directory", OpErrorKind::NotADirectory),
    ("is_a_directory", OpErrorKind::IsADirectory),
    ("exists", OpErrorKind::Exists),
    ("too_large", OpErrorKind::TooLarge),
    ("no_such_user", OpErrorKind::NoSuchUser),
    ("conflict", OpErrorKind::Conflict),
    ("timeout", OpErrorKind::Timeout),
    ("not_run", OpErrorKind::NotRun),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_line_whatever_its_arguments_are() {
        let call = Call::new("link").arg("/tmp/it's\n$(here)").arg("-n");
        let line = call.line(Effect::Change).expect("no NUL");
        assert_eq!(line, "op change 0 link \"/tmp/it's\"\"$nl\"'$(here)' -n\n");
    }

    #[test]
    fn a_nul_byte_is_refused() {
        assert!(Call::new("digest").arg("/a\0b").line(Effect::Read).is_err());
    }
}
