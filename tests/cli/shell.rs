//! What shells and `man` are given, and the help.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use phoenix::cli::Arguments;

use super::User;

/// What a program makes of a text, if it takes it without complaint.
fn accepted(program: &[&str], text: &str) -> String {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} cannot be run ({error}); `tests/run` installs it", program[0]));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaint.is_empty(), "{program:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_verbs_and_options() {
    let script = User::new().run(&["completions", "bash"]).ends(0).out;
    accepted(&["bash", "-n"], &script);
    let complete = |words: &str| {
        let (before, last) = words.rsplit_once(' ').unwrap();
        let (previous, place) = (before.rsplit(' ').next().unwrap(), before.split(' ').count());
        let typed = format!("COMP_WORDS=({words}); COMP_CWORD={place}; _phoenix phoenix '{last}' '{previous}'");
        accepted(&["bash"], &format!("{script}\n{typed}\necho \"${{COMPREPLY[@]}}\"\n")).trim().to_owned()
    };
    assert_eq!(complete("phoenix con"), "converge config");
    assert_eq!(complete("phoenix converge --dr"), "--dry-run");
    assert_eq!(complete("phoenix --color a"), "auto always");
    assert_eq!(complete("phoenix sandbox s"), "status shell seed");
}

#[test]
fn every_shell_has_its_completions() {
    let user = User::new();
    for (shell, word) in [
        ("zsh", "#compdef phoenix"),
        ("fish", "complete -c phoenix"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer"),
    ] {
        let script = user.run(&["completions", shell]).ends(0).out;
        assert!(script.contains(word) && script.contains("converge"), "{shell}");
    }
    user.run(&["completions", "tcsh"]).ends(2).says("possible values");
}

#[test]
fn every_verb_has_a_manual_page_that_is_set_without_a_warning() {
    let user = User::new();
    let folder = user.home.path().join("man");
    user.run(&["man", "--output", folder.to_str().unwrap()]).ends(0);
    for verb in Arguments::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let path = folder.join(format!("phoenix-{}.1", verb.get_name()));
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let set = accepted(&["groff", "-man", "-Tascii", "-ww", "-P-cbou"], &page);
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(set.contains(section), "{section} in {}", path.display());
        }
    }
    let main = user.run(&["man"]).ends(0).out;
    assert_eq!(main, fs::read_to_string(folder.join("phoenix.1")).unwrap());
    assert!(accepted(&["groff", "-man", "-Tascii", "-ww", "-P-cbou"], &main).contains("phoenix-converge(1)"));
    user.run(&["man", "--output", "/proc/nowhere"]).ends(1).says("cannot be written to /proc/nowhere");
}

#[test]
fn the_examples_of_the_help_can_be_typed() {
    let mut seen = 0;
    for verb in Arguments::command().get_subcommands() {
        let name = verb.get_name();
        let help = verb.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_else(|| panic!("`{name}` has no examples"));
        for example in help.lines().filter_map(|line| line.strip_prefix("  ")) {
            // Two blanks begin a remark; `|` and `>` are the shell's.
            let typed = example.split("  ").next().unwrap().split(['|', '>']).next().unwrap();
            let words = typed.split_whitespace();
            let matched = Arguments::command().try_get_matches_from(words);
            let matched = matched.unwrap_or_else(|error| panic!("`{typed}`: {error}"));
            assert_eq!(matched.subcommand_name(), Some(name), "an example of another verb: {typed}");
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} examples");
}
