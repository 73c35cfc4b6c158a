//! Requests over a tiny server on loopback, with certificates of our own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use phoenix::host::{Host as _, HostError};
use phoenix::op::{Op, OpErrorKind, OpValue, Place};
use phoenix::request::{Method, Request, Response, Trust};
use phoenix::secret::Sealed;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;

use super::node;

/// A root and a server that it vouches for.
struct Server {
    root: String,
    leaf: Vec<u8>,
    address: SocketAddr,
}

/// Serves each connection one answer; the answer to `/echo` is the request itself.
fn serve(mut stream: impl std::io::Read + std::io::Write) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let Ok(count) = stream.read(&mut chunk) else { return };
        request.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default();
    let (status, headers, body) = match path {
        "/echo" => ("200 OK", "x-answer: yes\r\n", text.clone()),
        "/moved" => ("302 Found", "location: /echo\r\n", String::new()),
        "/big" => ("200 OK", "", "x".repeat(65 << 20)),
        "/slow" => {
            std::thread::sleep(Duration::from_secs(3));
            ("200 OK", "", String::new())
        }
        _ => ("404 Not Found", "", "nothing here".to_owned()),
    };
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // Who asked may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let _ = stream.flush();
}

fn plain() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

fn secure() -> Server {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let names = ["ca.example.org".to_owned(), "127.0.0.1".to_owned()];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let chain = vec![leaf.der().clone(), root_certificate.der().clone()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let connection = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
                serve(&mut stream);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            });
        }
    });
    Server { root: root_certificate.pem(), leaf: leaf.der().to_vec(), address }
}

impl Server {
    fn request(&self, host: &str, trust: Trust) -> Request {
        let url = format!("https://{host}:{}/echo", self.address.port());
        Request { connect_to: Some(self.address), ..Request::get(url).trust(trust) }
    }
}

fn reason(result: Result<Response, HostError>) -> String {
    match result {
        Err(HostError::Unreachable { reason, .. }) => reason,
        other => panic!("not unreachable: {other:?}"),
    }
}

#[test]
fn the_given_root_is_believed_and_the_chain_comes_back() {
    let server = secure();
    let trust = || Trust::Roots(server.root.clone());
    for host in ["ca.example.org", "127.0.0.1"] {
        let answer = node().request(&server.request(host, trust())).unwrap();
        assert_eq!((answer.status, answer.chain.len()), (200, 2));
        assert_eq!(answer.chain[0], server.leaf);
        let sent = String::from_utf8(answer.body).unwrap();
        assert!(sent.to_lowercase().contains(&format!("host: {host}:{}", server.address.port())), "{sent}");
    }
}

#[test]
fn another_name_another_root_and_the_system_are_refused() {
    let server = secure();
    let wrong_name = node().request(&server.request("other.example.org", Trust::Roots(server.root.clone())));
    assert!(reason(wrong_name).contains("not valid for name"));
    let wrong_root = node().request(&server.request("ca.example.org", Trust::Roots(secure().root)));
    assert!(reason(wrong_root).contains("certificate"));
    assert!(reason(node().request(&server.request("ca.example.org", Trust::System))).contains("certificate"));
    let no_root = node().request(&server.request("ca.example.org", Trust::Roots(String::new())));
    assert_eq!(reason(no_root), "no roots were given");
}

#[test]
fn anybody_may_be_looked_at() {
    let server = secure();
    let answer = node().request(&server.request("other.example.org", Trust::Anybody)).unwrap();
    assert_eq!(answer.chain[0], server.leaf);
}

#[test]
fn method_headers_and_body_arrive() {
    let address = plain();
    let mut request = Request::post_json(format!("http://{address}/echo?a=b"), Sealed::plain("{\"grün\":1}"));
    request.url = format!("http://{address}/echo");
    request.headers.push(("Authorization".to_owned(), Sealed::new("Bearer geheim", "***")));
    let answer = node().request(&request).unwrap();
    let sent = String::from_utf8(answer.body).unwrap();
    assert!(sent.starts_with("POST /echo HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("authorization: Bearer geheim\r\n") && sent.ends_with("{\"grün\":1}"), "{sent}");
    assert!(answer.headers.contains(&("x-answer".to_owned(), "yes".to_owned())), "{:?}", answer.headers);
    assert_eq!(answer.chain.len(), 0);
    let head = Request { method: Method::Head, ..Request::get(format!("http://{address}/nothing")) };
    assert_eq!(node().request(&head).unwrap().status, 404);
}

#[test]
fn redirects_are_answers() {
    let answer = node().request(&Request::get(format!("http://{}/moved", plain()))).unwrap();
    assert_eq!(answer.status, 302);
}

#[test]
fn limits_hold() {
    let address = plain();
    let slow = Request { timeout: Duration::from_millis(200), ..Request::get(format!("http://{address}/slow")) };
    assert!(matches!(node().request(&slow), Err(HostError::Timeout { .. })));
    let big = Request { timeout: Duration::from_secs(60), ..Request::get(format!("http://{address}/big")) };
    assert!(reason(node().request(&big)).contains("limit"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(reason(node().request(&Request::get(format!("http://{closed}/")))).contains("refused"));
    assert!(reason(node().request(&Request::get("ftp://example.org/"))).contains("neither http nor https"));
}

#[test]
fn a_file_is_fetched_whole_or_not_at_all() {
    let address = plain();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/file");
    let fetch = |from: &str, sha256: Option<&str>| {
        let op = Op::Fetch {
            url: format!("http://{address}{from}"),
            sha256: sha256.map(str::to_owned),
            member: None,
            path: path.to_str().unwrap().to_owned(),
        };
        node().perform(Place::Node, &[op]).unwrap().remove(0)
    };
    assert_eq!(fetch("/nothing", None).unwrap_err().kind, OpErrorKind::NotFound);
    assert_eq!(fetch("/echo", Some("00")).unwrap_err().kind, OpErrorKind::Conflict);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0, "nothing is left behind");
    // Over a redirect.
    assert_eq!(fetch("/moved", None), Ok(OpValue::Done));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("GET /echo "));
}

/// A server that hangs up in the middle, and goes on where it was asked to if nothing changed meanwhile.
#[test]
fn a_line_that_breaks_is_no_failure() {
    const WHOLE: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (turn, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            let text = String::from_utf8_lossy(&request[..count]).to_lowercase();
            let range = text.lines().find_map(|line| line.strip_prefix("range: bytes=").map(str::to_owned));
            let from: usize = range.as_deref().map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
            tell.send((text.split(' ').nth(1).unwrap().to_owned(), range)).unwrap();
            let changed = text.contains("/changed") && turn % 3 == 1;
            // The third try of each kind is let through.
            let (status, body, end) = match (turn % 3, from) {
                (0, _) => ("200 OK", WHOLE, 10),
                (1, _) if changed => ("200 OK", "a new one that is longer than the old one", 12),
                (1, from) => ("206 Partial Content", &WHOLE[from..], 5),
                (_, 0) => ("200 OK", WHOLE, WHOLE.len()),
                (_, from) if text.contains("/changed") => {
                    let new = &"a new one that is longer than the old one"[from..];
                    ("206 Partial Content", new, new.len())
                }
                (_, from) => ("206 Partial Content", &WHOLE[from..], WHOLE.len() - from),
            };
            let tag = if text.contains("/changed") && turn % 3 != 0 { "two" } else { "one" };
            let head = format!("HTTP/1.1 {status}\r\nETag: \"{tag}\"\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body.as_bytes()[..end])).unwrap();
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file").to_str().unwrap().to_owned();
    let fetch = |from: &str| {
        let op = Op::Fetch { url: format!("http://{address}{from}"), sha256: None, member: None, path: path.clone() };
        node().perform(Place::Node, &[op]).unwrap().remove(0)
    };
    assert_eq!(fetch("/file"), Ok(OpValue::Done));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), WHOLE);
    assert_eq!(fetch("/changed"), Ok(OpValue::Done));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a new one that is longer than the old one");
    let ranges: Vec<Option<String>> = asked.try_iter().map(|(_, range)| range).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(ranges, [None, some("10-"), some("15-"), None, some("10-"), some("12-")]);
}

#[test]
fn one_member_of_an_archive_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.tar.gz");
    let script = format!("cd {} && mkdir bin && echo tool >bin/tool && tar czf a.tar.gz bin", dir.path().display());
    assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let bytes = std::fs::read(archive).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
        }
    });
    let fetch = |member: &str, sha256: &str| {
        let path = dir.path().join("out/tool").to_str().unwrap().to_owned();
        let url = format!("http://{address}/a.tar.gz");
        let op = Op::Fetch { url, sha256: Some(sha256.to_owned()), member: Some(member.to_owned()), path };
        node().perform(Place::Node, &[op]).unwrap().remove(0)
    };
    // sha256sum of "tool\n".
    let digest = "67948dd9afd6afe5043b0029d5aa7cf0f8b2824baf16f4f097d40d830edb686d";
    assert_eq!(fetch("bin/none", digest).unwrap_err().kind, OpErrorKind::NotFound);
    assert_eq!(fetch("bin/tool", "00").unwrap_err().kind, OpErrorKind::Conflict);
    assert_eq!(fetch("bin/tool", digest), Ok(OpValue::Done));
    assert_eq!(std::fs::read_to_string(dir.path().join("out/tool")).unwrap(), "tool\n");
    assert_eq!(std::fs::read_dir(dir.path().join("out")).unwrap().count(), 1, "nothing is left behind");
}
