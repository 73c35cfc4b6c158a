//! A double of step-ca: a small authority with real keys, over the files that `step ca init` makes.
//!
//! True to step-ca: the files and their places, certificates and their lives, one-time tokens (key, issuer, audience,
//! times, use once, names), the API's paths, codes and members. Not so: keys lie there unencrypted (the password is not
//! asked for), ACME is a directory document only, `/renew` refuses everybody because requests carry no client
//! certificate, and refusals say why where step-ca only writes it to its log.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateSigningRequestParams, DnType, DnValue, SanType};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::op::Op;
use crate::request::{Method, Response};
use crate::sandbox::body::sha256;
use crate::sandbox::programs::Inside;

use super::authority::{BACKDATE, Signer, fingerprint};
use super::step_init::{self, Init};
use super::{Chain, Double, Exchange, Served, duration, token};

/// The double.
pub(super) struct Ca;

/// `ca.json`, as far as it counts here.
#[derive(Deserialize)]
struct Config {
    root: Roots,
    crt: String,
    key: String,
    address: String,
    #[serde(rename = "dnsNames")]
    names: Vec<String>,
    #[serde(default)]
    db: Option<Database>,
    #[serde(default)]
    authority: AuthorityConfig,
}

/// One root, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Roots {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Database {
    #[serde(rename = "dataSource")]
    source: String,
}

#[derive(Default, Deserialize)]
struct AuthorityConfig {
    #[serde(default)]
    provisioners: Vec<Value>,
    #[serde(default)]
    claims: Value,
}

impl Double for Ca {
    fn ports(&self, served: &mut Served) -> Vec<u16> {
        let config = Config::of(served);
        config.ok().and_then(|config| config.address.rsplit(':').next()?.parse().ok()).into_iter().collect()
    }

    fn chain(&self, served: &mut Served, _port: u16, _name: &str) -> Result<Option<Chain>, String> {
        let config = Config::of(served)?;
        let now = served.inside.identity().now;
        config.signer(served.inside)?.own(&config.names, now).map(Some)
    }

    fn respond(&self, served: &mut Served, exchange: &Exchange) -> Response {
        let Ok(config) = Config::of(served) else { return refused(500, "the configuration is gone") };
        let path = exchange.path.strip_prefix("/1.0").unwrap_or(exchange.path);
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let inside = &mut *served.inside;
        match (exchange.request.method, parts.as_slice()) {
            (Method::Get, ["health"]) => super::json(200, &json!({ "status": "ok" })),
            (Method::Get, ["version"]) => {
                super::json(200, &json!({ "version": "0.28.4", "requireClientAuthentication": false }))
            }
            (Method::Get, ["roots.pem"]) => super::text(200, &config.roots(inside).concat()),
            (Method::Get, ["roots"]) => super::json(201, &json!({ "crts": config.roots(inside) })),
            (Method::Get, ["root", wanted]) => {
                let wanted = wanted.to_ascii_lowercase().replace('-', "");
                let roots = config.roots(inside);
                match roots.iter().find(|pem| fingerprint(pem).as_ref() == Some(&wanted)) {
                    Some(pem) => super::json(200, &json!({ "ca": pem })),
                    None => refused(404, "root not found"),
                }
            }
            (Method::Get, ["provisioners"]) => {
                super::json(200, &json!({ "provisioners": config.authority.provisioners, "nextCursor": "" }))
            }
            (Method::Get, ["acme", name, "directory"]) => config.directory(name, exchange),
            (Method::Post, ["sign"]) => config.sign(inside, exchange),
            (Method::Post, ["renew"]) => refused(400, "missing client certificate"),
            _ => super::text(404, "404 page not found\n"),
        }
    }

    fn act(&self, inside: &mut dyn Inside, verb: &str, options: &Value) -> Result<Value, String> {
        match verb {
            // `step ca init`, by its own command line.
            "init" => {
                let init = Init::of(&super::command(inside, options)?)?;
                step_init::found(inside, &init)
            }
            // What `step-ca` does when it starts: everything is read once.
            "check" => {
                let argv = super::command(inside, options)?.argv;
                let config = Config::of(&mut Served::unit(&mut *inside, argv))?;
                config.signer(inside)?;
                Ok(json!({ "stdout": "" }))
            }
            _ => Err(format!("the double `ca` cannot `{verb}`: it knows init and check")),
        }
    }
}

impl Config {
    /// The configuration that the server was started with.
    fn of(served: &mut Served) -> Result<Config, String> {
        let given = served.argv.iter().skip(1).find(|argument| argument.ends_with(".json")).cloned();
        let usual = ["/etc/step-ca/config/ca.json", "/root/.step/config/ca.json"].map(str::to_owned);
        let path = given.into_iter().chain(usual).find(|path| served.inside.text(path).is_some());
        Config::read(served.inside, &path.unwrap_or_default())
    }

    fn read(inside: &mut dyn Inside, path: &str) -> Result<Config, String> {
        let text =
            inside.text(path).ok_or_else(|| format!("error opening {path}: open {path}: no such file or directory"))?;
        serde_json::from_str(&text).map_err(|error| format!("error parsing {path}: {error}"))
    }

    fn roots(&self, inside: &mut dyn Inside) -> Vec<String> {
        let paths = match &self.root {
            Roots::One(path) => std::slice::from_ref(path),
            Roots::Several(paths) => paths,
        };
        paths.iter().filter_map(|path| inside.text(path)).collect()
    }

    fn signer(&self, inside: &mut dyn Inside) -> Result<Signer, String> {
        let missing = |path: &str| format!("error reading {path}: no such file or directory");
        let intermediate = inside.text(&self.crt).ok_or_else(|| missing(&self.crt))?;
        let key = inside.text(&self.key).ok_or_else(|| missing(&self.key))?;
        Signer::read(intermediate, &key)
    }

    /// The directory of an ACME provisioner.
    fn directory(&self, name: &str, exchange: &Exchange) -> Response {
        let is_it = |provisioner: &&Value| provisioner["type"] == "ACME" && provisioner["name"] == name;
        if !self.authority.provisioners.iter().any(|provisioner| is_it(&provisioner)) {
            return refused(404, "provisioner not found");
        }
        let port = if exchange.port == 443 { String::new() } else { format!(":{}", exchange.port) };
        let host = if exchange.host.contains(':') { format!("[{}]", exchange.host) } else { exchange.host.to_owned() };
        let at = |what: &str| format!("https://{host}{port}/acme/{name}/{what}");
        super::json(
            200,
            &json!({
                "newNonce": at("new-nonce"),
                "newAccount": at("new-account"),
                "newOrder": at("new-order"),
                "revokeCert": at("revoke-cert"),
                "keyChange": at("key-change"),
            }),
        )
    }

    /// Signs a request for a certificate, vouched for by a one-time token.
    fn sign(&self, inside: &mut dyn Inside, exchange: &Exchange) -> Response {
        #[derive(Deserialize)]
        struct Body {
            csr: String,
            ott: String,
            #[serde(rename = "notAfter")]
            not_after: Option<String>,
        }
        let now = inside.identity().now;
        let body = exchange.request.body.as_ref().map_or("", |body| body.expose());
        let body: Body = match serde_json::from_str(body) {
            Ok(body) => body,
            Err(error) => return refused(400, &format!("error decoding json: {error}")),
        };
        let Ok(request) = CertificateSigningRequestParams::from_pem(&body.csr) else {
            return refused(400, "missing or invalid csr");
        };
        let (claims, provisioner) = match token::believe(&body.ott, &self.authority.provisioners, &self.names, now) {
            Ok(believed) => believed,
            Err(reason) => return refused(401, &reason),
        };
        if let Err(reason) = matches(&request, &claims) {
            return refused(403, &reason);
        }
        let life = match self.life(provisioner, body.not_after.as_deref(), now) {
            Ok(life) => life,
            Err(reason) => return refused(403, &reason),
        };
        if let Err(reason) = self.spend(inside, &claims, &body.ott) {
            return refused(401, &reason);
        }
        let signed = self.signer(inside).and_then(|signer| signer.sign(request, now, life).map_err(|e| e.to_string()));
        match signed {
            Ok([leaf, intermediate]) => {
                super::json(201, &json!({ "crt": leaf, "ca": intermediate, "certChain": [leaf, intermediate] }))
            }
            Err(reason) => refused(500, &reason),
        }
    }

    /// Remembers that a token was used; it is accepted once.
    fn spend(&self, inside: &mut dyn Inside, claims: &token::Claims, token: &str) -> Result<(), String> {
        let Some(db) = &self.db else { return Ok(()) };
        let id = claims.jti.clone().unwrap_or_else(|| sha256(token.as_bytes()));
        let path = format!("{}/used_ott", db.source);
        if inside.text(&path).is_some_and(|used| used.lines().any(|used| used == id)) {
            return Err("the token was used before".to_owned());
        }
        let append = Op::Append { path, bytes: format!("{id}\n").into_bytes(), sync: false };
        inside.perform(&append).map(drop).map_err(|error| error.message)
    }

    /// How long a certificate shall live: as asked for, within what the claims allow.
    fn life(&self, provisioner: &Value, asked: Option<&str>, now: Timestamp) -> Result<Duration, String> {
        let claim = |name: &str, fallback: Duration| {
            let text = [&provisioner["claims"][name], &self.authority.claims[name]].into_iter().find_map(Value::as_str);
            text.and_then(duration::parse).unwrap_or(fallback)
        };
        let day = Duration::from_secs(24 * 3600);
        let (least, most) = (claim("minTLSCertDuration", Duration::from_secs(300)), claim("maxTLSCertDuration", day));
        let Some(asked) = asked else { return Ok(claim("defaultTLSCertDuration", day)) };
        let until = |end: Timestamp| Duration::try_from(end.duration_since(now)).unwrap_or_default();
        let life = duration::parse(asked)
            .or_else(|| asked.parse().ok().map(until))
            .ok_or_else(|| format!("`{asked}` is no duration and no time"))?;
        let whole = life + BACKDATE;
        if life < least {
            let (asked, least) = (duration::show(whole), duration::show(least));
            return Err(format!(
                "requested duration of {asked} is less than minimum accepted duration for selected provisioner of {least}"
            ));
        }
        if life > most {
            let (asked, most) = (duration::show(whole), duration::show(most + BACKDATE));
            return Err(format!(
                "requested duration of {asked} is more than the authorized maximum certificate duration of {most}"
            ));
        }
        Ok(life)
    }
}

/// Whether a request asks for exactly what the token vouches for.
fn matches(request: &CertificateSigningRequestParams, claims: &token::Claims) -> Result<(), String> {
    let common_name = match request.params.distinguished_name.get(&DnType::CommonName) {
        Some(DnValue::Utf8String(name)) => name.clone(),
        Some(DnValue::PrintableString(name)) => name.to_string(),
        Some(DnValue::Ia5String(name)) => name.to_string(),
        _ => String::new(),
    };
    if common_name != claims.sub {
        return Err(format!(
            "certificate request does not contain the valid common name - got {common_name}, want {}",
            claims.sub
        ));
    }
    let names: BTreeSet<String> = request.params.subject_alt_names.iter().filter_map(name_of).collect();
    let wanted = claims.names();
    if names != wanted {
        return Err(format!("certificate request does not contain the valid names - got {names:?}, want {wanted:?}"));
    }
    Ok(())
}

fn name_of(name: &SanType) -> Option<String> {
    match name {
        SanType::DnsName(name) => Some(name.to_string()),
        SanType::IpAddress(address) => Some(address.to_string()),
        SanType::Rfc822Name(name) | SanType::URI(name) => Some(name.to_string()),
        _ => None,
    }
}

/// A refusal in step-ca's form: its sentence for the status, and the reason.
fn refused(status: u16, reason: &str) -> Response {
    let sentence = match status {
        400 => "The request could not be completed; malformed or missing data.",
        401 => "The request lacked necessary authorization to be completed.",
        403 => "The request was forbidden by the certificate authority.",
        404 => "The requested resource could not be found.",
        _ => "The certificate authority encountered an Internal Server Error.",
    };
    super::json(status, &json!({ "status": status, "message": format!("{sentence} ({reason})") }))
}
