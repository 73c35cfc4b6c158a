//! Tests of scripts: every case in a modelled guest of its own, on the same host and the same machine path as
//! production; and every script applied twice, the second time without a change.
//!
//! | file | what |
//! |---|---|
//! | `declared` | the guest that a test describes, as a declaration |
//! | `stand` | a sandbox with that guest running in it |
//! | [`real`] | a script in a real container |
//! | `twice` | a script and whatever it needs, created twice by the engine |
//! | `lcov` | coverage as a file for other programs |

mod declared;
pub mod lcov;
pub mod real;
mod stand;
mod twice;

use std::time::{Duration, Instant};

use crate::event::Failure;
use crate::finding::{Finding, Severity};
use crate::model::ScriptKind;
use crate::script::{Covered, Library, Models, Recorder, TestFile};

pub use declared::Declared;
pub use stand::{Stand, StandError};

/// Name of the case that every script has without writing it.
const TWICE: &str = "applied twice";

/// What to test, and what to look at beside.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Names of features and apps; none: all of the library.
    pub names: Vec<String>,
    /// Record which lines of scripts, their modules and their models run.
    pub coverage: bool,
}

/// One case and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseResult {
    /// Feature or app.
    pub kind: ScriptKind,
    /// The script.
    pub script: String,
    /// Name of the `test_*` function, or `applied twice`.
    pub case: String,
    /// Why it failed; absent: it passed.
    pub failure: Option<Failure>,
    /// Real time it took.
    pub elapsed: Duration,
}

/// What became of all cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Mistakes in scripts, models and tests. With an error among them the script's cases were not run.
    pub findings: Vec<Finding>,
    /// Cases in the order they were run.
    pub cases: Vec<CaseResult>,
    /// Which lines ran, by path, if that was asked for.
    pub coverage: Option<Vec<Covered>>,
}

impl Results {
    /// Whether everything passed.
    pub fn passed(&self) -> bool {
        self.cases.iter().all(|case| case.failure.is_none())
            && self.findings.iter().all(|finding| finding.severity < Severity::Error)
    }
}

/// Tests scripts of a library.
pub fn run(library: &Library, request: &Request) -> Results {
    let recorder = request.coverage.then(Recorder::default);
    let recorded = recorder.as_ref().map(|recorder| library.recorded(recorder));
    let library = recorded.as_ref().unwrap_or(library);
    let names = &request.names;
    let (models, mut findings) = Models::load(library);
    let mut tested = Vec::new();
    let mut results = Results::default();
    let catalogue = library.catalogue();
    let features = catalogue.features.keys().map(|name| (ScriptKind::Feature, name));
    let apps = catalogue.apps.keys().map(|name| (ScriptKind::App, name));
    for (kind, name) in features.chain(apps).filter(|(_, name)| names.is_empty() || names.contains(name)) {
        let file = TestFile::load(library, kind, name);
        tested.push((kind, name.clone()));
        findings.extend(library.check(kind, name));
        findings.extend(file.iter().flat_map(|file| file.findings().to_vec()));
        if !library.is_sound(kind, name) || file.as_ref().is_some_and(|file| !file.is_sound()) {
            continue;
        }
        let mut add = |case: String, run: &mut dyn FnMut() -> Result<(), Failure>| {
            let began = Instant::now();
            let failure = run().err();
            results.cases.push(CaseResult { kind, script: name.clone(), case, failure, elapsed: began.elapsed() });
        };
        let params = file.as_ref().map(TestFile::params).unwrap_or_default();
        let guest = file.as_ref().map(TestFile::guest).unwrap_or_default();
        add(TWICE.to_owned(), &mut || twice::run(library, &models, (kind, name), &params, &guest));
        if let Some(file) = &file {
            for case in file.cases() {
                add(case.clone(), &mut || file.run(&case, stand::maker(library, &models)));
            }
        }
    }
    findings.dedup();
    results.findings = findings;
    results.coverage = recorder.map(|recorder| recorder.report(library, &models, &tested));
    results
}
