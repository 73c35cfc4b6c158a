//! Script tests, and the case that every script has without writing it.

use phoenix::script::{Library, Roots};
use phoenix::testing;

use super::stage::feature;

fn results(files: &[(&str, &str)]) -> testing::Results {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (library, findings) = Library::load(&Roots::only(dir.path()));
    assert!(findings.is_empty(), "{findings:?}");
    testing::run(&library, &testing::Request::default())
}

fn shown(results: &testing::Results) -> Vec<String> {
    let word = |case: &testing::CaseResult| match &case.failure {
        None => format!("{} {}: passed", case.script, case.case),
        Some(failure) => format!("{} {}: {}", case.script, case.case, failure.message),
    };
    results.cases.iter().map(word).collect()
}

#[test]
fn cases_pass_and_fail_with_their_line() {
    let script = feature(
        ", params: #{ name: #{ type: \"string\", required: true } }",
        "    guest.packages([\"curl\"]);\n    guest.file(\"/etc/x\", #{ content: params.name });",
    );
    let tests = r##"
const PARAMS = #{ name: "world" };

fn test_installs() {
    let g = guest(#{ files: #{ "/etc/other": "there" } });
    assert(g.apply("x", global::PARAMS).changed);
    g.assert_ran(["install curl", "write /etc/x"]);
    assert_eq!(1, 1);
}

fn test_fails_here() {
    let g = guest(#{});
    g.apply("x", global::PARAMS);
    assert_eq(g.read("/etc/x"), "mars");
}

fn test_needs_its_parameter() {
    let g = guest(#{});
    assert_throws(|| g.apply("x", #{}), "parameter `name` of `x` is required");
}

fn test_tells_what_ran() {
    let g = guest(#{ packages: ["curl"] });
    g.apply("x", global::PARAMS);
    g.assert_ran(["install curl"]);
}
"##
    .replace("assert_eq!(", "assert_eq(");
    let results = results(&[("features/x.rhai", &script), ("features/x.test.rhai", &tests)]);
    assert_eq!(
        shown(&results),
        [
            "x applied twice: passed",
            "x test_installs: passed",
            "x test_fails_here: \"world\" is not \"mars\"",
            "x test_needs_its_parameter: passed",
            "x test_tells_what_ran: nothing that ran fits `install curl`",
        ]
    );
    let failed = results.cases[2].failure.as_ref().unwrap();
    assert!(failed.trace.as_ref().unwrap().contains("features/x.test.rhai:14:5"), "{failed:?}");
    assert!(!results.passed());
}

#[test]
fn a_script_that_changes_something_every_time_is_caught() {
    let script = feature("", "    guest.exec([\"true\"]);");
    let results = results(&[("features/x.rhai", &script)]);
    let found = shown(&results);
    assert!(found[0].contains("the second time still changes something in feature x of x"), "{found:?}");
}

#[test]
fn mistakes_in_tests_are_findings() {
    let tests = "fn test_a() {\n    let g = guest(#{ packges: [\"curl\"] });\n    g.aply(\"x\");\n}\n";
    let results = results(&[("features/x.rhai", &feature("", "")), ("features/x.test.rhai", tests)]);
    let found: Vec<String> = results.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "features/x.test.rhai:2:22: `guest` has no option `packges`",
            "features/x.test.rhai:3:7: a guest has no method `aply`",
        ]
    );
    assert!(!results.passed());
}
