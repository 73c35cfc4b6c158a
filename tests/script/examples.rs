//! Every verb says what its options mean and has an example, which runs as it stands.

use std::path::Path;

use phoenix::script::reference::{Caller, Group, groups, helpers};
use phoenix::script::signature::{Signature, Type};
use phoenix::script::{Entry, Library, Models, Roots, StagedGuest};
use phoenix::testing::{self, Declared, Stand};
use serde_json::json;

/// Verbs whose example changes something the second time too, and why.
const NEVER_DONE: &[(&str, &str)] = &[];

/// Verbs without an example, and why.
const WITHOUT: &[(&str, &str)] = &[("exit", "is there to be refused")];

/// What must be on the guest before an example is.
const BEFORE: &[(&str, &str)] = &[("compose", "docker"), ("certificate", "step_ca"), ("artifact", "step_ca")];

/// Files beside the script of an example.
const ASSETS: &[(&str, &str)] = &[
    ("motd", "This is "),
    ("motd.j2", "This is {{ name }}.\n"),
    (
        "compose.yaml",
        "services:\n  web:\n    image: docker.io/library/nginx:1.29\n    environment:\n      TOKEN: ${TOKEN}\n",
    ),
];

fn all() -> Vec<Group> {
    let mut all: Vec<Group> = [Caller::Script, Caller::Test, Caller::Model].into_iter().flat_map(groups).collect();
    all.push(helpers());
    all
}

fn verbs(groups: &[Group]) -> Vec<&'static Signature> {
    let signatures = groups.iter().flat_map(|group| group.signatures.iter().copied());
    signatures.filter(|one| !one.property && !WITHOUT.iter().any(|(name, _)| *name == one.name)).collect()
}

#[test]
fn every_verb_is_told_with_options_and_an_example() {
    let mut missing = Vec::new();
    for signature in all().iter().flat_map(|group| &group.signatures) {
        let shown = signature.shown();
        if signature.doc.is_empty() {
            missing.push(format!("{shown}: what it does"));
        }
        for parameter in signature.args.iter().chain(signature.options) {
            if parameter.doc.is_empty() {
                missing.push(format!("{shown}: what `{}` means", parameter.name));
            }
        }
    }
    for verb in verbs(&all()) {
        let call = verb.name.strip_prefix('|').map_or_else(|| format!("{}(", verb.name), |_| " | ".to_owned());
        if !verb.example.contains(&call) {
            missing.push(format!("{}: an example that calls it", verb.shown()));
        }
    }
    assert!(missing.is_empty(), "not told:\n{}", missing.join("\n"));
}

/// A function of this name with the example as its body.
fn function(head: &str, example: &str) -> String {
    let lines: Vec<String> = example.lines().map(|line| format!("    {line}\n")).collect();
    format!("fn {head} {{\n{}}}\n", lines.concat())
}

fn identifier(signature: &Signature) -> String {
    let on = signature.on.first().map_or("free", |on| on.word());
    format!("{on}_{}", signature.name.replace('|', "or"))
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The shipped scripts in a directory that examples can be added to.
fn shipped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["features", "apps"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in walk(&from) {
            let below = entry.strip_prefix(&from).unwrap();
            write(dir.path(), &format!("{folder}/{}", below.display()), &std::fs::read_to_string(&entry).unwrap());
        }
    }
    dir
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

/// A feature whose `apply` (or `prepare`, for what only looks at the node) is the example.
fn feature(name: &str, verb: &Signature) -> String {
    let of_node = !verb.on.is_empty() && !verb.on.contains(&Type::Guest) && verb.on.contains(&Type::Node);
    let listed = |word: &str, artifacts: &[&str], verb_itself: &str| {
        let used = |artifact: &&&str| verb.example.contains(**artifact) || verb.name == verb_itself;
        let names: Vec<String> = artifacts.iter().filter(used).map(|artifact| format!("\"{artifact}\"")).collect();
        if names.is_empty() { String::new() } else { format!(", {word}: [{}]", names.join(", ")) }
    };
    let consumes = listed("consumes", &["step_ca/root.crt", "step_ca/url"], "certificate");
    let publishes = listed("publishes", &["web/url"], "");
    let (target, body) = match (of_node, verb.changes) {
        (true, true) => ("node", function("apply(node, params)", verb.example)),
        (true, false) => {
            let prepare = function("prepare(node, guest, params)", &format!("{}\nreturn #{{}};", verb.example));
            ("lxc", format!("{prepare}\nfn apply(guest, params) {{}}\n"))
        }
        (false, _) => ("lxc", function("apply(guest, params)", verb.example)),
    };
    format!(
        "const FEATURE = #{{ name: \"{name}\", summary: \"An example\", targets: [\"{target}\"]{consumes}{publishes} }};\n\n{body}"
    )
}

#[test]
fn examples_of_scripts_run_and_the_second_time_nothing_changes() {
    let dir = shipped();
    let verbs = verbs(&groups(Caller::Script));
    for verb in &verbs {
        let name = identifier(verb);
        write(dir.path(), &format!("features/{name}.rhai"), &feature(&name, verb));
        for (path, text) in ASSETS {
            write(dir.path(), &format!("features/{name}/{path}"), text);
        }
    }
    let (library, findings) = Library::load(&Roots::only(dir.path()));
    assert!(findings.is_empty(), "{findings:#?}");
    let (models, _) = Models::load(&library);
    let mut wrong = Vec::new();
    for verb in &verbs {
        let name = identifier(verb);
        let found = library.check(phoenix::model::ScriptKind::Feature, &name);
        if !found.is_empty() {
            wrong.push(format!("{}: {}", verb.shown(), phoenix::ui::findings::render(&found, true)));
            continue;
        }
        if let Err(problem) = applied_twice(&library, &models, verb) {
            wrong.push(format!("{}: {problem}", verb.shown()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn applied_twice(library: &Library, models: &Models, verb: &Signature) -> Result<(), String> {
    let stand = Stand::new(library, models, &Declared::default()).map_err(|error| error.to_string())?;
    let name = identifier(verb);
    let run = |entry, script: &str| {
        std::thread::scope(|scope| {
            let run = || stand.run(entry, script, &json!({})).map_err(|error| super::stage::shown(&error));
            phoenix::script::thread("example").spawn_scoped(scope, run).unwrap().join().unwrap()
        })
    };
    for (_, feature) in BEFORE.iter().filter(|(of, _)| *of == verb.name) {
        run(Entry::Apply, feature)?;
    }
    run(Entry::Prepare, &name)?;
    run(Entry::Apply, &name)?;
    let again = run(Entry::Apply, &name)?;
    match again.changed && !NEVER_DONE.iter().any(|(of, _)| *of == verb.name) {
        true => Err("the second time still changes something".to_owned()),
        false => Ok(()),
    }
}

#[test]
fn examples_of_tests_and_helpers_pass() {
    let dir = shipped();
    let verbs = [verbs(&groups(Caller::Test)), verbs(&[helpers()])].concat();
    let cases: Vec<String> =
        verbs.iter().map(|verb| function(&format!("test_{}()", identifier(verb)), verb.example)).collect();
    write(dir.path(), "features/examples.rhai", &super::stage::feature("", "").replace("\"x\"", "\"examples\""));
    write(dir.path(), "features/examples.test.rhai", &cases.join("\n"));
    let (library, _) = Library::load(&Roots::only(dir.path()));
    let results = testing::run(
        &library,
        &testing::Request { select: vec![testing::Selection::read("examples")], ..Default::default() },
    );
    assert!(results.findings.is_empty(), "{}", phoenix::ui::findings::render(&results.findings, true));
    let failed: Vec<_> = results.cases.iter().filter(|case| case.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(results.cases.len(), verbs.len() + 1);
}

#[test]
fn examples_of_models_answer() {
    let dir = shipped();
    let verbs = verbs(&groups(Caller::Model));
    let mut body = String::new();
    for verb in &verbs {
        let name = identifier(verb);
        let package = name.replace('_', "-");
        let packages = format!("\"{package}\": #{{ version: \"1\", programs: [\"{name}\"] }}");
        let head = format!("const MODEL = #{{ programs: [\"{name}\"], packages: #{{ {packages} }} }};");
        // An example that answers only sometimes.
        let rest = if verb.example.ends_with('}') { "\nreturn \"\";" } else { "" };
        let model = format!("{head}\n\n{}", function("run(machine, argv)", &format!("{}{rest}", verb.example)));
        write(dir.path(), &format!("features/{name}.model.rhai"), &model);
        let probe = format!("guest.probe([\"{name}\"])");
        body += &format!("    guest.packages([\"{package}\"]);\n    let answer = {probe};\n");
        body += &format!("    if answer.code > 1 {{ fail(\"{name}: \" + answer.stderr); }}\n");
    }
    write(
        dir.path(),
        "features/x.rhai",
        &super::stage::feature("", &format!("    guest.packages([\"nginx\"]);\n{body}")),
    );
    let (library, _) = Library::load(&Roots::only(dir.path()));
    let (models, findings) = Models::load(&library);
    assert!(findings.is_empty(), "{}", phoenix::ui::findings::render(&findings, true));
    let stand = Stand::new(&library, &models, &Declared::default()).unwrap();
    std::thread::scope(|scope| {
        let run = || stand.run(Entry::Apply, "x", &json!({})).map_err(|error| super::stage::shown(&error));
        phoenix::script::thread("example").spawn_scoped(scope, run).unwrap().join().unwrap().unwrap();
    });
}
