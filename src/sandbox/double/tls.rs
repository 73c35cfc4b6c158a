//! The client's side of TLS: whether a certificate is believed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::request::Trust;

/// Certificates of a PEM text; what is none is passed over.
pub(super) fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect()
}

/// Whether a client with this trust talks to who shows this chain for this name.
///
/// # Errors
/// rustls's words.
pub(super) fn believe(
    chain: &[CertificateDer<'static>],
    trust: &Trust,
    system_roots: &str,
    name: &str,
    now: Timestamp,
) -> Result<(), String> {
    let roots = match trust {
        Trust::Anybody => return Ok(()),
        Trust::System => system_roots,
        Trust::Roots(pem) => pem,
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates(roots));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .map_err(|_| "no root certificate to believe in".to_owned())?;
    let (leaf, rest) = chain.split_first().ok_or("the peer showed no certificate")?;
    let name = ServerName::try_from(name).map_err(|_| format!("`{name}` is no server name"))?;
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_server_cert(leaf, rest, &name, &[], now).map(drop).map_err(|error| error.to_string())
}

/// Whether a certificate is for a name, whoever vouches for it.
pub(super) fn is_for(chain: &[CertificateDer<'static>], name: &str) -> bool {
    let Some(leaf) = chain.first() else { return false };
    let (Ok(certificate), Ok(name)) = (rustls::server::ParsedCertificate::try_from(leaf), ServerName::try_from(name))
    else {
        return false;
    };
    rustls::client::verify_server_name(&certificate, &name).is_ok()
}
