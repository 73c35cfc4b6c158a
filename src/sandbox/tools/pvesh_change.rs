//! `pvesh set`, `create` and `delete`: a change over the API is the command of `pct` or `qm` that makes the same call.

use super::{fail_with, not_modelled, pct, qm};
use crate::pve::argv::{self, Call};
use crate::pve::table::table;
use crate::sandbox::session::{Done, Session, Stop, fail};

/// Does what the method asks of the path.
pub(super) fn run(s: &mut Session, call: &Call, method: &str, parts: &[&str]) -> Done<i32> {
    let Some(Same { mut words, takes, is_task }) = same(method, parts) else { return Err(not_modelled(call)) };
    let mut missing = Vec::new();
    for name in takes {
        match call.option(name) {
            Some(value) => words.push(value.to_owned()),
            None => missing.push(*name),
        }
    }
    if !missing.is_empty() {
        return Err(incomplete(method, &words, &missing));
    }
    let own = |name: &str| takes.contains(&name) || matches!(name, "output-format" | "noproxy" | "quiet");
    for (name, value) in call.options.iter().filter(|(name, _)| !own(name)) {
        words.extend([format!("--{name}"), value.clone()]);
    }
    let same = argv::parse(&words).map_err(|refusal| refused(method, refusal.code, &refusal.stderr))?;
    let tool = if words[0] == "pct" { pct::run } else { qm::run };
    tool(s, &same)?;
    if is_task {
        // Whatever became of the task: only its own state tells.
        let (node, caller) = (s.world().node.clone(), s.world().caller.clone());
        let kind = same.command.replace(' ', "");
        let id = same.positionals.first().cloned().unwrap_or_default();
        s.print(format!("UPID:{node}:{:08X}:{:08X}:{:08X}:{kind}:{id}:{caller}:", 4711, 0, s.now() / 1_000_000));
    }
    Ok(0)
}

/// The command that makes the same call.
struct Same {
    words: Vec<String>,
    /// Parameters that are positional there.
    takes: &'static [&'static str],
    is_task: bool,
}

fn same(method: &str, parts: &[&str]) -> Option<Same> {
    let ["nodes", _, kind, rest @ ..] = parts else { return None };
    let tool = match *kind {
        "lxc" => "pct",
        "qemu" => "qm",
        _ => return None,
    };
    let task = |words: &[&str], takes: &'static [&'static str]| {
        let words = std::iter::once(tool).chain(words.iter().copied()).map(str::to_owned).collect();
        Some(Same { words, takes, is_task: true })
    };
    match (method, rest) {
        ("set", [id, "config"]) => task(&["set", id], &[]).map(|same| Same { is_task: false, ..same }),
        ("set", [id, "resize"]) => task(&["resize", id], &["disk", "size"]),
        ("create", []) if tool == "pct" => task(&["create"], &["vmid", "ostemplate"]),
        ("create", []) => task(&["create"], &["vmid"]),
        ("create", [id, "clone"]) => task(&["clone", id], &["newid"]),
        ("create", [id, "template"]) => task(&["template", id], &[]),
        ("create", [id, "snapshot"]) => task(&["snapshot", id], &["snapname"]),
        ("create", [id, "snapshot", name, "rollback"]) => task(&["rollback", id, name], &[]),
        ("create", [id, "status", action]) if table().command(&format!("{tool} {action}")).is_some() => {
            task(&[action, id], &[])
        }
        ("delete", [id, "snapshot", name]) => task(&["delsnapshot", id, name], &[]),
        ("delete", [id]) => task(&["destroy", id], &[]),
        _ => None,
    }
}

/// What is said of parameters that have to be there.
fn incomplete(method: &str, words: &[String], missing: &[&str]) -> Stop {
    let mut names = missing.to_vec();
    names.sort_unstable();
    let lines: String =
        names.iter().map(|name| format!("{name}: property is missing and it is not optional\n")).collect();
    let command = words.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
    let kind = |name: &&str| {
        let schema = table().command(&command).and_then(|(_, spec)| spec.option(name));
        format!(" --{name} <{}>", schema.map_or("string", |schema| schema.kind.word()))
    };
    let options: String = names.iter().map(kind).collect();
    let usage = format!("pvesh {method} <api_path>{options} [OPTIONS] [FORMAT_OPTIONS]");
    fail_with(2, format!("400 Parameter verification failed.\n{lines}{usage}"))
}

/// The command's refusal with the usage of `pvesh` in the place of its own.
fn refused(method: &str, code: i32, stderr: &str) -> Stop {
    let lines: Vec<&str> = stderr.lines().collect();
    match lines.split_last() {
        Some((_, lines)) => {
            fail_with(code, format!("{}\npvesh {method} <api_path> [OPTIONS] [FORMAT_OPTIONS]", lines.join("\n")))
        }
        None => fail(stderr.to_owned()),
    }
}
