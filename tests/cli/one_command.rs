//! `phoenix --host sandbox:FILE sandbox exec -- COMMAND`: one command of the node, a process of its own. `FILE` may be
//! replaced between two of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use std::io::Write;

const TINY: &str = "local:vztmpl/tiny-12_1.0_amd64.tar.zst";

fn fresh() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sandbox/world.json")
}

/// A directory with a world in it, as it is published.
fn lab() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w");
    fs::copy(fresh(), &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    (dir, file)
}

/// The program, in a directory without a configuration.
fn program(file: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    let words = shlex::split(&line.replace("TINY", TINY)).unwrap();
    command.arg("--host").arg(format!("sandbox:{}", file.display())).args(["sandbox", "exec", "--"]).args(words);
    command.current_dir(std::env::temp_dir()).env("HOME", "/nonexistent").env_remove("XDG_STATE_HOME");
    command
}

/// Exit status, standard output and standard error.
fn typed(file: &Path, line: &str, stdin: &str) -> (i32, String, String) {
    let piped = || Stdio::piped();
    let mut child = program(file, line).stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn streams_and_exit_status_pass_through() {
    let (_dir, file) = lab();
    assert_eq!(typed(&file, "pct create 201 TINY --rootfs btr:1 --start 1", "").0, 0);
    let line = "pct exec 201 -- sh -c 'cat; echo err >&2; exit 7'";
    assert_eq!(typed(&file, line, "one\n\ttwo ü").to_owned(), (7, "one\n\ttwo ü".to_owned(), "err\n".to_owned()));
    let nothing = "Configuration file 'nodes/pve/lxc/202.conf' does not exist\n".to_owned();
    assert_eq!(typed(&file, "pct status 202", ""), (2, String::new(), nothing));
}

#[test]
fn a_file_that_is_replaced_between_two_commands_is_the_node_from_then_on() {
    let (dir, file) = lab();
    let list = || typed(&file, "pct list", "").1;
    assert_eq!(typed(&file, "pct create 201 TINY --rootfs btr:1 --hostname first", "").0, 0);
    let kept = fs::read(&file).unwrap();
    assert!(list().contains("first"));
    // In place, and by a new file that is renamed over it.
    fs::copy(fresh(), &file).unwrap();
    assert_eq!(list(), "");
    assert_eq!(typed(&file, "pct create 201 TINY --rootfs btr:1 --hostname second", "").0, 0);
    assert!(list().contains("second"));
    fs::write(dir.path().join("new"), &kept).unwrap();
    fs::rename(dir.path().join("new"), &file).unwrap();
    assert!(list().contains("first"));
    fs::remove_file(&file).unwrap();
    assert_eq!(list(), "", "an absent file is a fresh node");
}

#[test]
fn looking_needs_no_permission_to_write_and_a_change_that_cannot_be_kept_says_so() {
    let (dir, file) = lab();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(typed(&file, "pct list", "").0, 0);
    if is_root() {
        // Root may write everything; what it may not is a directory in the file's place.
        let path = dir.path().join("directory");
        fs::create_dir(&path).unwrap();
        let (code, _, stderr) = typed(&path, "pct list", "");
        assert!(code != 0 && stderr.contains(&path.display().to_string()), "{code}: {stderr}");
        return;
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let (code, _, stderr) = typed(&file, "pct create 201 TINY --rootfs btr:1", "");
    assert!(code != 0 && stderr.contains("Permission denied") && stderr.contains("/w"), "{code}: {stderr}");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let (_dir, file) = lab();
    fs::write(&file, "{\"node\": \"pve\",\n \"bridges\": [}\n").unwrap();
    let (code, stdout, stderr) = typed(&file, "pct list", "");
    assert!(code != 0 && stdout.is_empty(), "{code}: {stdout}");
    assert!(stderr.contains("line 2") && stderr.contains("column"), "{stderr}");
}

#[test]
fn of_two_commands_at_once_none_loses_what_the_other_did() {
    let (_dir, file) = lab();
    let make = |id: u32| {
        let mut command = program(&file, &format!("qm create {id}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let outputs = [make(201), make(202)].map(|child| child.wait_with_output().unwrap());
    let list = typed(&file, "qm list", "").1;
    for (id, output) in [201, 202].iter().zip(&outputs) {
        let there = list.contains(&id.to_string());
        assert_eq!(there, output.status.success(), "{list}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(there || stderr.contains("in use"), "{stderr}");
    }
}
