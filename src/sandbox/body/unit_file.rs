//! systemd's unit files: where they are looked for and what they say.

use std::sync::Arc;

use super::state::State;
use super::tree::{Kind, Last};

/// Directories of unit files, the first one counts (systemd.unit(5)).
pub(in crate::sandbox) const UNIT_DIRS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];

/// What is found for the name of a unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// No file.
    Missing,
    /// A link to `/dev/null`, or an empty file.
    Masked,
    /// A file.
    File(Fragment),
}

/// A unit's file with its drop-ins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fragment {
    /// The unit's own name, where the one asked for is an alias.
    pub(super) name: String,
    /// Path of the file, links to other names followed.
    pub(super) path: String,
    /// What file and drop-ins say.
    pub(super) unit: UnitFile,
}

/// A unit's full name: `ssh` means `ssh.service`.
pub(super) fn full_name(name: &str) -> String {
    const SUFFIXES: [&str; 11] = [
        ".service",
        ".socket",
        ".target",
        ".timer",
        ".path",
        ".mount",
        ".automount",
        ".swap",
        ".slice",
        ".scope",
        ".device",
    ];
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) { name.to_owned() } else { format!("{name}.service") }
}

/// `foo@bar.service` -> `foo@.service` and `bar`.
pub(super) fn instance(name: &str) -> Option<(String, &str)> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| (format!("{prefix}@.{suffix}"), instance))
}

impl State {
    /// Looks for a unit's file, as systemd does when it loads the unit.
    pub(super) fn find_unit(&self, name: &str) -> Found {
        let template = instance(name).map(|(template, _)| template);
        for candidate in [Some(name), template.as_deref()].into_iter().flatten() {
            for dir in UNIT_DIRS {
                let path = format!("{dir}/{candidate}");
                let Ok(spot) = self.tree.resolve(&path, Last::Followed) else { continue };
                let (Some(node), path) = (spot.node.as_deref(), spot.path()) else { continue };
                let text = match &node.kind {
                    Kind::File(data) => String::from_utf8_lossy(data.bytes().map_or(&[], |b| b)).into_owned(),
                    Kind::Other(_) => return Found::Masked,
                    Kind::Dir(_) | Kind::Link(_) => continue,
                };
                if text.is_empty() {
                    return Found::Masked;
                }
                let file = spot.names.last().map_or(candidate, |name| name);
                let own = if file == candidate || instance(name).is_some() { name } else { file };
                let unit = UnitFile::parse(std::iter::once(text).chain(self.drop_ins(own)));
                return Found::File(Fragment { name: own.to_owned(), path, unit });
            }
        }
        Found::Missing
    }

    /// Texts of `NAME.d/*.conf`, by file name; the first directory that has one counts.
    fn drop_ins(&self, name: &str) -> Vec<String> {
        let template = instance(name).map(|(template, _)| template);
        let mut found: Vec<(Arc<str>, String)> = Vec::new();
        for owner in [Some(name), template.as_deref()].into_iter().flatten() {
            for dir in UNIT_DIRS.map(|dir| format!("{dir}/{owner}.d")) {
                for file in self.tree.names(&dir) {
                    if file.ends_with(".conf")
                        && !found.iter().any(|(known, _)| *known == file)
                        && let Some(text) = self.tree.text(&format!("{dir}/{file}"))
                    {
                        found.push((file, text));
                    }
                }
            }
        }
        found.sort();
        found.into_iter().map(|(_, text)| text).collect()
    }
}

/// Settings of a unit, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct UnitFile {
    settings: Vec<(String, String, String)>,
}

impl UnitFile {
    /// Reads texts one after another, as drop-ins follow the file. What systemd would warn about is passed over.
    pub(super) fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> UnitFile {
        let mut settings = Vec::new();
        for text in texts {
            let mut section = String::new();
            let joined = text.as_ref().replace("\\\n", " ");
            for line in joined.lines().map(str::trim) {
                if line.starts_with(['#', ';']) {
                    continue;
                }
                if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                    section = name.to_owned();
                } else if let Some((key, value)) = line.split_once('=') {
                    settings.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
                }
            }
        }
        UnitFile { settings }
    }

    /// All values of a setting; an empty one takes back those before it.
    pub(super) fn all(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (_, _, value) in self.settings.iter().filter(|(s, k, _)| s == section && k == key) {
            if value.is_empty() { values.clear() } else { values.push(value.as_str()) }
        }
        values
    }

    /// The last value of a setting.
    pub(super) fn last(&self, section: &str, key: &str) -> Option<&str> {
        self.all(section, key).pop()
    }

    /// All words of a setting that lists names.
    pub(super) fn words(&self, section: &str, key: &str) -> Vec<String> {
        self.all(section, key).iter().flat_map(|value| value.split_whitespace()).map(str::to_owned).collect()
    }

    /// Whether a yes-or-no setting says yes.
    pub(super) fn yes(&self, section: &str, key: &str) -> bool {
        matches!(self.last(section, key), Some("yes" | "true" | "1" | "on"))
    }

    /// Whether it says how it is enabled.
    pub(super) fn installable(&self) -> bool {
        self.settings.iter().any(|(section, _, value)| section == "Install" && !value.is_empty())
    }

    /// Every setting whose name starts so: name and value.
    pub(super) fn starting(&self, section: &str, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.settings
            .iter()
            .filter(move |(s, key, value)| s == section && key.starts_with(prefix) && !value.is_empty())
            .map(|(_, key, value)| (key.as_str(), value.as_str()))
    }

    /// The settings as one text that reads back the same.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut current = "";
        for (section, key, value) in &self.settings {
            if section != current {
                text.push_str(&format!("[{section}]\n"));
                current = section;
            }
            text.push_str(&format!("{key}={value}\n"));
        }
        text
    }
}
