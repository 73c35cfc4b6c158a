//! The line to the node: calls go out under a number, answers come back by it, in whatever order.
//!
//! The line is lost when ssh ends without having been asked to. Then every call that waits, and every later one, is
//! answered [`HostError::Lost`], and the run is interrupted as by Ctrl-C.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::binary::Binary;
use super::client::{self, Said};
use super::frame::{self, FrameError};
use super::wire::{ActorId, Answer, Answered, Call, Hello, PROTOCOL, ToNode};
use super::{Address, Options, SshError, bootstrap};
use crate::host::HostError;
use crate::host::interrupt::Interrupt;

/// So often the node hears from us, so that it knows a dead line from a quiet one.
pub(super) const PULSE: Duration = Duration::from_secs(10);
/// So long ssh may take to end by itself.
const PARTING: Duration = Duration::from_secs(5);

/// An open line.
pub(super) struct Session {
    shared: Arc<Shared>,
    child: Child,
}

struct Shared {
    /// The node, for words.
    node: String,
    line: Mutex<Option<ChildStdin>>,
    calls: Mutex<Calls>,
    clock: Mutex<Clock>,
    /// Whether the node's clock goes on by itself.
    ticks: bool,
    interrupt: Interrupt,
}

#[derive(Default)]
struct Calls {
    next: u64,
    waiting: HashMap<u64, SyncSender<Result<Answer, HostError>>>,
    ended: Option<Ended>,
}

/// How the line ended.
enum Ended {
    /// We closed it.
    Closed,
    /// It broke, for this reason.
    Lost(String),
}

/// The node's clock: what it showed, and when that was here.
struct Clock {
    shown: jiff::Timestamp,
    at: Instant,
}

impl Session {
    /// Connects, and carries the program there if need be.
    pub(super) fn open(address: &Address, options: &Options<'_>, interrupt: &Interrupt) -> Result<Session, SshError> {
        let node = address.to_string();
        let mut binary = Binary::open(options.binary.as_deref())?;
        let line = bootstrap::command_line(&binary, options.needs, &options.arguments);
        let mut child = client::start(&options.client, address, &line, options.terminal)?;
        let (Some(mut input), Some(output), Some(words)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(SshError::NoClient { reason: "it has no standard streams".to_owned() });
        };
        let said = Said::collect(words);
        let mut output = BufReader::new(output);
        let opening = Opening::watch(&child, interrupt);
        let mut noise = bootstrap::Noise::default();
        let followed = bootstrap::follow(&node, &mut binary, (&mut output, &mut input), &mut noise, options.copying);
        let greeted = followed.and_then(|()| greeting(&node, &mut output));
        drop(opening);
        match greeted {
            Ok(hello) => Ok(Session::greeted(node, child, input, output, said, &hello, interrupt)),
            Err(why) => {
                // No more is to be said: ssh ends when the node's end does.
                drop(input);
                wait(&mut child);
                if interrupt.is_set() {
                    return Err(SshError::Interrupted);
                }
                Err(why.unwrap_or_else(|| {
                    let words = [said.text(), noise.tail(), "ssh ended without a word".to_owned()];
                    let words = words.into_iter().find(|words| !words.is_empty()).unwrap_or_default();
                    SshError::Unreachable { node, words }
                }))
            }
        }
    }

    fn greeted(
        node: String,
        child: Child,
        input: ChildStdin,
        output: BufReader<ChildStdout>,
        said: Said,
        hello: &Hello,
        interrupt: &Interrupt,
    ) -> Session {
        let shared = Arc::new(Shared {
            node,
            line: Mutex::new(Some(input)),
            calls: Mutex::default(),
            clock: Mutex::new(Clock { shown: hello.now, at: Instant::now() }),
            ticks: hello.ticks,
            interrupt: interrupt.clone(),
        });
        let listening = Arc::clone(&shared);
        let weak = Arc::downgrade(&shared);
        // A session without its threads hears nothing, and is lost at once.
        if spawn("answers of the node", move || listening.listen(output, &said)).is_err()
            || spawn("pulse for the node", move || pulse(&weak)).is_err()
        {
            shared.lose("no threads for it".to_owned());
        }
        Session { shared, child }
    }

    /// Something to do, and its answer.
    pub(super) fn call(&self, actor: ActorId, call: Call) -> Result<Answer, HostError> {
        let (answer, answered) = sync_channel(1);
        let number = {
            let mut calls = self.shared.calls();
            if let Some(ended) = &calls.ended {
                return Err(self.shared.lost(ended));
            }
            calls.next += 1;
            let number = calls.next;
            calls.waiting.insert(number, answer);
            number
        };
        match frame::encode(&ToNode::Call(number, actor, call)) {
            Ok(frame) => self.shared.send(&frame),
            Err(error) => {
                self.shared.calls().waiting.remove(&number);
                return Err(HostError::Io { what: "what is sent to the node".to_owned(), reason: error.to_string() });
            }
        }
        answered.recv().unwrap_or_else(|_| {
            let calls = self.shared.calls();
            Err(self.shared.lost(calls.ended.as_ref().unwrap_or(&Ended::Closed)))
        })
    }

    /// Something that needs no answer.
    pub(super) fn tell(&self, message: &ToNode) {
        self.shared.say(message);
    }

    /// The node's clock.
    pub(super) fn now(&self) -> jiff::Timestamp {
        let clock = self.shared.clock();
        if self.shared.ticks { clock.shown + clock.at.elapsed() } else { clock.shown }
    }

    /// Whether the node's clock goes on by itself.
    pub(super) fn ticks(&self) -> bool {
        self.shared.ticks
    }

    /// Whoever wants the run to stop.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.shared.interrupt
    }
}

impl Drop for Session {
    /// What runs on the node comes to its end there; then its end closes the line.
    fn drop(&mut self) {
        self.shared.calls().ended.get_or_insert(Ended::Closed);
        self.shared.line.lock().unwrap_or_else(PoisonError::into_inner).take();
        wait(&mut self.child);
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, message: &ToNode) {
        // What needs no answer is small.
        if let Ok(frame) = frame::encode(message) {
            self.send(&frame);
        }
    }

    /// A line that does not take it is lost; whoever listens notices, and says why.
    fn send(&self, frame: &[u8]) {
        if let Some(line) = &mut *self.line.lock().unwrap_or_else(PoisonError::into_inner) {
            drop(line.write_all(frame).and_then(|()| line.flush()));
        }
    }

    fn listen(&self, mut output: BufReader<ChildStdout>, said: &Said) {
        let reason = loop {
            match frame::read::<Answered>(&mut output) {
                Ok(Some(answered)) => self.take(answered),
                Ok(None) | Err(FrameError::Io(_)) => {
                    break said.last().unwrap_or_else(|| "the node's end of the line is gone".to_owned());
                }
                Err(error) => break error.to_string(),
            }
        };
        self.lose(reason);
    }

    fn take(&self, answered: Answered) {
        if !self.ticks {
            let mut clock = self.clock();
            clock.shown = clock.shown.max(answered.now);
        }
        let waiting = self.calls().waiting.remove(&answered.call);
        if let Some(waiting) = waiting {
            drop(waiting.send(answered.answer));
        }
    }

    /// The line is over; unless we closed it, so is the run.
    fn lose(&self, reason: String) {
        let mut calls = self.calls();
        if calls.ended.is_none() {
            let ended = Ended::Lost(reason);
            // Before anybody who waits goes on: it shall find the run interrupted.
            self.interrupt.lose(self.lost(&ended));
            calls.ended = Some(ended);
        }
        calls.waiting.clear();
        drop(calls);
        self.line.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn lost(&self, ended: &Ended) -> HostError {
        let reason = match ended {
            Ended::Closed => "it was closed".to_owned(),
            Ended::Lost(reason) => reason.clone(),
        };
        HostError::Lost { place: format!("the connection to {}", self.node), reason }
    }
}

/// The program's first words.
fn greeting(node: &str, output: &mut BufReader<ChildStdout>) -> Result<Hello, Option<SshError>> {
    let hello = match frame::read::<Hello>(output) {
        Ok(Some(hello)) => hello,
        Ok(None) | Err(FrameError::Io(_)) => return Err(None),
        Err(error) => return Err(Some(SshError::Foreign { node: node.to_owned(), words: error.to_string() })),
    };
    if hello.protocol == PROTOCOL {
        return Ok(hello);
    }
    let ours = env!("CARGO_PKG_VERSION").to_owned();
    Err(Some(SshError::OtherVersion { node: node.to_owned(), theirs: hello.version, ours }))
}

/// Says now and then that we are still here, as long as there is a session.
fn pulse(shared: &Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        shared.say(&ToNode::Alive);
        drop(shared);
        thread::sleep(PULSE);
    }
}

fn spawn(name: &str, what: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(what).map(drop)
}

/// Ctrl-C while ssh connects ends it.
struct Opening(Arc<Mutex<bool>>);

impl Opening {
    fn watch(child: &Child, interrupt: &Interrupt) -> Opening {
        let over = Arc::new(Mutex::new(false));
        let (pid, interrupt, watched) = (pid(child), interrupt.clone(), Arc::clone(&over));
        let watching = spawn("Ctrl-C for ssh", move || {
            loop {
                let interrupted = interrupt.wait(Duration::from_millis(200));
                // The process is not waited for before this is over, so its number is still its own.
                let over = watched.lock().unwrap_or_else(PoisonError::into_inner);
                if *over {
                    return;
                }
                if interrupted {
                    terminate(pid);
                    return;
                }
            }
        });
        // Without the thread a second Ctrl-C ends everything.
        drop(watching);
        Opening(over)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// SIGTERM and not SIGKILL: it may have turned off the terminal's echo.
fn terminate(pid: Option<Pid>) {
    if let Some(pid) = pid {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Waits for ssh's end, and brings it about if it takes too long.
fn wait(child: &mut Child) {
    let until = Instant::now() + PARTING;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > until {
            terminate(pid(child));
            drop(child.wait());
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
