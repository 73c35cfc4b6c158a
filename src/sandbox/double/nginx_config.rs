//! nginx's configuration language: words, blocks, includes.

use crate::op::{Op, OpValue};
use crate::sandbox::programs::Inside;

/// One directive, with what stands in its block.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) block: Vec<Directive>,
    /// `FILE:LINE`.
    pub(super) place: String,
}

impl Directive {
    /// The first argument.
    pub(super) fn value(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }
}

/// Directives of this name.
pub(super) fn all<'d>(directives: &'d [Directive], name: &'d str) -> impl Iterator<Item = &'d Directive> {
    directives.iter().filter(move |directive| directive.name == name)
}

/// Reads a configuration with everything that it includes.
///
/// # Errors
/// nginx's words.
pub(super) fn read(inside: &mut dyn Inside, path: &str) -> Result<Vec<Directive>, String> {
    let text = inside.text(path).ok_or_else(|| open_failed(path))?;
    let mut tokens = tokens(path, &text)?.into_iter().peekable();
    let directives = block(inside, &mut tokens, path, false)?;
    Ok(directives)
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<(Token, usize)>>;

fn tokens(path: &str, text: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            _ if c.is_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            ';' => tokens.push((Token::End, line)),
            '{' => tokens.push((Token::Open, line)),
            '}' => tokens.push((Token::Close, line)),
            quote @ ('"' | '\'') => {
                let start = line;
                let mut word = String::new();
                loop {
                    match chars.next() {
                        Some(c) if c == quote => break,
                        Some('\\') => word.extend(chars.next()),
                        Some(c) => {
                            line += usize::from(c == '\n');
                            word.push(c);
                        }
                        None => return Err(format!("unexpected end of file, expecting \"{quote}\" in {path}:{start}")),
                    }
                }
                tokens.push((Token::Word(word), start));
            }
            _ => {
                let mut word = String::from(c);
                let mut before = c;
                // `${name}` is part of a word.
                while let Some(c) = chars.next_if(|c| {
                    !c.is_whitespace()
                        && *c != ';'
                        && (*c != '{' || before == '$')
                        && (*c != '}' || word.contains("${"))
                }) {
                    word.push(c);
                    before = c;
                }
                tokens.push((Token::Word(word), line));
            }
        }
    }
    Ok(tokens)
}

fn block(inside: &mut dyn Inside, tokens: &mut Tokens, path: &str, inner: bool) -> Result<Vec<Directive>, String> {
    let mut directives = Vec::new();
    let mut last = 1;
    while let Some((token, line)) = tokens.next() {
        last = line;
        let name = match token {
            Token::Word(name) => name,
            Token::Close if inner => return Ok(directives),
            Token::Close => return Err(format!("unexpected \"}}\" in {path}:{line}")),
            Token::Open => return Err(format!("unexpected \"{{\" in {path}:{line}")),
            Token::End => return Err(format!("unexpected \";\" in {path}:{line}")),
        };
        let place = format!("{path}:{line}");
        let mut args = Vec::new();
        let block_of = loop {
            match tokens.next() {
                Some((Token::Word(word), _)) => args.push(word),
                Some((Token::End, _)) => break Vec::new(),
                // The braces of a map hold pairs, which read like directives.
                Some((Token::Open, _)) => break block(inside, tokens, path, true)?,
                Some((Token::Close, line)) => return Err(format!("unexpected \"}}\" in {path}:{line}")),
                None => return Err(format!("unexpected end of file, expecting \";\" or \"}}\" in {path}:{line}")),
            }
        };
        if name == "include" {
            for included in files(inside, args.first().map_or("", String::as_str)) {
                let read = read(inside, &included).map_err(|reason| with_place(reason, &place))?;
                directives.extend(read);
            }
        } else {
            directives.push(Directive { name, args, block: block_of, place });
        }
    }
    if inner { Err(format!("unexpected end of file, expecting \"}}\" in {path}:{last}")) } else { Ok(directives) }
}

/// Files that an include names: one, or those of a directory that fit `*`, in order.
fn files(inside: &mut dyn Inside, pattern: &str) -> Vec<String> {
    let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/nginx/{pattern}") };
    let Some((directory, name)) = pattern.rsplit_once('/').filter(|(_, name)| name.contains('*')) else {
        return vec![pattern];
    };
    let (before, after) = name.split_once('*').unwrap_or((name, ""));
    let Ok(OpValue::Entries(Some(entries))) = inside.perform(&Op::List { path: directory.to_owned() }) else {
        return Vec::new();
    };
    let names = entries.into_iter().map(|entry| entry.name);
    let fits = |name: &String| name.starts_with(before) && name.ends_with(after) && !name.starts_with('.');
    names.filter(fits).map(|name| format!("{directory}/{name}")).collect()
}

fn open_failed(path: &str) -> String {
    format!("open() \"{path}\" failed (2: No such file or directory)")
}

fn with_place(reason: String, place: &str) -> String {
    if reason.contains(" in /") { reason } else { format!("{reason} in {place}") }
}
