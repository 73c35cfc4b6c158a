//! The double of step-ca, end to end: `step ca init`, the server, one-time tokens, certificates that are believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phoenix::command::Output;
use phoenix::op::{Op, OpValue, UnitAction};
use phoenix::request::{Method, Request, Response, Trust};
use phoenix::sandbox::body::{Around, Body, Template};
use phoenix::sandbox::double;
use phoenix::sandbox::programs::{Inside, PackageModel, ProgramCall, Programs, UnitModel};
use phoenix::secret::Sealed;
use rcgen::{CertificateParams, DnType, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::{around_with, exec_op, write};

/// What a `step_ca.model.rhai` says, in Rust.
struct Step;

impl Programs for Step {
    fn knows(&self, program: &str) -> bool {
        matches!(program, "step" | "step-ca")
    }

    fn run(&self, call: &ProgramCall, inside: &mut dyn Inside) -> Option<Output> {
        let answer = match (call.name(), call.args()) {
            ("step", [ca, init, ..]) if ca == "ca" && init == "init" => inside.double("ca", "init", json!({})),
            ("step-ca", _) => inside.double("ca", "check", json!({})),
            _ => return None,
        };
        Some(match answer {
            Ok(_) => Output::default(),
            Err(words) => Output::failure(1, words),
        })
    }

    fn package(&self, name: &str) -> Option<PackageModel> {
        let programs = match name {
            "step-cli" => vec!["step".to_owned()],
            "step-ca" => vec!["step-ca".to_owned()],
            _ => return None,
        };
        Some(PackageModel { programs, ..PackageModel::default() })
    }

    fn unit(&self, name: &str) -> Option<UnitModel> {
        (name == "step-ca.service").then(|| UnitModel { listens: Vec::new(), serves: Some("ca".to_owned()) })
    }
}

/// A running authority, and the provisioner key that it knows the public half of.
struct Authority {
    body: Body,
    key: EcdsaKeyPair,
    root: String,
    seconds: i64,
}

impl Authority {
    fn start(claims: Value) -> Authority {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let mut body = Body::of_template(Template::Debian12);
        body.boot(&mut around_with(&Step));
        let mut authority = Authority { body, key, root: String::new(), seconds: 60 };
        authority.does(Op::RefreshPackages);
        let names = vec!["step-cli".to_owned(), "step-ca".to_owned()];
        authority.does(Op::InstallPackages { names, recommends: false });
        let init = |more: &[&str]| {
            let argv = ["step", "ca", "init", "--name", "Example", "--dns", "ca.example.org", "--dns=192.0.2.10"];
            let mut exec = exec_op(&[&argv, more].concat());
            exec.env.insert("STEPPATH".to_owned(), Sealed::plain("/etc/step-ca"));
            exec.user = Some("daemon".to_owned());
            Op::Exec(exec)
        };
        let words = |value: OpValue| match value {
            OpValue::Output(output) => (output.code, output.tail(1)),
            other => panic!("{other:?}"),
        };
        let refused = words(authority.does(init(&[])));
        assert_eq!(refused, (1, "flag '--provisioner' is required without a terminal".to_owned()));
        let refused = words(authority.does(init(&["--what"])));
        assert_eq!(refused, (1, "flag provided but not defined: what".to_owned()));
        assert_eq!(words(authority.does(init(&["--provisioner", "admin", "--acme"]))).0, 0);
        let OpValue::Stat(Some(key)) = authority.does(Op::Stat { path: "/etc/step-ca/secrets/root_ca_key".to_owned() })
        else {
            panic!()
        };
        assert_eq!((key.mode, key.owner.as_str(), key.group.as_str()), (0o600, "daemon", "daemon"));
        let again = words(authority.does(init(&["--provisioner", "admin"])));
        assert_eq!(again, (1, "/etc/step-ca/config/ca.json already exists".to_owned()));

        let mut config: Value = serde_json::from_str(&authority.text("/etc/step-ca/config/ca.json")).unwrap();
        let provisioner = json!({ "type": "JWK", "name": "phoenix", "key": authority.jwk(), "claims": claims });
        config["authority"]["provisioners"].as_array_mut().unwrap().push(provisioner);
        authority.does(write("/etc/step-ca/config/ca.json", &config.to_string()));
        let unit = "[Service]\nType=exec\nExecStart=/usr/bin/step-ca /etc/step-ca/config/ca.json --password-file /etc/step-ca/p\n";
        authority.does(write("/etc/systemd/system/step-ca.service", unit));
        authority.does(Op::Unit { name: "step-ca".to_owned(), action: UnitAction::Start });
        authority.root = authority.text("/etc/step-ca/certs/root_ca.crt");
        authority
    }

    fn around(&self) -> Around<'static> {
        let mut around = around_with(&Step);
        around.identity.now += jiff::SignedDuration::from_secs(self.seconds);
        around
    }

    fn does(&mut self, op: Op) -> OpValue {
        let mut around = self.around();
        self.body.perform(&op, &mut around).result.unwrap()
    }

    fn text(&mut self, path: &str) -> String {
        match self.does(Op::Read { path: path.to_owned(), limit: 1 << 20 }) {
            OpValue::Bytes(Some(bytes)) => String::from_utf8(bytes).unwrap(),
            other => panic!("{path}: {other:?}"),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Response, String> {
        let mut around = self.around();
        double::answer(&mut self.body, &mut around, 9000, request)
    }

    fn get(&mut self, path: &str) -> Response {
        let request = Request::get(format!("https://192.0.2.10:9000{path}"));
        let trust = Trust::Roots(self.root.clone());
        self.ask(&request.trust(trust)).unwrap()
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, thumbprint.as_bytes()));
        json!({ "use": "sig", "kty": "EC", "kid": kid, "crv": "P-256", "alg": "ES256", "x": x, "y": y })
    }

    /// A token for these names, with these claims over the usual ones.
    fn token(&self, names: &[&str], other: &Value) -> String {
        let now = self.around().identity.now.as_second();
        let header = json!({ "alg": "ES256", "kid": self.jwk()["kid"], "typ": "JWT" });
        let mut claims = json!({
            "aud": "https://192.0.2.10:9000/1.0/sign", "iss": "phoenix", "sub": names[0], "sans": names,
            "nbf": now, "exp": now + 300, "jti": format!("{names:?}{now}"),
        });
        for (name, value) in other.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn sign(&mut self, names: &[&str], token: String, not_after: Option<&str>) -> (u16, Value) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, names[0].as_str());
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        let mut body = json!({ "csr": csr, "ott": token });
        if let Some(not_after) = not_after {
            body["notAfter"] = json!(not_after);
        }
        let request = Request::post_json("https://192.0.2.10:9000/1.0/sign", Sealed::plain(body.to_string()));
        let response = self.ask(&request.trust(Trust::Roots(self.root.clone()))).unwrap();
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }
}

const NAMES: [&str; 2] = ["web.example.org", "192.0.2.20"];

#[test]
fn the_public_part_of_the_api() {
    let mut ca = Authority::start(json!({}));
    assert_eq!(ca.does(Op::Listening), OpValue::Ports([9000].into()));
    let get = |ca: &mut Authority, path: &str| {
        let response = ca.get(path);
        (response.status, String::from_utf8(response.body).unwrap())
    };
    assert_eq!(get(&mut ca, "/health"), (200, "{\"status\":\"ok\"}\n".to_owned()));
    assert_eq!(get(&mut ca, "/roots.pem"), (200, ca.root.clone()));
    let defaults: Value = serde_json::from_str(&ca.text("/etc/step-ca/config/defaults.json")).unwrap();
    let fingerprint = defaults["fingerprint"].as_str().unwrap().to_owned();
    let (status, root) = get(&mut ca, &format!("/root/{fingerprint}"));
    assert_eq!((status, serde_json::from_str::<Value>(&root).unwrap()), (200, json!({ "ca": ca.root })));
    assert_eq!(get(&mut ca, "/root/00").0, 404);
    let (_, provisioners) = get(&mut ca, "/1.0/provisioners");
    let provisioners: Value = serde_json::from_str(&provisioners).unwrap();
    let names: Vec<&str> =
        provisioners["provisioners"].as_array().unwrap().iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["admin", "acme", "phoenix"]);
    let (_, directory) = get(&mut ca, "/acme/acme/directory");
    assert!(directory.contains("https://192.0.2.10:9000/acme/acme/new-order"), "{directory}");
    assert_eq!(get(&mut ca, "/acme/none/directory").0, 404);
    assert_eq!(get(&mut ca, "/what").0, 404);
}

#[test]
fn only_who_believes_the_root_talks_to_it() {
    let mut ca = Authority::start(json!({}));
    let get = |url: &str| Request::get(url);
    let own = Trust::Roots(ca.root.clone());
    let unbelieved = ca.ask(&get("https://192.0.2.10:9000/health")).unwrap_err();
    assert_eq!(unbelieved, "invalid peer certificate: UnknownIssuer");
    let other_name = ca.ask(&get("https://192.0.2.99:9000/health").trust(own.clone())).unwrap_err();
    assert!(other_name.starts_with("invalid peer certificate: certificate not valid for name"), "{other_name}");
    let response = ca.ask(&get("https://192.0.2.10:9000/health").trust(Trust::Anybody)).unwrap();
    assert_eq!(response.chain.len(), 2);
    assert_eq!(ca.ask(&get("http://192.0.2.10:9000/health")).unwrap().status, 400);
    assert_eq!(ca.ask(&get("https://ca.example.org:9000/health").trust(own)).unwrap().status, 200);

    ca.does(Op::Unit { name: "step-ca".to_owned(), action: UnitAction::Stop });
    assert_eq!(ca.ask(&get("https://192.0.2.10:9000/health")).unwrap_err(), "connection refused");
}

#[test]
fn a_request_with_a_token_becomes_a_certificate_that_is_believed() {
    let mut ca = Authority::start(json!({ "defaultTLSCertDuration": "720h", "maxTLSCertDuration": "720h" }));
    let token = ca.token(&NAMES, &json!({}));
    let (status, signed) = ca.sign(&NAMES, token.clone(), None);
    assert_eq!(status, 201, "{signed}");
    let chain: Vec<&str> = signed["certChain"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(chain, [signed["crt"].as_str().unwrap(), signed["ca"].as_str().unwrap()]);

    let (_, pem) = x509_parser::pem::parse_x509_pem(chain[0].as_bytes()).unwrap();
    let leaf = pem.parse_x509().unwrap();
    let now = ca.around().identity.now.as_second();
    assert_eq!(leaf.validity().not_before.timestamp(), now - 60);
    assert_eq!(leaf.validity().not_after.timestamp(), now + 720 * 3600);

    // Its owner serves with it, and clients with the root believe it, for all its names and for no other.
    let mut server = super::booted(Template::Debian12);
    let mut around = super::around();
    for op in [
        Op::RefreshPackages,
        Op::InstallPackages { names: vec!["nginx".to_owned()], recommends: false },
        write(
            "/etc/nginx/sites-enabled/default",
            "server {\n listen 443 ssl;\n ssl_certificate /etc/nginx/web.crt;\n return 204;\n}\n",
        ),
        write("/etc/nginx/web.crt", &chain.concat()),
    ] {
        server.perform(&op, &mut around).result.unwrap();
    }
    let mut ask = |url: &str, root: &str| {
        let request = Request::get(url).trust(Trust::Roots(root.to_owned()));
        double::answer(&mut server, &mut around, 443, &request).map(|response| response.status)
    };
    assert_eq!(ask("https://web.example.org/", &ca.root), Ok(204));
    assert_eq!(ask("https://192.0.2.20/", &ca.root), Ok(204));
    assert!(ask("https://other.example.org/", &ca.root).is_err());
    assert!(ask("https://web.example.org/", "").is_err());

    // The token is spent, also after a restart of the machine.
    ca.body.halt();
    let mut around = ca.around();
    ca.body.boot(&mut around);
    ca.does(Op::Unit { name: "step-ca".to_owned(), action: UnitAction::Start });
    let (status, refused) = ca.sign(&NAMES, token, None);
    assert_eq!((status, refused["message"].as_str().unwrap().contains("was used before")), (401, true), "{refused}");
}

#[test]
fn a_token_vouches_for_what_it_says_and_nothing_else() {
    let mut ca = Authority::start(json!({}));
    let now = ca.around().identity.now.as_second();
    let mut refuses = |claims: Value, names: &[&str], status: u16, words: &str| {
        ca.seconds += 1;
        let token = ca.token(&NAMES, &claims);
        let (code, refused) = ca.sign(names, token, None);
        let message = refused["message"].as_str().unwrap_or_default().to_owned();
        assert!(code == status && message.contains(words), "{claims}: {code} {message}");
    };
    refuses(json!({ "aud": "https://other.example.org/1.0/sign" }), &NAMES, 401, "the token is for");
    refuses(json!({ "aud": "https://192.0.2.10:9000/revoke" }), &NAMES, 401, "the token is for");
    refuses(json!({ "exp": now - 100 }), &NAMES, 401, "has expired");
    refuses(json!({ "nbf": now + 1000 }), &NAMES, 401, "not valid yet");
    refuses(json!({ "iss": "admin" }), &NAMES, 401, "its key belongs to");
    refuses(json!({ "sub": "" }), &NAMES, 401, "names nobody");
    refuses(json!({ "sans": ["web.example.org"] }), &NAMES, 403, "valid names");
    refuses(json!({ "sub": "192.0.2.20" }), &NAMES, 403, "valid common name");
    refuses(json!({}), &["web.example.org"], 403, "valid names");
    refuses(json!({}), &["web.example.org", "192.0.2.20", "more.example.org"], 403, "valid names");

    let forged = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let random = SystemRandom::new();
    let honest = std::mem::replace(
        &mut ca.key,
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, forged.as_ref(), &random).unwrap(),
    );
    let token = ca.token(&NAMES, &json!({}));
    let (status, refused) = ca.sign(&NAMES, token.clone(), None);
    assert!(status == 401 && refused["message"].as_str().unwrap().contains("no provisioner has the key"), "{refused}");
    ca.key = honest;
    let honest = ca.token(&NAMES, &json!({}));
    let (header, _) = honest.split_once('.').unwrap();
    let [_, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let (status, refused) = ca.sign(&NAMES, format!("{header}.{payload}.{signature}"), None);
    assert!(
        status == 401 && refused["message"].as_str().unwrap().contains("not by the provisioner's key"),
        "{refused}"
    );
}

#[test]
fn the_claims_bound_how_long_a_certificate_lives() {
    let mut ca = Authority::start(json!({ "minTLSCertDuration": "1h", "maxTLSCertDuration": "48h" }));
    let mut ask = |not_after: &str| {
        ca.seconds += 1;
        let token = ca.token(&NAMES, &json!({}));
        let (status, answer) = ca.sign(&NAMES, token, Some(not_after));
        (status, answer["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ask("48h").0, 201);
    assert_eq!(ask("2026-01-02T00:00:00Z").0, 201);
    let (status, words) = ask("49h");
    assert!(
        status == 403
            && words.contains(
                "requested duration of 49h1m0s is more than the authorized maximum certificate duration of 48h1m0s"
            ),
        "{words}"
    );
    assert_eq!(ask("30m").0, 403);
    assert_eq!(ask("soon").0, 403);
}

#[test]
fn a_damaged_authority_does_not_start() {
    let mut ca = Authority::start(json!({}));
    ca.does(Op::Unit { name: "step-ca".to_owned(), action: UnitAction::Stop });
    ca.does(Op::Remove { path: "/etc/step-ca/secrets/intermediate_ca_key".to_owned(), recursive: false });
    let mut around = ca.around();
    let start = Op::Unit { name: "step-ca".to_owned(), action: UnitAction::Start };
    assert!(ca.body.perform(&start, &mut around).result.is_err());
    assert_eq!(
        ca.ask(&Request { method: Method::Head, ..Request::get("https://192.0.2.10:9000/") }).unwrap_err(),
        "connection refused"
    );
}
