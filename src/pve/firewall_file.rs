//! A firewall file as Proxmox's own tools keep it: `cluster.fw`, `host.fw`, `ID.fw`. Every line that they understand is
//! here, in the order and spelling in which they write it back; a line that they do not understand is lost, as there.
//!
//! [`super::firewall`] is about the part of it that a guest's declaration can say.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Parts of a rule in the order in which they are written, with the word in front of each.
const PARTS: [(&str, &str); 8] = [
    ("iface", "-i"),
    ("source", "-source"),
    ("dest", "-dest"),
    ("proto", "-p"),
    ("dport", "-dport"),
    ("sport", "-sport"),
    ("log", "-log"),
    ("icmp-type", "-icmp-type"),
];

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallFile {
    /// `[OPTIONS]`, keys in small letters.
    pub options: BTreeMap<String, String>,
    /// `[ALIASES]` by name in small letters.
    pub aliases: BTreeMap<String, Alias>,
    /// `[IPSET NAME]` by name.
    pub sets: BTreeMap<String, Group<Entry>>,
    /// `[RULES]`, the first counts first.
    pub rules: Vec<Rule>,
    /// `[group NAME]` by name; only `cluster.fw` has them.
    pub groups: BTreeMap<String, Group<Rule>>,
}

/// A name for an address or network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alias {
    /// As it was given.
    pub name: String,
    /// Address or network.
    pub cidr: String,
    /// What it is for.
    pub comment: Option<String>,
}

/// What stands below a heading with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<T> {
    /// What it is for.
    pub comment: Option<String>,
    /// The lines.
    pub entries: Vec<T>,
}

impl<T> Default for Group<T> {
    fn default() -> Group<T> {
        Group { comment: None, entries: Vec::new() }
    }
}

/// A member of an IP set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Address, network, or name of an alias.
    pub cidr: String,
    /// Taken out of the set.
    pub nomatch: bool,
    /// What it is for.
    pub comment: Option<String>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `in`, `out`, `forward` or `group`.
    pub direction: String,
    /// `ACCEPT`, `DROP`, `REJECT`, or the name of a security group.
    pub action: String,
    /// Name of a macro.
    pub macro_name: Option<String>,
    /// Whether it counts.
    pub enabled: bool,
    /// `iface`, `source`, `dest`, `proto`, `dport`, `sport`, `log`, `icmp-type`.
    pub parts: BTreeMap<String, String>,
    /// What it is for.
    pub comment: Option<String>,
}

/// Whether a rule has a part of this name.
pub fn is_part(name: &str) -> bool {
    PARTS.iter().any(|(part, _)| *part == name)
}

/// An address or network as the tools keep it: without the length of a whole address.
pub fn clean(cidr: &str) -> String {
    let whole = if cidr.contains(':') { "/128" } else { "/32" };
    cidr.strip_suffix(whole).unwrap_or(cidr).to_owned()
}

/// The version of an address or network; of what is neither, none.
pub fn ip_version(cidr: &str) -> Option<u8> {
    let address = cidr.split('/').next().unwrap_or(cidr);
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => Some(if address.is_ipv4() { 4 } else { 6 }),
        Err(_) => None,
    }
}

enum Heading {
    None,
    Options,
    Aliases,
    Rules,
    Set(String),
    Group(String),
}

impl FirewallFile {
    /// Takes a file apart.
    pub fn parse(text: &str) -> FirewallFile {
        let mut file = FirewallFile::default();
        let mut heading = Heading::None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('[') {
                heading = file.heading(line).unwrap_or(Heading::None);
                continue;
            }
            match &heading {
                Heading::None => {}
                Heading::Options => file.option(line),
                Heading::Aliases => {
                    if let Some(alias) = alias(line) {
                        file.aliases.insert(alias.name.to_ascii_lowercase(), alias);
                    }
                }
                Heading::Rules => file.rules.extend(Rule::parse(line)),
                Heading::Set(name) => {
                    if let Some(set) = file.sets.get_mut(name) {
                        set.entries.push(entry(line));
                    }
                }
                Heading::Group(name) => {
                    if let Some(group) = file.groups.get_mut(name) {
                        group.entries.extend(Rule::parse(line));
                    }
                }
            }
        }
        file
    }

    fn heading(&mut self, line: &str) -> Option<Heading> {
        let (inside, rest) = line.strip_prefix('[')?.split_once(']')?;
        let comment = rest.trim().strip_prefix('#').map(|comment| comment.trim().to_owned());
        let comment = comment.filter(|comment| !comment.is_empty());
        let lower = inside.to_ascii_lowercase();
        let mut words = lower.split_whitespace();
        match (words.next()?, words.next()) {
            ("options", None) => Some(Heading::Options),
            ("aliases", None) => Some(Heading::Aliases),
            ("rules", None) => Some(Heading::Rules),
            ("ipset", Some(name)) => {
                self.sets.insert(name.to_owned(), Group { comment, entries: Vec::new() });
                Some(Heading::Set(name.to_owned()))
            }
            ("group", Some(name)) => {
                self.groups.insert(name.to_owned(), Group { comment, entries: Vec::new() });
                Some(Heading::Group(name.to_owned()))
            }
            _ => None,
        }
    }

    fn option(&mut self, line: &str) {
        let Some((key, value)) = line.split_once(':') else { return };
        let key = key.trim().to_ascii_lowercase();
        let value = value.trim();
        let value = if key.starts_with("policy_") { value.to_ascii_uppercase() } else { value.to_owned() };
        self.options.insert(key, value);
    }

    /// The file; empty when there is nothing to say, and then there is no file.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail; so below.
        if !self.options.is_empty() {
            text.push_str("[OPTIONS]\n\n");
            for (key, value) in &self.options {
                let _ = writeln!(text, "{key}: {value}");
            }
            text.push('\n');
        }
        if !self.aliases.is_empty() {
            text.push_str("[ALIASES]\n\n");
            for alias in self.aliases.values() {
                let _ = writeln!(text, "{} {}{}", alias.name, alias.cidr, remark(alias.comment.as_deref()));
            }
            text.push('\n');
        }
        for (name, set) in &self.sets {
            let _ = writeln!(text, "[IPSET {name}]{}\n", remark(set.comment.as_deref()));
            let sorted: BTreeMap<&str, &Entry> = set.entries.iter().map(|e| (e.cidr.as_str(), e)).collect();
            for entry in sorted.values() {
                let sign = if entry.nomatch { "!" } else { "" };
                let _ = writeln!(text, "{sign}{}{}", entry.cidr, remark(entry.comment.as_deref()));
            }
            text.push('\n');
        }
        if !self.rules.is_empty() {
            text.push_str("[RULES]\n\n");
            rules(&mut text, &self.rules);
        }
        for (name, group) in &self.groups {
            let _ = writeln!(text, "[group {name}]{}\n", remark(group.comment.as_deref()));
            rules(&mut text, &group.entries);
        }
        text
    }
}

fn rules(text: &mut String, rules: &[Rule]) {
    for rule in rules {
        text.push_str(&rule.render());
        text.push('\n');
    }
    text.push('\n');
}

fn remark(comment: Option<&str>) -> String {
    comment.filter(|comment| !comment.trim().is_empty()).map(|comment| format!(" # {comment}")).unwrap_or_default()
}

/// A line and the comment at its end.
fn apart(line: &str) -> (&str, Option<String>) {
    match line.split_once('#') {
        Some((line, comment)) => (line.trim(), Some(comment.trim().to_owned()).filter(|comment| !comment.is_empty())),
        None => (line.trim(), None),
    }
}

fn alias(line: &str) -> Option<Alias> {
    let (line, comment) = apart(line);
    let mut words = line.split_whitespace();
    let (name, cidr) = (words.next()?.to_owned(), clean(words.next()?));
    ip_version(&cidr)?;
    Some(Alias { name, cidr, comment })
}

fn entry(line: &str) -> Entry {
    let (line, comment) = apart(line);
    let nomatch = line.starts_with('!');
    Entry { cidr: clean(line.trim_start_matches('!').trim()), nomatch, comment }
}

impl Rule {
    /// A line of a file; none if it is no rule.
    pub fn parse(line: &str) -> Option<Rule> {
        let (line, comment) = apart(line);
        let mut rule = Rule { enabled: !line.starts_with('|'), comment, ..Rule::default() };
        let mut words = line.trim_start_matches('|').split_whitespace();
        rule.direction = words.next()?.to_ascii_lowercase();
        rule.action = words.next()?.to_owned();
        if let Some((name, action)) = rule.action.strip_suffix(')').and_then(|word| word.split_once('(')) {
            (rule.macro_name, rule.action) = (Some(name.to_owned()), action.to_owned());
        }
        while let Some(flag) = words.next() {
            let flag = if let Some(long) = flag.strip_prefix("--") { format!("-{long}") } else { flag.to_owned() };
            let flag = if flag == "-proto" { "-p" } else { &flag };
            let (name, _) = PARTS.iter().find(|(_, known)| *known == flag)?;
            if rule.direction == "group" && *name != "iface" {
                return None;
            }
            rule.parts.insert((*name).to_owned(), words.next()?.to_owned());
        }
        Some(rule)
    }

    /// The line.
    pub fn render(&self) -> String {
        let mut line = if self.enabled { String::new() } else { "|".to_owned() };
        line.push_str(&self.direction.to_ascii_uppercase());
        match &self.macro_name {
            Some(name) => _ = write!(line, " {name}({})", self.action),
            None => _ = write!(line, " {}", self.action),
        }
        let known = PARTS.iter().filter(|(name, _)| self.direction != "group" || *name == "iface");
        for (value, flag) in known.filter_map(|(name, flag)| Some((self.parts.get(*name)?, flag))) {
            let _ = write!(line, " {flag} {value}");
        }
        line.push_str(&remark(self.comment.as_deref()));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[OPTIONS]\n\nenable: 1\npolicy_in: DROP\n\n[ALIASES]\n\nHome 192.0.2.0/24 # where we live\n\n\
        [IPSET admins] # who may\n\n!192.0.2.9\n198.51.100.0/24 # the others\n\n[RULES]\n\n\
        IN ACCEPT -i net0 -source +admins -p tcp -dport 22 -log nolog # shell\n|IN SSH(DROP)\nGROUP web -i net0\n\n\
        [group web]\n\nIN ACCEPT -p tcp -dport 80\n\n";

    #[test]
    fn what_is_read_is_written_again() {
        let file = FirewallFile::parse(FILE);
        assert_eq!(file.render(), FILE);
        assert_eq!(file.aliases["home"].name, "Home");
        assert!(!file.rules[1].enabled && file.rules[1].macro_name.as_deref() == Some("SSH"));
    }

    #[test]
    fn other_spellings_come_back_in_the_tools_own() {
        let file =
            FirewallFile::parse("[options]\nPolicy_In: drop\n[rules]\nin ACCEPT --proto udp --dport 53\nnonsense\n");
        assert_eq!(file.render(), "[OPTIONS]\n\npolicy_in: DROP\n\n[RULES]\n\nIN ACCEPT -p udp -dport 53\n\n");
        assert_eq!(clean("192.0.2.7/32"), "192.0.2.7");
        assert_eq!(FirewallFile::default().render(), "");
    }
}
