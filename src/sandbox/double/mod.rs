//! Doubles of HTTP services: small, true to what clients of the real ones rely on, and no more.
//!
//! A double has no state of its own: it reads the configuration of the machine that it runs in, and what it remembers
//! lies in files there, so that snapshots, clones and restarts do to it what they do to the real service. It answers as
//! long as a unit of the machine is active whose model names it (`serves: "ca"`).
//!
//! | name | stands for | answers |
//! |---|---|---|
//! | `ca` | step-ca | health, roots, provisioners, signing with one-time tokens, ACME directories |
//! | `traefik` | Traefik 3 | ping, its API about routers and services, redirections |
//! | `nginx` | nginx | redirections, static answers, the certificates of its servers; `nginx -t` |
//! | `portainer` | Portainer and its agent, in containers | status, first administrator, sessions; the agent's ping |
//! | `docker` | Docker | what runs in its containers, on their published ports; `docker`, `docker compose`, `dockerd` |

mod authority;
mod ca;
mod docker;
mod duration;
mod nginx;
mod nginx_config;
mod portainer;
mod step_init;
mod tls;
mod token;
mod traefik;
pub(in crate::sandbox) mod yaml;

use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::Value;

use crate::request::{Request, Response};
use crate::sandbox::body::{Around, Body, Server};
use crate::sandbox::programs::{Inside, ProgramCall, Reached};

/// A certificate with those that vouch for it, leaf first.
type Chain = Vec<CertificateDer<'static>>;

/// A service's double.
trait Double: Sync {
    /// TCP ports that it listens on by its configuration.
    fn ports(&self, served: &mut Served) -> Vec<u16>;

    /// What happens when the container starts that it runs in.
    ///
    /// # Errors
    /// What it writes to its log before it ends.
    fn start(&self, _served: &mut Served) -> Result<(), String> {
        Ok(())
    }

    /// Certificates that it shows to clients which ask for this name; none where the port speaks plain HTTP.
    ///
    /// # Errors
    /// The words of a client whose handshake fails.
    fn chain(&self, served: &mut Served, port: u16, name: &str) -> Result<Option<Chain>, String>;

    /// Answers a request.
    fn respond(&self, served: &mut Served, exchange: &Exchange) -> Response;

    /// Does something to the machine, asked by the model of a program.
    ///
    /// # Errors
    /// What the program would print.
    fn act(&self, inside: &mut dyn Inside, verb: &str, options: &Value) -> Result<Value, String>;
}

/// A client's words where a server speaks plain HTTP.
const NO_TLS: &str = "received corrupt message of type InvalidContentType";

/// What a double remembers, in a file of the machine.
pub(super) struct Memory {
    /// The file.
    pub(super) path: &'static str,
    /// The service's own program. A machine that has it, but not the file, is a real one: what its service remembers is not
    /// known to the double.
    pub(super) program: &'static str,
}

/// What doubles remember beside the files of the real service.
pub(super) const MEMORIES: [Memory; 1] = [Memory { path: docker::MEMORY, program: "/usr/bin/dockerd" }];

/// The machine that a service runs in, and how it was started there.
struct Served<'s> {
    inside: &'s mut dyn Inside,
    /// Program and arguments of its unit, or the command line of its container.
    argv: Vec<String>,
    /// The container that it runs in.
    container: Option<docker::Container>,
}

impl<'s> Served<'s> {
    /// A service that runs as a unit of the machine.
    fn unit(inside: &'s mut dyn Inside, argv: Vec<String>) -> Served<'s> {
        Served { inside, argv, container: None }
    }
}

/// One request on its way.
struct Exchange<'e> {
    request: &'e Request,
    port: u16,
    tls: bool,
    /// Host of the URL, without port.
    host: &'e str,
    /// Path of the URL, without query.
    path: &'e str,
}

/// The double of this name.
fn named(service: &str) -> Result<&'static dyn Double, String> {
    match service {
        "ca" => Ok(&ca::Ca),
        "traefik" => Ok(&traefik::Traefik),
        "nginx" => Ok(&nginx::Nginx),
        "docker" => Ok(&docker::Docker),
        _ => Err(format!("no double of a service is called `{service}`: there are ca, traefik, nginx and docker")),
    }
}

/// TCP ports that a service listens on by its configuration.
pub(super) fn ports(service: &str, argv: Vec<String>, inside: &mut dyn Inside) -> Vec<u16> {
    named(service).map(|double| double.ports(&mut Served::unit(inside, argv))).unwrap_or_default()
}

/// Asks a double to do something to a machine.
///
/// # Errors
/// What the real program would print.
pub(super) fn act(service: &str, inside: &mut dyn Inside, verb: &str, options: &Value) -> Result<Value, String> {
    named(service)?.act(inside, verb, options)
}

/// Answers a request that reached a port of a machine, TLS included: a client that does not believe the certificate gets
/// no answer.
///
/// # Errors
/// Why no answer came, in a client's words.
pub fn answer(body: &mut Body, around: &mut Around, port: u16, request: &Request) -> Result<Response, String> {
    let url = Url::parse(&request.url).ok_or_else(|| format!("`{}` is no URL", request.url))?;
    let (service, argv) = match body.service_on(port, around)? {
        Server::Double(service, argv) => (service, argv),
        Server::Model(_) if url.tls => return Err(NO_TLS.to_owned()),
        Server::Model(server) => {
            let reached = Reached { request, port, path: url.path };
            let programs = around.programs;
            return body.visit(around, Some(&server), |inside| programs.respond(&server, &reached, inside));
        }
    };
    let double = named(&service)?;
    let system_roots = around.node.as_deref().unwrap_or(body).system_roots();
    let now = around.identity.now;
    body.visit(around, None, |inside| {
        let mut served = Served::unit(inside, argv);
        let chain = double.chain(&mut served, port, url.host)?;
        let mut exchange = Exchange { request, port, tls: chain.is_some(), host: url.host, path: url.path };
        match (&chain, url.tls) {
            (Some(chain), true) => tls::believe(chain, &request.trust, &system_roots, url.host, now)?,
            (None, false) => {}
            (None, true) => return Err(NO_TLS.to_owned()),
            (Some(_), false) => exchange.tls = false,
        }
        if exchange.tls != chain.is_some() {
            return Ok(text(400, "Client sent an HTTP request to an HTTPS server.\n"));
        }
        let response = double.respond(&mut served, &exchange);
        let chain = chain.unwrap_or_default().iter().map(|certificate| certificate.to_vec()).collect();
        Ok(Response { chain, ..response })
    })
}

/// The call of the program that asks a double; `options` may say another command line (`{"argv": [...]}`).
fn command(inside: &mut dyn Inside, options: &Value) -> Result<ProgramCall, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        argv: Option<Vec<String>>,
    }
    let Options { argv } = Options::deserialize(options).map_err(|error| format!("options of the double: {error}"))?;
    let call = inside.call().cloned().unwrap_or_default();
    Ok(ProgramCall { argv: argv.unwrap_or_else(|| call.argv.clone()), ..call })
}

/// An answer of plain text.
fn text(status: u16, body: &str) -> Response {
    let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
    Response { status, headers, body: body.as_bytes().to_vec(), chain: Vec::new() }
}

/// An answer of JSON.
fn json(status: u16, body: &Value) -> Response {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Response { status, headers, body: format!("{body}\n").into_bytes(), chain: Vec::new() }
}

/// An answer that sends the client elsewhere.
fn redirect(status: u16, location: String) -> Response {
    Response { status, headers: vec![("location".to_owned(), location)], ..Response::default() }
}

/// The parts of a URL that a server sees.
struct Url<'u> {
    tls: bool,
    host: &'u str,
    path: &'u str,
}

impl<'u> Url<'u> {
    fn parse(url: &'u str) -> Option<Url<'u>> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next()?,
            None => authority.split(':').next()?,
        };
        Some(Url { tls, host, path: path.split(['?', '#']).next()? })
    }
}
