//! One container.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sandbox::double::Served;
use crate::sandbox::programs::Inside;

use super::state::VOLUMES;

/// A container, running or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::sandbox::double) struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Image as it was asked for.
    pub image: String,
    /// Command line, the entry point's words included.
    pub command: Vec<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Labels; compose keeps project, service and digest here.
    pub labels: BTreeMap<String, String>,
    /// Published TCP ports.
    pub ports: Vec<Port>,
    /// Directories and files of the machine that it sees.
    pub mounts: Vec<Mount>,
    /// Restart policy: `no`, `always`, `unless-stopped`, `on-failure`.
    pub restart: String,
    /// Program of the health check; empty without one.
    pub check: Vec<String>,
    /// `running`, `exited`, `created`.
    pub state: String,
    /// Exit status of a container that ended.
    pub exit_code: i32,
    /// What it printed.
    pub log: String,
    /// When it was started last.
    pub started: Timestamp,
}

/// A published port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::double) struct Port {
    /// Address of the machine; empty: every one.
    pub address: String,
    /// Port of the machine.
    pub host: u16,
    /// Port inside the container.
    pub container: u16,
}

/// Something of the machine that a container sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::double) struct Mount {
    /// Path on the machine, or name of a volume.
    pub source: String,
    /// Path inside the container.
    pub target: String,
}

impl Port {
    /// Reads `[[ADDRESS:]HOST:]CONTAINER[/tcp]`; none for UDP, or for what is no port.
    pub fn parse(text: &str) -> Option<Port> {
        let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let mut parts = text.rsplitn(3, ':');
        let container = parts.next()?.parse().ok().filter(|_| protocol == "tcp")?;
        let host = parts.next().map_or(Some(container), |host| host.parse().ok())?;
        Some(Port { address: parts.next().unwrap_or_default().to_owned(), host, container })
    }

    /// Whether only the machine itself reaches it.
    pub fn is_local(&self) -> bool {
        self.address.starts_with("127.") || self.address == "[::1]"
    }
}

impl Mount {
    /// Reads `SOURCE:TARGET[:OPTIONS]`; a lone target is a volume without a name, of which nothing is kept.
    pub fn parse(text: &str) -> Option<Mount> {
        let mut parts = text.split(':');
        let (source, target) = (parts.next()?, parts.next()?);
        Some(Mount { source: source.to_owned(), target: target.to_owned() })
    }

    /// Path on the machine.
    pub fn path(&self) -> String {
        if self.source.starts_with('/') { self.source.clone() } else { format!("{VOLUMES}/{}/_data", self.source) }
    }

    /// The volume's name, if it is one.
    pub fn volume(&self) -> Option<&str> {
        (!self.source.starts_with('/')).then_some(self.source.as_str())
    }
}

impl Container {
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// Where a path inside the container lies on the machine; none if it is the container's own.
    pub fn path(&self, inside: &str) -> Option<String> {
        let below = |mount: &Mount| {
            let rest = inside.strip_prefix(mount.target.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| (mount.target.len(), format!("{}{rest}", mount.path())))
        };
        self.mounts.iter().filter_map(below).max().map(|(_, path)| path)
    }

    /// What its image's double is asked with.
    pub(super) fn served<'s>(&self, inside: &'s mut dyn Inside) -> Served<'s> {
        Served { inside, argv: self.command.clone(), container: Some(self.clone()) }
    }

    /// Starts it: it runs on, or ends at once where its command or its image's double says so.
    pub(super) fn start(&mut self, inside: &mut dyn Inside) {
        self.started = inside.identity().now;
        let refused = match super::of_image(&self.image) {
            Some(double) => double.start(&mut self.served(inside)).err().map(|log| (1, log + "\n")),
            None => None,
        };
        (self.log, self.exit_code, self.state) = match refused.or_else(|| ends(&self.command)) {
            Some((code, log)) => (log, code, "exited".to_owned()),
            None => (String::new(), 0, "running".to_owned()),
        };
    }

    /// Ends it, as `docker stop` does after its grace period.
    pub(super) fn stop(&mut self) {
        if self.is_running() {
            (self.state, self.exit_code) = ("exited".to_owned(), 137);
        }
    }

    /// `healthy` or `unhealthy`; empty without a check, and where nothing runs.
    pub(super) fn health(&self) -> &'static str {
        match self.check.as_slice() {
            [] => "",
            _ if !self.is_running() => "",
            check if ends(check).is_some_and(|(code, _)| code != 0) => "unhealthy",
            _ => "healthy",
        }
    }

    /// `Up 2 minutes (healthy)`, `Exited (3) 2 minutes ago`.
    pub(super) fn status(&self) -> String {
        match (self.state.as_str(), self.health()) {
            ("running", "") => "Up 2 minutes".to_owned(),
            ("running", health) => format!("Up 2 minutes ({health})"),
            ("exited", _) => format!("Exited ({}) 2 minutes ago", self.exit_code),
            _ => "Created".to_owned(),
        }
    }

    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Exit status and output of a command that ends by itself: `true`, `false`, and a shell line of `echo` and `exit`.
fn ends(command: &[String]) -> Option<(i32, String)> {
    let first = command.iter().position(|word| !word.ends_with("busybox"))?;
    let program = command[first].rsplit('/').next().unwrap_or_default();
    match (program, command.get(first + 1..)?) {
        ("true", _) => Some((0, String::new())),
        ("false", _) => Some((1, String::new())),
        ("sh" | "bash", [c, line]) if c == "-c" => {
            let mut log = String::new();
            for part in line.split([';', '\n']).map(str::trim) {
                if let Some(words) = part.strip_prefix("echo ") {
                    log.push_str(&format!("{}\n", words.trim_matches(['"', '\''])));
                } else if let Some(code) = part.strip_prefix("exit") {
                    return Some((code.trim().parse().unwrap_or(0), log));
                }
            }
            None
        }
        _ => None,
    }
}
