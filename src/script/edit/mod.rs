//! What an editor asks about a script: what fits here, what this is, where it comes from. Pure functions of a library,
//! a text and an offset in it.
//!
//! Nothing here needs a text that parses: it looks at words (`tokens`), and only the metadata, which stands before
//! the functions, is compiled. The tables are those of the engine and of the linter.
//!
//! | file | what |
//! |---|---|
//! | `tokens` | words, texts and marks of any text |
//! | `outline` | functions, constants and imports |
//! | `scene` | brackets and calls around an offset |
//! | `infer` | the type of what stands before an offset |
//! | `complete`, `about` | what fits at an offset; what stands there, and where it comes from |
//! | `explain` | a signature, a parameter, a script as Markdown |

mod about;
mod complete;
mod explain;
mod infer;
mod outline;
mod scene;
mod tokens;

use std::ops::Range;
use std::sync::Arc;

use super::check::{Role, Vocabulary};
use super::library::{Library, Script, folder};
use super::{Models, lint, metadata};
use crate::finding::{Finding, Place, Source};
use crate::model::{ScriptKind, ScriptSpec};
use outline::Outline;
use tokens::Tokens;

pub use outline::{Symbol, SymbolKind};

/// Which file of the scripts is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    role: Role,
    kind: ScriptKind,
    /// Of a script, or the import path of a module.
    name: String,
}

impl FileName {
    /// The file at a path below a root, such as `features/docker.test.rhai`; nothing if no script is looked for there.
    pub fn of(relative: &str) -> Option<FileName> {
        let kinds = [ScriptKind::Feature, ScriptKind::App];
        let (kind, below) =
            kinds.iter().find_map(|kind| Some((*kind, relative.strip_prefix(folder(*kind))?.strip_prefix('/')?)))?;
        let stem = below.strip_suffix(".rhai")?;
        let (role, name) = match stem.rsplit_once('.') {
            _ if kind == ScriptKind::Feature && stem.strip_prefix("lib/").is_some_and(|name| !name.contains('/')) => {
                (Role::Module, stem)
            }
            _ if stem.contains('/') => return None,
            Some((name, "test")) => (Role::Test, name),
            Some((name, "model")) => (Role::Model, name),
            _ => (Role::Script, stem),
        };
        Some(FileName { role, kind, name: name.to_owned() })
    }
}

/// Everything that is wrong with a file, as `feature lint` finds it.
pub fn findings(library: &Library, file: &FileName) -> Vec<Finding> {
    let FileName { role, kind, name } = file;
    match role {
        Role::Script => library.script(*kind, name).map(|script| library.check_script(*kind, name, script)),
        Role::Module => library.module(name).map(|module| library.check_module(module)),
        Role::Test => lint::test(library, *kind, name).map(|linted| linted.findings),
        Role::Model => lint::model(library, *kind, name, &Models::load(library).1).map(|linted| linted.findings),
    }
    .unwrap_or_default()
}

/// A text that somebody works on.
pub struct Sheet<'a> {
    library: &'a Library,
    file: FileName,
    text: &'a str,
    tokens: Tokens,
    outline: Outline,
    vocabulary: &'static Vocabulary,
    /// The text up to its first function, compiled: imports and metadata.
    head: Script,
    /// What the script declares; of tests and models: what the script declares that they are beside.
    spec: Option<ScriptSpec>,
}

/// What fits at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What is written.
    pub label: String,
    /// What it is.
    pub kind: CompletionKind,
    /// In a few words: its type, how it is called.
    pub detail: String,
    /// In full, as Markdown.
    pub doc: String,
    /// What it replaces.
    pub span: Range<usize>,
    /// What is written instead of the label.
    pub insert: Option<String>,
}

/// What a completion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionKind {
    /// Called on something.
    Method,
    /// Read like a field.
    Property,
    /// Called by itself.
    Function,
    /// A variable or a parameter of a function.
    Variable,
    /// A constant of the file.
    Constant,
    /// A shared module.
    Module,
    /// A key of a map: an option, a field of the metadata, a parameter.
    Key,
    /// A word of the language.
    Keyword,
    /// A value that is known: a name, a choice.
    Value,
    /// A file.
    File,
}

/// What stands at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// The word that it is about.
    pub span: Range<usize>,
    /// Markdown.
    pub text: String,
}

/// Where something is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// In the same text.
    Here(Range<usize>),
    /// In another file; the path is as messages show it.
    There(Place),
}

/// The call around an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHelp {
    /// How it is called.
    pub label: String,
    /// What it does, as Markdown.
    pub doc: String,
    /// Its parameters: their bytes in `label`, and what each is.
    pub parameters: Vec<(Range<usize>, String)>,
    /// Which one stands at the offset.
    pub active: usize,
}

impl<'a> Sheet<'a> {
    /// A text that is, or is to become, this file.
    pub fn new(library: &'a Library, file: FileName, text: &'a str) -> Sheet<'a> {
        let tokens = Tokens::of(text);
        let outline = Outline::of(text, &tokens);
        let head = outline.functions.first().map_or(text.len(), |function| function.span.start);
        let head = Script::compile(Source::new("", &text[..head]));
        let catalogue = library.catalogue();
        let own = match file.role {
            Role::Script => metadata::read(file.kind, &file.name, &head.source, &head.syntax).0,
            _ => None,
        };
        let spec = own.or_else(|| catalogue.get(file.kind, &file.name).cloned());
        let vocabulary = Vocabulary::of(file.role);
        Sheet { library, file, text, tokens, outline, vocabulary, head, spec }
    }

    /// Functions, constants and imports, in the order of the file.
    pub fn outline(&self) -> Vec<Symbol> {
        self.outline.symbols()
    }

    fn word(&self, index: usize) -> &str {
        self.tokens.all.get(index).map_or("", |token| &self.text[token.span.clone()])
    }

    /// The module that is imported under a name.
    fn module(&self, alias: &str) -> Option<&Script> {
        let import = self.outline.imports.iter().find(|import| import.alias == alias)?;
        self.library.module(&import.path)
    }

    /// The script of a feature's or an app's name.
    fn named(&self, name: &str) -> Option<(ScriptKind, &Script)> {
        let kinds = [ScriptKind::Feature, ScriptKind::App];
        kinds.into_iter().find_map(|kind| Some((kind, self.library.script(kind, name)?)))
    }

    /// Another file, from its beginning.
    fn beginning(source: &Arc<Source>) -> Target {
        Target::There(Place { source: Arc::clone(source), span: 0..0 })
    }
}
