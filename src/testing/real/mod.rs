//! A script in a real container: applied with what it needs, applied again without a change, healthy, removed again if
//! it can be, and nothing of it left.
//!
//! The container is a throw-away one of this machine ([`crate::lab`]), entered through the channel that production uses.
//! What is around it is modelled: the node's files (secrets, journal) and the guests whose artifacts the script reads;
//! those are created by the engine in a sandbox, so that their certificates and keys are real.
//!
//! | file | what |
//! |---|---|
//! | `around` | the site around the container, and the modelled guests in it |
//! | `bench` | where the container stands |
//! | `workshop` | a host of both: the container, and what is modelled |
//! | `course` | the way of one script, from boot to destruction |

mod around;
mod bench;
mod course;
mod workshop;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::event::{Asked, Event, Events, Failure, Stamped};
use crate::finding::{Finding, Severity};
use crate::host::interrupt::Interrupt;
use crate::lab::{self, LabError, Throwaway};
use crate::model::{Os, ScriptKind};
use crate::script::{Library, Models, TestFile};

pub use bench::Bench;

/// How scripts are proven.
pub struct Options {
    /// The release; absent: what the script's `const REAL` says, else Debian 13.
    pub os: Option<Os>,
    /// Where root file systems are kept, which are made once.
    pub bases: PathBuf,
    /// Where containers write, and what was downloaded is kept.
    pub lab: PathBuf,
    /// Parameters by script, over those of the test files: what this machine has in place of a vendor's servers.
    pub params: BTreeMap<String, BTreeMap<String, Value>>,
    /// Files that the container has before anything runs: path -> text.
    pub files: BTreeMap<String, String>,
    /// Is told what happens.
    pub events: Events,
    /// The operator's wish to stop. The container is destroyed all the same.
    pub interrupt: Interrupt,
    /// Where the container stands, for who cannot wait until a run has stopped.
    pub bench: Bench,
}

/// What became of one script.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proof {
    /// Feature or app.
    pub kind: ScriptKind,
    /// The script.
    pub script: String,
    /// The release it ran on, or would have.
    pub os: Os,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How a real run ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// It does what it should.
    Proven(Times),
    /// This machine cannot tell; nothing is said about the script.
    Impossible {
        /// Why not.
        reason: String,
    },
    /// It does not.
    Failed {
        /// Why.
        failure: Box<Failure>,
    },
    /// The operator stopped it.
    Interrupted,
}

/// What the script took, without what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// The first run.
    #[serde(serialize_with = "seconds")]
    pub first: Duration,
    /// The second run, which changed nothing.
    #[serde(serialize_with = "seconds")]
    pub second: Duration,
    /// Operations of the second run.
    pub operations: u64,
    /// Whether it was removed again, too.
    pub removed: bool,
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Proves these scripts one after the other, or all of the library if none are named; an interrupt ends it. Mistakes in
/// the files come first, and with an error among them nothing is run.
///
/// # Errors
/// What this machine lacks to run containers, all at once.
pub fn run(library: &Library, names: &[String], options: &Options) -> Result<(Vec<Proof>, Vec<Finding>), LabError> {
    let began = Instant::now();
    let (models, mut findings) = Models::load(library);
    let catalogue = library.catalogue();
    let scripts: Vec<_> = catalogue
        .features
        .values()
        .chain(catalogue.apps.values())
        .filter(|spec| names.is_empty() || names.iter().any(|asked| spec.kind.is_meant(&spec.name, asked)))
        .collect();
    let files: Vec<Option<TestFile>> =
        scripts.iter().map(|spec| TestFile::load(library, spec.kind, &spec.name)).collect();
    for (spec, file) in scripts.iter().zip(&files) {
        findings.extend(library.check(spec.kind, &spec.name));
        findings.extend(file.iter().flat_map(|file| file.findings().to_vec()));
    }
    findings.dedup();
    let mut proofs = Vec::new();
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Ok((proofs, findings));
    }
    lab::check(&[])?;
    Throwaway::sweep()?;
    for (spec, file) in scripts.into_iter().zip(&files) {
        if options.interrupt.is_set() {
            break;
        }
        proofs.push(course::prove(library, &models, spec, file.as_ref(), options));
    }
    let event = Event::RunFinished {
        elapsed: began.elapsed(),
        interrupted: options.interrupt.is_set(),
        critical_path: Vec::new(),
        asked: Asked::default(),
    };
    options.events.emit(Stamped { at: jiff::Timestamp::now(), event });
    Ok((proofs, findings))
}
