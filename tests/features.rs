//! The shipped features and apps: proven in modelled guests, in a real container, and by the real programs that read
//! what they write.

mod accepted;
mod authority;
mod chain;
mod cloud_init;
mod docker;
pub mod gpus;
mod old;
mod portainer;
mod real;
mod stand;

use phoenix::script::{Library, Roots};
use phoenix::testing;

#[test]
fn every_script_converges_and_its_tests_pass() {
    let (library, findings) = Library::load(&Roots::embedded());
    assert!(findings.is_empty(), "{findings:?}");
    let results = testing::run(&library, &testing::Request::default());
    let failed: Vec<String> = results
        .cases
        .iter()
        .filter_map(|case| Some(format!("{} {}: {}", case.script, case.case, case.failure.as_ref()?.message)))
        .collect();
    assert!(results.passed(), "{failed:#?}\n{:?}", results.findings);
    assert!(results.cases.len() >= library.catalogue().features.len() + library.catalogue().apps.len());
}
