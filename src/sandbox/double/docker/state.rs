//! What there is: images, containers, volumes and networks, kept in a file of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::Effect;
use crate::op::{Attributes, Exec, Op, OpValue};
use crate::sandbox::body::sha256;
use crate::sandbox::programs::Inside;

use super::Printed;
use super::container::Container;

/// Where everything is kept.
pub(in crate::sandbox::double) const PATH: &str = "/var/lib/docker/double.json";

/// Where named volumes lie.
pub(super) const VOLUMES: &str = "/var/lib/docker/volumes";

/// Registries that exist; every image that is asked for there is there.
const REGISTRIES: [&str; 9] = [
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "registry.k8s.io",
    "mcr.microsoft.com",
    "nvcr.io",
    "lscr.io",
    "public.ecr.aws",
];

/// How long an image takes to come, and a container to start.
const PULL: Duration = Duration::from_secs(8);
const START: Duration = Duration::from_millis(600);

/// Everything there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// `NAME:TAG` -> id.
    pub images: BTreeMap<String, String>,
    /// In the order they were made.
    pub containers: Vec<Container>,
    pub volumes: BTreeSet<String>,
    pub networks: BTreeSet<String>,
    /// How many things were ever made.
    made: u64,
}

impl State {
    /// What the machine holds; nothing in a new one.
    pub fn read(inside: &mut dyn Inside) -> State {
        inside.text(PATH).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Keeps it, if it differs.
    pub fn keep(&self, inside: &mut dyn Inside) -> Result<(), Printed> {
        if *self == State::read(inside) {
            return Ok(());
        }
        let text = serde_json::to_string(self).unwrap_or_default();
        inside.write(PATH, 0o600, &text).map_err(|words| daemon_says(&words))
    }

    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.is_running())
    }

    /// A container by name or beginning of its id.
    pub fn find(&mut self, word: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|container| container.name == word || container.id.starts_with(word))
    }

    /// A fresh id.
    pub fn id(&mut self, about: &str) -> String {
        self.made += 1;
        sha256(format!("{about} {}", self.made).as_bytes())
    }

    /// Makes sure that an image is there.
    ///
    /// # Errors
    /// The daemon's words when its registry does not exist.
    pub fn pull(&mut self, inside: &mut dyn Inside, image: &str) -> Result<(), String> {
        let name = full_name(image);
        if self.images.contains_key(&name) {
            return Ok(());
        }
        let registry = registry_of(&name);
        if !REGISTRIES.contains(&registry) {
            let host = registry.split(':').next().unwrap_or_default();
            return Err(format!("Get \"https://{registry}/v2/\": dial tcp: lookup {host}: no such host"));
        }
        pass(inside, PULL);
        self.images.insert(name.clone(), sha256(name.as_bytes()));
        Ok(())
    }

    /// Starts a container whose ports are free; its volumes and the directories that it sees are made.
    ///
    /// # Errors
    /// The daemon's words.
    pub fn start(&mut self, inside: &mut dyn Inside, name: &str) -> Result<(), String> {
        let Some(at) = self.containers.iter().position(|container| container.name == name) else {
            return Err(format!("No such container: {name}"));
        };
        if self.containers[at].is_running() {
            return Ok(());
        }
        let taken = match inside.perform(&Op::Listening) {
            Ok(OpValue::Ports(ports)) => ports,
            _ => BTreeSet::new(),
        };
        if let Some(port) = self.containers[at].ports.iter().find(|port| taken.contains(&port.host)) {
            let bind = if port.address.is_empty() { "0.0.0.0" } else { &port.address };
            let cause = format!("Bind for {bind}:{} failed: port is already allocated", port.host);
            let id = &self.containers[at].id[..12];
            return Err(format!("driver failed programming external connectivity on endpoint {name} ({id}): {cause}"));
        }
        for mount in &self.containers[at].mounts {
            if let Some(volume) = mount.volume() {
                self.volumes.insert(volume.to_owned());
            }
            let path = mount.path();
            if let Ok(OpValue::Stat(None)) = inside.perform(&Op::Stat { path: path.clone() }) {
                let make = Op::MakeDir { path, attributes: Attributes::default() };
                inside.perform(&make).map_err(|error| error.message)?;
            }
        }
        pass(inside, START);
        self.containers[at].start(inside);
        // Others have to see its ports at once.
        self.keep(inside).map_err(|printed| printed.stderr)
    }
}

/// Time goes by in the machine.
fn pass(inside: &mut dyn Inside, time: Duration) {
    let exec = Exec {
        argv: vec!["sleep".to_owned(), time.as_secs_f64().to_string()],
        env: BTreeMap::new(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: 2 * time,
        effect: Effect::Change,
    };
    // A machine without `sleep` is merely faster.
    let _ = inside.perform(&Op::Exec(exec));
}

/// The client's words for what the daemon refuses.
pub(super) fn daemon_says(words: &str) -> Printed {
    Printed::failure(1, format!("Error response from daemon: {words}"))
}

/// Registry of an image: the first part of its name if that looks like a host.
fn registry_of(name: &str) -> &str {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// An image with its tag.
pub(super) fn full_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let image = image.strip_prefix("docker.io/library/").or(image.strip_prefix("docker.io/")).unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// An image without its tag and digest.
pub(super) fn name_of(image: &str) -> String {
    let full = full_name(image);
    let full = full.split('@').next().unwrap_or(&full);
    match full.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => full.to_owned(),
    }
}
