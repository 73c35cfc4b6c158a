//! A guest's configuration as Proxmox's tools keep it: every write sorts the keys and forgets what nobody understood.
//! [`GuestConfig`] reads the file; a file that somebody wrote by hand stays as it is until a tool writes it again.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::GuestKind;
use crate::pve::format::split_list;
use crate::pve::guest_config::{self, GuestConfig, Heading, encode};

/// Keys, raw lines and description: in force, or as a snapshot holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The description; every line of it ends in a newline.
    pub description: String,
    /// `key: value`.
    pub keys: BTreeMap<String, String>,
    /// `lxc.*` lines in their order.
    pub raw: Vec<(String, String)>,
}

/// A guest's whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What is in force.
    pub current: Section,
    /// Values that wait for the next start.
    pub pending: BTreeMap<String, String>,
    /// Keys whose removal waits for the next start, and whether what they hold is destroyed too.
    pub deleted: BTreeMap<String, bool>,
    /// What the present cloud-init image of a virtual machine has otherwise: old values by key, and under `added` the
    /// keys that it does not have at all. `[special:cloudinit]`.
    pub cloud_init: BTreeMap<String, String>,
    /// Snapshots by name.
    pub snapshots: BTreeMap<String, Section>,
    by_hand: Option<String>,
}

impl Section {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.keys.insert(key.to_owned(), value.into());
    }

    /// Removes a key; answers what it was.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.keys.remove(key)
    }

    /// Whether a boolean key is set.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }

    /// Root file system and mount points, root first, then by number.
    pub fn mount_points(&self) -> Vec<(&str, &str)> {
        let mut points: Vec<(&str, &str)> = self.numbered("mp");
        if let Some(root) = self.get("rootfs") {
            points.insert(0, ("rootfs", root));
        }
        points
    }

    /// Keys `STEM0`, `STEM1`, ... that are set, by number.
    pub fn numbered(&self, stem: &str) -> Vec<(&str, &str)> {
        let mut found: Vec<(u32, &str, &str)> = self
            .keys
            .iter()
            .filter_map(|(key, value)| Some((number(key, stem)?, key.as_str(), value.as_str())))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, key, value)| (key, value)).collect()
    }

    fn of(section: &guest_config::Section) -> Section {
        Section {
            description: section.description(),
            keys: section.entries().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            raw: section.raw().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }

    fn render(&self, text: &mut String) {
        for line in self.description.lines() {
            // Writing into a String cannot fail; so below.
            let _ = writeln!(text, "#{}", encode(line));
        }
        for (key, value) in &self.keys {
            let _ = writeln!(text, "{key}: {value}");
        }
        for (key, value) in &self.raw {
            let _ = writeln!(text, "{key}: {value}");
        }
    }
}

/// The number behind a stem: 3 of `mp3`.
pub(super) fn number(key: &str, stem: &str) -> Option<u32> {
    let digits = key.strip_prefix(stem)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) { None } else { digits.parse().ok() }
}

impl Config {
    /// Takes a file apart.
    pub fn parse(text: &str) -> Config {
        let file = GuestConfig::parse(text);
        let mut config = Config {
            current: Section::of(&file.current),
            snapshots: file.snapshots().map(|(name, section)| (name.to_owned(), Section::of(section))).collect(),
            by_hand: Some(text.to_owned()),
            ..Config::default()
        };
        if let Some(special) = file.section(&Heading::Special("cloudinit".to_owned())) {
            config.cloud_init = Section::of(special).keys;
        }
        if let Some(pending) = file.pending() {
            for (key, value) in pending.entries() {
                if key == "delete" {
                    let keys = split_list(value).into_iter();
                    config.deleted =
                        keys.map(|key| (key.trim_start_matches('!').to_owned(), key.starts_with('!'))).collect();
                } else {
                    config.pending.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        config
    }

    /// The next [`Config::render`] writes what is in here, not what was read.
    pub(super) fn rewrite(&mut self) {
        self.by_hand = None;
    }

    /// The file.
    pub fn render(&self, kind: GuestKind) -> String {
        if let Some(text) = &self.by_hand {
            return text.clone();
        }
        let mut text = String::new();
        self.current.render(&mut text);
        if !self.pending.is_empty() || !self.deleted.is_empty() {
            text += match kind {
                GuestKind::Lxc => "\n[pve:pending]\n",
                GuestKind::Vm => "\n[PENDING]\n",
            };
            let mut section = Section { keys: self.pending.clone(), ..Section::default() };
            if !self.deleted.is_empty() {
                let forced = |force: bool| if force { "!" } else { "" };
                let keys: Vec<String> =
                    self.deleted.iter().map(|(key, force)| format!("{}{key}", forced(*force))).collect();
                section.set("delete", keys.join(","));
            }
            section.render(&mut text);
        }
        if !self.cloud_init.is_empty() {
            text += "\n[special:cloudinit]\n";
            Section { keys: self.cloud_init.clone(), ..Section::default() }.render(&mut text);
        }
        for (name, section) in &self.snapshots {
            let _ = writeln!(text, "\n[{name}]");
            section.render(&mut text);
        }
        text
    }

    /// SHA-1 of the file: what `--digest` is compared with.
    pub fn digest(&self, kind: GuestKind) -> String {
        let text = self.render(kind);
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the tools show as coming: pending values in the place of present ones, without what is to go. A key that is
    /// off stays in sight.
    pub fn coming(&self) -> Section {
        let mut coming = self.current.clone();
        coming.keys.extend(self.pending.clone());
        for key in
            self.deleted.keys().filter(|key| !matches!(coming.get(key), Some("" | "0"))).cloned().collect::<Vec<_>>()
        {
            coming.keys.remove(&key);
        }
        coming
    }

    /// Nothing waits that is as it is to be already: a value that is in force, the removal of what is not there.
    pub(super) fn forget_needless(&mut self) {
        let current = &self.current;
        self.pending.retain(|key, value| current.get(key) != Some(value));
        let described = !current.description.is_empty();
        self.deleted.retain(|key, _| current.get(key).is_some() || (key == "description" && described));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "#managed%3A phoenix\narch: amd64\ncores: 2\nrootfs: tank:subvol-101-disk-0,size=8G\n\
        lxc.mount.entry: /srv srv none bind\n\n[pve:pending]\ncores: 4\ndelete: !mp0,swap\n\n[base]\ncores: 1\nsnaptime: 7\n";

    #[test]
    fn what_is_read_is_written_again() {
        let mut config = Config::parse(FILE);
        config.rewrite();
        assert_eq!(config.render(GuestKind::Lxc), FILE);
        assert_eq!(config.current.description, "managed: phoenix\n");
        assert_eq!(config.deleted, [("swap".to_owned(), false), ("mp0".to_owned(), true)].into());
        assert_eq!(config.coming().get("cores"), Some("4"));
    }

    #[test]
    fn a_file_written_by_hand_stays_until_a_tool_writes_it() {
        let by_hand = "memory: 1\ncores: 2\n\n";
        let mut config = Config::parse(by_hand);
        assert_eq!(config.render(GuestKind::Lxc), by_hand);
        config.rewrite();
        assert_eq!(config.render(GuestKind::Lxc), "cores: 2\nmemory: 1\n");
    }

    #[test]
    fn numbered_keys_are_in_the_order_of_their_numbers() {
        let config = Config::parse("mp10: c\nmp2: b\nrootfs: a\nmpx: d\n");
        let keys: Vec<&str> = config.current.mount_points().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["rootfs", "mp2", "mp10"]);
    }
}
