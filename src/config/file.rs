//! One configuration file: its text, its value, and everything that is wrong in it.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::asked::{Asked, AskedField, Kind};
use super::json::{self, Value};
use super::mask;
use crate::finding::{Finding, Severity, Source};

/// A file that was read. Findings are collected behind a shared reference, so that decoding reads as plain calls.
pub struct File {
    /// Its text as findings show it: plaintext passwords are covered.
    pub source: Arc<Source>,
    /// Its value, as far as it could be read.
    pub value: Option<Value>,
    findings: RefCell<Vec<Finding>>,
    lenient: bool,
    unused: RefCell<Vec<(String, Range<usize>)>>,
    asked: RefCell<Option<Asked>>,
}

impl File {
    /// Reads `text`; what is not JSON is found here. `lenient` tells from the value whether it is in the predecessor's
    /// spelling, whose lapses are warnings.
    pub fn parse(path: String, text: &str, lenient: impl FnOnce(Option<&Value>) -> bool) -> File {
        let parsed = json::parse(text);
        let file = File {
            source: Source::new(path, mask::covered(text)),
            lenient: lenient(parsed.value.as_ref()),
            value: parsed.value,
            findings: RefCell::default(),
            unused: RefCell::default(),
            asked: RefCell::default(),
        };
        for error in parsed.errors {
            let mut finding = Finding::error("syntax", error.message);
            finding.hint = error.hint.map(str::to_owned);
            file.report(finding, error.span);
        }
        for json::Repeated { key, first, again } in parsed.repeated {
            let finding = Finding::error("duplicate-key", format!("`{key}` stands twice in this map"))
                .related(&file.source, first, "first here; the later one counts")
                .hint("remove one of them");
            file.lapse(finding, again);
        }
        file
    }

    /// Whether the predecessor's spelling is read, whose lapses are warnings.
    pub fn lenient(&self) -> bool {
        self.lenient
    }

    /// Records which fields are asked for, see [`super::fields()`].
    pub fn record_fields(&self) {
        self.asked.replace(Some(Asked::new()));
    }

    /// The recorded fields with their types.
    pub fn recorded_fields(&self) -> Asked {
        self.asked.borrow().clone().unwrap_or_default()
    }

    /// Records a field, unless nothing is recorded.
    pub fn asked(&self, path: impl FnOnce() -> String, kind: Kind) {
        if let Some(asked) = self.asked.borrow_mut().as_mut() {
            // A getter that looks at the value first asks again for its parts: the first question tells the type.
            asked.entry(path()).or_insert(AskedField::new(kind));
        }
    }

    /// Adds what more is known of a recorded field.
    pub fn note(&self, path: impl FnOnce() -> String, what: impl FnOnce(&mut AskedField)) {
        if let Some(asked) = self.asked.borrow_mut().as_mut() {
            asked.entry(path()).and_modify(what);
        }
    }

    /// Whether paths of fields are needed.
    pub fn is_recording(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// Adds a finding at a place of this file.
    pub fn report(&self, finding: Finding, span: Range<usize>) {
        self.findings.borrow_mut().push(finding.at(&self.source, span));
    }

    /// Adds an error that is only a warning in the predecessor's spelling, which let it pass.
    pub fn lapse(&self, mut finding: Finding, span: Range<usize>) {
        if self.lenient {
            finding.severity = Severity::Warning;
        }
        self.report(finding, span);
    }

    /// Notes a field that is known but has no effect.
    pub fn note_unused(&self, name: &str, span: Range<usize>) {
        self.unused.borrow_mut().push((name.to_owned(), span));
    }

    /// All findings in the order of the text; fields without effect are summed up in one.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        let mut unused = self.unused.into_inner();
        unused.sort_by_key(|(_, span)| span.start);
        if !unused.is_empty() {
            let first = unused[0].1.clone();
            let mut names: Vec<String> = unused.drain(..).map(|(name, _)| format!("`{name}`")).collect();
            let mut seen = std::collections::HashSet::new();
            names.retain(|name| seen.insert(name.clone()));
            let verb = if names.len() == 1 { "has" } else { "have" };
            let finding = Finding::warning("unused-field", format!("{} {verb} no effect", names.join(", ")))
                .hint("docs/configuration.md says why for each; leave them out");
            findings.push(finding.at(&self.source, first));
        }
        findings.sort_by_key(|finding| finding.place.as_ref().map(|place| place.span.start));
        findings
    }
}
