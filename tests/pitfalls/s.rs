//! Secrets, and who may do what.

use std::collections::BTreeSet;

use phoenix::config::{self, Dir};
use phoenix::host::Host as _;
use phoenix::model::Role;
use phoenix::request::Request;
use phoenix::script::{Library, Roots};
use serde_json::json;

use super::{ALL, platform, set, worker};
use crate::support::inside::Inside;
use crate::support::scenario::{Scenario, container};

/// Directories that somebody may have left a secret in.
const PLACES: &[&str] = &["/etc", "/root", "/home", "/tmp", "/var", "/srv", "/opt", "/usr/local"];

/// The containers of the shipped platform that run.
const RUNNING: [u32; 3] = [101, 102, 103];

/// Secrets of the node's store, by name.
fn secrets(scenario: &Scenario) -> Vec<(String, String)> {
    let node = Inside::node(scenario);
    let files = node.files("/var/lib/phoenix/secrets");
    assert!(files.len() >= 3, "{files:?}");
    files.into_iter().map(|path| (path.clone(), node.text(&path).unwrap().trim().to_owned())).collect()
}

/// Files of a guest that hold a text.
fn holding(inside: &Inside, text: &str) -> Vec<String> {
    let files = PLACES.iter().flat_map(|place| inside.files(place));
    files.filter(|path| inside.text(path).unwrap_or_default().contains(text)).collect()
}

#[test]
fn s1_a_password_in_plain_text_is_an_error_and_is_never_shown() {
    let dir = Dir::Real(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config/bad/secrets"));
    let (library, _) = Library::load(&Roots::embedded());
    let loaded = config::load(&dir, library.catalogue());
    let text = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/config/bad/secrets/phoenix_hypervisor_config.json"),
    )
    .unwrap();
    let plain: Vec<&str> = ["password_hash\": \"", "admin_password\": \""]
        .iter()
        .map(|field| text.split(field).nth(1).unwrap().split('"').next().unwrap())
        .collect();
    let codes = loaded.findings.iter().filter(|finding| finding.code == "plaintext-secret").count();
    assert_eq!(codes, plain.len());
    let told = format!("{:?} {:?}", loaded.findings, loaded.site);
    for word in plain {
        assert!(!told.contains(word), "{word}");
    }
}

#[test]
fn s3_a_guest_holds_nothing_of_the_others() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    for (number, script, mark) in [(103, "step_ca", "mark-of-103"), (101, "gateway", "mark-of-101")] {
        let param = if script == "step_ca" { "dns" } else { "names" };
        set(&mut scenario, number, script, param, vec![format!("{mark}.example.org")]);
    }
    scenario.create(ALL).is_fine();
    for number in RUNNING {
        let inside = Inside::container(&scenario, number);
        for other in [101, 103].into_iter().filter(|other| *other != number) {
            let found = holding(&inside, &format!("mark-of-{other}"));
            assert!(found.is_empty(), "{number} holds parameters of {other} in {found:?}");
        }
        assert!(number == 102 || !holding(&inside, &format!("mark-of-{number}")).is_empty());
    }
}

#[test]
fn s4_no_guest_can_have_certificates_made_for_any_name() {
    let scenario = platform();
    for (path, secret) in secrets(&scenario) {
        let name = path.rsplit('/').next().unwrap();
        for number in RUNNING {
            let found = holding(&Inside::container(&scenario, number), secret.lines().nth(1).unwrap_or(&secret));
            let own = number == 103 && name == "step_ca_ca_password";
            assert_eq!(found.is_empty(), !own, "{name} is in {number}: {found:?}");
        }
    }
}

#[test]
fn s5_the_authoritys_state_is_its_own_alone() {
    let mut scenario = platform();
    let authority = Inside::container(&scenario, 103);
    let home = authority.stat("/etc/step-ca").unwrap();
    assert_eq!((home.mode, home.owner.as_str()), (0o700, "step"));
    for path in authority.files("/etc/step-ca") {
        let stat = authority.stat(&path).unwrap();
        let private = ["secrets/", "password", "ca.json"].iter().any(|part| path.contains(part));
        assert!(!private || stat.mode & 0o077 == 0, "{path} has mode {:o}", stat.mode);
    }
    for number in RUNNING {
        let config = scenario.on_the_node(&format!("pct config {number}"));
        assert!(!config.lines().any(|line| line.starts_with("mp")), "{number} shares a directory: {config}");
    }
}

#[test]
fn s7_secrets_are_told_nowhere() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    let ran = scenario.create(ALL);
    ran.is_fine();
    let told: String = ran.events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    let told = format!("{told}{:?}", ran.summary);
    let node = Inside::node(&scenario);
    let kept: Vec<String> = ["/var/lib/phoenix/runs", "/var/lib/phoenix/guests"]
        .iter()
        .flat_map(|folder| node.files(folder))
        .map(|path| node.text(&path).unwrap())
        .collect();
    assert!(kept.len() > ALL.len(), "a record for each guest, and the journal");
    for (path, secret) in secrets(&scenario) {
        // Whole, and the beginning that used to be logged as a help.
        for part in [secret.as_str(), secret.lines().nth(1).unwrap_or(&secret)] {
            assert!(!told.contains(part), "{path} was told");
            assert!(!kept.iter().any(|text| text.contains(part)), "{path} is in the journal or in a record");
        }
        assert_eq!(node.stat(&path).unwrap().mode, 0o600, "{path}");
    }
}

#[test]
fn s8_no_password_stays_in_a_temporary_file() {
    let scenario = platform();
    for number in RUNNING {
        let inside = Inside::container(&scenario, number);
        let left: Vec<String> = ["/tmp", "/var/tmp", "/run/phoenix"].iter().flat_map(|dir| inside.files(dir)).collect();
        assert!(left.is_empty(), "{number}: {left:?}");
        assert!(inside.stat("/etc/step-ca/bootstrap_password").is_none());
    }
    let node = Inside::node(&scenario);
    assert!(node.files("/tmp").is_empty(), "{:?}", node.files("/tmp"));
}

#[test]
fn s9_the_docker_daemon_is_open_to_nobody_without_a_certificate() {
    let mut scenario = worker(&["base_setup", "docker"]);
    scenario.create(&[200]).is_fine();
    let inside = Inside::container(&scenario, 200);
    let files = ["/etc/docker", "/etc/systemd/system", "/etc/default"].iter().flat_map(|place| inside.files(place));
    let open: Vec<String> = files.filter(|path| inside.text(path).unwrap_or_default().contains("tcp://")).collect();
    assert!(open.is_empty(), "{open:?}");
    set(&mut scenario, 200, "docker", "daemon", json!({ "hosts": ["fd://", "tcp://0.0.0.0:2376"], "tls": true }));
    let cause = scenario.create(&[200]).cause(200);
    assert!(cause.contains("without \"tlsverify\": true anyone who reaches it is root"), "{cause}");
}

#[test]
fn s10_keys_are_open_to_nobody_else() {
    let scenario = platform();
    let mut keys = 0;
    for number in RUNNING {
        let inside = Inside::container(&scenario, number);
        for path in PLACES.iter().flat_map(|place| inside.files(place)) {
            if inside.text(&path).unwrap_or_default().contains("PRIVATE KEY-----") {
                let stat = inside.stat(&path).unwrap();
                assert_eq!(stat.mode & 0o027, 0, "{path} in {number} has mode {:o}", stat.mode);
                keys += 1;
            }
        }
    }
    // Of the gateway, of the router, and the authority's two.
    assert!(keys >= 4, "{keys}");
}

#[test]
fn s11_values_are_no_shell_words() {
    let evil = "Lab'; touch /pwned; $(touch /pwned) `touch /pwned` \"x";
    let mut scenario = Scenario::configured(&Dir::Embedded);
    set(&mut scenario, 103, "step_ca", "authority", evil);
    scenario.create(&[103]).is_fine();
    let authority = Inside::container(&scenario, 103);
    assert!(authority.stat("/pwned").is_none());
    let root = authority.text("/etc/step-ca/certs/root_ca.crt").unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(root.as_bytes()).unwrap();
    let subject = pem.parse_x509().unwrap().subject().to_string();
    assert!(subject.contains(evil), "{subject}");
}

#[test]
fn s12_names_and_paths_are_no_code() {
    let evil = "it's $(touch /pwned) `touch /pwned`";
    let mut scenario = Scenario::of([container(105, "store")]);
    scenario.script(
        "features/ground.rhai",
        "const FEATURE = #{ name: \"ground\", summary: \"s\", targets: [\"lxc\"], \
         params: #{ at: #{ type: \"string\" } } };\n\
         fn apply(guest, params) {\n    guest.dir(`/srv/${params.at}`);\n    \
         guest.file(`/srv/${params.at}/x`, #{ content: params.at });\n}\n",
    );
    scenario.guest(105).features = vec!["ground".to_owned()];
    set(&mut scenario, 105, "ground", "at", evil);
    scenario.create(&[105]).is_fine();
    let inside = Inside::container(&scenario, 105);
    assert_eq!(inside.text(&format!("/srv/{evil}/x")).as_deref(), Some(evil));
    assert!(inside.stat("/pwned").is_none());
}

#[test]
fn s13_the_routers_api_is_closed_and_its_log_is_quiet() {
    let scenario = platform();
    let text = Inside::container(&scenario, 102).text("/etc/traefik/traefik.yml").unwrap();
    assert!(text.contains("insecure: false") && text.contains("level: INFO"), "{text}");
    let sandbox = scenario.sandbox();
    assert!(sandbox.request(&Request::get("http://10.20.0.12:8080/api/rawdata")).is_err(), "the API listens");
    let routes = Inside::container(&scenario, 102).text("/etc/traefik/dynamic/platform.yml").unwrap();
    let dashboard = routes.split("dashboard:\n").nth(1).unwrap();
    assert!(dashboard.contains("- dashboard-sources") && routes.contains("10.20.0.0/24"), "{routes}");
}

#[test]
fn s14_a_download_is_what_it_was_declared_to_be() {
    let (library, _) = Library::load(&Roots::embedded());
    let catalogue = library.catalogue();
    for spec in catalogue.features.values().chain(catalogue.apps.values()) {
        let source = library.source(spec.kind, &spec.name).unwrap();
        // An image that is made on the spot, of nothing.
        let text = source.text.replace("phoenix/empty:latest", "");
        for call in text.split("guest.download(").skip(1) {
            let options = call.split("});").next().unwrap();
            assert!(options.contains("sha256:"), "{} downloads without a digest: {options}", spec.name);
        }
        for wild in [":latest", "| sh", "| bash"] {
            assert!(!text.contains(wild), "{} names `{wild}`", spec.name);
        }
    }
}

#[test]
fn s15_another_package_run_is_waited_for_and_never_ended() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let channel = std::fs::read_to_string(root.join("src/host/channel/guest.sh")).unwrap();
    let installs = channel.split("apt-get ").skip(1).filter(|call| !call.starts_with("clean"));
    let words: Vec<&str> = channel.split_whitespace().collect();
    assert!(installs.count() > 0 && channel.contains("DPkg::Lock::Timeout="));
    for ending in ["pkill", "killall", "fuser"] {
        assert!(!words.contains(&ending), "the channel uses {ending}");
        for folder in ["features", "apps"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                assert!(!text.contains(ending), "{} uses {ending}", path.display());
            }
        }
    }
}

#[test]
fn s16_the_authoritys_configuration_is_nobody_elses_to_read() {
    let scenario = platform();
    let authority = Inside::container(&scenario, 103);
    for path in ["/etc/step-ca", "/etc/step-ca/config"] {
        assert_eq!(authority.stat(path).unwrap().mode & 0o077, 0, "{path}");
    }
    for number in [101, 102] {
        let inside = Inside::container(&scenario, number);
        let found: Vec<String> = ["/etc", "/srv", "/var"].iter().flat_map(|place| inside.files(place)).collect();
        let copies: BTreeSet<&String> = found.iter().filter(|path| path.ends_with("ca.json")).collect();
        assert!(copies.is_empty(), "{number}: {copies:?}");
    }
}

#[test]
fn s18_guests_stay_confined() {
    let scenario = platform();
    let node = Inside::node(&scenario);
    for number in ALL {
        let file = node.text(&format!("/etc/pve/lxc/{number}.conf")).unwrap();
        assert!(file.contains("unprivileged: 1"), "{number}: {file}");
        assert!(!file.contains("lxc.apparmor") && !file.contains("lxc.cap.drop"), "{number}: {file}");
    }
}

#[test]
fn s19_what_is_not_allowed_is_dropped() {
    let mut scenario = platform();
    let inner = scenario.site.guests.values().filter(|guest| !guest.roles.contains(&Role::Gateway));
    let inner: Vec<u32> = inner.filter(|guest| guest.firewall.enabled).map(|guest| guest.id.get()).collect();
    for number in [101, 102, 103] {
        let file = scenario.on_the_node(&format!("cat /etc/pve/firewall/{number}.fw"));
        assert!(file.contains("enable: 1"), "{number}: {file}");
        assert!(!file.contains("policy_in: ACCEPT"), "{number}: {file}");
        let open: Vec<&str> = file.lines().filter(|line| line.starts_with("IN ACCEPT")).collect();
        assert!(!open.is_empty(), "{number}: {file}");
        if inner.contains(&number) {
            assert!(open.iter().all(|line| line.contains("-source ")), "{number} is open to everybody: {open:?}");
        }
    }
}

#[test]
fn s20_the_gateway_speaks_to_the_router_over_tls_and_believes_the_root_alone() {
    let scenario = platform();
    let site = Inside::container(&scenario, 101).text("/etc/nginx/sites-available/gateway").unwrap();
    for line in [
        "proxy_pass https://10.20.0.12:443;",
        "proxy_ssl_verify on;",
        "proxy_ssl_trusted_certificate /etc/nginx/ssl/root_ca.crt;",
        "proxy_ssl_server_name on;",
    ] {
        assert!(site.contains(line), "{line} is missing in {site}");
    }
    assert!(!site.contains("proxy_pass http:"), "{site}");
    let routes = Inside::container(&scenario, 102).text("/etc/traefik/dynamic/platform.yml").unwrap();
    assert!(routes.contains("rootCAs:") && !routes.contains("insecureSkipVerify"), "{routes}");
}
