//! Certificates and keys of a private authority: made, kept as PEM, and used to sign.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use crate::sandbox::body::sha256;

use super::Chain;
use super::tls::certificates;

/// Life of root and intermediate: ten years.
const LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Clocks may differ by so much: certificates begin that much earlier.
pub(super) const BACKDATE: Duration = Duration::from_secs(60);

/// A new authority in PEM.
pub(super) struct NewAuthority {
    pub(super) root: String,
    pub(super) root_key: String,
    pub(super) intermediate: String,
    pub(super) intermediate_key: String,
}

/// Makes a root and an intermediate that it vouches for.
pub(super) fn found(name: &str, now: Timestamp) -> Result<NewAuthority, rcgen::Error> {
    let root = CertifiedIssuer::self_signed(authority_params(&format!("{name} Root CA"), 1, now), new_key()?)?;
    let key = new_key()?;
    let intermediate = authority_params(&format!("{name} Intermediate CA"), 0, now).signed_by(&key, &root)?;
    Ok(NewAuthority {
        root: root.pem(),
        root_key: root.key().serialize_pem(),
        intermediate: intermediate.pem(),
        intermediate_key: key.serialize_pem(),
    })
}

/// An intermediate with its key, ready to sign.
pub(super) struct Signer {
    issuer: Issuer<'static, KeyPair>,
    intermediate: String,
}

impl Signer {
    /// Reads certificate and key.
    pub(super) fn read(intermediate: String, key: &str) -> Result<Signer, String> {
        let key = KeyPair::from_pem(key).map_err(|error| format!("error decoding the intermediate key: {error}"))?;
        let issuer = Issuer::from_ca_cert_pem(&intermediate, key)
            .map_err(|error| format!("error reading the intermediate certificate: {error}"))?;
        Ok(Signer { issuer, intermediate })
    }

    /// Signs a request: leaf and intermediate in PEM. Names and key are the request's, everything else is ours.
    pub(super) fn sign(
        &self,
        mut request: CertificateSigningRequestParams,
        now: Timestamp,
        life: Duration,
    ) -> Result<[String; 2], rcgen::Error> {
        let asked = request.params;
        request.params = leaf_params(now, life);
        request.params.distinguished_name = asked.distinguished_name;
        request.params.subject_alt_names = asked.subject_alt_names;
        Ok([request.signed_by(&self.issuer)?.pem(), self.intermediate.clone()])
    }

    /// The certificate that the authority itself serves with.
    pub(super) fn own(&self, names: &[String], now: Timestamp) -> Result<Chain, String> {
        let made = || {
            let mut params = leaf_params(now, Duration::from_secs(24 * 3600));
            params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
            params.distinguished_name.push(DnType::CommonName, "Step Online CA");
            params.signed_by(&new_key()?, &self.issuer)
        };
        let leaf = made().map_err(|error: rcgen::Error| error.to_string())?;
        Ok([leaf.into()].into_iter().chain(certificates(&self.intermediate)).collect())
    }
}

/// A certificate that vouches for itself, as servers make one when they have none.
pub(super) fn self_signed(common_name: &str, names: &[String], now: Timestamp) -> Result<Chain, String> {
    let made = || {
        let mut params = leaf_params(now, LIFE);
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.self_signed(&new_key()?)
    };
    made().map(|certificate| vec![certificate.into()]).map_err(|error: rcgen::Error| error.to_string())
}

fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

fn authority_params(name: &str, path: u8, now: Timestamp) -> CertificateParams {
    let mut params = validity(now, LIFE);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(now: Timestamp, life: Duration) -> CertificateParams {
    let mut params = validity(now, life);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Nobody's certificate of this life, from a little before now.
fn validity(now: Timestamp, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
    params.distinguished_name = DistinguishedName::new();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATE);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + life;
    params
}

/// Fingerprint of a PEM's first certificate as step shows it: SHA-256 in lower-case hex.
pub(super) fn fingerprint(pem: &str) -> Option<String> {
    certificates(pem).first().map(|certificate| sha256(certificate))
}
