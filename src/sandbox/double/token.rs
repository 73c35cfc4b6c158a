//! One-time tokens: JSON web tokens that a JWK provisioner signs to vouch for one certificate request.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Clocks may differ by so many seconds.
const LEEWAY: i64 = 60;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

/// What a token says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    /// Subject of the certificate.
    pub(super) sub: String,
    /// Names of the certificate; none: the subject alone.
    #[serde(default)]
    sans: Vec<String>,
    exp: i64,
    #[serde(default)]
    nbf: i64,
    /// The token's own id.
    #[serde(default)]
    pub(super) jti: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// Names that the certificate must have, no more and no less.
    pub(super) fn names(&self) -> BTreeSet<String> {
        if self.sans.is_empty() { BTreeSet::from([self.sub.clone()]) } else { self.sans.iter().cloned().collect() }
    }
}

/// Believes a token, or says why not. `provisioners` as `ca.json` lists them; `names` are the authority's own.
pub(super) fn believe<'p>(
    token: &str,
    provisioners: &'p [Value],
    names: &[String],
    now: Timestamp,
) -> Result<(Claims, &'p Value), String> {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        return Err("the token is none".to_owned());
    };
    let head: Header = part(header)?;
    if head.alg != "ES256" {
        return Err(format!("the token is signed with {}, not ES256", head.alg));
    }
    let of_key = |provisioner: &&Value| provisioner["type"] == "JWK" && provisioner["key"]["kid"] == head.kid.as_str();
    let provisioner =
        provisioners.iter().find(of_key).ok_or_else(|| format!("no provisioner has the key {}", head.kid))?;
    let key = public_key(&provisioner["key"]).ok_or("the provisioner's key is no P-256 key")?;
    let signed = &token[..header.len() + 1 + payload.len()];
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "the signature is no base64url".to_owned())?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "the signature is not by the provisioner's key".to_owned())?;
    let claims: Claims = part(payload)?;
    check(&claims, provisioner, names, now)?;
    Ok((claims, provisioner))
}

fn check(claims: &Claims, provisioner: &Value, names: &[String], now: Timestamp) -> Result<(), String> {
    if provisioner["name"] != claims.iss.as_str() {
        return Err(format!("the token is issued by {}, its key belongs to {}", claims.iss, provisioner["name"]));
    }
    let audiences = match &claims.aud {
        Audience::One(one) => std::slice::from_ref(one),
        Audience::Many(many) => many,
    };
    if !audiences.iter().any(|audience| is_ours(audience, names)) {
        return Err(format!("the token is for {audiences:?}, not for one of {names:?}"));
    }
    let now = now.as_second();
    if now > claims.exp + LEEWAY {
        return Err("the token has expired".to_owned());
    }
    if now < claims.nbf - LEEWAY {
        return Err("the token is not valid yet".to_owned());
    }
    if claims.sub.is_empty() {
        return Err("the token names nobody".to_owned());
    }
    Ok(())
}

/// Whether an audience is this authority's signing endpoint; the port does not count.
fn is_ours(audience: &str, names: &[String]) -> bool {
    let Some((authority, path)) = audience.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let path = path.split('#').next().unwrap_or_default();
    names.iter().any(|name| name == host) && matches!(path, "1.0/sign" | "sign")
}

/// The uncompressed point of a P-256 key.
fn public_key(jwk: &Value) -> Option<Vec<u8>> {
    if jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
        return None;
    }
    let coordinate = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok()?;
        (bytes.len() == 32).then_some(bytes)
    };
    Some([&[4], coordinate("x")?.as_slice(), coordinate("y")?.as_slice()].concat())
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "the token is no base64url".to_owned())?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the token cannot be read: {error}"))
}
