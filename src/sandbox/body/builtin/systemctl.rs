//! `systemctl`, and a `journalctl` that has nothing to tell.

use crate::command::Output;
use crate::op::{OpError, UnitAction, UnitState};
use crate::sandbox::body::exec::Within;
use crate::sandbox::body::jobs::JOURNAL;
use crate::sandbox::body::state::Power;
use crate::sandbox::body::tree::{Last, Node};
use crate::sandbox::body::unit_file::{Found, full_name};
use crate::sandbox::programs::ProgramCall;

use super::{failure, lines, words};

/// Options that change nothing about what is answered here.
const IGNORED: [&str; 12] = [
    "--no-pager",
    "--system",
    "--no-block",
    "--full",
    "-l",
    "--plain",
    "--no-legend",
    "--all",
    "-a",
    "--no-ask-password",
    "--force",
    "-f",
];

/// `journalctl [--unit UNIT] ...`: of units whose programs failed, what these said.
pub(super) fn journalctl(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let mut words = words(call).into_iter();
    let unit = words.find(|word| matches!(*word, "-u" | "--unit")).and_then(|_| words.next());
    let said = unit.and_then(|unit| within.body.state.tree.text(&format!("{JOURNAL}/{}", full_name(unit))));
    Some(said.map_or_else(|| lines(["-- No entries --"]), Output::success))
}

/// `systemctl VERB [UNIT...]`; the verbs are listed in `docs/sandbox-programs.md`.
pub(super) fn systemctl(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let mut options = Vec::new();
    let mut names = Vec::new();
    let mut properties: Vec<&str> = Vec::new();
    let mut all = words(call).into_iter();
    while let Some(word) = all.next() {
        match word {
            "-p" | "--property" => properties.extend(all.next()?.split(',')),
            _ if IGNORED.contains(&word) => {}
            _ if word.starts_with("--property=") => properties.extend(word["--property=".len()..].split(',')),
            _ if word.starts_with("-p") => properties.extend(word["-p".len()..].split(',')),
            _ if word.starts_with('-') => options.push(word),
            _ => names.push(word),
        }
    }
    let (verb, names) = names.split_first()?;
    if options.iter().any(|option| !matches!(*option, "--now" | "--quiet" | "-q" | "--value" | "--failed")) {
        return None;
    }
    let quiet = options.iter().any(|option| matches!(*option, "--quiet" | "-q"));
    let now = options.contains(&"--now");
    if *verb != "is-system-running" && within.body.state.power == Power::Off {
        return Some(failure(1, "System has not been booted with systemd as init system (PID 1). Can't operate."));
    }
    let state = &mut within.body.state;
    let output = match (*verb, names) {
        ("daemon-reload", []) => {
            state.reload_units();
            Output::default()
        }
        ("is-system-running", []) => {
            let word = state.system_state(within.around.identity.now);
            Output { code: i32::from(word != "running"), ..lines([word]) }
        }
        ("start" | "stop" | "restart" | "reload", [_, ..]) => {
            let action = match *verb {
                "start" => UnitAction::Start,
                "stop" => UnitAction::Stop,
                "restart" => UnitAction::Restart,
                _ => UnitAction::Reload,
            };
            jobs(within, names, |_| Some(action))
        }
        ("try-restart" | "try-reload-or-restart" | "reload-or-restart", [_, ..]) => {
            let only_active = verb.starts_with("try");
            let reload = verb.contains("reload");
            jobs(within, names, |unit| match (unit.active, unit.reloads) {
                (false, _) if only_active => None,
                (true, true) if reload => Some(UnitAction::Reload),
                _ => Some(UnitAction::Restart),
            })
        }
        ("enable" | "disable", [_, ..]) => {
            let said = names.iter().try_fold(String::new(), |said, name| {
                let more = if *verb == "enable" { state.enable_unit(name) } else { state.disable_unit(name) };
                more.map(|more| said + more.as_str())
            });
            let action = if *verb == "enable" { UnitAction::Start } else { UnitAction::Stop };
            match said {
                Err(error) => failure(1, error),
                Ok(said) => {
                    let jobs = if now { jobs(within, names, |_| Some(action)) } else { Output::default() };
                    Output { stderr: [said.into_bytes(), jobs.stderr].concat(), ..jobs }
                }
            }
        }
        ("mask" | "unmask", [_, ..]) => mask(within, names, *verb == "mask"),
        ("is-active", [_, ..]) => answer_all(within, names, quiet, |unit| {
            let code = if unit.active == "active" { 0 } else { 3 };
            (unit.active.clone(), code)
        }),
        ("is-failed", [_, ..]) => {
            answer_all(within, names, quiet, |unit| (unit.active.clone(), i32::from(unit.active != "failed")))
        }
        ("is-enabled", [name]) => {
            let unit = state.unit_state(name);
            match unit.enabled.as_str() {
                "" => failure(
                    1,
                    format!("Failed to get unit file state for {}: No such file or directory", full_name(name)),
                ),
                word => {
                    let code = i32::from(matches!(word, "disabled" | "masked"));
                    Output { code, ..if quiet { Output::default() } else { lines([word]) } }
                }
            }
        }
        ("list-units", []) if options == ["--failed"] => {
            let failed = state.units.iter().filter(|(_, runtime)| runtime.active == "failed");
            lines(failed.map(|(name, _)| format!("{name} loaded failed failed {name}")))
        }
        ("status", [name]) => status(within, name),
        ("show", [name]) => show(within, name, &properties, options.contains(&"--value"))?,
        ("cat", [name]) => match state.find_unit(&full_name(name)) {
            Found::File(fragment) => {
                let text = state.tree.text(&fragment.path).unwrap_or_default();
                Output::success(format!("# {}\n{text}", fragment.path))
            }
            _ => failure(1, format!("No files found for {}.", full_name(name))),
        },
        ("reset-failed", _) => {
            let mut units = state.units.clone();
            std::sync::Arc::make_mut(&mut units).retain(|name, runtime| {
                runtime.active != "failed" || !(names.is_empty() || names.iter().any(|asked| full_name(asked) == *name))
            });
            state.units = units;
            Output::default()
        }
        _ => return None,
    };
    Some(output)
}

/// What a verb decides by.
struct Asked {
    active: bool,
    reloads: bool,
}

/// Does a job for every unit; goes on after a failure, as systemctl does.
fn jobs(within: &mut Within, names: &[&str], action: impl Fn(Asked) -> Option<UnitAction>) -> Output {
    let mut output = Output::default();
    for name in names {
        let own = within.body.state.unit_name(name);
        let reloads = match within.body.state.find_unit(&own) {
            Found::File(fragment) => !fragment.unit.all("Service", "ExecReload").is_empty(),
            Found::Missing | Found::Masked => false,
        };
        let asked = Asked { active: within.body.state.is_active(&own), reloads };
        let Some(action) = action(asked) else { continue };
        if let Err(error) = within.body.unit(name, action, within.around, within.took) {
            output.code = exit_code(&error);
            output.stderr.extend(format!("{error}\n").bytes());
        }
    }
    output
}

/// LSB's code 5 for a unit that does not exist, else 1.
fn exit_code(error: &OpError) -> i32 {
    if error.message.ends_with(" not found.") || error.message.ends_with(" not loaded.") { 5 } else { 1 }
}

/// One word per unit; the code is 0 if any is fine.
fn answer_all(within: &Within, names: &[&str], quiet: bool, word: impl Fn(&UnitState) -> (String, i32)) -> Output {
    let states = names.iter().map(|name| word(&within.body.state.unit_state(name)));
    let (words, codes): (Vec<String>, Vec<i32>) = states.unzip();
    let code = codes.into_iter().min().unwrap_or_default();
    Output { code, ..if quiet { Output::default() } else { lines(words) } }
}

fn mask(within: &mut Within, names: &[&str], on: bool) -> Output {
    let tree = &mut within.body.state.tree;
    let mut said = String::new();
    for name in names {
        let path = format!("/etc/systemd/system/{}", full_name(name));
        let masked =
            tree.text(&path).is_none() && tree.resolve(&path, Last::Itself).is_ok_and(|spot| spot.node.is_some());
        match (on, masked) {
            (true, false) => {
                if tree.bytes(&path).is_some() && tree.resolve(&path, Last::Itself).is_ok_and(|s| s.path() == path) {
                    return failure(1, format!("Failed to mask unit: File {path} already exists."));
                }
                if let Err(errno) = tree.place(&path, Node::link("/dev/null")) {
                    return failure(1, errno.at(&path));
                }
                said.push_str(&format!("Created symlink {path} → /dev/null.\n"));
            }
            (false, true) => {
                if let Ok(spot) = tree.resolve(&path, Last::Itself) {
                    tree.take(&spot.names);
                }
                said.push_str(&format!("Removed \"{path}\".\n"));
            }
            _ => {}
        }
    }
    Output { stderr: said.into_bytes(), ..Output::default() }
}

/// A short `systemctl status`: 0 active, 3 not, 4 unknown.
fn status(within: &Within, name: &str) -> Output {
    let unit = within.body.state.unit_state(name);
    let full = full_name(name);
    if unit.load == "not-found" {
        return failure(4, format!("Unit {full} could not be found."));
    }
    let code = if unit.active == "active" { 0 } else { 3 };
    let said = [
        format!(
            "{} {full}",
            if unit.active == "failed" {
                "×"
            } else if code == 0 {
                "●"
            } else {
                "○"
            }
        ),
        format!("     Loaded: {} ({})", unit.load, unit.enabled),
        format!("     Active: {} ({})", unit.active, unit.sub),
    ];
    Output { code, ..lines(said) }
}

/// `systemctl show -p PROPERTY,... [--value] UNIT`; none for a property that is not modelled.
fn show(within: &Within, name: &str, properties: &[&str], bare: bool) -> Option<Output> {
    let state = &within.body.state;
    let unit = state.unit_state(name);
    let own = state.unit_name(name);
    let path = match state.find_unit(&own) {
        Found::File(fragment) => fragment.path,
        Found::Missing | Found::Masked => String::new(),
    };
    let value = |property: &str| {
        Some(match property {
            "Id" => own.clone(),
            "LoadState" => unit.load.clone(),
            "ActiveState" => unit.active.clone(),
            "SubState" => unit.sub.clone(),
            "UnitFileState" => unit.enabled.clone(),
            "FragmentPath" => path.clone(),
            "Result" => if unit.active == "failed" { "exit-code" } else { "success" }.to_owned(),
            "NeedDaemonReload" => "no".to_owned(),
            _ => return None,
        })
    };
    if properties.is_empty() {
        return None;
    }
    let rows = properties
        .iter()
        .map(|property| value(property).map(|value| if bare { value } else { format!("{property}={value}") }));
    Some(lines(rows.collect::<Option<Vec<_>>>()?))
}
