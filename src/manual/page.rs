//! One script for whoever puts it on a guest: what it is, what it needs, what can be set, what its health means.

use serde_json::{Map, Value, json};

use super::File;
use super::markdown::{and, block, code, sentence, table};
use crate::model::{Catalogue, ParamSpec, ParamType, ScriptKind, ScriptSpec, Target};
use crate::script::Library;

/// The page of a script.
pub fn page(library: &Library, spec: &ScriptSpec) -> File {
    let doc = library.doc(spec.kind, &spec.name).filter(|doc| !doc.is_empty());
    // An author who ends with a declaration knows better what is worth showing.
    let (about, example) = match doc.and_then(|doc| doc.split_once("```json\n")) {
        Some((about, rest)) => (Some(about.trim_end()), rest.split("```").next()),
        None => (doc, None),
    };
    let mut text = format!(
        "# {}\n\n{}\n\n## Where it runs\n\n",
        spec.name,
        about.map_or_else(|| sentence(&spec.summary), str::to_owned)
    );
    for line in relations(library.catalogue(), spec) {
        text += &format!("- {line}\n");
    }
    let example = example.map_or_else(|| declaration(spec), |example| example.trim_end().to_owned());
    text += &format!("\n## In the configuration\n\n{}", block("json", &example));
    if !spec.params.is_empty() {
        let headings = ["parameter", "type", "if not given", "meaning"];
        let rows: Vec<Vec<String>> = spec.params.iter().map(|(name, param)| parameter(name, param)).collect();
        text += &format!("\n## Parameters\n\n{}", table(&headings, &rows));
    }
    text += &functions(library, spec);
    let folder = folder(spec.kind);
    let tested = format!("`phoenix feature test {}` tests it", spec.name);
    text += &format!("\n---\n\nMade from `{folder}/{}.rhai` by `phoenix feature docs`; {tested}.\n", spec.name);
    File { path: format!("{folder}/{}.md", spec.name), text }
}

fn folder(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Feature => "features",
        ScriptKind::App => "apps",
    }
}

fn target_words(target: Target) -> &'static str {
    match target {
        Target::Lxc => "containers",
        Target::Vm => "virtual machines",
        Target::Node => "the node",
    }
}

/// What it is for, and what it has to do with others: one line each.
fn relations(catalogue: &Catalogue, spec: &ScriptSpec) -> Vec<String> {
    let feature = |name: &String| match catalogue.features.contains_key(name) {
        true => format!("[{name}]({}{name}.md)", if spec.kind == ScriptKind::App { "../features/" } else { "" }),
        false => code(name),
    };
    let features = |names: &[String]| and(&names.iter().map(feature).collect::<Vec<_>>());
    let artifacts = |names: &[String]| and(&names.iter().map(|name| code(name)).collect::<Vec<_>>());
    let word = match spec.kind {
        ScriptKind::Feature => "a feature",
        ScriptKind::App => "an app, after the features of its guest",
    };
    let targets: Vec<String> = spec.targets.iter().map(|target| target_words(*target).to_owned()).collect();
    let mut lines = vec![format!("{word}, for {}", and(&targets))];
    let mut say = |line: String, when: bool| lines.extend(when.then_some(line));
    say(format!("needs {}, on the guest or one that it is cloned from", features(&spec.needs)), !spec.needs.is_empty());
    say(format!("runs after {}, where they are too", features(&spec.after)), !spec.after.is_empty());
    let mut publishers: Vec<&String> = spec.consumes.iter().filter_map(|name| publisher(catalogue, name)).collect();
    publishers.dedup();
    let from = features(&publishers.into_iter().cloned().collect::<Vec<_>>());
    let from = if from.is_empty() { from } else { format!(", which a guest with {from} publishes") };
    say(format!("reads {}{from}", artifacts(&spec.consumes)), !spec.consumes.is_empty());
    say(format!("publishes {}", artifacts(&spec.publishes)), !spec.publishes.is_empty());
    let lxc = [("nesting", spec.lxc.nesting), ("keyctl", spec.lxc.keyctl), ("fuse", spec.lxc.fuse)];
    let lxc: Vec<String> = lxc.iter().filter(|(_, needed)| *needed).map(|(word, _)| code(word)).collect();
    say(format!("switches {} of containers on", and(&lxc)), !lxc.is_empty());
    if let Some(limit) = spec.timeout {
        lines.push(format!("is ended after {} seconds", limit.as_secs()));
    }
    lines
}

fn publisher<'a>(catalogue: &'a Catalogue, artifact: &str) -> Option<&'a String> {
    let publishes = |spec: &&ScriptSpec| spec.publishes.iter().any(|name| name == artifact);
    catalogue.features.values().find(publishes).map(|spec| &spec.name)
}

/// What a guest says to have it: with what must be said, or else with one parameter to show where they stand.
fn declaration(spec: &ScriptSpec) -> String {
    let required: Vec<_> = spec.params.iter().filter(|(_, param)| param.required).collect();
    let shown = match required.is_empty() {
        true => {
            let short = spec.params.iter().filter(|(_, param)| param.fallback.as_ref().is_some_and(is_short));
            short.min_by_key(|(_, param)| param.choices.is_empty()).into_iter().collect()
        }
        false => required,
    };
    let params: Map<String, Value> = shown.into_iter().map(|(name, param)| (name.clone(), sample(param))).collect();
    let features: Vec<&String> = match spec.kind {
        ScriptKind::Feature => spec.needs.iter().chain([&spec.name]).collect(),
        ScriptKind::App => spec.needs.iter().collect(),
    };
    let mut members = vec![("features", json!(features))];
    if spec.kind == ScriptKind::App {
        members.push(("application_script", json!(spec.name)));
    }
    if !params.is_empty() {
        members.push(("params", json!({ spec.name.as_str(): params })));
    }
    let lines: Vec<String> = members.iter().map(|(key, value)| format!("  \"{key}\": {}", inline(value))).collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

/// JSON on one line, with blanks where people put them.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| format!("{}: {}", json!(key), inline(value));
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn is_short(value: &Value) -> bool {
    !value.is_array() && !value.is_object() && value.as_str() != Some("") && value.to_string().len() < 30
}

/// A value that the parameter could have.
fn sample(param: &ParamSpec) -> Value {
    if let Some(value) = param.fallback.clone().or_else(|| param.choices.first().cloned()) {
        return value;
    }
    match param.kind {
        ParamType::String => json!("..."),
        ParamType::Int => json!(1),
        ParamType::Bool => json!(true),
        ParamType::Float => json!(1.0),
        ParamType::List => json!([]),
        ParamType::Map => json!({}),
        ParamType::Path => json!("/srv"),
        ParamType::Port => json!(8080),
        ParamType::Host => json!("host.example.org"),
        ParamType::Cidr => json!("192.0.2.0/24"),
        ParamType::Duration => json!("24h"),
        ParamType::Secret => json!({ "secret": "name" }),
    }
}

fn parameter(name: &str, param: &ParamSpec) -> Vec<String> {
    let choices: Vec<String> = param.choices.iter().map(|choice| code(&plain(choice))).collect();
    let kind = if choices.is_empty() { param.kind.word().to_owned() } else { choices.join(", ") };
    let fallback = match (&param.fallback, param.required) {
        (_, true) => "**required**".to_owned(),
        (None, false) => String::new(),
        (Some(value), false) => match value {
            Value::String(text) if text.is_empty() => "empty".to_owned(),
            Value::Array(items) if items.is_empty() => "none".to_owned(),
            Value::Object(members) if members.is_empty() => "none".to_owned(),
            Value::Array(items) => items.iter().map(|item| code(&plain(item))).collect::<Vec<_>>().join(", "),
            value => code(&plain(value)),
        },
    };
    vec![code(name), kind, fallback, param.doc.clone()]
}

/// A text without its quotes, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What its functions do, in the words of their own comments.
fn functions(library: &Library, spec: &ScriptSpec) -> String {
    let told = [
        ("apply", 2, "What it does", ""),
        ("prepare", 3, "What it asks the node for", ""),
        (
            "health",
            2,
            "What its health means",
            "It is asked after each run, by `phoenix health`, and before whoever needs it starts.",
        ),
        ("remove", 2, "Taking it away", ""),
    ];
    let mut text = String::new();
    for (name, arity, title, usual) in told {
        let Some(doc) = library.function_doc(spec.kind, &spec.name, name, arity) else { continue };
        let words = if doc.is_empty() { usual } else { doc };
        if !words.is_empty() {
            text += &format!("\n## {title}\n\n{words}\n");
        }
    }
    text
}
