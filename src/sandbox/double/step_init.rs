//! `step ca init`: a new authority with everything in the places that step-ca expects.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::op::{Attributes, Op};
use crate::sandbox::programs::{Inside, ProgramCall};

use super::authority::{self, fingerprint};

/// What `step ca init` is asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Init {
    /// STEPPATH: directory of everything.
    path: String,
    /// Name of the authority, part of its certificates' subjects.
    name: String,
    /// Names and addresses that the authority is reached by.
    dns: Vec<String>,
    /// `:9000`.
    address: String,
    /// Name of the first JWK provisioner.
    provisioner: String,
    /// Whether there is an ACME provisioner called `acme`.
    acme: bool,
}

impl Init {
    /// Reads a command line as `step` does. Questions cannot be answered, so everything must be said.
    pub(super) fn of(call: &ProgramCall) -> Result<Init, String> {
        let home = call.env.get("HOME").map_or("/root", String::as_str);
        let path = call.env.get("STEPPATH").cloned().unwrap_or_else(|| format!("{home}/.step"));
        let address = ":9000".to_owned();
        let mut init =
            Init { path, name: String::new(), dns: Vec::new(), address, provisioner: String::new(), acme: false };
        let mut words = call.argv.iter().skip(3);
        while let Some(word) = words.next() {
            let (flag, given) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            if flag == "--acme" {
                init.acme = true;
                continue;
            }
            let known = [
                "--name",
                "--dns",
                "--address",
                "--provisioner",
                "--password-file",
                "--provisioner-password-file",
                "--deployment-type",
            ];
            if !known.contains(&flag) {
                return Err(format!("flag provided but not defined: {}", flag.trim_start_matches('-')));
            }
            let value = given.or_else(|| words.next().cloned());
            let value = value.ok_or_else(|| format!("flag needs an argument: {flag}"))?;
            match flag {
                "--name" => init.name = value,
                "--dns" => init.dns.push(value),
                "--address" => init.address = value,
                "--provisioner" => init.provisioner = value,
                _ => {}
            }
        }
        match &init {
            Init { name, .. } if name.is_empty() => Err("flag '--name' is required without a terminal".to_owned()),
            Init { dns, .. } if dns.is_empty() => Err("flag '--dns' is required without a terminal".to_owned()),
            Init { provisioner, .. } if provisioner.is_empty() => {
                Err("flag '--provisioner' is required without a terminal".to_owned())
            }
            _ => Ok(init),
        }
    }
}

/// `step ca init`: makes the authority.
pub(super) fn found(inside: &mut dyn Inside, init: &Init) -> Result<Value, String> {
    let home = init.path.trim_end_matches('/');
    let at = |path: &str| format!("{home}/{path}");
    if inside.text(&at("config/ca.json")).is_some() {
        return Err(format!("{} already exists", at("config/ca.json")));
    }
    let now = inside.identity().now;
    let made = authority::found(&init.name, now).map_err(|error| error.to_string())?;
    let fingerprint = fingerprint(&made.root).unwrap_or_default();
    let mut provisioners = vec![json!({
        "type": "JWK",
        "name": init.provisioner,
        "key": unusable_key(&fingerprint),
        "encryptedKey": "modelled",
    })];
    if init.acme {
        provisioners.push(json!({ "type": "ACME", "name": "acme" }));
    }
    let config = json!({
        "root": at("certs/root_ca.crt"),
        "federatedRoots": null,
        "crt": at("certs/intermediate_ca.crt"),
        "key": at("secrets/intermediate_ca_key"),
        "address": init.address,
        "insecureAddress": "",
        "dnsNames": init.dns,
        "logger": { "format": "text" },
        "db": { "type": "badgerv2", "dataSource": at("db"), "badgerFileLoadingMode": "" },
        "authority": { "provisioners": provisioners },
        "tls": { "minVersion": 1.2, "maxVersion": 1.3, "renegotiation": false },
    });
    let first = init.dns.first().map_or("localhost", String::as_str);
    let defaults = json!({
        "ca-url": format!("https://{first}{}", port_of(&init.address)),
        "ca-config": at("config/ca.json"),
        "fingerprint": fingerprint,
        "root": at("certs/root_ca.crt"),
    });
    for directory in ["certs", "config", "db", "secrets", "templates"] {
        let attributes = Attributes { mode: Some(0o700), ..Default::default() };
        inside.perform(&Op::MakeDir { path: at(directory), attributes }).map_err(|error| error.message)?;
    }
    inside.write(&at("certs/root_ca.crt"), 0o600, &made.root)?;
    inside.write(&at("certs/intermediate_ca.crt"), 0o600, &made.intermediate)?;
    inside.write(&at("secrets/root_ca_key"), 0o600, &made.root_key)?;
    inside.write(&at("secrets/intermediate_ca_key"), 0o600, &made.intermediate_key)?;
    inside.write(&at("config/ca.json"), 0o600, &format!("{config:#}\n"))?;
    inside.write(&at("config/defaults.json"), 0o600, &format!("{defaults:#}\n"))?;
    let said = format!("✔ Root certificate: {}\n✔ Root fingerprint: {fingerprint}\n", at("certs/root_ca.crt"));
    Ok(json!({ "stdout": said }))
}

/// A public key whose private half nobody has: the double has no password that could open one.
fn unusable_key(seed: &str) -> Value {
    let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
    let text = URL_SAFE_NO_PAD.encode(digest);
    json!({ "use": "sig", "kty": "EC", "kid": text, "crv": "P-256", "alg": "ES256", "x": text, "y": text })
}

/// `:9000` of an address, nothing for the standard port.
fn port_of(address: &str) -> String {
    match address.rsplit(':').next() {
        Some("443") | None => String::new(),
        Some(port) => format!(":{port}"),
    }
}
