//! A line of shell, taken apart: commands in pipes and lists, quotes, plain variables, redirections to files. What goes
//! beyond that (loops, conditions, functions, globs, substitutions, background) is refused before anything runs.

/// Why a line is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beyond;

/// How a pipeline depends on the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// It runs in any case.
    Always,
    /// Only after success.
    And,
    /// Only after failure.
    Or,
}

/// Commands that read each other's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pipeline {
    pub(super) join: Join,
    pub(super) negated: bool,
    pub(super) commands: Vec<Simple>,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) assignments: Vec<(String, Word)>,
    pub(super) words: Vec<Word>,
    pub(super) redirections: Vec<Redirection>,
}

/// A word before its variables have their values.
pub(super) type Word = Vec<Piece>;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is.
    Text(String),
    /// The value of a variable; unquoted ones fall apart at blanks.
    Variable { name: String, quoted: bool },
}

/// Where a stream goes or comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirection {
    /// 0, 1 or 2.
    pub(super) stream: u8,
    pub(super) to: Target,
}

/// The other end of a redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `< FILE`
    From(Word),
    /// `> FILE`
    Into(Word),
    /// `>> FILE`
    Onto(Word),
    /// `>&N`
    Stream(u8),
}

/// What a line is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(Word),
    /// `;`, a new line, `&&`, `||`, `|`
    Operator(&'static str),
    /// Stream and operator; the next token is the target.
    Redirect(u8, &'static str),
}

/// Words that a shell gives another meaning than a program's name.
const KEYWORDS: [&str; 33] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "exec",
    "eval", "trap", "set", ".", "source", "alias", "local", "return", "break", "continue", "unset", "read", "shift",
    "umask", "wait", "ulimit", "command", "{", "}",
];

/// Takes a script apart.
///
/// # Errors
/// When it has anything that is not understood.
pub(super) fn parse(line: &str) -> Result<Vec<Pipeline>, Beyond> {
    let mut tokens = tokens(line)?.into_iter().peekable();
    let mut list = Vec::new();
    let mut join = Join::Always;
    loop {
        let mut pipeline = Pipeline { join, negated: false, commands: Vec::new() };
        let end = loop {
            let mut simple = Simple::default();
            let end = loop {
                match tokens.next() {
                    None => break None,
                    Some(Token::Operator(operator)) => break Some(operator),
                    Some(Token::Word(word)) => take(&mut simple, &mut pipeline, word)?,
                    Some(Token::Redirect(stream, operator)) => {
                        let Some(Token::Word(word)) = tokens.next() else { return Err(Beyond) };
                        simple.redirections.push(redirection(stream, operator, word)?);
                    }
                }
            };
            let empty = simple == Simple::default();
            match (end, empty, pipeline.commands.is_empty()) {
                (Some("|"), false, _) => pipeline.commands.push(simple),
                (Some("|"), true, _) | (_, true, false) => return Err(Beyond),
                (end, true, true) => break end,
                (end, false, _) => {
                    pipeline.commands.push(simple);
                    break end;
                }
            }
        };
        if pipeline.commands.is_empty() {
            // Nothing between two line ends is nothing; everything else needs a command.
            if join != Join::Always || pipeline.negated || !matches!(end, None | Some("\n")) {
                return Err(Beyond);
            }
        } else {
            list.push(pipeline);
        }
        join = match end {
            None => return Ok(list),
            Some("&&") => Join::And,
            Some("||") => Join::Or,
            Some(_) => Join::Always,
        };
        if join != Join::Always {
            while tokens.next_if_eq(&Token::Operator("\n")).is_some() {}
        } else if tokens.peek().is_none() {
            return Ok(list);
        }
    }
}

fn take(simple: &mut Simple, pipeline: &mut Pipeline, word: Word) -> Result<(), Beyond> {
    let first = simple.words.is_empty();
    if first && let [Piece::Text(text), rest @ ..] = &word[..] {
        if rest.is_empty() && text == "!" && pipeline.commands.is_empty() && simple.assignments.is_empty() {
            pipeline.negated = true;
            return Ok(());
        }
        if rest.is_empty() && KEYWORDS.contains(&text.as_str()) {
            return Err(Beyond);
        }
        if let Some((name, value)) = text.split_once('=').filter(|(name, _)| is_name(name)) {
            let value = (!value.is_empty()).then(|| Piece::Text(value.to_owned()));
            let value = value.into_iter().chain(rest.iter().cloned()).collect();
            simple.assignments.push((name.to_owned(), value));
            return Ok(());
        }
    }
    simple.words.push(word);
    Ok(())
}

fn redirection(stream: u8, operator: &str, word: Word) -> Result<Redirection, Beyond> {
    let to = match operator {
        "<" => Target::From(word),
        ">" => Target::Into(word),
        ">>" => Target::Onto(word),
        _ => match &word[..] {
            [Piece::Text(number)] => Target::Stream(number.parse().ok().filter(|n| *n < 3).ok_or(Beyond)?),
            _ => return Err(Beyond),
        },
    };
    Ok(Redirection { stream, to })
}

/// Whether text can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The word under construction.
#[derive(Default)]
struct Builder {
    pieces: Word,
    text: String,
    /// Also an empty pair of quotes is a word.
    begun: bool,
}

impl Builder {
    fn push(&mut self, c: char) {
        self.text.push(c);
        self.begun = true;
    }

    fn variable(&mut self, name: String, quoted: bool) {
        self.cut();
        self.pieces.push(Piece::Variable { name, quoted });
        self.begun = true;
    }

    fn cut(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.text)));
        }
    }

    fn end(&mut self, tokens: &mut Vec<Token>) {
        self.cut();
        if std::mem::take(&mut self.begun) {
            let mut pieces = std::mem::take(&mut self.pieces);
            if pieces.is_empty() {
                pieces.push(Piece::Text(String::new()));
            }
            tokens.push(Token::Word(pieces));
        }
    }
}

fn tokens(line: &str) -> Result<Vec<Token>, Beyond> {
    let mut tokens = Vec::new();
    let mut word = Builder::default();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => word.end(&mut tokens),
            '\n' | ';' => {
                word.end(&mut tokens);
                tokens.push(Token::Operator(if c == ';' { ";" } else { "\n" }));
            }
            '&' | '|' => {
                word.end(&mut tokens);
                match (c, chars.next_if_eq(&c).is_some()) {
                    ('&', true) => tokens.push(Token::Operator("&&")),
                    ('|', true) => tokens.push(Token::Operator("||")),
                    ('|', false) => tokens.push(Token::Operator("|")),
                    _ => return Err(Beyond),
                }
            }
            '<' | '>' => {
                let number = (word.pieces.is_empty() && word.begun).then(|| word.text.parse::<u8>().ok()).flatten();
                let stream = match number {
                    Some(number) if number < 3 => {
                        word = Builder::default();
                        number
                    }
                    _ => {
                        word.end(&mut tokens);
                        u8::from(c == '>')
                    }
                };
                let operator = match (c, chars.peek()) {
                    ('>', Some('>')) => ">>",
                    ('>', Some('&')) => ">&",
                    ('<', Some('<' | '&' | '>')) | ('>', Some('|')) => return Err(Beyond),
                    ('>', _) => ">",
                    _ => "<",
                };
                if operator.len() == 2 {
                    chars.next();
                }
                tokens.push(Token::Redirect(stream, operator));
            }
            '\'' => {
                word.begun = true;
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(Beyond),
                    }
                }
            }
            '"' => {
                word.begun = true;
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('$' | '`' | '"' | '\\')) => word.push(c),
                            Some('\n') => {}
                            Some(c) => {
                                word.push('\\');
                                word.push(c);
                            }
                            None => return Err(Beyond),
                        },
                        Some('$') => dollar(&mut chars, &mut word, true)?,
                        Some('`') | None => return Err(Beyond),
                        Some(c) => word.push(c),
                    }
                }
            }
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(c) => word.push(c),
                None => return Err(Beyond),
            },
            '$' => dollar(&mut chars, &mut word, false)?,
            '#' if !word.begun => while chars.next_if(|c| *c != '\n').is_some() {},
            // `[` alone is a program.
            '[' if !word.begun && chars.peek() == Some(&' ') => word.push('['),
            '`' | '(' | ')' | '*' | '?' | '[' => return Err(Beyond),
            '~' if !word.begun => return Err(Beyond),
            c => word.push(c),
        }
    }
    word.end(&mut tokens);
    Ok(tokens)
}

/// What follows a `$`.
fn dollar(chars: &mut std::iter::Peekable<std::str::Chars>, word: &mut Builder, quoted: bool) -> Result<(), Beyond> {
    let mut name = String::new();
    match chars.peek() {
        Some('{') => {
            chars.next();
            loop {
                match chars.next() {
                    Some('}') => break,
                    Some(c) => name.push(c),
                    None => return Err(Beyond),
                }
            }
            let special = name == "?" || name.bytes().all(|b| b.is_ascii_digit());
            if name.is_empty() || !(special || is_name(&name)) {
                return Err(Beyond);
            }
        }
        Some(c) if *c == '?' || *c == '#' || c.is_ascii_digit() => name.extend(chars.next()),
        Some(c) if c.is_ascii_alphabetic() || *c == '_' => {
            while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                name.push(c);
            }
        }
        Some('(' | '@' | '*' | '$' | '!' | '-' | '\'' | '"') => return Err(Beyond),
        _ => {
            word.push('$');
            return Ok(());
        }
    }
    word.variable(name, quoted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(line: &str) -> String {
        let Ok(list) = parse(line) else { return "beyond".to_owned() };
        let word = |word: &Word| {
            let piece = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable { name, quoted } => format!("${}{name}", if *quoted { "'" } else { "" }),
            };
            word.iter().map(piece).collect::<String>()
        };
        let simple = |simple: &Simple| {
            let mut parts: Vec<String> =
                simple.assignments.iter().map(|(name, value)| format!("{name}:={}", word(value))).collect();
            parts.extend(simple.words.iter().map(word));
            parts.extend(simple.redirections.iter().map(|redirection| match &redirection.to {
                Target::From(file) => format!("{}<{}", redirection.stream, word(file)),
                Target::Into(file) => format!("{}>{}", redirection.stream, word(file)),
                Target::Onto(file) => format!("{}>>{}", redirection.stream, word(file)),
                Target::Stream(stream) => format!("{}>&{stream}", redirection.stream),
            }));
            parts.join(" ")
        };
        let pipeline = |pipeline: &Pipeline| {
            let sign = match pipeline.join {
                Join::Always => "",
                Join::And => "&& ",
                Join::Or => "|| ",
            };
            let not = if pipeline.negated { "! " } else { "" };
            format!("{sign}{not}{}", pipeline.commands.iter().map(simple).collect::<Vec<_>>().join(" | "))
        };
        list.iter().map(pipeline).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn lists_pipes_quotes_variables_and_redirections_are_understood() {
        let cases = [
            ("echo out; echo err >&2; exit 7", "echo out\necho err 1>&2\nexit 7"),
            ("cat > /root/file", "cat 1>/root/file"),
            ("echo x > /data/f && cat /data/f", "echo x 1>/data/f\n&& cat /data/f"),
            ("a=1 b='2 3' env | wc -l || false", "a:=1 b:=2 3 env | wc -l\n|| false"),
            ("echo \"a $HOME\" ${x}y '$z' \\$q", "echo a $'HOME $xy $z $q"),
            ("! test -f x 2>/dev/null # why\n\ntrue", "! test -f x 2>/dev/null\ntrue"),
            ("[ -n \"$A\" ] &&\n echo ''", "[ -n $'A ]\n&& echo "),
            ("", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(shape(line), expected, "{line}");
        }
    }

    #[test]
    fn what_a_small_shell_cannot_do_is_refused() {
        for line in [
            "if true; then echo; fi",
            "for i in 1; do :; done",
            "echo $(id)",
            "echo `id`",
            "ls *",
            "(true)",
            "sleep 1 &",
            "cat <<E\nE",
            "echo ${x:-1}",
            "a ||",
            "| a",
            "exec true",
            "echo 'open",
            "echo ~",
            "a;;b",
            "$((1))",
        ] {
            assert_eq!(shape(line), "beyond", "{line}");
        }
    }
}
