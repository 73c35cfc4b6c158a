//! Tests of `config`: what is read, and what is said about what cannot be.

use std::path::{Path, PathBuf};

use phoenix::config::{Dir, Loaded, load};
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
