//! `cloud-init status` and `cloud-init clean`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::command::Output;
use crate::sandbox::body::cloud_init::{RUN, STATE};
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

use super::{failure, lines, words};

pub(super) fn cloud_init(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    match &words(call)[..] {
        ["--version" | "-v"] => Some(lines([format!("/usr/bin/cloud-init {}", version(within))])),
        ["status", options @ ..] => status(options, within),
        ["clean", options @ ..] => clean(options, within),
        _ => None,
    }
}

/// Upstream's version: old in Debian 12, of 2024 or later elsewhere.
fn version(within: &Within) -> &'static str {
    let release = within.body.state.tree.text("/etc/os-release").unwrap_or_default();
    if release.contains("VERSION_ID=\"12\"") { "22.4.2" } else { "24.4.1" }
}

/// How far cloud-init is.
struct Progress {
    /// `running`, `done`, `error`, `disabled`.
    word: &'static str,
    errors: Vec<String>,
    /// Until it is finished.
    left: Duration,
    datasource: String,
}

fn progress(within: &Within) -> Progress {
    let text = |name: &str| within.body.state.tree.text(&format!("{RUN}/{name}"));
    let empty = |word| Progress { word, errors: Vec::new(), left: Duration::ZERO, datasource: String::new() };
    let Some(status) = text("status.json").and_then(|text| serde_json::from_str::<Value>(&text).ok()) else {
        return empty(if text("disabled").is_some() { "disabled" } else { "not started" });
    };
    let finished = status["v1"]["modules-final"]["finished"].as_f64().unwrap_or_default();
    let now = within.around.identity.now.as_microsecond() as f64 / 1e6 + within.took.as_secs_f64();
    let datasource = status["v1"]["datasource"].as_str().unwrap_or_default().to_owned();
    if now < finished {
        let left = Duration::from_secs_f64(finished - now);
        return Progress { word: "running", errors: Vec::new(), left, datasource };
    }
    let told = status["v1"]["modules-final"]["errors"].as_array().cloned().unwrap_or_default();
    let mut errors: Vec<String> = told.iter().filter_map(|error| error.as_str().map(str::to_owned)).collect();
    errors.extend(within.around.faults.cloud_init.clone());
    let word = if errors.is_empty() { "done" } else { "error" };
    Progress { word, errors, left: Duration::ZERO, datasource }
}

/// `status [--long] [--wait] [--format json]`; the last one not in Debian 12.
fn status(options: &[&str], within: &mut Within) -> Option<Output> {
    let old = version(within).starts_with("22.");
    let (mut long, mut json) = (false, false);
    let mut options = options.iter();
    let mut dots = String::new();
    while let Some(option) = options.next() {
        match *option {
            "--long" | "-l" => long = true,
            "--wait" | "-w" => {
                let left = progress(within).left;
                *within.took += left;
                // A dot for every quarter of a second.
                let count = usize::try_from(left.as_millis() / 250).unwrap_or_default();
                dots = ".".repeat(count) + if count > 0 { "\n" } else { "" };
            }
            "--format" | "--format=json" if old => {
                let usage = "usage: /usr/bin/cloud-init [-h] [--version] [--file FILES] [--debug] [--force] ...";
                let wrong = options.as_slice().first().map_or(String::new(), |value| format!(" {value}"));
                let said = format!("{usage}\n/usr/bin/cloud-init: error: unrecognized arguments: {option}{wrong}");
                return Some(failure(2, said));
            }
            "--format" => json = *options.next()? == "json",
            "--format=json" => json = true,
            _ => return None,
        }
    }
    let Progress { word, errors, datasource, .. } = progress(within);
    let code = i32::from(word == "error");
    let said = if json {
        let value = json!({
            "boot_status_code": if word == "disabled" { "disabled-by-generator" } else { "enabled-by-generator" },
            "datasource": if datasource.is_empty() { "" } else { "nocloud" },
            "detail": datasource,
            "errors": errors,
            "extended_status": word,
            "last_update": "",
            "recoverable_errors": {},
            "status": word,
        });
        format!("{value:#}\n")
    } else if long && old {
        let detail = if errors.is_empty() { datasource } else { errors.join("\n") };
        format!("status: {word}\nboot_status_code: enabled-by-generator\ndetail:\n{detail}\n")
    } else if long {
        let list: String = errors.iter().map(|error| format!("\n\t- {error}")).collect();
        let list = if list.is_empty() { " []".to_owned() } else { list };
        format!(
            "status: {word}\nextended_status: {word}\nboot_status_code: enabled-by-generator\ndetail: {datasource}\n\
             errors:{list}\nrecoverable_errors: {{}}\n"
        )
    } else {
        format!("status: {word}\n")
    };
    Some(Output { code, ..Output::success(format!("{dots}{said}")) })
}

/// `clean [--logs] [--machine-id] [--seed]`: the next boot is a first one.
fn clean(options: &[&str], within: &mut Within) -> Option<Output> {
    if options.iter().any(|option| !matches!(*option, "--logs" | "-l" | "--machine-id" | "--seed" | "-s")) {
        return None;
    }
    let state = &mut within.body.state;
    for name in state.tree.names(STATE) {
        if &*name != "seed" || options.iter().any(|option| matches!(*option, "--seed" | "-s")) {
            // Found there a line above.
            let _ = state.remove(&format!("{STATE}/{name}"), true);
        }
    }
    if options.iter().any(|option| matches!(*option, "--logs" | "-l")) {
        for log in ["cloud-init.log", "cloud-init-output.log"] {
            let _ = state.remove(&format!("/var/log/{log}"), false);
        }
    }
    if options.contains(&"--machine-id") {
        return Some(super::done(within.body.place("/etc/machine-id", 0o444, &b"uninitialized\n"[..])));
    }
    Some(Output::default())
}
