//! `phoenix feature test --real`: scripts in throw-away containers of this machine.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use crate::cli::{Exit, Globals, failure, interrupt, run as runner};
use crate::finding::Severity;
use crate::model::Os;
use crate::script::Library;
use crate::testing::real::{self, Bench, Options, Proof, Verdict};
use crate::ui;
use crate::ui::progress::Progress;

/// What `phoenix feature test --real` takes.
#[derive(Debug, clap::Args)]
pub struct InContainers {
    /// In throw-away containers of this machine instead: applied, applied again without a change, healthy, removed if it
    /// can be, destroyed (needs root; exit status 4 where this machine cannot tell)
    #[arg(long, conflicts_with_all = ["coverage", "lcov", "fail_under"])]
    pub real: bool,
    /// The release that these containers are of [default: what the test file says, else debian-13]
    #[arg(long, requires = "real", value_name = "OS", value_parser = releases())]
    pub os: Option<Os>,
    /// Where their root file systems are kept, which are made once
    #[arg(long, requires = "real", value_name = "DIR", default_value = "/var/lib/phoenix/lab")]
    pub lab: PathBuf,
}

fn releases() -> impl TypedValueParser<Value = Os> {
    PossibleValuesParser::new(Os::ALL.map(Os::name)).try_map(|name| name.parse::<Os>())
}

/// Proves them.
///
/// # Errors
/// When this machine lacks what containers need.
pub fn run(globals: &Globals, library: &Library, names: &[String], args: &InContainers) -> Result<Exit> {
    let progress: Arc<Progress> = runner::progress(globals);
    let bench = Bench::default();
    let clear = bench.clone();
    let options = Options {
        os: args.os,
        bases: args.lab.join("base"),
        lab: args.lab.clone(),
        params: Default::default(),
        files: Default::default(),
        events: progress.clone(),
        interrupt: interrupt::watch_and(&progress, move || clear.clear()),
        bench,
    };
    let (proofs, findings) = real::run(library, names, &options)?;
    if globals.json {
        let findings: Vec<_> = findings.iter().map(ui::findings::json).collect();
        ui::print::document(&json!({ "proofs": proofs, "findings": findings }));
    } else {
        failure::print_findings(&findings, false);
        ui::print::result(&ui::proofs::render(&proofs.iter().map(shown).collect::<Vec<_>>()));
    }
    let any = |wanted: fn(&Verdict) -> bool| proofs.iter().any(|proof| wanted(&proof.verdict));
    Ok(if findings.iter().any(|finding| finding.severity == Severity::Error) {
        Exit::Invalid
    } else if options.interrupt.is_set() {
        Exit::Interrupted
    } else if any(|verdict| matches!(verdict, Verdict::Failed { .. })) {
        Exit::Failed
    } else if any(|verdict| matches!(verdict, Verdict::Impossible { .. })) {
        Exit::Impossible
    } else {
        Exit::Fine
    })
}

fn shown(proof: &Proof) -> ui::proofs::Proof<'_> {
    use ui::proofs::Ended;
    ui::proofs::Proof {
        script: &proof.script,
        os: proof.os.name(),
        ended: match &proof.verdict {
            Verdict::Proven(times) => Ended::Proven {
                first: times.first,
                second: times.second,
                operations: times.operations,
                removed: times.removed,
            },
            Verdict::Impossible { reason } => Ended::Impossible(reason),
            Verdict::Failed { failure } => Ended::Failed(failure),
            Verdict::Interrupted => Ended::Interrupted,
        },
    }
}
