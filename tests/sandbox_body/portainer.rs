//! The doubles of Portainer: the traps that a client runs into. Names in capitals are pitfalls of the predecessor.

use phoenix::command::Output;
use phoenix::op::{Attributes, Op, OpValue, UnitAction};
use phoenix::request::{Method, Request, Response, Trust};
use phoenix::sandbox::body::{Body, Template};
use phoenix::sandbox::double;
use phoenix::sandbox::programs::{Inside, PackageModel, ProgramCall, Programs, UnitModel};
use phoenix::secret::Sealed;
use serde_json::{Value, json};

use super::{around_with, booted, exec_op, write};

/// What `docker.model.rhai` says, in Rust.
struct Docker;

impl Programs for Docker {
    fn knows(&self, program: &str) -> bool {
        matches!(program, "docker" | "dockerd")
    }

    fn run(&self, call: &ProgramCall, inside: &mut dyn Inside) -> Option<Output> {
        if !self.knows(call.name()) {
            return None;
        }
        let answer = inside.double("docker", call.name(), json!({})).unwrap();
        let text = |key: &str| answer[key].as_str().unwrap().as_bytes().to_vec();
        let code = i32::try_from(answer["code"].as_i64().unwrap()).unwrap();
        Some(Output { code, stdout: text("stdout"), stderr: text("stderr"), ..Output::default() })
    }

    fn package(&self, _: &str) -> Option<PackageModel> {
        None
    }

    fn unit(&self, name: &str) -> Option<UnitModel> {
        let serves = Some("docker".to_owned());
        (name == "docker.service").then(|| UnitModel { serves, ..UnitModel::default() })
    }
}

const FILE: [&str; 2] = ["--admin-password-file", "/run/portainer/admin_password"];

/// A machine with Docker, and its clock.
struct Machine {
    body: Body,
    now: jiff::Timestamp,
}

impl Machine {
    fn new() -> Machine {
        let mut machine = Machine { body: booted(Template::Debian12), now: "2026-01-01T00:00:00Z".parse().unwrap() };
        for path in ["/usr/bin/docker", "/usr/bin/dockerd"] {
            machine.does(write(path, "a program"));
            let attributes = Attributes { mode: Some(0o755), ..Attributes::default() };
            machine.does(Op::SetAttributes { path: path.to_owned(), attributes });
        }
        machine.does(write("/etc/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/dockerd\n"));
        machine.does(Op::Unit { name: "docker.service".to_owned(), action: UnitAction::Start });
        machine.does(Op::MakeDir { path: "/srv/conf".to_owned(), attributes: Attributes::default() });
        machine.does(write("/srv/conf/admin_password", "a password of its own\n"));
        machine
    }

    /// One with a server of this version, started with these arguments.
    fn serving(version: &str, arguments: &[&str]) -> Machine {
        let mut machine = Machine::new();
        machine.serve(version, arguments);
        machine
    }

    fn does(&mut self, op: Op) -> OpValue {
        let mut around = around_with(&Docker);
        around.identity.now = self.now;
        self.body.perform(&op, &mut around).result.unwrap()
    }

    fn docker(&mut self, line: &str) -> Output {
        let words: Vec<&str> = line.split(' ').collect();
        match self.does(Op::Exec(exec_op(&words))) {
            OpValue::Output(output) => output,
            other => panic!("{other:?}"),
        }
    }

    /// Runs the server; answers whether it lives, and its log.
    fn serve(&mut self, version: &str, arguments: &[&str]) -> (String, String) {
        self.docker("docker rm -f portainer");
        let run =
            "docker run -d --name portainer -p 9443:9443 -p 9000:9000 -v /srv/data:/data -v /srv/conf:/run/portainer";
        self.docker(format!("{run} portainer/portainer-ce:{version} {}", arguments.join(" ")).trim_end());
        let state = self.docker("docker ps -a --filter name=portainer --format {{.State}}").text();
        (state.trim().to_owned(), self.docker("docker logs portainer").text())
    }

    fn ask(&mut self, request: &Request) -> Result<Response, String> {
        let mut around = around_with(&Docker);
        around.identity.now = self.now;
        let port = request.url.split(['/', ':']).nth(4).unwrap().parse().unwrap();
        double::answer(&mut self.body, &mut around, port, &request.clone().trust(Trust::Anybody))
    }

    fn get(&mut self, path: &str) -> Response {
        self.ask(&Request::get(format!("https://192.0.2.10:9443/api/{path}"))).unwrap()
    }

    fn post(&mut self, path: &str, headers: &[(&str, &str)], body: Value) -> (u16, Value) {
        let mut request =
            Request::post_json(format!("https://192.0.2.10:9443/api/{path}"), Sealed::plain(body.to_string()));
        request.headers.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), Sealed::plain(*value))));
        let response = self.ask(&request).unwrap();
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }
}

fn credentials(name: &str, password: &str) -> Value {
    json!({ "Username": name, "Password": password })
}

#[test]
fn r5_an_administrator_by_file_is_there_from_the_first_moment() {
    let mut machine = Machine::serving("2.45.0", &FILE);
    assert_eq!(machine.get("users/admin/check").status, 204);
    let status: Value = serde_json::from_slice(&machine.get("system/status").body).unwrap();
    assert_eq!((status["Version"].as_str(), status["InstanceID"].as_str().unwrap().len()), (Some("2.45.0"), 36));
    // Whoever comes later is told that there is one, whatever token they have.
    let (code, answer) = machine.post("auth", &[], credentials("admin", "a password of its own"));
    assert_eq!(code, 200);
    let mut request = Request::get("https://192.0.2.10:9443/api/users/me");
    assert_eq!(machine.ask(&request).unwrap().status, 401);
    let bearer = format!("Bearer {}", answer["jwt"].as_str().unwrap());
    request.headers.push(("Authorization".to_owned(), Sealed::plain(bearer)));
    let me: Value = serde_json::from_slice(&machine.ask(&request).unwrap().body).unwrap();
    assert_eq!(me, json!({ "Id": 1, "Username": "admin", "Role": 1 }));
    machine.now += jiff::SignedDuration::from_hours(9);
    assert_eq!(machine.ask(&request).unwrap().status, 401);
    assert_eq!(machine.post("auth", &[], credentials("admin", "another")).0, 422);
}

#[test]
fn the_first_administrator_by_request_has_five_minutes() {
    let mut machine = Machine::serving("2.39.6", &[]);
    assert_eq!(machine.get("users/admin/check").status, 404);
    assert_eq!(machine.post("users/admin/init", &[], credentials("admin", "short")).0, 400);
    assert_eq!(machine.post("users/admin/init", &[], credentials("the admin", "long enough for it")).0, 400);
    machine.now += jiff::SignedDuration::from_mins(6);
    let late = machine.get("system/status");
    let reason = late.headers.iter().find(|(name, _)| name == "redirect-reason").map(|(_, value)| value.as_str());
    assert_eq!((late.status, reason), (303, Some("AdminInitTimeout")));
    assert_eq!(machine.get("status").status, 200);

    machine.docker("docker restart portainer");
    assert_eq!(machine.post("users/admin/init", &[], credentials("admin", "long enough for it")).0, 200);
    assert_eq!(machine.post("users/admin/init", &[], credentials("admin", "long enough for it")).0, 409);
    machine.now += jiff::SignedDuration::from_mins(6);
    assert_eq!(machine.get("users/admin/check").status, 204);
}

#[test]
fn later_versions_want_a_token_for_the_first_administrator() {
    let mut machine = Machine::serving("2.45.0", &["--setup-token", "known"]);
    let init = credentials("admin", "long enough for it");
    let (code, answer) = machine.post("users/admin/init", &[], init.clone());
    assert_eq!(code, 403);
    assert!(answer["message"].as_str().unwrap().contains("X-Setup-Token"), "{answer}");
    assert_eq!(machine.post("users/admin/init", &[("x-setup-token", "known")], init).0, 200);
}

#[test]
fn l31_flags_about_docker_hosts_show_no_certificate() {
    let mut machine = Machine::new();
    let tls = ["--tlsverify", "--tlscert", "/run/portainer/a.crt", "--tlskey", "/run/portainer/a.key"];
    assert_eq!(machine.serve("2.39.6", &tls).0, "running");
    let shown = machine.get("status").chain;
    // Those that count must be there when it starts.
    let (state, log) =
        machine.serve("2.39.6", &["--sslcert", "/run/portainer/a.crt", "--sslkey", "/run/portainer/a.key"]);
    assert_eq!(state, "exited");
    assert!(log.contains("open /run/portainer/a.crt: no such file"), "{log}");
    assert_eq!(shown.len(), 1);
}

#[test]
fn data_outlives_the_container_but_no_older_version() {
    let mut machine = Machine::serving("2.45.0", &FILE);
    let instance = machine.get("system/status").body;
    assert_eq!(machine.serve("2.45.0", &FILE).0, "running");
    assert_eq!(machine.get("system/status").body, instance);
    // The file only counts where there is no administrator.
    machine.does(write("/srv/conf/admin_password", "another password\n"));
    machine.serve("2.45.0", &FILE);
    assert_eq!(machine.post("auth", &[], credentials("admin", "a password of its own")).0, 200);
    let (state, log) = machine.serve("2.39.6", &FILE);
    assert_eq!(state, "exited");
    assert!(log.contains("database schema version"), "{log}");
}

#[test]
fn what_it_does_not_start_with() {
    let mut machine = Machine::new();
    let both = ["--admin-password", "$2y$05$x", "--admin-password-file", "/run/portainer/admin_password"];
    for (arguments, words) in [
        (&both[..], "Cannot use --admin-password with --admin-password-file"),
        (&["--admin-password-file", "/run/none"], "failed getting admin password file: open /run/none"),
        (&["--sslcert", "/run/portainer/a.crt"], "both --sslcert and --sslkey"),
        (&["--port", "9443"], "unknown long flag '--port'"),
    ] {
        let (state, log) = machine.serve("2.39.6", arguments);
        assert_eq!(state, "exited", "{arguments:?}");
        assert!(log.contains(words), "{log}");
    }
}

#[test]
fn an_agent_answers_its_ping_and_whoever_signs() {
    let mut machine = Machine::new();
    machine.docker("docker run -d --name lonely -p 9002:9001 portainer/agent:2.39.6");
    assert!(machine.docker("docker logs lonely").text().contains("unable to retrieve information from Docker"));
    let socket = "-v /var/run/docker.sock:/var/run/docker.sock";
    machine.docker(&format!("docker run -d --name agent -p 9001:9001 {socket} portainer/agent:2.39.6"));
    let ping = machine.ask(&Request::get("https://192.0.2.10:9001/ping")).unwrap();
    let header = |name: &str| ping.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(
        (ping.status, header("portainer-agent"), header("portainer-agent-platform")),
        (204, Some("2.39.6"), Some("1"))
    );
    let docker = machine.ask(&Request::get("https://192.0.2.10:9001/containers/json")).unwrap();
    assert_eq!(docker.status, 403);
    let plain = Request { method: Method::Get, ..Request::get("http://192.0.2.10:9001/ping") };
    assert_eq!(machine.ask(&plain).unwrap().status, 400);
    // Nobody vouches for its certificate.
    let mut around = around_with(&Docker);
    let believed = double::answer(&mut machine.body, &mut around, 9001, &Request::get("https://192.0.2.10:9001/ping"));
    assert!(believed.is_err());
}
