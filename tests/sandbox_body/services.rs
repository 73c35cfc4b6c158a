//! The doubles of Traefik and nginx.

use phoenix::op::{Op, OpValue};
use phoenix::request::{Request, Response, Trust};
use phoenix::sandbox::body::{Body, Template};
use phoenix::sandbox::double;
use phoenix::sandbox::programs::{Inside, NoPrograms, PackageModel, ProgramCall, Programs, UnitModel};
use serde_json::{Value, json};

use super::{around, around_with, booted, exec, perform, write};

/// What a `traefik.model.rhai` says, in Rust.
struct Traefik;

impl Programs for Traefik {
    fn knows(&self, program: &str) -> bool {
        program == "traefik"
    }

    fn run(&self, _call: &ProgramCall, _inside: &mut dyn Inside) -> Option<phoenix::command::Output> {
        None
    }

    fn package(&self, name: &str) -> Option<PackageModel> {
        NoPrograms.package(name)
    }

    fn unit(&self, name: &str) -> Option<UnitModel> {
        (name == "traefik.service").then(|| UnitModel { listens: Vec::new(), serves: Some("traefik".to_owned()) })
    }
}

const STATIC: &str = "\
entryPoints:
  web:
    address: \":80\"
    http:
      redirections:
        entryPoint:
          to: websecure
          scheme: https
  websecure:
    address: \":443\"
ping: {}
api:
  dashboard: true
  insecure: true
providers:
  file:
    directory: /etc/traefik/dynamic
";

const DYNAMIC: &str = "\
http:
  routers:
    app:
      rule: \"Host(`app.example.org`)\"
      entryPoints: [websecure]
      service: app
      tls: {}
    lost:
      rule: \"Host(`lost.example.org`)\"
      service: nowhere
  services:
    app:
      loadBalancer:
        servers:
          - url: http://192.0.2.30:8080
";

fn get(body: &mut Body, port: u16, url: &str) -> Response {
    let request = Request::get(url).trust(Trust::Anybody);
    double::answer(body, &mut around_with(&Traefik), port, &request).unwrap()
}

fn location(response: &Response) -> Option<&str> {
    response.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_str())
}

#[test]
fn traefik_shows_the_routers_of_its_files() {
    let mut body = booted(Template::Debian12);
    let mut does = |op: Op| body.perform(&op, &mut around_with(&Traefik)).result.unwrap();
    does(Op::MakeDir { path: "/etc/traefik/dynamic".to_owned(), attributes: Default::default() });
    does(write("/etc/traefik/traefik.yml", STATIC));
    does(write("/etc/traefik/dynamic/app.yml", DYNAMIC));
    does(write("/etc/traefik/dynamic/README", "no configuration"));
    does(write("/usr/local/bin/traefik", "a program"));
    does(Op::SetAttributes {
        path: "/usr/local/bin/traefik".to_owned(),
        attributes: phoenix::op::Attributes { mode: Some(0o755), ..Default::default() },
    });
    let unit = "[Service]\nType=exec\nExecStart=/usr/local/bin/traefik --configFile=/etc/traefik/traefik.yml\n";
    does(write("/etc/systemd/system/traefik.service", unit));
    does(Op::Unit { name: "traefik".to_owned(), action: phoenix::op::UnitAction::Start });
    assert_eq!(does(Op::Listening), OpValue::Ports([22, 80, 443, 8080].into()));

    assert_eq!(get(&mut body, 8080, "http://192.0.2.10:8080/ping").body, b"OK");
    let routers = get(&mut body, 8080, "http://192.0.2.10:8080/api/http/routers").body;
    let routers: Value = serde_json::from_slice(&routers).unwrap();
    let seen: Vec<Value> =
        routers.as_array().unwrap().iter().map(|r| json!([r["name"], r["status"], r["error"]])).collect();
    let problem = ["the service \"nowhere@file\" does not exist"];
    assert_eq!(seen, [json!(["app@file", "enabled", null]), json!(["lost@file", "disabled", problem])]);
    let raw: Value = serde_json::from_slice(&get(&mut body, 8080, "http://192.0.2.10:8080/api/rawdata").body).unwrap();
    assert_eq!(raw["services"]["app@file"]["status"], "enabled");

    let response = get(&mut body, 80, "http://app.example.org/path");
    assert_eq!((response.status, location(&response)), (301, Some("https://app.example.org/path")));
    assert_eq!(get(&mut body, 443, "https://app.example.org/").status, 502);
    let unknown = get(&mut body, 443, "https://other.example.org/");
    assert_eq!((unknown.status, unknown.chain.len()), (404, 1));

    body.perform(&write("/etc/traefik/dynamic/broken.yml", "a:\n\tb\n"), &mut around()).result.unwrap();
    assert_eq!(get(&mut body, 8080, "http://192.0.2.10:8080/api/http/routers").body, b"[]\n");
}

#[test]
fn nginx_answers_as_its_servers_say() {
    let mut body = with_nginx();
    assert_eq!(get(&mut body, 80, "http://192.0.2.10/").status, 200);
    assert_eq!(get(&mut body, 80, "http://192.0.2.10/none").status, 404);
    let site = "\
server {
    listen 80 default_server;
    location ^~ /.well-known/acme-challenge/ { proxy_pass http://192.0.2.20; }
    location / { return 308 https://$host$request_uri; }
}
server {
    listen 80;
    server_name status.example.org *.apps.example.org;
    location = /up { return 200 \"up\\n\"; }
    location / { return 404; }
}
";
    perform(&mut body, write("/etc/nginx/sites-enabled/default", site)).unwrap();
    assert_eq!(exec(&mut body, &["nginx", "-t"]).0, 0);
    let response = get(&mut body, 80, "http://www.example.org/a/b");
    assert_eq!((response.status, location(&response)), (308, Some("https://www.example.org/a/b")));
    assert_eq!(get(&mut body, 80, "http://www.example.org/.well-known/acme-challenge/x").status, 502);
    assert_eq!(get(&mut body, 80, "http://status.example.org/up").status, 200);
    assert_eq!(get(&mut body, 80, "http://a.apps.example.org/down").status, 404);

    let refusing = "server {\n listen 443 ssl default_server;\n ssl_reject_handshake on;\n}\n";
    perform(&mut body, write("/etc/nginx/sites-enabled/default", refusing)).unwrap();
    let request = Request::get("https://unknown.example.org/").trust(Trust::Anybody);
    let error = double::answer(&mut body, &mut around(), 443, &request).unwrap_err();
    assert_eq!(error, "received fatal alert: UnrecognisedName");
}

#[test]
fn nginx_says_what_is_wrong_with_its_files() {
    let mut body = with_nginx();
    let mut test = |site: &str| {
        perform(&mut body, write("/etc/nginx/sites-enabled/default", site)).unwrap();
        let (code, said) = exec(&mut body, &["nginx", "-t"]);
        (code, said.lines().next().unwrap_or_default().trim_start_matches("nginx: ").to_owned())
    };
    let file = "/etc/nginx/sites-enabled/default";
    let wrong = |words: String| (1, format!("[emerg] {words}"));
    assert_eq!(test("server {\n listen 80\n}\n"), wrong(format!("unexpected \"}}\" in {file}:3")));
    assert_eq!(test("server {\n listen 80;\n"), wrong(format!("unexpected end of file, expecting \"}}\" in {file}:2")));
    assert_eq!(test("}\n"), wrong(format!("unexpected \"}}\" in {file}:1")));
    assert_eq!(
        test("include gone.conf;\n"),
        wrong(format!("open() \"/etc/nginx/gone.conf\" failed (2: No such file or directory) in {file}:1"))
    );
    assert_eq!(test("server {\n http2 on;\n}\n"), wrong(format!("unknown directive \"http2\" in {file}:2")));
    assert_eq!(
        test("server {\n listen 443 ssl;\n ssl_certificate /gone.crt;\n}\n"),
        wrong("cannot load certificate \"/gone.crt\": BIO_new_file() failed (No such file or directory)".to_owned())
    );
    assert_eq!(
        test("server { listen 80 default_server; }\nserver { listen 80 default_server; }\n"),
        wrong(format!("a duplicate default server for 80 in {file}:2"))
    );
    let (_, said) = exec(&mut body, &["systemctl", "restart", "nginx"]);
    assert!(said.starts_with("Job for nginx.service failed"), "{said}");
}

fn with_nginx() -> Body {
    let mut body = booted(Template::Debian12);
    perform(&mut body, Op::RefreshPackages).unwrap();
    perform(&mut body, Op::InstallPackages { names: vec!["nginx".to_owned()], recommends: false }).unwrap();
    let index = Op::Move {
        from: "/var/www/html/index.nginx-debian.html".to_owned(),
        to: "/var/www/html/index.html".to_owned(),
    };
    perform(&mut body, index).unwrap();
    body
}
