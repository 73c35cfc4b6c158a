//! Scripts given as text, run in a modelled guest.

use std::path::Path;
use std::sync::Arc;

use phoenix::script::{Entry, Library, Models, Roots, ScriptError, ScriptReport, StagedGuest};
use phoenix::testing::{Declared, Stand};
use serde_json::{Value, json};

/// A library of files, and a guest to run them in.
pub struct Stage {
    _dir: tempfile::TempDir,
    pub stand: Arc<Stand>,
}

impl Stage {
    /// Files by path below the root.
    pub fn new(files: &[(&str, &str)]) -> Stage {
        Stage::with(files, &Declared::default())
    }

    pub fn with(files: &[(&str, &str)], declared: &Declared) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let library = library(dir.path());
        let (models, findings) = Models::load(&library);
        assert!(findings.is_empty(), "{findings:?}");
        let stand = Arc::new(Stand::new(&library, &models, declared).unwrap());
        Stage { _dir: dir, stand }
    }

    /// A feature called `x` with this body of `apply`.
    pub fn of_body(body: &str) -> Stage {
        Stage::new(&[("features/x.rhai", &feature("", body))])
    }

    pub fn run(&self, entry: Entry, params: Value) -> Result<ScriptReport, ScriptError> {
        let stand = Arc::clone(&self.stand);
        let running = phoenix::script::thread("script").spawn(move || stand.run(entry, "x", &params)).unwrap();
        running.join().unwrap()
    }

    pub fn apply(&self) -> Result<ScriptReport, ScriptError> {
        self.run(Entry::Apply, json!({}))
    }

    /// The failure as an operator reads it.
    pub fn failure(&self) -> String {
        shown(&self.apply().unwrap_err())
    }

    pub fn text(&self, path: &str) -> Option<String> {
        self.stand.machine().read(path).unwrap()
    }
}

pub fn shown(error: &ScriptError) -> String {
    let failure = error.failure();
    let mut lines = vec![failure.message];
    lines.extend(failure.command.map(|command| format!("command: {command}")));
    lines.extend(failure.output.map(|output| format!("output: {output}")));
    lines.extend(failure.trace);
    lines.extend(failure.hint.map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}

/// A feature called `x`: more of its metadata, and the body of its `apply`.
pub fn feature(more: &str, body: &str) -> String {
    format!(
        "const FEATURE = #{{ name: \"x\", summary: \"s\", targets: [\"lxc\"]{more} }};\n\n\
         fn apply(guest, params) {{\n{body}\n}}\n"
    )
}

fn library(dir: &Path) -> Library {
    Library::load(&Roots::only(dir)).0
}
