//! A double of the Docker engine with Compose: images, containers, projects, and what is behind published ports.
//!
//! True to Docker: what the client prints and with which exit status, images that are there or are fetched from a registry
//! that exists, names, ports that are taken, restart policies, the labels and digests by which compose tells what changed,
//! and what is refused in a compose file or in `daemon.json`. Not so: nothing is isolated or built, there is one
//! container per service, and what runs in a container is what its image's double does. Where there is none, a container
//! runs on and answers every request with 200; a command of `true`, `false` or `sh -c "echo WORDS; exit N"` ends.
//!
//! | file | what |
//! |---|---|
//! | `state` | what there is, kept in `/var/lib/docker` of the machine |
//! | `container` | one container |
//! | `client` | `docker ...` |
//! | `compose` | `docker compose ...` |
//! | `project` | the compose file |
//! | `daemon` | `dockerd`: its configuration, its start |

mod client;
mod compose;
mod container;
mod daemon;
mod project;
mod state;

use serde_json::{Value, json};

use crate::request::Response;
use crate::sandbox::programs::Inside;

use super::{Chain, Double, Exchange, Served, portainer};
pub(super) use state::PATH as MEMORY;
use state::State;

pub(super) use container::Container;

/// The double.
pub(super) struct Docker;

/// Doubles of what runs in containers, by the image's name without its tag. They are asked with the container's own
/// ports, and find its command line in [`Served::argv`], mounts and environment in [`Served::container`].
const IMAGES: &[(&str, &dyn Double)] = &[
    ("portainer/portainer-ce", &portainer::Portainer),
    ("portainer/portainer-ee", &portainer::Portainer),
    ("portainer/agent", &portainer::Agent),
];

/// What a call prints, and its exit status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Printed {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Printed {
    fn out(stdout: impl Into<String>) -> Printed {
        Printed { stdout: stdout.into(), ..Printed::default() }
    }

    fn failure(code: i32, stderr: impl Into<String>) -> Printed {
        Printed { code, stderr: stderr.into() + "\n", ..Printed::default() }
    }
}

impl Double for Docker {
    fn ports(&self, served: &mut Served) -> Vec<u16> {
        let state = State::read(served.inside);
        state.running().flat_map(|container| &container.ports).map(|port| port.host).collect()
    }

    fn chain(&self, served: &mut Served, port: u16, name: &str) -> Result<Option<Chain>, String> {
        let (container, target) = behind(served, port)?;
        let Some(double) = of_image(&container.image) else { return Ok(None) };
        let mut served = container.served(served.inside);
        if !double.ports(&mut served).contains(&target) {
            return Err("connection reset by peer".to_owned());
        }
        double.chain(&mut served, target, name)
    }

    fn respond(&self, served: &mut Served, exchange: &Exchange) -> Response {
        let Ok((container, target)) = behind(served, exchange.port) else { return super::text(404, "") };
        match of_image(&container.image) {
            Some(double) => {
                double.respond(&mut container.served(served.inside), &Exchange { port: target, ..*exchange })
            }
            None => super::text(200, &format!("{}\n", container.image)),
        }
    }

    fn act(&self, inside: &mut dyn Inside, verb: &str, options: &Value) -> Result<Value, String> {
        let call = super::command(inside, options)?;
        let words: Vec<&str> = call.args().iter().map(String::as_str).collect();
        let printed = match verb {
            "docker" => client::run(inside, &words),
            "dockerd" => daemon::run(inside, &words),
            _ => return Err(format!("the double `docker` cannot `{verb}`: it knows docker and dockerd")),
        };
        let Printed { code, stdout, stderr } = printed;
        Ok(json!({ "code": code, "stdout": stdout, "stderr": stderr }))
    }
}

/// The container behind a published port, and the port inside of it.
fn behind(served: &mut Served, port: u16) -> Result<(Container, u16), String> {
    let state = State::read(served.inside);
    let found =
        state.running().find_map(|container| Some((container, container.ports.iter().find(|p| p.host == port)?)));
    match found {
        Some((container, port)) if !port.is_local() => Ok((container.clone(), port.container)),
        _ => Err("connection refused".to_owned()),
    }
}

fn of_image(image: &str) -> Option<&'static dyn Double> {
    let name = state::name_of(image);
    IMAGES.iter().find(|(known, _)| *known == name).map(|(_, double)| *double)
}
