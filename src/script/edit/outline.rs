//! What a file declares at top level, by its words.

use std::ops::Range;

use super::tokens::{Kind, Tokens};

/// What a file declares at top level.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub functions: Vec<Function>,
    /// Name and its place.
    pub constants: Vec<(String, Range<usize>)>,
    pub imports: Vec<Import>,
}

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub name: String,
    pub params: Vec<String>,
    pub private: bool,
    /// What the `///` lines before it say.
    pub doc: String,
    /// The name.
    pub at: Range<usize>,
    /// From its first word to its last brace.
    pub span: Range<usize>,
}

impl Function {
    /// How it is called.
    pub fn shown(&self) -> String {
        format!("{}({})", self.name, self.params.join(", "))
    }
}

/// An import.
#[derive(Debug)]
pub(super) struct Import {
    pub path: String,
    pub alias: String,
    /// The alias.
    pub at: Range<usize>,
}

/// Something that a file declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name; of a function with its parameters.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// The name.
    pub at: Range<usize>,
    /// All of it.
    pub span: Range<usize>,
}

/// What a file can declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// `fn`.
    Function,
    /// `const`.
    Constant,
    /// `import`.
    Module,
}

impl Outline {
    /// What a text declares.
    pub fn of(text: &str, tokens: &Tokens) -> Outline {
        let all = &tokens.all;
        let word = |index: usize| all.get(index).map_or("", |token| &text[token.span.clone()]);
        let is_word = |index: usize| all.get(index).is_some_and(|token| token.kind == Kind::Word);
        let mut outline = Outline::default();
        for (index, token) in all.iter().enumerate() {
            // What is called `fn` or `const` is no name.
            match word(index) {
                "fn" if is_word(index + 1) => {
                    let private = index > 0 && word(index - 1) == "private";
                    let start = if private { all[index - 1].span.start } else { token.span.start };
                    let open = (index + 2..all.len()).find(|at| word(*at) == "(").unwrap_or(all.len());
                    let close = (open..all.len()).find(|at| word(*at) == ")").unwrap_or(all.len());
                    let params =
                        (open..close).filter(|at| is_word(*at)).map(|at| word(at).to_owned()).collect::<Vec<_>>();
                    let body = (close..all.len()).find(|at| word(*at) == "{");
                    let end = body.and_then(|body| tokens.closing(text, body)).unwrap_or(index + 1);
                    outline.functions.push(Function {
                        name: word(index + 1).to_owned(),
                        params,
                        private,
                        doc: doc_before(text, tokens, start),
                        at: all[index + 1].span.clone(),
                        span: start..all[end].span.end,
                    });
                }
                "const" if is_word(index + 1) => {
                    outline.constants.push((word(index + 1).to_owned(), all[index + 1].span.clone()));
                }
                "import" if word(index + 2) == "as" && is_word(index + 3) => outline.imports.push(Import {
                    path: word(index + 1).trim_matches('"').to_owned(),
                    alias: word(index + 3).to_owned(),
                    at: all[index + 3].span.clone(),
                }),
                _ => {}
            }
        }
        outline
    }

    /// All of it in the order of the file.
    pub fn symbols(&self) -> Vec<Symbol> {
        let plain = |name: &str, kind, at: &Range<usize>| Symbol {
            name: name.to_owned(),
            kind,
            at: at.clone(),
            span: at.clone(),
        };
        let mut symbols: Vec<Symbol> = self
            .functions
            .iter()
            .map(|function| Symbol {
                span: function.span.clone(),
                ..plain(&function.shown(), SymbolKind::Function, &function.at)
            })
            .collect();
        symbols.extend(self.constants.iter().map(|(name, at)| plain(name, SymbolKind::Constant, at)));
        symbols.extend(self.imports.iter().map(|import| plain(&import.alias, SymbolKind::Module, &import.at)));
        symbols.sort_by_key(|symbol| symbol.span.start);
        symbols
    }
}

/// What the `///` lines right before an offset say.
fn doc_before(text: &str, tokens: &Tokens, start: usize) -> String {
    let mut lines = Vec::new();
    let mut end = start;
    for comment in tokens.comments.iter().rev().skip_while(|comment| comment.start >= start) {
        let between = text[comment.end..end].trim_matches([' ', '\t']);
        let Some(line) = text[comment.clone()].strip_prefix("///") else { break };
        if between != "\n" && !between.is_empty() {
            break;
        }
        lines.insert(0, line.strip_prefix(' ').unwrap_or(line).trim_end());
        end = comment.start;
    }
    lines.join("\n")
}
