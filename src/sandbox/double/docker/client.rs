//! `docker`: what scripts and other doubles ask of the client.

use serde_json::json;

use crate::op::{Op, OpValue};
use crate::sandbox::body::sha256;
use crate::sandbox::programs::Inside;

use super::container::{Container, Mount, Port};
use super::state::{State, daemon_says, full_name};
use super::{Printed, compose, daemon};

/// Runs `docker WORDS`.
pub(super) fn run(inside: &mut dyn Inside, words: &[&str]) -> Printed {
    if let ["compose", rest @ ..] = words {
        return match has_compose(inside) {
            true => compose::run(inside, rest),
            false => Printed::failure(1, "docker: 'compose' is not a docker command.\nSee 'docker --help'"),
        };
    }
    if let ["--version" | "-v"] = words {
        return Printed::out("Docker version 28.5.2, build ecc6942\n");
    }
    answer(inside, words).unwrap_or_else(|printed| printed)
}

/// Compose comes as a plugin of the client.
fn has_compose(inside: &mut dyn Inside) -> bool {
    ["/usr/libexec", "/usr/lib", "/usr/local/lib"].iter().any(|dir| {
        let path = format!("{dir}/docker/cli-plugins/docker-compose");
        matches!(inside.perform(&Op::Stat { path }), Ok(OpValue::Stat(Some(_))))
    })
}

/// Whether the daemon runs.
///
/// # Errors
/// The client's words when it does not.
pub(super) fn connected(inside: &mut dyn Inside) -> Result<(), Printed> {
    let units = inside.perform(&Op::Units { names: vec!["docker.service".to_owned()] });
    match units {
        Ok(OpValue::Units(units)) if units.iter().any(|unit| unit.active == "active") => Ok(()),
        _ => {
            let socket = "unix:///var/run/docker.sock";
            let words = format!("Cannot connect to the Docker daemon at {socket}. Is the docker daemon running?");
            Err(Printed::failure(1, words))
        }
    }
}

fn answer(inside: &mut dyn Inside, words: &[&str]) -> Result<Printed, Printed> {
    connected(inside)?;
    let mut state = State::read(inside);
    let printed = match words {
        ["version", ..] => Printed::out("28.5.2\n"),
        ["info", rest @ ..] => info(inside, &state, rest),
        ["pull", image] | ["image", "pull", image] => {
            state.pull(inside, image).map_err(|words| daemon_says(&words))?;
            Printed::out(format!("{}\n", full_name(image)))
        }
        ["image", "inspect", rest @ ..] => {
            let images = rest.iter().filter(|word| !word.starts_with('-')).map(|image| full_name(image));
            let found: Vec<_> =
                images.map(|name| state.images.get(&name).map(|id| (name.clone(), id)).ok_or(name)).collect();
            match found.iter().find_map(|found| found.as_ref().err()) {
                Some(name) => Printed { stdout: "[]\n".to_owned(), ..daemon_says(&format!("No such image: {name}")) },
                None => {
                    let shown = found
                        .into_iter()
                        .flatten()
                        .map(|(name, id)| json!({ "Id": format!("sha256:{id}"), "RepoTags": [name] }));
                    Printed::out(format!("{:#}\n", json!(shown.collect::<Vec<_>>())))
                }
            }
        }
        ["images", ..] | ["image", "ls", ..] => {
            Printed::out(state.images.keys().map(|name| format!("{name}\n")).collect::<String>())
        }
        ["import", file, name] => {
            if !matches!(*file, "-" | "/dev/null") && !file.contains("://") && !there(inside, file) {
                return Err(Printed::failure(1, format!("open {file}: no such file or directory")));
            }
            let id = sha256(format!("{file} {name}").as_bytes());
            state.images.insert(full_name(name), id.clone());
            Printed::out(format!("sha256:{id}\n"))
        }
        ["load", "-i" | "--input", file] if there(inside, file) => {
            let stem = file.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or(file);
            state.images.insert(full_name(stem), sha256(file.as_bytes()));
            Printed::out(format!("Loaded image: {}\n", full_name(stem)))
        }
        ["run", rest @ ..] => return Run::parse(rest).and_then(|run| run.run(inside, &mut state)),
        ["ps", rest @ ..] | ["container", "ls", rest @ ..] => list(&state, rest),
        ["inspect", rest @ ..] | ["container", "inspect", rest @ ..] => inspect(&mut state, rest),
        [verb @ ("rm" | "stop" | "start" | "restart" | "kill"), rest @ ..] => {
            return power(inside, &mut state, verb, rest);
        }
        ["logs", rest @ ..] => match rest.last().and_then(|name| state.find(name)) {
            Some(container) => Printed::out(container.log.clone()),
            None => daemon_says(&format!("No such container: {}", rest.last().unwrap_or(&""))),
        },
        ["volume", rest @ ..] => volume(&mut state, rest),
        ["network", "create", rest @ ..] => {
            state.networks.extend(rest.last().map(|name| (*name).to_owned()));
            Printed::default()
        }
        _ => Printed::failure(1, format!("the double of `docker` does not know `{}`", words.join(" "))),
    };
    state.keep(inside)?;
    Ok(printed)
}

fn info(inside: &mut dyn Inside, state: &State, words: &[&str]) -> Printed {
    let config = daemon::config(inside);
    let running = state.running().count();
    let all = json!({
        "Containers": state.containers.len(),
        "ContainersRunning": running,
        "Images": state.images.len(),
        "Driver": config["storage-driver"].as_str().unwrap_or("overlay2"),
        "LoggingDriver": config["log-driver"].as_str().unwrap_or("json-file"),
        "LiveRestoreEnabled": config["live-restore"] == true,
        "Runtimes": config["runtimes"],
        "DefaultRuntime": config["default-runtime"].as_str().unwrap_or("runc"),
        "ServerVersion": "28.5.2",
        "Warnings": null,
    });
    match words {
        ["--format" | "-f", "{{json .}}" | "json"] => Printed::out(format!("{all}\n")),
        ["--format" | "-f", field] => {
            let name = field.trim_matches(['{', '}', '.', ' ']);
            let text = all[name].as_str().map_or_else(|| all[name].to_string(), str::to_owned);
            Printed::out(format!("{text}\n"))
        }
        _ => Printed::out(format!("Server:\n Containers: {}\n  Running: {running}\n", state.containers.len())),
    }
}

/// `docker run`.
#[derive(Default)]
struct Run {
    container: Container,
    detached: bool,
    removed: bool,
    never_pulled: bool,
}

impl Run {
    fn parse(words: &[&str]) -> Result<Run, Printed> {
        let mut run =
            Run { container: Container { restart: "no".to_owned(), ..Container::default() }, ..Run::default() };
        let mut entrypoint = None;
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                run.container.image = word.to_owned();
                break;
            }
            match word {
                "-d" | "--detach" => run.detached = true,
                "--rm" => run.removed = true,
                "-i" | "-t" | "-it" | "--interactive" | "--tty" | "--init" | "--privileged" | "--read-only" | "-q"
                | "--quiet" => {}
                _ => {
                    let (flag, value) = match word.split_once('=') {
                        Some((flag, value)) => (flag, value),
                        None => (word, words.next().unwrap_or_default()),
                    };
                    run.option(flag, value, &mut entrypoint)?;
                }
            }
        }
        if run.container.image.is_empty() {
            return Err(Printed::failure(1, "docker: 'docker run' requires at least 1 argument"));
        }
        run.container.command = entrypoint.into_iter().chain(words.map(str::to_owned)).collect();
        Ok(run)
    }

    fn option(&mut self, flag: &str, value: &str, entrypoint: &mut Option<String>) -> Result<(), Printed> {
        let container = &mut self.container;
        match flag {
            "--name" => value.clone_into(&mut container.name),
            "-p" | "--publish" => container.ports.extend(Port::parse(value)),
            "-v" | "--volume" => container.mounts.extend(Mount::parse(value)),
            "-e" | "--env" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                container.env.insert(name.to_owned(), value.to_owned());
            }
            "-l" | "--label" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                container.labels.insert(name.to_owned(), value.to_owned());
            }
            "--restart" => value.clone_into(&mut container.restart),
            "--entrypoint" => *entrypoint = Some(value.to_owned()),
            "--pull" => self.never_pulled = value == "never",
            "--network" | "--net" | "--hostname" | "-h" | "--user" | "-u" | "--workdir" | "-w" | "--env-file"
            | "--gpus" | "--runtime" | "--add-host" | "--mount" | "--memory" | "-m" | "--cpus" | "--device"
            | "--cap-add" | "--cap-drop" | "--security-opt" | "--log-driver" | "--log-opt" | "--ulimit"
            | "--shm-size" | "--tmpfs" => {}
            _ => return Err(Printed::failure(125, format!("unknown flag: {flag}"))),
        }
        Ok(())
    }

    fn run(self, inside: &mut dyn Inside, state: &mut State) -> Result<Printed, Printed> {
        let Run { mut container, detached, removed, never_pulled } = self;
        let refused = |words: String| Printed::failure(125, format!("docker: Error response from daemon: {words}"));
        let image = full_name(&container.image);
        if never_pulled && !state.images.contains_key(&image) {
            return Err(refused(format!("No such image: {image}")));
        }
        state.pull(inside, &image).map_err(|words| {
            let printed = refused(words);
            Printed { stderr: format!("Unable to find image '{image}' locally\n{}", printed.stderr), ..printed }
        })?;
        if !container.name.is_empty()
            && let Some(other) = state.find(&container.name)
        {
            return Err(refused(format!(
                "Conflict. The container name \"/{}\" is already in use by container \"{}\".",
                container.name, other.id
            )));
        }
        container.id = state.id(&image);
        if container.name.is_empty() {
            container.name = format!("container-{}", &container.id[..8]);
        }
        let (id, name) = (container.id.clone(), container.name.clone());
        container.state = "created".to_owned();
        state.containers.push(container);
        state.start(inside, &name).map_err(refused)?;
        let Some(container) = state.find(&name) else { return Ok(Printed::default()) };
        // What would run on in the foreground is taken to end well.
        if !detached && container.is_running() {
            (container.state, container.exit_code) = ("exited".to_owned(), 0);
        }
        let printed = match detached {
            true => Printed::out(format!("{id}\n")),
            false => Printed { code: container.exit_code, ..Printed::out(container.log.clone()) },
        };
        if removed && !detached {
            state.containers.retain(|container| container.name != name);
        }
        state.keep(inside)?;
        Ok(printed)
    }
}

/// `docker ps`, all of it or by label and name.
fn list(state: &State, words: &[&str]) -> Printed {
    let (mut all, mut quiet, mut format) = (false, false, "");
    let mut filters = Vec::new();
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        let (flag, value) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
        match flag {
            "-a" | "--all" => all = true,
            "-q" | "--quiet" => quiet = true,
            "-aq" | "-qa" => (all, quiet) = (true, true),
            "--no-trunc" => {}
            "--filter" | "-f" => filters.extend(value.or_else(|| words.next())),
            "--format" => format = value.or_else(|| words.next()).unwrap_or_default(),
            _ => return Printed::failure(125, format!("unknown flag: {flag}")),
        }
    }
    let wanted = |container: &&Container| {
        (all || container.is_running())
            && filters.iter().all(|filter| match filter.split_once('=') {
                Some(("label", label)) => {
                    let (name, value) = label.split_once('=').unwrap_or((label, ""));
                    container.labels.get(name).is_some_and(|own| value.is_empty() || own == value)
                }
                Some(("name", name)) => container.name.contains(name.trim_matches(['^', '$', '/'])),
                _ => true,
            })
    };
    let line = |container: &Container| match format {
        "" if quiet => container.id[..12].to_owned(),
        "{{json .}}" | "json" => json!({
            "ID": container.id[..12], "Image": container.image, "Names": container.name,
            "State": container.state, "Status": container.status(),
        })
        .to_string(),
        "{{.State}}" => container.state.clone(),
        "{{.Status}}" => container.status(),
        "{{.Image}}" => container.image.clone(),
        _ => container.name.clone(),
    };
    let lines = state.containers.iter().filter(wanted).map(|container| format!("{}\n", line(container)));
    Printed::out(lines.collect::<String>())
}

/// `docker inspect`: state, image and mounts.
fn inspect(state: &mut State, words: &[&str]) -> Printed {
    let Some(name) = words.last() else { return Printed::failure(1, "docker inspect requires at least 1 argument") };
    let Some(container) = state.find(name) else {
        return Printed { stdout: "[]\n".to_owned(), ..Printed::failure(1, format!("Error: No such object: {name}")) };
    };
    if let ["--format" | "-f", format, _] = words {
        return match *format {
            "{{.State.Status}}" => Printed::out(format!("{}\n", container.state)),
            "{{.State.Running}}" => Printed::out(format!("{}\n", container.is_running())),
            "{{.Config.Image}}" => Printed::out(format!("{}\n", container.image)),
            other => Printed::failure(1, format!("the double of `docker inspect` does not know the format `{other}`")),
        };
    }
    let env: Vec<String> = container.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mounts = container.mounts.iter().map(|mount| json!({ "Source": mount.path(), "Destination": mount.target }));
    let shown = json!([{
        "Id": container.id,
        "Name": format!("/{}", container.name),
        "State": { "Status": container.state, "Running": container.is_running(), "ExitCode": container.exit_code },
        "Config": { "Image": container.image, "Cmd": container.command, "Env": env, "Labels": container.labels },
        "Mounts": mounts.collect::<Vec<_>>(),
    }]);
    Printed::out(format!("{shown:#}\n"))
}

/// `docker rm|stop|start|restart|kill [-f] NAME...`
fn power(inside: &mut dyn Inside, state: &mut State, verb: &str, words: &[&str]) -> Result<Printed, Printed> {
    let forced = words.iter().any(|word| matches!(*word, "-f" | "--force" | "-fv"));
    let mut said = String::new();
    let mut names = Vec::new();
    let mut rest = words.iter().copied();
    while let Some(word) = rest.next() {
        match word {
            "-t" | "--time" | "--timeout" | "-s" | "--signal" => drop(rest.next()),
            flag if flag.starts_with('-') => {}
            name => names.push(name),
        }
    }
    for name in names {
        let Some(container) = state.find(name) else {
            return Err(daemon_says(&format!("No such container: {name}")));
        };
        let own = container.name.clone();
        match verb {
            "rm" if container.is_running() && !forced => {
                let how = "stop the container before removing or force remove";
                return Err(daemon_says(&format!("cannot remove container \"/{own}\": container is running: {how}")));
            }
            "rm" => state.containers.retain(|container| container.name != own),
            "start" => state.start(inside, &own).map_err(|words| daemon_says(&words))?,
            _ => {
                container.stop();
                state.keep(inside)?;
                if verb == "restart" {
                    state.start(inside, &own).map_err(|words| daemon_says(&words))?;
                }
            }
        }
        said.push_str(&format!("{name}\n"));
    }
    state.keep(inside)?;
    Ok(Printed::out(said))
}

fn volume(state: &mut State, words: &[&str]) -> Printed {
    let name = words.last().map_or("", |name| *name).to_owned();
    match words {
        ["create", ..] => {
            state.volumes.insert(name.clone());
            Printed::out(format!("{name}\n"))
        }
        ["inspect", ..] if state.volumes.contains(&name) => Printed::out(format!("{:#}\n", json!([{ "Name": name }]))),
        ["rm", ..] if state.volumes.remove(&name) => Printed::out(format!("{name}\n")),
        ["ls", ..] => Printed::out(state.volumes.iter().map(|name| format!("{name}\n")).collect::<String>()),
        _ => daemon_says(&format!("get {name}: no such volume")),
    }
}

fn there(inside: &mut dyn Inside, path: &str) -> bool {
    matches!(inside.perform(&Op::Stat { path: path.to_owned() }), Ok(OpValue::Stat(Some(_))))
}
