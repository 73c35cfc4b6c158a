//! `docker compose`: `config`, `ps`, `up`, `down`, `logs`, `stop`, `start`, `restart`, `pull`, `version`.

use serde_json::json;

use crate::sandbox::programs::Inside;

use super::Printed;
use super::container::Container;
use super::project::{Project, Service};
use super::state::{State, daemon_says};

/// The label that says whose a container is.
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const HASH: &str = "com.docker.compose.config-hash";

/// What stands before the verb.
#[derive(Default)]
struct Global<'a> {
    project: Option<&'a str>,
    file: Option<&'a str>,
}

/// Runs `docker compose WORDS`.
pub(super) fn run(inside: &mut dyn Inside, words: &[&str]) -> Printed {
    let mut global = Global::default();
    let mut rest = words.iter().copied();
    let verb = loop {
        let Some(word) = rest.next() else { return Printed::out("Usage:  docker compose [OPTIONS] COMMAND\n") };
        match word {
            "-p" | "--project-name" => global.project = rest.next(),
            "-f" | "--file" => global.file = rest.next(),
            "--ansi" | "--progress" | "--profile" | "--project-directory" | "--env-file" => drop(rest.next()),
            "version" => return Printed::out("Docker Compose version v2.40.3\n"),
            flag if flag.starts_with('-') => return Printed::failure(125, format!("unknown flag: {flag}")),
            verb => break verb,
        }
    };
    let words: Vec<&str> = rest.collect();
    global.run(inside, verb, &words).unwrap_or_else(|printed| printed)
}

impl Global<'_> {
    fn run(&self, inside: &mut dyn Inside, verb: &str, words: &[&str]) -> Result<Printed, Printed> {
        match verb {
            "config" => self.config(inside, words),
            "ps" => self.ps(inside, words),
            "up" => self.up(inside, words),
            "down" => self.down(inside, words),
            "pull" => {
                let project = self.project(inside)?;
                let mut state = running(inside)?;
                for service in &project.services {
                    fetch(inside, &mut state, service)?;
                }
                state.keep(inside).map(|()| Printed::default())
            }
            "logs" => self.logs(inside, words),
            "stop" | "start" | "restart" => self.power(inside, verb, words),
            verb => Err(Printed::failure(1, format!("the double of `docker compose` does not know `{verb}`"))),
        }
    }

    fn project(&self, inside: &mut dyn Inside) -> Result<Project, Printed> {
        let cwd = inside.call().map_or_else(String::new, |call| call.cwd.clone());
        let usual = format!("{}/compose.yaml", cwd.trim_end_matches('/'));
        Project::read(inside, self.project, self.file.unwrap_or(&usual)).map_err(|words| Printed::failure(15, words))
    }

    /// The project's name; without one the file is read for it.
    fn name(&self, inside: &mut dyn Inside) -> Result<String, Printed> {
        match self.project {
            Some(name) => Ok(name.to_owned()),
            None => self.project(inside).map(|project| project.name),
        }
    }

    fn config(&self, inside: &mut dyn Inside, words: &[&str]) -> Result<Printed, Printed> {
        let project = self.project(inside)?;
        let line = |text: String| format!("{text}\n");
        Ok(Printed::out(match words {
            ["-q" | "--quiet"] => String::new(),
            ["--hash", _] => {
                project.services.iter().map(|s| line(format!("{} {}", s.name, s.hash))).collect::<String>()
            }
            ["--services"] => project.services.iter().map(|service| line(service.name.clone())).collect(),
            ["--images"] => project.services.iter().map(|service| line(service.container.image.clone())).collect(),
            _ => inside.text(&project.path).unwrap_or_default(),
        }))
    }

    fn ps(&self, inside: &mut dyn Inside, words: &[&str]) -> Result<Printed, Printed> {
        // A file that is named is read, even though the containers tell whose they are.
        let name = if self.file.is_some() { self.project(inside)?.name } else { self.name(inside)? };
        let state = running(inside)?;
        let all = words.iter().any(|word| matches!(*word, "-a" | "--all"));
        let own = state.containers.iter().filter(|container| container.label(PROJECT) == name);
        let shown = own.filter(|container| all || container.is_running());
        let json = words.contains(&"json");
        let lines =
            shown.map(|container| if json { format!("{}\n", row(container)) } else { format!("{}\n", container.name) });
        Ok(Printed::out(lines.collect::<String>()))
    }

    fn up(&self, inside: &mut dyn Inside, words: &[&str]) -> Result<Printed, Printed> {
        let project = self.project(inside)?;
        let mut state = running(inside)?;
        let has = |flag: &str| words.contains(&flag);
        for service in &project.services {
            fetch(inside, &mut state, service)?;
        }
        if has("--remove-orphans") {
            let declared = |name: &str| project.services.iter().any(|service| service.name == name);
            let orphan = |c: &Container| c.label(PROJECT) == project.name && !declared(c.label(SERVICE));
            state.containers.retain(|container| !orphan(container));
        }
        state.networks.extend(project.networks);
        state.volumes.extend(project.volumes);
        // Ports that a container gave up are free for the next one.
        let stale = |state: &State, service: &Service| {
            let own = |c: &&Container| c.label(PROJECT) == project.name && c.label(SERVICE) == service.name;
            state.containers.iter().find(own).map(|c| c.label(HASH) != service.hash || has("--force-recreate"))
        };
        let mut anew = Vec::new();
        for service in &project.services {
            if stale(&state, service) != Some(false) {
                state.containers.retain(|c| c.label(PROJECT) != project.name || c.label(SERVICE) != service.name);
                anew.push(service);
            }
        }
        for service in anew {
            let name = &service.container.name;
            if let Some(other) = state.find(name) {
                let id = other.id.clone();
                return Err(daemon_says(&format!(
                    "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". \
                     You have to remove (or rename) that container to be able to reuse that name."
                )));
            }
            let id = state.id(name);
            let made = Container { id, state: "created".to_owned(), ..service.container.clone() };
            state.containers.push(made);
        }
        state.keep(inside)?;
        let mut said = String::new();
        for service in &project.services {
            let name = &service.container.name;
            state.start(inside, name).map_err(|words| daemon_says(&words))?;
            said.push_str(&format!(" Container {name}  Started\n"));
        }
        state.keep(inside)?;
        if has("--wait") {
            for service in &project.services {
                let Some(container) = state.find(&service.container.name) else { continue };
                let name = &container.name;
                if !container.is_running() {
                    return Err(Printed::failure(
                        1,
                        format!("{said}container {name} exited ({})", container.exit_code),
                    ));
                }
                if container.health() == "unhealthy" {
                    return Err(Printed::failure(1, format!("{said}container {name} is unhealthy")));
                }
            }
        }
        Ok(Printed { stderr: said, ..Printed::default() })
    }

    fn down(&self, inside: &mut dyn Inside, words: &[&str]) -> Result<Printed, Printed> {
        let name = self.name(inside)?;
        let mut state = running(inside)?;
        state.containers.retain(|container| container.label(PROJECT) != name);
        let own = format!("{name}_");
        state.networks.retain(|network| !network.starts_with(&own));
        if words.iter().any(|word| matches!(*word, "-v" | "--volumes")) {
            state.volumes.retain(|volume| !volume.starts_with(&own));
        }
        state.keep(inside).map(|()| Printed::default())
    }

    fn logs(&self, inside: &mut dyn Inside, words: &[&str]) -> Result<Printed, Printed> {
        let name = self.name(inside)?;
        let state = running(inside)?;
        let mut asked = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--tail" | "-n" | "--since" | "--until" => drop(words.next()),
                flag if flag.starts_with('-') => {}
                service => asked.push(service),
            }
        }
        let own = state.containers.iter().filter(|container| container.label(PROJECT) == name);
        let wanted = own.filter(|container| asked.is_empty() || asked.contains(&container.label(SERVICE)));
        Ok(Printed::out(wanted.map(|container| container.log.as_str()).collect::<String>()))
    }

    fn power(&self, inside: &mut dyn Inside, verb: &str, asked: &[&str]) -> Result<Printed, Printed> {
        let name = self.name(inside)?;
        let mut state = running(inside)?;
        let own =
            |c: &&mut Container| c.label(PROJECT) == name && (asked.is_empty() || asked.contains(&c.label(SERVICE)));
        let mut names = Vec::new();
        for container in state.containers.iter_mut().filter(own) {
            names.push(container.name.clone());
            if verb != "start" {
                container.stop();
            }
        }
        state.keep(inside)?;
        if verb != "stop" {
            for name in names {
                state.start(inside, &name).map_err(|words| daemon_says(&words))?;
            }
        }
        Ok(Printed::default())
    }
}

/// The state, if the daemon answers.
fn running(inside: &mut dyn Inside) -> Result<State, Printed> {
    super::client::connected(inside)?;
    Ok(State::read(inside))
}

/// A service's image.
fn fetch(inside: &mut dyn Inside, state: &mut State, service: &Service) -> Result<(), Printed> {
    state.pull(inside, &service.container.image).map_err(|words| {
        let said = format!(" {0} Pulling \n {0} Error {words}\nError response from daemon: {words}", service.name);
        Printed::failure(18, said)
    })
}

/// A container as `ps --format json` shows it.
fn row(container: &Container) -> serde_json::Value {
    let labels: Vec<String> = container.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let publishers = container.ports.iter().filter(|_| container.is_running()).map(|port| {
        let url = if port.address.is_empty() { "0.0.0.0" } else { &port.address };
        json!({ "URL": url, "TargetPort": port.container, "PublishedPort": port.host, "Protocol": "tcp" })
    });
    json!({
        "Command": format!("\"{}\"", container.command.join(" ")),
        "ExitCode": container.exit_code,
        "Health": container.health(),
        "ID": container.id.get(..12).unwrap_or_default(),
        "Image": container.image,
        "Labels": labels.join(","),
        "Name": container.name,
        "Names": container.name,
        "Project": container.label(PROJECT),
        "Publishers": publishers.collect::<Vec<_>>(),
        "Service": container.label(SERVICE),
        "State": container.state,
        "Status": container.status(),
    })
}
