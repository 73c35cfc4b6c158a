//! What the real tools of Proxmox VE 9.2 answered, against what the emulator answers.
//!
//! `tests/data/sandbox/conformance/*.case` are recordings. A case is a list of commands on a fresh node; per step the
//! exit class and, after normalisation, both streams must be equal.

use std::collections::BTreeMap;
use std::path::Path;

use phoenix::sandbox::{Options, Sandbox, World, parse_world};

/// Percentage of the recorded steps that must be equal.
const EQUAL: usize = 100;

/// One recorded case.
struct Case {
    name: String,
    area: String,
    setup: Vec<String>,
    steps: Vec<Step>,
}

/// One recorded command.
#[derive(Default)]
struct Step {
    command: String,
    stdin: String,
    ok: bool,
    out: Vec<String>,
    err: Vec<String>,
    /// How the streams are compared: `exact`, `prefix`, `contains`, `ignore`.
    modes: BTreeMap<String, String>,
}

impl Case {
    fn read(path: &Path) -> Case {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut case = Case { name, area: String::new(), setup: Vec::new(), steps: Vec::new() };
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, case.steps.last_mut()) {
                ("area", _) => rest.clone_into(&mut case.area),
                ("setup", _) => case.setup.push(rest.to_owned()),
                ("$", _) => case.steps.push(Step { command: rest.to_owned(), ..Step::default() }),
                ("<", Some(step)) => step.stdin += &format!("{rest}\n"),
                (">", Some(step)) => step.out.push(rest.to_owned()),
                ("!", Some(step)) => step.err.push(rest.to_owned()),
                ("=", Some(step)) => step.ok = rest == "ok",
                ("out" | "err", Some(step)) => _ = step.modes.insert(word.to_owned(), rest.to_owned()),
                _ => {}
            }
        }
        case
    }

    /// Plays the case on a fresh node; answers how many steps are equal, and what differs.
    fn play(&self, world: World) -> (usize, Vec<String>) {
        let sandbox = Sandbox::in_memory(world, Options::default());
        let (mut seen, mut good, mut report) = (Seen::default(), 0, Vec::new());
        for command in &self.setup {
            let output = sandbox.exec(&words(command), "").unwrap();
            if !output.ok() {
                report.push(format!("  setup failed: {command}\n    {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
        for step in &self.steps {
            let (ok, out, err) = match sandbox.exec(&words(&step.command), &step.stdin) {
                Ok(output) => (output.ok(), output.stdout, output.stderr),
                Err(error) => (false, Vec::new(), error.to_string().into_bytes()),
            };
            let (out, err) = (seen.normalise(&out), seen.normalise(&err));
            let same = [("out", &step.out, &out), ("err", &step.err, &err)].map(|(stream, want, got)| {
                match step.modes.get(stream).map_or("exact", String::as_str) {
                    "ignore" => true,
                    "prefix" => got.starts_with(want),
                    "contains" => {
                        let mut got = got.iter();
                        want.iter().all(|line| got.any(|other| other == line))
                    }
                    _ => want == got,
                }
            });
            if ok == step.ok && same == [true, true] {
                good += 1;
                continue;
            }
            report.push(format!("  $ {}", step.command));
            if ok != step.ok {
                report.push(format!("    exit: expected {}, got {ok}", step.ok));
            }
            for (same, want, got) in [(same[0], &step.out, &out), (same[1], &step.err, &err)] {
                if !same {
                    report.extend(want.iter().filter(|line| !got.contains(line)).map(|line| format!("    - {line}")));
                    report.extend(got.iter().filter(|line| !want.contains(line)).map(|line| format!("    + {line}")));
                }
            }
        }
        (good, report)
    }
}

fn words(command: &str) -> Vec<String> {
    shlex::split(command).unwrap().into_iter().map(|word| word.replace("\\n", "\n")).collect()
}

/// Generated values in the order in which they appeared.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, Vec<String>>);

impl Seen {
    /// The rules of the corpus, as far as its cases need them here.
    fn normalise(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text)
            && (value.is_object() || value.is_array())
        {
            text = json_lines(&mask(value, ""));
        }
        let mut lines: Vec<String> = text
            .split(['\n', '\r'])
            .map(str::trim_end)
            .filter(|line| !line.is_empty() && !is_noise(line))
            .map(|line| self.line(line))
            .collect();
        // Printed in random order.
        for mark in ["Creating SSH host key ", ": successfully created disk "] {
            let marked: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(mark)).collect();
            let mut sorted: Vec<String> = marked.iter().map(|at| lines[*at].clone()).collect();
            sorted.sort();
            for (at, line) in marked.into_iter().zip(sorted) {
                lines[at] = line;
            }
        }
        if let Some(start) = lines.iter().position(|line| line == "400 Parameter verification failed.") {
            let usage = usize::from(!lines.last().unwrap().contains(": "));
            let end = lines.len() - usage;
            lines[start + 1..end].sort();
        } else if let Some(start) = lines.iter().position(|line| line == "format error") {
            lines[start + 1..].sort();
        }
        lines
    }

    fn line(&mut self, line: &str) -> String {
        let mut line = self.numbered(line, "MAC", 17, |word| {
            word.starts_with("BC:24:11:") && word.bytes().all(|b| b == b':' || b.is_ascii_hexdigit())
        });
        line = self.numbered(&line, "DIGEST", 40, |word| {
            word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        line = self.numbered(&line, "UUID", 36, |word| {
            let shape: String = word.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
            shape == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
        });
        for (mark, with) in [("creation-qemu=", "<VERSION>"), ("ctime=", "<EPOCH>")] {
            line = replace_value(&line, mark, with);
        }
        line = replace_window(&line, 19, "<TIMESTAMP>", |word| {
            let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
            shape == "9999-99-99 99:99:99"
        });
        if let Some(at) = line.find(" at /usr/") {
            line = format!("{} at <SOURCE>", &line[..at]);
        }
        if line.starts_with("snaptime: ") {
            line = "snaptime: <EPOCH>".to_owned();
        }
        if let Some((before, rest)) = line.split_once(".c: ")
            && let Some((function, rest)) = rest.split_once(": ")
            && let Some((_, rest)) = rest.split_once(' ')
        {
            line = format!("{before}.c: {function}: <N> {rest}");
        }
        if let Some((before, _)) = line.split_once(" B (0 bytes) trimmed") {
            line = format!("{}<SIZE> trimmed", before.trim_end_matches(|c: char| c.is_ascii_digit()));
        }
        // A running row of `qm list` ends with its process.
        if line.split_whitespace().nth(2) == Some("running")
            && let Some((row, pid)) = line.rsplit_once(' ').filter(|(_, pid)| pid.parse::<u32>().is_ok())
        {
            debug_assert!(pid != "0");
            line = format!("{row} <PID>");
        }
        if line.ends_with('%') && line.split_whitespace().count() == 7 {
            let words: Vec<&str> = line.split_whitespace().collect();
            line = format!("{} {} {} <N> <N> <N> <P>%", words[0], words[1], words[2]);
        }
        if line.starts_with("Name ") && line.contains("Total") {
            line = "Name Type Status Total Used Available %".to_owned();
        }
        line = line.replace("/var/lib/vz", "<PATH:local>").replace("/mnt/btr/pve", "<PATH:btr>");
        fold_numbers(&line)
    }

    /// Replaces generated words of this length by their number.
    fn numbered(&mut self, line: &str, name: &'static str, length: usize, is: impl Fn(&str) -> bool) -> String {
        let known = self.0.entry(name).or_default();
        let mut out = String::new();
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let fits = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
            match rest.get(..length).filter(|word| fits && is(word)) {
                Some(word) => {
                    let at = known.iter().position(|other| other == word).unwrap_or_else(|| {
                        known.push(word.to_owned());
                        known.len() - 1
                    });
                    out += &format!("<{name}{}>", at + 1);
                    rest = &rest[length..];
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        out
    }
}

/// The value behind a mark, up to the next comma, quote or the end.
fn replace_value(line: &str, mark: &str, with: &str) -> String {
    let Some(at) = line.find(mark).map(|at| at + mark.len()) else { return line.to_owned() };
    let end = line[at..].find([',', '"']).map_or(line.len(), |end| at + end);
    format!("{}{with}{}", &line[..at], &line[end..])
}

fn replace_window(line: &str, length: usize, with: &str, is: impl Fn(&str) -> bool) -> String {
    match (0..line.len()).find(|at| line.get(*at..*at + length).is_some_and(&is)) {
        Some(at) => format!("{}{with}{}", &line[..at], &line[at + length..]),
        None => line.to_owned(),
    }
}

/// In an enumeration `mp0, mp1, ... mp255` becomes `mp0..mp255`.
fn fold_numbers(line: &str) -> String {
    let words: Vec<&str> = line.split(", ").collect();
    if words.len() < 6 {
        return line.to_owned();
    }
    // The name behind a blank or quote, without a closing quote: stem and number.
    let parts = |word: &str| -> Option<(String, u32)> {
        let word = word.rsplit([' ', '\'']).find(|word| !word.is_empty())?;
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        Some((stem.to_owned(), word[stem.len()..].parse().ok()?))
    };
    let mut folded: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let mut end = at;
        while let (Some((stem, number)), Some(next)) = (parts(words[end]), words.get(end + 1).and_then(|w| parts(w)))
            && next == (stem, number + 1)
        {
            end += 1;
        }
        if end > at + 1 {
            folded.push(format!("{}..{}", words[at], words[end]));
            at = end + 1;
        } else {
            folded.push(words[at].to_owned());
            at += 1;
        }
    }
    folded.join(", ")
}

fn is_noise(line: &str) -> bool {
    const NOISE: [&str; 3] = ["done: SHA256:", "trying to acquire lock...", " OK"];
    NOISE.iter().any(|noise| line.starts_with(noise))
}

const VOLATILE: &[&str] = &[
    "avail",
    "cpu",
    "ctime",
    "disk",
    "diskread",
    "diskwrite",
    "maxdisk",
    "mem",
    "memhost",
    "netin",
    "netout",
    "pid",
    "snaptime",
    "total",
    "uptime",
    "used",
    "used_fraction",
];

fn mask(value: serde_json::Value, key: &str) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<_> = object.into_iter().map(|(key, value)| (key.clone(), mask(value, &key))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.into_iter().map(|value| mask(value, "")).collect();
            list.sort_by_key(Value::to_string);
            Value::Array(list)
        }
        Value::String(text) if key == "content" => {
            let mut words: Vec<&str> = text.split(',').collect();
            words.sort_unstable();
            words.join(",").into()
        }
        _ if VOLATILE.contains(&key) => "<VOLATILE>".into(),
        value => value,
    }
}

/// JSON as Python's `json.dumps(indent=1)` writes it.
fn json_lines(value: &serde_json::Value) -> String {
    use serde::Serialize;
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn tools_answer_as_recorded() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sandbox");
    let world = parse_world(&std::fs::read_to_string(data.join("world.json")).unwrap()).unwrap();
    let mut paths: Vec<_> =
        std::fs::read_dir(data.join("conformance")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut areas: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    let mut differences = String::new();
    for path in &paths {
        let case = Case::read(path);
        let (equal, report) = case.play(world.clone());
        let area = areas.entry(case.area.clone()).or_default();
        area[0] += equal;
        area[1] += case.steps.len();
        if !report.is_empty() {
            differences += &format!("{}\n{}\n", case.name, report.join("\n"));
        }
    }
    let sum = |of: &str, at: usize| -> usize {
        areas.iter().filter(|(area, _)| area.starts_with(of)).map(|(_, counts)| counts[at]).sum()
    };
    println!("{differences}");
    for (area, [good, all]) in &areas {
        println!("{area:<14} {good:>4} of {all:>4} steps");
    }
    let (good, all) = (sum("ct-", 0), sum("ct-", 1));
    println!("containers: {good} of {all} steps equal");
    let (good, all) = (sum("", 0), sum("", 1));
    println!("all: {good} of {all} in {} cases", paths.len());
    assert!(good * 100 >= all * EQUAL, "only {good} of {all} recorded steps are equal\n{differences}");

    // The page tells what was measured, no more and no less.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-true-is-the-sandbox.md");
    let page = std::fs::read_to_string(page).unwrap();
    let told: BTreeMap<String, String> = page
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
            let [area, _, equal, ""] = cells[..] else { return None };
            equal.contains(" of ").then(|| (area.trim_end_matches('`').to_owned(), equal.to_owned()))
        })
        .collect();
    let found: BTreeMap<String, String> =
        areas.iter().map(|(area, [good, all])| (area.clone(), format!("{good} of {all}"))).collect();
    assert_eq!(told, found, "docs/how-true-is-the-sandbox.md");
    let sentence =
        format!("**{good} of {all} recorded steps are equal** ({} %), in {} cases", good * 100 / all, paths.len());
    assert!(page.contains(&sentence), "docs/how-true-is-the-sandbox.md does not say: {sentence}");
}
