//! The agent's socket, and manners at it.
//!
//! QEMU listens there and passes bytes on, whether or not an agent runs in the machine; it serves one client at a time, and
//! Proxmox is one too, for backups, shutdowns and the like. So the connection is held for short bursts only, and never
//! while waiting. Replies carry no names: a fresh connection begins with a handshake, behind which everything is ours.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SecureRandom as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Said, Trouble};

/// Ends the agent's patience with what came before, and begins its answer to the handshake; never part of JSON.
const DELIMITER: u8 = 0xff;
/// Pauses between two looks at a program; the last one again and again.
const PAUSES: [u64; 8] = [5, 10, 20, 50, 100, 150, 200, 250];
/// A pause from which on the agent is left to others meanwhile.
const LONG_PAUSE: Duration = Duration::from_millis(100);
/// Pause after a connection that did not come about.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Longest reply that is read: a piece in base64 and then some.
const LONGEST_REPLY: u64 = 16 << 20;

/// How long what is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// The first answer of an agent.
    pub(super) first: Duration,
    /// An answer to a handshake, before another is tried.
    pub(super) handshake: Duration,
    /// An agent that has answered before: Proxmox may have it for itself, or the file systems may be frozen for a backup.
    pub(super) silence: Duration,
    /// A socket that was there before.
    pub(super) absence: Duration,
    /// A reply to one request.
    pub(super) reply: Duration,
    /// Most that one connection is held.
    pub(super) burst: Duration,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners {
            first: Duration::from_secs(3),
            handshake: Duration::from_secs(3),
            silence: Duration::from_secs(60),
            absence: Duration::from_secs(2),
            reply: Duration::from_secs(30),
            burst: Duration::from_secs(2),
        }
    }
}

/// The socket of a machine's agent.
pub(super) struct Socket {
    path: PathBuf,
    manners: Manners,
    connection: Option<Connection>,
}

/// Why a request has no answer.
#[derive(Debug)]
enum No {
    /// It was not made: there is nobody to ask.
    Contact(String),
    /// It was made, and nothing came.
    Reply(String),
    /// The agent's own words.
    Refused(String),
}

impl Socket {
    /// The socket of an agent that answers, or none if it is not there or not ours to open.
    pub(super) async fn open(path: &Path, manners: Manners) -> Result<Option<Socket>, Trouble> {
        let socket = Socket { path: path.to_owned(), manners, connection: None };
        match socket.connect(manners.first, Duration::ZERO).await {
            Ok(connection) => Ok(Some(Socket { connection: Some(connection), ..socket })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(None),
            Err(error) => Err(Trouble::Unreachable(socket.cause(&error))),
        }
    }

    /// Whether it is held, because the agent answered last.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Leaves the agent to others.
    pub(super) fn rest(&mut self) {
        self.connection = None;
    }

    /// Runs a program to its end.
    pub(super) async fn run(&mut self, words: &[&str], input: &[u8], limit: Duration) -> Result<Said, Trouble> {
        let begin = json!({
            "path": words[0],
            "arg": words[1..],
            "input-data": BASE64.encode(input),
            "capture-output": true,
        });
        let begun = self.ask("guest-exec", &begin).await.map_err(|no| match no {
            No::Contact(reason) => Trouble::Unreachable(reason),
            No::Reply(reason) => Trouble::Lost(reason),
            No::Refused(words) => Trouble::Unreachable(refusal(&words)),
        })?;
        let who = json!({ "pid": begun["pid"] });
        let until = Instant::now() + limit;
        let mut pauses = PAUSES.iter().map(|pause| Duration::from_millis(*pause));
        let mut pause = Duration::ZERO;
        loop {
            pause = pauses.next().unwrap_or(pause);
            if pause >= LONG_PAUSE {
                self.rest();
            }
            sleep(pause).await;
            let status = match self.ask("guest-exec-status", &who).await {
                Ok(status) => status,
                // An agent that cannot answer now is asked again; one that was restarted knows nothing any more.
                Err(No::Reply(_)) if Instant::now() < until => continue,
                Err(No::Refused(words)) if frozen(&words) && Instant::now() < until => continue,
                Err(No::Contact(reason) | No::Reply(reason)) => return Err(Trouble::Lost(reason)),
                Err(No::Refused(words)) => {
                    return Err(Trouble::Lost(format!(
                        "its guest agent forgot what it ran, as after a restart ({words})"
                    )));
                }
            };
            if status["exited"] == true {
                return said(&status).ok_or_else(|| Trouble::Lost("its guest agent lost some of an answer".to_owned()));
            }
            if Instant::now() >= until {
                return Err(Trouble::Late(limit));
            }
        }
    }

    /// Makes one request. What was not made for want of contact, or because the file systems are frozen, is tried again.
    async fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value, No> {
        let until = Instant::now() + self.manners.silence;
        loop {
            let kept = self.connection.take().filter(|connection| connection.since.elapsed() < self.manners.burst);
            let mut connection = match kept {
                Some(connection) => connection,
                None => {
                    let left = until.saturating_duration_since(Instant::now());
                    let connection = self.connect(left, self.manners.absence).await;
                    connection.map_err(|error| No::Contact(self.cause(&error)))?
                }
            };
            let request = json!({ "execute": command, "arguments": arguments });
            let answer = match timeout(self.manners.reply, connection.ask(&request)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return Err(No::Reply(format!("its guest agent broke off: {error}"))),
                Err(_) => {
                    let limit = self.manners.reply.as_secs();
                    return Err(No::Reply(format!("its guest agent did not answer within {limit} s")));
                }
            };
            match answer {
                // Only a thaw is let through now, so the socket must be free. While another handshake fits into the time.
                Err(words) if frozen(&words) && Instant::now() + BACK_OFF + self.manners.handshake < until => {
                    sleep(BACK_OFF).await;
                }
                answer => {
                    self.connection = Some(connection);
                    return answer.map_err(No::Refused);
                }
            }
        }
    }

    /// A fresh connection with the handshake behind it, tried for so long, while there is no socket for so long.
    async fn connect(&self, patience: Duration, absence: Duration) -> io::Result<Connection> {
        let begun = Instant::now();
        loop {
            let left = patience.saturating_sub(begun.elapsed()).min(self.manners.handshake);
            let error = match timeout(left, Connection::open(&self.path)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            let absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
            let forbidden = error.kind() == io::ErrorKind::PermissionDenied;
            if forbidden || begun.elapsed() + BACK_OFF >= if absent { absence } else { patience } {
                return Err(error);
            }
            sleep(BACK_OFF).await;
        }
    }

    fn cause(&self, error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!("nothing listens at {}: the machine is not running", self.path.display())
            }
            io::ErrorKind::WouldBlock => format!("others keep {} busy", self.path.display()),
            io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof => SILENT.to_owned(),
            _ => format!("{}: {error}", self.path.display()),
        }
    }
}

/// What a silent agent means.
pub(super) const SILENT: &str = "it does not answer: the machine may still be starting, a backup may keep it busy, or \
                                 `qemu-guest-agent` is not installed or not running in it";

/// An open connection, with the handshake behind it.
struct Connection {
    stream: BufReader<UnixStream>,
    since: Instant,
}

impl Connection {
    async fn open(path: &Path) -> io::Result<Connection> {
        let stream = BufReader::with_capacity(1 << 16, UnixStream::connect(path).await?);
        let mut connection = Connection { stream, since: Instant::now() };
        let mut random = [0; 4];
        ring::rand::SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no random numbers"))?;
        let id = u32::from_le_bytes(random);
        let request = json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } });
        connection.stream.write_all(&[DELIMITER]).await?;
        connection.send(&request).await?;
        loop {
            // What others were told comes first, and answers to handshakes that nobody waited for.
            connection.skip().await?;
            if connection.receive().await.is_ok_and(|answer| answer["return"] == id) {
                return Ok(connection);
            }
        }
    }

    /// One request, one reply; the inner error is the agent's own words.
    async fn ask(&mut self, request: &Value) -> io::Result<Result<Value, String>> {
        self.send(request).await?;
        let mut answer = self.receive().await?;
        match answer.get("error") {
            Some(error) => Ok(Err(error["desc"].as_str().unwrap_or("no reason given").to_owned())),
            None => Ok(Ok(answer["return"].take())),
        }
    }

    async fn send(&mut self, request: &Value) -> io::Result<()> {
        self.stream.write_all(format!("{request}\n").as_bytes()).await
    }

    /// Reads beyond the next delimiter.
    async fn skip(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.stream.fill_buf().await?;
            if buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let at = buffer.iter().position(|byte| *byte == DELIMITER);
            let count = at.map_or(buffer.len(), |at| at + 1);
            self.stream.consume(count);
            if at.is_some() {
                return Ok(());
            }
        }
    }

    async fn receive(&mut self) -> io::Result<Value> {
        let mut line = Vec::new();
        (&mut self.stream).take(LONGEST_REPLY).read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// What a program said, from its last status; nothing if the agent kept only a part.
fn said(status: &Value) -> Option<Said> {
    let stream = |data: &str, truncated: &str| {
        if status[truncated] == true {
            return None;
        }
        BASE64.decode(status[data].as_str().unwrap_or_default()).ok()
    };
    let number = |name: &str| status[name].as_i64().and_then(|number| i32::try_from(number).ok());
    Some(Said {
        code: number("exitcode").or_else(|| Some(128 + number("signal")?))?,
        stdout: stream("out-data", "out-truncated")?,
        stderr: stream("err-data", "err-truncated")?,
    })
}

/// Whether the agent does nothing but thaw now.
fn frozen(words: &str) -> bool {
    words.contains("frozen")
}

/// What the agent's refusal to run a program means.
fn refusal(words: &str) -> String {
    if frozen(words) {
        return format!("its file systems are frozen, as for a backup ({words})");
    }
    if words.contains("disabled") || words.contains("not been found") || words.contains("not allowed") {
        return format!(
            "it may not run programs ({words}): let it run `guest-exec` and `guest-exec-status` by its `block-rpcs` or \
             `allow-rpcs`, in /etc/qemu/qemu-ga.conf or /etc/sysconfig/qemu-ga, and restart it"
        );
    }
    format!("it refuses: {words}")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixListener;

    use super::*;

    const SHORT: Manners = Manners {
        first: Duration::from_millis(300),
        handshake: Duration::from_millis(100),
        silence: Duration::from_secs(2),
        absence: Duration::from_millis(100),
        reply: Duration::from_millis(100),
        burst: Duration::from_secs(1),
    };

    /// What an agent says to a request; nothing if it is silent.
    type Script = Box<dyn FnMut(&str) -> Option<&'static str> + Send>;

    /// Runs `true` by an agent that serves one client at a time, as QEMU does. What it says to a handshake before it
    /// answers is `stale`. Answers too how many clients it had.
    fn run(stale: &'static [u8], script: Script) -> (Result<Said, Trouble>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("100.qga");
            let listener = UnixListener::bind(&path).expect("a socket");
            let clients = Arc::new(Mutex::new(0));
            tokio::spawn(serve(listener, stale, script, Arc::clone(&clients)));
            let said = match Socket::open(&path, SHORT).await {
                Ok(Some(mut socket)) => socket.run(&["/bin/true"], b"", Duration::from_secs(5)).await,
                Ok(None) => panic!("the socket is there"),
                Err(trouble) => Err(trouble),
            };
            let clients = *clients.lock().expect("not poisoned");
            (said, clients)
        })
    }

    async fn serve(listener: UnixListener, stale: &'static [u8], mut script: Script, clients: Arc<Mutex<usize>>) {
        while let Ok((client, _)) = listener.accept().await {
            *clients.lock().expect("not poisoned") += 1;
            let mut client = BufReader::new(client);
            let mut line = Vec::new();
            while client.read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).replace('\u{fffd}', "");
                let request: Value = serde_json::from_str(&text).expect("JSON");
                let command = request["execute"].as_str().expect("a command");
                let answer = if command == "guest-sync-delimited" {
                    let answer = format!("{}\n", json!({ "return": request["arguments"]["id"] }));
                    Some([stale, &[DELIMITER], answer.as_bytes()].concat())
                } else {
                    script(command).map(|answer| format!("{answer}\n").into_bytes())
                };
                if client.write_all(&answer.unwrap_or_default()).await.is_err() {
                    break;
                }
                line.clear();
            }
        }
    }

    /// Every request is answered in turn; the last answer again and again.
    fn in_turn(answers: &'static [Option<&'static str>]) -> Script {
        let mut at = 0;
        Box::new(move |_| {
            at = (at + 1).min(answers.len());
            answers[at - 1]
        })
    }

    const PID: Option<&str> = Some(r#"{"return": {"pid": 7}}"#);
    const RUNS: Option<&str> = Some(r#"{"return": {"exited": false}}"#);
    const DONE: Option<&str> = Some(r#"{"return": {"exited": true, "exitcode": 3, "out-data": "AP8="}}"#);
    const FROZEN: Option<&str> = Some(
        r#"{"error": {"class": "CommandNotFound", "desc": "Command guest-exec has been disabled: the agent is in frozen state"}}"#,
    );

    #[test]
    fn what_others_left_behind_is_not_taken_for_an_answer() {
        let stale = b"{\"return\": {\"pid\": 1}}\n{\"return\": {\"exi\xff{\"return\": 1}\n{\"return\": {}}\n";
        let (said, clients) = run(stale, in_turn(&[PID, RUNS, DONE]));
        let said = said.expect("an answer");
        assert_eq!((said.code, said.stdout.as_slice()), (3, &b"\0\xff"[..]));
        assert_eq!(clients, 1);
    }

    #[test]
    fn a_look_that_is_not_answered_is_repeated_over_a_fresh_connection() {
        let (said, clients) = run(b"", in_turn(&[PID, None, RUNS, DONE]));
        assert_eq!(said.expect("an answer").code, 3);
        assert_eq!(clients, 2);
    }

    #[test]
    fn a_start_that_is_not_answered_is_never_repeated() {
        let (said, _) = run(b"", in_turn(&[None, PID, DONE]));
        assert!(matches!(said, Err(Trouble::Lost(_))));
    }

    #[test]
    fn nobody_is_kept_out_while_a_program_runs() {
        let (said, clients) = run(b"", in_turn(&[PID, RUNS, RUNS, RUNS, RUNS, RUNS, RUNS, DONE]));
        assert_eq!(said.expect("an answer").code, 3);
        assert_eq!(clients, 4, "one for the first looks, then one for each");
    }

    #[test]
    fn frozen_file_systems_are_waited_for() {
        let (said, clients) = run(b"", in_turn(&[FROZEN, FROZEN, PID, DONE]));
        assert_eq!(said.expect("an answer").code, 3);
        assert_eq!(clients, 3, "the thaw must get through");
        let (said, _) = run(b"", in_turn(&[FROZEN]));
        assert!(matches!(said, Err(Trouble::Unreachable(reason)) if reason.contains("frozen")));
    }

    #[test]
    fn an_agent_that_may_not_run_programs_says_what_to_do() {
        let refused = Some(
            r#"{"error": {"class": "CommandNotFound", "desc": "Command guest-exec has been disabled: the command is not allowed"}}"#,
        );
        let (said, _) = run(b"", Box::new(move |_| refused));
        assert!(matches!(said, Err(Trouble::Unreachable(reason)) if reason.contains("block-rpcs")));
    }

    #[test]
    fn a_forgotten_program_is_lost() {
        let unknown = Some(r#"{"error": {"class": "GenericError", "desc": "Invalid parameter 'pid'"}}"#);
        let mut begun = false;
        let (said, _) = run(b"", Box::new(move |_| if std::mem::replace(&mut begun, true) { unknown } else { PID }));
        assert!(matches!(said, Err(Trouble::Lost(reason)) if reason.contains("Invalid parameter 'pid'")));
    }

    #[test]
    fn silence_is_told_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("100.qga");
            // QEMU takes the connection also when no agent runs.
            let listener = UnixListener::bind(&path).expect("a socket");
            tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let _ = client.read_to_end(&mut Vec::new()).await;
                }
            });
            let begun = Instant::now();
            let silent = Socket::open(&path, SHORT).await;
            assert!(matches!(silent, Err(Trouble::Unreachable(reason)) if reason == SILENT));
            assert!(begun.elapsed() < Duration::from_secs(1));
            std::fs::remove_file(&path).expect("it is there");
            assert!(matches!(Socket::open(&path, SHORT).await, Ok(None)), "`qm` knows more");
        });
    }
}
