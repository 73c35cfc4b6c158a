//! The agent: answers its ping to everybody, everything else to whoever signs, and always over TLS with a certificate of
//! its own making.

use serde_json::Value;

use super::api::refused;
use super::{container, version};
use crate::request::{Method, Response};
use crate::sandbox::double::{Chain, Double, Exchange, Served, authority};
use crate::sandbox::programs::Inside;

/// The double.
pub(in crate::sandbox::double) struct Agent;

impl Double for Agent {
    fn ports(&self, served: &mut Served) -> Vec<u16> {
        let own = container(served).ok().and_then(|container| container.env.get("AGENT_PORT")?.parse().ok());
        vec![own.unwrap_or(9001)]
    }

    fn start(&self, served: &mut Served) -> Result<(), String> {
        let socket = "/var/run/docker.sock";
        match container(served)?.path(socket) {
            Some(_) => Ok(()),
            None => Err(format!(
                "unable to retrieve information from Docker: dial unix {socket}: no such file or directory"
            )),
        }
    }

    fn chain(&self, served: &mut Served, _port: u16, _name: &str) -> Result<Option<Chain>, String> {
        let identity = served.inside.identity();
        let names: Vec<String> =
            ["localhost".to_owned()].into_iter().chain(identity.ip.map(|address| address.to_string())).collect();
        authority::self_signed("localhost", &names, identity.now).map(Some)
    }

    fn respond(&self, served: &mut Served, exchange: &Exchange) -> Response {
        let Ok(container) = container(served) else { return refused(500, "Internal error", "") };
        if exchange.request.method == Method::Get && exchange.path == "/ping" {
            let headers = [("portainer-agent", version(&container)), ("portainer-agent-platform", "1".to_owned())];
            let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
            return Response { status: 204, headers, ..Response::default() };
        }
        refused(403, "Missing request signature headers", "Unauthorized")
    }

    fn act(&self, _: &mut dyn Inside, verb: &str, _: &Value) -> Result<Value, String> {
        Err(format!("the double `portainer_agent` cannot `{verb}`: it runs in a container"))
    }
}
