//! Tests of `config`: what is read, and what is said about what cannot be.

use std::path::{Path, PathBuf};

use phoenix::config::{Dir, Loaded, load, resolve_show};
use phoenix::model::Catalogue;
use phoenix::script::{Library, Roots};
use phoenix::ui::findings;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn catalogue() -> Catalogue {
    Library::load(&Roots::embedded()).0.catalogue().clone()
}

fn read(path: &str) -> Loaded {
    load(&Dir::Real(project(path)), &catalogue())
}

fn told(loaded: &Loaded) -> String {
    findings::render(&loaded.findings, false)
}

#[test]
fn the_shipped_platform_has_no_findings() {
    for dir in [Dir::Embedded, Dir::Real(project("etc")), Dir::Real(project("examples/minimal"))] {
        let loaded = load(&dir, &catalogue());
        assert_eq!(told(&loaded), "", "{dir:?}");
        assert!(loaded.site.is_some());
    }
}

/// Every folder of `tests/data/config/bad` with exactly what is said about it.
#[test]
fn bad_configurations_are_told_exactly() {
    let mut names: Vec<String> = std::fs::read_dir(project("tests/data/config/bad"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 20);
    for name in names {
        // Relative to the project, where tests run: the same path for everybody.
        let loaded = load(&Dir::Real(format!("tests/data/config/bad/{name}").into()), &catalogue());
        insta::assert_snapshot!(format!("bad-{name}"), told(&loaded));
    }
}

fn legacy() -> Loaded {
    load(&Dir::Real("tests/data/config/legacy/etc".into()), &catalogue())
}

#[test]
fn the_predecessors_files_are_read_with_warnings_only() {
    let loaded = legacy();
    assert!(!loaded.has_errors(), "{}", told(&loaded));
    insta::assert_snapshot!("legacy-findings", told(&loaded));
}

#[test]
fn every_field_of_the_predecessor_lands_typed() {
    let site = legacy().site.unwrap();
    insta::assert_json_snapshot!("legacy-site", resolve_show(&site));
}

#[test]
fn plaintext_passwords_are_nowhere() {
    let loaded = legacy();
    let site = format!("{:?}", loaded.site.as_ref().unwrap());
    for text in [&site, &told(&loaded), &format!("{:?}", loaded.findings)] {
        assert!(!text.contains("do-not-show-me") && !text.contains("$6$"));
    }
}
