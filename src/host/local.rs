//! The node that phoenix runs on.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::command::{Command, Effect, Output};
use crate::host::channel::Channels;
use crate::host::interrupt::Interrupt;
use crate::host::lock::FileLock;
use crate::host::permit::Permit;
use crate::host::{Host, HostError, HostHandle, RunLock, fetch, http, node, process};
use crate::op::{Op, OpError, OpErrorKind, OpResult, Place};
use crate::request::{Request, Response};

/// Where the node keeps what phoenix opens on it.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The lock under which one run at a time acts on the node.
    pub lock: PathBuf,
    /// Directory of the sockets of virtual machines: `ID.qga` is a guest agent's.
    pub sockets: PathBuf,
    /// `qm`, by name or path: asks an agent whose socket cannot be opened.
    pub qm: String,
    /// The words before `-n ID` that lead into a container.
    pub attach: Vec<String>,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths {
            lock: "/var/lib/phoenix/lock".into(),
            sockets: "/var/run/qemu-server".into(),
            qm: "qm".to_owned(),
            attach: vec!["lxc-attach".to_owned()],
        }
    }
}

/// The real node, as one actor sees it.
pub struct Local {
    shared: Arc<Shared>,
    permit: Permit,
}

/// What all actors have in common.
struct Shared {
    runtime: Runtime,
    channels: Channels,
    interrupt: Interrupt,
    lock: PathBuf,
}

impl Local {
    /// The node; sleeping on it ends with `interrupt`.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn new(interrupt: Interrupt) -> Result<Local, HostError> {
        Local::with_paths(interrupt, Paths::default())
    }

    /// The node, with its things elsewhere.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn with_paths(interrupt: Interrupt, paths: Paths) -> Result<Local, HostError> {
        // What is made on the node, by us and by what we start, is readable as Debian makes it; what is private says so.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| failed("start of the runtime", &error))?;
        let channels = Channels::new(paths.sockets, paths.qm, paths.attach);
        let shared = Arc::new(Shared { runtime, channels, interrupt, lock: paths.lock });
        Ok(Local { shared, permit: Permit::default() })
    }

    fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.shared.runtime.block_on(what)
    }

    /// What needs no process is done right here, the rest over a channel to the node's own shell.
    fn perform_here(&self, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let mut results: Vec<OpResult> = Vec::with_capacity(ops.len());
        let mut failed = false;
        for op in ops {
            let result = match (node::perform_unless(failed, op), op) {
                (Some(result), _) => result,
                (None, Op::Fetch { url, sha256, member, path }) => {
                    self.wait(fetch::fetch(url, sha256.as_deref(), member.as_deref(), path))
                }
                (None, op) => {
                    debug_assert!(node::runs_program(op), "{op} is counted as a program");
                    let channel = self.shared.channels.perform(Place::Node, std::slice::from_ref(op));
                    self.wait(channel)?.pop().unwrap_or_else(|| Err(OpError::new(OpErrorKind::Failed, "no answer")))
                }
            };
            failed |= result.is_err() && op.effect() == Effect::Change;
            results.push(result);
        }
        Ok(results)
    }
}

impl Host for Local {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        self.wait(process::run(command))
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        match place {
            Place::Node => self.perform_here(ops),
            Place::Guest(..) if ops.is_empty() => Ok(Vec::new()),
            Place::Guest(..) => self.wait(self.shared.channels.perform(place, ops)),
        }
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        self.wait(http::send(request))
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        if self.shared.interrupt.wait(duration) { Err(HostError::Interrupted) } else { Ok(()) }
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn actor(&self, _: &str) -> HostHandle {
        Arc::new(Local { shared: Arc::clone(&self.shared), permit: Permit::default() })
    }

    fn park(&self) {
        self.permit.wait();
    }

    fn wake(&self) {
        self.permit.give();
    }

    fn close_channel(&self, place: Place) {
        self.wait(self.shared.channels.close(place));
    }

    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        FileLock::take(&self.shared.lock, owner).map(|lock| Box::new(lock) as Box<dyn RunLock>)
    }
}

fn failed(what: &str, error: &io::Error) -> HostError {
    HostError::Io { what: what.to_owned(), reason: error.to_string() }
}
