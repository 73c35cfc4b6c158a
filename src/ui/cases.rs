//! Results of script tests: failures in full, then one line that counts.

use std::time::Duration;

use super::style::{FAILED, UNCHANGED, paint};
use super::{failure, time};
use crate::event::Failure;

/// One case that was run.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The script it tests.
    pub script: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Why it failed; absent: it passed.
    pub failure: Option<&'a Failure>,
    /// Real time it took.
    pub elapsed: Duration,
}

/// All cases that were run, how many were `left` and how long it `took`; those that passed by name only with `every`.
pub fn render(cases: &[Case<'_>], (left, took): (usize, Duration), every: bool) -> String {
    let mut text = String::new();
    for case in cases {
        match case.failure {
            Some(cause) => {
                let word = paint(FAILED, "failed");
                text.push_str(&format!("{word} {}: {}\n{}\n", case.script, case.name, failure::render(cause, 2)));
            }
            None if every => {
                let word = paint(UNCHANGED, "ok");
                text.push_str(&format!("{word} {}: {}\n", case.script, case.name));
            }
            None => {}
        }
    }
    let failed = cases.iter().filter(|case| case.failure.is_some()).count();
    let left = if left > 0 { format!(", {left} not run") } else { String::new() };
    text.push_str(&format!("{} passed, {failed} failed{left} in {}\n", cases.len() - failed, time::short(took)));
    text
}
