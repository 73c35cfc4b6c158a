//! Texts that are open, the scripts around them, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, PublishDiagnosticsParams,
    Uri,
};

use super::position::Encoding;
use crate::finding::{Finding, Severity};
use crate::script::edit::{self, FileName};
use crate::script::{Library, Roots};

/// Texts that are open, and the scripts that were read around them.
pub(super) struct Documents {
    /// The directory that is searched after the one a file is in.
    scripts: Option<PathBuf>,
    open: BTreeMap<String, Document>,
    /// By the directory that holds `features` and `apps`; empty after every change.
    libraries: BTreeMap<PathBuf, Library>,
    /// Something changed since it was told what is wrong.
    stale: bool,
    /// What was told last.
    told: BTreeMap<String, Vec<Diagnostic>>,
}

/// A text that is open.
pub(super) struct Document {
    uri: Uri,
    version: i32,
    /// The text as the editor has it.
    pub text: String,
    /// Where it is among the scripts.
    pub home: Option<Home>,
}

/// A file of the scripts.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// The directory that holds `features` and `apps`.
    root: PathBuf,
    path: PathBuf,
    /// Which file it is.
    pub file: FileName,
}

impl Documents {
    pub fn new(scripts: Option<PathBuf>) -> Documents {
        Documents { scripts, open: BTreeMap::new(), libraries: BTreeMap::new(), stale: false, told: BTreeMap::new() }
    }

    /// Takes a text, or its next version.
    pub fn open(&mut self, uri: Uri, version: i32, text: String) {
        let home = path_of(&uri).and_then(|path| home_of(&path));
        self.open.insert(uri.to_string(), Document { uri, version, text, home });
        self.read_anew();
    }

    /// Forgets a text: from now on the file counts.
    pub fn close(&mut self, uri: &Uri) {
        self.open.remove(uri.as_str());
        self.read_anew();
    }

    /// Something changed.
    pub fn read_anew(&mut self) {
        self.libraries.clear();
        self.stale = true;
    }

    /// An open text, the scripts around it, and which of them it is.
    pub fn get(&mut self, uri: &Uri) -> Option<(&Document, &Library, &FileName)> {
        let home = self.open.get(uri.as_str())?.home.clone()?;
        self.read(&home.root);
        let document = self.open.get(uri.as_str())?;
        Some((document, self.libraries.get(&home.root)?, &document.home.as_ref()?.file))
    }

    /// Reads the scripts of a root, unless they were read since the last change.
    fn read(&mut self, root: &Path) {
        if !self.libraries.contains_key(root) {
            let open =
                self.open.values().filter_map(|open| Some((open.home.as_ref()?.path.clone(), open.text.clone())));
            let roots = Roots::of_editor(root, self.scripts.as_deref(), open.collect());
            self.libraries.insert(root.to_owned(), Library::load(&roots).0);
        }
    }

    /// What is to be told of what is wrong, as far as it was not told already.
    pub fn news(&mut self, encoding: Encoding) -> Vec<PublishDiagnosticsParams> {
        if !std::mem::take(&mut self.stale) {
            return Vec::new();
        }
        let uris: Vec<Uri> = self.open.values().map(|document| document.uri.clone()).collect();
        let mut news = Vec::new();
        // Nothing is wrong any more with what is closed.
        let closed: Vec<String> = self.told.keys().filter(|uri| !self.open.contains_key(*uri)).cloned().collect();
        for uri in closed {
            if self.told.remove(&uri).is_some_and(|told| !told.is_empty())
                && let Ok(uri) = uri.parse()
            {
                news.push(PublishDiagnosticsParams { uri, diagnostics: Vec::new(), version: None });
            }
        }
        for uri in uris {
            let Some((document, library, file)) = self.get(&uri) else { continue };
            let found = edit::findings(library, file);
            let diagnostics: Vec<Diagnostic> =
                found.iter().map(|finding| diagnostic(finding, document, encoding)).collect();
            let version = Some(document.version);
            let before = self.told.insert(uri.to_string(), diagnostics.clone());
            if before.as_ref() != Some(&diagnostics) {
                news.push(PublishDiagnosticsParams { uri, diagnostics, version });
            }
        }
        news
    }
}

fn diagnostic(finding: &Finding, document: &Document, encoding: Encoding) -> Diagnostic {
    let span = finding.place.as_ref().map_or(0..0, |place| place.span.clone());
    let message = match &finding.hint {
        Some(hint) => format!("{}\n{hint}", finding.message),
        None => finding.message.clone(),
    };
    let related = finding.related.iter().filter_map(|(place, label)| {
        Some(DiagnosticRelatedInformation {
            location: location(&place.source, &place.span, encoding)?,
            message: label.clone(),
        })
    });
    let related: Vec<_> = related.collect();
    Diagnostic {
        range: encoding.range(&document.text, &span),
        severity: Some(match finding.severity {
            Severity::Warning => DiagnosticSeverity::WARNING,
            Severity::Error => DiagnosticSeverity::ERROR,
        }),
        code: Some(NumberOrString::String(finding.code.to_owned())),
        source: Some("phoenix".to_owned()),
        message,
        related_information: (!related.is_empty()).then_some(related),
        ..Diagnostic::default()
    }
}

/// A place in a file; nothing for what is in the program itself.
pub(super) fn location(
    source: &crate::finding::Source,
    span: &std::ops::Range<usize>,
    encoding: Encoding,
) -> Option<Location> {
    let path = std::path::absolute(&source.path).ok().filter(|path| path.is_file())?;
    Some(Location { uri: uri_of(&path)?, range: encoding.range(&source.text, span) })
}

/// The root that a file is below, and which file it is.
fn home_of(path: &Path) -> Option<Home> {
    let parts: Vec<Component> = path.components().collect();
    let folder = parts.iter().rposition(|part| ["features", "apps"].iter().any(|name| part.as_os_str() == *name))?;
    let relative: PathBuf = parts[folder..].iter().collect();
    let root: PathBuf = parts[..folder].iter().collect();
    // Open texts are known by the names that files really have.
    let root = root.canonicalize().ok()?;
    let file = FileName::of(relative.to_str()?)?;
    Some(Home { path: root.join(relative), root, file })
}

/// The file that a `file:` URI names.
fn path_of(uri: &Uri) -> Option<PathBuf> {
    if !uri.scheme()?.as_str().eq_ignore_ascii_case("file") {
        return None;
    }
    let path = uri.path().as_estr().decode().into_string().ok()?.into_owned();
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// The URI of a file.
fn uri_of(path: &Path) -> Option<Uri> {
    let mut text = "file://".to_owned();
    for byte in path.to_str()?.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => text.push(byte.into()),
            other => text += &format!("%{other:02X}"),
        }
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn uris_are_paths_and_back() {
        for path in ["/srv/a b/ü%/features/x.rhai", "/x"] {
            assert_eq!(path_of(&uri_of(Path::new(path)).unwrap()).unwrap(), Path::new(path));
        }
        assert_eq!(path_of(&"untitled:Untitled-1".parse().unwrap()), None);
    }
}
