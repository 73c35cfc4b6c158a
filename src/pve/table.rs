//! The option table: every command of Proxmox's tools with its positionals and options, and the grammars of property
//! strings. It is data (`options.json`), read when first asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

use super::schema::{self, Violation};

/// How a command reports the failure of its task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// There is no task.
    #[default]
    Sync,
    /// The exit code follows the task.
    TaskExit,
    /// The exit code is 0 even when the task failed: read the state back.
    TaskExitLost,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any text.
    #[default]
    String,
    /// `1` or `0`; on the command line also yes/no, on/off, true/false.
    Boolean,
    /// Whole number.
    Integer,
    /// Number.
    Number,
    /// Several words (`extra-args`).
    Array,
}

impl Kind {
    /// Proxmox's word.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Array => "array",
        }
    }
}

/// What one value (of an option, or of a key inside a property string) may be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Schema {
    /// Type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Least number.
    pub min: Option<f64>,
    /// Greatest number.
    pub max: Option<f64>,
    /// Least length in characters.
    pub min_len: Option<usize>,
    /// Greatest length in characters.
    pub max_len: Option<usize>,
    /// Regular expression that the whole value matches.
    pub pattern: Option<String>,
    /// The only values allowed.
    #[serde(rename = "enum")]
    pub choices: Vec<String>,
    /// Named format, see [`super::format`].
    pub format: Option<String>,
    /// The value is a property string with this grammar.
    pub propstring: Option<String>,
    /// May be left out.
    pub optional: bool,
    /// On the command line the value names a file, or is asked for: what the checks are about comes from there.
    pub cli: Option<String>,
    /// Another option that has to be there too.
    pub requires: Option<String>,
    /// Numbers that the `N` of the option's name stands for.
    pub index: Option<(u32, u32)>,
    /// Only since this version (`8`, `9`, `9.2`).
    pub since: Option<String>,
    /// In property strings: the key whose value may stand bare.
    #[serde(deserialize_with = "number_as_bool")]
    pub default_key: bool,
    /// In property strings: another spelling of this key.
    pub alias: Option<String>,
    /// In property strings: written as `NAME=value` this also says `key_alias=NAME` (`virtio=MAC`).
    pub key_alias: Option<String>,
}

fn number_as_bool<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    u8::deserialize(value).map(|number| number != 0)
}

/// The keys of a property string.
pub type Grammar = BTreeMap<String, Schema>;

/// One command.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CommandSpec {
    /// Names of its positional arguments, which are also among `options`.
    #[serde(deserialize_with = "one_or_many")]
    pub positional: Vec<String>,
    /// How failures of its task show.
    pub task: Task,
    /// Options by name; an `N` at the end of a name with an `index` stands for a number.
    pub options: BTreeMap<String, Schema>,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    OneOrMany::deserialize(value).map(|value| match value {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

impl CommandSpec {
    /// The schema of an option as written: `memory`, `net0`, `mp255`. `None` when there is none of this name.
    pub fn option(&self, name: &str) -> Option<&Schema> {
        if let Some(schema) = self.options.get(name).filter(|schema| schema.index.is_none()) {
            return Some(schema);
        }
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        let schema = self.options.get(&format!("{stem}N"))?;
        let (first, last) = schema.index?;
        let number: u32 = digits.parse().ok()?;
        let canonical = digits == "0" || !digits.starts_with('0');
        (canonical && (first..=last).contains(&number)).then_some(schema)
    }

    /// The same, in any case as the tools take it (`--forcestop`), with its proper name.
    pub fn option_in_any_case(&self, name: &str) -> Option<(String, &Schema)> {
        if let Some(schema) = self.option(name) {
            return Some((name.to_owned(), schema));
        }
        let lower = name.to_ascii_lowercase();
        let proper = self.options.keys().find(|proper| proper.eq_ignore_ascii_case(name)).unwrap_or(&lower);
        self.option(proper).map(|schema| (proper.clone(), schema))
    }

    /// Options that are no positionals.
    pub fn named(&self) -> impl Iterator<Item = (&String, &Schema)> {
        self.options.iter().filter(|(name, _)| !self.positional.contains(name))
    }
}

/// All commands and grammars.
#[derive(Debug, Deserialize)]
pub struct Table {
    aliases: HashMap<String, String>,
    formats: HashMap<String, Grammar>,
    commands: BTreeMap<String, CommandSpec>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("options.json")).expect("options.json is part of the program and tested")
});

/// The table.
pub fn table() -> &'static Table {
    &TABLE
}

impl Table {
    /// A command by its full name (`pct clone`, `qm guest exec`) or an alias of it (`qm resize`), with its own name.
    pub fn command(&self, name: &str) -> Option<(&str, &CommandSpec)> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        self.commands.get_key_value(name).map(|(name, spec)| (name.as_str(), spec))
    }

    /// The grammar of a property string by the name of its format, e.g. `ct-net`.
    pub fn grammar(&self, format: &str) -> Option<&Grammar> {
        self.formats.get(format)
    }

    /// All commands by name.
    pub fn commands(&self) -> impl Iterator<Item = (&str, &CommandSpec)> {
        self.commands.iter().map(|(name, spec)| (name.as_str(), spec))
    }

    /// Whether `words` begin the name of any command or alias (`qm guest` does).
    pub fn is_prefix(&self, words: &str) -> bool {
        let start = format!("{words} ");
        self.commands.keys().chain(self.aliases.keys()).any(|name| name.starts_with(&start))
    }
}

/// The grammar behind an option, if its value is a property string: `grammar_of("pct set", "net0")`.
pub fn grammar_of(command: &str, option: &str) -> Option<&'static Grammar> {
    let (_, spec) = table().command(command)?;
    table().grammar(spec.option(option)?.propstring.as_deref()?)
}

/// All that Proxmox would say against this value, in its own words.
fn violations(command: &str, option: &str, value: &str) -> Vec<Violation> {
    let Some((_, spec)) = table().command(command) else {
        return vec![Violation::new("", format!("unknown command '{command}'"))];
    };
    match spec.option(option) {
        Some(schema) => schema::check(schema, option, value),
        None => vec![Violation::undefined(option)],
    }
}

/// Whether Proxmox would accept this value for an option of a command.
///
/// # Errors
/// Its own message; for property strings with the key inside, e.g. `net0.ip: invalid format - value does not look like
/// a valid ipv4 network configuration`.
pub fn check(command: &str, option: &str, value: &str) -> Result<(), String> {
    let found = violations(command, option, value);
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = found
        .iter()
        .filter(|violation| !violation.is_format_error())
        .map(|violation| match violation.path == option {
            true => violation.message.clone(),
            false => format!("{}: {}", violation.path, violation.message),
        })
        .collect();
    Err(lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_grammar_exists() {
        for (name, command) in table().commands() {
            for (option, schema) in &command.options {
                if let Some(grammar) = &schema.propstring {
                    assert!(table().grammar(grammar).is_some(), "{name} --{option}: {grammar}");
                }
                assert_eq!(
                    schema.index.is_some(),
                    option.ends_with('N') && schema.index.is_some(),
                    "{name} --{option}"
                );
            }
            for positional in &command.positional {
                assert!(command.options.contains_key(positional), "{name} <{positional}>");
            }
        }
    }

    #[test]
    fn numbered_options_have_their_range() {
        let (_, set) = table().command("pct set").unwrap();
        assert!(set.option("net31").is_some());
        for wrong in ["net32", "net", "net01", "netN", "memory0"] {
            assert!(set.option(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn aliases_lead_to_their_command() {
        assert_eq!(table().command("qm resize").unwrap().0, "qm disk resize");
        assert!(table().is_prefix("qm guest"));
        assert!(!table().is_prefix("pct start"));
    }

    #[test]
    fn messages_are_proxmox_s_own() {
        assert_eq!(check("pct set", "memory", "2048"), Ok(()));
        assert_eq!(check("pct set", "memory", "15"), Err("value must have a minimum value of 16".into()));
        assert_eq!(
            check("pct set", "net0", "name=eth0,ip=192.0.2.1"),
            Err("net0.ip: invalid format - value does not look like a valid ipv4 network configuration".into())
        );
        assert_eq!(
            check("pct set", "colour", "red"),
            Err("property is not defined in schema and the schema does not allow additional properties".into())
        );
    }
}
