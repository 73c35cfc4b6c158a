//! What is around an offset: the token there, the bracket that is open, the call, the map.

use std::ops::Range;

use super::outline::Function;
use super::tokens::{Kind, Tokens};
use super::{Outline, Sheet};
use crate::script::api::signature::Signature;
use crate::script::check::Role;

impl Tokens {
    /// The bracket that closes the one at `open`.
    pub fn closing(&self, text: &str, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (index, token) in self.all.iter().enumerate().skip(open) {
            match &text[token.span.clone()] {
                "(" | "[" | "{" | "#{" | "${" if token.kind == Kind::Mark => depth += 1,
                ")" | "]" | "}" if token.kind == Kind::Mark => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(index);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The innermost bracket that is open before a token.
    pub fn around(&self, text: &str, index: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, token) in self.all.iter().enumerate().take(index).rev() {
            match &text[token.span.clone()] {
                ")" | "]" | "}" if token.kind == Kind::Mark => depth += 1,
                "(" | "[" | "{" | "#{" | "${" if token.kind == Kind::Mark => match depth {
                    0 => return Some(at),
                    _ => depth -= 1,
                },
                _ => {}
            }
        }
        None
    }

    /// The bracket that is closed by the one at `close`.
    pub fn opening(&self, text: &str, close: usize) -> Option<usize> {
        self.around(text, close)
    }
}

/// What is called.
#[derive(Clone, Copy)]
pub(super) enum Callee<'s> {
    /// Something of our tables.
    Verb(&'static Signature),
    /// A function of the file.
    Own(&'s Function),
}

/// What a map is.
pub(super) enum Map {
    /// Options of a verb.
    Options(&'static Signature),
    /// A constant of the file, or a map in it: its name and the keys that lead there.
    Constant(Vec<String>),
    /// Parameters that a test hands to a script.
    ParamsOf(String),
    /// Anything else.
    Unknown,
}

impl<'a> Sheet<'a> {
    /// The first token that begins at an offset or after it.
    pub(super) fn next(&self, offset: usize) -> usize {
        self.tokens.all.partition_point(|token| token.span.start < offset)
    }

    /// The word that an offset is in or at the end of, and its place among the tokens.
    pub(super) fn word_at(&self, offset: usize) -> Option<(usize, Range<usize>)> {
        let next = self.tokens.all.partition_point(|token| token.span.start <= offset);
        [next.checked_sub(1), next.checked_sub(2)].into_iter().flatten().find_map(|index| {
            let token = &self.tokens.all[index];
            (token.kind == Kind::Word && token.span.end >= offset).then(|| (index, token.span.clone()))
        })
    }

    /// The text that an offset is inside of.
    pub(super) fn text_at(&self, offset: usize) -> Option<usize> {
        let index = self.next(offset).checked_sub(1)?;
        let token = &self.tokens.all[index];
        let Kind::Text { closed } = token.kind else { return None };
        (offset < token.span.end || (offset == token.span.end && !closed)).then_some(index)
    }

    /// What a text says, without its quotes.
    pub(super) fn said(&self, index: usize) -> &str {
        self.word(index).trim_matches(['"', '`'])
    }

    pub(super) fn in_comment(&self, offset: usize) -> bool {
        self.tokens.comments.iter().any(|comment| comment.start < offset && offset <= comment.end)
    }

    pub(super) fn is_word(&self, index: usize) -> bool {
        self.tokens.all.get(index).is_some_and(|token| token.kind == Kind::Word)
    }

    pub(super) fn is_text(&self, index: usize) -> bool {
        self.tokens.all.get(index).is_some_and(|token| matches!(token.kind, Kind::Text { .. }))
    }

    pub(super) fn is_dot(&self, index: usize) -> bool {
        // `1..5` has two of them.
        matches!(self.word(index), "." | "?.")
            && (index == 0 || self.word(index - 1) != ".")
            && self.word(index + 1) != "."
    }

    /// The bracket around a token.
    pub(super) fn around(&self, index: usize) -> Option<usize> {
        self.tokens.around(self.text, index)
    }

    /// The function that an offset is in.
    pub(super) fn function_at(&self, offset: usize) -> Option<&Function> {
        // Of a function that is not finished the end is not known.
        self.outline.functions.iter().rev().find(|function| function.span.start <= offset).filter(|function| {
            let finished = self.text[..function.span.end].ends_with('}');
            !finished || offset <= function.span.end
        })
    }

    /// Which argument stands at a token in the brackets that open at `open`.
    pub(super) fn argument(&self, open: usize, index: usize) -> usize {
        (open + 1..index).filter(|at| self.word(*at) == "," && self.around(*at) == Some(open)).count()
    }

    /// What is called with the brackets that open here.
    pub(super) fn callee(&self, open: usize) -> Option<Callee<'_>> {
        let name = open.checked_sub(1).filter(|index| self.word(open) == "(" && self.is_word(*index))?;
        if name > 0 && self.word(name - 1) == "fn" {
            return None;
        }
        self.called(name)
    }

    /// What a name stands for that is called, or could be.
    pub(super) fn called(&self, name: usize) -> Option<Callee<'_>> {
        let word = self.word(name);
        let before = name.checked_sub(1);
        if before.is_some_and(|dot| self.is_dot(dot)) {
            return self.member(name).map(Callee::Verb);
        }
        if before.is_some_and(|mark| self.word(mark) == "::") {
            return None;
        }
        let own = self.outline.functions.iter().find(|function| function.name == word);
        own.map(Callee::Own).or_else(|| self.vocabulary.function(word).map(Callee::Verb))
    }

    /// What the map is that opens here.
    pub(super) fn map(&self, open: usize) -> Map {
        let Some(before) = open.checked_sub(1).filter(|_| self.word(open) == "#{") else { return Map::Unknown };
        match self.word(before) {
            "(" | "," => {
                let Some(call) = self.around(open) else { return Map::Unknown };
                let Some(Callee::Verb(signature)) = self.callee(call) else { return Map::Unknown };
                let argument = self.argument(call, open);
                if self.file.role == Role::Test
                    && ["apply", "health", "remove"].contains(&signature.name)
                    && argument == 1
                {
                    return Map::ParamsOf(self.said(call + 1).to_owned());
                }
                match signature.args.get(argument) {
                    Some(positional) if positional.required => Map::Unknown,
                    _ => Map::Options(signature),
                }
            }
            "=" if before >= 2 && self.word(before - 2) == "const" => {
                Map::Constant(vec![self.word(before - 1).to_owned()])
            }
            ":" if before >= 1 => match self.around(open).map(|above| self.map(above)) {
                Some(Map::Constant(mut path)) => {
                    path.push(self.said(before - 1).to_owned());
                    Map::Constant(path)
                }
                _ => Map::Unknown,
            },
            _ => Map::Unknown,
        }
    }

    /// The key whose value a token belongs to, itself or as an item of a list, and the map that it is in.
    pub(super) fn key_of(&self, index: usize) -> Option<(&str, Map)> {
        let mut index = index;
        if let Some(list) = self.around(index).filter(|open| self.word(*open) == "[") {
            index = list;
        }
        let colon = index.checked_sub(1).filter(|before| self.word(*before) == ":")?;
        let map = self.map(self.around(index)?);
        Some((self.said(colon.checked_sub(1)?), map))
    }
}

impl Outline {
    /// The constant of this name.
    pub(super) fn constant(&self, name: &str) -> Option<Range<usize>> {
        self.constants.iter().find(|(known, _)| known == name).map(|(_, at)| at.clone())
    }
}
