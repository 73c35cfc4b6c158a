//! Rules about files beside scripts: program models and tests.

use rhai::Position;

use super::structure::{answer_keys, signature};
use super::visit::Checker;
use crate::finding::did_you_mean;
use crate::model::RealRun;
use crate::script::models::ANSWER_KEYS;
use crate::script::syntax::Expr;

/// Checks a program model.
pub(super) fn model(checker: &mut Checker) {
    let syntax = &checker.script.syntax;
    let run = syntax.functions.iter().find(|function| function.name == "run");
    if let Some(run) = run {
        signature(checker, run, "fn run(machine, argv)");
        answer_keys(checker, run, &ANSWER_KEYS);
        for answer in run.answers() {
            if matches!(answer, Expr::Bool(..) | Expr::Int(..) | Expr::Float(..) | Expr::Array(..)) {
                let problem = "`run` answers a text, `#{ code, stdout, stderr }` or `()`".to_owned();
                checker.error("answer", answer.at(), problem, None);
            }
        }
        return;
    }
    let model = syntax.constants.iter().find(|constant| constant.name == "MODEL");
    let Some(Expr::Map(entries, _)) = model.map(|constant| &constant.value) else { return };
    if let Some((_, at, _)) = entries.iter().find(|(key, ..)| key == "programs") {
        let problem = "nothing says what these programs do".to_owned();
        checker.error("signature", *at, problem, Some("write `fn run(machine, argv)`".to_owned()));
    }
}

/// Checks a test file.
pub(super) fn test(checker: &mut Checker) {
    let syntax = &checker.script.syntax;
    for function in syntax.functions.iter().filter(|function| function.name.starts_with("test_")) {
        let name = &function.name;
        if !function.params.is_empty() {
            let problem = format!("`{name}` is never run: a test has no parameters");
            checker.error("signature", function.at, problem, Some(format!("write `fn {name}()`")));
        } else if function.private {
            let problem = format!("`{name}` must not be private");
            checker.error("signature", function.at, problem, Some("leave `private` out".to_owned()));
        }
    }
    for constant in &syntax.constants {
        let Expr::Map(entries, _) = &constant.value else { continue };
        match (constant.name.as_str(), checker.spec) {
            ("PARAMS", Some(spec)) => checker.given_params(spec, entries),
            ("GUEST", _) => {
                let guest = checker.vocabulary.function("guest").expect("the table of tests has `guest`");
                let known: Vec<&str> = guest.options.iter().map(|option| option.name).collect();
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
