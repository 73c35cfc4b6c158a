//! All scripts: where they were found, what they declare, what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use rhai::AST;
use ring::digest::{Context, SHA256};

use crate::finding::{Finding, Severity, Source};
use crate::model::{Catalogue, ScriptKind};

use super::coverage::Recorder;
use super::roots::{Found, RootError, Roots, is_plain};
use super::syntax::Syntax;
use super::{ast, check, engine, metadata};

/// The scripts of all roots, compiled. Clones share everything.
#[derive(Clone)]
pub struct Library {
    inner: Arc<Inner>,
    recorder: Option<Recorder>,
}

struct Inner {
    roots: Roots,
    catalogue: Catalogue,
    scripts: BTreeMap<(ScriptKind, String), Script>,
    modules: BTreeMap<String, Script>,
}

/// One compiled file.
pub(crate) struct Script {
    pub source: Arc<Source>,
    /// Empty if the file does not parse.
    pub ast: AST,
    pub syntax: Syntax,
    /// What was found while reading it: syntax and metadata.
    read: Vec<Finding>,
    /// What the static check found, once somebody asked.
    checked: OnceLock<Vec<Finding>>,
}

impl Script {
    /// Compiles a file. What does not parse becomes a finding and an empty script.
    pub fn compile(source: Arc<Source>) -> Script {
        match engine::compiler().compile(&source.text) {
            Ok(mut ast) => {
                ast.set_source(source.path.as_str());
                let syntax = ast::syntax(&ast, &source.text);
                Script { source, ast, syntax, read: Vec::new(), checked: OnceLock::new() }
            }
            Err(error) => {
                let finding = check::parse_finding(&source, &error);
                Script {
                    source,
                    ast: AST::empty(),
                    syntax: Syntax::default(),
                    read: vec![finding],
                    checked: OnceLock::new(),
                }
            }
        }
    }

    /// What was found while reading it.
    pub fn findings(&self) -> &[Finding] {
        &self.read
    }

    /// A file that is there and cannot be read as text.
    fn unreadable(path: String, problem: String) -> Script {
        let source = Source::new(path, "");
        let finding = Finding::error(UNREADABLE, problem).at(&source, 0..0);
        Script { source, ast: AST::empty(), syntax: Syntax::default(), read: vec![finding], checked: OnceLock::new() }
    }

    /// Whether it can be run at all.
    pub fn parses(&self) -> bool {
        self.read.iter().all(|finding| ![check::PARSE, UNREADABLE].contains(&finding.code))
    }
}

/// Code of findings about files that are no text.
const UNREADABLE: &str = "unreadable";

/// Folder of a kind of script below a root.
pub(crate) const fn folder(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Feature => "features",
        ScriptKind::App => "apps",
    }
}

impl Library {
    /// Finds and compiles all scripts and reads their metadata. Scripts whose metadata is not good enough to plan with
    /// are not in the catalogue; the findings say why.
    pub fn load(roots: &Roots) -> (Library, Vec<Finding>) {
        let mut inner = Inner {
            roots: roots.clone(),
            catalogue: Catalogue::default(),
            scripts: BTreeMap::new(),
            modules: BTreeMap::new(),
        };
        let mut findings = Vec::new();
        for name in roots.list("features/lib") {
            // Editors keep `.NAME` and `.#NAME` beside what they work on.
            if let Some(stem) = name.strip_suffix(".rhai").filter(|stem| !stem.starts_with('.')) {
                let module = inner.read(&format!("features/lib/{name}"));
                findings.extend(module.read.iter().cloned());
                inner.modules.insert(format!("lib/{stem}"), module);
            }
        }
        for kind in [ScriptKind::Feature, ScriptKind::App] {
            for file in roots.list(folder(kind)) {
                // `NAME.test.rhai` and `NAME.model.rhai` are no scripts of their own.
                let Some(stem) = file.strip_suffix(".rhai").filter(|stem| !stem.contains('.')) else { continue };
                let script = inner.read(&format!("{}/{file}", folder(kind)));
                findings.extend(inner.add(kind, stem, script));
            }
        }
        (Library { inner: Arc::new(inner), recorder: None }, findings)
    }

    /// The same scripts, whose lines are recorded wherever they run from now on.
    pub fn recorded(&self, recorder: &Recorder) -> Library {
        Library { inner: Arc::clone(&self.inner), recorder: Some(recorder.clone()) }
    }

    /// Who records which lines run.
    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// What all scripts declare.
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    /// Everything that is wrong with one script: syntax, metadata, and what the static check finds in it and in what it
    /// imports. Looked for once, then remembered. Empty for a script that does not exist.
    pub fn check(&self, kind: ScriptKind, name: &str) -> Vec<Finding> {
        let Some(script) = self.script(kind, name) else { return Vec::new() };
        let mut findings = self.check_script(kind, name, script);
        for import in self.imports(script) {
            findings.extend(self.module(&import).map(|module| self.check_module(module)).unwrap_or_default());
        }
        findings
    }

    /// Whether there is such a script, sound or not.
    pub fn contains(&self, kind: ScriptKind, name: &str) -> bool {
        self.script(kind, name).is_some()
    }

    /// Whether anything that [`Library::check`] finds keeps the script from running.
    pub fn is_sound(&self, kind: ScriptKind, name: &str) -> bool {
        self.check(kind, name).iter().all(|finding| finding.severity < Severity::Error)
    }

    /// The text of a script, for showing it.
    pub fn source(&self, kind: ScriptKind, name: &str) -> Option<&Arc<Source>> {
        self.script(kind, name).map(|script| &script.source)
    }

    /// The `//!` comment of a script.
    pub fn doc(&self, kind: ScriptKind, name: &str) -> Option<&str> {
        self.script(kind, name).map(|script| script.syntax.doc.as_str())
    }

    /// The `///` comment of a function of a script; empty: it has none.
    pub fn function_doc(&self, kind: ScriptKind, name: &str, function: &str, arity: usize) -> Option<&str> {
        let function = self.script(kind, name)?.syntax.function(function, arity)?;
        Some(function.doc.as_str())
    }

    /// Names of the files in the script's own folder.
    pub(crate) fn assets(&self, kind: ScriptKind, name: &str) -> Vec<String> {
        self.inner.roots.files_below(&format!("{}/{name}", folder(kind))).into_keys().collect()
    }

    /// All scripts, sound or not.
    pub(crate) fn scripts(&self) -> impl Iterator<Item = (ScriptKind, &str, &Script)> {
        self.inner.scripts.iter().map(|((kind, name), script)| (*kind, name.as_str(), script))
    }

    /// All shared modules by their import paths.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (&str, &Script)> {
        self.inner.modules.iter().map(|(path, module)| (path.as_str(), module))
    }

    /// What is wrong with a script itself, without what it imports.
    pub(crate) fn check_script(&self, kind: ScriptKind, name: &str, script: &Script) -> Vec<Finding> {
        let checked = script.checked.get_or_init(|| check::script(self, kind, name, script));
        let mut findings: Vec<Finding> = script.read.iter().chain(checked).cloned().collect();
        findings.sort_by_key(|finding| finding.place.as_ref().map(|place| place.span.start));
        findings
    }

    /// What is wrong with a shared module.
    pub(crate) fn check_module(&self, module: &Script) -> Vec<Finding> {
        let checked = module.checked.get_or_init(|| check::module(self, module));
        module.read.iter().chain(checked).cloned().collect()
    }

    pub(crate) fn script(&self, kind: ScriptKind, name: &str) -> Option<&Script> {
        self.inner.scripts.get(&(kind, name.to_owned()))
    }

    /// A file by the path that messages show.
    pub(crate) fn file(&self, path: &str) -> Option<Arc<Source>> {
        let all = self.inner.scripts.values().chain(self.inner.modules.values());
        all.map(|script| &script.source).find(|source| source.path == path).map(Arc::clone)
    }

    /// A shared module by its import path (`lib/apt`).
    pub(crate) fn module(&self, path: &str) -> Option<&Script> {
        self.inner.modules.get(path)
    }

    pub(crate) fn module_names(&self) -> impl Iterator<Item = &str> {
        self.inner.modules.keys().map(String::as_str)
    }

    /// Modules that a script imports, directly or through others.
    pub(crate) fn imports(&self, script: &Script) -> BTreeSet<String> {
        self.inner.imports(script)
    }

    /// A file of the script's own folder.
    pub(crate) fn asset(&self, kind: ScriptKind, script: &str, path: &str) -> Result<Found, RootError> {
        if !is_plain(path) {
            return Err(RootError::Outside(path.to_owned()));
        }
        self.inner.roots.read(&format!("{}/{script}/{path}", folder(kind)))
    }

    /// The file beside a script: `test` or `model`.
    pub(crate) fn beside(&self, kind: ScriptKind, script: &str, what: &str) -> Option<Script> {
        let relative = format!("{}/{script}.{what}.rhai", folder(kind));
        match self.inner.roots.read(&relative) {
            Err(RootError::Absent(_)) => None,
            found => Some(compiled(&relative, found)),
        }
    }

    /// Stems of the files `STEM.WHAT.rhai` of a kind, whether or not there is a script of that name.
    pub(crate) fn stems_with(&self, kind: ScriptKind, what: &str) -> Vec<String> {
        let suffix = format!(".{what}.rhai");
        let files = self.inner.roots.list(folder(kind));
        files.iter().filter_map(|file| file.strip_suffix(&suffix).map(str::to_owned)).collect()
    }
}

impl Inner {
    fn read(&self, relative: &str) -> Script {
        compiled(relative, self.roots.read(relative))
    }

    fn add(&mut self, kind: ScriptKind, stem: &str, mut script: Script) -> Vec<Finding> {
        if script.parses() {
            let (spec, findings) = metadata::read(kind, stem, &script.source, &script.syntax);
            script.read = findings;
            if let Some(mut spec) = spec {
                spec.digest = self.digest(kind, stem, &script);
                match kind {
                    ScriptKind::Feature => self.catalogue.features.insert(stem.to_owned(), spec),
                    ScriptKind::App => self.catalogue.apps.insert(stem.to_owned(), spec),
                };
            }
        }
        let findings = script.read.clone();
        self.scripts.insert((kind, stem.to_owned()), script);
        findings
    }

    /// Modules that a script imports, directly or through others.
    fn imports(&self, script: &Script) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![script];
        while let Some(script) = open.pop() {
            for path in script.syntax.imports.iter().filter_map(|import| import.path.as_ref()) {
                if let Some(module) = self.modules.get(path)
                    && found.insert(path.clone())
                {
                    open.push(module);
                }
            }
        }
        found
    }

    /// SHA-256 over the script, its imports and its assets, each with its name.
    fn digest(&self, kind: ScriptKind, stem: &str, script: &Script) -> String {
        let mut context = Context::new(&SHA256);
        let mut add = |name: &str, bytes: &[u8]| {
            for part in [name.as_bytes(), bytes] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        };
        add(stem, script.source.text.as_bytes());
        for import in self.imports(script) {
            add(&import, self.modules[&import].source.text.as_bytes());
        }
        for (name, bytes) in self.roots.files_below(&format!("{}/{stem}", folder(kind))) {
            add(&name, &bytes);
        }
        super::text::hex(context.finish().as_ref())
    }
}

/// A file that was read, compiled.
fn compiled(relative: &str, found: Result<Found, RootError>) -> Script {
    match found {
        Ok(found) => match String::from_utf8(found.bytes) {
            Ok(text) => Script::compile(Source::new(found.shown, text)),
            Err(_) => Script::unreadable(found.shown, "this is no UTF-8 text".to_owned()),
        },
        Err(error) => Script::unreadable(relative.to_owned(), error.to_string()),
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Library").field(&self.inner.scripts.keys()).finish()
    }
}
