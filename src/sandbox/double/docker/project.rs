//! The compose file: read, its variables put in, checked as compose checks it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::sandbox::body::sha256;
use crate::sandbox::double::yaml;
use crate::sandbox::programs::Inside;

use super::container::{Container, Mount, Port};

/// Members of the whole file, and of a service.
const MEMBERS: [&str; 8] = ["name", "version", "services", "volumes", "networks", "secrets", "configs", "include"];
const SERVICE_MEMBERS: &[&str] = &[
    "annotations",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "command",
    "configs",
    "container_name",
    "cpus",
    "depends_on",
    "deploy",
    "devices",
    "dns",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extra_hosts",
    "gpus",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "labels",
    "logging",
    "mem_limit",
    "network_mode",
    "networks",
    "pid",
    "platform",
    "ports",
    "privileged",
    "profiles",
    "pull_policy",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "userns_mode",
    "volumes",
    "working_dir",
];

/// A project as its file declares it.
pub(super) struct Project {
    pub name: String,
    pub path: String,
    pub services: Vec<Service>,
    pub networks: Vec<String>,
    /// Volumes of its own.
    pub volumes: Vec<String>,
}

/// A service.
pub(super) struct Service {
    pub name: String,
    /// Digest of its configuration.
    pub hash: String,
    /// The container that it makes.
    pub container: Container,
}

impl Project {
    /// Reads a project.
    ///
    /// # Errors
    /// Compose's words.
    pub fn read(inside: &mut dyn Inside, name: Option<&str>, path: &str) -> Result<Project, String> {
        let text = inside.text(path).ok_or_else(|| format!("open {path}: no such file or directory"))?;
        let dir = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
        let variables = variables(&inside.text(&format!("{dir}/.env")).unwrap_or_default());
        let mut whole = yaml::parse(&text)?;
        check(path, "(root)", &whole, &MEMBERS)?;
        let declared = whole["services"].as_object().cloned().unwrap_or_default();
        for (service, config) in &declared {
            check(path, &format!("services.{service}"), config, SERVICE_MEMBERS)?;
        }
        put_in(&mut whole, "", &variables)?;
        let usual = || dir.rsplit('/').next().unwrap_or_default().to_lowercase();
        let name = name.or(whole["name"].as_str()).map_or_else(usual, str::to_owned);
        let own = |kind: &str| whole[kind].as_object().cloned().unwrap_or_default();
        let (volumes, networks) = (own("volumes"), own("networks"));
        let mut services = Vec::new();
        for (service, config) in own("services") {
            services.push(Service::of(&name, dir, &service, &config, &volumes, &networks, &declared)?);
        }
        if services.is_empty() {
            return Err("no service selected".to_owned());
        }
        let named = |(volume, config): (&String, &Value)| actual(&name, volume, config);
        let inner = |all: &Map<String, Value>| {
            all.iter().filter(|(_, config)| config["external"] != true).map(named).collect::<Vec<_>>()
        };
        let mut networks = inner(&networks);
        networks.push(format!("{name}_default"));
        Ok(Project { path: path.to_owned(), volumes: inner(&volumes), networks, services, name })
    }
}

impl Service {
    fn of(
        project: &str,
        dir: &str,
        name: &str,
        config: &Value,
        volumes: &Map<String, Value>,
        networks: &Map<String, Value>,
        services: &Map<String, Value>,
    ) -> Result<Service, String> {
        let invalid = |problem: String| format!("service \"{name}\" {problem}: invalid compose project");
        let image = match (config["image"].as_str(), config.get("build")) {
            (Some(image), _) => image.to_owned(),
            (None, Some(_)) => format!("{project}-{name}"),
            (None, None) => {
                return Err(invalid("has neither an image nor a build context specified".to_owned()));
            }
        };
        if let Some(missing) = names(&config["depends_on"]).into_iter().find(|service| !services.contains_key(service))
        {
            return Err(invalid(format!("depends on undefined service {missing}")));
        }
        let known = |network: &String| network == "default" || networks.contains_key(network);
        if let Some(missing) = names(&config["networks"]).into_iter().find(|network| !known(network)) {
            return Err(invalid(format!("refers to undefined network {missing}")));
        }
        let mut mounts = Vec::new();
        for volume in config["volumes"].as_array().into_iter().flatten() {
            let Some(mount) = mount(volume) else { continue };
            mounts.push(match mount.source.strip_prefix('.') {
                Some(rest) => Mount { source: format!("{dir}{}", rest.trim_end_matches('/')), ..mount },
                None if mount.source.starts_with('/') => mount,
                None => match volumes.get(&mount.source) {
                    Some(config) => Mount { source: actual(project, &mount.source, config), ..mount },
                    None => return Err(invalid(format!("refers to undefined volume {}", mount.source))),
                },
            });
        }
        let mut ports = Vec::new();
        for port in config["ports"].as_array().into_iter().flatten() {
            match port {
                Value::Object(long) => ports.extend(long_port(long)),
                short => {
                    let text = short.as_str().map_or_else(|| short.to_string(), str::to_owned);
                    if text.ends_with("/udp") {
                        continue;
                    }
                    ports.push(Port::parse(&text).ok_or_else(|| format!("invalid containerPort: {text}"))?);
                }
            }
        }
        // What does not change a container is no part of the digest.
        let mut digested = config.clone();
        if let Value::Object(members) = &mut digested {
            for member in ["build", "depends_on", "profiles", "pull_policy", "scale"] {
                members.shift_remove(member);
            }
        }
        let mut labels = pairs(&config["labels"]);
        let hash = sha256(digested.to_string().as_bytes());
        for (label, value) in [
            ("config-hash", hash.as_str()),
            ("container-number", "1"),
            ("oneoff", "False"),
            ("project", project),
            ("project.working_dir", dir),
            ("service", name),
        ] {
            labels.insert(format!("com.docker.compose.{label}"), value.to_owned());
        }
        let own_name = config["container_name"].as_str();
        let check = words(&config["healthcheck"]["test"]);
        let check = match check.split_first() {
            Some((kind, _)) if kind == "NONE" => Vec::new(),
            Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
            Some((kind, rest)) if kind == "CMD-SHELL" => {
                ["sh", "-c"].map(str::to_owned).iter().chain(rest).cloned().collect()
            }
            _ => check,
        };
        let container = Container {
            name: own_name.map_or_else(|| format!("{project}-{name}-1"), str::to_owned),
            image,
            command: [words(&config["entrypoint"]), words(&config["command"])].concat(),
            env: pairs(&config["environment"]),
            labels,
            ports,
            mounts,
            restart: config["restart"].as_str().unwrap_or("no").to_owned(),
            check,
            ..Container::default()
        };
        Ok(Service { name: name.to_owned(), hash, container })
    }
}

/// Refuses members that nobody knows.
fn check(path: &str, place: &str, value: &Value, known: &[&str]) -> Result<(), String> {
    let Value::Object(members) = value else {
        return Err(format!("validating {path}: {place} must be a mapping"));
    };
    match members.keys().find(|key| !known.contains(&key.as_str()) && !key.starts_with("x-")) {
        Some(key) => Err(format!("validating {path}: {place} Additional property {key} is not allowed")),
        None => Ok(()),
    }
}

/// The variables of an `.env` file.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches(['\'', '"']).to_owned())).collect()
}

/// Puts the variables into every text.
fn put_in(value: &mut Value, place: &str, variables: &BTreeMap<String, String>) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains('$') => {
            *text = interpolated(text, variables)
                .map_err(|problem| format!("error while interpolating {}: {problem}", place.trim_start_matches('.')))?;
        }
        Value::Array(items) => {
            for item in items {
                put_in(item, &format!("{place}.[]"), variables)?;
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                put_in(member, &format!("{place}.{name}"), variables)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// `$NAME`, `${NAME}`, `${NAME:-fallback}`, `${NAME:?message}`; `$$` is a dollar.
fn interpolated(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        let word = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let given = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        if let Some(after) = after.strip_prefix('$') {
            done.push('$');
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            let (inner, after) = inner.split_once('}').ok_or_else(|| invalid(text))?;
            let (name, how) = inner.split_at(word(inner));
            let how = how.strip_prefix(':').unwrap_or(how);
            match (given(name), how.split_at_checked(1)) {
                (Some(value), _) => done.push_str(value),
                (None, Some(("-", fallback))) => done.push_str(fallback),
                (None, Some(("?", message))) => {
                    return Err(format!("required variable {name} is missing a value: {message}"));
                }
                (None, None) => {}
                (None, Some(_)) => return Err(invalid(text)),
            }
            rest = after;
        } else {
            let (name, after) = after.split_at(word(after));
            if name.is_empty() {
                return Err(invalid(text));
            }
            done.push_str(given(name).map_or("", String::as_str));
            rest = after;
        }
    }
    Ok(done + rest)
}

fn invalid(text: &str) -> String {
    format!("invalid interpolation format for {text:?}. You may need to escape any $ with another $")
}

/// The name that the daemon knows a volume or network by.
fn actual(project: &str, name: &str, config: &Value) -> String {
    match (config["name"].as_str(), config["external"] == true) {
        (Some(own), _) => own.to_owned(),
        (None, true) => name.to_owned(),
        (None, false) => format!("{project}_{name}"),
    }
}

/// A mount of the short or the long form; none without a source.
fn mount(value: &Value) -> Option<Mount> {
    match value {
        Value::String(text) => Mount::parse(text),
        long => {
            Some(Mount { source: long["source"].as_str()?.to_owned(), target: long["target"].as_str()?.to_owned() })
        }
    }
}

fn long_port(long: &Map<String, Value>) -> Option<Port> {
    let number = |key: &str| {
        let value = long.get(key)?;
        value.as_u64().map_or_else(|| value.as_str()?.parse().ok(), |number| u16::try_from(number).ok())
    };
    let text = |key: &str| long.get(key).and_then(Value::as_str).unwrap_or_default();
    let container = number("target").filter(|_| text("protocol") != "udp")?;
    Some(Port { address: text("host_ip").to_owned(), host: number("published").unwrap_or(container), container })
}

/// Keys of a map, or items of a list.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A command: a list, or a line.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(line) => shlex::split(line).unwrap_or_default(),
        value => names(value),
    }
}

/// `NAME: VALUE` or `- NAME=VALUE`.
fn pairs(value: &Value) -> BTreeMap<String, String> {
    match value {
        Value::Object(members) => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            members.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        }
        value => {
            let all = names(value);
            all.iter().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn variables_are_put_in_as_compose_does() {
        let known = variables("# a comment\nA='x y'\nEMPTY=\n");
        let put = |text: &str| interpolated(text, &known);
        assert_eq!(put("$A ${A} ${B:-z} ${EMPTY:-e} $$A").unwrap(), "x y x y z e $A");
        assert_eq!(put("${B:?must be set}").unwrap_err(), "required variable B is missing a value: must be set");
        assert!(put("${A").is_err() && put("$ ").is_err());
    }
}
