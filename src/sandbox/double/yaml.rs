//! The little of YAML that generated configuration uses: block maps and lists, plain and quoted scalars, flow lists and
//! maps on one line, comments. Anything else is an error, never a guess.

use serde_json::{Map, Value};

/// A line that says something.
struct Line<'t> {
    number: usize,
    indent: usize,
    text: &'t str,
}

/// Reads one document; an empty one is null.
///
/// # Errors
/// With the number of the line that is not understood.
pub(in crate::sandbox) fn parse(text: &str) -> Result<Value, String> {
    let mut lines = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let line = without_comment(raw).trim_end();
        let body = line.trim_start_matches(' ');
        if body.is_empty() || body == "---" {
            continue;
        }
        if body.starts_with('\t') {
            return Err(problem(index + 1, "found character that cannot start any token"));
        }
        lines.push(Line { number: index + 1, indent: line.len() - body.len(), text: body });
    }
    let mut reader = Reader { lines: &lines, at: 0 };
    let value = match lines.first() {
        Some(first) => reader.block(first.indent)?,
        None => Value::Null,
    };
    match reader.peek() {
        Some(line) => Err(problem(line.number, "did not find expected key")),
        None => Ok(value),
    }
}

struct Reader<'l, 't> {
    lines: &'l [Line<'t>],
    at: usize,
}

impl<'l, 't> Reader<'l, 't> {
    fn peek(&self) -> Option<&'l Line<'t>> {
        self.lines.get(self.at)
    }

    /// A map or list whose lines begin at this column.
    fn block(&mut self, indent: usize) -> Result<Value, String> {
        match self.peek() {
            Some(line) if item(line.text).is_some() => self.list(indent),
            Some(line) if pair(line.text).is_none() => {
                self.at += 1;
                scalar(line.text).map_err(|reason| problem(line.number, reason))
            }
            _ => self.map(indent),
        }
    }

    fn list(&mut self, indent: usize) -> Result<Value, String> {
        let mut values = Vec::new();
        while let Some(line) = self.peek().filter(|line| line.indent == indent) {
            let Some(rest) = item(line.text) else { break };
            let column = indent + line.text.len() - rest.len();
            values.push(match (rest, pair(rest)) {
                ("", _) => {
                    self.at += 1;
                    self.nested(indent, false)?
                }
                // A map that begins in the line of its dash goes on below, in the column of its first key.
                (_, Some(_)) => {
                    let mut head = Reader { lines: &[Line { number: line.number, indent: column, text: rest }], at: 0 };
                    self.at += 1;
                    self.map_from(column, Some(&mut head))?
                }
                (_, None) => {
                    self.at += 1;
                    scalar(rest).map_err(|reason| problem(line.number, reason))?
                }
            });
        }
        Ok(Value::Array(values))
    }

    fn map(&mut self, indent: usize) -> Result<Value, String> {
        self.map_from(indent, None)
    }

    /// A map, its first line perhaps taken from elsewhere.
    fn map_from(&mut self, indent: usize, mut head: Option<&mut Reader<'_, 't>>) -> Result<Value, String> {
        let mut map = Map::new();
        loop {
            let (number, text) = match head.take() {
                Some(head) => (head.lines[0].number, head.lines[0].text),
                None => match self.peek().filter(|line| line.indent == indent) {
                    Some(line) => {
                        self.at += 1;
                        (line.number, line.text)
                    }
                    None => break,
                },
            };
            let (key, value) = pair(text).ok_or_else(|| problem(number, "could not find expected ':'"))?;
            let key = match scalar(key).map_err(|reason| problem(number, reason))? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            let value = match value {
                "" => self.nested(indent, true)?,
                text => scalar(text).map_err(|reason| problem(number, reason))?,
            };
            if map.insert(key.clone(), value).is_some() {
                return Err(problem(number, &format!("mapping key \"{key}\" already defined")));
            }
        }
        Ok(Value::Object(map))
    }

    /// What stands below a line that ends with its key or dash. A list may stand in the column of its key.
    fn nested(&mut self, indent: usize, list_here: bool) -> Result<Value, String> {
        match self.peek() {
            Some(line) if line.indent > indent => {
                let column = line.indent;
                self.block(column)
            }
            Some(line) if list_here && line.indent == indent && item(line.text).is_some() => self.list(indent),
            _ => Ok(Value::Null),
        }
    }
}

/// What follows a dash.
fn item(text: &str) -> Option<&str> {
    if text == "-" { Some("") } else { text.strip_prefix("- ").map(str::trim_start) }
}

/// Key and value of a line of a map.
fn pair(text: &str) -> Option<(&str, &str)> {
    let start = match text.chars().next()? {
        quote @ ('"' | '\'') => text[1..].find(quote)? + 2,
        '[' | '{' => return None,
        _ => 0,
    };
    if let Some(key) = text.strip_suffix(':')
        && key.len() >= start
        && !key[start..].contains(": ")
    {
        return Some((key, ""));
    }
    let colon = start + text[start..].find(": ")?;
    Some((&text[..colon], text[colon + 2..].trim_start()))
}

fn scalar(text: &str) -> Result<Value, &'static str> {
    Ok(match text.chars().next() {
        Some('"') => serde_json::from_str(text).map_err(|_| "found unknown escape character or unexpected end")?,
        Some('\'') => {
            let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            Value::String(inner.ok_or("found unexpected end of quoted scalar")?.replace("''", "'"))
        }
        Some('{') => serde_json::from_str(text).map_err(|_| "flow maps are read as JSON only")?,
        Some('[') => match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_) => {
                let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
                let words = inner.ok_or("did not find expected ',' or ']'")?.split(',').map(str::trim);
                Value::Array(words.filter(|word| !word.is_empty()).map(scalar).collect::<Result<_, _>>()?)
            }
        },
        Some('|' | '>' | '&' | '*' | '!' | '%' | '@' | '`') => return Err("this kind of value is not read here"),
        _ => match text {
            "" | "~" | "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
        },
    })
}

/// The line up to a comment, which begins at a blank or at the start.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (index, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before == ' ' => return &line[..index],
            (None, '"' | '\'') if matches!(before, ' ' | '[' | '{' | ',' | ':') => quote = Some(c),
            (Some(open), _) if open == c && before != '\\' => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

fn problem(line: usize, reason: &str) -> String {
    format!("yaml: line {line}: {reason}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_generated_files_use() {
        let text = "\
# head
entryPoints:
  web:
    address: \":80\"   # every address
  websecure: {\"address\": \":443\"}
ping: {}
list:
- a
- name: 'it''s'
  rule: Host(`a.example.org`) || Host(`b.example.org`)
  points: [web, websecure]
-
  - 1
  - true
empty:
";
        let expected = json!({
            "entryPoints": { "web": { "address": ":80" }, "websecure": { "address": ":443" } },
            "ping": {},
            "list": [
                "a",
                { "name": "it's", "rule": "Host(`a.example.org`) || Host(`b.example.org`)", "points": ["web", "websecure"] },
                [1, true],
            ],
            "empty": null,
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        assert_eq!(parse("a: 1\n  b: 2\n").unwrap_err(), "yaml: line 2: did not find expected key");
        assert_eq!(parse("a: 1\na: 2\n").unwrap_err(), "yaml: line 2: mapping key \"a\" already defined");
        assert_eq!(parse("a:\n\tb: 1\n").unwrap_err(), "yaml: line 2: found character that cannot start any token");
        assert_eq!(parse("a: |\n  text\n").unwrap_err(), "yaml: line 1: this kind of value is not read here");
    }
}
