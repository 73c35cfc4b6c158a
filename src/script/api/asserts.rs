//! Asserts of script tests. A failure shows what was expected, what is there, and what comes nearest to it.

use rhai::Dynamic;
use serde_json::Value;
use similar::TextDiff;

use super::given::to_json;
use super::signature::{Kind, Parameter, Signature, Type, optional, required};
use super::test::{PATH, guest};
use super::{Answer, Given, Verb, verb};
use crate::finding::did_you_mean;
use crate::machine;
use crate::model::fits;
use crate::op::{FileKind, Op, OpValue, UnitState};
use crate::script::error::{Raised, Thrown};
use crate::script::harness::Case;

const ON: &[Type] = &[Type::TestGuest];
const PATTERNS: Parameter = required("patterns", Kind::Texts, "patterns of `*` and `?`");

/// Lines around the one that is shown of a file.
const AROUND: usize = 4;

/// Values longer than this are shown as a difference.
const SHORT: usize = 60;

pub(super) const VERBS: &[Verb<Case>] = &[
    verb(
        Signature::function("assert", "Fails unless something is true.")
            .takes(&[
                required("condition", Kind::Bool, "what must be true"),
                optional("message", Kind::Any, "what is wrong otherwise"),
            ])
            .errors(&["when the condition is false"])
            .example(r#"assert(1 + 1 == 2, "sums are wrong");"#),
        |given| match given.maybe_bool("condition") {
            Some(true) => Ok(Dynamic::UNIT),
            _ => {
                let message = if given.has("message") { given.raw_text("message") } else { "not true".to_owned() };
                failed(message, None)
            }
        },
    ),
    verb(
        Signature::function("assert_eq", "Fails unless two values are equal. Long ones are shown by what differs.")
            .takes(&[required("found", Kind::Any, "what is"), required("expected", Kind::Any, "what should be")])
            .errors(&["when they differ"])
            .example("assert_eq([1, 2], [1, 2]);"),
        |given| {
            let value = |name| to_json(&given.dynamic(name).unwrap_or_default());
            let (found, expected) = (value("found")?, value("expected")?);
            if found == expected {
                return Ok(Dynamic::UNIT);
            }
            let (one, other) = (found.to_string(), expected.to_string());
            if one.len() <= SHORT && other.len() <= SHORT {
                return failed(format!("{one} is not {other}"), None);
            }
            let what = match (&found, &expected) {
                (Value::String(_), Value::String(_)) => "the texts differ",
                (Value::Object(_), Value::Object(_)) => "the maps differ",
                (Value::Array(_), Value::Array(_)) => "the lists differ",
                _ => "the values differ",
            };
            failed(format!("{what} (- expected, + found)"), Some(difference(&lines(&expected), &lines(&found))))
        },
    ),
    verb(
        Signature::function("assert_throws", "Fails unless a closure fails with a message that holds a text.")
            .takes(&[
                required("closure", Kind::Function, "what must fail"),
                optional("text", Kind::Text, "part of the message"),
            ])
            .errors(&["when the closure does not fail, or fails with another message"])
            .example(
                r#"let g = guest(#{});
assert_throws(|| g.health("docker"), "the daemon does not answer");"#,
            ),
        |given| {
            let wanted = given.text("text")?;
            let found = match given.call("closure") {
                Ok(_) if wanted.is_empty() => return failed("nothing failed".to_owned(), None),
                Ok(_) => return failed(format!("nothing failed; expected `{wanted}`"), None),
                Err(Raised::Script(error)) => message(&error),
                Err(Raised::Error(thrown)) => thrown.message,
                Err(ended) => return Err(ended),
            };
            if found.contains(&wanted) {
                return Ok(Dynamic::UNIT);
            }
            let compared = format!("- {}\n+ {}", wanted.replace('\n', "\n- "), found.replace('\n', "\n+ "));
            failed("it failed otherwise (- expected, + found)".to_owned(), Some(compared))
        },
    ),
    verb(
        Signature::method(ON, "assert_ran", "Fails unless lines of the log fit these patterns, in this order.")
            .takes(&[PATTERNS])
            .errors(&["when no line fits the next pattern"])
            .example(
                r#"let g = guest(#{});
g.apply("base_setup", #{ extra_packages: ["nginx"] });
g.assert_ran(["install *nginx*"]);"#,
            ),
        |given| {
            let did = guest(given)?.did();
            let mut taken: Vec<usize> = Vec::new();
            for pattern in given.texts("patterns")? {
                let next = taken.last().map_or(0, |last| last + 1);
                match (next..did.len()).find(|at| fits(&pattern, &did[*at])) {
                    Some(at) => taken.push(at),
                    None => return failed(missed(&pattern, &did, &taken), Some(marked(&pattern, &did, &taken))),
                }
            }
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::method(ON, "assert_not_ran", "Fails if a line of the log fits one of these patterns.")
            .takes(&[PATTERNS])
            .errors(&["when a line fits"])
            .example(
                r#"let g = guest(#{});
g.apply("base_setup");
g.assert_not_ran(["install *nginx*", "restart *"]);"#,
            ),
        |given| {
            let did = guest(given)?.did();
            for pattern in given.texts("patterns")? {
                if did.iter().any(|line| fits(&pattern, line)) {
                    let shown =
                        did.iter().map(|line| format!("{} {line}", if fits(&pattern, line) { '!' } else { ' ' }));
                    let shown = shown.collect::<Vec<_>>().join("\n");
                    return failed(format!("something ran that fits `{pattern}`"), Some(shown));
                }
            }
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::method(ON, "assert_file", "Fails unless a file is there, and is as it should be.")
            .takes(&[PATH, optional("text", Kind::Text, "its whole text")])
            .options(&[
                optional("contains", Kind::Texts, "texts that are in it"),
                optional("lacks", Kind::Texts, "texts that are not in it"),
                optional("mode", Kind::Mode, "its permission bits"),
                optional("owner", Kind::Text, "its user"),
                optional("group", Kind::Text, "its group"),
            ])
            .errors(&["when there is no such file", "when it differs"])
            .example(
                r#"let g = guest(#{ files: #{ "/etc/app.conf": #{ text: "port 80\n", mode: "0640" } } });
g.assert_file("/etc/app.conf", "port 80\n");
g.assert_file("/etc/app.conf", #{ contains: "port", mode: "0640", owner: "root" });"#,
            ),
        file,
    ),
    verb(
        Signature::method(ON, "assert_unit", "Fails unless a unit is active and enabled, or as it should be.")
            .takes(&[required("name", Kind::Unit, "the unit")])
            .options(&[
                optional("active", Kind::Bool, "whether it runs; `true` if nothing is given"),
                optional("enabled", Kind::Bool, "whether it starts at boot; not asked if not given"),
            ])
            .errors(&["when it is in another state"])
            .example(
                r#"let g = guest(#{ packages: ["nginx"] });
g.assert_unit("nginx.service", #{ active: true, enabled: true });
g.assert_unit("mysql.service", #{ active: false });"#,
            ),
        unit,
    ),
];

/// The failure of an assert.
fn failed(message: String, output: Option<String>) -> Answer {
    Err(Thrown { output, ..Thrown::new("assert", message) }.into())
}

/// A value as lines that can be compared.
fn lines(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_else(|_| other.to_string()),
    }
}

/// What differs, with some lines around it.
fn difference(expected: &str, found: &str) -> String {
    let diff = TextDiff::from_lines(expected, found);
    let mut unified = diff.unified_diff();
    unified.context_radius(2).missing_newline_hint(false).to_string().trim_end().to_owned()
}

/// Why a pattern is not met.
fn missed(pattern: &str, did: &[String], taken: &[usize]) -> String {
    let earlier = did.iter().any(|line| fits(pattern, line));
    match taken.last() {
        Some(last) if earlier => format!("`{pattern}` ran, but not after `{}`", did[*last]),
        Some(last) => format!("nothing that ran after `{}` fits `{pattern}`", did[*last]),
        None => format!("nothing that ran fits `{pattern}`"),
    }
}

/// What ran: `=` what was met, `~` what comes nearest.
fn marked(pattern: &str, did: &[String], taken: &[usize]) -> String {
    if did.is_empty() {
        return "nothing ran".to_owned();
    }
    let nearest = nearest(pattern, did.iter().map(String::as_str));
    let mark = |at: usize| match () {
        () if taken.contains(&at) => '=',
        () if nearest == Some(at) => '~',
        () => ' ',
    };
    let mut shown: Vec<String> = did.iter().enumerate().map(|(at, line)| format!("{} {line}", mark(at))).collect();
    shown.push("(= met, ~ nearest)".to_owned());
    shown.join("\n")
}

/// The number of the text that is nearest to another, if any is near at all.
fn nearest<'a>(wanted: &str, all: impl Iterator<Item = &'a str>) -> Option<usize> {
    let wanted = wanted.replace('*', "");
    let scored = all.map(|text| strsim::normalized_damerau_levenshtein(&wanted, text)).enumerate();
    scored.max_by(|one, other| one.1.total_cmp(&other.1)).filter(|(_, score)| *score >= 0.3).map(|(at, _)| at)
}

fn file(given: &Given<Case>) -> Answer {
    let (staged, path) = (guest(given)?, given.text("path")?);
    let machine = staged.machine();
    let stat = match machine.host().perform(machine.place(), &[Op::Stat { path: path.clone() }])?.pop() {
        Some(Ok(OpValue::Stat(stat))) => stat,
        _ => None,
    };
    let Some(stat) = stat.filter(|stat| stat.kind == FileKind::File) else {
        let did = staged.did();
        let written: Vec<&str> = did.iter().filter_map(|line| line.strip_prefix("write ")).collect();
        let hint = did_you_mean(&path, written.iter().copied()).map(|near| format!("`{near}` was written"));
        let output = (!written.is_empty()).then(|| written.join("\n"));
        return Err(Thrown { output, hint, ..Thrown::new("assert", format!("there is no file {path}")) }.into());
    };
    let text = machine.read(&path)?.unwrap_or_default();
    if let Some(expected) = given.maybe_text("text")?.filter(|expected| *expected != text) {
        return failed(format!("{path} differs (- expected, + found)"), Some(difference(&expected, &text)));
    }
    for wanted in given.texts("contains")? {
        if !text.contains(&wanted) {
            return failed(format!("{path} does not contain {wanted:?}"), Some(near(&wanted, &text)));
        }
    }
    for unwanted in given.texts("lacks")? {
        if text.contains(&unwanted) {
            let at = text.lines().position(|line| unwanted.lines().next().is_some_and(|first| line.contains(first)));
            return failed(format!("{path} contains {unwanted:?}"), Some(excerpt(&text, at, '!')));
        }
    }
    let mode = given.maybe_text("mode")?.map(|mode| machine::mode(&mode)).transpose()?;
    let is = |mode: u32| format!("{mode:04o}");
    for (what, wanted, found) in [
        ("mode", mode.map(is), is(stat.mode)),
        ("owner", given.maybe_text("owner")?, stat.owner.clone()),
        ("group", given.maybe_text("group")?, stat.group.clone()),
    ] {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            return failed(format!("{what} of {path} is {found}, not {wanted}"), None);
        }
    }
    Ok(Dynamic::UNIT)
}

/// The place of a text that comes nearest to a wanted one.
fn near(wanted: &str, text: &str) -> String {
    let first = wanted.lines().find(|line| !line.trim().is_empty()).unwrap_or(wanted);
    excerpt(text, nearest(first.trim(), text.lines().map(str::trim)), '~')
}

/// Lines of a text around one that is marked; its beginning if none is.
fn excerpt(text: &str, at: Option<usize>, mark: char) -> String {
    if text.trim().is_empty() {
        return "(it is empty)".to_owned();
    }
    let from = at.unwrap_or_default().saturating_sub(AROUND);
    let shown = text.lines().enumerate().skip(from).take(2 * AROUND + 1);
    let shown =
        shown.map(|(number, line)| format!("{} {:>3} {line}", if Some(number) == at { mark } else { ' ' }, number + 1));
    shown.collect::<Vec<_>>().join("\n")
}

fn unit(given: &Given<Case>) -> Answer {
    let (staged, name) = (guest(given)?, given.text("name")?);
    let state = state(&staged.machine(), &name)?;
    let active = given.maybe_bool("active").or_else(|| (!given.has("enabled")).then_some(true));
    let is_active = state.active == "active";
    let is_enabled = state.enabled.starts_with("enabled");
    let word = |yes: bool, word: &str| if yes { word.to_owned() } else { format!("not {word}") };
    let problem = match (active, given.maybe_bool("enabled")) {
        (Some(wanted), _) if wanted != is_active => {
            format!("{name} is {}, not {}", state.active, word(wanted, "active"))
        }
        (_, Some(wanted)) if wanted != is_enabled => {
            format!("{name} is {}, not {}", word(is_enabled, "enabled"), word(wanted, "enabled"))
        }
        _ => return Ok(Dynamic::UNIT),
    };
    let did = staged.did();
    let about: Vec<&str> = did.iter().map(String::as_str).filter(|line| line.contains(name.as_str())).collect();
    let output = (!about.is_empty()).then(|| about.join("\n"));
    let hint = (state.load == "not-found").then(|| "there is no such unit".to_owned());
    Err(Thrown { output, hint, ..Thrown::new("assert", problem) }.into())
}

/// The state of a unit.
pub(super) fn state(machine: &machine::Machine, name: &str) -> Result<UnitState, Raised> {
    let answer = machine.host().perform(machine.place(), &[Op::Units { names: vec![name.to_owned()] }])?.pop();
    match answer {
        Some(Ok(OpValue::Units(mut units))) if !units.is_empty() => Ok(units.remove(0)),
        _ => Err(Thrown::new("assert", format!("the state of {name} cannot be had")).into()),
    }
}

/// The message of whatever a closure failed with.
fn message(error: &rhai::EvalAltResult) -> String {
    use rhai::EvalAltResult::{ErrorInFunctionCall, ErrorRuntime};
    match error {
        ErrorInFunctionCall(_, _, inner, _) => message(inner),
        ErrorRuntime(token, _) => match token.read_lock::<Thrown>() {
            Some(thrown) => thrown.message.clone(),
            None => token.to_string(),
        },
        other => other.to_string(),
    }
}
