//! Configuration files of guests: `/etc/pve/nodes/NODE/{lxc,qemu-server}/ID.conf`.
//!
//! A file is the current section, then sections for pending changes, for what cloud-init has seen, and one per
//! snapshot. Lines that nobody touches keep every byte: what is parsed and rendered again is the same file, also when
//! it was written by hand.

use std::fmt::Write;

/// A guest's configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestConfig {
    /// What is in force.
    pub current: Section,
    /// The other sections in the order of the file.
    sections: Vec<(Heading, Section)>,
}

/// The name of a section after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heading {
    /// Changes that wait for the next start: `[pve:pending]` (containers) or `[PENDING]` (virtual machines).
    Pending,
    /// `[special:NAME]`, e.g. what the present cloud-init image holds.
    Special(String),
    /// A snapshot.
    Snapshot(String),
}

/// Lines of one section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The line that begins it, with its newline; empty for the current section.
    heading: String,
    lines: Vec<Line>,
}

/// One line with its newline, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    says: Says,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Says {
    /// `#...`: a line of the description.
    Description,
    /// `key: value`.
    Key(String, String),
    /// `lxc.key: value` or `lxc.key = value`.
    Raw(String, String),
    /// Blank or not understood.
    Nothing,
}

impl Line {
    fn read(text: &str) -> Line {
        let bare = text.trim_end();
        let says = if bare.starts_with('#') {
            Says::Description
        } else if bare.starts_with("lxc.") {
            let split = bare.find([':', '=']);
            split.map_or(Says::Nothing, |at| Says::Raw(bare[..at].trim_end().into(), bare[at + 1..].trim().into()))
        } else {
            match bare.split_once(':') {
                Some((key, value)) if is_key(key) => Says::Key(key.into(), value.trim().into()),
                _ => Says::Nothing,
            }
        };
        Line { text: text.to_owned(), says }
    }

    fn key(key: &str, value: &str) -> Line {
        Line { text: format!("{key}: {value}\n"), says: Says::Key(key.into(), value.into()) }
    }

    fn raw(key: &str, value: &str) -> Line {
        Line { text: format!("{key}: {value}\n"), says: Says::Raw(key.into(), value.into()) }
    }
}

fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

impl Section {
    /// Keys and values, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| match &line.says {
            Says::Key(key, value) => Some((key.as_str(), value.as_str())),
            _ => None,
        })
    }

    /// Raw `lxc.*` lines, in the order of the file.
    pub fn raw(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| match &line.says {
            Says::Raw(key, value) => Some((key.as_str(), value.as_str())),
            _ => None,
        })
    }

    /// The value of a key; of several the last, as Proxmox reads it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries().filter(|(name, _)| *name == key).last().map(|(_, value)| value)
    }

    /// Whether a boolean key is set.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }

    /// Sets a key: in its place, or where it belongs among sorted keys.
    pub fn set(&mut self, key: &str, value: &str) {
        let line = Line::key(key, value);
        let own = |line: &Line| matches!(&line.says, Says::Key(name, _) if name == key);
        if let Some(at) = self.lines.iter().position(own) {
            self.lines[at] = line;
            let mut first = true;
            self.lines.retain(|line| !own(line) || std::mem::take(&mut first));
            return;
        }
        let before = |line: &Line| match &line.says {
            Says::Description => true,
            Says::Key(name, _) => name.as_str() < key,
            _ => false,
        };
        let at = self.lines.iter().rposition(before).map_or(0, |at| at + 1);
        self.insert(at, line);
    }

    /// Removes a key; tells whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let lines = self.lines.len();
        self.lines.retain(|line| !matches!(&line.says, Says::Key(name, _) if name == key));
        lines != self.lines.len()
    }

    /// Replaces the raw `lxc.*` lines by these. Lines that stay keep their bytes.
    pub fn set_raw(&mut self, raw: &[(String, String)]) {
        let old: Vec<(&str, &str)> = self.raw().collect();
        if old.iter().copied().eq(raw.iter().map(|(key, value)| (key.as_str(), value.as_str()))) {
            return;
        }
        let mut kept: Vec<Line> = Vec::new();
        self.lines.retain(|line| match line.says {
            Says::Raw(..) => {
                kept.push(line.clone());
                false
            }
            _ => true,
        });
        let last = self.lines.iter().rposition(|line| matches!(line.says, Says::Description | Says::Key(..)));
        let first = last.map_or(0, |at| at + 1);
        for (at, (key, value)) in (first..).zip(raw) {
            let says = Says::Raw(key.clone(), value.clone());
            let line = kept.iter().find(|line| line.says == says).cloned().unwrap_or_else(|| Line::raw(key, value));
            self.insert(at, line);
        }
    }

    fn insert(&mut self, at: usize, line: Line) {
        if let Some(before) = at.checked_sub(1).and_then(|before| self.lines.get_mut(before))
            && !before.text.ends_with('\n')
        {
            before.text.push('\n');
        }
        self.lines.insert(at, line);
    }

    /// The description: its comment lines decoded, each with a newline.
    pub fn description(&self) -> String {
        let lines = self.lines.iter().filter(|line| line.says == Says::Description);
        lines.map(|line| decode(line.text[1..].trim_end_matches(['\n', '\r'])) + "\n").collect()
    }

    /// Tags, in the order of the file.
    pub fn tags(&self) -> Vec<&str> {
        self.get("tags").map(super::format::split_list).unwrap_or_default()
    }
}

impl GuestConfig {
    /// Takes a file apart.
    pub fn parse(text: &str) -> GuestConfig {
        let mut config = GuestConfig::default();
        for line in text.split_inclusive('\n') {
            match Heading::read(line) {
                Some(heading) => {
                    config.sections.push((heading, Section { heading: line.to_owned(), lines: Vec::new() }));
                }
                None => {
                    let section = config.sections.last_mut().map_or(&mut config.current, |(_, section)| section);
                    section.lines.push(Line::read(line));
                }
            }
        }
        config
    }

    /// The file. A file that was parsed and not changed comes out byte by byte.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for section in std::iter::once(&self.current).chain(self.sections.iter().map(|(_, section)| section)) {
            let lines = section.lines.iter().map(|line| line.text.as_str());
            std::iter::once(section.heading.as_str()).chain(lines).for_each(|line| text.push_str(line));
        }
        text
    }

    /// Pending changes, if there are any.
    pub fn pending(&self) -> Option<&Section> {
        self.section(&Heading::Pending)
    }

    /// Snapshots with their names, in the order of the file.
    pub fn snapshots(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.sections.iter().filter_map(|(heading, section)| match heading {
            Heading::Snapshot(name) => Some((name.as_str(), section)),
            _ => None,
        })
    }

    /// The snapshot of this name.
    pub fn snapshot(&self, name: &str) -> Option<&Section> {
        self.section(&Heading::Snapshot(name.to_owned()))
    }

    /// Any section after the first.
    pub fn section(&self, heading: &Heading) -> Option<&Section> {
        self.sections.iter().find(|(name, _)| name == heading).map(|(_, section)| section)
    }

    /// What a key will be after the next start: pending changes count.
    pub fn coming(&self, key: &str) -> Option<&str> {
        if let Some(pending) = self.pending() {
            if let Some(value) = pending.get(key) {
                return Some(value);
            }
            let deleted = pending.get("delete").map(super::format::split_list).unwrap_or_default();
            if deleted.iter().any(|name| name.trim_start_matches('!') == key) {
                return None;
            }
        }
        self.current.get(key)
    }

    /// The lock that some operation holds or left behind.
    pub fn lock(&self) -> Option<&str> {
        self.current.get("lock")
    }

    /// Whether it is a template.
    pub fn is_template(&self) -> bool {
        self.current.is_on("template")
    }
}

impl Heading {
    fn read(line: &str) -> Option<Heading> {
        let name = line.trim_end().strip_prefix('[')?.strip_suffix(']')?;
        // In small letters it is a container's snapshot of this name.
        if name.eq_ignore_ascii_case("pve:pending") || name == "PENDING" {
            Some(Heading::Pending)
        } else if let Some(special) = name.strip_prefix("special:") {
            Some(Heading::Special(special.to_owned()))
        } else {
            super::format::is_config_id(name).then(|| Heading::Snapshot(name.to_owned()))
        }
    }
}

/// A line of a description as Proxmox writes it into files: everything but printable ASCII, `%` and `:` as `%XX`.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'%' | b':' => _ = write!(out, "%{byte:02X}"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => _ = write!(out, "%{byte:02X}"),
        }
        out
    })
}

/// The reverse of [`encode`]; what is no `%XX` stays.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
