//! Which lines of scripts their tests run.

use phoenix::script::{Covered, Library, Roots};
use phoenix::testing::{self, Request, lcov};

const FEATURE: &str = r#"import "lib/names" as names;

const FEATURE = #{
    name: "x",
    summary: "s",
    targets: ["lxc"],
    params: #{ how: #{ type: "string", fallback: "short" } },
};

fn apply(guest, params) {
    let text = switch params.how {
        "short" => "s",
        "long" => {
            let word = "l";
            word + "ong"
        }
        _ => fail("no"),
    };
    for name in names::all() {
        if name == "nobody" {
            guest.dir("/srv/nobody");
        } else {
            guest
                .file(`/srv-${name}`, #{
                    content: text,
                });
        }
    }
    let _never = |x| {
        x + 1
    };
    info(guest.probe(["tool"]).stdout);
}

fn health(guest, params) {
    if !guest.exists("/srv-a") {
        fail("it is not there");
    }
    if !retry(2, 1, || guest.exists("/srv-a")) {
        fail("it went away");
    }
}
"#;

const MODULE: &str = "fn all() {\n    [\"a\", \"b\"]\n}\n\nfn unused() {\n    1\n}\n";

const MODEL: &str = "const MODEL = #{ programs: [\"tool\"] };\n\nfn run(machine, argv) {\n    if argv.len() > 1 {\n        \
                     return \"more\";\n    }\n    \"tool\"\n}\n";

fn covered(tests: &str) -> Vec<Covered> {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("features/x.rhai", FEATURE),
        ("features/lib/names.rhai", MODULE),
        ("features/x.model.rhai", MODEL),
        ("features/x.test.rhai", tests),
    ];
    std::fs::create_dir_all(dir.path().join("features/lib")).unwrap();
    for (path, text) in files {
        std::fs::write(dir.path().join(path), text).unwrap();
    }
    let (library, findings) = Library::load(&Roots::only(dir.path()));
    assert!(findings.is_empty(), "{findings:?}");
    let results = testing::run(&library, &Request { coverage: true, ..Request::default() });
    assert!(results.passed(), "{results:?}");
    results.coverage.unwrap()
}

fn missed(files: &[Covered]) -> Vec<String> {
    files.iter().map(|file| format!("{} {}% {:?}", file.path, file.percent(), file.missed())).collect()
}

#[test]
fn lines_are_those_that_ran_in_any_engine() {
    // The built-in case alone: the feature, its module, and a model that only answers programs that are there.
    let files = covered("");
    assert_eq!(
        missed(&files),
        [
            "features/lib/names.rhai 50% [6..=6]",
            "features/x.model.rhai 0% [4..=7]",
            "features/x.rhai 56% [14..=17, 21..=21, 30..=30, 37..=37, 40..=40]",
        ]
    );
    let more = "fn test_long() {\n    let g = guest(#{ files: #{ \"/usr/bin/tool\": \"program\" } });\n    \
                g.apply(\"x\", #{ how: \"long\" });\n}\n";
    assert!(missed(&covered(more))[2].contains("[17..=17, 21..=21, 30..=30, 37..=37, 40..=40]"));
}

#[test]
fn the_tracefile_counts() {
    insta::assert_snapshot!(lcov::render(&covered("")));
}
