//! What an orchestrator of Proxmox VE has to know, one test per rule, named as the rule is. `docs/proxmox-rules.md` says of
//! each what phoenix does about it; a test holds page and names together.

mod cluster;
mod copies;
mod locale;
mod locks;
mod state;
mod versions;
mod words;

use std::collections::BTreeSet;
use std::path::Path;

use phoenix::command::Command;
use phoenix::sandbox::Sandbox;

/// The containers of the platform in small.
const ALL: &[u32] = &[900, 103, 101, 102];
/// The machines of the platform in small.
const MACHINES: &[u32] = &[9000, 1001, 1002];

/// A changing command, as a builder would make it.
fn change(line: &str) -> Command {
    let words = shlex::split(line).unwrap();
    Command::change(&words[0], words[1..].iter().cloned())
}

/// Types a command; answers its exit status and both streams as text.
fn typed(sandbox: &Sandbox, line: &str) -> (i32, String, String) {
    let output = sandbox.exec(&shlex::split(line).unwrap(), "").unwrap();
    (output.code, String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Types a command that must succeed.
fn fine(sandbox: &Sandbox, line: &str) -> String {
    let (code, stdout, stderr) = typed(sandbox, line);
    assert_eq!(code, 0, "{line}: {stderr}");
    stdout
}

/// Types a command that must fail; answers its last line.
fn refused(sandbox: &Sandbox, line: &str) -> String {
    let (code, _, stderr) = typed(sandbox, line);
    assert_ne!(code, 0, "{line}");
    stderr.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn the_page_names_every_test_and_every_test_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("tests/rules")).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let names = text.split("#[test]\nfn ").skip(1).map(|after| after.split('(').next().unwrap().to_owned());
        tests.extend(names.filter(|_| room != "mod").map(|name| format!("{room}::{name}")));
    }
    let page = std::fs::read_to_string(root.join("docs/proxmox-rules.md")).unwrap();
    let named: BTreeSet<String> =
        page.split('`').filter(|word| word.contains("::") && !word.contains(' ')).map(str::to_owned).collect();
    assert_eq!(tests.difference(&named).collect::<Vec<_>>(), [] as [&String; 0], "not on the page");
    assert_eq!(named.difference(&tests).collect::<Vec<_>>(), [] as [&String; 0], "on the page, but no test");
}
