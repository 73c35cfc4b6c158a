//! `base_setup` and `trusted_ca` in a real systemd container, through the channel that production uses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use phoenix::artifact::{Artifact, Artifacts};
use phoenix::event::Discard;
use phoenix::host::HostHandle;
use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::Local;
use phoenix::host::record::{Counts, Recorder};
use phoenix::machine::{Machine, Report, SecretStore};
use phoenix::model::{GuestId, ScriptKind, Site};
use phoenix::script::{self, Call, Entry, Library, Roots, ScriptReport};
use serde_json::{Value, json};

use crate::support::container::Container;
use crate::support::scenario;

/// A declared guest whose body is a real container.
struct Stand {
    container: Container,
    library: Library,
    site: Arc<Site>,
    host: HostHandle,
    counts: Counts,
    artifacts: Artifacts,
}

/// Who published the root certificate.
const AUTHORITY: u32 = 103;

impl Stand {
    fn boot() -> Stand {
        let container = Container::boot();
        let counts = Counts::default();
        let local: HostHandle = Arc::new(Local::new(Interrupt::new()).unwrap());
        let host = Arc::new(Recorder::new(local, Arc::new(Discard), None, counts.clone()));
        let (library, findings) = Library::load(&Roots::embedded());
        assert!(findings.is_empty(), "{findings:?}");
        let guest = scenario::container(container.id().get(), "real");
        let site = Site { domain: "example.org".to_owned(), guests: [(guest.id, guest)].into(), ..Site::default() };
        Stand { container, library, site: Arc::new(site), host, counts, artifacts: Artifacts::default() }
    }

    fn call(&self, feature: &str, entry: Entry, given: &Value) -> ScriptReport {
        let spec = &self.library.catalogue().features[feature];
        let given: BTreeMap<String, Value> = serde_json::from_value(given.clone()).unwrap();
        let (library, site, host) = (self.library.clone(), self.site.clone(), self.host.clone());
        let guest = self.container.id();
        let call = Call {
            library: &library,
            kind: ScriptKind::Feature,
            name: feature,
            entry,
            machine: Machine::new(
                host.clone(),
                self.container.place(),
                Report { guest: Some(guest), events: Arc::new(Discard) },
            ),
            site,
            guest,
            params: script::params(spec, Some(&given)).unwrap(),
            artifacts: self.artifacts.clone(),
            publishers: vec![GuestId::try_from(AUTHORITY).unwrap()],
            secrets: SecretStore::new(host, Arc::new(|_| None)),
            interrupt: Interrupt::new(),
        };
        std::thread::scope(|scope| {
            let run = script::thread(feature).spawn_scoped(scope, move || script::run(call)).unwrap();
            run.join().unwrap().unwrap_or_else(|error| panic!("{feature}: {:#?}", error.failure()))
        })
    }

    /// Applied, applied again without a change, healthy.
    fn converges(&self, feature: &str, params: &Value) {
        let began = Instant::now();
        assert!(self.call(feature, Entry::Apply, params).changed, "{feature} had nothing to do");
        let first = began.elapsed();
        let (ops, changes) = (self.counts.ops(), self.counts.changes());
        let began = Instant::now();
        let again = self.call(feature, Entry::Apply, params);
        let second = began.elapsed();
        assert!(!again.changed, "{feature} changed something again");
        assert_eq!(self.counts.changes(), changes, "{feature} sent changing values again");
        let ops = self.counts.ops() - ops;
        println!("{feature} in a real container: first {first:.1?}, second {second:.1?} with {ops} operations");
        self.call(feature, Entry::Health, params);
    }
}

#[test]
fn base_setup_and_trusted_ca_converge_in_a_real_container() {
    let stand = Stand::boot();
    let few = json!({ "packages": ["ca-certificates", "locales", "netbase"], "timezone": "Europe/Berlin" });
    stand.converges("base_setup", &few);

    let key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "Example Root");
    let root = root.self_signed(&key).unwrap().pem();
    let publisher = GuestId::try_from(AUTHORITY).unwrap();
    stand.artifacts.publish(Artifact { name: "step_ca/root.crt".to_owned(), publisher, value: root });
    stand.converges("trusted_ca", &json!({}));
    let listed =
        "openssl storeutl -noout -text -certs /etc/ssl/certs/ca-certificates.crt | grep -c 'Example Root' || true";
    assert_ne!(stand.container.sh(listed).trim(), "0", "the system does not trust the root");
    stand.host.close_channel(stand.container.place());
}
