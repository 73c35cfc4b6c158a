//! The real smallstep authority, as `tests/support/step_ca` builds it: founded, configured and run by the shipped
//! feature in a real container; it issues and renews through the primitive that every guest's certificate comes from.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use phoenix::host::Host as _;
use phoenix::machine::{Authority, CertificateSpec, MachineError, SecretStore};
use phoenix::op::{Attributes, Content, Op, OpValue};
use phoenix::request::{Request, Response, Trust};
use phoenix::sandbox::{Options, Sandbox, World};
use serde_json::{Value, json};

use super::stand::Stand;
use crate::support::container::Container;

/// Where packages of the authority come from in its container.
const MIRROR: &str = "/srv/mirror";
const CONFIG: &str = "/etc/step-ca/config/ca.json";

/// The real program as Debian packages of the names that the vendor gives them: a repository in a directory.
pub fn repository(folder: &Path) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/tools/bin/step-ca");
    assert!(program.exists(), "this test needs the smallstep authority: `./tests/run` builds it");
    let mut index = String::new();
    for (package, name) in [("step-ca", "step-ca"), ("step-cli", "step")] {
        let root = folder.join(package);
        let control = format!("Package: {package}\nVersion: 0.29.0\nArchitecture: amd64\n");
        let described = "Maintainer: phoenix <tests@example.org>\nDescription: smallstep, from Debian's library\n";
        std::fs::create_dir_all(root.join("DEBIAN")).unwrap();
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        std::fs::write(root.join("DEBIAN/control"), format!("{control}{described}")).unwrap();
        std::fs::copy(&program, root.join("usr/bin").join(name)).unwrap();
        let file = folder.join(format!("{package}.deb"));
        let mut build = Command::new("dpkg-deb");
        let built = build.args(["-Znone", "--root-owner-group", "--build"]).args([&root, &file]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let sum = Command::new("sha256sum").arg(&file).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        let size = std::fs::metadata(&file).unwrap().len();
        let (sum, _) = sum.split_once(' ').unwrap();
        index += &format!("{control}{described}Filename: ./{package}.deb\nSize: {size}\nSHA256: {sum}\n\n");
    }
    std::fs::write(folder.join("Packages"), index).unwrap();
}

/// Such a repository inside the container.
pub fn offer_packages(container: &Container) {
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path());
    for file in ["step-ca.deb", "step-cli.deb", "Packages"] {
        container.put(&folder.path().join(file), &format!("{MIRROR}/{file}"));
    }
    // Nothing else is offered: this needs no network.
    container.sh(&format!("echo 'deb [trusted=yes] file:{MIRROR} ./' >/etc/apt/sources.list"));
}

/// A container with an authority that the shipped feature founded.
fn founded() -> Stand {
    let stand = Stand::boot(&["ca"]);
    offer_packages(stand.container("ca"));
    stand.converges("ca", "step_ca", &json!({ "source": "distribution" }));
    stand.converges("ca", "ca", &json!({}));
    stand
}

fn ask(stand: &Stand, path: &str) -> Response {
    let authority = stand.authority();
    let request = Request::get(format!("{}{path}", authority.url)).trust(Trust::Roots(authority.root_pem));
    stand.host.request(&request).unwrap()
}

fn read(stand: &Stand, path: &str) -> String {
    let op = Op::Read { path: path.to_owned(), limit: 1 << 20 };
    let answer = stand.host.perform(stand.container("ca").place(), &[op]).unwrap().remove(0).unwrap();
    let OpValue::Bytes(Some(bytes)) = answer else { panic!("no {path}: {answer:?}") };
    String::from_utf8(bytes).unwrap()
}

/// The authority under another policy; it reads its configuration again.
fn reconfigure(stand: &Stand, change: impl FnOnce(&mut Value)) {
    let mut config: Value = serde_json::from_str(&read(stand, CONFIG)).unwrap();
    change(&mut config);
    let content = Content::Bytes(config.to_string().into_bytes().into());
    let write = Op::Write { path: CONFIG.to_owned(), content, attributes: Attributes::default(), guard: None };
    stand.host.perform(stand.container("ca").place(), &[write]).unwrap().remove(0).unwrap();
    stand.container("ca").sh("systemctl restart step-ca && for try in $(seq 100); do \
         openssl s_client -connect 127.0.0.1:9000 </dev/null >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1");
}

/// A certificate for names of the test domain; `/etc/ssl/private` is in every Debian with openssl.
fn spec(names: &[&str]) -> CertificateSpec {
    CertificateSpec {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        cert: "/etc/ssl/private/web.crt".to_owned(),
        key: "/etc/ssl/private/web.key".to_owned(),
        ..CertificateSpec::default()
    }
}

/// Why a certificate was asked for anew.
fn reason(stand: &Stand, spec: &CertificateSpec) -> Result<Option<String>, MachineError> {
    let key = stand.secrets().provisioner_key().unwrap();
    let change = stand.machine("ca").certificate(spec, &stand.authority(), &key)?;
    let told = change.differences.iter().find(|difference| difference.what == spec.cert);
    Ok(told.map(|difference| difference.from.clone().unwrap_or_else(|| "new".to_owned())))
}

/// An error as the operator reads it, without what differs from run to run.
fn refusal(stand: &Stand, outcome: Result<Option<String>, MachineError>) -> String {
    outcome.unwrap_err().to_string().replace(&stand.container("ca").address(), "ADDRESS")
}

#[test]
fn the_real_authority_issues_and_renews_for_our_tokens() {
    let stand = founded();
    let web = spec(&["web.example.org", "192.0.2.7"]);

    assert_eq!(reason(&stand, &web).unwrap().as_deref(), Some("new"));
    assert_eq!(reason(&stand, &web).unwrap(), None, "it is issued once");
    let verified = stand.container("ca").sh("openssl verify -CAfile /etc/step-ca/certs/root_ca.crt \
         -untrusted /etc/ssl/private/web.crt -verify_hostname web.example.org /etc/ssl/private/web.crt");
    assert_eq!(verified.trim(), "/etc/ssl/private/web.crt: OK");
    let key = read(&stand, "/etc/ssl/private/web.key");

    let more = spec(&["web.example.org", "*.web.example.org", "2001:db8::7"]);
    assert_eq!(reason(&stand, &more).unwrap().as_deref(), Some("names 192.0.2.7, web.example.org"));
    assert_eq!(read(&stand, "/etc/ssl/private/web.key"), key, "the key stays");

    // A life so short that it is due while we watch: the policy's own minimum is five minutes.
    reconfigure(&stand, |config| config["authority"]["claims"]["minTLSCertDuration"] = json!("1s"));
    let short = CertificateSpec { lifetime: Some(Duration::from_secs(20)), ..spec(&["short.example.org"]) };
    assert!(reason(&stand, &short).unwrap().unwrap().starts_with("names "));
    std::thread::sleep(Duration::from_secs(3));
    // It was made valid a minute ago and for 20 s more: nearly two thirds of its life are over when it is new.
    let due = reason(&stand, &short).unwrap().unwrap_or_default();
    assert!(due.starts_with("expires "), "{due}");
    std::thread::sleep(Duration::from_secs(21));
    let due = reason(&stand, &short).unwrap().unwrap_or_default();
    assert!(due.starts_with("expired "), "{due}");
}

#[test]
fn the_real_authority_refuses_what_it_should() {
    let stand = founded();
    reconfigure(&stand, |config| {
        config["authority"]["policy"] = json!({ "x509": { "allow": { "dns": ["*.example.org"] } } });
    });
    let web = spec(&["web.example.org"]);
    let mut refusals = Vec::new();

    let elsewhere = spec(&["web.example.com"]);
    refusals.push(("a name that its policy forbids", refusal(&stand, reason(&stand, &elsewhere))));
    let eternal = CertificateSpec { lifetime: Some(Duration::from_secs(3600 * 8760)), ..web.clone() };
    refusals.push(("a life beyond its policy", refusal(&stand, reason(&stand, &eternal))));
    for (clock, minutes) in [("a clock ten minutes behind: the token has expired", -10), ("a clock ahead", 10)] {
        stand.host.ahead(SignedDuration::from_mins(minutes));
        refusals.push((clock, refusal(&stand, reason(&stand, &web))));
    }
    stand.host.ahead(SignedDuration::ZERO);

    let elsewhere = Arc::new(Sandbox::in_memory(World::empty("other"), Options::default()));
    let stranger = SecretStore::new(elsewhere, Arc::new(|_| None)).provisioner_key().unwrap();
    let outcome = stand.machine("ca").certificate(&web, &stand.authority(), &stranger).map(|_| None);
    refusals.push(("the key of another installation", refusal(&stand, outcome)));

    let key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let other = Authority { root_pem: root.self_signed(&key).unwrap().pem(), ..stand.authority() };
    let key = stand.secrets().provisioner_key().unwrap();
    let outcome = stand.machine("ca").certificate(&web, &other, &key).map(|_| None);
    refusals.push(("another root than the one we know", refusal(&stand, outcome)));

    assert_eq!(reason(&stand, &web).unwrap().as_deref(), Some("new"), "all is well again");
    let again = stand.host.request(&stand.host.last()).unwrap();
    let again = format!("{}: {}", again.status, String::from_utf8_lossy(&again.body).trim());
    refusals.push(("a token that was used", again));

    let told: Vec<String> = refusals.iter().map(|(what, message)| format!("{what}\n  {message}")).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_real_authority_is_what_the_scripts_say() {
    let stand = founded();
    let config: Value = serde_json::from_str(&read(&stand, CONFIG)).unwrap();
    let provisioners: Value = serde_json::from_slice(&ask(&stand, "/provisioners").body).unwrap();
    let kinds = |provisioners: &Value| -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        provisioners.as_array().unwrap().iter().map(|one| (word(&one["type"]), word(&one["name"]))).collect()
    };
    // The first password's provisioner is gone; the doors are phoenix's own and ACME.
    let expected = [("JWK", "phoenix"), ("ACME", "acme")].map(|(kind, name)| (kind.to_owned(), name.to_owned()));
    assert_eq!(kinds(&provisioners["provisioners"]), expected);
    assert_eq!(kinds(&config["authority"]["provisioners"]), expected);
    let directory: Value = serde_json::from_slice(&ask(&stand, "/acme/acme/directory").body).unwrap();
    assert_eq!(directory["newOrder"], format!("{}/acme/acme/new-order", stand.authority().url));
    // The fingerprint that others bootstrap with leads to the root.
    let root: Value =
        serde_json::from_slice(&ask(&stand, &format!("/root/{}", stand.artifact("step_ca/fingerprint"))).body).unwrap();
    assert_eq!(root["ca"].as_str().unwrap().trim(), stand.authority().root_pem.trim());
    assert_eq!(config["db"]["type"], "bbolt", "the only thing that this build changes");
    // S5, S16: nobody but the authority reads its keys, passwords and configuration.
    let open = stand.container("ca").sh("find /etc/step-ca -perm /077 ! -type d; \
         find /etc/step-ca -maxdepth 0 -perm /077; find /etc/step-ca ! -user step");
    let secret: Vec<&str> =
        open.lines().filter(|path| ["secrets", "password"].iter().any(|word| path.contains(word))).collect();
    assert!(secret.is_empty(), "{open}");
    assert!(!open.lines().any(|path| path == "/etc/step-ca"), "{open}");
}
