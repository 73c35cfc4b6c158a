//! Declared guests whose bodies are real containers, on a node that is modelled: scripts reach the containers through
//! the channel that production uses, and over the network as it is; the node's files (secrets, journal) are memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use phoenix::artifact::{Artifact, Artifacts};
use phoenix::command::{Command, Output};
use phoenix::event::Discard;
use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::Local;
use phoenix::host::record::{Counts, Recorder};
use phoenix::host::{Host, HostError, HostHandle, RunLock};
use phoenix::machine::{Authority, Machine, Report, SecretStore};
use phoenix::model::{Address, GuestId, Role, ScriptKind, Site};
use phoenix::op::{Op, OpResult, Place};
use phoenix::request::{Request, Response};
use phoenix::sandbox::{Options, Sandbox, World};
use phoenix::script::{self, Call, Entry, Library, Roots, ScriptReport};
use serde_json::Value;

use crate::support::container::Container;
use crate::support::scenario;

/// Declared guests with their containers.
pub struct Stand {
    pub host: Arc<Apart>,
    library: Library,
    site: Arc<Site>,
    containers: BTreeMap<String, Container>,
    recorder: HostHandle,
    pub counts: Counts,
    artifacts: Artifacts,
}

impl Stand {
    /// One container for each name. A name that is a role has this role.
    pub fn boot(names: &[&str]) -> Stand {
        Stand::of(names.iter().map(|name| ((*name).to_owned(), Container::boot())).collect())
    }

    /// The same with containers that were booted before.
    pub fn of(containers: BTreeMap<String, Container>) -> Stand {
        let guests = containers.iter().map(|(name, container)| {
            let mut guest = scenario::container(container.id().get(), name);
            guest.nics[0].address = Address::Static(format!("{}/24", container.address()).parse().unwrap());
            guest.roles = match name.as_str() {
                "ca" => [Role::Ca].into(),
                "router" => [Role::Router].into(),
                "gateway" => [Role::Gateway].into(),
                _ => Default::default(),
            };
            (guest.id, guest)
        });
        let site = Site { domain: "example.org".to_owned(), guests: guests.collect(), ..Site::default() };
        let (library, findings) = Library::load(&Roots::embedded());
        assert!(findings.is_empty(), "{findings:?}");
        let host = Arc::new(Apart::new(&site));
        let counts = Counts::default();
        let recorder = Arc::new(Recorder::new(host.clone(), Arc::new(Discard), None, counts.clone()));
        Stand { host, library, site: Arc::new(site), containers, recorder, counts, artifacts: Artifacts::default() }
    }

    /// The container behind a declared name.
    pub fn container(&self, name: &str) -> &Container {
        &self.containers[name]
    }

    /// A guest of the test, as primitives act in it.
    pub fn machine(&self, name: &str) -> Machine {
        let container = self.container(name);
        let report = Report { guest: Some(container.id()), events: Arc::new(Discard) };
        Machine::new(self.recorder.clone(), container.place(), report)
    }

    /// The node's secret store.
    pub fn secrets(&self) -> SecretStore {
        SecretStore::new(self.recorder.clone(), Arc::new(|_| None))
    }

    /// Keeps what a script published, or what a test says instead of one.
    pub fn publish(&self, artifact: Artifact) {
        self.artifacts.publish(artifact);
    }

    /// A published value.
    pub fn artifact(&self, name: &str) -> String {
        self.artifacts.get(name, &self.ids()).unwrap_or_else(|| panic!("nobody published {name}")).value
    }

    /// The authority that was published.
    pub fn authority(&self) -> Authority {
        Authority { url: self.artifact("step_ca/url"), root_pem: self.artifact("step_ca/root.crt") }
    }

    /// Runs an entry of a script.
    pub fn call(&self, name: &str, script: &str, entry: Entry, given: &Value) -> ScriptReport {
        let catalogue = self.library.catalogue();
        let feature = catalogue.features.contains_key(script);
        let kind = if feature { ScriptKind::Feature } else { ScriptKind::App };
        let spec = catalogue.get(kind, script).unwrap();
        let given: BTreeMap<String, Value> = serde_json::from_value(given.clone()).unwrap();
        let call = Call {
            library: &self.library,
            kind,
            name: script,
            entry,
            machine: self.machine(name),
            site: self.site.clone(),
            guest: self.container(name).id(),
            params: script::params(spec, Some(&given)).unwrap(),
            artifacts: self.artifacts.clone(),
            publishers: self.ids(),
            secrets: self.secrets(),
            interrupt: Interrupt::new(),
        };
        let report = std::thread::scope(|scope| {
            let run = script::thread(script).spawn_scoped(scope, move || script::run(call)).unwrap();
            run.join().unwrap().unwrap_or_else(|error| panic!("{script}: {:#?}", error.failure()))
        });
        report.published.iter().for_each(|artifact| self.publish(artifact.clone()));
        report
    }

    /// Applied, applied again without a change, healthy.
    pub fn converges(&self, name: &str, script: &str, params: &Value) {
        let began = Instant::now();
        assert!(self.call(name, script, Entry::Apply, params).changed, "{script} had nothing to do");
        let first = began.elapsed();
        let (ops, changes) = (self.counts.ops(), self.counts.changes());
        let began = Instant::now();
        let again = self.call(name, script, Entry::Apply, params);
        let second = began.elapsed();
        assert!(!again.changed, "{script} changed something again");
        assert_eq!(self.counts.changes(), changes, "{script} sent changing values again");
        let ops = self.counts.ops() - ops;
        println!("{script} in a real container: first {first:.1?}, second {second:.1?} with {ops} operations");
        self.call(name, script, Entry::Health, params);
    }

    fn ids(&self) -> Vec<GuestId> {
        self.site.guests.keys().copied().collect()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.containers.values().for_each(|container| self.host.close_channel(container.place()));
    }
}

/// The real machines and the real network, beside a node that is modelled and a clock that can be set.
pub struct Apart {
    node: Sandbox,
    real: Local,
    ahead: Mutex<SignedDuration>,
    last: Mutex<Option<Request>>,
}

impl Apart {
    fn new(site: &Site) -> Apart {
        let node = Sandbox::in_memory(World::fresh(site), Options::default());
        let real = Local::new(Interrupt::new()).unwrap();
        Apart { node, real, ahead: Mutex::default(), last: Mutex::default() }
    }

    /// Sets the clock ahead of the real one, or behind it.
    pub fn ahead(&self, ahead: SignedDuration) {
        *self.ahead.lock().unwrap() = ahead;
    }

    /// The request that was sent last.
    pub fn last(&self) -> Request {
        self.last.lock().unwrap().clone().unwrap()
    }
}

impl Host for Apart {
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        self.node.run(command)
    }

    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        match place {
            Place::Node => self.node.perform(place, ops),
            Place::Guest(..) => self.real.perform(place, ops),
        }
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        *self.last.lock().unwrap() = Some(request.clone());
        self.real.request(request)
    }

    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        self.real.sleep(duration)
    }

    fn now(&self) -> jiff::Timestamp {
        self.real.now() + *self.ahead.lock().unwrap()
    }

    fn actor(&self, name: &str) -> HostHandle {
        self.real.actor(name)
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
        self.node.lock(owner)
    }
}
