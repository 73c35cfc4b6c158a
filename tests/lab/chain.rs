//! The platform in the lab: the authority, the router (Traefik, with a certificate by ACME), the gateway and a service, in
//! containers that the shipped declarations and scripts made. What the network would bring comes from this machine.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use ring::digest;
use serde_json::json;

use super::{Laboratory, until};
use crate::features::authority;
use crate::features::real::server;

const APP: &str = "app.lab.example.org";
const ACME: &str = "acme.lab.example.org";

/// What is not there yet to be declared: where packages come from, a service, and routes to it.
const MIRROR: &str = r#"
const FEATURE = #{ name: "mirror", summary: "Packages of the authority, from this machine", targets: ["lxc"],
    params: #{ url: #{ type: "string", doc: "where they are" } } };
fn apply(guest, params) {
    guest.file("/etc/apt/sources.list.d/mirror.list", #{ content: `deb [trusted=yes] ${params.url} ./` + "\n" });
}
"#;
const SERVICE: &str = r#"
const FEATURE = #{ name: "service", summary: "A service with a certificate", targets: ["lxc"],
    needs: ["base_setup"], after: ["trusted_ca"], consumes: ["step_ca/root.crt", "step_ca/url"] };
fn apply(guest, params) {
    guest.certificate("/etc/ssl/private/service.crt", #{ names: [guest.ip], key: "/etc/ssl/private/service.key" });
    guest.dir("/srv/service");
    guest.file("/srv/service/hello", #{ content: "hello from " + guest.name + "\n" });
    let unit = "[Service]\nWorkingDirectory=/srv/service\nExecStart=/usr/bin/openssl s_server -quiet -accept 8443 -WWW " +
        "-cert /etc/ssl/private/service.crt -cert_chain /etc/ssl/private/service.crt -key /etc/ssl/private/service.key\n[Install]\nWantedBy=multi-user.target\n";
    guest.file("/etc/systemd/system/service.service", #{ content: unit });
    guest.service("service.service", #{ enabled: true, running: true });
}
"#;
const ROUTE: &str = r#"
const FEATURE = #{ name: "route", summary: "Routes to the service", targets: ["lxc"], needs: ["traefik"] };
fn apply(guest, params) {
    guest.file("/etc/traefik/dynamic/app.yml", #{ group: "traefik", mode: "0640", content:
`http:
  routers:
    app: { rule: 'Host("app.lab.example.org")', entryPoints: [websecure], service: app, tls: {} }
    acme: { rule: 'Host("acme.lab.example.org")', entryPoints: [websecure], service: app, tls: { certResolver: internal } }
  services:
    app: { loadBalancer: { serversTransport: internal-ca, servers: [{ url: "https://10.20.0.20:8443" }] } }
` });
}
"#;

/// The shipped platform, with a service, for a machine without a way out.
fn platform() -> Laboratory {
    let lab = Laboratory::new();
    let files = lab.path("files");
    std::fs::create_dir_all(&files).unwrap();
    authority::repository(&files);
    let traefik = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/tools/bin/traefik");
    assert!(traefik.exists(), "this test needs Traefik: `./tests/run` installs it");
    let digest = digest::digest(&digest::SHA256, &std::fs::read(&traefik).unwrap());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let packed = Command::new("tar")
        .arg("-C")
        .arg(traefik.parent().unwrap())
        .arg("-cf")
        .arg(files.join("traefik.tar"))
        .arg("traefik")
        .status()
        .unwrap();
    assert!(packed.success());
    let mirror = format!("http://{}:{}", phoenix::lab::NEXT_HOP, server(files));

    lab.script("features/mirror.rhai", MIRROR);
    lab.script("features/service.rhai", SERVICE);
    lab.script("features/route.rhai", ROUTE);
    lab.declare(|all| {
        let from_here = json!({ "source": "distribution" });
        all["900"]["features"] = json!(["mirror", "base_setup"]);
        all["900"]["params"] =
            json!({ "mirror": { "url": mirror }, "base_setup": { "packages": ["ca-certificates"] } });
        for id in ["103", "102", "101"] {
            all[id]["params"]["base_setup"] = json!({ "packages": ["ca-certificates"] });
        }
        all["103"]["params"]["step_ca"]["source"] = json!("distribution");
        all["102"]["params"]["step_cli"] = from_here.clone();
        all["102"]["params"]["traefik"] = json!({ "url": format!("{mirror}/traefik.tar"), "sha256": digest });
        all["102"]["features"].as_array_mut().unwrap().push(json!("route"));
        all["102"]["dns_records"] = json!([{ "hostname": ACME, "ip": "10.20.0.12" }]);
        all["101"]["params"]["step_cli"] = from_here;
        let mut service = all["101"].clone();
        for field in ["application_script", "roles", "firewall", "params", "mac_address"] {
            service.as_object_mut().unwrap().remove(field);
        }
        service["name"] = json!("service");
        service["network_config"]["ip"] = json!("10.20.0.20/24");
        service["features"] = json!(["trusted_ca", "service"]);
        service["traefik_service"] = json!({ "name": "app", "port": 8443, "scheme": "https" });
        all["104"] = service;
    });
    lab
}

#[test]
fn a_request_goes_through_the_whole_platform() {
    let lab = platform();
    lab.converges("authority, router, gateway, service", &["900", "103", "102", "101", "104"]);
    let began = Instant::now();
    lab.told(&["health", "103", "102", "101", "104"]);

    let root = lab.path("root.crt");
    std::fs::write(&root, lab.inside("103", "cat /etc/step-ca/certs/root_ca.crt")).unwrap();
    // Our root alone is believed.
    let curl = |name: &str, to: &str, path: &str| -> Output {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--max-time", "20", "--capath", "/nonexistent", "--cacert"]).arg(&root);
        curl.args(["--resolve", &format!("{name}:443:{}", lab.seen(to)), &format!("https://{name}{path}")]);
        curl.output().unwrap()
    };
    let hello = until(|| curl(APP, "10.20.0.15", "/hello"), |output| output.stdout.starts_with(b"hello"));
    assert_eq!(String::from_utf8_lossy(&hello.stdout), "hello from service\n", "{hello:?}");
    // The router's own certificate for a name comes by ACME: the authority finds it by that name.
    let acme = until(|| curl(ACME, "10.20.0.12", "/hello"), |output| output.status.success());
    let log = || lab.inside("102", "journalctl -u traefik --no-pager | tail -20");
    assert_eq!(String::from_utf8_lossy(&acme.stdout), "hello from service\n", "{acme:?}\n{}", log());
    // Nobody believes them without it.
    let mut stranger = Command::new("curl");
    stranger.args(["-sS", "--noproxy", "*", "--resolve", &format!("{APP}:443:{}", lab.seen("10.20.0.15"))]);
    assert_eq!(stranger.arg(format!("https://{APP}/hello")).output().unwrap().status.code(), Some(60));
    println!("asked through gateway and router after {:.1?}", began.elapsed());
}
