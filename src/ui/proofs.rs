//! What came of scripts in real containers: failures in full, then one table.

use std::time::Duration;

use super::style::{CHANGED, FAILED, UNCHANGED, paint};
use super::{failure, table, time};
use crate::event::Failure;

/// One script.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// Its name.
    pub script: &'a str,
    /// The release it ran on, or would have.
    pub os: &'a str,
    /// How it ended.
    pub ended: Ended<'a>,
}

/// How a script ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended<'a> {
    /// It does what it should.
    Proven {
        /// Time of the first run.
        first: Duration,
        /// Time of the second run.
        second: Duration,
        /// Operations of the second run.
        operations: u64,
        /// Whether it was removed again.
        removed: bool,
    },
    /// This machine cannot tell, and why.
    Impossible(&'a str),
    /// It does not, and why.
    Failed(&'a Failure),
    /// Stopped by the operator.
    Interrupted,
}

/// All of them.
pub fn render(proofs: &[Proof<'_>]) -> String {
    let mut text = String::new();
    for Proof { script, os, ended } in proofs {
        if let Ended::Failed(cause) = ended {
            text.push_str(&format!("{} {script} on {os}\n{}\n", paint(FAILED, "failed"), failure::render(cause, 2)));
        }
    }
    let rows: Vec<Vec<String>> = proofs.iter().map(row).collect();
    text.push_str(&table::render(&["SCRIPT", "OS", "FIRST RUN", "SECOND RUN", "OPERATIONS", "RESULT"], &rows));
    text
}

fn row(Proof { script, os, ended }: &Proof<'_>) -> Vec<String> {
    let (first, second, operations, result) = match ended {
        Ended::Proven { first, second, operations, removed } => (
            time::short(*first),
            format!("{:.2}s", second.as_secs_f64()),
            operations.to_string(),
            paint(UNCHANGED, if *removed { "unchanged, healthy, removed" } else { "unchanged, healthy" }),
        ),
        Ended::Impossible(reason) => {
            let words = format!("cannot run here: {}", reason.lines().collect::<Vec<_>>().join(" "));
            (String::new(), String::new(), String::new(), paint(CHANGED, words))
        }
        Ended::Failed(_) => (String::new(), String::new(), String::new(), paint(FAILED, "failed")),
        Ended::Interrupted => (String::new(), String::new(), String::new(), paint(CHANGED, "interrupted")),
    };
    vec![(*script).to_owned(), (*os).to_owned(), first, second, operations, result]
}
