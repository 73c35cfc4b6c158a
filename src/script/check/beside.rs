//! Rules about files beside scripts: program models and tests.

use rhai::Position;

use super::structure::{answer_keys, signature};
use super::visit::Checker;
use crate::finding::did_you_mean;
use crate::model::RealRun;
use crate::script::harness::{TABLES, TEST};
use crate::script::models::{ANSWER_KEYS, RESPONSE_KEYS};
use crate::script::syntax::Expr;

/// What `const GUEST` may say about the guest of the case that every script has.
const OF_THE_ENGINE: [&str; 10] =
    ["kind", "os", "template", "gpus", "config", "service", "domain", "secrets", "strict", "others"];

/// Checks a program model.
pub(super) fn model(checker: &mut Checker) {
    let script = checker.script;
    let functions = &script.syntax.functions;
    for function in functions {
        let (wanted, keys, what): (_, &[&str], _) = match function.name.as_str() {
            "run" => {
                ("fn run(machine, argv)", &ANSWER_KEYS, "`run` answers a text, `#{ code, stdout, stderr }` or `()`")
            }
            "http" => {
                let what = "`http` answers a text, `#{ status, headers, body }` or `()`";
                ("fn http(machine, request)", &RESPONSE_KEYS, what)
            }
            "listens" => {
                signature(checker, function, "fn listens(machine, argv)");
                continue;
            }
            _ => continue,
        };
        signature(checker, function, wanted);
        answer_keys(checker, function, keys);
        for answer in function.answers() {
            if matches!(answer, Expr::Bool(..) | Expr::Int(..) | Expr::Float(..) | Expr::Array(..)) {
                checker.error("answer", answer.at(), what.to_owned(), None);
            }
        }
    }
    let model = script.syntax.constants.iter().find(|constant| constant.name == "MODEL");
    let Some(Expr::Map(entries, _)) = model.map(|constant| &constant.value) else { return };
    if let Some((_, at, _)) = entries.iter().find(|(key, ..)| key == "programs")
        && !functions.iter().any(|function| function.name == "run")
    {
        let problem = "nothing says what these programs do".to_owned();
        checker.error("signature", *at, problem, Some("write `fn run(machine, argv)`".to_owned()));
    }
}

/// Checks a test file.
pub(super) fn test(checker: &mut Checker) {
    let syntax = &checker.script.syntax;
    let tables = syntax.constants.iter().find(|constant| constant.name == TABLES);
    let tables: &[(String, Position, Expr)] = match tables.map(|constant| &constant.value) {
        Some(Expr::Map(entries, _)) => entries,
        _ => &[],
    };
    for function in syntax.functions.iter().filter(|function| function.name.starts_with(TEST)) {
        let name = &function.name;
        let table = &name[TEST.len()..];
        let has_table = tables.iter().any(|(key, ..)| key == table);
        let problem = match function.params.len() {
            _ if function.private => (format!("`{name}` must not be private"), "leave `private` out".to_owned()),
            0 | 1 if (function.params.len() == 1) == has_table => continue,
            1 => (
                format!("`{name}` is never run: there are no rows for it"),
                format!("write `fn {name}()`, or a table: `const CASES = #{{ {table}: #{{ \"name\": ... }} }}`"),
            ),
            0 => {
                (format!("`{name}` does not take the rows that `CASES` has for it"), format!("write `fn {name}(row)`"))
            }
            _ => {
                (format!("`{name}` is never run: a test has no parameters, or one row"), format!("write `fn {name}()`"))
            }
        };
        checker.error("signature", function.at, problem.0, Some(problem.1));
    }
    for (key, at, rows) in tables {
        let name = format!("{TEST}{key}");
        if !syntax.defines(&name) {
            let tests = syntax.functions.iter().filter_map(|function| function.name.strip_prefix(TEST));
            let hint = match did_you_mean(key, tests) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write `fn {name}(row)`"),
            };
            checker.error("signature", *at, format!("there is no `{name}` that takes these rows"), Some(hint));
        }
        if !matches!(rows.literal(), Some(serde_json::Value::Object(_))) {
            let hint = Some("`#{ \"name of the row\": ... }`, made of literals".to_owned());
            checker.error("signature", *at, "rows are a map by their names".to_owned(), hint);
        }
    }
    for constant in &syntax.constants {
        let Expr::Map(entries, _) = &constant.value else { continue };
        match (constant.name.as_str(), checker.spec) {
            ("PARAMS", Some(spec)) => checker.given_params(spec, entries),
            ("GUEST", _) => {
                let guest = checker.vocabulary.function("guest").expect("the table of tests has `guest`");
                let known: Vec<&str> = guest.options.iter().map(|option| option.name).collect();
                let not_ours = |key: &str| known.contains(&key) && !OF_THE_ENGINE.contains(&key);
                for (key, at, _) in entries.iter().filter(|(key, ..)| not_ours(key)) {
                    let problem =
                        format!("`GUEST` cannot say `{key}`: the engine makes this guest, as it would be made anew");
                    let hint = format!("say it where a test makes its own: `guest(#{{ {key}: ... }})`");
                    checker.error("unknown-option", *at, problem, Some(hint));
                }
                known_members(checker, "`guest`", entries, &known);
            }
            ("REAL", spec) => {
                known_members(checker, "`REAL`", entries, &RealRun::MEMBERS);
                for (key, at, value) in entries.iter().filter(|(key, ..)| RealRun::MEMBERS.contains(&key.as_str())) {
                    match (key.as_str(), spec, value) {
                        ("params", Some(spec), Expr::Map(params, _)) => checker.given_params(spec, params),
                        _ => {
                            let member = value.literal().map(|literal| (key.clone(), literal));
                            if let Err(wrong) = RealRun::read(member.into_iter().collect()) {
                                checker.error("type", *at, format!("`{key}` of `REAL`: {wrong}"), None);
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// A constant's members are among those that somebody reads.
fn known_members(checker: &mut Checker, of: &str, entries: &[(String, Position, Expr)], known: &[&str]) {
    for (key, at, _) in entries.iter().filter(|(key, ..)| !known.contains(&key.as_str())) {
        let hint = match did_you_mean(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        checker.error("unknown-option", *at, format!("{of} has no option `{key}`"), Some(hint));
    }
}
