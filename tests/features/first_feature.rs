//! docs/first-feature.md, typed again: every command of its console blocks, in order, and what comes back.
//!
//! `INSTA_UPDATE=always` writes what came back into the page. Times and the ids of containers are not compared.

use std::path::Path;
use std::process::Command;

use crate::support::container::cache;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/first-feature.md");

/// The program as the page calls it, in a directory of its own.
fn bin(folder: &Path) {
    let lab = folder.join("lab");
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    std::fs::create_dir_all(folder.join("work")).unwrap();
    std::fs::create_dir_all(&lab).unwrap();
    std::os::unix::fs::symlink(cache(), lab.join("base")).unwrap();
    let program = folder.join("bin/phoenix");
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in *' --real '*) set -- \"$@\" --lab '{}' ;; esac\nexec '{}' \"$@\"\n",
        lab.display(),
        env!("CARGO_BIN_EXE_phoenix")
    );
    std::fs::write(&program, text).unwrap();
    assert!(Command::new("chmod").arg("755").arg(&program).status().unwrap().success());
}

/// What a shell says to a command.
fn said(folder: &Path, command: &str) -> String {
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1\n{command}")]).current_dir(folder.join("work"));
    let output = shell.env("PATH", path).env("HOME", folder).env("NO_COLOR", "1").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The page with what comes back now.
fn typed_again(page: &str, folder: &Path) -> String {
    let mut lines = page.lines().peekable();
    let (mut text, mut console) = (String::new(), false);
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            console = line == "```console";
        }
        let Some(first) = line.strip_prefix("$ ").filter(|_| console) else {
            text += &format!("{line}\n");
            continue;
        };
        text += &format!("{line}\n");
        let mut command = first.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with("> ") || *line == ">") {
            text += &format!("{more}\n");
            command += &format!("\n{}", more.strip_prefix("> ").unwrap_or_default());
        }
        // What came back the last time.
        while lines.next_if(|line| !line.starts_with("$ ") && !line.starts_with("```")).is_some() {}
        text += &said(folder, &command);
    }
    text
}

/// Without what differs from run to run.
fn masked(page: &str) -> String {
    let times = regex::Regex::new(r"\b\d+(\.\d+)?(m\d\d)?s\b|\b99\d{4}\b").unwrap();
    let lines = page.lines().map(|line| times.replace_all(line, "N").split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_page_about_a_first_feature_is_as_it_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    bin(folder.path());
    let page = std::fs::read_to_string(PAGE).unwrap();
    let now = typed_again(&page, folder.path());
    if masked(&page) != masked(&now) && std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(PAGE, &now).unwrap();
        return;
    }
    assert_eq!(masked(&page), masked(&now), "INSTA_UPDATE=always writes the page anew");
}
