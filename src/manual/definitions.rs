//! `.d.rhai`: what can be called, in the form that editors of Rhai read.

use super::File;
use crate::script::reference::{Caller, Group, groups, helpers};
use crate::script::signature::{Kind, Parameter, Signature, Type};

/// One file for each caller, and one for what all of them have.
pub fn definitions() -> Vec<File> {
    let of = |caller, name: &str, about: &str| file(name, about, &groups(caller));
    vec![
        of(Caller::Script, "features", "what features and apps can call"),
        of(Caller::Test, "tests", "what NAME.test.rhai can call"),
        of(Caller::Model, "models", "what NAME.model.rhai can call"),
        file("helpers", "what all of them can call", &[helpers()]),
    ]
}

fn file(name: &str, about: &str, groups: &[Group]) -> File {
    let mut text = format!("// Made by `phoenix feature defs`: {about}.\nmodule static;\n");
    for group in groups {
        text += &format!("\n// {}\n", group.title);
        group.signatures.iter().for_each(|signature| text += &definition(signature));
    }
    File { path: format!("{name}.d.rhai"), text }
}

/// A verb: once for each thing it is called on, and for each number of arguments.
fn definition(signature: &Signature) -> String {
    let doc: String =
        comment(signature).lines().map(|line| format!("/// {line}").trim_end().to_owned() + "\n").collect();
    let receivers: Vec<Option<Type>> = match signature.on {
        [] => vec![None],
        on => on.iter().copied().map(Some).collect(),
    };
    let mut text = String::new();
    for receiver in receivers {
        for given in forms(signature) {
            text += &format!("\n{doc}{};\n", declaration(signature, receiver, &given));
        }
    }
    text
}

/// Parameters of each form in which it can be called, from the shortest.
fn forms(signature: &Signature) -> Vec<Vec<String>> {
    let parameter = |one: &Parameter| format!("{}: {}", one.name, kind(one.kind));
    let mut all: Vec<String> = signature.args.iter().map(parameter).collect();
    if !signature.options.is_empty() {
        all.push("options: Map".to_owned());
    }
    let (fewest, most) = signature.arity();
    (fewest..=most).map(|count| all[..count].to_vec()).collect()
}

fn declaration(signature: &Signature, receiver: Option<Type>, given: &[String]) -> String {
    let returns = word(signature.returns);
    if !signature.name.starts_with(char::is_alphabetic) {
        let given = given.iter().filter_map(|one| one.split(": ").nth(1));
        let types: Vec<&str> = receiver.map(word).into_iter().chain(given).collect();
        return format!("op {}({}) -> {returns}", signature.name, types.join(", "));
    }
    let receiver = receiver.map(|on| format!("{}: {}", on.word(), word(on)));
    let parameters: Vec<String> = receiver.into_iter().chain(given.iter().cloned()).collect();
    let get = if signature.property { "get " } else { "" };
    format!("fn {get}{}({}) -> {returns}", signature.name, parameters.join(", "))
}

fn comment(signature: &Signature) -> String {
    let mut text = format!("{}\n", signature.doc);
    let told = |one: &Parameter| {
        let required = if one.required { ", required" } else { "" };
        format!("- `{}` ({}{required}): {}\n", one.name, one.kind.expected(), one.doc)
    };
    for (title, parameters) in [("", signature.args), ("Options:\n", signature.options)] {
        if !parameters.is_empty() {
            text += &format!("\n{title}{}", parameters.iter().map(told).collect::<String>());
        }
    }
    if !signature.errors.is_empty() {
        text += &format!("\nFails {}.\n", signature.errors.join("; "));
    }
    if !signature.example.is_empty() {
        text += &format!("\n```rhai\n{}\n```\n", signature.example);
    }
    text
}

/// A type as definition files write it; `?` is anything.
fn word(shown: Type) -> &'static str {
    match shown {
        Type::Any => "?",
        Type::Unit | Type::Never => "()",
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Float => "float",
        Type::Text => "String",
        Type::Array => "Array",
        Type::Map | Type::Record(_) | Type::Params => "Map",
        Type::Function => "Fn",
        Type::Guest => "Guest",
        Type::Node => "Node",
        Type::Change => "Change",
        Type::Output => "Output",
        Type::Error => "Error",
        Type::Site => "Site",
        Type::TestGuest => "TestGuest",
        Type::Model => "Machine",
    }
}

/// What a parameter takes; where several types will do, anything.
fn kind(takes: Kind) -> &'static str {
    match takes {
        Kind::Text
        | Kind::Path
        | Kind::Mode
        | Kind::Url
        | Kind::Digest
        | Kind::Unit
        | Kind::State
        | Kind::Method
        | Kind::Content => "String",
        Kind::Int | Kind::Port => "int",
        Kind::Bool => "bool",
        Kind::Contents | Kind::Settings | Kind::Map => "Map",
        Kind::Function => "Fn",
        Kind::Seconds | Kind::Texts | Kind::Command | Kind::Data | Kind::Changes | Kind::Any => "?",
    }
}
