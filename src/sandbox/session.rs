//! One command at work on the emulated node: what it prints, the locks it holds, the moments at which others go on.
//!
//! The world belongs to the session from one [`Session::wait`] to the next; nobody else runs meanwhile. A command that
//! works in phases commits each of them ([`Session::commit`]) before it waits, so that whoever kills the process
//! there finds what Proxmox would have left.

use std::collections::BTreeMap;
use std::sync::MutexGuard;
use std::time::Duration;

use super::bodies::Bodies;
use super::clock::{ActorId, Moment};
use super::core::{Core, State};
use super::locale;
use super::world::World;
use crate::command::Output;
use crate::host::HostError;

/// How long a tool waits for a guest's lock file.
pub(super) const FLOCK_LIMIT: Duration = Duration::from_secs(10);

/// Why a command went no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// It failed, as the real tool does.
    Failed {
        /// Exit status.
        code: i32,
        /// For standard error, without the last newline.
        message: String,
    },
    /// The node itself is gone.
    Host(HostError),
}

/// What a part of a command comes to.
pub(super) type Done<T = ()> = Result<T, Stop>;

/// A failure with exit status 255, what Perl's `die` mostly leaves.
pub(super) fn fail(message: impl Into<String>) -> Stop {
    fail_with(255, message)
}

/// A failure with another exit status.
pub(super) fn fail_with(code: i32, message: impl Into<String>) -> Stop {
    Stop::Failed { code, message: message.into() }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Stop {
        Stop::Host(error)
    }
}

/// How long a tool waits for a lock file that several may share.
const SHARED_FLOCK_LIMIT: Duration = Duration::from_secs(1);

/// How a lock file is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// By one alone.
    Alone,
    /// By so many together.
    Shared(u32),
}

/// Lock files of the node that somebody holds.
#[derive(Debug, Default)]
pub(super) struct Flocks(BTreeMap<String, Hold>);

impl Flocks {
    /// Whether somebody holds it.
    pub(super) fn is_held(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Takes it, where that is possible.
    fn take(&mut self, path: &str, shared: bool) -> bool {
        let hold = match (self.0.get(path), shared) {
            (None, false) => Hold::Alone,
            (None, true) => Hold::Shared(1),
            (Some(Hold::Shared(count)), true) => Hold::Shared(count + 1),
            (Some(_), _) => return false,
        };
        self.0.insert(path.to_owned(), hold);
        true
    }

    /// Gives it back.
    fn release(&mut self, path: &str) {
        match self.0.get(path) {
            Some(Hold::Shared(count)) if *count > 1 => {
                let left = Hold::Shared(count - 1);
                self.0.insert(path.to_owned(), left);
            }
            _ => _ = self.0.remove(path),
        }
    }
}

/// One command at work.
pub(super) struct Session<'a> {
    core: &'a Core,
    actor: ActorId,
    /// Absent only while waiting.
    state: Option<MutexGuard<'a, State>>,
    flocks: Vec<String>,
    out: Vec<u8>,
    err: Vec<u8>,
    /// The process (`true`) or only the node (`false`) ends when this command waits next after a commit.
    ends: Option<bool>,
    committed: bool,
    /// Standard input.
    pub(super) stdin: String,
    /// Whether arguments keep what is not ASCII in the caller's locale.
    keeps_text: bool,
}

impl<'a> Session<'a> {
    /// A command of this actor. `ends`: it dies in the middle, with the process or only the node.
    pub(super) fn new(core: &'a Core, actor: ActorId, stdin: String, ends: Option<bool>) -> Session<'a> {
        // The actor's turn must have come before the world can be its own.
        core.clock.now(actor);
        let state = Some(core.state());
        let (flocks, out, err) = Default::default();
        Session { core, actor, state, flocks, out, err, ends, committed: false, stdin, keeps_text: true }
    }

    /// The same command, called under a locale in which arguments keep what is not ASCII, or lose it.
    pub(super) fn under_locale(mut self, keeps_text: bool) -> Session<'a> {
        self.keeps_text = keeps_text;
        self
    }

    /// An argument as a tool sees it.
    pub(super) fn as_argument(&self, word: &str) -> String {
        if self.keeps_text { word.to_owned() } else { locale::destroyed(word) }
    }

    /// The world as it is now.
    pub(super) fn world(&self) -> &World {
        &self.state.as_ref().expect("the world is at hand between waits").world
    }

    /// The world, to be changed.
    pub(super) fn world_mut(&mut self) -> &mut World {
        &mut self.state.as_mut().expect("the world is at hand between waits").world
    }

    /// The sandbox around.
    pub(super) fn core(&self) -> &'a Core {
        self.core
    }

    /// The node's clock.
    pub(super) fn now(&self) -> Moment {
        self.core.clock.shown()
    }

    /// Keeps what was changed so far.
    pub(super) fn commit(&mut self) -> Done {
        let now = self.now();
        let state = self.state.as_mut().expect("the world is at hand between waits");
        self.committed |= state.commit(now)?;
        Ok(())
    }

    /// Lets time pass, and others act.
    pub(super) fn wait(&mut self, duration: Duration) -> Done {
        if self.committed {
            self.end_if_doomed()?;
        }
        self.state = None;
        self.core.clock.sleep(self.actor, duration);
        self.state = Some(self.core.state());
        Ok(self.core.alive()?)
    }

    /// Does something with real insides, where there are any, while others act; what was changed so far is kept before.
    pub(super) fn really<T>(&mut self, work: impl FnOnce(&dyn Bodies) -> Result<T, HostError>) -> Done<Option<T>> {
        let Some(bodies) = &self.core.bodies else { return Ok(None) };
        self.commit()?;
        self.state = None;
        let done = work(bodies.as_ref());
        self.state = Some(self.core.state());
        // The tool tells what went wrong, and fails.
        done.map(Some).map_err(|error| fail(error.to_string()))
    }

    /// The end in the middle of a command, where one is due.
    pub(super) fn end_if_doomed(&mut self) -> Done {
        match self.ends.take() {
            Some(abort) => Err(Stop::Host(self.core.end(abort))),
            None => Ok(()),
        }
    }

    /// A line of standard output.
    pub(super) fn print(&mut self, line: impl AsRef<str>) {
        self.out.extend_from_slice(line.as_ref().as_bytes());
        self.out.push(b'\n');
    }

    /// Bytes of standard output.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A line of standard error.
    pub(super) fn warn(&mut self, line: impl AsRef<str>) {
        self.err.extend_from_slice(line.as_ref().as_bytes());
        self.err.push(b'\n');
    }

    /// Bytes of standard error.
    pub(super) fn write_err(&mut self, bytes: &[u8]) {
        self.err.extend_from_slice(bytes);
    }

    /// Takes a lock file exclusively, waiting up to ten seconds as the tools do.
    pub(super) fn flock(&mut self, path: &str) -> Done {
        self.flock_within(path, false, FLOCK_LIMIT)
    }

    /// Takes a lock file together with others who share it, waiting up to a second.
    pub(super) fn flock_shared(&mut self, path: &str) -> Done {
        self.flock_within(path, true, SHARED_FLOCK_LIMIT)
    }

    fn flock_within(&mut self, path: &str, shared: bool, limit: Duration) -> Done {
        let deadline = self.now() + u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        let mut waited = false;
        while !self.core.flocks().take(path, shared) {
            if !waited {
                self.warn("trying to acquire lock...");
                waited = true;
            }
            let left = deadline.saturating_sub(self.now());
            if left == 0 {
                return Err(fail(format!("can't lock file '{path}' - got timeout")));
            }
            self.state = None;
            self.core.clock.wait(self.actor, path, Duration::from_micros(left));
            self.state = Some(self.core.state());
            self.core.alive()?;
        }
        if waited {
            self.warn(" OK");
        }
        self.flocks.push(path.to_owned());
        Ok(())
    }

    /// Gives a lock file back before the command ends.
    pub(super) fn unflock(&mut self, path: &str) {
        if let Some(at) = self.flocks.iter().position(|held| held == path) {
            self.flocks.remove(at);
            self.release(path);
        }
    }

    fn release(&self, path: &str) {
        self.core.flocks().release(path);
        self.core.clock.notify(path);
    }

    /// Runs a part of the command whose standard error comes merged into standard output: a task's worker.
    pub(super) fn merged<T>(&mut self, work: impl FnOnce(&mut Session<'a>) -> T) -> T {
        let before = std::mem::take(&mut self.err);
        let result = work(self);
        let merged = std::mem::replace(&mut self.err, before);
        self.out.extend_from_slice(&merged);
        result
    }

    /// What came of it all: the command's output.
    pub(super) fn finish(mut self, result: Done<i32>) -> Result<Output, HostError> {
        let code = match result {
            Ok(code) => code,
            Err(Stop::Failed { code, message }) => {
                self.warn(message);
                code
            }
            Err(Stop::Host(error)) => return Err(error),
        };
        // A command that has no middle dies before it did anything.
        if let Err(Stop::Host(error)) = self.end_if_doomed() {
            return Err(error);
        }
        match self.commit() {
            Err(Stop::Host(error)) => return Err(error),
            Err(Stop::Failed { .. }) | Ok(()) => {}
        }
        let (stdout, stderr) = (std::mem::take(&mut self.out), std::mem::take(&mut self.err));
        Ok(Output { code, stdout, stderr, assumed: false })
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.state = None;
        for path in std::mem::take(&mut self.flocks) {
            self.release(&path);
        }
    }
}
