//! `compose`: a project of `docker compose`, its files in place and its containers as they say.
//!
//! Files alone do not tell whether a project is right: containers are stopped, removed and changed by hand. So the
//! containers are asked too: compose labels each with the digest of the configuration that it was made from, which is
//! compared with the one that the files give now.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::error::LAST_LINES;
use super::{Change, Exec, File, Machine, MachineError, change::difference, exec, path, watch::Watch};
use crate::command::Output;
use crate::event::Difference;
use crate::op::{Attributes, Content};
use crate::secret::Sealed;

/// Where projects are kept inside the machine.
pub const COMPOSE_DIR: &str = "/etc/phoenix/compose";

/// How long services may take to run and be healthy if nothing is given.
pub const COMPOSE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The label in which compose keeps the digest of a container's configuration.
const HASH_LABEL: &str = "com.docker.compose.config-hash=";

/// What a project shall be.
#[derive(Clone, Debug)]
pub struct Compose {
    /// The compose file.
    pub content: Sealed,
    /// Variables that it refers to (`${NAME}`); kept in `.env` beside it, which only root may read.
    pub env: BTreeMap<String, Sealed>,
    /// Directory of its files; absent: the project's own in [`COMPOSE_DIR`].
    pub dir: Option<String>,
    /// Files and directories that containers read when they start: when they differ from those of the last start, the
    /// containers are made anew.
    pub watch: Vec<String>,
    /// How long its services may take to run and be healthy; fetching images may take as long again.
    pub timeout: Duration,
}

impl Machine {
    /// Brings a compose project up as its file says: services run and are healthy, those that are not declared any more
    /// are gone.
    ///
    /// # Errors
    /// When docker or compose is missing, when the file is not valid (the old one stays), and when a service does not come
    /// up: then it is [`MachineError::Compose`] with the service's last lines.
    pub fn compose(&self, name: &str, options: &Compose) -> Result<Change, MachineError> {
        let project = Project::new(self, name, options.dir.as_deref())?;
        let what = format!("compose {name}");
        let files = project.write(options)?;
        let own = [project.file(), project.env()];
        let watched: Vec<String> = options.watch.iter().chain(&own).cloned().collect();
        let watch = self.watch(&format!("compose-{name}"), &watched)?;
        let differences = match project.differences() {
            // A rehearsal knows what it writes, but not what runs.
            Err(error) if error.is_unknown() => vec![difference(&what, None, Some("up".to_owned()))],
            differences => differences?,
        };
        let differences = if differences.is_empty() { stale(&what, &watch) } else { differences };
        if !differences.is_empty() {
            let anew = watch.changed().iter().any(|path| !own.iter().any(|own| own == path));
            project.up(options.timeout, anew)?;
            self.keep_watch(&watch)?;
        }
        let change = files | self.done(Change::of("", differences));
        Ok(Change { what, ..change })
    }

    /// Takes a compose project away: its containers, networks and files. Volumes stay.
    ///
    /// # Errors
    /// When docker refuses.
    pub fn compose_absent(&self, name: &str, dir: Option<&str>) -> Result<Change, MachineError> {
        let project = Project::new(self, name, dir)?;
        let what = format!("compose {name}");
        let mut change = Change::default();
        // Containers tell whose they are, so that the file is not needed, nor has to be valid.
        let listed = self.probe(&project.words(&["ps", "--all", "--format", "json"]), &Exec::default())?;
        // Without docker nothing runs.
        if listed.code != NOT_FOUND && !project.containers(&listed)?.is_empty() {
            let down = project.words(&["down", "--remove-orphans"]);
            project.done(&down, &self.attempt(&down, COMPOSE_TIMEOUT)?)?;
            change = self.done(Change::of("", vec![difference(&what, Some("up".to_owned()), None)]));
        }
        let change = change | self.absent(&project.dir, true)?;
        Ok(Change { what, ..change })
    }
}

/// Exit status of a program that is not there.
const NOT_FOUND: i32 = 127;

/// A project on its machine.
struct Project<'m> {
    machine: &'m Machine,
    name: String,
    dir: String,
}

/// A container of a project, as `docker compose ps` shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct Container {
    service: String,
    /// `running`, `exited`, `restarting`, `created` ...
    state: String,
    /// `healthy`, `unhealthy`, `starting`; empty without a health check.
    #[serde(default)]
    health: String,
    #[serde(default)]
    exit_code: i32,
    /// `NAME=VALUE,NAME=VALUE`
    #[serde(default)]
    labels: String,
}

impl<'m> Project<'m> {
    fn new(machine: &'m Machine, name: &str, dir: Option<&str>) -> Result<Project<'m>, MachineError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good =
            name.bytes().next().is_some_and(plain) && name.bytes().all(|byte| plain(byte) || b"-_".contains(&byte));
        if !good {
            let rule = "lower-case letters, digits, `-` and `_`, a letter or digit first";
            return Err(MachineError::Invalid(format!("`{name}` is no name of a compose project: {rule}")));
        }
        let dir = path::absolute(dir.unwrap_or(&format!("{COMPOSE_DIR}/{name}")))?;
        Ok(Project { machine, name: name.to_owned(), dir })
    }

    fn file(&self) -> String {
        format!("{}/compose.yaml", self.dir)
    }

    fn env(&self) -> String {
        format!("{}/.env", self.dir)
    }

    /// A call about the project's containers.
    fn words(&self, words: &[&str]) -> Vec<String> {
        let all = ["docker", "compose", "--project-name", &self.name].into_iter().chain(words.iter().copied());
        all.map(str::to_owned).collect()
    }

    /// A call about a file of the project. `.env` beside it is read by compose itself.
    fn words_on(&self, file: &str, words: &[&str]) -> Vec<String> {
        self.words(&[&["--file", file], words].concat())
    }

    /// The files in place; a compose file that is not valid does not get there.
    fn write(&self, options: &Compose) -> Result<Change, MachineError> {
        let private = Attributes { mode: Some(0o600), ..Attributes::default() };
        let change = self.machine.dir(&self.dir, &Attributes { mode: Some(0o755), ..Attributes::default() })?;
        let change = change
            | match env_file(&options.env)? {
                None => self.machine.absent(&self.env(), false)?,
                Some(text) => {
                    self.machine.file(&self.env(), &File { attributes: private.clone(), ..File::text(text) })?
                }
            };
        let file = File {
            content: Some(Content::Text(options.content.clone())),
            attributes: private,
            validate: self.words_on("%s", &["config", "--quiet"]),
        };
        let written = self.machine.file(&self.file(), &file).map_err(|error| self.explained(error))?;
        Ok(change | written)
    }

    /// How the containers differ from what the files say.
    fn differences(&self) -> Result<Vec<Difference>, MachineError> {
        let hash = self.words_on(&self.file(), &["config", "--hash", "*"]);
        let hashes = self.done(&hash, &self.machine.probe(&hash, &Exec::default())?)?;
        let declared: BTreeMap<&str, &str> = hashes.lines().filter_map(|line| line.trim().split_once(' ')).collect();
        let present = self.present()?;
        let named = |service: &str| format!("service {service} of compose {}", self.name);
        let wrong = declared.iter().filter_map(|(service, hash)| {
            let own: Vec<&Container> = present.iter().filter(|container| container.service == *service).collect();
            let from = match own.iter().find_map(|container| container.wrong(hash)) {
                None if own.is_empty() => None,
                None => return None,
                from => from,
            };
            Some(difference(named(service), from, Some("running".to_owned())))
        });
        let orphans = present.iter().filter(|container| !declared.contains_key(container.service.as_str()));
        let gone = orphans.map(|container| difference(named(&container.service), Some(container.shown()), None));
        Ok(wrong.chain(gone).collect())
    }

    /// The project's containers.
    fn present(&self) -> Result<Vec<Container>, MachineError> {
        let list = self.words_on(&self.file(), &["ps", "--all", "--format", "json"]);
        self.containers(&self.machine.probe(&list, &Exec::default())?)
    }

    fn containers(&self, listed: &Output) -> Result<Vec<Container>, MachineError> {
        let text = self.done(&self.words(&["ps"]), listed)?;
        let broken = |error| self.machine.broken(format!("`docker compose ps` answers something else: {error}"));
        // One object per line; before Compose 2.21 it was one list.
        match text.trim_start().starts_with('[') {
            true => serde_json::from_str(&text).map_err(broken),
            false => serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().map_err(broken),
        }
    }

    /// Starts what does not run, makes anew what is configured otherwise, and waits until everything is healthy.
    fn up(&self, timeout: Duration, anew: bool) -> Result<(), MachineError> {
        let seconds = timeout.as_secs().to_string();
        let mut words = vec!["up", "--detach", "--wait", "--wait-timeout", &seconds, "--remove-orphans"];
        words.extend(anew.then_some("--force-recreate"));
        let up = self.words_on(&self.file(), &words);
        self.machine.waiting(&format!("compose {}", self.name));
        let output = match self.machine.attempt(&up, 2 * timeout) {
            Err(error) if error.is_unknown() => return Ok(()),
            output => output?,
        };
        // What was waited for may have ended since.
        let present = if output.assumed { Vec::new() } else { self.present()? };
        // Where docker refused, containers are still those of before.
        let refused = String::from_utf8_lossy(&output.stderr).contains("Error response from daemon");
        let blamed = present.iter().find(|container| !refused && !container.is_well());
        match blamed {
            Some(container) => Err(MachineError::Compose {
                project: self.name.clone(),
                reason: format!("service {} is {}", container.service, container.shown()),
                output: self.log(&container.service, &output),
            }),
            None if !output.ok() => Err(MachineError::Compose {
                project: self.name.clone(),
                reason: format!("`docker compose up` failed with exit status {}", output.code),
                output: output.tail(LAST_LINES),
            }),
            None => Ok(()),
        }
    }

    /// The last lines of a service; what `up` said if there are none.
    fn log(&self, service: &str, up: &Output) -> String {
        let lines = LAST_LINES.to_string();
        let words = ["logs", "--no-color", "--no-log-prefix", "--tail", &lines, service];
        let log = self.machine.probe(&self.words(&words), &Exec::default()).unwrap_or_default();
        // Without colour, too, compose clears the line before each.
        let text = log.tail(LAST_LINES).replace("\u{1b}[2K", "");
        if log.ok() && !text.trim().is_empty() { text } else { up.tail(LAST_LINES) }
    }

    /// What a call printed, if it succeeded.
    fn done(&self, words: &[String], output: &Output) -> Result<String, MachineError> {
        match output.ok() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(self.explained(exec::failed(&exec::shown(words), output))),
        }
    }

    /// A failure of docker itself, with what to do.
    fn explained(&self, error: MachineError) -> MachineError {
        let MachineError::Exec { command, code, output, hint } = error else { return error };
        // The client without its plugin takes `compose` for anything but a command.
        let without = [
            "is not a docker command",
            "unknown docker command",
            "unknown command: docker compose",
            "unknown flag: --project-name",
        ];
        let hint = match code {
            NOT_FOUND => Some("docker is not installed: the script needs the feature `docker`".to_owned()),
            _ if without.iter().any(|words| output.contains(words)) => {
                Some("Compose v2 is not installed: the script needs the feature `docker`".to_owned())
            }
            _ if output.contains("Cannot connect to the Docker daemon") => {
                Some("`systemctl status docker` on the machine tells why it does not run".to_owned())
            }
            _ => hint,
        };
        MachineError::Exec { command, code, output, hint }
    }
}

impl Container {
    fn is_well(&self) -> bool {
        self.state == "running" && self.health != "unhealthy"
    }

    /// What is wrong with it, in a word; none if it runs as configured now.
    fn wrong(&self, hash: &str) -> Option<String> {
        let made_from = self.labels.split(HASH_LABEL).nth(1).and_then(|rest| rest.split(',').next());
        if self.state != "running" {
            Some(self.shown())
        } else if made_from != Some(hash) {
            Some("configured otherwise".to_owned())
        } else {
            None
        }
    }

    /// Its state in a word.
    fn shown(&self) -> String {
        match self.state.as_str() {
            "exited" => format!("exited with status {}", self.exit_code),
            "running" if self.health == "unhealthy" => self.health.clone(),
            state => state.to_owned(),
        }
    }
}

/// Why containers that are right are started again all the same: what they read differs.
fn stale(what: &str, watch: &Watch) -> Vec<Difference> {
    if !watch.differs() {
        return Vec::new();
    }
    let because = match watch.changed().as_slice() {
        [] => "first seen with these files".to_owned(),
        paths => format!("{} changed", paths.join(", ")),
    };
    vec![difference(what, Some("up".to_owned()), Some(format!("up again ({because})")))]
}

/// The variables as compose reads them: in single quotes nothing means anything but the quote itself.
fn env_file(env: &BTreeMap<String, Sealed>) -> Result<Option<Sealed>, MachineError> {
    let (mut real, mut shown) = (String::new(), String::new());
    for (name, value) in env {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.as_bytes()[0].is_ascii_digit() || !name.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{name}` is no name of a variable")));
        }
        if value.expose().contains(['\'', '\n']) {
            let problem = "cannot hold a single quote or a line break";
            return Err(MachineError::Invalid(format!("the variable `{name}` of a compose project {problem}")));
        }
        real.push_str(&format!("{name}='{}'\n", value.expose()));
        shown.push_str(&format!("{name}='{}'\n", value.shown()));
    }
    Ok((!env.is_empty()).then(|| Sealed::new(real, shown)))
}
