//! Command lines understood, or refused, as Proxmox's own tools do it.
//!
//! The rules are those of Perl's `Getopt::Long` as `PVE::CLIHandler` sets it up: options before, between and after the
//! positionals, `-o` and `--o`, `--o value` and `--o=value`, booleans with an optional value, `--` ends options.
//! What is unique may be cut short: the name of a command, and that of an option.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::schema::{self, Violation, boolean};
use super::table::{CommandSpec, Kind, Schema, Table, table, table_of};
use super::version::Version;

/// A command line understood and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Full name of the command, aliases resolved: `pct clone`, `qm disk resize`.
    pub command: String,
    /// Positional arguments in order.
    pub positionals: Vec<String>,
    /// Options in the order given, each once; booleans as `1` or `0`, repeated lists joined.
    pub options: Vec<(String, String)>,
    /// The words of the command that `pct exec` and `qm guest exec` run.
    pub rest: Vec<String>,
    /// The line that says how the command is called; refusals end with it.
    pub usage: String,
}

impl Call {
    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }

    /// Whether a boolean option is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.option(name) == Some("1")
    }
}

/// A command line refused, in the tools' own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What they print on standard error.
    pub stderr: String,
    /// Exit status.
    pub code: i32,
}

const BAD_ARGUMENTS: i32 = 2;
const NO_COMMAND: i32 = 255;
const EXTRA: &str = "extra-args";

/// Understands a command line as the newest version does. `argv` begins with the tool.
///
/// # Errors
/// What the real tool prints, and its exit status.
pub fn parse(argv: &[String]) -> Result<Call, Refusal> {
    understand(argv, table())
}

/// The same as a node of this version does it.
///
/// # Errors
/// What its tool prints, and its exit status.
pub fn parse_as_of(version: Version, argv: &[String]) -> Result<Call, Refusal> {
    understand(argv, table_of(version))
}

fn understand(argv: &[String], table: &'static Table) -> Result<Call, Refusal> {
    let (name, spec, arguments) = command(argv, table)?;
    // Everything beside its own few options is a parameter of the path, which only the node can judge.
    sort_out(name, spec, arguments, name.starts_with("pvesh "))
}

/// Understands the words after a command by its specification: what `pvesh` does with the parameters of a path.
///
/// # Errors
/// What the real tool prints, and its exit status.
pub fn parse_with(name: &str, spec: &CommandSpec, arguments: &[String]) -> Result<Call, Refusal> {
    sort_out(name, spec, arguments, false)
}

fn sort_out(name: &str, spec: &CommandSpec, arguments: &[String], lenient: bool) -> Result<Call, Refusal> {
    let usage = usage(name, spec);
    let refuse = |message: &'static str| Refusal { stderr: format!("400 {message}\n{usage}\n"), code: BAD_ARGUMENTS };

    let words = Words::sort(arguments, |option| {
        if let Some((name, schema)) = spec.option_in_any_case(option) {
            return Known::Option(name, schema.kind);
        }
        let mut longer = spec.longer_options(option);
        match (longer.len(), lenient) {
            (0, true) => Known::Option(option.to_owned(), Kind::String),
            (0, false) => Known::Nothing,
            (1, _) => {
                let name = longer.remove(0);
                let kind = spec.option(&name).map_or(Kind::String, |schema| schema.kind);
                Known::Option(name, kind)
            }
            _ => Known::Many(longer),
        }
    });
    if !words.complaints.is_empty() {
        let mut refusal = refuse("unable to parse option");
        refusal.stderr.insert_str(0, &words.complaints);
        return Err(refusal);
    }

    let (mut given, rest) = positionals(spec, words.positionals).map_err(refuse)?;
    let options = options(spec, words.options).map_err(refuse)?;
    let mut values = given.clone();
    values.extend(options.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let found = violations(spec, &values);
    if !found.is_empty() {
        return Err(verification_failed(&found, &usage));
    }
    let positionals = spec.positional.iter().filter_map(|name| given.remove(name.as_str())).collect();
    Ok(Call { command: name.to_owned(), positionals, options, rest, usage })
}

/// Positional arguments by name, and the words of the command that is to be run.
fn positionals(spec: &CommandSpec, words: Vec<String>) -> Result<(BTreeMap<&str, String>, Vec<String>), &'static str> {
    let mut words = words.into_iter();
    let mut given = BTreeMap::new();
    let mut rest = Vec::new();
    let takes_list = spec.positional.len() == 1 && spec.option(&spec.positional[0]).is_some_and(is_list);
    for (at, name) in spec.positional.iter().enumerate() {
        if name == EXTRA {
            rest = words.by_ref().collect();
        } else if takes_list {
            given.insert(name.as_str(), words.by_ref().collect::<Vec<_>>().join(","));
        } else if let Some(word) = words.next() {
            given.insert(name.as_str(), word);
        } else if spec.positional[at..].iter().any(|name| spec.option(name).is_some_and(|schema| !schema.optional)) {
            return Err("not enough arguments");
        }
    }
    if words.next().is_some() { Err("too many arguments") } else { Ok((given, rest)) }
}

/// Options as they count: booleans as digits, lists joined, of others the last.
fn options(spec: &CommandSpec, words: Vec<(String, Option<String>)>) -> Result<Vec<(String, String)>, &'static str> {
    let mut options: Vec<(String, String)> = Vec::new();
    for (option, value) in words {
        let schema = spec.option(&option);
        let value = match schema.map(|schema| schema.kind) {
            Some(Kind::Boolean) => {
                value.as_deref().map_or(Some("1"), boolean).ok_or("unable to parse boolean option")?.to_owned()
            }
            _ => value.unwrap_or_default(),
        };
        match options.iter_mut().find(|(name, _)| *name == option) {
            Some((_, old)) if schema.is_some_and(is_list) => _ = write!(old, ",{value}"),
            Some((_, old)) => *old = value,
            None => options.push((option, value)),
        }
    }
    Ok(options)
}

/// The longest name at the beginning of `argv` that is a command, and the words after it.
fn command<'a>(
    argv: &'a [String],
    table: &'static Table,
) -> Result<(&'static str, &'static CommandSpec, &'a [String]), Refusal> {
    let mut name = String::new();
    for (at, word) in argv.iter().enumerate().take(3) {
        let whole = if at == 0 { word.clone() } else { format!("{name} {word}") };
        let known = table.command(&whole).is_some() || table.is_prefix(&whole);
        name = if known || at == 0 { whole } else { only_completion(table, &name, word).unwrap_or(whole) };
        if let Some((name, spec)) = table.command(&name) {
            return Ok((name, spec, &argv[at + 1..]));
        }
        if !table.is_prefix(&name) {
            return Err(no_command(&format!("unknown command '{name}'"), argv, table));
        }
    }
    let message =
        if argv.len() > 1 { format!("incomplete command '{name}'") } else { "no command specified".to_owned() };
    Err(no_command(&message, argv, table))
}

/// The one command, or group of commands, below `name` that begins with this word.
fn only_completion(table: &Table, name: &str, word: &str) -> Option<String> {
    let start = format!("{name} ");
    let below = table.commands().filter_map(|(command, _)| command.strip_prefix(&start)?.split(' ').next());
    let mut found: Vec<&str> = below.filter(|next| next.starts_with(word)).collect();
    found.dedup();
    match found[..] {
        [one] => Some(format!("{start}{one}")),
        _ => None,
    }
}

fn no_command(message: &str, argv: &[String], table: &Table) -> Refusal {
    let tool = argv.first().map_or("", String::as_str);
    let start = format!("{tool} ");
    let mut stderr = format!("ERROR: {message}\nUSAGE: {tool} <COMMAND> [ARGS] [OPTIONS]\n\n");
    for (name, spec) in table.commands().filter(|(name, _)| name.starts_with(&start)) {
        stderr.push_str(&format!("       {}\n", usage(name, spec)));
    }
    Refusal { stderr, code: NO_COMMAND }
}

/// The line that says how a command is called: `pct create <vmid> <ostemplate> [OPTIONS]`.
pub fn usage(name: &str, spec: &CommandSpec) -> String {
    let arguments: Vec<String> = spec
        .positional
        .iter()
        .map(|name| match spec.option(name) {
            Some(schema) if is_list(schema) => format!("{{<{name}>}}"),
            Some(schema) if schema.optional => format!("[<{name}>]"),
            _ => format!("<{name}>"),
        })
        .collect();
    let mut line = name.to_owned();
    let has_options = spec.named().next().is_some();
    if has_options || !arguments.is_empty() {
        line = format!("{line} {}", arguments.join(" "));
    }
    for (option, schema) in spec.named().filter(|(_, schema)| !schema.optional) {
        let _ = write!(line, " --{option} <{}>", schema.kind.word());
    }
    if has_options {
        line.push_str(" [OPTIONS]");
    }
    if name.starts_with("pvesh ") {
        line.push_str(" [FORMAT_OPTIONS]");
    }
    line
}

/// The block `400 Parameter verification failed.`
fn verification_failed(found: &[Violation], usage: &str) -> Refusal {
    let mut stderr = String::from("400 Parameter verification failed.\n");
    let mut open = None;
    for violation in found {
        // The keys of a property string are part of its option's message, which ends with an empty line.
        let inside = open.is_some_and(|option: &str| violation.path.starts_with(&format!("{option}.")));
        if open.is_some() && !inside {
            stderr.push('\n');
            open = None;
        }
        let _ = writeln!(stderr, "{}: {}", violation.path, violation.message);
        if violation.is_format_error() {
            open = Some(violation.path.as_str());
        } else if violation.ends_with_newline() && !inside {
            stderr.push('\n');
        }
    }
    if open.is_some() {
        stderr.push('\n');
    }
    let _ = writeln!(stderr, "{usage}");
    Refusal { stderr, code: BAD_ARGUMENTS }
}

fn is_list(schema: &Schema) -> bool {
    schema.format.as_deref().is_some_and(|format| format.ends_with("-list"))
}

/// All that is wrong with the values of a call.
fn violations(spec: &CommandSpec, values: &BTreeMap<&str, String>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, value) in values {
        let Some(schema) = spec.option(name) else { continue };
        let names_a_file = schema.cli.as_deref().is_some_and(|cli| cli.starts_with("path of a file"));
        if !names_a_file {
            found.extend(schema::check(schema, name, value));
        }
        if let Some(other) = schema.requires.as_deref().filter(|other| !values.contains_key(other)) {
            found.push(schema::requires(other, name));
        }
    }
    let missing = spec
        .named()
        .filter(|(name, schema)| !schema.optional && schema.index.is_none() && !values.contains_key(name.as_str()));
    found.extend(missing.map(|(name, _)| Violation::missing(name)));
    found
}

/// What the name of an option means.
enum Known {
    /// This option, with the type of its value.
    Option(String, Kind),
    /// It is the beginning of several.
    Many(Vec<String>),
    Nothing,
}

/// Words sorted into positionals and options.
#[derive(Default)]
struct Words {
    positionals: Vec<String>,
    options: Vec<(String, Option<String>)>,
    complaints: String,
}

impl Words {
    /// `known` tells the proper name of an option and the type of its value.
    fn sort(words: &[String], known: impl Fn(&str) -> Known) -> Words {
        let mut sorted = Words::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                sorted.positionals.extend(words.by_ref().cloned());
                break;
            }
            let Some(option) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|o| !o.is_empty())
            else {
                sorted.positionals.push(word.clone());
                continue;
            };
            let (name, attached) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            let (name, kind) = match known(name) {
                Known::Option(name, kind) => (name, kind),
                Known::Many(names) => {
                    let name = name.to_ascii_lowercase();
                    let _ = writeln!(sorted.complaints, "Option {name} is ambiguous ({})", names.join(", "));
                    continue;
                }
                Known::Nothing => {
                    let _ = writeln!(sorted.complaints, "Unknown option: {}", name.to_ascii_lowercase());
                    continue;
                }
            };
            let value = match (kind, attached) {
                (Kind::Boolean, Some(value)) => Some(value).filter(|value| !value.is_empty()),
                (Kind::Boolean, None) => words.next_if(|word| !word.starts_with('-') || *word == "-").cloned(),
                (_, Some(value)) if !value.is_empty() => Some(value),
                (_, attached) => match attached.is_none().then(|| words.next()).flatten() {
                    Some(value) => Some(value.clone()),
                    None => {
                        let _ = writeln!(sorted.complaints, "Option {name} requires an argument");
                        continue;
                    }
                },
            };
            sorted.options.push((name, value));
        }
        sorted
    }
}
