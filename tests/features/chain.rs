//! The way of a request through the platform, with the real programs: client, gateway (nginx), router (Traefik),
//! backend, over TLS with the certificates of the real authority and its root alone. All of it is set up by the shipped
//! scripts in three real containers; only the route to the backend is written by the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use phoenix::host::Host as _;
use phoenix::lab::NEXT_HOP as MACHINE;
use phoenix::machine::CertificateSpec;
use phoenix::op::{Op, OpValue};
use phoenix::request::{Request, Trust};
use ring::digest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::authority::offer_packages;
use super::stand::Stand;

/// A service behind the router, as the gateway's parameters and the route below name it.
const APP: &str = "app.example.org";

/// The platform in containers, and a backend on this machine.
struct Chain {
    stand: Stand,
    gateway: String,
    folder: tempfile::TempDir,
}

impl Chain {
    fn stand() -> Chain {
        let stand = Stand::boot(&["ca", "gateway", "router"]);
        offer_packages(stand.container("ca"));
        stand.converges("ca", "step_ca", &json!({ "source": "distribution" }));
        // Where the authority finds who asks for a certificate by ACME; the platform's DNS comes with `sync`.
        let router = stand.container("router").address();
        stand.container("ca").sh(&format!("echo '{router} acme.example.org' >>/etc/hosts"));

        let traefik = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/tools/bin/traefik");
        assert!(traefik.exists(), "this test needs Traefik: `./tests/run` installs it");
        let digest = digest::digest(&digest::SHA256, &std::fs::read(&traefik).unwrap());
        let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        // The program is where a download would leave it.
        stand.container("router").put(&traefik, "/usr/local/bin/traefik");
        stand.converges("router", "trusted_ca", &json!({}));
        stand.converges("router", "traefik", &json!({ "sha256": digest }));
        stand.converges("router", "router", &json!({ "dashboard_sources": ["198.51.100.0/24", "169.254.0.0/16"] }));

        stand.converges("gateway", "trusted_ca", &json!({}));
        stand.converges("gateway", "gateway", &json!({ "names": [APP, "unrouted.example.org"] }));

        let gateway = stand.container("gateway").address();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.crt"), stand.artifact("step_ca/root.crt")).unwrap();
        let chain = Chain { stand, gateway, folder };
        chain.route(chain.backend());
        chain
    }

    /// A backend on this machine with a certificate of its own; answers its port.
    fn backend(&self) -> u16 {
        let spec = CertificateSpec {
            names: vec![MACHINE.to_owned()],
            cert: "/etc/ssl/private/backend.crt".to_owned(),
            key: "/etc/ssl/private/backend.key".to_owned(),
            ..CertificateSpec::default()
        };
        let key = self.stand.secrets().provisioner_key().unwrap();
        self.stand.machine("ca").certificate(&spec, &self.stand.authority(), &key).unwrap();
        let read = |path: &str| {
            let op = Op::Read { path: path.to_owned(), limit: 1 << 16 };
            let place = self.stand.container("ca").place();
            let OpValue::Bytes(Some(bytes)) = self.stand.host.perform(place, &[op]).unwrap().remove(0).unwrap() else {
                panic!("no {path}")
            };
            bytes
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(&spec.cert)).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(&read(&spec.key)).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                let config = config.clone();
                std::thread::spawn(move || serve(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)));
            }
        });
        port
    }

    /// Routes to the backend, and one whose certificate the router gets by itself.
    fn route(&self, port: u16) {
        let file = self.folder.path().join("app.yml");
        let text = format!(
            "http:\n  routers:\n    app:\n      rule: Host(`{APP}`)\n      entryPoints: [websecure]\n      \
             service: app\n      tls: {{}}\n    acme:\n      rule: Host(`acme.example.org`)\n      \
             entryPoints: [websecure]\n      service: app\n      tls:\n        certResolver: internal\n  \
             services:\n    app:\n      loadBalancer:\n        serversTransport: internal-ca\n        servers:\n          \
             - url: https://{MACHINE}:{port}\n"
        );
        std::fs::write(&file, text).unwrap();
        let router = self.stand.container("router");
        router.put(&file, "/etc/traefik/app.yml");
        router.sh("chgrp traefik /etc/traefik/app.yml && mv /etc/traefik/app.yml /etc/traefik/dynamic/app.yml");
    }

    /// curl, believing our root alone, to this machine's port 443 or 80.
    fn curl(&self, host: &str, to: &str, more: &[&str]) -> Output {
        let resolve = |port: u16| format!("{host}:{port}:{to}");
        let root = self.folder.path().join("root.crt");
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--max-time", "30", "--capath", "/nonexistent", "--cacert"]).arg(root);
        curl.args(["--resolve", &resolve(443), "--resolve", &resolve(80)]).args(more).output().unwrap()
    }

    /// What the client reads, from the gateway.
    fn get(&self, url: &str, more: &[&str]) -> String {
        let host = url.split('/').nth(2).unwrap().to_owned();
        let output = self.curl(&host, &self.gateway, &[more, &[url]].concat());
        assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Why the client gets nothing: curl's exit code.
    fn refused(&self, host: &str, more: &[&str]) -> Option<i32> {
        self.curl(host, &self.gateway, &[more, &[&format!("https://{host}/")]].concat()).status.code()
    }

    /// What Traefik's API says about its routers: name and status.
    fn routers(&self) -> Vec<(String, String)> {
        let router = self.stand.container("router").address();
        let output = self.curl("traefik.example.org", &router, &["https://traefik.example.org/api/http/routers"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let routers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        routers.iter().map(|router| (word(&router["name"]), word(&router["status"]))).collect()
    }

    /// A TLS connection that believes our root alone.
    fn connect(&self, name: &str, to: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.stand.artifact("step_ca/root.crt").as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TcpStream::connect((to, 443)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
    }
}

/// Answers requests with what was asked; after an upgrade says everything back.
fn serve(stream: StreamOwned<ServerConnection, TcpStream>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let head = head(&mut stream)?;
        let header = |name: &str| {
            head.iter().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        if header("upgrade").is_some_and(|to| to == "websocket") {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            stream.get_mut().write_all(answer.as_bytes()).ok()?;
            let mut bytes = [0; 1024];
            loop {
                stream.get_mut().flush().ok()?;
                let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
                stream.get_mut().write_all(&bytes[..count]).ok()?;
            }
        }
        let length: u64 = header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = Vec::new();
        (&mut stream).take(length).read_to_end(&mut body).ok()?;
        let sum = digest::digest(&digest::SHA256, &body);
        let answer = json!({
            "line": head[0],
            "host": header("host"),
            "scheme": header("x-forwarded-proto"),
            "client": header("x-forwarded-for"),
            "length": body.len(),
            "sha256": format!("{sum:?}"),
        })
        .to_string();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        stream.get_mut().write_all(answer.as_bytes()).ok()?;
        stream.get_mut().flush().ok()?;
    }
}

/// The lines up to the empty one.
fn head(stream: &mut impl BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => return Some(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// Asks until the answer is there; what it was at last.
fn until<T>(mut ask: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask();
        if good(&answer) || Instant::now() > deadline {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_request_goes_through_the_real_platform_over_tls_with_our_root_alone() {
    let chain = Chain::stand();
    let gateway = chain.stand.container("gateway");

    // Every router is enabled, ours from files and Traefik's own.
    let routers = until(|| chain.routers(), |routers| routers.iter().any(|(name, _)| name == "app@file"));
    for name in ["app@file", "acme@file", "dashboard@file"] {
        assert!(routers.iter().any(|(router, _)| router == name), "{name} is not in {routers:?}");
    }
    assert!(routers.iter().all(|(_, status)| status == "enabled"), "{routers:?}");
    gateway.sh("nginx -t");

    // A plain request: the backend sees who asked for what.
    let answer: Value = serde_json::from_str(&chain.get(&format!("https://{APP}/hello?a=b"), &[])).unwrap();
    assert_eq!((&answer["line"], &answer["host"]), (&json!("GET /hello?a=b HTTP/1.1"), &json!(APP)));
    assert_eq!(answer["scheme"], "https");
    assert!(answer["client"].as_str().unwrap().starts_with(MACHINE), "{answer}");
    let version = chain.get(&format!("https://{APP}/"), &["--http2", "-o", "/dev/null", "-w", "%{http_version}"]);
    assert_eq!(version, "2");

    // A large body arrives whole.
    let file = chain.folder.path().join("large");
    let large: Vec<u8> = (0..48u32 << 20).map(|byte| (byte % 251) as u8).collect();
    std::fs::write(&file, &large).unwrap();
    let answer = chain.get(&format!("https://{APP}/upload"), &["--data-binary", &format!("@{}", file.display())]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["length"], large.len());
    assert_eq!(answer["sha256"], format!("{:?}", digest::digest(&digest::SHA256, &large)));

    // A websocket is passed through, both ways.
    let mut socket = BufReader::new(chain.connect(APP, &chain.gateway));
    let request = format!(
        "GET /socket HTTP/1.1\r\nHost: {APP}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    socket.get_mut().write_all(request.as_bytes()).unwrap();
    let answer = head(&mut socket).unwrap();
    assert_eq!(answer[0], "HTTP/1.1 101 Switching Protocols");
    for word in ["first", "second"] {
        socket.get_mut().write_all(word.as_bytes()).unwrap();
        let mut back = vec![0; word.len()];
        socket.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }

    // Port 80 leads to TLS and keeps method, name and path.
    let moved = ["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "-d", "x"];
    assert_eq!(chain.get(&format!("http://{APP}/a?b=c"), &moved), format!("308 https://{APP}/a?b=c"));
    // A name that nobody declared gets no certificate, and our certificates are worth nothing without our root.
    assert_eq!(chain.refused("unknown.example.org", &[]), Some(35));
    assert_eq!(chain.refused(APP, &["--cacert", "/etc/ssl/certs/ca-certificates.crt"]), Some(60));
    // A name that has no route yet is the router's 404.
    let status = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(chain.get("https://unrouted.example.org/", &status), "404");

    // The router's own certificate by ACME: the authority asks it back on port 80, redirect or not.
    let router = chain.stand.container("router").address();
    let acme = || chain.curl("acme.example.org", &router, &["https://acme.example.org/"]).status.success();
    let log = || chain.stand.container("router").sh("journalctl -u traefik --no-pager | tail -20");
    assert!(until(acme, |done| *done), "no certificate by ACME: {}", log());

    // A router that proves nothing gets nothing; the next run mends it.
    chain.stand.container("router").sh(
        "cd /etc/traefik/certs && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=traefik.example.org \
         -addext subjectAltName=DNS:traefik.example.org -keyout router.key -out router.crt 2>/dev/null && \
         systemctl restart traefik",
    );
    let code = until(|| chain.get(&format!("https://{APP}/"), &status), |code| code != "200");
    assert_eq!(code, "502", "the gateway believes a router whose certificate is not ours");
    let program = chain.stand.container("router").sh("sha256sum /usr/local/bin/traefik");
    let digest = program.split(' ').next().unwrap();
    chain.stand.converges("router", "traefik", &json!({ "sha256": digest }));
    assert_eq!(until(|| chain.get(&format!("https://{APP}/"), &status), |code| code == "200"), "200");

    // The backend is believed for its certificate too: the same one under another root is none.
    let request = Request::get(format!("https://{router}/ping")).trust(Trust::System);
    assert!(chain.stand.host.request(&request).is_err(), "the machine's own trust store knows our root");
}
