//! Logic that did not do what it said.

use std::time::Duration;

use phoenix::command::Cost;
use phoenix::config::{self, Dir};
use phoenix::event::{Event, Outcome, Step};
use phoenix::model::{Direction, FirewallAction, FirewallRule, Image, Origin};
use phoenix::plan::Verb;
use phoenix::request::{Request, Trust};
use phoenix::script::{Library, Roots};
use phoenix::secret::Sealed;

use super::{ALL, later, names_in, platform, set, worker};
use crate::support::inside::Inside;
use crate::support::scenario::{IMAGE, Scenario, container, id, machine};

/// What is wrong with a script, before anything runs.
fn flaws(script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("features")).unwrap();
    let head = "const FEATURE = #{ name: \"x\", summary: \"s\", targets: [\"lxc\"] };\n";
    std::fs::write(folder.path().join("features/x.rhai"), format!("{head}{script}")).unwrap();
    let (library, mut findings) = Library::load(&Roots::only(folder.path()));
    findings.extend(library.check(phoenix::model::ScriptKind::Feature, "x"));
    findings.iter().map(|finding| finding.message.clone()).collect::<Vec<_>>().join("\n")
}

/// What is wrong with the shipped configuration after one edit.
fn findings_after(file: &str, from: &str, to: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("etc");
    let copied = std::process::Command::new("cp").arg("-r").arg(shipped).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let dir = folder.path().join("etc");
    let text = std::fs::read_to_string(dir.join(file)).unwrap();
    assert!(text.contains(from), "{from} is not in {file}");
    std::fs::write(dir.join(file), text.replacen(from, to, 1)).unwrap();
    let (library, _) = Library::load(&Roots::embedded());
    let loaded = config::load(&Dir::Real(dir), library.catalogue());
    loaded.findings.iter().map(|finding| format!("{}: {}", finding.code, finding.message)).collect()
}

/// A machine made from the cloud image itself.
fn image(scenario: &mut Scenario, number: u32) {
    scenario.guest(number).origin = Origin::Image(Image { source: IMAGE.to_owned(), sha256: Some("5e".repeat(32)) });
}

#[test]
fn l1_a_function_that_takes_something_else_is_known_before_anything_runs() {
    assert_eq!(flaws("fn apply(guest, params) {}\n"), "");
    for wrong in ["fn apply(guest) {}\n", "fn apply() {}\n", "fn apply(guest, params, id) {}\n"] {
        assert!(flaws(wrong).contains("apply"), "{wrong}: {}", flaws(wrong));
    }
    // And of the shipped ones there is none that never works.
    let mut scenario = platform();
    let ran = scenario.create(ALL);
    let features = ran.summary.guests.iter().flat_map(|guest| &guest.steps);
    assert!(features.filter(|(step, _)| matches!(step, Step::Feature(_))).count() >= 8);
}

#[test]
fn l2_the_gateway_is_made_from_nothing() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    scenario.create(&[101]).is_fine();
    let gateway = Inside::container(&scenario, 101);
    for made in ["/etc/nginx/ssl/gateway.crt", "/etc/nginx/ssl/gateway.key", "/etc/nginx/sites-available/gateway"] {
        assert!(gateway.text(made).is_some(), "{made} would come with a later command");
    }
}

#[test]
fn l5_status_shows_what_is() {
    let home = tempfile::tempdir().unwrap();
    let world = format!("sandbox:{}", home.path().join("world").display());
    let phoenix = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_phoenix"));
        let output =
            command.env("HOME", home.path()).args(["--config", "etc", "--host", &world]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    phoenix(&["create", "103"]);
    let row = |number: &str| {
        let shown = phoenix(&["status"]);
        shown.lines().find(|line| line.split_whitespace().any(|word| word == number)).unwrap().to_owned()
    };
    for word in ["ca", "running"] {
        assert!(row("103").contains(word), "{}", row("103"));
    }
    assert!(row("101").contains("absent"), "{}", row("101"));
    phoenix(&["stop", "103"]);
    assert!(row("103").contains("stopped"), "{}", row("103"));
}

#[test]
fn l6_starting_and_stopping_touch_what_they_should() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    let stopped = scenario.run(Verb::Stop, &[103]);
    assert_eq!(stopped.processes(), ["pct shutdown 103 --timeout 60 --forceStop 1"]);
    let started = scenario.run(Verb::Start, &[101]);
    assert_eq!(started.processes(), ["pct start 103"]);
    let restarted = scenario.run(Verb::Restart, &[101]);
    assert_eq!(restarted.processes(), ["pct shutdown 101 --timeout 60 --forceStop 1", "pct start 101"]);
}

#[test]
fn l6_templates_are_not_started() {
    let mut scenario = Scenario::platform_of_a_template();
    scenario.create(ALL).is_fine();
    assert_eq!(scenario.run(Verb::Start, ALL).processes(), [] as [&str; 0]);
}

#[test]
fn l7_every_named_guest_is_a_target() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.guest(101).memory_mb = 768;
    scenario.guest(102).memory_mb = 768;
    let ran = scenario.create(&[101, 102]);
    assert_eq!(*ran.outcome(101), Outcome::Changed);
    assert_eq!(*ran.outcome(102), Outcome::Changed);
}

/// Three guests whose order at boot is neither that of their ids nor the other way round.
fn three_in_boot_order() -> Scenario {
    let guests = [(201, 3), (202, 1), (203, 2)].map(|(number, order)| {
        let mut guest = container(number, &format!("guest{number}"));
        guest.boot.order = Some(order);
        guest
    });
    Scenario::of(guests)
}

#[test]
fn l8_up_ends_with_everything_there_and_running() {
    let mut scenario = three_in_boot_order();
    scenario.run(Verb::Up, &[201, 202, 203]).is_fine();
    for number in [201, 202, 203] {
        assert_eq!(scenario.on_the_node(&format!("pct status {number}")).trim(), "status: running");
    }
    assert_eq!(scenario.run(Verb::Up, &[201, 202, 203]).processes(), [] as [&str; 0]);
}

#[test]
fn l9_up_starts_in_the_declared_order() {
    let mut scenario = three_in_boot_order();
    scenario.create(&[201, 202, 203]).is_fine();
    scenario.run(Verb::Stop, &[201, 202, 203]).is_fine();
    let ran = scenario.run(Verb::Up, &[201, 202, 203]);
    ran.is_fine();
    assert_eq!(ran.processes(), ["pct start 202", "pct start 203", "pct start 201"]);
}

#[test]
fn l16_an_operation_longer_than_the_agents_own_wait_ends_with_its_own_result() {
    let mut scenario = Scenario::of([machine(1001, "patient")]);
    image(&mut scenario, 1001);
    scenario.script(
        "features/patient.rhai",
        "const FEATURE = #{ name: \"patient\", summary: \"s\", targets: [\"vm\"] };\n\
         fn apply(guest, params) {\n    guest.exec([\"sleep\", \"45\"], #{ creates: \"/etc/done\", timeout: \"2m\" });\n    \
         guest.file(\"/etc/done\", #{ content: `${guest.probe([\"false\"]).code}` });\n}\n",
    );
    scenario.guest(1001).features = vec!["patient".to_owned()];
    let ran = scenario.create(&[1001]);
    ran.is_fine();
    let of_the_feature = |event: &&Event| matches!(event, Event::StepFinished { step: Step::Feature(_), elapsed, .. } if elapsed.as_secs() >= 45);
    assert!(ran.events.iter().find(of_the_feature).is_some(), "it did not wait for the program");
    assert_eq!(Inside::vm(&scenario, 1001).text("/etc/done").as_deref(), Some("1"), "its exit code was lost");
    let tool = ran.processes().into_iter().find(|command| command.starts_with("qm guest exec"));
    assert_eq!(tool, None);
}

#[test]
fn l17_a_machine_without_firewall_is_made() {
    let mut scenario = Scenario::of([machine(1001, "plain")]);
    image(&mut scenario, 1001);
    scenario.guest(1001).firewall.enabled = false;
    let ran = scenario.create(&[1001]);
    ran.is_fine();
    assert!(!ran.processes().iter().any(|command| command.contains("--firewall")), "{:?}", ran.processes());
    scenario.create(&[1001]).is_idle();
}

#[test]
fn l18_a_machine_without_volumes_rules_features_and_stacks_is_made() {
    let mut scenario = Scenario::of([machine(1001, "plain")]);
    image(&mut scenario, 1001);
    let plain = scenario.guest(1001).clone();
    assert!(plain.vm.nfs.is_empty() && plain.firewall.rules.is_empty() && plain.features.is_empty());
    scenario.create(&[1001]).is_fine();
    scenario.create(&[1001]).is_idle();
}

#[test]
fn l19_name_servers_of_machines_come_from_the_declaration() {
    let mut scenario = Scenario::machines();
    scenario.guest(1001).nameservers = vec!["192.0.2.53".parse().unwrap()];
    scenario.create(&[9000, 1001]).is_fine();
    assert!(scenario.on_the_node("qm config 1001").contains("nameserver: 192.0.2.53"));
    assert!(scenario.on_the_node("qm cloudinit dump 1001 network").contains("192.0.2.53"));
}

#[test]
fn l9_machines_start_in_the_declared_order_too() {
    let mut scenario = Scenario::machines();
    scenario.guest(1002).dependencies.clear();
    scenario.guest(1001).boot.order = Some(2);
    scenario.guest(1002).boot.order = Some(1);
    scenario.create(&[9000, 1001, 1002]).is_fine();
    scenario.run(Verb::Stop, &[1001, 1002]).is_fine();
    let ran = scenario.run(Verb::Up, &[9000, 1001, 1002]);
    ran.is_fine();
    assert_eq!(ran.processes(), ["qm start 1002", "qm start 1001"]);
}

#[test]
fn l19_name_servers_come_from_the_declaration() {
    let mut scenario = Scenario::of([container(105, "store")]);
    scenario.guest(105).nameservers = vec!["192.0.2.53".parse().unwrap(), "192.0.2.54".parse().unwrap()];
    scenario.create(&[105]).is_fine();
    assert!(scenario.on_the_node("pct config 105").contains("nameserver: 192.0.2.53 192.0.2.54"));
}

#[test]
fn l20_a_clone_gets_the_disk_that_is_declared() {
    let mut scenario = Scenario::platform();
    scenario.guest(101).root.size_gb = 9;
    let ran = scenario.create(ALL);
    ran.is_fine();
    assert!(scenario.on_the_node("pct config 101").contains("size=9G"), "{:?}", ran.processes());
    assert!(scenario.on_the_node("pct config 102").contains("size=4G"));
    scenario.create(ALL).is_idle();
}

#[test]
fn l21_a_finished_template_is_left_alone() {
    let mut scenario = Scenario::platform_of_a_template();
    scenario.create(&[900]).is_fine();
    assert!(scenario.on_the_node("pct config 900").contains("template: 1"));
    scenario.create(&[900]).is_idle();
}

#[test]
fn l22_the_firewall_file_is_the_guests_own_whole_and_in_order() {
    let rule = |port: &str| FirewallRule {
        direction: Direction::In,
        action: FirewallAction::Accept,
        protocol: Some("tcp".to_owned()),
        port: Some(port.to_owned()),
        ..FirewallRule::default()
    };
    let mut scenario = Scenario::of([container(105, "store")]);
    scenario.guest(105).nics[0].firewall = true;
    scenario.guest(105).firewall.enabled = true;
    scenario.guest(105).firewall.rules = vec![rule("443"), rule("22"), rule("80")];
    let cluster = |scenario: &Scenario| Inside::node(scenario).text("/etc/pve/firewall/cluster.fw");
    let before = cluster(&scenario);
    scenario.create(&[105]).is_fine();
    let file = scenario.on_the_node("cat /etc/pve/firewall/105.fw");
    assert!(file.contains("[OPTIONS]") && file.contains("enable: 1"), "rules are inert: {file}");
    let ports: Vec<&str> = file.lines().filter_map(|line| line.split("-dport ").nth(1)).collect();
    let ports: Vec<&str> = ports.iter().map(|rest| rest.split(' ').next().unwrap()).collect();
    assert_eq!(ports, ["443", "22", "80"], "{file}");
    assert_eq!(cluster(&scenario), before, "rules of a guest belong to the guest");
    scenario.create(&[105]).is_idle();
    scenario.guest(105).firewall.rules.clear();
    let ran = scenario.create(&[105]);
    assert_eq!(ran.step(105, &Step::Firewall), Some(&Outcome::Changed));
    assert!(!scenario.on_the_node("cat /etc/pve/firewall/105.fw").contains("443"));
}

#[test]
fn l23_readers_of_what_changed_are_found_and_follow() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    set(&mut scenario, 103, "authority", "root", "root two");
    let ran = scenario.create(&[103]);
    let stale: Vec<u32> = ran.summary.stale.iter().map(|stale| stale.guest.get()).collect();
    assert_eq!(stale, [101, 102]);
    scenario.create(ALL).is_fine();
    assert_eq!(scenario.on_the_node("pct exec 101 -- cat /etc/trust"), "root two");
}

#[test]
fn l25_what_only_a_new_guest_can_have_is_reported() {
    let mut scenario = Scenario::of([container(105, "store")]);
    scenario.create(&[105]).is_fine();
    scenario.guest(105).lxc.unprivileged = false;
    let ran = scenario.create(&[105]);
    let pending = &ran.summary.guests[0].pending;
    assert_eq!((pending[0].what.as_str(), pending[0].cost), ("unprivileged", Cost::Rebuild));
    assert_eq!(ran.changing(), Vec::<String>::new());
}

#[test]
fn l26_every_feature_of_a_long_list_counts() {
    let mut scenario = Scenario::of([container(105, "store")]);
    let names = ["one", "two", "three", "four"];
    for name in names {
        scenario.script(
            &format!("features/{name}.rhai"),
            &format!(
                "const FEATURE = #{{ name: \"{name}\", summary: \"s\", targets: [\"lxc\"] }};\n\
                 fn apply(guest, params) {{\n    let all = {names:?};\n    let has = all.filter(|it| \
                 guest.has_feature(it));\n    guest.file(\"/etc/{name}\", #{{ content: `${{has.len()}}` }});\n}}\n\
                 fn health(guest, params) {{ if !guest.exists(\"/etc/{name}\") {{ fail(\"gone\"); }} }}\n"
            ),
        );
    }
    scenario.guest(105).features = names.map(str::to_owned).to_vec();
    scenario.create(&[105]).is_fine();
    for name in names {
        assert_eq!(Inside::container(&scenario, 105).text(&format!("/etc/{name}")).as_deref(), Some("4"));
    }
    let inside = Inside::container(&scenario, 105);
    inside.remove("/etc/four");
    scenario.world = Some(inside.world());
    assert!(scenario.run(Verb::Health, &[105]).cause(105).contains("gone"));
}

#[test]
fn l27_a_misspelt_field_is_an_error() {
    let told = findings_after("phoenix_lxc_configs.json", "\"boot_order\": 1,", "\"boot_ordr\": 1,");
    assert!(told.iter().any(|finding| finding.contains("unknown field `boot_ordr`")), "{told:?}");
}

#[test]
fn l28_a_certificate_is_asked_for_once() {
    let mut scenario = platform();
    later(&mut scenario, Duration::from_secs(3600));
    scenario.create(&[101, 102]).is_idle();
    later(&mut scenario, Duration::from_secs(3600));
    scenario.create(&[101, 102]).is_idle();
}

#[test]
fn l29_a_certificate_is_renewed_at_two_thirds_of_its_life() {
    let mut scenario = platform();
    set(&mut scenario, 102, "traefik", "certificate_lifetime", "24h");
    set(&mut scenario, 102, "traefik", "names", vec!["new.example.org"]);
    scenario.create(&[102]).is_fine();
    let certificate = |scenario: &Scenario| Inside::container(scenario, 102).text("/etc/traefik/certs/router.crt");
    let first = certificate(&scenario);
    for _ in 0..3 {
        later(&mut scenario, Duration::from_secs(5 * 3600));
        scenario.create(&[102]).is_idle();
    }
    later(&mut scenario, Duration::from_secs(2 * 3600));
    scenario.create(&[102]).is_fine();
    assert_ne!(certificate(&scenario), first, "17 of 24 hours are over");
    scenario.create(&[102]).is_idle();
}

#[test]
fn l30_a_certificate_holds_every_name_and_address_that_is_asked_for() {
    let scenario = platform();
    let router = names_in(&Inside::container(&scenario, 102).text("/etc/traefik/certs/router.crt").unwrap());
    assert_eq!(router, ["10.20.0.12", "router.lab.example.org", "traefik.lab.example.org"]);
}

#[test]
fn l32_the_static_file_of_the_router_holds_what_traefik_reads_there() {
    // Unknown keys of the first level are ignored silently by Traefik.
    let known = [
        "global",
        "log",
        "accessLog",
        "ping",
        "api",
        "entryPoints",
        "providers",
        "certificatesResolvers",
        "serversTransport",
    ];
    let text = Inside::container(&platform(), 102).text("/etc/traefik/traefik.yml").unwrap();
    let keys = text.lines().filter(|line| !line.starts_with([' ', '#'])).filter_map(|line| line.split_once(':'));
    for (key, _) in keys {
        assert!(known.contains(&key), "`{key}` does nothing in the static file");
    }
}

#[test]
fn l34_every_name_of_the_gateway_has_its_certificate_websockets_and_large_bodies_pass() {
    let scenario = platform();
    let gateway = Inside::container(&scenario, 101);
    let site = gateway.text("/etc/nginx/sites-available/gateway").unwrap();
    let served = site.lines().filter_map(|line| line.trim().strip_prefix("server_name "));
    let mut served: Vec<String> = served
        .flat_map(|line| line.trim_end_matches(';').split(' '))
        .filter(|n| *n != "_")
        .map(str::to_owned)
        .collect();
    served.sort();
    assert!(served.len() > 2, "{served:?}");
    assert_eq!(names_in(&gateway.text("/etc/nginx/ssl/gateway.crt").unwrap()), served);
    for line in [
        "client_max_body_size 0;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection $connection_upgrade;",
    ] {
        assert!(site.contains(line), "{line}");
    }
    assert!(!site.contains("proxy_set_header Connection \"\"") && !site.contains("proxy_set_body"), "{site}");
}

#[test]
fn l35_health_is_asked_where_the_service_was_told_to_listen() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    for script in ["step_ca", "ca"] {
        set(&mut scenario, 103, script, "port", 9443);
    }
    let ran = scenario.create(&[103]);
    ran.is_fine();
    let asked: Vec<String> = ran.events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    assert!(asked.iter().any(|event| event.contains("10.20.0.10:9443/health")), "nobody asked");
    assert!(!asked.iter().any(|event| event.contains(":9000")), "somebody asked the usual port");
}

#[test]
fn l36_containers_ask_the_name_servers_that_are_declared() {
    let mut scenario = worker(&["base_setup", "docker"]);
    scenario.create(&[200]).is_fine();
    let dns = |scenario: &Scenario| {
        let text = Inside::container(scenario, 200).text("/etc/docker/daemon.json").unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap().get("dns").cloned()
    };
    // Docker hands down the guest's own name servers; a constant would hide them.
    assert_eq!(dns(&scenario), None);
    set(&mut scenario, 200, "docker", "dns", vec!["192.0.2.53"]);
    scenario.create(&[200]).is_fine();
    assert_eq!(dns(&scenario), Some(serde_json::json!(["192.0.2.53"])));
}

#[test]
fn l37_a_program_that_is_there_is_configured_all_the_same() {
    let mut scenario = worker(&["base_setup", "docker"]);
    scenario.create(&[200]).is_fine();
    let inside = Inside::container(&scenario, 200);
    let right = inside.text("/etc/docker/daemon.json").unwrap();
    inside.write("/etc/docker/daemon.json", "{}\n");
    scenario.world = Some(inside.world());
    scenario.create(&[200]).is_fine();
    assert_eq!(Inside::container(&scenario, 200).text("/etc/docker/daemon.json"), Some(right));
    scenario.create(&[200]).is_idle();
}

#[test]
fn l38_the_authority_takes_the_declared_policy_and_restarts_only_for_it() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    let restarts = |ran: &crate::support::scenario::Ran| {
        ran.changing().iter().filter(|what| what.contains("restart step-ca.service")).count()
    };
    assert_eq!(restarts(&scenario.create(&[103])), 0);
    assert_eq!(restarts(&scenario.create(&[103])), 0);
    set(&mut scenario, 103, "step_ca", "max_duration", "1000h");
    assert_eq!(restarts(&scenario.create(&[103])), 1);
    let config = Inside::container(&scenario, 103).text("/etc/step-ca/config/ca.json").unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let claims = config["authority"]["claims"].as_object().unwrap();
    let documented = ["minTLSCertDuration", "defaultTLSCertDuration", "maxTLSCertDuration"];
    assert!(claims.keys().all(|claim| documented.contains(&claim.as_str())), "{claims:?}");
    assert_eq!(claims["maxTLSCertDuration"], "1000h");
}

#[test]
fn l39_settings_count_at_once_and_stand_in_their_files_once() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    scenario.guest(900).is_template = false;
    for value in [false, true] {
        set(&mut scenario, 900, "base_setup", "disable_ipv6", value);
        set(&mut scenario, 900, "base_setup", "locale", if value { "de_DE.UTF-8" } else { "en_US.UTF-8" });
        scenario.guest(900).boot.start_at_boot = true;
        scenario.create(&[900]).is_fine();
    }
    let inside = Inside::container(&scenario, 900);
    assert_eq!(inside.text("/proc/sys/net/ipv6/conf/all/disable_ipv6").unwrap().trim(), "1", "written, but not loaded");
    let locale = inside.text("/etc/default/locale").unwrap();
    let languages: Vec<&str> = locale.lines().filter(|line| line.starts_with("LANG=")).collect();
    assert_eq!(languages, ["LANG=de_DE.UTF-8"]);
}

#[test]
fn l40_a_snapshot_with_a_longer_name_is_another_one() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    scenario.on_the_node("pct snapshot 102 final-form-old");
    scenario.on_the_node("pct delsnapshot 102 final-form");
    let ran = scenario.create(&[102]);
    assert_eq!(ran.step(102, &Step::Snapshot("final-form".to_owned())), Some(&Outcome::Changed));
}

#[test]
fn l41_an_unknown_function_on_a_rare_path_is_found_before_anything_runs() {
    let script =
        "fn apply(guest, params) {\n    if guest.exists(\"/never\") {\n        log_warning(\"x\");\n    }\n}\n";
    assert!(flaws(script).contains("log_warning"), "{}", flaws(script));
}

#[test]
fn l42_a_word_that_is_none_of_the_known_is_an_error() {
    let told = findings_after("phoenix_lxc_configs.json", "\"action\": \"ACCEPT\"", "\"action\": \"ALLOW\"");
    assert!(told.iter().any(|finding| finding.contains("ALLOW")), "{told:?}");
}

#[test]
fn l43_plain_http_leads_to_tls_whatever_the_name() {
    let scenario = platform();
    let gateway = Inside::container(&scenario, 101);
    assert!(gateway.stat("/etc/nginx/sites-enabled/default").is_none(), "the placeholder answers on port 80");
    let site = gateway.text("/etc/nginx/sites-available/gateway").unwrap();
    assert!(site.contains("listen 80 default_server;"), "{site}");
    for host in ["portainer.lab.example.org", "nobody.example.net", "10.20.0.15"] {
        let request = Request::get("http://10.20.0.15/path").trust(Trust::System);
        let request = Request { headers: vec![("host".to_owned(), Sealed::plain(host))], ..request };
        let answer = phoenix::host::Host::request(&scenario.sandbox(), &request).unwrap();
        assert_eq!(answer.status, 308, "{host}");
    }
}

#[test]
fn l45_a_template_that_is_there_is_not_fetched_again() {
    let mut scenario = Scenario::platform();
    let ran = scenario.create(ALL);
    let fetched: Vec<String> = ran.processes().into_iter().filter(|command| command.starts_with("pveam")).collect();
    assert_eq!(fetched, [] as [&str; 0]);
    assert!(ran.processes().iter().any(|command| command.contains("local:vztmpl/debian-12")), "{:?}", ran.processes());
    assert_eq!(*ran.outcome(id(900).get()), Outcome::Changed);
}
