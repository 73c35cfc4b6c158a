//! The type of what stands before an offset, as far as words tell.

use super::Sheet;
use super::tokens::Kind;
use crate::script::api::signature::{Signature, Type};
use crate::script::check::Role;

/// Longer chains, or variables made of variables, are of unknown type.
const DEPTH: u8 = 32;

impl Sheet<'_> {
    /// The type of the expression whose last token this is.
    pub(super) fn type_ending(&self, last: usize) -> Type {
        self.typed(last, DEPTH)
    }

    /// What our tables say of the member of this name, whose word this is.
    pub(super) fn member(&self, name: usize) -> Option<&'static Signature> {
        self.member_of(name, DEPTH)
    }

    fn member_of(&self, name: usize, depth: u8) -> Option<&'static Signature> {
        self.member_on(self.typed(name.checked_sub(2)?, depth), self.word(name))
    }

    fn member_on(&self, on: Type, name: &str) -> Option<&'static Signature> {
        match (on, self.vocabulary.anywhere(name)) {
            // On a value of unknown type the name still tells, if only one table has it.
            (Type::Any, [one]) => Some(one),
            _ => self.vocabulary.member(on, name),
        }
    }

    fn typed(&self, last: usize, depth: u8) -> Type {
        let (Some(depth), Some(token)) = (depth.checked_sub(1), self.tokens.all.get(last)) else { return Type::Any };
        let before = last.checked_sub(1);
        match (token.kind, self.word(last)) {
            (Kind::Text { .. }, _) => Type::Text,
            (Kind::Number, _) => Type::Int,
            (Kind::Mark, ")") => self.call_ending(last, depth),
            (Kind::Mark, "]") => self.list_ending(last, depth),
            (Kind::Mark, "}") => match self.tokens.opening(self.text, last) {
                Some(open) if self.word(open) == "#{" => Type::Map,
                _ => Type::Any,
            },
            (Kind::Mark, _) => Type::Any,
            (Kind::Word, "true" | "false") => Type::Bool,
            (Kind::Word, name) => match before {
                // What stands before is asked once: twice for each link would be without end in long chains.
                Some(dot) if self.is_dot(dot) => match self.typed(dot.saturating_sub(1), depth) {
                    Type::Params => self.param_type(name),
                    on => {
                        self.member_on(on, name).filter(|found| found.property).map_or(Type::Any, |found| found.returns)
                    }
                },
                Some(mark) if self.word(mark) == "::" => Type::Any,
                _ => self.variable(name, last, depth),
            },
        }
    }

    fn call_ending(&self, close: usize, depth: u8) -> Type {
        let Some(open) = self.tokens.opening(self.text, close) else { return Type::Any };
        let Some(name) = open.checked_sub(1).filter(|name| self.is_word(*name)) else { return Type::Any };
        let word = self.word(name);
        match name.checked_sub(1) {
            Some(dot) if self.is_dot(dot) => self.member_of(name, depth).map_or(Type::Any, |verb| verb.returns),
            Some(mark) if self.word(mark) == "::" => Type::Any,
            _ if self.outline.functions.iter().any(|function| function.name == word) => Type::Any,
            _ => self.vocabulary.function(word).map_or(Type::Any, |verb| verb.returns),
        }
    }

    fn list_ending(&self, close: usize, depth: u8) -> Type {
        let Some(open) = self.tokens.opening(self.text, close) else { return Type::Any };
        match open.checked_sub(1) {
            Some(before) if self.is_word(before) || matches!(self.word(before), ")" | "]") => {
                match self.typed(before, depth) {
                    Type::Params if self.is_text(open + 1) => self.param_type(self.said(open + 1)),
                    _ => Type::Any,
                }
            }
            _ => Type::Array,
        }
    }

    fn param_type(&self, name: &str) -> Type {
        use crate::model::ParamType;
        let Some(param) = self.spec.as_ref().and_then(|spec| spec.params.get(name)) else { return Type::Any };
        match param.kind {
            ParamType::Int | ParamType::Port => Type::Int,
            ParamType::Bool => Type::Bool,
            ParamType::Float => Type::Float,
            ParamType::List => Type::Array,
            ParamType::Map => Type::Map,
            _ => Type::Text,
        }
    }

    /// The type of a variable at a token: by its nearest `let` above in the function, or by what parameters are called.
    fn variable(&self, name: &str, at: usize, depth: u8) -> Type {
        let offset = self.tokens.all[at].span.start;
        let function = self.function_at(offset);
        let from = function.map_or(0, |function| self.next(function.span.start));
        for index in (from..at).rev().filter(|index| self.word(*index) == name) {
            match index.checked_sub(1).map(|before| self.word(before)) {
                // A variable is not yet known in its own value.
                Some("let" | "const") if self.word(index + 1) == "=" && self.value_end(index + 2) < at => {
                    return match self.word(self.value_end(index + 2) + 1) {
                        ";" => self.typed(self.value_end(index + 2), depth),
                        _ => Type::Any,
                    };
                }
                Some("for") => return Type::Any,
                Some("(") if index >= 2 && self.word(index - 2) == "catch" => return Type::Error,
                _ => {}
            }
        }
        match function {
            Some(function) if function.params.iter().any(|param| param == name) => self.vocabulary.parameter(name),
            // A head that is not finished yet.
            None if self.file.role == Role::Script => self.vocabulary.parameter(name),
            _ => Type::Any,
        }
    }

    /// The last token of the chain that begins here.
    fn value_end(&self, start: usize) -> usize {
        let past = |index: usize| match self.word(index) {
            "(" | "[" | "#{" => self.tokens.closing(self.text, index).unwrap_or(index),
            _ => index,
        };
        let mut end = past(start);
        loop {
            match self.word(end + 1) {
                "." | "?." | "::" if self.is_word(end + 2) => end += 2,
                "(" | "[" => {
                    let next = past(end + 1);
                    if next == end + 1 {
                        return end;
                    }
                    end = next;
                }
                _ => return end,
            }
        }
    }
}
