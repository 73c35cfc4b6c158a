//! Scripts that loop, flood memory, recurse without end, or reach for what is not theirs: each ends with an error that
//! says what it did, at its line.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phoenix::artifact::Artifacts;
use phoenix::event::{Sink, Stamped};
use phoenix::host::interrupt::Interrupt;
use phoenix::machine::{Machine, Report, SecretStore};
use phoenix::model::ScriptKind;
use phoenix::op::Place;
use phoenix::script::{Call, Entry, Library, Roots, StagedGuest as _};
use phoenix::testing::{self, Declared};
use serde_json::json;

use super::stage::{Stage, feature, shown};

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../snapshots/script", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}

/// What became of each, under its name.
fn told(cases: &[(&str, String)]) -> String {
    cases.iter().map(|(name, told)| format!("== {name}\n{told}\n")).collect::<Vec<_>>().join("\n")
}

fn ended(bodies: &[(&'static str, &str)]) -> String {
    let cases: Vec<_> = bodies
        .iter()
        .map(|(name, body)| match Stage::of_body(body).apply() {
            Ok(_) => (*name, "came to its end".to_owned()),
            Err(error) => (*name, shown(&error)),
        })
        .collect();
    told(&cases)
}

#[test]
fn loops_end() {
    snapshot(
        "hostile_loops",
        &ended(&[
            ("a loop", "    let n = 0;\n    loop { n += 1; }"),
            ("a loop in a closure", "    let f = || { let n = 0; while n >= 0 { n += 1; } };\n    f.call();"),
            ("a loop in what is retried", "    retry(3, 10, || { let n = 0; while n >= 0 { n += 1; } true });"),
            ("a loop that catches its end", "    try { let n = 0; loop { n += 1; } } catch { }"),
            ("a loop in every try", "    while true { try { loop { } } catch { } }"),
            ("a loop over a range", "    let n = 0;\n    for i in 0..9000000000 { n = i; }\n    info(n);"),
        ]),
    );
}

#[test]
fn floods_end() {
    let long = "    let s = \"x\";\n    while s.len() < 1000000 { s += s; }\n";
    let list = format!("{long}    let all = [];\n    loop {{ all.push(s + all.len()); }}");
    let map = format!("{long}    let all = #{{}};\n    loop {{ all[\"k\" + all.len()] = s + all.len(); }}");
    let held = format!(
        "{long}    let all = [];\n    let n = 0;\n    while n >= 0 {{\n        let own = s + n;\n        all.push(|| own.len());\n        n += 1;\n    }}"
    );
    let printed = format!("{long}    print(s);\n    info(s);\n    fail(s);");
    snapshot(
        "hostile_floods",
        &ended(&[
            ("a text that grows", "    let s = \"x\";\n    loop { s += s; }"),
            ("a list that grows", "    let l = [1];\n    loop { l += l; }"),
            ("a map that grows", "    let m = #{};\n    loop { m[\"k\" + m.len()] = 1; }"),
            ("a list of long texts", &list),
            ("a map of long texts", &map),
            ("a list in a list in a list", "    let l = [];\n    loop { l = [l, l]; }"),
            ("a text that is filled up", "    let s = \"x\";\n    s.pad(9000000000, \"x\");"),
            ("a list that is filled up", "    let l = [];\n    l.pad(9000000000, 1);"),
            ("closures that hold texts", &held),
            ("bytes", "    let b = blob(9000000000);\n    info(b.len());"),
            ("an indented text", "    info(\"x\".indent(9000000000));"),
            ("names", "    let n = 0;\n    loop { let m = #{}; m[`name${n}`] = n; n += 1; }"),
        ]),
    );
    let said = Stage::of_body(&printed);
    let told = said.failure();
    assert!(told.contains("xxx... (1048576 bytes in all)") && told.len() < 20_000, "{} bytes", told.len());
    let events = format!("{:?}", said.stand.events());
    assert_eq!(events.matches("xxx... (1048576 bytes in all)").count(), 2, "printed and said");
    assert!(events.len() < 100_000, "{} bytes of events", events.len());
}

#[test]
fn a_template_that_grows_is_ended() {
    let stage = Stage::new(&[
        ("features/x.rhai", &feature("", "    guest.template(\"/x\", #{ source: \"x.j2\", vars: #{} });")),
        (
            "features/x/x.j2",
            "{% for a in range(99999) %}{% for b in range(99999) %}twenty bytes of text{% endfor %}{% endfor %}",
        ),
    ]);
    snapshot("hostile_template", &stage.failure());
}

#[test]
fn recursion_ends() {
    let with = |more: &str, body: &str| {
        let text = format!("{}\n{more}", feature("", body));
        Stage::new(&[("features/x.rhai", &text)]).failure()
    };
    snapshot(
        "hostile_recursion",
        &told(&[
            ("a function calls itself", with("private fn down(n) {\n    down(n + 1)\n}\n", "    down(1);")),
            (
                "two call each other",
                with("private fn one(n) {\n    two(n)\n}\n\nprivate fn two(n) {\n    one(n)\n}\n", "    one(1);"),
            ),
            ("a closure is handed to itself", with("", "    let f = |f, n| f.call(f, n + 1);\n    f.call(f, 1);")),
            ("through what is retried", with("private fn again() {\n    retry(1, 1, || again())\n}\n", "    again();")),
        ]),
    );
}

#[test]
fn what_only_looks_ends_too() {
    let text = format!(
        "{}\nfn health(guest, params) {{\n    let n = 0;\n    while n >= 0 {{ n += 1; }}\n}}\n\n\
         fn prepare(node, guest, params) {{\n    let s = \"x\";\n    while s.len() > 0 {{ s += s; }}\n}}\n",
        feature("", "")
    );
    let stage = Stage::new(&[("features/x.rhai", &text)]);
    let of = |entry| shown(&stage.run(entry, json!({})).unwrap_err());
    snapshot("hostile_looking", &told(&[("health", of(Entry::Health)), ("prepare", of(Entry::Prepare))]));
}

#[test]
fn models_and_tests_end_too() {
    let modelled = |body: &str| {
        let model = format!(
            "const MODEL = #{{ packages: #{{ odd: #{{ version: \"1\", programs: [\"odd\"] }} }}, programs: [\"odd\"] }};\n\nfn run(machine, argv) {{\n{body}\n}}\n"
        );
        let script = feature("", "    guest.packages([\"odd\"]);\n    guest.exec([\"odd\"], #{ creates: \"/x\" });");
        Stage::new(&[("features/x.rhai", &script), ("features/x.model.rhai", &model)]).failure()
    };
    let began = Instant::now();
    let slow = modelled(
        "    let s = \"x\";\n    while s.len() < 8000000 { s += s; }\n    let n = 0;\n    while n >= 0 { let t = s + n; n += t.len(); }",
    );
    assert!(began.elapsed() < Duration::from_secs(600), "{:?}", began.elapsed());

    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("features")).unwrap();
    std::fs::write(dir.path().join("features/x.rhai"), feature("", "    guest.dir(\"/srv/x\");")).unwrap();
    let tests = "fn test_loops() {\n    let n = 0;\n    while n >= 0 { n += 1; }\n}\n\n\
                 fn test_goes_down() {\n    down(1);\n}\n\nprivate fn down(n) {\n    down(n + 1)\n}\n\n\
                 fn test_is_fine() {\n    assert(guest(#{}).apply(\"x\").changed);\n}\n";
    std::fs::write(dir.path().join("features/x.test.rhai"), tests).unwrap();
    let results = testing::run(&Library::load(&Roots::only(dir.path())).0, &testing::Request::default());
    let cases: Vec<String> = results
        .cases
        .iter()
        .map(|case| match &case.failure {
            None => format!("{}: passed", case.case),
            Some(failure) => format!("{}: {}\n{}", case.case, failure.message, failure.trace.as_deref().unwrap_or("")),
        })
        .collect();
    snapshot(
        "hostile_models_and_tests",
        &told(&[
            ("a model that loops", modelled("    let n = 0;\n    while n >= 0 { n += 1; }")),
            ("a model that takes its time", slow),
            ("a model that goes down", modelled("    down(argv)\n}\n\nprivate fn down(argv) {\n    down(argv)")),
            ("tests", cases.join("\n")),
        ]),
    );
}

#[test]
fn another_guest_is_out_of_reach() {
    // Lists, where the checks lose sight of what is what.
    let declared =
        Declared { artifacts: [("other/name".to_owned(), "other".to_owned())].into(), ..Declared::default() };
    let of = |body: &str| {
        let text = feature(", consumes: [\"other/name\"], publishes: [\"own/handle\"]", body);
        Stage::with(&[("features/x.rhai", &text)], &declared).failure()
    };
    let of = |body: &str| {
        let declared = "artifact(\"other/name\"); guest.publish(\"own/handle\", #{ value: guest.name });";
        of(&format!("    {declared}\n    {body}"))
    };
    snapshot(
        "hostile_reach",
        &told(&[
            ("a declared guest is only told of", of("[site().guest(guest.id)][0].exec([\"true\"]);")),
            ("an artifact is only text", of("[artifact(\"other/name\")][0].exec([\"true\"]);")),
            ("a handle cannot be published", of("guest.publish(\"own/handle\", #{ value: [guest][0] });")),
            ("nor written", of("guest.json(\"/x\", #{ guest: [guest][0] });")),
            ("nobody makes a handle", of("guest(103).exec([\"true\"]);")),
            ("the id cannot be changed", of("[guest][0].id = 103;")),
            ("the configuration is text and numbers", of("[config(\"network\")][0].exec([\"true\"]);")),
            ("no undeclared artifact", of("artifact([\"step_ca/root\"][0]);")),
            ("nothing outside of the folder of assets", of("asset([\"../y/secret\"][0]);")),
            ("nor of the node", of("guest.file(\"/x\", #{ source: [\"/etc/shadow\"][0] });")),
            ("no name is run as code", of("let f = Fn(\"ev\" + \"al\"); f.call(\"1\");")),
        ]),
    );
}

/// Tells nobody: it breaks.
struct Broken;

impl Sink for Broken {
    fn emit(&self, _: Stamped) {
        panic!("a mistake of this program");
    }
}

#[test]
fn a_mistake_of_the_program_ends_the_script_and_nothing_else() {
    let stage = Stage::of_body("    guest.dir(\"/srv/before\");\n    section(\"x\");");
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("features")).unwrap();
    std::fs::write(dir.path().join("features/x.rhai"), feature("", "    section(\"x\");")).unwrap();
    let library = Library::load(&Roots::only(dir.path())).0;
    let (host, place) = (stage.stand.host().clone(), stage.stand.machine().place());
    let Place::Guest(id, _) = place else { panic!("{place} is no guest") };
    let call = Call {
        library: &library,
        kind: ScriptKind::Feature,
        name: "x",
        entry: Entry::Apply,
        machine: Machine::new(host.clone(), place, Report { guest: Some(id), events: Arc::new(Broken) }),
        site: Arc::default(),
        guest: id,
        params: BTreeMap::new(),
        artifacts: Artifacts::default(),
        publishers: Vec::new(),
        secrets: SecretStore::new(host, Arc::new(|_| None)),
        interrupt: Interrupt::new(),
    };
    let failure = shown(&phoenix::script::run(call).unwrap_err());
    assert_eq!(failure, "`x` ran into a mistake of this program\nhint: the lines above are worth a bug report");
    // The node and the guest are none the worse for it.
    assert!(stage.apply().unwrap().changed);
}

/// The findings about files below this directory, as a linter prints them.
fn findings(root: &Path) -> String {
    let files = phoenix::script::lint(&Library::load(&Roots::only(root)).0, &[]).unwrap();
    let lines = files.iter().flat_map(|file| &file.findings).map(|finding| {
        let hint = finding.hint.as_ref().map_or(String::new(), |hint| format!("\n    {hint}"));
        format!("{finding}{hint}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn files_that_are_no_scripts_are_named() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.rhai"), "1").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let features = dir.path().join("features");
    std::fs::create_dir_all(features.join("lib")).unwrap();
    std::fs::create_dir(features.join("directory.rhai")).unwrap();
    symlink("circle.rhai", features.join("circle.rhai")).unwrap();
    symlink("nowhere.rhai", features.join("dangling.rhai")).unwrap();
    symlink(outside.path().join("x.rhai"), features.join("outside.rhai")).unwrap();
    symlink("/dev/zero", features.join("endless.rhai")).unwrap();
    let pipe = features.join("pipe.rhai");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let sparse = std::fs::File::create(features.join("sparse.rhai")).unwrap();
    sparse.set_len(5 << 30).unwrap();
    std::fs::write(features.join("fine.rhai"), feature("", "").replace("\"x\"", "\"fine\"")).unwrap();
    std::fs::write(features.join("fine.test.rhai"), b"fn test_x() { \xff }").unwrap();
    std::fs::write(features.join("fine.model.rhai"), b"\xff").unwrap();
    symlink("somebody@somewhere.1:2", features.join(".#fine.rhai")).unwrap();
    symlink("somebody@somewhere.1:2", features.join("lib/.#shared.rhai")).unwrap();
    snapshot("hostile_files", &findings(dir.path()));
}

#[test]
fn imports_stay_inside_and_come_to_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("features/lib/itself.rhai", "import \"lib/itself\" as me;\n\nfn work() {\n    me::work();\n}\n");
    write("features/lib/one.rhai", "import \"lib/two\" as two;\n\nfn work() {\n    two::work();\n}\n");
    write("features/lib/two.rhai", "import \"lib/one\" as one;\n\nfn work() {\n    one::work();\n}\n");
    std::fs::write(dir.path().join("secret.rhai"), "fn work() { }").unwrap();
    symlink("../../secret.rhai", dir.path().join("features/lib/inside.rhai")).unwrap();
    for (name, path) in [
        ("absolute", "/etc/passwd"),
        ("above", "../secret"),
        ("deeper", "lib/../../secret"),
        ("home", "~/x"),
        ("web", "https://example.org/x"),
        ("round", "lib/one"),
    ] {
        let text = format!(
            "import \"{path}\" as x;\nconst FEATURE = #{{ name: \"{name}\", summary: \"s\", targets: [\"lxc\"] }};\n\n\
             fn apply(guest, params) {{\n    x::work();\n}}\n"
        );
        write(&format!("features/{name}.rhai"), &text);
    }
    snapshot("hostile_imports", &findings(dir.path()));
}

#[test]
fn sources_made_to_break_the_parser_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("features")).unwrap();
    let many = |text: &str| text.repeat(100_000 / text.len());
    let functions: String = (0..600).map(|n| format!("fn f{n}() {{ }}\n")).collect();
    for (name, inside) in [
        ("blocks", many("{")),
        ("calls", format!("let x = {}1{};", many("info("), many(")"))),
        ("chain", format!("guest{};", many(".a"))),
        ("closures", format!("let x = {}1;", many("|x|{"))),
        ("conditions", many("if true { ")),
        ("evaluates", "eval(\"1\");".to_owned()),
        ("functions", format!("}}\n{functions}fn g() {{")),
        ("list", many("[")),
        ("maps", many("#{ a: ")),
        ("parentheses", format!("let x = {}1{};", many("("), many(")"))),
        ("sum", format!("let x = {}1;", many("1 + "))),
        ("templates", format!("let x = {}", many("`${"))),
        ("zeros", many("\0")),
    ] {
        let text = feature("", &format!("    {inside}")).replace("\"x\"", &format!("\"{name}\""));
        std::fs::write(dir.path().join(format!("features/{name}.rhai")), text).unwrap();
    }
    snapshot("hostile_sources", &findings(dir.path()));
}
