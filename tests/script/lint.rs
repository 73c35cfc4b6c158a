//! The lint corpus: seeded mistakes, each with exactly the findings that stand at its end; and correct scripts without
//! any.
//!
//! A file of `tests/data/script/lint` ends in one line for each finding, as `//~ LINE:COLUMN SEVERITY[CODE] MESSAGE | HINT`.
//! `LINT_BLESS=1` writes these lines; read them before believing them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use phoenix::finding::{Finding, Severity};
use phoenix::script::{self, Library, Linted, RULES, Roots};

const MARK: &str = "//~ ";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/script").join(name)
}

fn lint(root: &Path) -> Vec<Linted> {
    script::lint(&Library::load(&Roots::only(root)).0, &[]).unwrap()
}

fn shown(finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = finding.place.as_ref().expect("every finding of a script has a place");
    let (line, column) = place.source.line_column(place.span.start);
    let hint = finding.hint.as_ref().map_or(String::new(), |hint| format!(" | {hint}"));
    format!("{line}:{column} {word}[{}] {}{hint}", finding.code, finding.message)
}

/// The findings that a file says it has.
fn expected(path: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    text.lines().filter_map(|line| line.strip_prefix(MARK).map(str::to_owned)).collect()
}

fn bless(path: &Path, findings: &[String]) {
    let bytes = std::fs::read(path).unwrap();
    let mut kept: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|l| !l.starts_with(MARK.as_bytes())).collect();
    while kept.last().is_some_and(|line| line.is_empty()) {
        kept.pop();
    }
    let mut text = kept.join(&b'\n');
    text.extend(b"\n\n");
    for finding in findings {
        text.extend(format!("{MARK}{finding}\n").bytes());
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn every_mistake_is_found_where_it_is_and_nothing_else() {
    let (mut found, mut wanted, mut wrong) = (0, 0, Vec::new());
    for file in lint(&folder("lint")) {
        let path = folder("lint").join(&file.path);
        let findings: Vec<String> = file.findings.iter().map(shown).collect();
        if std::env::var_os("LINT_BLESS").is_some() {
            bless(&path, &findings);
        }
        let expected = expected(&path);
        wanted += expected.len();
        found += expected.iter().filter(|line| findings.contains(line)).count();
        let missed = expected.iter().filter(|line| !findings.contains(line)).map(|line| format!("  missed  {line}"));
        let surplus = findings.iter().filter(|line| !expected.contains(line)).map(|line| format!("  surplus {line}"));
        let differences: Vec<String> = missed.chain(surplus).collect();
        if !differences.is_empty() {
            wrong.push(format!("{}\n{}", file.path, differences.join("\n")));
        }
        if differences.is_empty() && findings != expected {
            wrong.push(format!("{}\n  the findings are in another order", file.path));
        }
        let silent = ["features/for_vms.rhai", "features/imports_idle.rhai"];
        if findings.is_empty() && !silent.contains(&file.path.as_str()) && !beside_a_mistake(&path) {
            wrong.push(format!("{}\n  no mistake is expected here: it belongs to the correct scripts", file.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let correct = lint(&folder("clean"));
    println!("lint corpus: {found} mistakes found of {wanted}, {} correct scripts without a finding", correct.len());
    assert!(wanted >= 80 && correct.len() >= 40, "the corpus has shrunk: {wanted} mistakes, {} scripts", correct.len());
}

/// A script whose test or model holds the mistake.
fn beside_a_mistake(script: &Path) -> bool {
    ["test.rhai", "model.rhai"].iter().any(|what| {
        let path = script.with_extension(what);
        path.exists() && !expected(&path).is_empty()
    })
}

#[test]
fn correct_scripts_have_no_findings() {
    for (what, root) in [("correct", folder("clean")), ("shipped", PathBuf::from(env!("CARGO_MANIFEST_DIR")))] {
        let files = lint(&root);
        let found: Vec<String> = files
            .iter()
            .flat_map(|file| file.findings.iter().map(|finding| format!("{}:{}", file.path, shown(finding))))
            .collect();
        assert!(found.is_empty(), "{what} scripts:\n{}", found.join("\n"));
        assert!(files.len() >= 30, "only {} {what} scripts", files.len());
    }
}

/// What the corpus calls correct is: applied twice, the second time nothing changes.
#[test]
fn correct_scripts_do_what_they_say() {
    let (library, _) = Library::load(&Roots::only(&folder("clean")));
    let results = phoenix::testing::run(&library, &phoenix::testing::Request::default());
    let failed = |case: &phoenix::testing::CaseResult| {
        case.failure.as_ref().map(|failure| {
            let trace = failure.trace.clone().unwrap_or_default();
            format!("{} ({}): {}\n{trace}", case.script, case.case, failure.message)
        })
    };
    let failures: Vec<String> = results.cases.iter().filter_map(failed).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(results.cases.len() >= 30, "only {} cases", results.cases.len());
}

#[test]
fn every_rule_is_explained_and_seeded() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lint.md")).unwrap();
    let explained: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let seeded: BTreeSet<String> =
        lint(&folder("lint")).iter().flat_map(|file| &file.findings).map(|finding| finding.code.to_owned()).collect();
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.code).collect();
    assert_eq!(explained, rules, "docs/lint.md and the table of rules differ");
    assert_eq!(seeded.iter().map(String::as_str).collect::<BTreeSet<_>>(), rules, "seeded codes and rules differ");
    assert!(RULES.is_sorted_by_key(|rule| rule.code));
    for rule in RULES {
        let line = page.lines().find(|line| line.starts_with(&format!("| `{}`", rule.code))).unwrap();
        assert!(
            line.contains(&rule.meaning.replace('|', "\\|")),
            "docs/lint.md says something else about {}",
            rule.code
        );
    }
}
