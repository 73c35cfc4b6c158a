//! The real nginx and the real Traefik accept what the scripts write. Both come from packages that `tests/run`
//! installs; a test that lacks its program fails.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use phoenix::config::Dir;
use phoenix::host::Host;
use phoenix::model::GuestKind;
use phoenix::op::{FileKind, Op, OpValue, Place};
use phoenix::sandbox::{Options, Sandbox, World};

use crate::support::scenario::{Scenario, id};

/// The shipped platform's four containers, made once.
fn platform() -> World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD
        .get_or_init(|| {
            let mut scenario = Scenario::configured(&Dir::Embedded);
            scenario.create(&[900, 103, 101, 102]).is_fine();
            scenario.world()
        })
        .clone()
}

/// Copies a directory of a modelled guest to this machine.
fn copy(guest: u32, from: &str, to: &Path) {
    let sandbox = Arc::new(Sandbox::in_memory(platform(), Options::default()));
    let place = Place::Guest(id(guest), GuestKind::Lxc);
    let ask = |op: Op| sandbox.perform(place, &[op]).unwrap().remove(0).unwrap();
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to).unwrap();
        let OpValue::Entries(Some(entries)) = ask(Op::List { path: from.clone() }) else { panic!("no {from}") };
        for entry in entries {
            let (path, copy) = (format!("{from}/{}", entry.name), to.join(&entry.name));
            match entry.kind {
                FileKind::Directory => folders.push((path, copy)),
                FileKind::Symlink => {
                    let OpValue::Stat(Some(stat)) = ask(Op::Stat { path }) else { panic!("gone") };
                    drop(fs::remove_file(&copy));
                    std::os::unix::fs::symlink(stat.target.unwrap(), copy).unwrap();
                }
                _ => {
                    let OpValue::Bytes(Some(bytes)) = ask(Op::Read { path, limit: 1 << 24 }) else { panic!("gone") };
                    fs::write(copy, bytes).unwrap();
                }
            }
        }
    }
}

#[test]
fn nginx_accepts_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("nginx");
    let packaged = Command::new("cp").args(["-a", "/etc/nginx"]).arg(&etc).status().unwrap();
    assert!(packaged.success(), "this test needs nginx: `./tests/run` installs it");
    fs::remove_file(etc.join("sites-enabled/default")).unwrap();
    copy(101, "/etc/nginx/ssl", &etc.join("ssl"));
    copy(101, "/etc/nginx/sites-available", &etc.join("sites-available"));
    copy(101, "/etc/nginx/sites-enabled", &etc.join("sites-enabled"));
    // The modelled guest has a newer nginx than some machines: `http2 on;` exists since 1.25.1.
    let version = Command::new("nginx").arg("-v").output().unwrap();
    let version = String::from_utf8_lossy(&version.stderr).into_owned();
    let site = etc.join("sites-available/gateway");
    let text = fs::read_to_string(&site).unwrap();
    assert!(text.contains("http2 on;") && text.contains("ssl_reject_handshake on;"), "{text}");
    if ["1.18", "1.22", "1.24"].iter().any(|old| version.contains(&format!("nginx/{old}"))) {
        fs::write(&site, text.replace("http2 on;", "")).unwrap();
    }
    // In a mount namespace of its own: nothing of the machine's nginx is touched.
    let script = format!("mount --bind {} /etc/nginx && exec nginx -t", etc.display());
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn traefik_accepts_the_router() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("traefik");
    copy(102, "/etc/traefik", &home);
    let inside = home.display().to_string();
    for file in ["traefik.yml", "dynamic/platform.yml"] {
        let text = fs::read_to_string(home.join(file)).unwrap();
        // Paths and ports of this machine; everything else is what the guest gets. The API is opened to look.
        let text = text.replace("/etc/traefik", &inside).replace("\":80\"", "\"127.0.0.1:20080\"");
        let text = text.replace("\":443\"", "\"127.0.0.1:20443\"").replace("insecure: false", "insecure: true");
        let text =
            text.replace("entryPoints:\n  web:", "entryPoints:\n  traefik:\n    address: \"127.0.0.1:28080\"\n  web:");
        fs::write(home.join(file), text).unwrap();
    }
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut traefik = Command::new(traefik_program())
        .arg(format!("--configFile={inside}/traefik.yml"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let routers = loop {
        let output = Command::new("curl").args(["-fsS", "http://127.0.0.1:28080/api/http/routers"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains("dashboard@file") || Instant::now() > deadline || traefik.try_wait().unwrap().is_some() {
            break text;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let ping = Command::new("curl").args(["-fsS", "http://127.0.0.1:20080/ping"]).output().unwrap();
    traefik.kill().unwrap();
    traefik.wait().unwrap();
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let routers: Vec<serde_json::Value> = serde_json::from_str(&routers).unwrap_or_else(|_| panic!("{log}"));
    let dashboard = routers.iter().find(|router| router["name"] == "dashboard@file").unwrap();
    assert_eq!(dashboard["status"], "enabled", "{dashboard}");
    assert_eq!(ping.stdout, b"OK");
    // The authority of this world exists only in it, so asking it for certificates fails; nothing else may.
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERR") && !line.contains("acme")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Where `tests/run` put Traefik.
fn traefik_program() -> String {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/tools/bin/traefik");
    if Path::new(kept).exists() { kept.to_owned() } else { "traefik".to_owned() }
}
