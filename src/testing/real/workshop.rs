//! A host of two halves: one container as it is, over the network as it is, beside a node and guests that are modelled.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::command::{Command, Effect, Output};
use crate::host::{Host, HostError, HostHandle, RunLock};
use crate::machine::{CACHE_DIR, PackageFailure, PackageTrouble};
use crate::op::{Content, Op, OpErrorKind, OpResult, Place};
use crate::request::{Request, Response};

/// The two halves, as one actor sees them.
pub(super) struct Workshop {
    real: HostHandle,
    /// The node, and the guests whose addresses are `neighbours`.
    modelled: HostHandle,
    shared: Arc<Shared>,
}

/// What all actors have in common.
struct Shared {
    neighbours: Vec<IpAddr>,
    /// The container.
    place: Place,
    /// What stands for the node's cache on this machine.
    cache: String,
    seen: Mutex<Seen>,
}

/// What a run is judged by.
#[derive(Default)]
struct Seen {
    changes: Vec<String>,
    out_of_reach: Option<String>,
}

impl Workshop {
    pub(super) fn new(
        real: HostHandle,
        modelled: HostHandle,
        neighbours: Vec<IpAddr>,
        place: Place,
        cache: &Path,
    ) -> Workshop {
        let shared = Shared { neighbours, place, cache: cache.display().to_string(), seen: Mutex::default() };
        Workshop { real, modelled, shared: Arc::new(shared) }
    }

    /// What was changed in the container since somebody asked, one line each.
    pub(super) fn changes(&self) -> Vec<String> {
        std::mem::take(&mut self.seen().changes)
    }

    /// The last thing that this machine could not get from elsewhere: a file, a package.
    pub(super) fn out_of_reach(&self) -> Option<String> {
        self.seen().out_of_reach.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, op: &Op, result: &OpResult) {
        let Err(error) = result else { return };
        let lacks = match op {
            Op::Fetch { .. } if error.kind != OpErrorKind::Conflict => Some(error.message.clone()),
            Op::RefreshPackages | Op::InstallPackages { .. } => {
                use PackageFailure::{Gone, Mirror, NotKnown, Unresolved};
                let trouble = PackageTrouble::of(error);
                let elsewhere = matches!(trouble.cause, Gone | Mirror | NotKnown | Unresolved);
                elsewhere.then(|| format!("packages: {trouble}"))
            }
            _ => None,
        };
        if lacks.is_some() {
            self.seen().out_of_reach = lacks;
        }
    }

    /// The node's cache is a directory of this machine, so that it is kept, and nobody's node is touched.
    fn here(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(CACHE_DIR)?.strip_prefix('/')?;
        Some(format!("{}/{name}", self.shared.cache))
    }

    /// An op of the node about its cache, as this machine has it.
    fn in_the_cache(&self, op: &Op) -> Option<Op> {
        Some(match op {
            Op::Digest { path } => Op::Digest { path: self.here(path)? },
            Op::Fetch { url, sha256, member, path } => {
                Op::Fetch { url: url.clone(), sha256: sha256.clone(), member: member.clone(), path: self.here(path)? }
            }
            _ => return None,
        })
    }

    /// An op of the container; what it carries over from the node's cache is carried from this machine's.
    fn out_of_the_cache(&self, op: &Op) -> Op {
        match op {
            Op::Write { path, content: Content::NodeFile { path: file, sha256 }, attributes, guard } => Op::Write {
                path: path.clone(),
                content: Content::NodeFile {
                    path: self.here(file).unwrap_or_else(|| file.clone()),
                    sha256: sha256.clone(),
                },
                attributes: attributes.clone(),
                guard: guard.clone(),
            },
            other => other.clone(),
        }
    }

    fn node(&self, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let here: Option<Vec<Op>> = ops.iter().map(|op| self.in_the_cache(op)).collect();
        match here {
            Some(here) => self.real.perform(Place::Node, &here),
            None => self.modelled.perform(Place::Node, ops),
        }
    }

    fn container(&self, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let here: Vec<Op> = ops.iter().map(|op| self.out_of_the_cache(op)).collect();
        let results = self.real.perform(self.shared.place, &here)?;
        let changing = ops.iter().zip(&results).filter(|(op, result)| op.effect() == Effect::Change && result.is_ok());
        self.seen().changes.extend(changing.map(|(op, _)| op.to_string()));
        Ok(results)
    }

    /// Whether a request goes to a modelled guest.
    fn is_to_a_neighbour(&self, request: &Request) -> bool {
        let address = request.connect_to.map(|address| address.ip()).or_else(|| {
            let authority = request.url.split_once("://")?.1.split('/').next()?;
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            host.trim_matches(['[', ']']).parse().ok()
        });
        address.is_some_and(|address| self.shared.neighbours.contains(&address))
    }
}

impl Host for Workshop {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        Err(HostError::Unsupported(format!("`{}` needs a Proxmox VE node", command.program)))
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let results = match place {
            Place::Node => self.node(ops),
            place if place == self.shared.place => self.container(ops),
            place => self.modelled.perform(place, ops),
        }?;
        ops.iter().zip(&results).for_each(|(op, result)| self.note(op, result));
        Ok(results)
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        if !self.is_to_a_neighbour(request) {
            return self.real.request(request);
        }
        // Certificates and tokens hold the real time.
        if let Ok(behind) = Duration::try_from(self.real.now().duration_since(self.modelled.now())) {
            self.modelled.sleep(behind)?;
        }
        self.modelled.request(request)
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        self.real.sleep(duration)
    }

    fn now(&self) -> jiff::Timestamp {
        self.real.now()
    }

    fn actor(&self, name: &str) -> HostHandle {
        let (real, modelled) = (self.real.actor(name), self.modelled.actor(name));
        Arc::new(Workshop { real, modelled, shared: Arc::clone(&self.shared) })
    }

    fn park(&self) {
        self.real.park();
    }

    fn wake(&self) {
        self.real.wake();
    }

    fn close_channel(&self, place: Place) {
        self.real.close_channel(place);
    }

    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        self.modelled.lock(owner)
    }
}
