//! The words of a script, also of one that does not parse: while somebody types, it hardly ever does.

use std::ops::Range;

/// One word, number, text or mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    /// Bytes of the file.
    pub span: Range<usize>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    /// A number.
    Number,
    /// A text with its quotes; `closed`: its end was there. Of a template each piece between `${...}`.
    Text {
        /// Whether its closing quote was found.
        closed: bool,
    },
    /// `#{`, `${`, `::`, `?.`, or one character.
    Mark,
}

/// The tokens of a file, and its comments.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub all: Vec<Token>,
    /// Comments, in their order.
    pub comments: Vec<Range<usize>>,
}

/// Goes through a file.
struct Lexer<'t> {
    text: &'t str,
    at: usize,
    found: Tokens,
    /// Braces that are open, for each template that is open.
    templates: Vec<usize>,
}

impl Tokens {
    /// The tokens of a text.
    pub fn of(text: &str) -> Tokens {
        let mut lexer = Lexer { text, at: 0, found: Tokens::default(), templates: Vec::new() };
        while let Some(c) = lexer.rest().chars().next() {
            lexer.one(c);
        }
        lexer.found
    }
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn take(&mut self, kind: Kind, length: usize) {
        self.found.all.push(Token { kind, span: self.at..self.at + length });
        self.at += length;
    }

    fn one(&mut self, c: char) {
        let rest = self.rest();
        if c.is_whitespace() {
            self.at += c.len_utf8();
        } else if rest.starts_with("//") {
            self.comment(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.comment(block_comment(rest));
        } else if is_word(c) && !c.is_ascii_digit() {
            self.take(Kind::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        } else if c.is_ascii_digit() {
            // `0..5` are three tokens.
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            self.take(Kind::Number, end);
        } else if c == '`' {
            self.template(1);
        } else if c == '"' || c == '\'' {
            let (length, closed) = quoted(rest, c);
            self.take(Kind::Text { closed }, length);
        } else if c == '}' && self.templates.last() == Some(&0) {
            self.take(Kind::Mark, 1);
            self.templates.pop();
            self.template(0);
        } else {
            if let (Some(open), true) = (self.templates.last_mut(), c == '{' || rest.starts_with("#{")) {
                *open += 1;
            } else if let (Some(open), '}') = (self.templates.last_mut(), c) {
                *open -= 1;
            }
            let long = ["#{", "::", "?."].iter().any(|mark| rest.starts_with(mark));
            self.take(Kind::Mark, if long { 2 } else { c.len_utf8() });
        }
    }

    fn comment(&mut self, length: usize) {
        self.found.comments.push(self.at..self.at + length);
        self.at += length;
    }

    /// Text between backticks, up to its end or the next `${`. `quote`: length of the opening backtick, if it is here.
    fn template(&mut self, quote: usize) {
        let rest = self.rest();
        let inside = &rest[quote..];
        let end = inside.find('`');
        match inside.find("${").filter(|hole| end.is_none_or(|end| *hole < end)) {
            Some(hole) => {
                self.take(Kind::Text { closed: true }, quote + hole);
                self.take(Kind::Mark, 2);
                self.templates.push(0);
            }
            None => {
                let length = end.map_or(rest.len(), |end| quote + end + 1);
                self.take(Kind::Text { closed: end.is_some() }, length);
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Length of a text in quotes, which ends with its line, and whether its closing quote is there.
fn quoted(rest: &str, quote: char) -> (usize, bool) {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return (at, false),
            '\\' if !escaped => escaped = true,
            c if c == quote && !escaped => return (at + 1, true),
            _ => escaped = false,
        }
    }
    (rest.len(), false)
}

/// Length of a `/* ... */`, which may hold others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = rest[at..].find(['/', '*']) {
        at += found;
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        Tokens::of(text).all.into_iter().map(|token| &text[token.span]).collect()
    }

    #[test]
    fn words_texts_and_marks_are_told_apart() {
        assert_eq!(
            words("let a = guest.file(\"/x\\\"y\", #{ b: 1..2 }); // no"),
            [
                "let",
                "a",
                "=",
                "guest",
                ".",
                "file",
                "(",
                "\"/x\\\"y\"",
                ",",
                "#{",
                "b",
                ":",
                "1",
                ".",
                ".",
                "2",
                "}",
                ")",
                ";"
            ]
        );
        assert_eq!(words("`a${b.c(#{ d: `x${e}` })}f` + g"), {
            ["`a", "${", "b", ".", "c", "(", "#{", "d", ":", "`x", "${", "e", "}", "`", "}", ")", "}", "f`", "+", "g"]
        });
    }

    #[test]
    fn what_is_not_finished_ends_somewhere() {
        assert_eq!(words("info(\"open\nnext"), ["info", "(", "\"open", "next"]);
        assert_eq!(words("`open ${x"), ["`open ", "${", "x"]);
        assert_eq!(words("/* /* */ still"), [] as [&str; 0]);
        assert_eq!(words("}}} é"), ["}", "}", "}", "é"]);
    }
}
