//! Features and parameters that follow from other fields, so that nothing is declared twice.
//!
//! | from | follows |
//! |---|---|
//! | `portainer_role` that runs something | the features `docker` and `portainer`, and the role, port, version, names and secret of the latter |
//! | `nvidia_*` of a container | parameters of the feature `nvidia` |
//! | `vllm_engine_config` | parameters of the app `vllm` |
//! | `traefik_service.port` of a guest that serves models | the parameter `port` of its app |
//!
//! What `params` says itself counts; a parameter that the script does not have is left out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::decode::Fields;
use super::guest::Draft;
use super::legacy::MODEL_SERVERS;
use crate::finding::Finding;
use crate::model::{Catalogue, Guest, GuestId, Origin, PortainerRole, ScriptKind, Site};

/// The feature that Portainer's server and agents run on.
const DOCKER: &str = "docker";
/// The feature that is Portainer's server or agent.
const PORTAINER: &str = "portainer";
/// The feature with NVIDIA's driver.
const NVIDIA: &str = "nvidia";

/// The app with a vLLM server.
const VLLM: &str = "vllm";

/// Images of Portainer's server.
const SERVER_IMAGES: [&str; 2] = ["portainer/portainer-ce", "portainer/portainer-ee"];

/// Completes the drafts.
pub fn derive(site: &Site, drafts: &mut [Draft], root: &Fields, catalogue: &Catalogue) {
    let image = AgentImage::of(site, root);
    admin_user(site, root);
    let declared: BTreeMap<GuestId, (Origin, bool)> =
        drafts.iter().map(|Draft { guest, .. }| (guest.id, (guest.origin.clone(), lists(guest, DOCKER)))).collect();
    for draft in drafts {
        let role = match draft.guest.portainer_role {
            PortainerRole::Server => Some("server"),
            PortainerRole::Agent => Some("agent"),
            PortainerRole::None | PortainerRole::Infrastructure => None,
        };
        if let Some(role) = role {
            if !has_docker(draft.guest.id, &declared) {
                draft.guest.features.push(DOCKER.to_owned());
            }
            if !lists(&draft.guest, PORTAINER) {
                draft.guest.features.push(PORTAINER.to_owned());
            }
            let found = portainer(site, &draft.guest, role, &image);
            fill(&mut draft.guest, ScriptKind::Feature, PORTAINER, found, catalogue);
        }
        if draft.guest.portainer_role == PortainerRole::Server {
            one_server(site, draft);
        }
        if lists(&draft.guest, NVIDIA) {
            let found = nvidia(&draft.guest);
            fill(&mut draft.guest, ScriptKind::Feature, NVIDIA, found, catalogue);
        }
        if let Some(app) = draft.guest.app.clone().filter(|app| MODEL_SERVERS.contains(&app.as_str())) {
            let mut found = if app == VLLM { vllm(&draft.guest) } else { Vec::new() };
            found.push(("port", draft.guest.traefik_service.as_ref().map(|service| json!(service.port))));
            fill(&mut draft.guest, ScriptKind::App, &app, found, catalogue);
        }
    }
}

fn lists(guest: &Guest, feature: &str) -> bool {
    guest.features.iter().any(|name| name == feature)
}

/// Whether a guest, or one that it is cloned from, lists the feature.
fn has_docker(id: GuestId, declared: &BTreeMap<GuestId, (Origin, bool)>) -> bool {
    let mut next = Some(id);
    // A chain longer than all guests is a cycle, which is reported elsewhere.
    for _ in 0..declared.len() {
        let Some((origin, has)) = next.and_then(|id| declared.get(&id)) else { break };
        if *has {
            return true;
        }
        next = match origin {
            Origin::Clone(source) => Some(*source),
            _ => None,
        };
    }
    false
}

/// Gives parameters to a script as far as it has them and the guest does not say them.
fn fill(guest: &mut Guest, kind: ScriptKind, script: &str, found: Vec<(&str, Option<Value>)>, catalogue: &Catalogue) {
    let Some(spec) = catalogue.get(kind, script) else { return };
    for (name, value) in found {
        if let Some(value) = value.filter(|_| spec.params.contains_key(name)) {
            guest.params.entry(script.to_owned()).or_default().entry(name.to_owned()).or_insert(value);
        }
    }
}

fn portainer<'p>(site: &Site, guest: &Guest, role: &str, image: &AgentImage) -> Vec<(&'p str, Option<Value>)> {
    let declared = &site.node.setup.portainer;
    let mut found = vec![
        ("role", Some(json!(role))),
        ("version", image.version.as_ref().map(|version| json!(version))),
        ("agent_image", image.name.as_ref().map(|name| json!(name))),
    ];
    if guest.portainer_role == PortainerRole::Server {
        let published = guest.traefik_service.as_ref().map(|service| format!("{}.{}", service.name, site.domain));
        let secret = declared.admin_password.as_ref();
        found.extend([
            ("port", declared.server_port.map(|port| json!(port))),
            ("hostname", declared.hostname.clone().or(published).map(|name| json!(name))),
            ("admin_secret", secret.map(|secret| json!(secret.name))),
            ("data", guest.vm.nfs.first().map(|volume| json!(format!("{}/portainer", volume.mount_point)))),
        ]);
    } else {
        found.push(("port", declared.agent_port.map(|port| json!(port))));
    }
    found
}

/// `docker.portainer_agent_image`, taken apart. The server is of the version of its agents.
#[derive(Default)]
struct AgentImage {
    name: Option<String>,
    version: Option<String>,
}

impl AgentImage {
    fn of(site: &Site, root: &Fields) -> AgentImage {
        let Some(image) = &site.node.setup.portainer.agent_image else { return AgentImage::default() };
        // A colon before the last slash is a registry's port.
        let (name, tag) = match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (image.as_str(), None),
        };
        let version = tag.filter(|tag| tag.starts_with(|first: char| first.is_ascii_digit()) && !name.contains('@'));
        if version.is_none() {
            let span = root.value.at("docker.portainer_agent_image").map_or(0..0, |value| value.span.clone());
            let finding = Finding::warning("unpinned-image", format!("`{image}` names no version"))
                .hint("server and agents run the version that the feature `portainer` names; write one: NAME:VERSION");
            root.file.report(finding, span);
        }
        let name = name.split('@').next().map(str::to_owned);
        AgentImage { name, version: version.map(str::to_owned) }
    }
}

/// The first administrator comes with the server's first start, where it cannot be called otherwise.
fn admin_user(site: &Site, root: &Fields) {
    let Some(name) = site.node.setup.portainer.admin_user.as_deref().filter(|name| *name != "admin") else { return };
    let span = root.value.at("portainer_api.admin_user").map_or(0..0, |value| value.span.clone());
    let finding =
        Finding::warning("admin-user", format!("Portainer's first administrator is called `admin`, not `{name}`"));
    root.file
        .report(finding.hint("write `admin`, or leave it out: an account of another name is made in Portainer"), span);
}

/// Takes away a stack that runs the server once more: the feature runs it. The stack's firewall rules stay.
fn one_server(site: &Site, draft: &mut Draft) {
    let server = |name: &str| {
        let stack = site.stacks.iter().find(|stack| stack.name == name)?;
        stack.compose.lines().any(runs_server).then_some(stack)
    };
    let uses = std::mem::take(&mut draft.guest.vm.stacks);
    for (at, used) in uses.into_iter().enumerate() {
        let Some(stack) = server(&used.name) else {
            draft.guest.vm.stacks.push(used);
            continue;
        };
        let rules = stack.environments.get(&used.environment).map(|environment| environment.firewall_rules.as_slice());
        for rule in rules.unwrap_or_default() {
            if !draft.guest.firewall.rules.contains(rule) {
                draft.guest.firewall.rules.push(rule.clone());
            }
        }
        let item = draft.fields.value.get("docker_stacks").and_then(|list| list.items().get(at));
        let span = item.map_or_else(|| draft.fields.place.clone(), |item| item.span.clone());
        let finding = Finding::warning("second-server", format!("the stack `{}` is not deployed here", used.name))
            .hint("it runs Portainer's server, as `portainer_role` says already; leave it out");
        draft.fields.file.report(finding, span);
    }
}

/// Whether a line of a compose file names the server's image.
fn runs_server(line: &str) -> bool {
    let Some(image) = line.trim().strip_prefix("image:") else { return false };
    let image = image.trim().trim_matches(['"', '\'']);
    SERVER_IMAGES.iter().any(|name| {
        let from = image.find(name).filter(|at| *at == 0 || image[..*at].ends_with('/'));
        from.is_some_and(|at| matches!(image[at + name.len()..].chars().next(), None | Some(':' | '@' | ' ')))
    })
}

fn nvidia<'p>(guest: &Guest) -> Vec<(&'p str, Option<Value>)> {
    let declared = guest.lxc.nvidia.clone().unwrap_or_default();
    vec![
        ("driver_version", declared.driver_version.map(|version| json!(version))),
        ("runfile_url", declared.runfile_url.map(|url| json!(url))),
        ("cuda_repository", declared.repo_url.map(|url| json!(url))),
    ]
}

fn vllm<'p>(guest: &Guest) -> Vec<(&'p str, Option<Value>)> {
    let Some(engine) = &guest.lxc.vllm else { return Vec::new() };
    vec![
        ("model", Some(json!(engine.model))),
        ("trust_remote_code", engine.trust_remote_code.then_some(json!(true))),
        ("dtype", engine.dtype.as_ref().map(|dtype| json!(dtype))),
        ("max_model_len", engine.max_model_len.map(|tokens| json!(tokens))),
        ("quantization", engine.quantization.as_ref().map(|method| json!(method))),
        ("gpu_memory_utilization", engine.gpu_memory_utilization.map(|share| json!(share))),
        ("tensor_parallel_size", engine.tensor_parallel_size.map(|gpus| json!(gpus))),
        ("host", engine.host.as_ref().map(|host| json!(host))),
        ("port", engine.port.map(|port| json!(port))),
        ("served_name", engine.served_model_name.as_ref().map(|name| json!(name))),
        ("arguments", (!engine.arguments.is_empty()).then(|| json!(engine.arguments))),
    ]
}
