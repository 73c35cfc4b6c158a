//! What fits at an offset.

use std::collections::BTreeSet;
use std::ops::Range;

use super::scene::{Callee, Map};
use super::{Completion, CompletionKind, Sheet, explain};
use crate::model::ParamType;
use crate::script::api::signature::{Kind, Parameter, Signature, Type};
use crate::script::check::{Role, standard};
use crate::script::library::Script;
use crate::script::metadata;
use crate::script::run::Entry;

/// Words of the language that begin or join something.
const KEYWORDS: [&str; 21] = [
    "let", "if", "else", "for", "in", "while", "loop", "do", "switch", "return", "break", "continue", "try", "catch",
    "throw", "true", "false", "this", "global", "const", "fn",
];

/// What is being found, and what it replaces.
struct Found {
    span: Range<usize>,
    all: Vec<Completion>,
}

impl Found {
    fn add(&mut self, label: &str, kind: CompletionKind, detail: impl Into<String>, doc: impl Into<String>) {
        if self.all.iter().any(|known| known.label == label) {
            return;
        }
        self.all.push(Completion {
            label: label.to_owned(),
            kind,
            detail: detail.into(),
            doc: doc.into(),
            span: self.span.clone(),
            insert: None,
        });
    }

    fn verb(&mut self, signature: &Signature) {
        // Operators are no names.
        if !signature.name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return;
        }
        let kind = match (signature.property, signature.on) {
            (true, _) => CompletionKind::Property,
            (false, []) => CompletionKind::Function,
            _ => CompletionKind::Method,
        };
        self.add(signature.name, kind, explain::head(signature), explain::verb(signature));
    }

    fn key(&mut self, name: &str, detail: String, doc: String, bare: bool) {
        self.add(name, CompletionKind::Key, detail, doc);
        if let Some(last) = self.all.last_mut().filter(|last| bare && last.label == name) {
            last.insert = Some(format!("{name}: "));
        }
    }

    fn option(&mut self, option: &Parameter, bare: bool) {
        let required = if option.required { ", required" } else { "" };
        self.key(option.name, format!("{}{required}", option.kind.expected()), explain::parameter(option), bare);
    }

    fn values<'v>(&mut self, values: impl IntoIterator<Item = &'v str>, detail: &str) {
        for value in values {
            self.add(value, CompletionKind::Value, detail, "");
        }
    }
}

impl Sheet<'_> {
    /// Everything that fits at an offset, in no particular order: what it begins with is for the editor to compare.
    pub fn complete(&self, offset: usize) -> Vec<Completion> {
        if self.in_comment(offset) {
            return Vec::new();
        }
        if let Some(text) = self.text_at(offset) {
            let token = &self.tokens.all[text];
            let quote = usize::from(self.word(text).starts_with(['"', '\'', '`']));
            let end =
                if token.span.len() > quote && self.word(text).ends_with('"') { token.span.end - 1 } else { offset };
            let mut found = Found { span: token.span.start + quote..end.max(offset), all: Vec::new() };
            self.in_text(text, &mut found);
            return found.all;
        }
        let (next, span) = match self.word_at(offset) {
            Some((index, span)) => (index, span),
            None => (self.next(offset), offset..offset),
        };
        let mut found = Found { span, all: Vec::new() };
        self.word_completions(next, offset, &mut found);
        found.all
    }

    /// What a word that stands at a token may be.
    fn word_completions(&self, next: usize, offset: usize, found: &mut Found) {
        let before = next.checked_sub(1);
        match before.map_or("", |before| self.word(before)) {
            "." | "?." if before.is_some_and(|dot| dot > 0 && self.is_dot_before(dot)) => {
                return self.members(before.map_or(0, |dot| dot - 1), found);
            }
            "::" => return self.of_module(next.saturating_sub(2), found),
            "let" | "for" | "const" | "as" => return,
            "fn" => {
                for entry in [Entry::Apply, Entry::Health, Entry::Prepare, Entry::Remove] {
                    if self.file.role == Role::Script
                        && !self.outline.functions.iter().any(|f| f.name == entry.function())
                    {
                        found.add(entry.function(), CompletionKind::Function, "called from outside", "");
                    }
                }
                return;
            }
            _ => {}
        }
        let Some(open) = self.around(next) else { return self.top_level(found) };
        let is_key = matches!(before.map(|before| self.word(before)), Some("#{" | ",")) && self.word(open) == "#{";
        if is_key {
            let bare = self.word(self.next(found.span.end.max(offset))) != ":";
            return self.keys(open, bare, found);
        }
        if before.is_some_and(|colon| self.word(colon) == ":")
            && let Some((key, Map::Options(signature))) = self.key_of(next)
            && let Some(option) = signature.options.iter().find(|option| option.name == key)
        {
            let quoted = |values: &[&str]| values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>();
            match option.kind {
                Kind::Bool => return found.values(["true", "false"], "bool"),
                Kind::State => return found.values(quoted(&["present", "absent"]).iter().map(String::as_str), "state"),
                Kind::Method => {
                    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE"];
                    return found.values(quoted(&methods).iter().map(String::as_str), "method");
                }
                _ => {}
            }
        }
        self.expression(offset, found);
    }

    /// Whether a dot is one of a chain: `1..` is none.
    fn is_dot_before(&self, dot: usize) -> bool {
        self.word(dot) == "?." || self.word(dot - 1) != "."
    }

    /// What can be called on, or read of, the expression that ends at a token.
    fn members(&self, last: usize, found: &mut Found) {
        let on = self.type_ending(last);
        if on == Type::Params {
            for (name, param) in self.spec.iter().flat_map(|spec| &spec.params) {
                found.add(name, CompletionKind::Property, explain::type_word(param.kind), explain::param(name, param));
            }
            return;
        }
        for signature in self.vocabulary.members(on) {
            found.verb(signature);
        }
        match on {
            Type::Record(keys) => found.values(keys.iter().copied(), "of the map"),
            Type::Text | Type::Array | Type::Map | Type::Int | Type::Float => {
                for name in standard().methods(on) {
                    found.add(name, CompletionKind::Method, "of the language", "");
                }
            }
            _ => {}
        }
    }

    fn of_module(&self, alias: usize, found: &mut Found) {
        if self.word(alias) == "global" {
            for (name, _) in &self.outline.constants {
                found.add(name, CompletionKind::Constant, "constant of the file", "");
            }
            return;
        }
        let Some(module) = self.module(self.word(alias)) else { return };
        for function in functions(module).iter().filter(|function| !function.private) {
            let doc = explain::function(&format!("{}::", self.word(alias)), function);
            found.add(&function.name, CompletionKind::Function, function.shown(), doc);
        }
    }

    fn top_level(&self, found: &mut Found) {
        for word in ["fn", "private", "const", "import"] {
            found.add(word, CompletionKind::Keyword, "", "");
        }
    }

    /// What an expression or a statement may begin with.
    fn expression(&self, offset: usize, found: &mut Found) {
        if let Some(function) = self.function_at(offset) {
            for name in &function.params {
                found.add(name, CompletionKind::Variable, self.vocabulary.parameter(name).word(), "");
            }
            let (from, to) = (self.next(function.span.start), self.next(found.span.start));
            for index in (from..to).filter(|index| matches!(self.word(*index), "let" | "for") && index + 1 < to) {
                found.add(self.word(index + 1), CompletionKind::Variable, "variable", "");
            }
        }
        for function in &self.outline.functions {
            let doc = explain::function("", function);
            found.add(&function.name, CompletionKind::Function, function.shown(), doc);
        }
        for import in &self.outline.imports {
            found.add(&import.alias, CompletionKind::Module, import.path.as_str(), "");
        }
        for name in self.vocabulary.functions() {
            if let Some(signature) = self.vocabulary.function(name).filter(|signature| signature.name != "exit") {
                found.verb(signature);
            }
        }
        for word in KEYWORDS {
            found.add(word, CompletionKind::Keyword, "", "");
        }
    }

    /// Keys of the map that opens at a token; `bare`: no colon follows.
    fn keys(&self, open: usize, bare: bool, found: &mut Found) {
        let close = self.tokens.closing(self.text, open).unwrap_or(self.tokens.all.len());
        let given: BTreeSet<&str> = (open + 1..close)
            .filter(|index| self.word(index + 1) == ":" && self.around(*index) == Some(open))
            .filter(|index| self.tokens.all[*index].span != found.span)
            .map(|index| self.said(index))
            .collect();
        match self.map(open) {
            Map::Options(signature) => {
                for option in signature.options {
                    found.option(option, bare);
                }
            }
            Map::ParamsOf(name) => self.params_of(&name, bare, found),
            Map::Constant(path) => self.declared_keys(&path, bare, found),
            Map::Unknown => {}
        }
        found.all.retain(|key| !given.contains(key.label.as_str()));
    }

    fn params_of(&self, script: &str, bare: bool, found: &mut Found) {
        let spec = self.named(script).and_then(|(kind, _)| self.library.catalogue().get(kind, script));
        for (name, param) in spec.iter().flat_map(|spec| &spec.params) {
            found.key(name, explain::type_word(param.kind).to_owned(), explain::param(name, param), bare);
        }
    }

    /// Keys of `FEATURE`, `APP`, `MODEL`, `PARAMS` and `GUEST`.
    fn declared_keys(&self, path: &[String], bare: bool, found: &mut Found) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let known: &[(&str, &str)] = match path.as_slice() {
            ["PARAMS"] if self.file.role == Role::Test => {
                let name = self.file.name.clone();
                return self.params_of(&name, bare, found);
            }
            ["GUEST"] if self.file.role == Role::Test => {
                for option in self.vocabulary.function("guest").iter().flat_map(|guest| guest.options) {
                    found.option(option, bare);
                }
                return;
            }
            ["FEATURE" | "APP"] => &metadata::KEYS,
            ["FEATURE" | "APP", "lxc"] => &metadata::LXC_KEYS,
            ["FEATURE" | "APP", "params", _] => &metadata::PARAM_KEYS,
            ["MODEL"] => &crate::script::models::KEYS,
            _ => &[],
        };
        for (name, doc) in known {
            found.key(name, String::new(), (*doc).to_owned(), bare);
        }
    }

    /// What may stand in a text.
    fn in_text(&self, text: usize, found: &mut Found) {
        if text > 0 && self.word(text - 1) == "import" {
            for (path, module) in self.library.modules() {
                found.add(path, CompletionKind::Module, "module", module.syntax.doc.as_str());
            }
            return;
        }
        match self.names(text) {
            Some(Names::Artifacts(names)) => found.values(names.iter().map(String::as_str), "artifact"),
            Some(Names::Features) => {
                for (name, spec) in &self.library.catalogue().features {
                    found.add(name, CompletionKind::Value, spec.summary.as_str(), "");
                }
            }
            Some(Names::Scripts) => {
                let catalogue = self.library.catalogue();
                for (name, spec) in catalogue.features.iter().chain(&catalogue.apps) {
                    found.add(name, CompletionKind::Value, spec.summary.as_str(), "");
                }
            }
            Some(Names::Assets) => {
                for name in self.library.assets(self.file.kind, &self.file.name) {
                    found.add(&name, CompletionKind::File, "asset", "");
                }
            }
            Some(Names::Params) => {
                for (name, param) in self.spec.iter().flat_map(|spec| &spec.params) {
                    found.add(name, CompletionKind::Property, explain::type_word(param.kind), "");
                }
            }
            Some(Names::Words(words)) => found.values(words, ""),
            None => {}
        }
    }

    /// What a text names.
    pub(super) fn names(&self, text: usize) -> Option<Names> {
        let before = text.checked_sub(1)?;
        if self.word(before) == "(" {
            let Some(Callee::Verb(signature)) = self.callee(before) else { return None };
            return match signature.name {
                "artifact" => Some(Names::Artifacts(match &self.spec {
                    Some(spec) if self.file.role == Role::Script => spec.consumes.clone(),
                    _ => self.published(),
                })),
                "publish" => Some(Names::Artifacts(self.spec.as_ref()?.publishes.clone())),
                "asset" => Some(Names::Assets),
                "has_feature" | "with_feature" => Some(Names::Features),
                "apply" | "health" | "remove" => Some(Names::Scripts),
                _ => None,
            };
        }
        if self.word(before) == "[" && before > 0 && self.type_ending(before - 1) == Type::Params {
            return Some(Names::Params);
        }
        let (key, map) = self.key_of(text)?;
        match map {
            Map::Options(signature) => match signature.options.iter().find(|option| option.name == key)?.kind {
                _ if key == "source" => Some(Names::Assets),
                Kind::State => Some(Names::Words(vec!["present", "absent"])),
                Kind::Method => Some(Names::Words(vec!["GET", "HEAD", "POST", "PUT", "DELETE"])),
                _ => None,
            },
            Map::Constant(path) => match (path.len(), key) {
                (1, "needs" | "after") => Some(Names::Features),
                (1, "consumes") => Some(Names::Artifacts(self.published())),
                (1, "targets") => Some(Names::Words(vec!["lxc", "vm", "node"])),
                (3, "type") => Some(Names::Words(ParamType::WORDS.iter().map(|(word, _)| *word).collect())),
                _ => None,
            },
            _ => None,
        }
    }

    /// Artifacts that anybody publishes.
    fn published(&self) -> Vec<String> {
        let catalogue = self.library.catalogue();
        let all = catalogue.features.values().chain(catalogue.apps.values());
        all.flat_map(|spec| spec.publishes.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// What a text may name.
pub(super) enum Names {
    Artifacts(Vec<String>),
    Features,
    Scripts,
    Assets,
    /// Parameters, as `params["name"]`.
    Params,
    Words(Vec<&'static str>),
}

/// Functions of another file.
pub(super) fn functions(script: &Script) -> Vec<super::outline::Function> {
    let text = &script.source.text;
    super::Outline::of(text, &super::Tokens::of(text)).functions
}
