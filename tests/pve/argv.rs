//! Command lines refused in the real tools' words.

use proptest::prelude::*;

use phoenix::pve::argv::{self, Call};
use phoenix::pve::table::{self, table};

/// Recordings of real tools: `$ command`, then `! line` of standard error.
const REFUSALS: &str = include_str!("../data/pve/refusals.txt");

fn words(line: &str) -> Vec<String> {
    shlex::split(line).unwrap()
}

fn call(line: &str) -> Call {
    argv::parse(&words(line)).unwrap()
}

/// `mp0, mp1, ... mp255` becomes `mp0..mp255`, as in the recordings.
fn folded(line: &str) -> String {
    let Some((before, list)) = line.split_once("enumeration '") else { return line.to_owned() };
    let names: Vec<&str> = list.trim_end_matches('\'').split(", ").collect();
    let number = |name: &str| -> Option<(String, u32)> {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        Some((stem.to_owned(), name[stem.len()..].parse().ok()?))
    };
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while at < names.len() {
        let mut last = at;
        while last + 1 < names.len()
            && number(names[last + 1]).is_some_and(|(stem, n)| number(names[last]) == Some((stem, n.wrapping_sub(1))))
        {
            last += 1;
        }
        if last > at + 1 && names.len() > 5 {
            out.push(format!("{}..{}", names[at], names[last]));
        } else {
            out.extend(names[at..=last].iter().map(|name| (*name).to_owned()));
        }
        at = last + 1;
    }
    format!("{before}enumeration '{}'", out.join(", "))
}

/// As recordings are compared: no empty lines, bad options sorted.
fn normalised(stderr: &str) -> Vec<String> {
    let mut lines: Vec<String> = stderr.lines().filter(|line| !line.trim().is_empty()).map(folded).collect();
    if lines.first().is_some_and(|line| line == "400 Parameter verification failed.") {
        let usage = lines.len() - 1;
        lines[1..usage].sort();
    }
    lines
}

#[test]
fn refusals_are_those_of_the_real_tools() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for step in REFUSALS.split("\n$ ").skip(1) {
        let mut lines = step.lines();
        let command = lines.next().unwrap();
        let recorded: Vec<&str> = lines.filter_map(|line| line.strip_prefix("! ")).collect();
        // The tools look at the guest before they look at names of keys.
        if command.ends_with(" --delete nosuch") {
            continue;
        }
        checked += 1;
        match argv::parse(&words(command)) {
            Err(refusal) => {
                let mut ours = normalised(&refusal.stderr);
                if recorded[0].starts_with("ERROR: ") {
                    // After the first line comes a list of commands, which is not recorded.
                    ours.truncate(recorded.len());
                }
                if ours != recorded {
                    wrong.push(format!("$ {command}\n  real: {recorded:?}\n  ours: {ours:?}"));
                }
            }
            Ok(call) => wrong.push(format!("$ {command}\n  real: {recorded:?}\n  ours: accepted {call:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 90, "only {checked} recordings were found");
}

#[test]
fn the_text_of_a_refusal_is_complete() {
    let refusal = argv::parse(&words("pct set 100 --net0 bridge=vmbr0 --memory 2")).unwrap_err();
    let expected = "400 Parameter verification failed.\nmemory: value must have a minimum value of 16\n\
         net0: invalid format - format error\nnet0.name: property is missing and it is not optional\n\n\
         pct set <vmid> [OPTIONS]\n";
    assert_eq!((refusal.stderr.as_str(), refusal.code), (expected, 2));
    assert_eq!(argv::parse(&words("pct frob")).unwrap_err().code, 255);
    assert_eq!(argv::parse(&words("pct")).unwrap_err().code, 255);
}

#[test]
fn options_stand_before_between_and_after() {
    let expected = Call {
        command: "pct clone".into(),
        positionals: vec!["100".into(), "101".into()],
        options: vec![("full".into(), "1".into()), ("hostname".into(), "web".into())],
        rest: Vec::new(),
        usage: "pct clone <vmid> <newid> [OPTIONS]".into(),
    };
    for line in [
        "pct clone 100 101 --full 1 --hostname web",
        "pct clone --full yes 100 --hostname=web 101",
        "pct clone -full=on -hostname web -- 100 101",
        "pct clone 100 101 --full --hostname web",
    ] {
        assert_eq!(call(line), expected, "{line}");
    }
}

#[test]
fn a_bare_boolean_swallows_the_next_word() {
    let refusal = argv::parse(&words("pct clone --full 100 101")).unwrap_err();
    assert!(refusal.stderr.starts_with("400 not enough arguments\n"), "{}", refusal.stderr);
}

#[test]
fn everything_after_the_id_is_the_command() {
    let call = call("pct exec 100 -- ls -la --color=never");
    assert_eq!(call.positionals, ["100"]);
    assert_eq!(call.rest, ["ls", "-la", "--color=never"]);
    assert_eq!(
        argv::parse(&words("pct exec 100 ls -la")).unwrap_err().stderr.lines().next(),
        Some("Unknown option: la")
    );
}

#[test]
fn lists_may_be_repeated() {
    assert_eq!(call("pct set 100 --delete swap --delete=cores,onboot").option("delete"), Some("swap,cores,onboot"));
    assert_eq!(call("vzdump 100 101").positionals, ["100,101"]);
}

#[test]
fn an_empty_value_is_a_value_only_as_a_word_of_its_own() {
    assert_eq!(call("pct set 100 --tags ''").option("tags"), Some(""));
    let refusal = argv::parse(&words("pct set 100 --tags=")).unwrap_err();
    assert!(refusal.stderr.starts_with("Option tags requires an argument\n400 unable to parse option\n"));
}

#[test]
fn parameters_of_a_path_are_left_to_the_node() {
    let call = call("pvesh get /cluster/resources --type vm --output-format json");
    assert_eq!(call.option("type"), Some("vm"));
}

#[test]
fn options_are_known_in_any_case_and_files_are_not_judged_by_their_name() {
    let call = call("qm set 200 --CIUser ops --sshkeys /root/key.pub");
    assert_eq!((call.option("ciuser"), call.option("sshkeys")), (Some("ops"), Some("/root/key.pub")));
}

#[test]
fn since_when_an_option_exists_is_known() {
    let (_, create) = table().command("pct create").unwrap();
    assert_eq!(create.option("memory").unwrap().since, "8".parse().ok());
    assert_eq!(create.option("entrypoint").unwrap().since, "9.1".parse().ok());
    assert!(table::check("pct create", "hostname", "bad_host").is_err());
}

proptest! {
    /// Whatever is typed: it is understood, or refused with a complete text and a code that is no success.
    #[test]
    fn every_command_line_has_an_answer(
        tool in "pct|qm|pvesm|pvesh",
        command in "create|set|clone|exec|resize|guest exec|get|list|[a-z]{0,4}",
        words in prop::collection::vec(
            "[0-9]{1,4}|--|-|--[a-z]{1,8}[0-9]?|--(net0|rootfs|mp0|memory|full|tags)(=[ -~]{0,12})?|[ -~äö\n]{0,16}",
            0..6,
        ),
    ) {
        let argv: Vec<String> =
            std::iter::once(tool).chain(command.split(' ').map(str::to_owned)).chain(words).collect();
        if let Err(refusal) = argv::parse(&argv) {
            prop_assert!(refusal.code != 0 && refusal.stderr.ends_with('\n'), "{:?}", refusal);
        }
    }
}
