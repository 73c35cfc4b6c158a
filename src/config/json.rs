//! Strict JSON with places: every key and value knows its bytes in the file.
//!
//! serde_json tells the line of a syntax error but not where a value stands, and findings about values are what an
//! operator needs most. Reading goes on after the mistakes people make by hand (a comment, a trailing or missing
//! comma), so one reading reports them all.

use std::collections::HashMap;
use std::ops::Range;

/// Nesting deeper than this is refused instead of exhausting the stack.
const DEPTH: usize = 64;

/// A value and the bytes it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// What stands there.
    pub data: Data,
}

/// The six kinds of JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(serde_json::Number),
    /// Text, escapes resolved.
    Text(String),
    /// `[...]`
    List(Vec<Value>),
    /// `{...}` in file order; a repeated key is there twice.
    Map(Vec<Member>),
}

/// One `"key": value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The key.
    pub key: String,
    /// Bytes of the key, quotes included.
    pub key_span: Range<usize>,
    /// Its value.
    pub value: Value,
}

impl Value {
    /// The value of a key; of a repeated key the last one, as jq has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.member(key).map(|member| &member.value)
    }

    /// Key and value of a key.
    pub fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().rev().find(|member| member.key == key)
    }

    /// The members of a map; of anything else none.
    pub fn members(&self) -> &[Member] {
        match &self.data {
            Data::Map(members) => members,
            _ => &[],
        }
    }

    /// The items of a list; of anything else none.
    pub fn items(&self) -> &[Value] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if it is text.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value that a path such as `network_config.ip` or `features.0` leads to.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').filter(|step| !step.is_empty()).try_fold(self, |value, step| match &value.data {
            Data::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => value.get(step),
        })
    }

    /// The kind of value, for messages: `a whole number`.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "true or false",
            Data::Number(number) if number.is_f64() => "a number",
            Data::Number(_) => "a whole number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    /// The same value without places.
    pub fn plain(&self) -> serde_json::Value {
        match &self.data {
            Data::Null => serde_json::Value::Null,
            Data::Bool(value) => (*value).into(),
            Data::Number(number) => number.clone().into(),
            Data::Text(text) => text.clone().into(),
            Data::List(items) => items.iter().map(Value::plain).collect(),
            Data::Map(members) => members
                .iter()
                .map(|member| (member.key.clone(), member.value.plain()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// Something in the text that JSON does not allow.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntaxError {
    /// Where.
    pub span: Range<usize>,
    /// What, as a fragment.
    pub message: String,
    /// What to write instead.
    pub hint: Option<&'static str>,
}

/// A key that stands twice in one map.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeated {
    /// The key.
    pub key: String,
    /// Bytes of the earlier key.
    pub first: Range<usize>,
    /// Bytes of the later key, whose value counts.
    pub again: Range<usize>,
}

/// What reading a text gave.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The value, as far as it could be read.
    pub value: Option<Value>,
    /// Everything that is not JSON, in order.
    pub errors: Vec<SyntaxError>,
    /// Repeated keys, in order.
    pub repeated: Vec<Repeated>,
}

/// Reads one JSON text.
pub fn parse(text: &str) -> Parsed {
    let mut parser = Parser { text, at: 0, depth: 0, parsed: Parsed::default() };
    if text.starts_with('\u{feff}') {
        parser.error(0..3, "a byte order mark", Some("save the file as UTF-8 without byte order mark"));
        parser.at = 3;
    }
    let value = parser.value();
    if let Some(value) = value {
        parser.blank();
        if parser.at < text.len() {
            let end = parser.at + parser.peek().map_or(0, char::len_utf8);
            parser.error(parser.at..end, "more text after the end of the value", None);
        }
        parser.parsed.value = Some(value);
    }
    parser.parsed
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    parsed: Parsed,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<&'static str>) {
        self.parsed.errors.push(SyntaxError { span, message: message.into(), hint });
    }

    /// Reports what stands here instead of what was expected. Ends the reading: `None` for `?`.
    fn unexpected<T>(&mut self, expected: &str) -> Option<T> {
        let (span, found) = match self.peek() {
            None => (self.at..self.at, "the end of the file".to_owned()),
            Some(c) => {
                let word: usize =
                    self.text[self.at..].chars().take_while(|c| c.is_alphanumeric()).map(char::len_utf8).sum();
                let end = self.at + word.max(c.len_utf8());
                let shown = &self.text[self.at..end];
                let shown = if c.is_control() { shown.escape_debug().to_string() } else { shown.to_owned() };
                (self.at..end, format!("`{shown}`"))
            }
        };
        let hint = match self.peek() {
            Some('\'') => Some("JSON has double quotes only"),
            Some('N' | 'I' | 'u') => Some("JSON knows null, true, false, numbers and quoted text"),
            Some('T' | 'F') => Some("JSON writes true and false in lower case"),
            _ => None,
        };
        self.error(span, format!("expected {expected}, found {found}"), hint);
        None
    }

    /// Skips white space, and comments with a finding.
    fn blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            let rest = &self.text[self.at..];
            let length = if rest.starts_with("//") || rest.starts_with('#') {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                return;
            };
            self.error(
                self.at..self.at + length,
                "a comment, which JSON does not have",
                Some("write remarks in `comment` fields: \"comment\": \"...\""),
            );
            self.at += length;
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.blank();
        let start = self.at;
        let data = match self.byte() {
            Some(b'{') => self.nested(Self::map)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => Data::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Data::Number(self.number()?),
            _ => {
                let words = [("null", Data::Null), ("true", Data::Bool(true)), ("false", Data::Bool(false))];
                let rest = &self.text[self.at..];
                let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
                match words.into_iter().find(|(name, _)| *name == word) {
                    Some((name, data)) => {
                        self.at += name.len();
                        data
                    }
                    None => return self.unexpected("a value"),
                }
            }
        };
        Some(Value { span: start..self.at, data })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Data>) -> Option<Data> {
        if self.depth == DEPTH {
            self.error(self.at..self.at + 1, format!("nested deeper than {DEPTH} levels"), None);
            return None;
        }
        self.depth += 1;
        let data = read(self);
        self.depth -= 1;
        data
    }

    fn list(&mut self) -> Option<Data> {
        let mut items = Vec::new();
        self.at += 1;
        while self.more(b']', items.is_empty())? {
            items.push(self.value()?);
        }
        Some(Data::List(items))
    }

    fn map(&mut self) -> Option<Data> {
        let mut members: Vec<Member> = Vec::new();
        let mut seen: HashMap<String, Range<usize>> = HashMap::new();
        self.at += 1;
        while self.more(b'}', members.is_empty())? {
            let start = self.at;
            if self.byte() != Some(b'"') {
                return self.unexpected("a quoted key");
            }
            let key = self.string()?;
            let key_span = start..self.at;
            self.blank();
            if self.byte() != Some(b':') {
                return self.unexpected(&format!("`:` after the key `{key}`"));
            }
            self.at += 1;
            let value = self.value()?;
            if let Some(first) = seen.insert(key.clone(), key_span.clone()) {
                self.parsed.repeated.push(Repeated { key: key.clone(), first, again: key_span.clone() });
            }
            members.push(Member { key, key_span, value });
        }
        Some(Data::Map(members))
    }

    /// Stands before an item or behind the closing bracket: whether an item follows. Commas are dealt with here.
    fn more(&mut self, close: u8, first: bool) -> Option<bool> {
        let before = self.at;
        self.blank();
        if self.byte() == Some(close) {
            self.at += 1;
            return Some(false);
        }
        if first {
            return match self.byte() {
                Some(b',') | None => self.unexpected(&format!("a value or `{}`", close as char)),
                Some(_) => Some(true),
            };
        }
        if self.byte() != Some(b',') {
            return match self.byte() {
                // The next item has begun: only the comma is missing.
                Some(b'"' | b'{' | b'[') => {
                    self.error(before..before, "expected `,` before the next item", Some("put a comma here"));
                    Some(true)
                }
                _ => self.unexpected(&format!("`,` or `{}`", close as char)),
            };
        }
        let comma = self.at;
        self.at += 1;
        self.blank();
        if self.byte() == Some(close) {
            self.error(comma..comma + 1, format!("a comma before `{}`", close as char), Some("remove the comma"));
            self.at += 1;
            return Some(false);
        }
        Some(true)
    }

    fn number(&mut self) -> Option<serde_json::Number> {
        let rest = &self.text[self.at..];
        let length =
            rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_')).count();
        let written = &rest[..length];
        let span = self.at..self.at + length;
        self.at += length;
        match serde_json::from_str::<serde_json::Number>(written) {
            Ok(number) => Some(number),
            Err(_) => {
                self.error(
                    span,
                    format!("`{written}` is no JSON number"),
                    Some("digits only; text belongs in double quotes"),
                );
                None
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Some(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(b'\t') => {
                    self.error(self.at..self.at + 1, "a tab inside text", Some("write \\t"));
                    text.push('\t');
                    self.at += 1;
                }
                _ => {
                    self.error(
                        start..self.at,
                        "text without closing quote",
                        Some("close it with \" on the same line; a line break is \\n"),
                    );
                    return None;
                }
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let start = self.at;
        let letter = self.text[start + 1..].chars().next();
        self.at += 1 + letter.map_or(0, char::len_utf8);
        let plain = match letter {
            Some(c @ ('"' | '\\' | '/')) => Some(c),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => self.unicode(),
            _ => None,
        };
        if plain.is_none() {
            let written = self.text[start..self.at].to_owned();
            self.error(
                start..self.at,
                format!("`{written}` is no escape of JSON"),
                Some("a backslash itself is written \\\\"),
            );
        }
        plain
    }

    /// The four digits after `\u`, and of a surrogate pair the second half too.
    fn unicode(&mut self) -> Option<char> {
        let high = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        if !self.text[self.at..].starts_with("\\u") {
            return None;
        }
        self.at += 2;
        let low = self.four_digits()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        parse(text).errors.into_iter().map(|error| format!("{:?} {}", error.span, error.message)).collect()
    }

    #[test]
    fn values_and_keys_know_their_bytes() {
        let text = r#"{ "a": [1, "zwölf", true], "b": {"c": null} }"#;
        let parsed = parse(text);
        assert_eq!(parsed.errors, []);
        let value = parsed.value.unwrap();
        assert_eq!(&text[value.at("a.1").unwrap().span.clone()], "\"zwölf\"");
        assert_eq!(&text[value.member("b").unwrap().key_span.clone()], "\"b\"");
        assert_eq!(&text[value.at("b.c").unwrap().span.clone()], "null");
    }

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#" {"t": "\u00e4\ud83d\ude00\n\"\\\/", "n": [-1.5e3, 0, 18446744073709551615], "e": {}, "l": []} "#;
        assert_eq!(parse(text).value.unwrap().plain(), serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn goes_on_after_the_mistakes_of_a_hand() {
        assert_eq!(
            errors("{\"a\": 1, // one\n \"b\": [1, 2,]\n \"c\": 3 }"),
            [
                "9..15 a comment, which JSON does not have",
                "27..28 a comma before `]`",
                "29..29 expected `,` before the next item",
            ]
        );
    }

    #[test]
    fn says_what_it_expected() {
        assert_eq!(errors(""), ["0..0 expected a value, found the end of the file"]);
        assert_eq!(errors("{'a': 1}"), ["1..2 expected a quoted key, found `'`"]);
        assert_eq!(errors("[True]"), ["1..5 expected a value, found `True`"]);
        assert_eq!(errors("[01]"), ["1..3 `01` is no JSON number"]);
        assert_eq!(errors("[\"a]"), ["1..4 text without closing quote"]);
        assert_eq!(errors("[\"\\ud800\"]"), ["2..8 `\\ud800` is no escape of JSON"]);
        assert_eq!(errors("1 2"), ["2..3 more text after the end of the value"]);
        assert_eq!(errors(&"[".repeat(1000)), ["64..65 nested deeper than 64 levels"]);
    }

    #[test]
    fn a_repeated_key_is_found_and_the_last_counts() {
        let parsed = parse(r#"{"a": 1, "a": 2}"#);
        assert_eq!(parsed.repeated, [Repeated { key: "a".into(), first: 1..4, again: 9..12 }]);
        assert_eq!(parsed.value.unwrap().get("a").unwrap().plain(), 2);
    }
}
