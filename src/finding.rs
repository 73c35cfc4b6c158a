//! What is wrong in a file: place, message, hint.
//!
//! Readers of files collect findings instead of stopping at the first one; `ui` draws them with the line itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the run goes on. An error with `--strict`.
    Warning,
    /// Nothing runs.
    Error,
}

/// A file's path and text, shared by all findings in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// As shown to the operator.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A source ready to be shared.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Arc::new(Source { path: path.into(), text: text.into() })
    }

    /// Line and column (both from 1, columns in characters) of a byte offset.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// Byte offset of a line and column (both from 1, columns in characters); the end of the text if beyond it.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let mut start = 0;
        for _ in 1..line {
            match self.text[start..].find('\n') {
                Some(at) => start += at + 1,
                None => return self.text.len(),
            }
        }
        let rest = &self.text[start..];
        let line_text = rest.split('\n').next().unwrap_or_default();
        start + line_text.char_indices().nth(column.saturating_sub(1)).map_or(line_text.len(), |(at, _)| at)
    }
}

/// Where in which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Bytes of its text; an empty range points between characters.
    pub span: Range<usize>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Warning or error.
    pub severity: Severity,
    /// Stable name of the rule, e.g. `unknown-field`.
    pub code: &'static str,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// Where; absent for findings about a whole directory or the node.
    pub place: Option<Place>,
    /// A second place that explains the first (`first declared here`).
    pub related: Option<(Place, String)>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Error, code, message: message.into(), place: None, related: None, hint: None }
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::error(code, message) }
    }

    /// The same finding at a place.
    pub fn at(mut self, source: &Arc<Source>, span: Range<usize>) -> Finding {
        self.place = Some(Place { source: Arc::clone(source), span });
        self
    }

    /// The same finding with a second place.
    pub fn related(mut self, source: &Arc<Source>, span: Range<usize>, label: impl Into<String>) -> Finding {
        self.related = Some((Place { source: Arc::clone(source), span }, label.into()));
        self
    }

    /// The same finding with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            let (line, column) = place.source.line_column(place.span.start);
            write!(f, "{}:{line}:{column}: ", place.source.path)?;
        }
        f.write_str(&self.message)
    }
}

/// The candidate that `word` was probably meant to be, if one is near enough.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(score, _)| *score >= 0.55)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
