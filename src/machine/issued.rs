//! What a certificate says, and whether it is still the right one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::file::sha256;

/// A certificate with the chain that came with it.
pub(super) struct Issued {
    chain: Vec<CertificateDer<'static>>,
    /// DNS names in lower case, and addresses.
    pub names: BTreeSet<String>,
    not_before: i64,
    not_after: i64,
    public_key: Vec<u8>,
}

/// What a certificate is measured by.
pub(super) struct Measure<'a> {
    pub names: &'a BTreeSet<String>,
    pub root: &'a CertificateDer<'static>,
    pub now: jiff::Timestamp,
    /// Renewed when less than this is left, but never in the first third of its life; absent: a third of its life.
    pub renew_before: Option<Duration>,
}

impl Issued {
    /// A chain in PEM, leaf first.
    pub(super) fn parse(pem: &[u8]) -> Result<Issued, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("is no PEM: {error}"))?;
        let leaf = chain.first().ok_or("holds no certificate")?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| format!("cannot be read: {error}"))?;
        let names = match parsed.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
            Ok(None) => BTreeSet::new(),
            Err(error) => return Err(format!("its names cannot be read: {error}")),
        };
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let public_key = parsed.public_key().raw.to_vec();
        Ok(Issued { chain, names, not_before, not_after, public_key })
    }

    /// Why it is not the right one (any more); `None` if it is.
    pub(super) fn flaw(&self, key: Option<&KeyPair>, measure: &Measure) -> Option<String> {
        if self.names != *measure.names {
            return Some(format!("names {}", joined(&self.names)));
        }
        if key.is_none_or(|key| key.subject_public_key_info() != self.public_key) {
            return Some("another key".to_owned());
        }
        let left = self.not_after - measure.now.as_second();
        if left <= 0 {
            return Some(format!("expired {}", self.until()));
        }
        let life = self.not_after - self.not_before;
        let before =
            measure.renew_before.map_or(life / 3, |before| i64::try_from(before.as_secs()).unwrap_or(i64::MAX));
        // One that was due as soon as it is issued would be issued again by every run.
        let margin = before.min(life - life / 3);
        if left < margin {
            return Some(format!("expires {}", self.until()));
        }
        self.believed(measure).err()
    }

    /// Whether the chain leads to the root and the certificate counts for its first name today.
    fn believed(&self, measure: &Measure) -> Result<(), String> {
        let problem = |error: &dyn std::fmt::Display| format!("not believed: {error}");
        let mut roots = RootCertStore::empty();
        roots.add(measure.root.clone()).map_err(|error| problem(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| problem(&error))?;
        let (leaf, rest) = self.chain.split_first().ok_or("holds no certificate")?;
        let first = measure.names.first().map(String::as_str).unwrap_or_default();
        // A pattern is no name: what it stands for is.
        let name = first.strip_prefix("*.").map_or_else(|| first.to_owned(), |rest| format!("any.{rest}"));
        let name = ServerName::try_from(name).map_err(|error| problem(&error))?;
        let seconds = u64::try_from(measure.now.as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        verifier.verify_server_cert(leaf, rest, &name, &[], now).map(drop).map_err(|error| problem(&error))
    }

    /// The end of its life.
    pub(super) fn until(&self) -> String {
        jiff::Timestamp::from_second(self.not_after).map_or_else(|_| self.not_after.to_string(), |end| end.to_string())
    }
}

/// The first certificate of a PEM text.
pub(super) fn certificate(pem: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("is no certificate in PEM: {error}"))
}

/// step's fingerprint of a certificate.
pub(super) fn fingerprint(certificate: &CertificateDer) -> String {
    sha256(certificate)
}

/// Names for people.
pub(super) fn joined(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        other => Some(other.to_string()),
    }
}
