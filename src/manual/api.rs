//! `docs/api.md`: what features, apps, tests and models can call.

use super::markdown::{block, code, sentence, table};
use crate::script::reference::{Caller, Group, groups, helpers};
use crate::script::signature::{Kind, Parameter, Signature, Type};

const HEAD: &str = "\
# The API of scripts

What features, apps, their tests and their models can call. The language around it is [Rhai](https://rhai.rs/book/language/);
[writing-features.md](writing-features.md) is the way in. This page is made by `phoenix feature docs` from the tables that the scripts'
engine is made of, and every example is run by a test.

- A verb that changes the machine looks first, changes what differs, and answers a [change](#facts). The second time nothing differs.
- Options are one map at the end: `#{ mode: \"0644\" }`. One that does not exist is an error before anything runs. `()` counts as not given.
- Types of arguments and options are told [at the end](#types). Brackets in a call: may be left out.
- Besides what is listed under *fails*, a verb fails when the machine cannot be reached, and ends with Ctrl-C.
- `guest` is the machine that a feature is for. What says *on the node* exists for features whose target is the node, and where it only looks in
  `prepare(node, guest, params)`.
";

/// The whole page.
pub(super) fn text() -> String {
    let mut scripts = groups(Caller::Script);
    scripts.push(helpers());
    let (tests, models) = (groups(Caller::Test), groups(Caller::Model));
    let mut text = format!("{HEAD}\n");
    for (part, groups) in [("Features and apps", &scripts), ("Their tests", &tests), ("Their models", &models)] {
        let titles: Vec<String> = groups.iter().map(contents).collect();
        text += &format!("{part}:\n\n{}\n", titles.concat());
    }
    for group in scripts.iter().chain(&tests).chain(&models) {
        text += &section(group);
    }
    text + types().as_str()
}

/// What the words for types mean.
fn types() -> String {
    let row = |kind: &Kind| {
        let secrets = if kind.takes_secrets() { "; may hold secrets and artifacts" } else { "" };
        vec![kind.word().to_owned(), format!("{}{secrets}", kind.expected())]
    };
    format!("## Types\n\n{}", table(&["type", "is"], &Kind::ALL.iter().map(row).collect::<Vec<_>>()))
}

fn contents(group: &Group) -> String {
    let link = |signature: &&Signature| format!("[{}](#{})", signature.name, anchor(&heading(signature)));
    let verbs: Vec<String> = group.signatures.iter().filter(|one| is_told(one)).map(link).collect();
    format!("- [{}](#{}): {}\n", group.title, anchor(group.title), verbs.join(", "))
}

/// As code hosts make them: small letters, digits, `-` and `_`.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Whether it gets a section: facts are listed in a table, and what has no example is not to be called.
fn is_told(signature: &Signature) -> bool {
    !signature.property && !signature.example.is_empty()
}

fn section(group: &Group) -> String {
    let mut text = format!("## {}\n\n", group.title);
    let facts = group.signatures.iter().filter(|one| one.property);
    let facts: Vec<Vec<String>> = facts
        .map(|fact| vec![code(&heading(fact)), fact.returns.word().to_owned(), fact.doc.to_owned(), only_on(fact)])
        .collect();
    if !facts.is_empty() {
        text += &format!("{}\n", table(&["fact", "type", "what", ""], &facts));
    }
    for signature in group.signatures.iter().filter(|one| is_told(one)) {
        text += &verb(signature);
    }
    text
}

fn verb(signature: &Signature) -> String {
    let mut text = format!("### {}\n\n{}\n", heading(signature), block("rhai", &call(signature)));
    let mut notes = Vec::new();
    let place = only_on(signature);
    if !place.is_empty() {
        notes.push(sentence(&place));
    }
    match signature.returns {
        Type::Unit | Type::Never => {}
        Type::Any => notes.push("Answers a value.".to_owned()),
        answer => notes.push(format!("Answers {} {}.", article(answer.word()), answer.word())),
    }
    text += &format!("{} {}\n\n", signature.doc, notes.join(" ")).replace(" \n", "\n");
    let rows: Vec<Vec<String>> =
        signature.args.iter().map(argument).chain(signature.options.iter().map(option)).collect();
    if !rows.is_empty() {
        text += &format!("{}\n", table(&["", "type", "meaning"], &rows));
    }
    if !signature.errors.is_empty() {
        text += &format!("Fails {}.\n\n", signature.errors.join("; "));
    }
    text += &format!("{}\n", block("rhai", signature.example));
    text
}

/// The call shows which arguments may be left out.
fn argument(parameter: &Parameter) -> Vec<String> {
    vec![code(parameter.name), parameter.kind.word().to_owned(), parameter.doc.to_owned()]
}

/// Few options must be given, and the call does not show which.
fn option(parameter: &Parameter) -> Vec<String> {
    let required = if parameter.required { ", required" } else { "" };
    vec![code(parameter.name), format!("{}{required}", parameter.kind.word()), parameter.doc.to_owned()]
}

/// `guest.file(path, #{ content, source, ... })`
fn call(signature: &Signature) -> String {
    if is_operator(signature) {
        return heading(signature);
    }
    let optional = |parameter: &Parameter, shown: &str| match parameter.required {
        true => shown.to_owned(),
        false => format!("[{shown}]"),
    };
    let mut arguments: Vec<String> = signature.args.iter().map(|arg| optional(arg, arg.name)).collect();
    if !signature.options.is_empty() {
        let names: Vec<&str> = signature.options.iter().map(|option| option.name).collect();
        arguments.push(format!("#{{ {} }}", names.join(", ")));
    }
    format!("{}({})", heading(signature), arguments.join(", "))
}

fn is_operator(signature: &Signature) -> bool {
    !signature.name.starts_with(char::is_alphabetic)
}

fn heading(signature: &Signature) -> String {
    match receiver(signature) {
        receiver if is_operator(signature) => {
            let other = signature.args.first().map_or("", |arg| arg.name);
            format!("{receiver} {} {other}", signature.name)
        }
        "" => signature.name.to_owned(),
        receiver => format!("{receiver}.{}", signature.name),
    }
}

/// What scripts usually call the thing that a verb is called on.
fn receiver(signature: &Signature) -> &'static str {
    match signature.on.first() {
        None => "",
        Some(Type::TestGuest) => "g",
        Some(Type::Output) => "answer",
        Some(Type::Site) => "site()",
        Some(on) => on.word(),
    }
}

/// Where it exists, if that is not on guest and node alike.
fn only_on(signature: &Signature) -> String {
    let (guest, node) = (signature.on.contains(&Type::Guest), signature.on.contains(&Type::Node));
    match (guest, node) {
        (false, true) => "on the node".to_owned(),
        (true, false) if !signature.property => "on guests".to_owned(),
        _ => String::new(),
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
