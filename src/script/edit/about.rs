//! What stands at an offset, and where it is declared.

use std::ops::Range;
use std::sync::Arc;

use super::complete::{Names, functions};
use super::scene::{Callee, Map};
use super::{CallHelp, Hover, Sheet, Target, explain};
use crate::finding::{Place, Source};
use crate::model::ScriptKind;
use crate::script::api::signature::Type;
use crate::script::check::standard;
use crate::script::library::Script;
use crate::script::metadata;
use crate::script::place::span;
use crate::script::syntax::Expr;

impl Sheet<'_> {
    /// What stands at an offset.
    pub fn hover(&self, offset: usize) -> Option<Hover> {
        if self.in_comment(offset) {
            return None;
        }
        if let Some(text) = self.text_at(offset) {
            let at = self.tokens.all[text].span.clone();
            return Some(Hover { span: at, text: self.named_in_text(text)? });
        }
        let (index, at) = self.word_at(offset)?;
        Some(Hover { span: at, text: self.explained(index)? })
    }

    /// A feature, an artifact or a module that a text names.
    fn named_in_text(&self, text: usize) -> Option<String> {
        let said = self.said(text);
        if text > 0 && self.word(text - 1) == "import" {
            return self.library.module(said).map(|module| format!("**module `{said}`**\n\n{}", module.syntax.doc));
        }
        match self.names(text)? {
            Names::Features | Names::Scripts => {
                let (kind, script) = self.named(said)?;
                let spec = self.library.catalogue().get(kind, said)?;
                Some(explain::script(spec, &script.syntax.doc))
            }
            Names::Artifacts(_) => {
                let (_, name, _) = self.publisher(said)?;
                Some(format!("**artifact `{said}`**, published by `{name}`"))
            }
            Names::Params => {
                let param = self.spec.as_ref()?.params.get(said)?;
                Some(explain::param(said, param))
            }
            Names::Assets | Names::Words(_) => None,
        }
    }

    /// The script that publishes an artifact.
    fn publisher(&self, artifact: &str) -> Option<(ScriptKind, String, &Script)> {
        let catalogue = self.library.catalogue();
        let all = catalogue.features.values().chain(catalogue.apps.values());
        let spec = all.into_iter().find(|spec| spec.publishes.iter().any(|name| name == artifact))?;
        Some((spec.kind, spec.name.clone(), self.library.script(spec.kind, &spec.name)?))
    }

    fn explained(&self, index: usize) -> Option<String> {
        let word = self.word(index);
        let before = index.checked_sub(1);
        if before.is_some_and(|dot| self.is_dot(dot)) {
            let last = index.checked_sub(2)?;
            if self.type_ending(last) == Type::Params {
                let param = self.spec.as_ref()?.params.get(word)?;
                return Some(explain::param(word, param));
            }
        }
        if before.is_some_and(|mark| self.word(mark) == "::") {
            let alias = self.word(index.checked_sub(2)?);
            let functions = functions(self.module(alias)?);
            let function = functions.iter().find(|function| function.name == word)?;
            return Some(explain::function(&format!("{alias}::"), function));
        }
        if self.word(index + 1) == ":"
            && let Some(open) = self.around(index)
            && let Some(text) = self.key_explained(open, word)
        {
            return Some(text);
        }
        match self.called(index) {
            Some(Callee::Verb(signature)) => return Some(explain::verb(signature)),
            Some(Callee::Own(function)) => return Some(explain::function("", function)),
            None => {}
        }
        if let Some(module) = self.module(word) {
            return Some(format!("**module `{word}`**\n\n{}", module.syntax.doc));
        }
        let shown = self.type_ending(index);
        if shown != Type::Any {
            return Some(format!("```rhai\n{word}: {}\n```", shown.word()));
        }
        let is_call = self.word(index + 1) == "(" && !standard().forms(word).is_empty();
        is_call.then(|| format!("`{word}` is a function of the language"))
    }

    /// A key of the map that opens at a token.
    fn key_explained(&self, open: usize, key: &str) -> Option<String> {
        let of = |known: &[(&str, &str)]| {
            known.iter().find(|(name, _)| *name == key).map(|(name, doc)| format!("`{name}`: {doc}"))
        };
        match self.map(open) {
            Map::Options(signature) => {
                signature.options.iter().find(|option| option.name == key).map(explain::parameter)
            }
            Map::ParamsOf(script) => {
                let (kind, _) = self.named(&script)?;
                let param = self.library.catalogue().get(kind, &script)?.params.get(key)?;
                Some(explain::param(key, param))
            }
            Map::Constant(path) => match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["FEATURE" | "APP"] => of(&metadata::KEYS),
                ["FEATURE" | "APP", "lxc"] => of(&metadata::LXC_KEYS),
                ["FEATURE" | "APP", "params"] => {
                    self.spec.as_ref()?.params.get(key).map(|param| explain::param(key, param))
                }
                ["FEATURE" | "APP", "params", _] => of(&metadata::PARAM_KEYS),
                ["MODEL"] => of(&crate::script::models::KEYS),
                _ => None,
            },
            Map::Unknown => None,
        }
    }

    /// Where what stands at an offset is declared.
    pub fn definition(&self, offset: usize) -> Option<Target> {
        if let Some(text) = self.text_at(offset) {
            return self.declared_by_text(text);
        }
        let (index, _) = self.word_at(offset)?;
        let word = self.word(index);
        let before = index.checked_sub(1);
        if before.is_some_and(|dot| self.is_dot(dot)) {
            if self.type_ending(index.checked_sub(2)?) == Type::Params {
                return self.param_key(word);
            }
            // `list.own()` calls a function of the file.
        } else if before.is_some_and(|mark| self.word(mark) == "::") {
            let alias = self.word(index.checked_sub(2)?);
            if alias == "global" {
                return self.outline.constant(word).map(Target::Here);
            }
            let module = self.module(alias)?;
            let function = functions(module).into_iter().find(|function| function.name == word)?;
            return Some(Target::There(Place { source: Arc::clone(&module.source), span: function.at }));
        } else if let Some(at) = self.variable_declared(word, index) {
            return Some(Target::Here(at));
        }
        if let Some(function) = self.outline.functions.iter().find(|function| function.name == word) {
            return Some(Target::Here(function.at.clone()));
        }
        self.module(word).map(|module| Self::beginning(&module.source))
    }

    /// The nearest declaration of a variable above.
    fn variable_declared(&self, name: &str, at: usize) -> Option<Range<usize>> {
        let function = self.function_at(self.tokens.all[at].span.start)?;
        let from = self.next(function.span.start);
        let body = (from..at).find(|index| self.word(*index) == "{").unwrap_or(at);
        let declares = |index: &usize| {
            self.word(*index) == name
                && (*index < body || matches!(self.word(index - 1), "let" | "const" | "for" | "|"))
        };
        let found = (from + 2..=at).rev().filter(|index| self.is_word(*index)).find(declares)?;
        Some(self.tokens.all[found].span.clone())
    }

    /// Where the file declares a parameter.
    fn param_key(&self, name: &str) -> Option<Target> {
        let declared = self.metadata_of(&self.head)?;
        let at = declared.key(&["params", name])?;
        Some(Target::Here(span(&self.head.source, at)))
    }

    fn metadata_of<'s>(&self, script: &'s Script) -> Option<&'s Expr> {
        let is_metadata = |name: &str| ["FEATURE", "APP"].contains(&name);
        script.syntax.constants.iter().find(|constant| is_metadata(&constant.name)).map(|constant| &constant.value)
    }

    fn declared_by_text(&self, text: usize) -> Option<Target> {
        let said = self.said(text);
        if text > 0 && self.word(text - 1) == "import" {
            return self.library.module(said).map(|module| Self::beginning(&module.source));
        }
        match self.names(text)? {
            Names::Features | Names::Scripts => self.named(said).map(|(_, script)| Self::beginning(&script.source)),
            Names::Artifacts(_) => {
                let (_, _, script) = self.publisher(said)?;
                let at = self.metadata_of(script)?.item("publishes", said)?;
                let source = Arc::clone(&script.source);
                Some(Target::There(Place { span: span(&source, at), source }))
            }
            Names::Assets => {
                let found = self.library.asset(self.file.kind, &self.file.name, said).ok()?;
                let text = String::from_utf8(found.bytes).unwrap_or_default();
                Some(Self::beginning(&Source::new(found.shown, text)))
            }
            Names::Params => self.param_key(said),
            Names::Words(_) => None,
        }
    }

    /// The call whose brackets an offset is in.
    pub fn call_help(&self, offset: usize) -> Option<CallHelp> {
        let next = self.next(offset);
        let mut open = self.around(next)?;
        // In a map of options the call around it helps.
        if matches!(self.map(open), Map::Options(_)) {
            open = self.around(open)?;
        }
        let argument = self.argument(open, next);
        match self.callee(open)? {
            Callee::Verb(signature) => {
                let label = signature.shown();
                let mut parameters: Vec<_> = signature
                    .args
                    .iter()
                    .filter_map(|arg| Some((found_in(&label, arg.name)?, explain::parameter(arg))))
                    .collect();
                if !signature.options.is_empty() {
                    let options: Vec<String> = signature.options.iter().map(explain::parameter).collect();
                    parameters.extend(found_in(&label, "#{ ... }").map(|at| (at, options.join("  \n"))));
                }
                let active = argument.min(parameters.len().saturating_sub(1));
                Some(CallHelp { doc: signature.doc.to_owned(), parameters, active, label })
            }
            Callee::Own(function) => {
                let label = function.shown();
                let parameters =
                    function.params.iter().filter_map(|name| Some((found_in(&label, name)?, String::new()))).collect();
                Some(CallHelp { doc: function.doc.clone(), parameters, active: argument, label })
            }
        }
    }
}

/// Where a parameter stands in how a call is shown.
fn found_in(label: &str, name: &str) -> Option<Range<usize>> {
    let open = label.find('(')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    label[open..]
        .match_indices(name)
        .map(|(at, _)| open + at..open + at + name.len())
        .find(|at| !label[..at.start].ends_with(is_word) && !label[at.end..].starts_with(is_word))
}
