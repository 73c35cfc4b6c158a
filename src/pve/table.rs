//! The option table: every command of Proxmox's tools with its positionals and options, and the grammars of property
//! strings. It is data (`options.json`), read when first asked for.
//!
//! The table knows since when Proxmox has a thing, and what went away: [`table`] is that of the newest version, which
//! builders use; [`table_of`] is that of an older one, which its tools know nothing beyond.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, OnceLock};

use serde::{Deserialize, Deserializer};

use super::schema::{self, Violation};
use super::version::Version;

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
    /// The first version that has it; absent: all that phoenix knows have it.
    #[serde(deserialize_with = "version")]
    pub since: Option<Version>,
    /// The last major that had it.
    #[serde(deserialize_with = "major")]
    until: Option<u32>,
    /// Choices that went away after these majors.
    #[serde(deserialize_with = "majors")]
    enum_until: HashMap<String, u32>,
    /// In property strings: the key whose value may stand bare.
    #[serde(deserialize_with = "number_as_bool")]
    pub default_key: bool,
    /// In property strings: another spelling of this key.
    pub alias: Option<String>,
    /// In property strings: written as `NAME=value` this also says `key_alias=NAME` (`virtio=MAC`).
    pub key_alias: Option<String>,
    /// The grammar that `propstring` names.
    #[serde(skip)]
    pub grammar: Option<Arc<Grammar>>,
}

/// Whether this version (the newest if absent) has what came with one and went after a major.
fn has(version: Option<Version>, since: Option<Version>, until: Option<u32>) -> bool {
    match version {
        None => until.is_none(),
        Some(version) => since.is_none_or(|since| since <= version) && until.map(after).is_none_or(|end| version < end),
    }
}

/// The first version that does not have what a major was the last to have.
fn after(major: u32) -> Version {
    Version::of(major + 1, 0)
}

fn version<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Version>, D::Error> {
    let text = String::deserialize(value)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn major<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(value)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn majors<'de, D: Deserializer<'de>>(value: D) -> Result<HashMap<String, u32>, D::Error> {
    let words = HashMap::<String, String>::deserialize(value)?;
    let number = |(name, text): (String, String)| Some((name, text.parse().ok()?));
    Ok(words.into_iter().filter_map(number).collect())
}

fn number_as_bool<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
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
    /// The first version that has it; absent: all that phoenix knows have it.
    #[serde(deserialize_with = "version")]
    since: Option<Version>,
}

fn one_or_many<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
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

    /// All options whose name begins like this, in any case, sorted.
    pub fn longer_options(&self, start: &str) -> Vec<String> {
        let start = start.to_ascii_lowercase();
        let fits = |name: &String| name.to_ascii_lowercase().starts_with(&start);
        let numbered = |name: &str, schema: &Schema| -> Vec<String> {
            let stem = name.trim_end_matches('N');
            schema.index.map(|(first, last)| (first..=last).map(|n| format!("{stem}{n}")).collect()).unwrap_or_default()
        };
        let all = self.options.iter().flat_map(|(name, schema)| match schema.index {
            Some(_) => numbered(name, schema),
            None => vec![name.clone()],
        });
        let mut found: Vec<String> = all.filter(fits).collect();
        found.sort();
        found
    }

    /// Options that are no positionals.
    pub fn named(&self) -> impl Iterator<Item = (&String, &Schema)> {
        self.options.iter().filter(|(name, _)| !self.positional.contains(name))
    }
}

/// All commands and grammars.
#[derive(Clone, Debug, Deserialize)]
pub struct Table {
    aliases: HashMap<String, String>,
    formats: HashMap<String, Arc<Grammar>>,
    commands: BTreeMap<String, CommandSpec>,
}

/// What any version has or had.
static ALL: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("options.json")).expect("options.json is part of the program and tested")
});

static NEWEST: LazyLock<Table> = LazyLock::new(|| ALL.as_of(None));

/// Tables by the version since which they are true; each is made when it is first asked for.
static OLDER: LazyLock<Vec<(Version, OnceLock<Table>)>> =
    LazyLock::new(|| ALL.turning_points().into_iter().map(|since| (since, OnceLock::new())).collect());

/// The table of the newest version.
pub fn table() -> &'static Table {
    &NEWEST
}

/// What a node of this version knows.
pub fn table_of(version: Version) -> &'static Table {
    let after = OLDER.partition_point(|(since, _)| *since <= version);
    match OLDER.get(after.saturating_sub(1)) {
        Some((since, table)) => table.get_or_init(|| ALL.as_of(Some(*since))),
        None => table(),
    }
}

impl Table {
    /// The same without what this version (the newest if absent) does not have.
    fn as_of(&self, version: Option<Version>) -> Table {
        let remains = |schema: &mut Schema| {
            let gone: Vec<String> = schema
                .enum_until
                .extract_if(|_, until| !has(version, None, Some(*until)))
                .map(|(one, _)| one)
                .collect();
            schema.choices.retain(|choice| !gone.contains(choice));
            has(version, schema.since, schema.until)
        };
        let mut table = self.clone();
        for grammar in table.formats.values_mut() {
            Arc::make_mut(grammar).retain(|_, schema| remains(schema));
        }
        table.commands.retain(|_, command| has(version, command.since, None));
        for command in table.commands.values_mut() {
            command.options.retain(|_, schema| remains(schema));
            for schema in command.options.values_mut() {
                schema.grammar = schema.propstring.as_ref().and_then(|name| table.formats.get(name)).cloned();
            }
        }
        table
    }

    /// Versions since which something is there, or is not any more; the first is older than any that counts.
    fn turning_points(&self) -> BTreeSet<Version> {
        let options = self.commands.values().flat_map(|command| command.options.values());
        let schemas = self.formats.values().flat_map(|grammar| grammar.values()).chain(options);
        let commands = self.commands.values().filter_map(|command| command.since);
        let points = schemas.flat_map(|schema| schema.since.into_iter().chain(schema.until.map(after)));
        points.chain(commands).chain([Version::of(0, 0)]).collect()
    }

    /// A command by its full name (`pct clone`, `qm guest exec`) or an alias of it (`qm resize`), with its own name.
    pub fn command(&self, name: &str) -> Option<(&str, &CommandSpec)> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        self.commands.get_key_value(name).map(|(name, spec)| (name.as_str(), spec))
    }

    /// The grammar of a property string by the name of its format, e.g. `ct-net`.
    pub fn grammar(&self, format: &str) -> Option<&Grammar> {
        self.formats.get(format).map(Arc::as_ref)
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
    spec.option(option)?.grammar.as_deref()
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
    fn older_versions_know_less_and_keep_what_went_away() {
        let key = |version: &str, command: &str, option: &str, key: &str| {
            let (_, spec) = table_of(version.parse().unwrap()).command(command).unwrap();
            spec.option(option).unwrap().grammar.as_ref().unwrap().contains_key(key)
        };
        let option = |version: &str, command: &str, option: &str| {
            table_of(version.parse().unwrap()).command(command).is_some_and(|(_, spec)| spec.option(option).is_some())
        };
        assert!(!option("8.4.14", "pct set", "entrypoint") && option("9.2.11", "pct set", "entrypoint"));
        assert!(!option("9.0.3", "pct set", "entrypoint"), "it came with 9.1");
        assert!(option("8.4.14", "pvesm add", "maxfiles") && !option("9.0.3", "pvesm add", "maxfiles"));
        assert!(!key("8.4.14", "pct set", "net0", "host-managed") && key("9.2", "pct set", "net0", "host-managed"));
        assert!(key("8.4.14", "qm set", "scsi0", "cyls") && !key("9.2", "qm set", "scsi0", "cyls"));
        assert!(table_of(Version::of(8, 4)).command("ha-manager rules add").is_none());
        let storages = |table: &Table| table.command("pvesm add").unwrap().1.option("type").unwrap().choices.clone();
        assert!(storages(table_of(Version::of(8, 4))).contains(&"glusterfs".to_owned()));
        assert!(!storages(table()).contains(&"glusterfs".to_owned()));
        assert_eq!(storages(table()), storages(table_of(Version::of(9, 2))));
        assert!(table().command("qm set").unwrap().1.option("scsi0").unwrap().grammar.is_some());
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
