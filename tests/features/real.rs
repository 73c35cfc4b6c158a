//! The shipped features and apps in real containers, as `phoenix feature test --real` runs them: applied with what they
//! need through the channel of production, applied again without a change, healthy, and nothing left.
//!
//! What vendors offer in repositories of their own comes from a server on this machine: the certificate authority as
//! `tests/support/step_ca` builds it, Traefik as `tests/run` installs it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use phoenix::event::Discard;
use phoenix::host::interrupt::Interrupt;
use phoenix::lab::NEXT_HOP as GATEWAY;
use phoenix::script::{Library, Roots};
use phoenix::testing::real::{self, Bench, Options, Proof, Verdict};
use ring::digest;
use serde_json::{Value, json};

use super::authority;
use crate::support::container::cache;

/// How many containers run at once.
const BESIDE: usize = 3;

/// Scripts that a container shows.
const HERE: [&str; 10] = [
    "base_setup",
    "docker",
    "step_ca",
    "step_cli",
    "traefik",
    "trusted_ca",
    "python_api_service",
    "ca",
    "gateway",
    "router",
];
/// Scripts that no container of this machine can show, and a word of why. Their own tests are in modelled guests, as
/// those of scripts in neither list, whose programs and models come from vendors alone.
const NOT_HERE: [(&str, &str); 2] = [("nvidia", "driver"), ("portainer", "registry")];

/// Serves the files of a directory; answers its port.
pub fn server(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let folder = folder.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                    let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches(['/', '.']).to_owned();
                    while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                        line.clear();
                    }
                    let (status, body) = match std::fs::read(folder.join(path)) {
                        Ok(body) => ("200 OK", body),
                        Err(_) => ("404 Not Found", Vec::new()),
                    };
                    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
                    let sent =
                        stream.get_mut().write_all(head.as_bytes()).and_then(|()| stream.get_mut().write_all(&body));
                    if sent.is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    port
}

/// How these tests run scripts.
pub fn options() -> Options {
    Options {
        os: None,
        bases: cache(),
        lab: cache(),
        params: BTreeMap::new(),
        files: BTreeMap::new(),
        events: Arc::new(Discard),
        interrupt: Interrupt::new(),
        bench: Bench::default(),
    }
}

fn params(script: &str, given: Value) -> (String, BTreeMap<String, Value>) {
    (script.to_owned(), serde_json::from_value(given).unwrap())
}

/// The same with what this machine has in place of the vendors' servers, and few packages to wait for.
fn with_a_mirror(mirror: &Path) -> impl Fn() -> Options + use<> {
    authority::repository(mirror);
    let traefik = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/tools/bin/traefik");
    let program = std::fs::read(&traefik).expect("this test needs Traefik: `./tests/run` installs it");
    let digest = digest::digest(&digest::SHA256, &program);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut tar = Command::new("tar");
    let packed = tar.arg("-C").arg(traefik.parent().unwrap()).arg("-cf").arg(mirror.join("traefik.tar")).arg("traefik");
    assert!(packed.status().unwrap().success());
    let port = server(mirror.to_owned());
    move || Options {
        params: BTreeMap::from([
            params("base_setup", json!({ "packages": ["ca-certificates", "netbase"] })),
            params("step_ca", json!({ "source": "distribution" })),
            params("step_cli", json!({ "source": "distribution" })),
            params("traefik", json!({ "url": format!("http://127.0.0.1:{port}/traefik.tar"), "sha256": digest })),
        ]),
        files: BTreeMap::from([
            (
                "/etc/apt/sources.list.d/mirror.list".to_owned(),
                format!("deb [trusted=yes] http://{GATEWAY}:{port} ./\n"),
            ),
            ("/etc/apt/apt.conf.d/00mirror".to_owned(), format!("Acquire::http::Proxy::{GATEWAY} \"DIRECT\";\n")),
        ]),
        ..options()
    }
}

/// One script in one container.
fn prove(library: &Library, name: &str, options: &Options) -> Proof {
    let (mut proofs, findings) = real::run(library, &[name.to_owned()], options).unwrap();
    assert!(!proofs.is_empty(), "{findings:?}");
    proofs.remove(0)
}

fn row(proof: &Proof) -> String {
    let told = match &proof.verdict {
        Verdict::Proven(times) => {
            let removed = if times.removed { ", removed" } else { "" };
            let (first, second) = (times.first.as_secs_f64(), times.second.as_secs_f64());
            format!("{first:9.1}s  {second:9.2}s  {:>10}  unchanged, healthy{removed}", times.operations)
        }
        Verdict::Impossible { reason } => format!("cannot run here: {reason}"),
        Verdict::Failed { failure } => format!("failed: {failure:#?}"),
        Verdict::Interrupted => "interrupted".to_owned(),
    };
    format!("{:<20} {:<13} {told}", proof.script, proof.os)
}

#[test]
fn every_script_that_can_is_proven_in_a_real_container() {
    let began = Instant::now();
    let mirror = tempfile::tempdir().unwrap();
    let options = with_a_mirror(mirror.path());
    let (library, _) = Library::load(&Roots::embedded());
    let catalogue = library.catalogue();
    let all: Vec<String> = catalogue.features.keys().chain(catalogue.apps.keys()).cloned().collect();
    let not_here: BTreeMap<&str, &str> = NOT_HERE.into();
    let tried = |name: &String| HERE.contains(&name.as_str()) || not_here.contains_key(name.as_str());
    let (names, others): (Vec<String>, Vec<String>) = all.into_iter().partition(tried);
    let queue = Mutex::new(names.iter());
    let proofs = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..BESIDE {
            scope.spawn(|| {
                loop {
                    let Some(name) = queue.lock().unwrap().next() else { return };
                    let proof = prove(&library, name, &options());
                    proofs.lock().unwrap().push(proof);
                }
            });
        }
    });
    let mut proofs = proofs.into_inner().unwrap();
    proofs.sort_by_key(|proof| names.iter().position(|name| *name == proof.script));
    let table: Vec<String> = proofs.iter().map(row).collect();
    println!(
        "{:<20} {:<13}  first run  second run  operations\n{}\n{} scripts in {:.0?}",
        "feature",
        "os",
        table.join("\n"),
        table.len(),
        began.elapsed()
    );
    println!("not tried: {}", others.join(", "));
    assert_eq!(proofs.len(), HERE.len() + NOT_HERE.len());
    for proof in &proofs {
        match (&proof.verdict, not_here.get(proof.script.as_str())) {
            (Verdict::Proven(_), None) => {}
            (Verdict::Impossible { reason }, Some(word)) => assert!(reason.contains(word), "{}", row(proof)),
            _ => panic!("{}", row(proof)),
        }
    }
}
