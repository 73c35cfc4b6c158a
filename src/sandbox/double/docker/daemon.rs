//! `dockerd`: what it takes in `daemon.json`, and what a start does to containers.

use serde_json::{Map, Value, json};

use crate::op::{Op, OpValue};
use crate::sandbox::programs::Inside;

use super::Printed;
use super::state::State;

/// The file that is read if no other is named.
const USUAL: &str = "/etc/docker/daemon.json";

/// Gone after a boot, so that a start knows one from a restart.
const PID_FILE: &str = "/run/docker.pid";

/// Members of `daemon.json`, those of runtimes and logs within them not counted.
const MEMBERS: &[&str] = &[
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "authorization-plugins",
    "bip",
    "bip6",
    "bridge",
    "builder",
    "cdi-spec-dirs",
    "cgroup-parent",
    "containerd",
    "containerd-namespace",
    "containerd-plugin-namespace",
    "data-root",
    "debug",
    "default-address-pools",
    "default-cgroupns-mode",
    "default-gateway",
    "default-gateway-v6",
    "default-ipc-mode",
    "default-network-opts",
    "default-runtime",
    "default-shm-size",
    "default-ulimits",
    "dns",
    "dns-opts",
    "dns-search",
    "exec-opts",
    "exec-root",
    "experimental",
    "features",
    "firewall-backend",
    "fixed-cidr",
    "fixed-cidr-v6",
    "group",
    "host-gateway-ip",
    "host-gateway-ips",
    "hosts",
    "http-proxy",
    "https-proxy",
    "icc",
    "init",
    "init-path",
    "insecure-registries",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "labels",
    "live-restore",
    "log-driver",
    "log-format",
    "log-level",
    "log-opts",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "metrics-addr",
    "min-api-version",
    "mtu",
    "no-new-privileges",
    "no-proxy",
    "node-generic-resources",
    "oom-score-adjust",
    "pidfile",
    "proxies",
    "raw-logs",
    "registry-mirrors",
    "rootless",
    "runtimes",
    "seccomp-profile",
    "selinux-enabled",
    "shutdown-timeout",
    "storage-driver",
    "storage-opts",
    "swarm-default-advertise-addr",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-path",
    "userns-remap",
    "validate",
];

/// Runs `dockerd WORDS`: a validation, or a start.
pub(super) fn run(inside: &mut dyn Inside, words: &[&str]) -> Printed {
    let value = |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1)).copied();
    let given = value("--config-file").or_else(|| words.iter().find_map(|word| word.strip_prefix("--config-file=")));
    let file = given.unwrap_or(USUAL);
    let config = match read(inside, file, given.is_some()).and_then(|config| checked(inside, file, config)) {
        Ok(config) => config,
        Err(words) => return Printed::failure(1, words),
    };
    if words.contains(&"--validate") {
        return Printed { stderr: "configuration OK\n".to_owned(), ..Printed::default() };
    }
    let flags: Vec<&str> =
        words.iter().zip(words.iter().skip(1)).filter(|(flag, _)| **flag == "-H").map(|(_, host)| *host).collect();
    if let (Some(hosts), false) = (config.get("hosts"), flags.is_empty()) {
        let list = |hosts: Vec<&str>| hosts.join(" ");
        let from_file = list(hosts.as_array().into_iter().flatten().filter_map(Value::as_str).collect());
        let both = format!("hosts: (from flag: [{}], from file: [{from_file}])", list(flags));
        let problem = "the following directives are specified both as a flag and in the configuration file";
        return Printed::failure(
            1,
            format!("unable to configure the Docker daemon with file {file}: {problem}: {both}"),
        );
    }
    start(inside, &config).err().unwrap_or_default()
}

/// The configuration that the daemon was started with, as far as the file still says it.
pub(super) fn config(inside: &mut dyn Inside) -> Value {
    inside.text(USUAL).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_else(|| json!({}))
}

/// After a boot, and without `live-restore` after every start, only containers with a restart policy run.
fn start(inside: &mut dyn Inside, config: &Map<String, Value>) -> Result<(), Printed> {
    let booted = inside.text(PID_FILE).is_none();
    inside.write(PID_FILE, 0o644, "1\n").map_err(|words| Printed::failure(1, words))?;
    if !booted && config.get("live-restore") == Some(&json!(true)) {
        return Ok(());
    }
    let mut state = State::read(inside);
    for container in state.containers.iter_mut().filter(|container| container.is_running()) {
        match container.restart.split(':').next() {
            Some("always" | "unless-stopped" | "on-failure") => container.start(inside),
            _ => container.stop(),
        }
    }
    state.keep(inside)
}

fn read(inside: &mut dyn Inside, file: &str, named: bool) -> Result<Map<String, Value>, String> {
    let problem = |words: String| format!("unable to configure the Docker daemon with file {file}: {words}");
    let Some(text) = inside.text(file) else {
        return if named { Err(problem(format!("open {file}: no such file or directory"))) } else { Ok(Map::new()) };
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(problem("json: cannot unmarshal into Go value of type map[string]interface {}".to_owned())),
        Err(error) => Err(problem(format!("invalid character: {error}"))),
    }
}

/// What `dockerd` refuses.
fn checked(inside: &mut dyn Inside, file: &str, config: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let problem = |words: String| format!("unable to configure the Docker daemon with file {file}: {words}");
    let unknown: Vec<&str> = config.keys().map(String::as_str).filter(|key| !MEMBERS.contains(key)).collect();
    if !unknown.is_empty() {
        let words = "the following directives don't match any configuration option";
        return Err(problem(format!("{words}: {}", unknown.join(", "))));
    }
    let texts = |key: &str| config.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if let Some(bad) = texts("dns").find(|address| address.parse::<std::net::IpAddr>().is_err()) {
        return Err(problem(format!("invalid IP address: {bad}")));
    }
    if let Some(bad) = texts("registry-mirrors").find(|url| !url.contains("://")) {
        return Err(problem(format!(
            "invalid mirror: no scheme specified for \"{bad}\": must use either 'https://' or 'http://'"
        )));
    }
    if config.get("tls") == Some(&json!(true)) || config.get("tlsverify") == Some(&json!(true)) {
        for key in ["tlscert", "tlskey", "tlscacert"] {
            let path = config.get(key).and_then(Value::as_str).unwrap_or_default();
            if !matches!(inside.perform(&Op::Stat { path: path.to_owned() }), Ok(OpValue::Stat(Some(_)))) {
                return Err(format!(
                    "invalid TLS configuration: could not read {key}: open {path}: no such file or directory"
                ));
            }
        }
    }
    Ok(config)
}
