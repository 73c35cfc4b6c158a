//! JSON Schema of the files: equal to what decoding asks for, to the documentation and to the committed files.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use phoenix::config::schema::{FileKind, row, rows, schema};
use phoenix::config::{Dir, fields, load};
use phoenix::finding::Severity;
use phoenix::model::{ParamType, ScriptSpec};
use phoenix::script::{self, Library, Roots};
use serde_json::{Value, json};

use super::project;

/// The shipped scripts.
fn library() -> &'static Library {
    static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::load(&Roots::only(&project(""))).0);
    &LIBRARY
}

fn validator(kind: FileKind) -> Validator {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(schema(kind, library().catalogue()).as_value()).expect("a schema of the dialect that it names")
}

/// The kind of a configuration file, by its path.
fn kind_of(path: &Path) -> Option<FileKind> {
    match path.file_name()?.to_str()? {
        "phoenix.json" => Some(FileKind::Stack),
        name => FileKind::ALL.into_iter().find(|kind| kind.described() == name),
    }
}

/// All configuration files of a folder, stacks included.
fn files(folder: &Path) -> Vec<(FileKind, std::path::PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Some(kind) = kind_of(&path) {
            found.push((kind, path));
        }
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}

fn complaints(kind: FileKind, value: &Value) -> Vec<String> {
    let validator = validator(kind);
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn every_field_is_documented_with_its_type_and_use() {
    let mut listed: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut wrong = Vec::new();
    for kind in FileKind::ALL {
        for (field, asked) in &fields()[kind.described()] {
            let Some(row) = row(kind, field) else {
                wrong.push(format!("{}: `{field}` is not documented", kind.described()));
                continue;
            };
            listed.insert((row.section, row.field));
            let required = row.usage == "required"
                || row.usage.ends_with("; required")
                || row.usage.ends_with("required for containers") && kind == FileKind::Lxc;
            if row.kind != asked.kind.to_string() || row.is_used() != asked.used || required != asked.required {
                let (file, must) = (kind.described(), asked.required);
                wrong.push(format!("{file}: `{field}` is {} (used: {}, required: {must})", asked.kind, asked.used));
            }
            for word in &asked.choices {
                if !row.values.contains(&format!("`{word}`")) && !row.usage.contains(&format!("`{word}`")) {
                    wrong.push(format!("{}: `{field}` may be `{word}`", kind.described()));
                }
            }
        }
    }
    let unknown = rows().iter().filter(|row| !listed.contains(&(row.section, row.field)));
    wrong.extend(unknown.map(|row| format!("{}: `{}` is documented but not read", row.section, row.field)));
    assert!(wrong.is_empty(), "docs/configuration.md and the reader differ:\n{}", wrong.join("\n"));
}

/// Written anew like snapshots: `INSTA_UPDATE=always`.
#[test]
fn the_committed_schemas_are_what_the_program_prints() {
    let update = std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always");
    for kind in FileKind::ALL {
        let path = project("etc/schema").join(kind.file_name());
        let printed = format!("{:#}\n", schema(kind, library().catalogue()).as_value());
        if update {
            std::fs::write(&path, &printed).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == printed,
            "{} is not up to date: `phoenix config schema --output etc/schema`",
            path.display()
        );
    }
}

#[test]
fn what_is_shipped_keeps_to_its_schema_and_names_it() {
    let mut seen = 0;
    for folder in ["etc", "examples"] {
        for (kind, path) in files(&project(folder)) {
            let value: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(complaints(kind, &value), [""; 0], "{}", path.display());
            if kind != FileKind::Certificates {
                let named = value["$schema"].as_str().unwrap_or_default();
                let target = path.parent().unwrap().join(named).canonicalize();
                let schema = project("etc/schema").join(kind.file_name()).canonicalize();
                assert_eq!(target.ok(), schema.ok(), "{}: $schema", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen} files");
}

/// What is wrong between fields, files or guests.
const BEYOND_A_SCHEMA: &[&str] = &[
    "blocked-flows",
    "clone-kind",
    "clone-source",
    "cycle",
    "cycle-by-artifact",
    "duplicate-id",
    "duplicate-path",
    "duplicates",
    "gateway-outside",
    "missing-artifact",
    "missing-dependency",
    "needs",
    "no-files",
    "privileged",
    "proxmox-refuses",
    "template-snapshot",
    "unknown-scripts",
];

#[test]
fn what_breaks_the_shape_is_refused() {
    let mut passed = Vec::new();
    for entry in std::fs::read_dir(project("tests/data/config/bad")).unwrap() {
        let folder = entry.unwrap().path();
        let refused = files(&folder).iter().any(|(kind, path)| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_json::from_str(&text).map_or(true, |value| !complaints(*kind, &value).is_empty())
        });
        if !refused {
            passed.push(folder.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    passed.sort();
    assert_eq!(passed, BEYOND_A_SCHEMA);
}

/// Values of every type, small and large.
fn values() -> Vec<Value> {
    vec![
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(70000),
        json!("x"),
        json!("10"),
        json!(["x"]),
        json!([{}]),
        json!({}),
    ]
}

/// A place of every sort in a document, as a JSON pointer: of items of lists and of containers only the first.
fn sorts_of_places(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    places(document, "", &mut found);
    let mut seen = BTreeSet::new();
    let number = |step: &str| step.parse::<u32>().map_or_else(|_| step.to_owned(), |_| "#".to_owned());
    found.retain(|place| {
        let sort: Vec<String> = place.split('/').map(number).collect();
        !place.ends_with("comment") && !place.ends_with("$schema") && seen.insert(sort)
    });
    found
}

fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(number, item)| places(item, &format!("{at}/{number}"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| places(value, &format!("{at}/{}", key.replace('/', "~1")), found));
        }
        _ => {}
    }
}

/// What decoding says about the shape of a file, and nothing else does.
const SHAPE: [&str; 5] = ["unknown-field", "wrong-type", "out-of-range", "missing-field", "bad-id"];

/// What is missing only because of what else stands in the file.
fn hangs_on_others(message: &str) -> bool {
    ["storage_pool", "network_bridge", "gw", "type", "action"]
        .iter()
        .any(|field| message == format!("`{field}` is missing"))
}

/// Puts every value into every place of the shipped files: where decoding says that the shape is wrong, the schema
/// refuses, and where the schema refuses, decoding has an error too.
#[test]
fn schema_and_decoding_agree_on_every_place() {
    let etc = project("etc");
    let mut disagreements = BTreeSet::new();
    let mut tried = 0;
    for kind in [FileKind::Hypervisor, FileKind::Lxc, FileKind::Vm] {
        let validator = validator(kind);
        let whole: Value = serde_json::from_str(&std::fs::read_to_string(etc.join(kind.described())).unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for name in [FileKind::Hypervisor.described(), FileKind::Lxc.described(), FileKind::Vm.described()] {
            std::fs::copy(etc.join(name), dir.path().join(name)).unwrap();
        }
        for place in &sorts_of_places(&whole) {
            for value in values() {
                let mut changed = whole.clone();
                *changed.pointer_mut(place).unwrap() = value.clone();
                std::fs::write(dir.path().join(kind.described()), changed.to_string()).unwrap();
                let findings = load(&Dir::Real(dir.path().to_owned()), library().catalogue()).findings;
                let refused = !validator.is_valid(&changed);
                let is_error = findings
                    .iter()
                    .any(|finding| finding.severity == Severity::Error && finding.code != "unknown-stack");
                let wrong_shape =
                    findings.iter().find(|one| SHAPE.contains(&one.code) && !hangs_on_others(&one.message));
                tried += 1;
                if refused && !is_error {
                    let why = validator.iter_errors(&changed).next().map(|error| error.to_string());
                    disagreements
                        .insert(format!("{place} = {value}: only the schema refuses: {}", why.unwrap_or_default()));
                }
                if let (false, Some(finding)) = (refused, wrong_shape) {
                    disagreements.insert(format!("{place} = {value}: only decoding refuses: {finding}"));
                }
            }
        }
    }
    println!("{tried} documents");
    let disagreements: Vec<String> = disagreements.into_iter().collect();
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

/// What a type of parameter takes and what it does not.
fn parameters() -> Vec<Value> {
    let mut values = values();
    values.extend([
        json!("/srv"),
        json!(443),
        json!(65535),
        json!(65536),
        json!("web.example.org"),
        json!("-web"),
        json!("web-"),
        json!("a..b"),
        json!("192.0.2.1"),
        json!("2001:db8::1"),
        json!("192.0.2.0/24"),
        json!("24h"),
        json!("24d"),
        json!("h"),
        json!({"secret": "name"}),
        json!({"secret": 1}),
        json!({"secret": "name", "more": 1}),
        Value::Null,
    ]);
    values
}

/// Scripts of every type of parameter: the shipped ones, and one that has all of them.
fn specs() -> Vec<ScriptSpec> {
    let catalogue = library().catalogue();
    let mut specs: Vec<ScriptSpec> = catalogue.features.values().chain(catalogue.apps.values()).cloned().collect();
    let mut every = catalogue.features["base_setup"].clone();
    every.name = "every".to_owned();
    every.params = ParamType::WORDS
        .iter()
        .map(|(word, _)| {
            let param = json!({"type": word, "doc": "a parameter"});
            ((*word).to_owned(), serde_json::from_value(param).unwrap())
        })
        .collect();
    specs.push(every);
    specs
}

#[test]
fn parameters_are_checked_as_scripts_declare_them() {
    let mut catalogue = library().catalogue().clone();
    for spec in specs() {
        if spec.name == "every" {
            catalogue.features.insert(spec.name.clone(), spec);
        }
    }
    let schema = schema(FileKind::Lxc, &catalogue);
    let guests = "/properties/lxc_configs/patternProperties";
    let guest =
        schema.as_value().pointer(guests).and_then(Value::as_object).and_then(|all| all.values().next()).unwrap();
    let mut params = guest["properties"]["params"].clone();
    params["$defs"] = schema.as_value()["$defs"].clone();
    let validator = jsonschema::options().should_validate_formats(true).build(&params).unwrap();
    let mut differ = Vec::new();
    let mut tried = 0;
    for spec in specs() {
        for (name, param) in &spec.params {
            for value in parameters().into_iter().chain(param.fallback.clone()).chain(param.choices.clone()) {
                let given = [(name.clone(), value.clone())].into();
                let problems = script::params(&spec, Some(&given)).err().unwrap_or_default();
                let refused = problems.iter().any(|problem| problem.given);
                tried += 1;
                if refused == validator.is_valid(&json!({ spec.name.as_str(): given })) {
                    differ.push(format!("{}.{name} = {value}: decoding refuses: {refused}", spec.name));
                }
            }
        }
        assert!(spec.params.is_empty() || !validator.is_valid(&json!({ spec.name.as_str(): {"nobodys": 1} })));
        assert!(validator.is_valid(&json!({ spec.name.as_str(): {"comment": "a remark"} })));
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(tried > 1000, "{tried}");
    // A script of somebody's own, that the schema was not made with.
    assert!(validator.is_valid(&json!({"own": {"anything": 1}})));
    let channel = &params["properties"]["docker"]["properties"]["channel"];
    assert_eq!(
        *channel,
        json!({"description": "of the vendor's repository", "type": "string", "enum": ["stable", "test"], "default": "stable"})
    );
}
