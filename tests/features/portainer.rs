//! Portainer on the shipped platform: `portainer_role` alone makes one virtual machine its server and another an agent.
//! Names in capitals are pitfalls of the predecessor.

use phoenix::config::{self, Dir};
use phoenix::event::Outcome;
use phoenix::host::Host;
use phoenix::model::{Guest, GuestKind, Site};
use phoenix::op::{Attributes, Content, Op, OpValue, Place};
use phoenix::request::{Request, Response, Trust};
use phoenix::script::{Library, Roots};
use serde_json::{Value, json};

use crate::support::scenario::{Scenario, id};

const SERVER: u32 = 1001;
const AGENT: u32 = 1002;

fn get(scenario: &Scenario, url: &str, trust: Trust) -> Response {
    scenario.sandbox().request(&Request::get(url).trust(trust)).unwrap()
}

fn read(scenario: &Scenario, number: u32, kind: GuestKind, path: &str) -> String {
    let read = Op::Read { path: path.to_owned(), limit: 1 << 20 };
    match scenario.sandbox().perform(Place::Guest(id(number), kind), &[read]).unwrap().remove(0).unwrap() {
        OpValue::Bytes(Some(bytes)) => String::from_utf8(bytes).unwrap(),
        other => panic!("{path} of {number}: {other:?}"),
    }
}

#[test]
fn r5_l31_creating_the_server_ends_with_portainer_serving() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    scenario.create(&[SERVER]).is_fine();
    // With the authority's certificate, for its address, and with an administrator that nobody had to wait for.
    let root = Trust::Roots(read(&scenario, 103, GuestKind::Lxc, "/etc/step-ca/certs/root_ca.crt"));
    let status = get(&scenario, "https://10.20.0.21:9443/api/system/status", root.clone());
    assert_eq!(status.status, 200);
    let status: Value = serde_json::from_slice(&status.body).unwrap();
    assert_eq!(status["Version"], "2.39.6");
    assert_eq!(get(&scenario, "https://10.20.0.21:9443/api/users/admin/check", root).status, 204);
    scenario.create(&[SERVER]).is_idle();
}

/// The predecessor's question was always answered yes, and nobody became administrator.
#[test]
fn l13_whether_somebody_administers_it_is_asked_and_told() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    scenario.create(&[SERVER]).is_fine();
    let path = "/persistent-storage/portainer/portainer.db";
    let mut database: Value = serde_json::from_str(&read(&scenario, SERVER, GuestKind::Vm, path)).unwrap();
    assert_eq!(database["users"][0]["name"], "admin");
    database["users"] = json!([]);
    let sandbox = scenario.sandbox();
    let content = Content::Bytes(database.to_string().into_bytes().into());
    let write = Op::Write { path: path.to_owned(), content, attributes: Attributes::default(), guard: None };
    sandbox.perform(Place::Guest(id(SERVER), GuestKind::Vm), &[write]).unwrap().remove(0).unwrap();
    scenario.world = Some(sandbox.world());
    let ran = scenario.create(&[SERVER]);
    let Outcome::Failed { cause } = ran.outcome(SERVER) else { panic!("{:?}", ran.outcome(SERVER)) };
    assert!(cause.message.contains("Portainer has no administrator (it answers 404)"), "{cause:?}");
    assert!(cause.hint.as_deref().unwrap_or_default().contains("/persistent-storage/portainer"), "{cause:?}");
}

#[test]
fn s20_an_agent_shares_the_servers_secret() {
    let mut scenario = Scenario::configured(&Dir::Embedded);
    scenario.create(&[AGENT]).is_fine();
    assert_eq!(get(&scenario, "https://10.20.0.22:9001/ping", Trust::Anybody).status, 204);
    assert_eq!(get(&scenario, "https://10.20.0.22:9001/containers/json", Trust::Anybody).status, 403);
    let secret =
        |number, project| read(&scenario, number, GuestKind::Vm, &format!("/etc/phoenix/compose/{project}/.env"));
    assert_eq!(secret(SERVER, "portainer"), secret(AGENT, "portainer-agent"));
    scenario.create(&[AGENT]).is_idle();
}

/// A site of these files, and what was found in them.
fn declared(node: Value, vm: Value, stack: Option<&str>) -> (Site, String) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let mut whole = json!({
        "domain_name": "example.org",
        "network": { "interfaces": { "name": "vmbr0", "address": "192.0.2.1/24", "gateway": "192.0.2.254" } },
    });
    whole.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
    let mut guest = json!({
        "vmid": 300, "name": "docks", "template_image": "local:import/noble.qcow2", "storage_pool": "local-zfs",
        "network_bridge": "vmbr0", "network_config": { "ip": "192.0.2.30/24", "gw": "192.0.2.254" },
        "features": ["base_setup"],
    });
    guest.as_object_mut().unwrap().extend(vm.as_object().unwrap().clone());
    write("phoenix_hypervisor_config.json", &whole.to_string());
    write("phoenix_vm_configs.json", &json!({ "vms": [guest] }).to_string());
    if let Some(compose) = stack {
        let rule = json!({ "type": "in", "action": "ACCEPT", "proto": "tcp", "port": "9443", "source": "192.0.2.12" });
        let manifest = json!({ "environments": { "production": { "firewall_rules": [rule] } } });
        write("stacks/cockpit/docker-compose.yml", compose);
        write("stacks/cockpit/phoenix.json", &manifest.to_string());
    }
    let (library, _) = Library::load(&Roots::embedded());
    let loaded = config::load(&Dir::Real(folder.path().to_owned()), library.catalogue());
    let findings: Vec<String> = loaded.findings.iter().map(|finding| finding.message.clone()).collect();
    (loaded.site.unwrap(), findings.join("\n"))
}

fn guest(site: &Site) -> &Guest {
    site.guest(id(300)).unwrap()
}

#[test]
fn a_role_brings_the_features_and_what_other_fields_say() {
    let node = json!({
        "network": {
            "interfaces": { "name": "vmbr0", "address": "192.0.2.1/24", "gateway": "192.0.2.254" },
            "portainer_server_port": 8443,
        },
        "docker": { "portainer_agent_image": "registry.example.org:5000/portainer/agent:2.45.0" },
        "portainer_api": { "admin_password": { "secret": "cockpit" } },
    });
    let vm = json!({
        "portainer_role": "primary",
        "traefik_service": { "name": "cockpit", "port": 8443 },
        "volumes": [{ "type": "nfs", "name": "kept", "server": "192.0.2.1", "path": "/tank/kept", "mount_point": "/kept" }],
        "params": { "portainer": { "data": "/srv/portainer" } },
    });
    let (site, _) = declared(node, vm, None);
    assert_eq!(guest(&site).features, ["base_setup", "docker", "portainer"]);
    assert_eq!(
        json!(guest(&site).params["portainer"]),
        json!({
            "role": "server",
            "version": "2.45.0",
            "agent_image": "registry.example.org:5000/portainer/agent",
            "port": 8443,
            "hostname": "cockpit.example.org",
            "admin_secret": "cockpit",
            "data": "/srv/portainer",
        })
    );
}

#[test]
fn an_agent_needs_less_and_no_role_nothing() {
    let (site, _) =
        declared(json!({}), json!({ "portainer_role": "agent", "features": ["docker", "base_setup"] }), None);
    assert_eq!(guest(&site).features, ["docker", "base_setup", "portainer"]);
    assert_eq!(json!(guest(&site).params["portainer"]), json!({ "role": "agent" }));
    let (site, _) = declared(json!({}), json!({ "portainer_role": "infrastructure" }), None);
    assert_eq!(guest(&site).features, ["base_setup"]);
}

#[test]
fn versions_and_names_that_cannot_be() {
    let node = json!({
        "docker": { "portainer_agent_image": "portainer/agent:latest" },
        "portainer_api": { "admin_user": "captain" },
    });
    let (site, findings) = declared(node, json!({ "portainer_role": "agent" }), None);
    assert!(findings.contains("`portainer/agent:latest` names no version"), "{findings}");
    assert!(findings.contains("called `admin`, not `captain`"), "{findings}");
    let params = json!(guest(&site).params["portainer"]);
    assert_eq!(params, json!({ "role": "agent", "agent_image": "portainer/agent" }));
}

#[test]
fn no_stack_runs_the_server_a_second_time() {
    let vm = json!({ "portainer_role": "server", "docker_stacks": ["cockpit"] });
    let compose = |image: &str| format!("services:\n  any:\n    image: {image}\n");
    for image in
        ["portainer/portainer-ce:2.33.3", "\"docker.io/portainer/portainer-ee@sha256:0\"", "portainer/portainer-ce"]
    {
        let (site, findings) = declared(json!({}), vm.clone(), Some(&compose(image)));
        assert!(findings.contains("the stack `cockpit` is not deployed here"), "{image}: {findings}");
        assert!(guest(&site).vm.stacks.is_empty());
        assert_eq!(guest(&site).firewall.rules.len(), 1);
    }
    let (site, findings) = declared(json!({}), vm, Some(&compose("portainer/portainer-ce-helper:1")));
    assert!(!findings.contains("not deployed here"), "{findings}");
    assert_eq!(guest(&site).vm.stacks.len(), 1);
}
