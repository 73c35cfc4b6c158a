//! `pvesh set`, `create` and `delete`: a change over the API is the command of `pct` or `qm` that makes the same call.

use super::super::{carry_out, not_modelled, understand};
use crate::pve::argv::Call;
use crate::sandbox::session::{Done, Session, fail_with};

/// Does what the method asks of the path.
pub(super) fn run(s: &mut Session, call: &Call, method: &str, parts: &[&str]) -> Done<i32> {
    let Some(Same { command: mut words, fixed, takes, is_task }) = same(method, parts) else {
        return Err(not_modelled(call));
    };
    let own =
        |name: &str| ["output-format", "noproxy", "quiet", "noborder", "noheader", "human-readable"].contains(&name);
    let options = call.options.iter().filter(|(name, _)| !own(name) && !takes.contains(&name.as_str()));
    words.extend(options.flat_map(|(name, value)| [format!("--{name}"), value.clone()]));
    words.push("--".to_owned());
    words.extend(fixed);
    words.extend(takes.iter().filter_map(|name| call.option(name)).map(str::to_owned));
    let same = understand(s, &words).map_err(|refusal| fail_with(refusal.code, refusal.stderr.trim_end()))?;
    // What it refuses is refused in the name of `pvesh`.
    let code = carry_out(s, &Call { usage: call.usage.clone(), ..same.clone() })?;
    if is_task {
        // Whatever became of the task: only its own state tells.
        let (node, caller) = (s.world().node.clone(), s.world().caller.clone());
        let kind = task_type(&same.command);
        let id = same.positionals.first().cloned().unwrap_or_default();
        let upid = format!("UPID:{node}:{:08X}:{:08X}:{:08X}:{kind}:{id}:{caller}:", 4711, 0, s.now() / 1_000_000);
        let json = call.option("output-format").is_some_and(|format| format.starts_with("json"));
        s.print(if json { format!("\"{upid}\"") } else { upid });
        return Ok(0);
    }
    Ok(code)
}

/// What the node calls the task of a command.
fn task_type(command: &str) -> String {
    let (tool, verb) = command.split_once(' ').unwrap_or((command, ""));
    match (tool, verb) {
        (_, "resize" | "disk resize") => "resize".to_owned(),
        ("pct", "move-volume") => "move_volume".to_owned(),
        ("qm", "disk move") => "qmmove".to_owned(),
        ("qm", "set") => "qmconfig".to_owned(),
        ("pct", verb) => format!("vz{verb}"),
        (_, verb) => format!("qm{verb}"),
    }
}

/// The command that makes the same call.
struct Same {
    /// Tool and command.
    command: Vec<String>,
    /// Positionals that stand in the path.
    fixed: Vec<String>,
    /// Parameters that are positional there, after those.
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
    let same = |command: &str, fixed: &[&str], takes: &'static [&'static str]| {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Some(Same { command: own(&[tool, command]), fixed: own(fixed), takes, is_task: true })
    };
    let at_once = |same: Option<Same>| same.map(|same| Same { is_task: false, ..same });
    match (method, rest) {
        ("set", [id, "config"]) => at_once(same("set", &[id], &[])),
        ("create", [id, "config"]) if tool == "qm" => same("set", &[id], &[]),
        ("set", [id, "resize"]) => same("resize", &[id], &["disk", "size"]),
        ("create", []) if tool == "pct" => same("create", &[], &["vmid", "ostemplate"]),
        ("create", []) => same("create", &[], &["vmid"]),
        ("create", [id, "clone"]) => same("clone", &[id], &["newid"]),
        // The container's is a task too, but nobody is told about it.
        ("create", [id, "template"]) if tool == "pct" => at_once(same("template", &[id], &[])),
        ("create", [id, "template"]) => same("template", &[id], &[]),
        ("create", [id, "snapshot"]) => same("snapshot", &[id], &["snapname"]),
        ("create", [id, "snapshot", name, "rollback"]) => same("rollback", &[id, name], &[]),
        ("create", [id, "status", action]) => same(action, &[id], &[]),
        ("create", [id, "move_volume"]) => same("move-volume", &[id], &["volume", "storage"]),
        ("create", [id, "move_disk"]) => same("move-disk", &[id], &["disk", "storage"]),
        ("set", [id, "unlink"]) => at_once(same("unlink", &[id], &[])),
        ("delete", [id, "snapshot", name]) => same("delsnapshot", &[id, name], &[]),
        ("delete", [id]) => same("destroy", &[id], &[]),
        _ => None,
    }
}
