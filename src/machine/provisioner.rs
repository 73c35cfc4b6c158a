//! The key with which phoenix vouches for certificate requests, and the one-time tokens it signs.
//!
//! The certificate authority knows the public half only, as a provisioner of type JWK; there is no password to leak.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::secret::Sealed;

/// What the authority calls the provisioner.
const NAME: &str = "phoenix";

/// How long a token may be used, in seconds.
const TOKEN_LIFE: i64 = 5 * 60;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A P-256 key of the secret store.
pub struct ProvisionerKey {
    pair: EcdsaKeyPair,
}

impl std::fmt::Debug for ProvisionerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProvisionerKey").field("kid", &self.kid()).finish_non_exhaustive()
    }
}

/// What a one-time token vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims<'a> {
    /// Where it is handed in.
    pub audience: String,
    /// Names of the certificate, the first one as its subject.
    pub names: &'a [String],
    /// SHA-256 of the authority's root certificate, in hex.
    pub root_fingerprint: String,
    /// Now.
    pub now: jiff::Timestamp,
}

impl ProvisionerKey {
    /// A new key as PKCS #8 PEM.
    pub(super) fn generate() -> Result<String, String> {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| "the system gives no randomness".to_owned())?;
        let text = STANDARD.encode(key.as_ref());
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        Ok(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")))
    }

    /// The key in PKCS #8 PEM.
    pub(super) fn parse(pem: &Sealed) -> Result<ProvisionerKey, String> {
        let inside = pem.expose().trim().strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END));
        let text: String = inside.unwrap_or_default().split_whitespace().collect();
        let pair = STANDARD.decode(text).ok().and_then(|der| {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new()).ok()
        });
        pair.map(|pair| ProvisionerKey { pair }).ok_or_else(|| "is no P-256 key in PKCS #8 PEM".to_owned())
    }

    /// What the authority calls the provisioner.
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// The public half as a JSON web key.
    pub fn public_jwk(&self) -> Value {
        let (x, y) = self.point();
        json!({ "use": "sig", "kty": "EC", "kid": self.kid(), "crv": "P-256", "alg": "ES256", "x": x, "y": y })
    }

    /// A one-time token: a JSON web token that the authority accepts once, for exactly these names.
    pub(super) fn token(&self, claims: &Claims) -> Result<Sealed, String> {
        let random = SystemRandom::new();
        let mut nonce = [0u8; 16];
        random.fill(&mut nonce).map_err(|_| "the system gives no randomness".to_owned())?;
        let now = claims.now.as_second();
        let header = json!({ "alg": "ES256", "kid": self.kid(), "typ": "JWT" });
        let payload = json!({
            "aud": claims.audience,
            "exp": now + TOKEN_LIFE,
            "iat": now,
            "iss": NAME,
            "jti": nonce.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "nbf": now,
            "sans": claims.names,
            "sha": claims.root_fingerprint,
            "sub": claims.names.first(),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&payload));
        let signature =
            self.pair.sign(&random, signed.as_bytes()).map_err(|_| "the token cannot be signed".to_owned())?;
        Ok(Sealed::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())), "<one-time token>"))
    }

    /// The key's thumbprint (RFC 7638): members in this order, without blanks.
    fn kid(&self) -> String {
        let (x, y) = self.point();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()))
    }

    /// The coordinates of the public point, encoded for JSON web keys.
    fn point(&self) -> (String, String) {
        // Uncompressed: 0x04, then 32 bytes each.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
    }
}
