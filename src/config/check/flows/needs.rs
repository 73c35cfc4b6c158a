//! The flows that a platform needs, from roles and declarations.

use std::collections::HashSet;
use std::net::IpAddr;

use super::filter::Protocol;
use crate::model::{Catalogue, Guest, GuestId, GuestKind, ParamType, PortainerRole, Role, ScriptSpec, Site, params};

/// Ports of services whose declarations say none. What a guest or the node declares, and what the parameters of a
/// guest's scripts say, goes before these.
mod port {
    /// Plain requests: redirects, ACME challenges, health checks.
    pub const HTTP: u16 = 80;
    /// Requests of browsers, and what the gateway hands on to the router.
    pub const HTTPS: u16 = 443;
    /// The certificate authority.
    pub const CA: u16 = 9000;
    /// Portainer's server.
    pub const PORTAINER: u16 = 9443;
    /// Portainer's agents.
    pub const AGENT: u16 = 9001;
    /// Name service.
    pub const DNS: u16 = 53;
    /// NFS 4, which needs no other port.
    pub const NFS: u16 = 2049;
}

/// The feature that is Portainer's server or agent.
const PORTAINER: &str = "portainer";

/// Scripts with a server that the node asks for its health.
const SERVERS: [&str; 4] = ["vllm", "ollama", "llamacpp", "python_api_service"];

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Any machine that is neither declared nor the node.
    Client,
    /// The node.
    Node,
    /// A declared guest.
    Guest(GuestId),
    /// A machine of the world.
    Outside(IpAddr),
}

/// Connections that somebody must be able to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who opens them.
    pub from: End,
    /// Who answers.
    pub to: End,
    /// Protocol.
    pub protocol: Protocol,
    /// Ports of `to`.
    pub ports: Vec<u16>,
    /// What they are for, for people.
    pub purpose: String,
}

/// Every flow of a platform, each once.
pub fn flows(site: &Site, catalogue: &Catalogue) -> Vec<Flow> {
    let mut flows = Flows { found: Vec::new(), seen: HashSet::new() };
    entries(site, &mut flows);
    backends(site, &mut flows);
    certificates(site, catalogue, &mut flows);
    portainer(site, catalogue, &mut flows);
    servers(site, catalogue, &mut flows);
    names(site, &mut flows);
    volumes(site, &mut flows);
    flows.found
}

/// Collects flows.
struct Flows {
    found: Vec<Flow>,
    seen: HashSet<(End, End, Protocol, Vec<u16>)>,
}

impl Flows {
    fn tcp(&mut self, from: End, to: End, ports: &[u16], purpose: impl Into<String>) {
        self.need(from, to, Protocol::Tcp, ports, purpose.into());
    }

    /// A machine needs no way to itself.
    fn need(&mut self, from: End, to: End, protocol: Protocol, ports: &[u16], purpose: String) {
        if from != to && self.seen.insert((from, to, protocol, ports.to_vec())) {
            self.found.push(Flow { from, to, protocol, ports: ports.to_vec(), purpose });
        }
    }
}

fn with_role(site: &Site, role: Role) -> Vec<&Guest> {
    site.guests.values().filter(|guest| guest.roles.contains(&role)).collect()
}

/// From browsers through the gateway to the router; the node asks both for their health.
fn entries(site: &Site, flows: &mut Flows) {
    let routers = with_role(site, Role::Router);
    for gateway in with_role(site, Role::Gateway) {
        let gateway = End::Guest(gateway.id);
        flows.tcp(End::Client, gateway, &[port::HTTP, port::HTTPS], "requests of browsers");
        flows.tcp(End::Node, gateway, &[port::HTTP], "health check");
        for router in &routers {
            flows.tcp(gateway, End::Guest(router.id), &[port::HTTPS], "requests that the gateway hands on");
        }
    }
    for router in routers {
        flows.tcp(End::Node, End::Guest(router.id), &[port::HTTP], "health check");
    }
}

/// From the router to everything it publishes.
fn backends(site: &Site, flows: &mut Flows) {
    for router in with_role(site, Role::Router) {
        let router = End::Guest(router.id);
        for guest in site.guests.values() {
            let to = End::Guest(guest.id);
            if let Some(service) = &guest.traefik_service {
                flows.tcp(router, to, &[service.port], format!("requests for {}.{}", service.name, site.domain));
            }
            for used in &guest.vm.stacks {
                let stack = site.stacks.iter().find(|stack| stack.name == used.name);
                let environment = stack.and_then(|stack| stack.environments.get(&used.environment));
                for label in environment.into_iter().flat_map(|environment| environment.labels.values().flatten()) {
                    if let Some(port) = published_port(label) {
                        flows.tcp(router, to, &[port], format!("requests for the stack {}", used.name));
                    }
                }
            }
        }
    }
}

/// The port that a label for the router names: `traefik.http.services.NAME.loadbalancer.server.port=PORT`.
fn published_port(label: &str) -> Option<u16> {
    let (key, port) = label.split_once('=')?;
    key.trim().ends_with(".loadbalancer.server.port").then(|| port.trim().parse().ok())?
}

/// The scripts that a guest lists itself.
fn scripts<'a>(guest: &'a Guest, catalogue: &'a Catalogue) -> impl Iterator<Item = &'a ScriptSpec> {
    let features = guest.features.iter().filter_map(|name| catalogue.features.get(name));
    features.chain(guest.app.as_ref().and_then(|name| catalogue.apps.get(name)))
}

/// The parameter `port` of the first script of a sort that has one.
fn scripted_port(guest: &Guest, catalogue: &Catalogue, of: impl Fn(&ScriptSpec) -> bool) -> Option<u16> {
    let has_port = |spec: &ScriptSpec| spec.params.get("port").is_some_and(|param| param.kind == ParamType::Port);
    let spec = scripts(guest, catalogue).find(|spec| of(spec) && has_port(spec))?;
    let values = params::of_guest(spec, guest, catalogue).ok()?;
    values.get("port")?.as_u64().and_then(|port| port.try_into().ok())
}

/// To the certificate authority: from the node, which asks for certificates in the name of guests, and from every
/// guest with a script that reads what the authority publishes. From the authority to the router: ACME challenges.
fn certificates(site: &Site, catalogue: &Catalogue, flows: &mut Flows) {
    for ca in with_role(site, Role::Ca) {
        let port = scripted_port(ca, catalogue, |spec| !spec.publishes.is_empty())
            .or_else(|| ca.traefik_service.as_ref().map(|service| service.port))
            .unwrap_or(port::CA);
        let to = End::Guest(ca.id);
        flows.tcp(End::Node, to, &[port], "certificates");
        let published: HashSet<&String> = scripts(ca, catalogue).flat_map(|spec| &spec.publishes).collect();
        for guest in site.guests.values() {
            if scripts(guest, catalogue).flat_map(|spec| &spec.consumes).any(|name| published.contains(name)) {
                flows.tcp(End::Guest(guest.id), to, &[port], "certificates");
            }
        }
        for router in with_role(site, Role::Router) {
            flows.tcp(to, End::Guest(router.id), &[port::HTTP], "ACME challenges");
        }
    }
}

/// To Portainer's server, and from there to its agents.
fn portainer(site: &Site, catalogue: &Catalogue, flows: &mut Flows) {
    let scripted = |guest: &Guest| scripted_port(guest, catalogue, |spec| spec.name == PORTAINER);
    let declared = &site.node.setup.portainer;
    for server in with_role(site, Role::Portainer) {
        let published = server.traefik_service.as_ref().map(|service| service.port);
        let port = scripted(server).or(declared.server_port).or(published).unwrap_or(port::PORTAINER);
        let to = End::Guest(server.id);
        flows.tcp(End::Node, to, &[port], "Portainer's API");
        for router in with_role(site, Role::Router) {
            flows.tcp(End::Guest(router.id), to, &[port], "Portainer in browsers");
        }
        for agent in site.guests.values().filter(|guest| guest.portainer_role == PortainerRole::Agent) {
            let port = scripted(agent).or(declared.agent_port).unwrap_or(port::AGENT);
            flows.tcp(to, End::Guest(agent.id), &[port], "Portainer's agent");
        }
    }
}

/// From the node to servers of models and applications: it waits for them, and asks for their health.
fn servers(site: &Site, catalogue: &Catalogue, flows: &mut Flows) {
    for guest in site.guests.values() {
        if let Some(port) = scripted_port(guest, catalogue, |spec| SERVERS.contains(&spec.name.as_str())) {
            flows.tcp(End::Node, End::Guest(guest.id), &[port], "health check");
        }
    }
}

/// From guests to their name servers.
fn names(site: &Site, flows: &mut Flows) {
    for guest in site.guests.values() {
        for server in &guest.nameservers {
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                let to = whose(site, *server);
                flows.need(End::Guest(guest.id), to, protocol, &[port::DNS], "name service".to_owned());
            }
        }
    }
}

/// From virtual machines to the servers of their volumes. One that is given by a name of somewhere else is left out.
fn volumes(site: &Site, flows: &mut Flows) {
    for guest in site.guests.values().filter(|guest| guest.kind == GuestKind::Vm) {
        for volume in &guest.vm.nfs {
            let named = || {
                let label = volume.server.strip_suffix(&format!(".{}", site.domain)).unwrap_or(&volume.server);
                let is_node = site.node.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(label));
                if is_node { Some(End::Node) } else { site.find(label).map(|guest| End::Guest(guest.id)) }
            };
            let server = volume.server.parse().ok().map(|address| whose(site, address)).or_else(named);
            if let Some(server) = server {
                flows.tcp(End::Guest(guest.id), server, &[port::NFS], format!("the volume {}", volume.path));
            }
        }
    }
}

/// The machine with an address.
fn whose(site: &Site, address: IpAddr) -> End {
    if site.node.address.is_some_and(|own| own.address == address) {
        return End::Node;
    }
    let guest = site.guests.values().find(|guest| guest.ip() == Some(address));
    guest.map_or(End::Outside(address), |guest| End::Guest(guest.id))
}
