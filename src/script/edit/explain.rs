//! Markdown about what scripts can name.

use std::fmt::Write;

use super::outline::Function;
use crate::model::{ParamSpec, ParamType, ScriptKind, ScriptSpec};
use crate::script::api::signature::{Parameter, Signature, Type};
use crate::script::text::lower_first;

/// A call with the type of its answer.
pub(super) fn head(signature: &Signature) -> String {
    let answer = match signature.returns {
        Type::Unit => String::new(),
        returns => format!(" -> {}", returns.word()),
    };
    format!("{}{answer}", signature.shown())
}

/// Something of our tables.
pub(super) fn verb(signature: &Signature) -> String {
    let mut text = format!("```rhai\n{}\n```\n{}\n", head(signature), signature.doc);
    for (title, parameters) in [("Arguments", signature.args), ("Options", signature.options)] {
        if !parameters.is_empty() {
            let lines: Vec<String> = parameters.iter().map(|one| format!("- {}", parameter(one))).collect();
            let _ = write!(text, "\n**{title}**\n\n{}\n", lines.join("\n"));
        }
    }
    if !signature.errors.is_empty() {
        let lines: Vec<String> = signature.errors.iter().map(|one| format!("- {one}")).collect();
        let _ = write!(text, "\n**Fails**\n\n{}\n", lines.join("\n"));
    }
    if !signature.example.is_empty() {
        let _ = write!(text, "\n**Example**\n\n```rhai\n{}\n```\n", signature.example.trim());
    }
    text
}

/// An argument or an option on one line.
pub(super) fn parameter(parameter: &Parameter) -> String {
    let required = if parameter.required { ", required" } else { "" };
    format!("`{}` ({}{required}): {}", parameter.name, parameter.kind.expected(), lower_first(parameter.doc))
}

/// The word for a parameter's type.
pub(super) fn type_word(kind: ParamType) -> &'static str {
    ParamType::WORDS.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| word)
}

/// A declared parameter.
pub(super) fn param(name: &str, spec: &ParamSpec) -> String {
    let mut facts = vec![type_word(spec.kind).to_owned()];
    if spec.required {
        facts.push("required".to_owned());
    }
    facts.extend(spec.fallback.as_ref().map(|fallback| format!("`{fallback}` if not given")));
    if !spec.choices.is_empty() {
        let choices: Vec<String> = spec.choices.iter().map(|choice| format!("`{choice}`")).collect();
        facts.push(format!("one of {}", choices.join(", ")));
    }
    format!("```rhai\nparams.{name}\n```\n{}\n\n{}", facts.join(", "), spec.doc)
}

/// A feature or an app, with the comment it begins with.
pub(super) fn script(spec: &ScriptSpec, doc: &str) -> String {
    let kind = match spec.kind {
        ScriptKind::Feature => "feature",
        ScriptKind::App => "app",
    };
    format!("**{kind} `{}`**: {}\n\n{doc}", spec.name, spec.summary)
}

/// A function of a file.
pub(super) fn function(before: &str, function: &Function) -> String {
    format!("```rhai\nfn {before}{}\n```\n{}", function.shown(), function.doc)
}
