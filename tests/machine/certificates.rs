//! Certificates: asked for with a one-time token, checked, renewed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phoenix::host::HostError;
use phoenix::machine::{Authority, CertificateSpec, MachineError, ProvisionerKey, SecretStore};
use phoenix::op::{Attributes, Op, OpValue};
use phoenix::request::{Request, Response, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use super::bench::{Bench, converges, silent};

/// A certificate authority that holds the public half of the provisioner's key and does what step-ca does.
struct TestCa {
    root_pem: String,
    intermediate_pem: String,
    intermediate: Issuer<'static, KeyPair>,
    jwk: Value,
    life: Duration,
    issued: usize,
    /// What is done to a request before it is signed.
    twist: fn(&mut CertificateSigningRequestParams),
}

const URL: &str = "https://192.0.2.3:9000";

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl TestCa {
    fn new(provisioner: &ProvisionerKey) -> TestCa {
        let root_key = KeyPair::generate().unwrap();
        let root = ca("Test Root").self_signed(&root_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = ca("Test Intermediate");
        let intermediate = params.signed_by(&key, &Issuer::new(ca("Test Root"), root_key)).unwrap();
        TestCa {
            root_pem: root.pem(),
            intermediate_pem: intermediate.pem(),
            intermediate: Issuer::new(params, key),
            jwk: provisioner.public_jwk(),
            life: Duration::from_secs(24 * 3600),
            issued: 0,
            twist: |_| {},
        }
    }

    /// Answers `POST /1.0/sign`.
    fn sign(&mut self, request: &Request, now: jiff::Timestamp) -> Result<Response, HostError> {
        assert_eq!(request.url, format!("{URL}/1.0/sign"));
        assert!(matches!(&request.trust, Trust::Roots(_)), "the authority's own root is believed, nothing else");
        let body = request.body.as_ref().unwrap();
        let body: Value = serde_json::from_str(body.expose()).unwrap();
        let refused = |message: &str| {
            let body = json!({"status": 401, "message": message}).to_string().into_bytes();
            Ok(Response { status: 401, body, ..Response::default() })
        };
        let claims = match self.claims(body["ott"].as_str().unwrap()) {
            Ok(claims) => claims,
            Err(reason) => return refused(&reason),
        };
        assert_eq!(claims["aud"], json!(request.url));
        assert_eq!(claims["iss"], "phoenix");
        let (from, until) = (claims["nbf"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!(from <= now.as_second() && now.as_second() < until && until - from == 300);
        let mut csr = CertificateSigningRequestParams::from_pem(body["csr"].as_str().unwrap()).unwrap();
        let mut names: Vec<String> = csr
            .params
            .subject_alt_names
            .iter()
            .map(|name| match name {
                SanType::DnsName(name) => name.to_string(),
                SanType::IpAddress(address) => address.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        let mut vouched: Vec<String> = serde_json::from_value(claims["sans"].clone()).unwrap();
        assert_eq!(claims["sub"], json!(vouched[0]));
        names.sort();
        vouched.sort();
        if names != vouched {
            return refused("the names are not those of the token");
        }
        let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_second().unsigned_abs());
        csr.params.not_before = now - Duration::from_secs(60);
        csr.params.not_after = now + self.life;
        csr.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (self.twist)(&mut csr);
        let leaf = csr.signed_by(&self.intermediate).unwrap().pem();
        self.issued += 1;
        let chain = json!([leaf, self.intermediate_pem]);
        let body = json!({"crt": leaf, "ca": self.intermediate_pem, "certChain": chain}).to_string().into_bytes();
        Ok(Response { status: 201, body, ..Response::default() })
    }

    /// The claims of a token whose signature the known key made.
    fn claims(&self, token: &str) -> Result<Value, String> {
        let parts: Vec<&str> = token.split('.').collect();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
        assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("JWT")));
        if header["kid"] != self.jwk["kid"] {
            return Err("no such provisioner".to_owned());
        }
        let mut point = vec![4u8];
        point.extend(decode(self.jwk["x"].as_str().unwrap()));
        point.extend(decode(self.jwk["y"].as_str().unwrap()));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &decode(parts[2]))
            .map_err(|_| "the signature is wrong".to_owned())?;
        Ok(serde_json::from_slice(&decode(parts[1])).unwrap())
    }
}

/// A bench whose requests a [`TestCa`] answers.
struct Platform {
    bench: Bench,
    key: ProvisionerKey,
    ca: Arc<Mutex<TestCa>>,
}

impl Platform {
    fn new() -> Platform {
        let bench = Bench::new();
        bench.put("/etc/ssl/web/.keep", "");
        let key = SecretStore::new(bench.handle(), Arc::new(|_| None)).provisioner_key().unwrap();
        let ca = Arc::new(Mutex::new(TestCa::new(&key)));
        let platform = Platform { bench, key, ca };
        platform.connect(&platform.bench);
        platform
    }

    fn connect(&self, bench: &Bench) {
        let ca = self.ca.clone();
        bench.answers_at(move |request, now| ca.lock().unwrap().sign(request, now));
    }

    fn authority(&self) -> Authority {
        Authority { url: URL.to_owned(), root_pem: self.ca.lock().unwrap().root_pem.clone() }
    }

    fn ensure(&self, spec: &CertificateSpec) -> Result<phoenix::machine::Change, MachineError> {
        self.bench.machine().certificate(spec, &self.authority(), &self.key)
    }

    /// A reason to issue again, as the difference tells it.
    #[track_caller]
    fn reissued(&self, spec: &CertificateSpec) -> String {
        let change = self.ensure(spec).unwrap();
        let told = change.differences.iter().find(|difference| difference.what == spec.cert).unwrap();
        silent(&self.bench, |machine| machine.certificate(spec, &self.authority(), &self.key));
        told.from.clone().unwrap_or_default()
    }

    fn mode(&self, path: &str) -> u32 {
        match self.bench.prepare(Op::Stat { path: path.to_owned() }) {
            OpValue::Stat(Some(stat)) => stat.mode,
            other => panic!("{other:?}"),
        }
    }
}

fn spec() -> CertificateSpec {
    CertificateSpec {
        names: ["web.example.org", "192.0.2.7", "WEB.example.org"].map(str::to_owned).to_vec(),
        cert: "/etc/ssl/web/web.crt".to_owned(),
        key: "/etc/ssl/web/web.key".to_owned(),
        ..CertificateSpec::default()
    }
}

#[test]
fn a_certificate_is_issued_once() {
    let platform = Platform::new();
    let change = platform.ensure(&spec()).unwrap();
    assert_eq!(change.differences.len(), 2);
    let to = change.differences[1].to.clone().unwrap();
    assert!(to.starts_with("192.0.2.7, web.example.org until 2030-05-02T12:01"), "{to}");
    assert_eq!((platform.mode("/etc/ssl/web/web.key"), platform.mode("/etc/ssl/web/web.crt")), (0o600, 0o644));
    let chain = platform.bench.text("/etc/ssl/web/web.crt").unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "leaf and intermediate");
    platform.bench.quiet();
    silent(&platform.bench, |machine| machine.certificate(&spec(), &platform.authority(), &platform.key));
    assert_eq!(platform.bench.trips(), 1);
    assert_eq!(platform.ca.lock().unwrap().issued, 1);
    let told = format!("{change:?}");
    assert!(!told.contains("PRIVATE"), "{told}");
}

#[test]
fn it_is_issued_again_when_it_is_not_right_any_more() {
    let platform = Platform::new();
    platform.ensure(&spec()).unwrap();
    let key = platform.bench.text("/etc/ssl/web/web.key");

    let more = CertificateSpec { names: vec!["web.example.org".to_owned(), "x.example.org".to_owned()], ..spec() };
    assert_eq!(platform.reissued(&more), "names 192.0.2.7, web.example.org");
    assert_eq!(platform.bench.text("/etc/ssl/web/web.key"), key, "the key stays");

    platform.bench.later(Duration::from_secs(17 * 3600));
    assert!(platform.reissued(&more).starts_with("expires "), "less than a third is left");
    platform.bench.later(Duration::from_secs(11 * 3600));
    let early = CertificateSpec { renew_before: Some(Duration::from_secs(14 * 3600)), ..more.clone() };
    assert!(platform.reissued(&early).starts_with("expires "));
    platform.bench.later(Duration::from_secs(48 * 3600));
    assert!(platform.reissued(&more).starts_with("expired "));

    platform.bench.put("/etc/ssl/web/web.key", &KeyPair::generate().unwrap().serialize_pem());
    assert_eq!(platform.reissued(&more), "another key");
    platform.bench.put("/etc/ssl/web/web.key", "damaged");
    assert_eq!(platform.reissued(&more), "another key");
    platform.bench.put("/etc/ssl/web/web.crt", "damaged");
    assert_eq!(platform.reissued(&more), "holds no certificate");

    *platform.ca.lock().unwrap() = TestCa::new(&platform.key);
    assert!(platform.reissued(&more).starts_with("not believed: "), "another root");
}

#[test]
fn patterns_and_long_margins_converge_too() {
    let platform = Platform::new();
    let spec = CertificateSpec {
        names: vec!["*.example.org".to_owned()],
        renew_before: Some(Duration::from_secs(30 * 24 * 3600)),
        lifetime: Some(Duration::from_secs(3600)),
        ..spec()
    };
    assert_eq!(platform.reissued(&spec), "");
    platform.bench.later(Duration::from_secs(9 * 3600));
    assert!(platform.reissued(&spec).starts_with("expires "));
}

#[test]
fn mode_and_owner_are_brought_in_line_without_a_new_certificate() {
    let platform = Platform::new();
    platform.ensure(&spec()).unwrap();
    let open = CertificateSpec { attributes: Attributes { mode: Some(0o644), ..Attributes::default() }, ..spec() };
    platform.ensure(&open).unwrap();
    assert_eq!(platform.mode("/etc/ssl/web/web.key"), 0o640, "a key is never open to everybody");
    silent(&platform.bench, |machine| machine.certificate(&open, &platform.authority(), &platform.key));
    assert_eq!(platform.ca.lock().unwrap().issued, 1);
}

#[test]
fn a_kill_in_the_middle_is_mended_by_the_next_run() {
    let platform = Platform::new();
    for cut in 0..2 {
        let bench = platform.bench.fork();
        platform.connect(&bench);
        bench.cut_off_after(cut);
        assert!(bench.machine().certificate(&spec(), &platform.authority(), &platform.key).is_err());
        bench.cut_off_after(100);
        assert!(bench.machine().certificate(&spec(), &platform.authority(), &platform.key).unwrap().changed);
        silent(&bench, |machine| machine.certificate(&spec(), &platform.authority(), &platform.key));
    }
}

#[test]
fn a_refusal_is_told_in_the_authoritys_words() {
    let platform = Platform::new();
    let stranger = SecretStore::new(Bench::new().handle(), Arc::new(|_| None)).provisioner_key().unwrap();
    let error = platform.bench.machine().certificate(&spec(), &platform.authority(), &stranger).unwrap_err();
    let told = error.to_string();
    assert_eq!(
        told,
        "certificate for web.example.org: https://192.0.2.3:9000/1.0/sign answers 401: no such provisioner"
    );
    assert!(error.hint().unwrap().contains("provisioner"));
    platform.bench.answers(|_| Ok(Response { status: 200, body: b"<html>".to_vec(), ..Response::default() }));
    assert!(platform.ensure(&spec()).unwrap_err().to_string().contains("answers no JSON"));
}

#[test]
fn what_comes_back_is_checked_before_it_is_written() {
    let platform = Platform::new();
    let written = |platform: &Platform| platform.bench.text("/etc/ssl/web/web.crt").is_some();
    platform.ca.lock().unwrap().twist = |csr| drop(csr.params.subject_alt_names.pop());
    let error = platform.ensure(&spec()).unwrap_err().to_string();
    assert!(error.contains("not what was asked for: names web.example.org"), "{error}");
    platform.ca.lock().unwrap().twist = |csr| csr.params.not_after = rcgen::date_time_ymd(2000, 1, 1);
    assert!(platform.ensure(&spec()).unwrap_err().to_string().contains("expired 2000"));
    platform.ca.lock().unwrap().twist = |_| {};
    let other = Authority { root_pem: TestCa::new(&platform.key).root_pem, ..platform.authority() };
    let error = platform.bench.machine().certificate(&spec(), &other, &platform.key).unwrap_err().to_string();
    assert!(error.contains("not believed"), "{error}");
    assert!(!written(&platform));
    let none = CertificateSpec { names: Vec::new(), ..spec() };
    assert!(matches!(platform.ensure(&none), Err(MachineError::Invalid(_))));
}

#[test]
fn the_provisioner_is_one_key_with_its_thumbprint() {
    let platform = Platform::new();
    let jwk = platform.key.public_jwk();
    for (member, value) in [("kty", "EC"), ("crv", "P-256"), ("alg", "ES256"), ("use", "sig")] {
        assert_eq!(jwk[member], value);
    }
    let text = format!(
        r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
        jwk["x"].as_str().unwrap(),
        jwk["y"].as_str().unwrap()
    );
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    assert_eq!(jwk["kid"], json!(URL_SAFE_NO_PAD.encode(digest)));
    assert!(jwk.get("d").is_none());
    let again = SecretStore::new(platform.bench.handle(), Arc::new(|_| None)).provisioner_key().unwrap();
    assert_eq!(again.public_jwk(), jwk);
    assert!(platform.bench.node_text("/var/lib/phoenix/secrets/provisioner").unwrap().contains("PRIVATE KEY"));
}

#[test]
fn the_first_certificate_of_a_guest_converges() {
    let platform = Platform::new();
    // Forks have no authority to ask, so only the attributes are cut off here.
    platform.ensure(&spec()).unwrap();
    let tight = CertificateSpec { attributes: Attributes { mode: Some(0o640), ..Attributes::default() }, ..spec() };
    let (authority, key) = (platform.authority(), &platform.key);
    converges(&platform.bench, |machine| machine.certificate(&tight, &authority, key));
}
