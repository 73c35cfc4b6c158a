//! Whole runs in the sandbox, told in a few words: a site, small scripts, a world that lives on from run to run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use phoenix::command::Effect;
use phoenix::config::{self, Dir};
use phoenix::engine::{self, Consent, Engine, EngineError, Options, Summary, sight};
use phoenix::event::{Collect, Difference, Event, Outcome, Sink, Stamped, Step};
use phoenix::host::interrupt::Interrupt;
use phoenix::host::{Host, HostHandle};
use phoenix::model::{
    Address, Boot, Firewall, Guest, GuestId, GuestKind, Image, LifecycleSnapshots, LxcSettings, NfsVolume, Nic, Origin,
    PortainerRole, RootDisk, Site, VmSettings,
};
use phoenix::op::{Attributes, Content, Op, Place};
use phoenix::plan::{self, Request, Verb};
use phoenix::pve::inventory;
use phoenix::sandbox::{self, Fault, Sandbox, World};
use phoenix::script::{Library, Models, Roots};
use phoenix::ui::Story;

use crate::support::looked::OnlyLooked;

/// The archive that bases are made of.
pub const ARCHIVE: &str = "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst";

/// The image that machines are made of.
pub const IMAGE: &str = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img";

/// Features and apps of the test platform, by path below the script root.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "features/ground.rhai",
        r#"
const FEATURE = #{ name: "ground", summary: "What all stand on", targets: ["lxc", "vm"],
    params: #{ motto: #{ type: "string", fallback: "steady" } } };
fn apply(guest, params) { guest.file("/etc/ground", #{ content: params.motto + "\n" }); }
fn health(guest, params) { if !guest.exists("/etc/ground") { fail("no ground"); } }
"#,
    ),
    (
        "features/authority.rhai",
        r#"
const FEATURE = #{ name: "authority", summary: "Publishes a root", targets: ["lxc"], needs: ["ground"],
    publishes: ["authority/root"], params: #{ root: #{ type: "string", fallback: "root one" } } };
fn apply(guest, params) {
    guest.dir("/etc/authority");
    guest.file("/etc/authority/root", #{ content: params.root });
    guest.publish("authority/root", "/etc/authority/root");
}
fn health(guest, params) { if !guest.exists("/etc/authority/root") { fail("no root"); } }
"#,
    ),
    (
        "features/trust.rhai",
        r#"
const FEATURE = #{ name: "trust", summary: "Reads the root", targets: ["lxc"], after: ["ground"],
    consumes: ["authority/root"] };
fn apply(guest, params) { guest.file("/etc/trust", #{ content: artifact("authority/root") }); }
"#,
    ),
    (
        "apps/site.rhai",
        r#"
const APP = #{ name: "site", summary: "The guest's own", targets: ["lxc", "vm"] };
fn apply(guest, params) { guest.file("/etc/site", #{ content: guest.name }); }
fn health(guest, params) { if guest.read("/etc/site") != guest.name { fail("another site"); } }
"#,
    ),
];

/// A guest id.
pub fn id(number: u32) -> GuestId {
    GuestId::try_from(number).unwrap()
}

/// A container of this name, made from the archive, with an address of its own and nothing else.
pub fn container(number: u32, name: &str) -> Guest {
    let last = number % 250 + 2;
    Guest {
        id: id(number),
        name: name.to_owned(),
        kind: GuestKind::Lxc,
        roles: BTreeSet::new(),
        node: None,
        tags: BTreeSet::new(),
        is_template: false,
        origin: Origin::Template(ARCHIVE.to_owned()),
        cores: 1,
        memory_mb: 512,
        swap_mb: None,
        root: RootDisk { storage: "tank".to_owned(), size_gb: 4, ..RootDisk::default() },
        nics: vec![Nic {
            gateway: Some("192.0.2.1".parse().unwrap()),
            ..Nic::new("eth0", "vmbr0", Address::Static(format!("192.0.2.{last}/24").parse().unwrap()))
        }],
        nameservers: Vec::new(),
        search_domain: None,
        options: Default::default(),
        boot: Boot { start_at_boot: true, ..Boot::default() },
        dependencies: Vec::new(),
        features: Vec::new(),
        app: None,
        params: BTreeMap::new(),
        firewall: Firewall::default(),
        volumes: Vec::new(),
        mounts: Vec::new(),
        snapshots: LifecycleSnapshots::default(),
        health_checks: Vec::new(),
        traefik_service: None,
        dns_records: Vec::new(),
        portainer_role: PortainerRole::None,
        trigger_sync: false,
        lxc: LxcSettings { unprivileged: true, ..LxcSettings::default() },
        vm: VmSettings::default(),
        config: serde_json::Value::Null,
    }
}

/// A virtual machine of this name with an address of its own.
pub fn machine(number: u32, name: &str) -> Guest {
    let mut guest = container(number, name);
    guest.kind = GuestKind::Vm;
    guest.lxc = LxcSettings::default();
    guest.root.size_gb = 8;
    guest.vm.username = Some("ops".to_owned());
    guest
}

/// A site, scripts and a world.
pub struct Scenario {
    pub site: Site,
    pub world: Option<World>,
    pub jobs: usize,
    pub consent: Consent,
    pub adopt: BTreeSet<GuestId>,
    pub seed: u64,
    pub faults: Vec<Fault>,
    /// Ctrl-C as soon as such an event is told.
    pub interrupt_at: Option<fn(&Event) -> bool>,
    roots: Roots,
    /// Scripts of its own; the shipped ones otherwise.
    scripts: Option<tempfile::TempDir>,
}

/// Keeps all events, and interrupts at one of them.
struct Watch {
    all: Collect,
    interrupt: Interrupt,
    at: Option<fn(&Event) -> bool>,
}

impl Sink for Watch {
    fn emit(&self, stamped: Stamped) {
        if self.at.is_some_and(|at| at(&stamped.event)) {
            self.interrupt.set();
        }
        self.all.emit(stamped);
    }
}

/// What a run did.
pub struct Ran {
    pub summary: Summary,
    pub events: Vec<Event>,
    /// Changing values that reached the node, as faults count them.
    pub values: u64,
}

impl Scenario {
    /// These guests on a fresh node.
    pub fn of(guests: impl IntoIterator<Item = Guest>) -> Scenario {
        let scripts = tempfile::tempdir().unwrap();
        let site = Site {
            domain: "example.org".to_owned(),
            guests: guests.into_iter().map(|guest| (guest.id, guest)).collect(),
            ..Site::default()
        };
        let roots = Roots::only(scripts.path());
        let scenario = Scenario { scripts: Some(scripts), ..Scenario::new(site, roots) };
        for (path, text) in SCRIPTS {
            scenario.script(path, text);
        }
        scenario
    }

    /// The configuration of a directory with the scripts that come with phoenix.
    pub fn configured(dir: &Dir) -> Scenario {
        Scenario::configured_with(dir, Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    /// The configuration of a directory with the scripts of another.
    pub fn configured_with(dir: &Dir, scripts: &Path) -> Scenario {
        let roots = Roots::only(scripts);
        let (library, _) = Library::load(&roots);
        let loaded = config::load(dir, library.catalogue());
        Scenario::new(loaded.site.unwrap(), roots)
    }

    fn new(site: Site, roots: Roots) -> Scenario {
        Scenario {
            site,
            world: None,
            jobs: 4,
            consent: Consent::Withheld,
            adopt: BTreeSet::new(),
            seed: 1,
            faults: Vec::new(),
            interrupt_at: None,
            roots,
            scripts: None,
        }
    }

    /// The platform in small: a base that is only cloned from, an authority, and two that trust it.
    pub fn platform() -> Scenario {
        let mut base = container(900, "base");
        base.boot.start_at_boot = false;
        base.features = vec!["ground".to_owned()];
        base.snapshots = LifecycleSnapshots {
            before_features: Some("pre-configured".to_owned()),
            after_features: Some("final-form".to_owned()),
            template: Some("final-form".to_owned()),
        };
        let clone = |number, name, features: &[&str]| {
            let mut guest = container(number, name);
            guest.origin = Origin::Clone(id(900));
            guest.features = features.iter().map(|name| (*name).to_owned()).collect();
            guest.app = Some("site".to_owned());
            guest
        };
        let authority = clone(103, "authority", &["ground", "authority"]);
        let mut gateway = clone(101, "gateway", &["trust"]);
        gateway.dependencies = vec![id(103)];
        let mut router = clone(102, "router", &["ground", "trust"]);
        router.dependencies = vec![id(103)];
        router.snapshots.before_features = Some("pre-configured".to_owned());
        router.snapshots.after_features = Some("final-form".to_owned());
        Scenario::of([base, authority, gateway, router])
    }

    /// Machines: a template made from an image, a clone with an NFS volume and snapshots, and one that needs it.
    pub fn machines() -> Scenario {
        let mut template = machine(9000, "machine-base");
        template.is_template = true;
        template.origin = Origin::Image(Image { source: IMAGE.to_owned(), sha256: Some("5e".repeat(32)) });
        template.boot.start_at_boot = false;
        template.features = vec!["ground".to_owned()];
        let clone = |number, name: &str| {
            let mut guest = machine(number, name);
            guest.origin = Origin::Clone(id(9000));
            guest.features = vec!["ground".to_owned()];
            guest.app = Some("site".to_owned());
            guest
        };
        let mut store = clone(1001, "store");
        store.vm.nfs = vec![NfsVolume {
            name: "data".to_owned(),
            server: "198.51.100.7".to_owned(),
            path: "/srv/data".to_owned(),
            mount_point: "/data".to_owned(),
        }];
        store.snapshots.before_features = Some("pre-configured".to_owned());
        store.snapshots.after_features = Some("final-form".to_owned());
        let mut worker = clone(1002, "worker");
        worker.dependencies = vec![id(1001)];
        Scenario::of([template, store, worker])
    }

    /// The same platform with a template as its base.
    pub fn platform_of_a_template() -> Scenario {
        let mut scenario = Scenario::platform();
        let base = scenario.guest(900);
        base.is_template = true;
        base.snapshots = LifecycleSnapshots::default();
        scenario
    }

    /// Writes a script over what was there.
    pub fn script(&self, path: &str, text: &str) {
        let file = self.scripts.as_ref().unwrap().path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// A declared guest, to be changed.
    pub fn guest(&mut self, number: u32) -> &mut Guest {
        self.site.guests.get_mut(&id(number)).unwrap()
    }

    /// The scripts as they are now.
    pub fn library(&self) -> Library {
        let (library, findings) = Library::load(&self.roots);
        assert!(findings.is_empty(), "{findings:?}");
        library
    }

    /// The world as it would be if nothing had ever been done.
    pub fn fresh(&self) -> World {
        let mut world = World::fresh(&self.site);
        world.seed = self.seed;
        world
    }

    /// The world as it is.
    pub fn world(&self) -> World {
        self.world.clone().unwrap_or_else(|| self.fresh())
    }

    /// The node as it is, with the programs that the scripts' models know.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox::in_memory(self.world(), self.options(Vec::new()))
    }

    /// One command of the node, run for its effect.
    pub fn on_the_node(&mut self, command: &str) -> String {
        let sandbox = Sandbox::in_memory(self.world(), sandbox::Options::default());
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let output = sandbox.exec(&words, "").unwrap();
        assert!(output.ok(), "{command}: {}", output.tail(9));
        self.world = Some(sandbox.world());
        output.text()
    }

    /// A file of the node, written there by somebody.
    pub fn write_on_the_node(&mut self, path: &str, text: &str) {
        let write = Op::Write {
            path: path.to_owned(),
            content: Content::Bytes(text.as_bytes().into()),
            attributes: Attributes::default(),
            guard: None,
        };
        let above = path.rsplit_once('/').unwrap().0.to_owned();
        let dir = Op::MakeDir { path: above, attributes: Attributes::default() };
        self.perform(Place::Node, &[dir, write]);
    }

    /// What somebody does inside a machine; all of it succeeds.
    pub fn perform(&mut self, place: Place, ops: &[Op]) {
        let sandbox = self.sandbox();
        for (op, result) in ops.iter().zip(sandbox.perform(place, ops).unwrap()) {
            result.unwrap_or_else(|error| panic!("{op}: {error}"));
        }
        self.world = Some(sandbox.world());
    }

    /// Creates these guests.
    pub fn create(&mut self, targets: &[u32]) -> Ran {
        self.run(Verb::Create, targets)
    }

    /// Does this to these guests; the world lives on.
    pub fn run(&mut self, verb: Verb, targets: &[u32]) -> Ran {
        let faults = std::mem::take(&mut self.faults);
        let sandbox = Arc::new(Sandbox::in_memory(self.world(), self.options(faults)));
        let ran = self.run_on(sandbox.clone(), verb, targets);
        self.world = Some(sandbox.world());
        Ran { values: sandbox.changes(), ..ran }
    }

    /// Creates these guests while somebody else does something on the node, who is a little faster.
    pub fn create_beside(&mut self, targets: &[u32], other: impl FnOnce(&dyn Host) + Send + 'static) -> Ran {
        let sandbox = Arc::new(Sandbox::in_memory(self.world(), self.options(Vec::new())));
        let somebody = sandbox.actor("somebody else");
        let thread = std::thread::spawn(move || other(somebody.as_ref()));
        let ran = self.run_on(sandbox.clone(), Verb::Create, targets);
        // The other one comes to an end in the node's time, not in this thread's.
        sandbox.sleep(std::time::Duration::from_secs(3600)).unwrap();
        thread.join().unwrap();
        self.world = Some(sandbox.world());
        ran
    }

    /// Why this was not even begun.
    pub fn refused(&mut self, verb: Verb, targets: &[u32]) -> EngineError {
        let sandbox = Arc::new(Sandbox::in_memory(self.world(), self.options(Vec::new())));
        let refused = self.try_on(sandbox.clone(), verb, targets);
        assert_eq!(sandbox.changes(), 0, "something was changed all the same");
        refused.map(|_| ()).unwrap_err()
    }

    /// Creates these guests on a node that somebody stands before.
    pub fn create_through(&mut self, targets: &[u32], before: impl FnOnce(HostHandle) -> HostHandle) -> Ran {
        let sandbox = Arc::new(Sandbox::in_memory(self.world(), self.options(Vec::new())));
        let ran = self.run_on(before(sandbox.clone()), Verb::Create, targets);
        self.world = Some(sandbox.world());
        Ran { values: sandbox.changes(), ..ran }
    }

    /// What creating these guests would do, rehearsed on a copy of the node, which is only looked at.
    pub fn rehearse(&mut self, targets: &[u32]) -> Ran {
        self.rehearse_to(Verb::Create, targets)
    }

    /// The same for another verb.
    pub fn rehearse_to(&mut self, verb: Verb, targets: &[u32]) -> Ran {
        let node = Arc::new(Sandbox::in_memory(self.world(), self.options(Vec::new())));
        let looked = OnlyLooked::at(node.clone());
        let mut inventory = sight::look(&looked, &node.world().node).unwrap().inventory;
        let details = looked.perform(Place::Node, &inventory::details(&inventory)).unwrap();
        inventory.complete(&details);
        let world = World::of_node(&inventory, &looked).unwrap();
        let rehearsal = Sandbox::rehearse(world, Some(Arc::new(looked.clone())), self.options(Vec::new()));
        let ran = self.run_on(Arc::new(rehearsal), verb, targets);
        assert_eq!(looked.tried(), Vec::<String>::new(), "a rehearsal only looks");
        assert_eq!(node.changes(), 0, "a rehearsal changed the node");
        ran
    }

    fn options(&self, faults: Vec<Fault>) -> sandbox::Options {
        let (models, findings) = Models::load(&self.library());
        assert!(findings.is_empty(), "{findings:?}");
        sandbox::Options { programs: Arc::new(models), faults, strict: true, ..sandbox::Options::default() }
    }

    fn run_on(&mut self, host: HostHandle, verb: Verb, targets: &[u32]) -> Ran {
        self.try_on(host, verb, targets).unwrap()
    }

    fn try_on(&mut self, host: HostHandle, verb: Verb, targets: &[u32]) -> Result<Ran, EngineError> {
        let library = self.library();
        let mut request = Request::new(verb, targets.iter().map(|number| id(*number)));
        request.adopt.clone_from(&self.adopt);
        let plan = plan::make(&self.site, library.catalogue(), &request).unwrap();
        let interrupt = Interrupt::new();
        let watch = Watch { all: Collect::default(), interrupt: interrupt.clone(), at: self.interrupt_at.take() };
        let events = Arc::new(watch);
        let summary = engine::run(Engine {
            host,
            site: Arc::new(self.site.clone()),
            library: Arc::new(library),
            plan,
            events: events.clone(),
            interrupt,
            outside: Arc::new(|_| None),
            options: Options {
                command: format!("{verb:?} {targets:?}"),
                jobs: self.jobs,
                consent: self.consent.clone(),
            },
        })?;
        let events = events.all.events().into_iter().map(|stamped| stamped.event).collect();
        Ok(Ran { summary, events, values: 0 })
    }
}

impl Ran {
    /// How a guest ended.
    pub fn outcome(&self, number: u32) -> &Outcome {
        let guest = self.summary.guests.iter().find(|guest| guest.id == id(number));
        &guest.unwrap_or_else(|| panic!("guest {number} had no turn")).outcome
    }

    /// Why a guest failed.
    pub fn cause(&self, number: u32) -> String {
        match self.outcome(number) {
            Outcome::Failed { cause } => cause.message.clone(),
            other => panic!("guest {number} did not fail: {other:?}"),
        }
    }

    /// Why a guest was skipped.
    pub fn reason(&self, number: u32) -> String {
        match self.outcome(number) {
            Outcome::Skipped { reason } => reason.clone(),
            other => panic!("guest {number} was not skipped: {other:?}"),
        }
    }

    /// What an operator is told to do about a guest that failed.
    pub fn hint(&self, number: u32) -> String {
        match self.outcome(number) {
            Outcome::Failed { cause } => cause.hint.clone().unwrap_or_default(),
            other => panic!("guest {number} did not fail: {other:?}"),
        }
    }

    /// What a guest waited for, in order.
    pub fn waits(&self, number: u32) -> Vec<String> {
        let on = |event: &Event| match event {
            Event::Waiting { guest, on } if *guest == id(number) => Some(on.clone()),
            _ => None,
        };
        self.events.iter().filter_map(on).collect()
    }

    /// What was left as it is of a guest.
    pub fn pending(&self, number: u32) -> Vec<Difference> {
        let guest = self.summary.guests.iter().find(|guest| guest.id == id(number));
        guest.map(|guest| guest.pending.clone()).unwrap_or_default()
    }

    /// How a step of a guest ended.
    pub fn step(&self, number: u32, step: &Step) -> Option<&Outcome> {
        let guest = self.summary.guests.iter().find(|guest| guest.id == id(number))?;
        guest.steps.iter().find(|(taken, _)| taken == step).map(|(_, outcome)| outcome)
    }

    /// The run as it is told.
    pub fn story(&self) -> Story {
        let mut story = Story::default();
        for event in &self.events {
            story.tell(&Stamped { at: jiff::Timestamp::UNIX_EPOCH, event: event.clone() });
        }
        story
    }

    /// All differences, with their guests.
    pub fn differences(&self) -> Vec<(GuestId, Difference)> {
        let change = |event: &Event| match event {
            Event::Change { guest, difference } => Some((*guest, difference.clone())),
            _ => None,
        };
        self.events.iter().filter_map(change).collect()
    }

    /// Everything that could change something, in words.
    pub fn changing(&self) -> Vec<String> {
        self.did(|effect, _| effect == Effect::Change)
    }

    /// Every program that was started on the node.
    pub fn processes(&self) -> Vec<String> {
        self.did(|_, process| process)
    }

    fn did(&self, like: impl Fn(Effect, bool) -> bool) -> Vec<String> {
        let did = |event: &Event| match event {
            Event::Did { what, effect, process, .. } if like(*effect, *process) => Some(what.clone()),
            _ => None,
        };
        self.events.iter().filter_map(did).collect()
    }

    /// No guest failed or was skipped.
    pub fn is_fine(&self) -> &Ran {
        for guest in &self.summary.guests {
            let fine = matches!(guest.outcome, Outcome::Changed | Outcome::Unchanged);
            assert!(fine, "guest {}: {:?}", guest.id, guest.outcome);
        }
        self
    }

    /// Nothing was to be done, and nothing was.
    pub fn is_idle(&self) -> &Ran {
        self.is_fine();
        assert_eq!(self.changing(), Vec::<String>::new());
        assert_eq!(self.processes(), Vec::<String>::new());
        assert!(!self.summary.changed(), "{:?}", self.differences());
        self
    }
}
