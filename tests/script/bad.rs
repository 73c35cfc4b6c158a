//! Bad scripts, each with its exact findings; and good ones without any.

use std::path::Path;

use phoenix::finding::{Finding, Severity};
use phoenix::model::ScriptKind;
use phoenix::script::{Library, Roots};

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/script/bad")
}

fn shown(finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let line = finding.place.as_ref().map_or(String::new(), |place| {
        let (line, column) = place.source.line_column(place.span.start);
        let text = place.source.text.lines().nth(line - 1).unwrap_or_default();
        let width = place.source.text[place.span.clone()].chars().count().max(1);
        format!("\n    {text}\n    {}{}", " ".repeat(column - 1), "^".repeat(width))
    });
    let hint = finding.hint.as_ref().map_or(String::new(), |hint| format!("\n    hint: {hint}"));
    format!("{word}[{}] {finding}{line}{hint}", finding.code)
}

#[test]
fn every_mistake_is_found_where_it_is() {
    let (library, _) = Library::load(&Roots::only(&root()));
    let mut stems: Vec<String> = std::fs::read_dir(root().join("features"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().strip_suffix(".rhai").map(str::to_owned))
        .collect();
    stems.sort();
    for stem in stems {
        let findings = library.check(ScriptKind::Feature, &stem);
        assert!(!findings.is_empty(), "nothing was found in {stem}");
        let text = findings.iter().map(shown).collect::<Vec<_>>().join("\n\n");
        insta::with_settings!({ snapshot_path => "../snapshots/script", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("bad_{stem}"), text);
        });
    }
}

#[test]
fn shipped_scripts_have_no_findings() {
    let (library, findings) = Library::load(&Roots::embedded());
    assert_eq!(findings.iter().map(shown).collect::<Vec<_>>(), [] as [String; 0]);
    let catalogue = library.catalogue();
    assert!(!catalogue.features.is_empty() && !catalogue.apps.is_empty());
    for (kind, names) in [(ScriptKind::Feature, catalogue.features.keys()), (ScriptKind::App, catalogue.apps.keys())] {
        for name in names {
            let found: Vec<String> = library.check(kind, name).iter().map(shown).collect();
            assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
        }
    }
}
