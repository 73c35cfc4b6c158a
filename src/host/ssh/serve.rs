//! The end on the node: does what comes over the line, and answers.
//!
//! Each actor of the workstation has a thread and a handle here, so that what it asks is done in order, and beside what
//! others ask. When the line ends, or nothing came over it for too long, what runs comes to its end and nothing more
//! is begun; then the run lock is given back.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::frame::{self, FrameError};
use super::session::PULSE;
use super::wire::{ActorId, Answer, Answered, Call, Hello, PROTOCOL, ToNode};
use crate::host::{Host, HostError, HostHandle, RunLock};
use crate::op::Op;

/// A workstation that was not heard of for so long is gone: its line may look open for hours.
const SILENCE: Duration = Duration::from_secs(6 * PULSE.as_secs());

/// Whose time the host that is served lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Everybody's.
    Real,
    /// Its own, which only calls move; it is asked one thing after another.
    Emulated,
}

/// Serves a host on a line until that ends.
///
/// # Errors
/// When something else than a workstation is at the other end.
pub fn serve(
    host: HostHandle,
    time: Time,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> Result<(), FrameError> {
    let line = Arc::new(Line {
        output: Mutex::new(Box::new(output)),
        jobs: Mutex::default(),
        idle: Condvar::new(),
        heard: Mutex::new(Instant::now()),
        lock: Mutex::default(),
    });
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let hello = Hello { protocol: PROTOCOL, version, now: host.now(), ticks: time == Time::Real };
    line.send(&frame::encode(&hello)?);

    let (over, ended) = channel();
    let reading = Arc::clone(&line);
    thread::Builder::new()
        .name("line".to_owned())
        // Whoever waits for the end has given up first if nobody hears it any more.
        .spawn(move || drop(over.send(read(&reading, &host, time, input))))?;
    let end = loop {
        match ended.recv_timeout(PULSE) {
            Ok(end) => break end,
            Err(RecvTimeoutError::Timeout) if line.is_silent() => break Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        }
    };
    line.come_to_an_end();
    end
}

/// What all threads share.
struct Line {
    output: Mutex<Box<dyn Write + Send>>,
    jobs: Mutex<Jobs>,
    idle: Condvar,
    heard: Mutex<Instant>,
    lock: Mutex<Option<Box<dyn RunLock>>>,
}

#[derive(Default)]
struct Jobs {
    running: usize,
    /// Nothing more may begin.
    over: bool,
}

/// A call of an actor.
struct Job {
    number: u64,
    call: Call,
}

/// Reads until the line ends.
fn read(line: &Arc<Line>, host: &HostHandle, time: Time, input: impl Read) -> Result<(), FrameError> {
    let mut input = BufReader::new(input);
    let mut actors: HashMap<ActorId, Sender<Job>> = HashMap::new();
    actors.insert(0, work(line, Arc::clone(host))?);
    while let Some(message) = frame::read::<ToNode>(&mut input)? {
        *line.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        match message {
            ToNode::Call(number, actor, call) => {
                // In emulated time only who asks exists; an actor that does not would hold the clock.
                let actor = if time == Time::Emulated { 0 } else { actor };
                let job = Job { number, call };
                let nobody = actors.get(&actor).is_none_or(|actor| actor.send(job).is_err());
                if nobody {
                    let reason = "of an actor that is not there".to_owned();
                    line.answer(number, host.now(), Err(HostError::Io { what: "a call".to_owned(), reason }));
                }
            }
            ToNode::Actor(..) | ToNode::Gone(_) if time == Time::Emulated => {}
            ToNode::Actor(actor, name) => {
                actors.insert(actor, work(line, host.actor(&name))?);
            }
            ToNode::Gone(actor) => drop(actors.remove(&actor)),
            ToNode::Tell(progress) => {
                if let Some(lock) = &*line.lock() {
                    lock.tell(&progress);
                }
            }
            ToNode::Unlock => drop(line.lock().take()),
            ToNode::Alive => {}
        }
    }
    Ok(())
}

/// A thread for one actor, which does its calls in order until no more can come.
fn work(line: &Arc<Line>, host: HostHandle) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = channel::<Job>();
    let line = Arc::clone(line);
    thread::Builder::new().name("actor".to_owned()).spawn(move || {
        while let Ok(Job { number, call }) = jobs.recv() {
            if !line.begin() {
                return;
            }
            let done = catch_unwind(AssertUnwindSafe(|| line.perform(host.as_ref(), call)));
            // It counts as done before it is answered: a line that takes no answer holds nobody up.
            line.end();
            let answer = done.unwrap_or_else(|panic| {
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
                Err(HostError::Io { what: "phoenix on the node".to_owned(), reason: words.unwrap_or_default() })
            });
            line.answer(number, host.now(), answer);
        }
    })?;
    Ok(sender)
}

impl Line {
    fn perform(&self, host: &dyn Host, call: Call) -> Result<Answer, HostError> {
        match call {
            Call::Run(command) => host.run(&command).map(Answer::Output),
            Call::Perform(place, ops) => {
                let ops: Vec<Op> = ops.into_iter().map(|op| op.0).collect();
                host.perform(place, &ops).map(Answer::Results)
            }
            Call::Request(request) => host.request(&request).map(Answer::Response),
            Call::Sleep(duration) => host.sleep(duration).map(|()| Answer::Done),
            Call::CloseChannel(place) => {
                host.close_channel(place);
                Ok(Answer::Done)
            }
            Call::Lock(owner) => {
                let lock = host.lock(&owner)?;
                *self.lock() = Some(lock);
                Ok(Answer::Done)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn RunLock>>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may begin; it counts as running then.
    fn begin(&self) -> bool {
        let mut jobs = self.jobs();
        if !jobs.over {
            jobs.running += 1;
        }
        !jobs.over
    }

    fn end(&self) {
        self.jobs().running -= 1;
        self.idle.notify_all();
    }

    /// Waits until what runs has come to its end, and gives the lock back.
    fn come_to_an_end(&self) {
        let mut jobs = self.jobs();
        jobs.over = true;
        while jobs.running > 0 {
            jobs = self.idle.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
        drop(jobs);
        drop(self.lock().take());
    }

    fn is_silent(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > SILENCE
    }

    fn answer(&self, call: u64, now: jiff::Timestamp, answer: Result<Answer, HostError>) {
        let encoded = frame::encode(&Answered { call, now, answer });
        let frame = encoded.or_else(|error| {
            let answer = Err(HostError::Io { what: "the node's answer".to_owned(), reason: error.to_string() });
            frame::encode(&Answered { call, now, answer })
        });
        if let Ok(frame) = frame {
            self.send(&frame);
        }
    }

    /// A line that takes nothing ends soon, and whoever reads it notices.
    fn send(&self, frame: &[u8]) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        drop(output.write_all(frame).and_then(|()| output.flush()));
    }
}
