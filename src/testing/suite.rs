//! The cases of scripts, run side by side and told in their order.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::ground::Store;
use super::{stand, twice};
use crate::event::Failure;
use crate::finding::{Finding, Severity};
use crate::host::interrupt::Interrupt;
use crate::model::{ScriptKind, fits};
use crate::script::{Covered, Library, Maker, Models, Recorder, TEST_STACK, TestCase, TestFile};

/// Name of the case that every script has without writing it.
const TWICE: &str = "applied twice";

/// Which cases, of one script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The feature or app.
    pub script: String,
    /// Part of a case's name, or a pattern of it; absent: all.
    pub case: Option<String>,
}

impl Selection {
    /// `NAME` or `NAME::CASE`.
    pub fn read(word: &str) -> Selection {
        match word.split_once("::") {
            Some((script, case)) => Selection { script: script.to_owned(), case: Some(case.to_owned()) },
            None => Selection { script: word.to_owned(), case: None },
        }
    }

    /// Whether it means this case.
    pub fn takes(&self, kind: ScriptKind, script: &str, case: &str) -> bool {
        let pattern = |pattern: &String| match pattern.contains(['*', '?']) {
            true => fits(pattern, case),
            false => case.contains(pattern.as_str()),
        };
        kind.is_meant(script, &self.script) && self.case.as_ref().is_none_or(pattern)
    }
}

/// What to test, and what to look at beside.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Which cases of which scripts; none: all of the library.
    pub select: Vec<Selection>,
    /// Record which lines of scripts, their modules and their models run.
    pub coverage: bool,
    /// The operator's wish to stop: cases that run come to their end, others are not begun.
    pub interrupt: Interrupt,
}

/// One case that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Feature or app.
    pub kind: ScriptKind,
    /// The script.
    pub script: String,
    /// The case.
    pub case: String,
}

/// One case and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseResult {
    /// Feature or app.
    pub kind: ScriptKind,
    /// The script.
    pub script: String,
    /// Name of the `test_*` function, with the row of its table if it has one, or `applied twice`.
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
    /// Cases in the order of scripts and files, however they were run.
    pub cases: Vec<CaseResult>,
    /// Cases that were not begun, because the operator wished to stop.
    pub left: usize,
    /// Real time that all took together.
    pub elapsed: Duration,
    /// Which lines ran, by path, if that was asked for.
    pub coverage: Option<Vec<Covered>>,
}

impl Results {
    /// Whether everything passed.
    pub fn passed(&self) -> bool {
        self.left == 0
            && self.cases.iter().all(|case| case.failure.is_none())
            && self.findings.iter().all(|finding| finding.severity < Severity::Error)
    }
}

/// Cases that are ready to be run.
pub struct Suite {
    library: Library,
    models: Models,
    scripts: Vec<Tested>,
    findings: Vec<Finding>,
    /// Script, and test; none: [`TWICE`].
    cases: Vec<(usize, Option<TestCase>)>,
    recorder: Option<Recorder>,
    interrupt: Interrupt,
}

/// A script under test.
struct Tested {
    kind: ScriptKind,
    name: String,
    file: Option<TestFile>,
}

impl Suite {
    /// Reads the scripts that are asked for, their models and their tests.
    pub fn load(library: &Library, request: &Request) -> Suite {
        let recorder = request.coverage.then(Recorder::default);
        let library = recorder.as_ref().map_or_else(|| library.clone(), |recorder| library.recorded(recorder));
        let (models, mut findings) = Models::load(&library);
        let catalogue = library.catalogue();
        let features = catalogue.features.keys().map(|name| (ScriptKind::Feature, name));
        let apps = catalogue.apps.keys().map(|name| (ScriptKind::App, name));
        let (mut scripts, mut cases) = (Vec::new(), Vec::new());
        for (kind, name) in features.chain(apps) {
            let select = &request.select;
            let takes =
                |case: &str| select.is_empty() || select.iter().any(|selection| selection.takes(kind, name, case));
            if !select.is_empty() && !select.iter().any(|selection| kind.is_meant(name, &selection.script)) {
                continue;
            }
            let file = TestFile::load(&library, kind, name);
            findings.extend(library.check(kind, name));
            findings.extend(file.iter().flat_map(|file| file.findings().to_vec()));
            if library.is_sound(kind, name) && file.as_ref().is_none_or(TestFile::is_sound) {
                let written = file.as_ref().map(TestFile::cases).unwrap_or_default();
                let number = scripts.len();
                cases.extend(takes(TWICE).then_some((number, None)));
                cases.extend(written.into_iter().filter(|case| takes(&case.name)).map(|case| (number, Some(case))));
            }
            scripts.push(Tested { kind, name: name.clone(), file });
        }
        findings.dedup();
        Suite { models, scripts, findings, cases, recorder, interrupt: request.interrupt.clone(), library }
    }

    /// The cases, in the order in which they are told.
    pub fn cases(&self) -> Vec<Listed> {
        let listed = |(number, case): &(usize, Option<TestCase>)| {
            let script = &self.scripts[*number];
            let case = case.as_ref().map_or(TWICE, |case| &case.name).to_owned();
            Listed { kind: script.kind, script: script.name.clone(), case }
        };
        self.cases.iter().map(listed).collect()
    }

    /// What is wrong in the files.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Runs all cases, as many at a time as there are processors.
    pub fn run(self) -> Results {
        let began = Instant::now();
        let maker = stand::maker(&self.library, &self.models, &Arc::new(Store::default()));
        let slots: Vec<OnceLock<(Option<Failure>, Duration)>> = self.cases.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while !self.interrupt.is_set() {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some((number, case)), Some(slot)) = (self.cases.get(at), slots.get(at)) else { return };
                let began = Instant::now();
                let failure = self.one(&self.scripts[*number], case.as_ref(), &maker).err();
                // Nobody else has this number.
                drop(slot.set((failure, began.elapsed())));
            }
        };
        let workers = thread::available_parallelism().map_or(1, NonZero::get).min(self.cases.len());
        thread::scope(|scope| {
            for number in 0..workers {
                let worker = thread::Builder::new().name(format!("cases {number}")).stack_size(TEST_STACK);
                // A worker less is only slower; without any, the cases are told as not begun.
                drop(worker.spawn_scoped(scope, work));
            }
        });
        let mut results = Results { findings: self.findings.clone(), ..Results::default() };
        for (listed, slot) in self.cases().into_iter().zip(slots) {
            match slot.into_inner() {
                Some((failure, elapsed)) => {
                    let Listed { kind, script, case } = listed;
                    results.cases.push(CaseResult { kind, script, case, failure, elapsed });
                }
                None => results.left += 1,
            }
        }
        let tested: Vec<_> = self.scripts.iter().map(|script| (script.kind, script.name.clone())).collect();
        results.coverage = self.recorder.map(|recorder| recorder.report(&self.library, &self.models, &tested));
        results.elapsed = began.elapsed();
        results
    }

    fn one(&self, script: &Tested, case: Option<&TestCase>, maker: &Maker) -> Result<(), Failure> {
        match (&script.file, case) {
            (Some(file), Some(case)) => file.run(case, Arc::clone(maker)),
            (file, _) => {
                let params = file.as_ref().map(TestFile::params).unwrap_or_default();
                let guest = file.as_ref().map(TestFile::guest).unwrap_or_default();
                twice::run(&self.library, &self.models, (script.kind, &script.name), &params, &guest)
            }
        }
    }
}
