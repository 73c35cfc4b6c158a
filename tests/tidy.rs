//! The house rules that a machine can hold: who imports whom, what is named where, how long a file gets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import, as in docs/architecture.md. `cli` may import everything.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("finding", &[]),
    ("secret", &[]),
    ("command", &["model", "secret"]),
    ("op", &["model", "secret", "command"]),
    ("request", &["secret", "command"]),
    ("event", &["model", "finding", "secret", "command", "op", "request"]),
    ("artifact", &["model"]),
    ("plan", &["model"]),
    ("pve", &["model", "command", "op"]),
    ("config", &["model", "finding", "pve", "plan"]),
    ("host", &["model", "secret", "command", "op", "request", "event", "pve"]),
    ("ui", &["model", "finding", "command", "event"]),
    ("machine", &["model", "finding", "secret", "command", "op", "request", "event", "artifact", "pve", "host"]),
    ("sandbox", &["model", "secret", "command", "op", "request", "host", "pve"]),
    ("lab", &["model", "secret", "command", "op", "request", "host", "pve", "sandbox"]),
    (
        "script",
        &["model", "finding", "secret", "command", "op", "request", "event", "artifact", "host", "machine", "sandbox"],
    ),
    ("lsp", &["finding", "script"]),
    (
        "engine",
        &[
            "model", "secret", "command", "op", "request", "event", "artifact", "plan", "pve", "host", "machine",
            "script", "finding",
        ],
    ),
    ("declare", &["model", "finding", "command", "op", "plan", "pve", "config", "host", "engine"]),
    (
        "testing",
        &[
            "model", "finding", "secret", "command", "op", "request", "event", "artifact", "plan", "pve", "host",
            "machine", "sandbox", "lab", "script", "engine",
        ],
    ),
    ("manual", &["model", "script"]),
];

/// Crates and things that only some rooms may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("rhai::", &["script"]),
    ("clap::", &["cli"]),
    ("petgraph::", &["plan"]),
    ("print!(", &[]),
    ("println!(", &[]),
    ("std::io::stdout", &["cli"]),
    ("std::process::Command", &["host", "lab"]),
    ("std::process::{Command", &["host", "lab"]),
    ("tokio::process", &["host"]),
    ("tokio::net", &["host"]),
    ("TcpStream", &["host"]),
    ("UnixStream", &["host"]),
];

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The room of a file, and its text without its test module and without comments.
fn code() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (room, path, lines.join("\n"))
        })
        .collect()
}

#[test]
fn rooms_import_only_downward() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (room, path, text) in code() {
        if matches!(room.as_str(), "lib" | "main" | "cli") {
            continue;
        }
        let allowed = table.get(room.as_str()).unwrap_or_else(|| panic!("room `{room}` is not in the table"));
        for after in text.split("crate::").skip(1) {
            let other: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = table.contains_key(other.as_str()) || other == "cli";
            if known && other != room && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}: {room} imports {other}", path.display()));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "imports against the table:\n{}", wrong.join("\n"));
}

#[test]
fn things_are_named_only_in_their_rooms() {
    let mut wrong = Vec::new();
    for (room, path, text) in code() {
        for (name, rooms) in ONLY_IN {
            if text.contains(name) && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{}: `{name}` belongs in {}", path.display(), rooms.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_installation_is_named_in_code() {
    let mut wrong = Vec::new();
    let mut check = |path: &Path, text: &str| {
        // Exit codes are no ids.
        for word in text.replace("exit 101", "").split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-')) {
            let id = matches!(word, "900" | "901" | "101" | "102" | "103" | "1001" | "1002");
            let private =
                word.starts_with("10.0.0.") && !word.starts_with("10.0.0.0") || word.starts_with("192.168.0.1");
            if id || private {
                wrong.push(format!("{}: `{word}`", path.display()));
            }
        }
    };
    for (_, path, text) in code() {
        check(&path, &text);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["features", "apps"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let script = path.extension().is_some_and(|extension| extension == "rhai");
            if script && !path.to_string_lossy().ends_with(".test.rhai") {
                check(&path, &fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(wrong.is_empty(), "ids and addresses of installations:\n{}", wrong.join("\n"));
}

#[test]
fn files_hold_one_concept() {
    let long: Vec<String> = code()
        .into_iter()
        .filter(|(_, _, text)| text.lines().count() > 600)
        .map(|(_, path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "files over 600 lines of code:\n{}", long.join("\n"));
}

#[test]
fn a_dry_run_is_another_host() {
    // What `pct rescan --dryrun` itself says.
    let own_words = "NOTE: running in dry-run mode";
    let says = |text: &str| text.contains("dry_run") || text.replace(own_words, "").contains("dry-run");
    let named: Vec<String> = code()
        .into_iter()
        .filter(|(room, _, text)| room != "cli" && says(text))
        .map(|(_, path, _)| path.display().to_string())
        .collect();
    assert!(named.is_empty(), "nothing below cli knows the words dry run: {}", named.join(", "));
}
