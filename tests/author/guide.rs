//! docs/writing-features.md is what happens: every file on the page is written, every command is run, in its order.
//!
//! A block says what it is in its first line: `console` holds commands after `$` and what they print, `rhai PATH` a file,
//! `diff PATH` a change of one. What commands print is written anew like snapshots: `INSTA_UPDATE=always`.

use std::path::Path;
use std::process::Command;

use super::tried::Tried;

/// A page as it is, and as it would be if every command printed what it prints now.
struct Guide {
    here: Tried,
    text: String,
    commands: usize,
}

impl Guide {
    fn follow(page: &str) -> Guide {
        let mut guide = Guide { here: Tried::new(), text: String::new(), commands: 0 };
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            guide.text += &format!("{line}\n");
            let Some(info) = line.strip_prefix("```") else { continue };
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match info.split_once(' ').unwrap_or((info, "")) {
                ("console", "") => guide.console(&block),
                ("diff", path) if !path.is_empty() => guide.change(path, &block),
                ("rhai", path) if !path.is_empty() => guide.here.write(path, &format!("{}\n", block.join("\n"))),
                ("text", "") => {}
                _ => panic!("nobody runs a block of `{info}`"),
            }
            if info != "console" {
                block.iter().for_each(|line| guide.text += &format!("{line}\n"));
            }
            guide.text += "```\n";
        }
        guide
    }

    /// Runs the commands of a block.
    fn console(&mut self, block: &[&str]) {
        let bin = Path::new(env!("CARGO_BIN_EXE_phoenix")).parent().unwrap();
        for command in block.iter().filter_map(|line| line.strip_prefix("$ ")) {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{command} 2>&1")]).current_dir(self.here.path());
            shell.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
            shell.env("HOME", self.here.path()).env("NO_COLOR", "1");
            let output = shell.output().unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            self.text += &format!("$ {command}\n{}", printed.trim_end());
            self.text += if printed.is_empty() { "" } else { "\n" };
            self.commands += 1;
        }
    }

    /// Changes a file: lines with `-` and a blank are there, and become those with `+` and a blank.
    fn change(&self, path: &str, block: &[&str]) {
        let side = |without: char| {
            let lines = block.iter().filter(|line| !line.starts_with(without));
            lines.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect::<String>()
        };
        let (before, after, text) = (side('+'), side('-'), self.here.read(path));
        assert_eq!(text.matches(&before).count(), 1, "{path} does not have once\n{before}\nbut is\n{text}");
        self.here.write(path, &text.replace(&before, &after));
    }
}

/// Without what is different every time: times, and the directory of the test.
fn steady(text: &str) -> String {
    let words = |line: &str| {
        let time = |word: &str| {
            let number = word.trim_end_matches(['s', ',']).trim_end_matches('m');
            word.ends_with(['s', ','])
                && !number.is_empty()
                && number.bytes().all(|byte| b"0123456789.".contains(&byte))
        };
        line.split_whitespace().map(|word| if time(word) { "TIME" } else { word }).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_command_and_file_of_the_guide_does_what_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/writing-features.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let guide = Guide::follow(&page);
    let same = steady(&guide.text) == steady(&page);
    if !same && std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(&path, &guide.text).unwrap();
    } else {
        holds(&page, &guide.text);
    }
    assert!(guide.commands >= 15, "{} commands", guide.commands);
    // What the reader has at the end is without a finding, and green.
    guide.here.phoenix(&["feature", "lint", "mirror", "--strict"]).ends(0);
    guide.here.phoenix(&["feature", "test", "mirror"]).ends(0);
}

/// The first line in which two texts differ.
#[track_caller]
fn holds(page: &str, now: &str) {
    let (page, now) = (steady(page), steady(now));
    let mut pairs = page.lines().zip(now.lines()).enumerate();
    if let Some((number, (says, prints))) = pairs.find(|(_, (says, prints))| says != prints) {
        panic!(
            "line {}: the page says\n  {says}\nand now it is\n  {prints}\n(INSTA_UPDATE=always writes it anew)",
            number + 1
        );
    }
    assert_eq!(page.lines().count(), now.lines().count(), "the page is shorter or longer than what is printed now");
}
