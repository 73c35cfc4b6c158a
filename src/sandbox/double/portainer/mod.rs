//! A double of Portainer CE's server, as it runs in a container, and of its agent.
//!
//! True to Portainer: command line, ports and certificates (copied when it starts, self-made where none are given), its
//! API's paths, codes, members and misleading words, the first administrator by password file, by token or within five
//! minutes, tokens of a session, and a database that only a server of its own version or a later one opens. Not so: there
//! is no interface for browsers, and environments and stacks are not known yet.
//!
//! | file | what |
//! |---|---|
//! | `flags` | the command line |
//! | `data` | what is kept in the data directory |
//! | `api` | what requests are answered |
//! | `agent` | the agent |

mod agent;
mod api;
mod data;
mod flags;

use serde_json::Value;

use crate::sandbox::programs::Inside;

use super::docker::Container;
use super::{Chain, Double, Exchange, Served, authority, tls};
use crate::request::Response;
use data::Data;
use flags::Flags;

pub(super) use agent::Agent;

/// The double of the server.
pub(super) struct Portainer;

/// Where it keeps the certificate that it shows.
const SHOWN: &str = "certs/cert.pem";

impl Double for Portainer {
    fn ports(&self, served: &mut Served) -> Vec<u16> {
        Flags::parse(&served.argv).map(|flags| flags.ports()).unwrap_or_default()
    }

    fn start(&self, served: &mut Served) -> Result<(), String> {
        let flags = Flags::parse(&served.argv)?;
        let container = container(served)?;
        let data = directory(&container);
        let version = version(&container);
        let pair = match (&flags.certificate, &flags.key) {
            (Some(certificate), Some(key)) => {
                let mut read = |path: &String| text(served.inside, &container, path);
                Some((read(certificate)?, read(key)?))
            }
            (None, None) => None,
            _ => return Err("failed initializing SSL service: both --sslcert and --sslkey are needed".to_owned()),
        };
        let password = flags.password(|path| text(served.inside, &container, path))?;
        Data::open(served.inside, &data, &version, password)?;
        if let Some((certificate, key)) = pair {
            if tls::certificates(&certificate).is_empty() || !key.contains("PRIVATE KEY") {
                return Err("failed initializing SSL service: tls: failed to find any PEM data".to_owned());
            }
            served.inside.write(&format!("{data}/{SHOWN}"), 0o600, &certificate)?;
            served.inside.write(&format!("{data}/certs/key.pem"), 0o600, &key)?;
        }
        Ok(())
    }

    fn chain(&self, served: &mut Served, port: u16, _name: &str) -> Result<Option<Chain>, String> {
        if Flags::parse(&served.argv)?.https != port {
            return Ok(None);
        }
        let container = container(served)?;
        let shown = served.inside.text(&format!("{}/{SHOWN}", directory(&container)));
        match shown.map(|pem| tls::certificates(&pem)).filter(|chain| !chain.is_empty()) {
            Some(chain) => Ok(Some(chain)),
            None => {
                let now = served.inside.identity().now;
                authority::self_signed("localhost", &["localhost".to_owned()], now).map(Some)
            }
        }
    }

    fn respond(&self, served: &mut Served, exchange: &Exchange) -> Response {
        let (Ok(flags), Ok(container)) = (Flags::parse(&served.argv), container(served)) else {
            return super::text(502, "");
        };
        let version = version(&container);
        let server = api::Server {
            directory: directory(&container),
            // Whoever gave a password at the start has no need of a token.
            setup_token: (needs_token(&version) && !flags.has_password()).then(|| flags.setup_token(&container.id)),
            started: container.started,
            version,
        };
        server.respond(served.inside, exchange)
    }

    fn act(&self, _: &mut dyn Inside, verb: &str, _: &Value) -> Result<Value, String> {
        Err(format!("the double `portainer` cannot `{verb}`: it runs in a container"))
    }
}

/// The container that a double runs in.
fn container(served: &Served) -> Result<Container, String> {
    served.container.clone().ok_or_else(|| "Portainer runs in a container only".to_owned())
}

/// The data directory on the machine; without a mount it is the container's own and goes with it.
fn directory(container: &Container) -> String {
    container.path("/data").unwrap_or_else(|| format!("/var/lib/docker/containers/{}/data", container.id))
}

/// The version that the image's tag names.
fn version(container: &Container) -> String {
    let last = container.image.rsplit('/').next().unwrap_or_default();
    match last.split('@').next().and_then(|name| name.split_once(':')) {
        Some((_, tag)) if tag.starts_with(|first: char| first.is_ascii_digit()) => {
            tag.split('-').next().unwrap_or(tag).to_owned()
        }
        _ => "2.45.0".to_owned(),
    }
}

/// Since 2.43 the first administrator is made by whoever reads the token in the log.
fn needs_token(version: &str) -> bool {
    data::ordered(version) >= data::ordered("2.43.0")
}

/// A file that the container sees.
fn text(inside: &mut dyn Inside, container: &Container, path: &str) -> Result<String, String> {
    let absent = || format!("open {path}: no such file or directory");
    let there = container.path(path).ok_or_else(absent)?;
    inside.text(&there).ok_or_else(absent)
}
