//! `certificate`: a key and a certificate of the platform's own authority.
//!
//! The key is made here and written into the machine; the authority gets a request for its public half and a one-time
//! token. Nothing in the machine can ask for other certificates.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::Deserialize;
use serde_json::json;

use super::issued::{self, Issued, Measure};
use super::provisioner::{Claims, ProvisionerKey};
use super::{Change, Machine, MachineError, attributes, change::difference, path};
use crate::event::Difference;
use crate::op::{Attributes, Content, FileKind, Op, OpValue, Stat};
use crate::request::{Request, Trust};
use crate::secret::Sealed;

/// Limit for the authority's answer.
const SIGN_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest key or chain that is read.
const LIMIT: u64 = 256 * 1024;

/// What a certificate shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateSpec {
    /// DNS names and addresses; the first one is the subject.
    pub names: Vec<String>,
    /// Where the chain goes: leaf first, without the root. Mode 0644 if none is given.
    pub cert: String,
    /// Where the key goes. Mode 0600 if none is given; never open to everybody.
    pub key: String,
    /// Mode and owner of both.
    pub attributes: Attributes,
    /// Renewed when less than this is left, but never in the first third of its life; absent: a third of its life.
    pub renew_before: Option<Duration>,
    /// Life asked for; absent: the authority's own choice.
    pub lifetime: Option<Duration>,
}

/// A certificate authority (step-ca) as guests know it from its artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `https://ADDRESS:PORT`.
    pub url: String,
    /// Its root certificate.
    pub root_pem: String,
}

/// What is in the machine now.
struct Present {
    key_stat: Option<Stat>,
    cert_stat: Option<Stat>,
    key: Option<KeyPair>,
    chain: Option<Vec<u8>>,
}

/// What is to be done, and what it brings in line.
#[derive(Default)]
struct Steps {
    ops: Vec<Op>,
    differences: Vec<Difference>,
}

impl Steps {
    fn write(&mut self, path: &str, text: Sealed, attributes: Attributes, from: Option<String>, to: String) {
        let (path, content) = (path.to_owned(), Content::Text(text));
        self.differences.push(difference(&path, from, Some(to)));
        self.ops.push(Op::Write { path, content, attributes, guard: None });
    }

    /// The file stays, with these attributes.
    fn keep(&mut self, path: &str, stat: Option<&Stat>, attributes: Attributes) {
        let Some(stat) = stat.filter(|stat| stat.kind == FileKind::File) else { return };
        let found = attributes::differences(path, stat, &attributes);
        if !found.is_empty() {
            self.ops.push(Op::SetAttributes { path: path.to_owned(), attributes });
            self.differences.extend(found);
        }
    }
}

/// The authority's answer to a request (`POST /1.0/sign`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    crt: Option<String>,
    ca: Option<String>,
    #[serde(default)]
    cert_chain: Vec<String>,
}

impl Machine {
    /// Brings a key and a certificate about. A new certificate is asked for when there is none, its names are not exactly
    /// the declared ones, it does not belong to the key or to the root, or it is about to expire. The key stays as long
    /// as it can be read.
    ///
    /// # Errors
    /// [`MachineError::Certificate`] when the authority refuses, or answers something else than was asked for.
    pub fn certificate(
        &self,
        spec: &CertificateSpec,
        authority: &Authority,
        provisioner: &ProvisionerKey,
    ) -> Result<Change, MachineError> {
        let spec = spec.checked()?;
        let fail = |reason: String| spec.failed(reason, None);
        let root = issued::certificate(&authority.root_pem).map_err(|reason| fail(format!("the root {reason}")))?;
        let names: BTreeSet<String> = spec.names.iter().cloned().collect();
        let (renew_before, now) = (spec.renew_before, self.host().now());
        let measure = Measure { names: &names, root: &root, now, renew_before };
        let present = self.certificate_present(&spec)?;
        let flaw = match &present.chain {
            None => Some("absent".to_owned()),
            Some(chain) => match Issued::parse(chain) {
                Ok(issued) => issued.flaw(present.key.as_ref(), &measure),
                Err(reason) => Some(reason),
            },
        };
        let what = format!("certificate {}", spec.cert);
        let Some(flaw) = flaw else {
            let mut steps = Steps::default();
            steps.keep(&spec.key, present.key_stat.as_ref(), spec.key_attributes());
            steps.keep(&spec.cert, present.cert_stat.as_ref(), spec.cert_attributes());
            return self.take(what, steps);
        };
        let (key, new_key) = match present.key {
            Some(key) => (key, false),
            None => (KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| fail(error.to_string()))?, true),
        };
        let audience = format!("{}/1.0/sign", authority.url.trim_end_matches('/'));
        let root_fingerprint = issued::fingerprint(&root);
        let claims = Claims { audience: audience.clone(), names: &spec.names, root_fingerprint, now };
        let token = provisioner.token(&claims).map_err(fail)?;
        let request = sign_request(audience, &spec, &key, &token, authority).map_err(fail)?;
        let chain = self.signed(&spec, &request)?;
        let issued = Issued::parse(chain.as_bytes()).map_err(|reason| fail(format!("the answer {reason}")))?;
        // Measured as it will be in the next run, except for the margin: a short life is the authority's choice.
        let measure = Measure { renew_before: Some(Duration::ZERO), ..measure };
        if let Some(flaw) = issued.flaw(Some(&key), &measure) {
            return Err(fail(format!("what the authority answered is not what was asked for: {flaw}")));
        }
        let mut steps = Steps::default();
        if new_key {
            let text = Sealed::new(key.serialize_pem(), "<private key>");
            steps.write(&spec.key, text, spec.key_attributes(), None, "P-256 key".to_owned());
        } else {
            steps.keep(&spec.key, present.key_stat.as_ref(), spec.key_attributes());
        }
        let from = present.chain.is_some().then_some(flaw);
        let to = format!("{} until {}", issued::joined(&names), issued.until());
        steps.write(&spec.cert, Sealed::plain(chain), spec.cert_attributes(), from, to);
        self.take(what, steps)
    }

    fn take(&self, what: String, steps: Steps) -> Result<Change, MachineError> {
        if !steps.ops.is_empty() {
            self.all(&steps.ops)?;
        }
        Ok(self.done(Change::of(what, steps.differences)))
    }

    fn certificate_present(&self, spec: &CertificateSpec) -> Result<Present, MachineError> {
        let ops = [
            Op::Stat { path: spec.key.clone() },
            Op::Stat { path: spec.cert.clone() },
            Op::Read { path: spec.key.clone(), limit: LIMIT },
            Op::Read { path: spec.cert.clone(), limit: LIMIT },
        ];
        match <[OpValue; 4]>::try_from(self.all(&ops)?) {
            Ok([OpValue::Stat(key_stat), OpValue::Stat(cert_stat), OpValue::Bytes(key), OpValue::Bytes(chain)]) => {
                let pem = key.and_then(|bytes| String::from_utf8(bytes).ok());
                let key = pem.and_then(|pem| KeyPair::from_pem(&pem).ok());
                Ok(Present { key_stat, cert_stat, key, chain })
            }
            _ => Err(self.broken("another answer than asked for about a certificate")),
        }
    }

    /// The chain that the authority answers with.
    fn signed(&self, spec: &CertificateSpec, request: &Request) -> Result<String, MachineError> {
        let response = self.host().request(request)?;
        let text = String::from_utf8_lossy(&response.body);
        if response.status != 200 && response.status != 201 {
            let message = serde_json::from_str::<serde_json::Value>(&text).ok();
            let message = message.as_ref().and_then(|value| value["message"].as_str()).unwrap_or("no reason given");
            // step-ca says why in its own log only.
            let hint = (response.status == 401).then(|| {
                "does the authority's ca.json list phoenix's provisioner, and do the clocks agree?".to_owned()
            });
            return Err(spec.failed(format!("{} answers {}: {message}", request.url, response.status), hint));
        }
        let signed: Signed = serde_json::from_str(&text).map_err(|error| {
            spec.failed(format!("{} answers no JSON that is understood: {error}", request.url), None)
        })?;
        let chain = match signed.cert_chain.as_slice() {
            [] => signed.crt.into_iter().chain(signed.ca).collect(),
            _ => signed.cert_chain,
        };
        Ok(chain.iter().map(|pem| format!("{}\n", pem.trim())).collect())
    }
}

impl CertificateSpec {
    /// The same with clean paths and names.
    fn checked(&self) -> Result<CertificateSpec, MachineError> {
        let mut names = Vec::new();
        for name in &self.names {
            let name = match name.parse::<IpAddr>() {
                Ok(address) => address.to_string(),
                Err(_) => name.to_ascii_lowercase(),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(MachineError::Invalid(format!("certificate {} has no names", self.cert)));
        }
        Ok(CertificateSpec {
            names,
            cert: path::absolute(&self.cert)?,
            key: path::absolute(&self.key)?,
            ..self.clone()
        })
    }

    fn cert_attributes(&self) -> Attributes {
        Attributes { mode: self.attributes.mode.or(Some(0o644)), ..self.attributes.clone() }
    }

    fn key_attributes(&self) -> Attributes {
        let mode = self.attributes.mode.map_or(0o600, |mode| mode & !0o007);
        Attributes { mode: Some(mode), ..self.attributes.clone() }
    }

    fn failed(&self, reason: String, hint: Option<String>) -> MachineError {
        let name = self.names.first().cloned().unwrap_or_default();
        MachineError::Certificate { name, reason, hint }
    }
}

fn sign_request(
    url: String,
    spec: &CertificateSpec,
    key: &KeyPair,
    token: &Sealed,
    authority: &Authority,
) -> Result<Request, String> {
    let mut params = CertificateParams::new(spec.names.clone()).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, spec.names[0].as_str());
    let csr = params.serialize_request(key).and_then(|csr| csr.pem()).map_err(|error| error.to_string())?;
    let body = |token: &str| {
        let mut body = json!({ "csr": csr, "ott": token });
        if let Some(lifetime) = spec.lifetime {
            body["notAfter"] = json!(format!("{}s", lifetime.as_secs()));
        }
        body.to_string()
    };
    let body = Sealed::new(body(token.expose()), body(token.shown()));
    let request = Request::post_json(url, body).trust(Trust::Roots(authority.root_pem.clone()));
    Ok(Request { timeout: SIGN_TIMEOUT, ..request })
}
