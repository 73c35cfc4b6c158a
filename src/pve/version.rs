//! Versions of Proxmox VE: which one a node has, and what it does not have yet.
//!
//! A node's version is the number in `pvecfg.pm`, read once per run with everything else about the node
//! ([`super::inventory`]). What is missing on it is told by the option table: every option, and every key inside a
//! property string, says since when Proxmox has it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::property::Properties;
use super::table::{self, Schema};

/// A version of Proxmox VE: `9.2.11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that does not begin with a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version of Proxmox VE")]
pub struct NoVersion(String);

impl Version {
    /// `major.minor`, its first patch.
    pub const fn of(major: u32, minor: u32) -> Version {
        Version { major, minor, patch: 0 }
    }

    /// The number in `sub version { return '9.2.11'; }` of `pvecfg.pm`.
    pub fn in_pvecfg(text: &str) -> Option<Version> {
        let rest = text.split_once("sub version")?.1;
        rest.split(['\'', '"']).nth(1)?.parse().ok()
    }

    /// The number before the second one counts what changes options: `9.2`.
    pub fn release(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// `9` of 9.0, `9.2` of 9.2: as one says since when something is there.
    fn brief(self) -> String {
        if self.minor == 0 { self.major.to_string() } else { self.release() }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    /// `9`, `8.4`, `9.2.11`; what follows the numbers (`9.0.0~11`) does not count.
    fn from_str(text: &str) -> Result<Version, NoVersion> {
        let numbers = text.find(|c: char| !c.is_ascii_digit() && c != '.').map_or(text, |end| &text[..end]);
        let mut parts = numbers.split('.').map(|part| part.parse::<u32>().ok());
        let major = parts.next().flatten().ok_or_else(|| NoVersion(text.to_owned()))?;
        let mut next = || parts.next().flatten().unwrap_or_default();
        Ok(Version { major, minor: next(), patch: next() })
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

impl TryFrom<String> for Version {
    type Error = NoVersion;

    fn try_from(text: String) -> Result<Version, NoVersion> {
        text.parse()
    }
}

/// Something that a node's version does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The option, with the key inside of a property string: `entrypoint`, `mp0.idmap`.
    pub option: String,
    /// The first version that has it.
    pub since: Version,
    /// The version of the node.
    pub node: Version,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { option, since, node } = self;
        write!(f, "`{option}` needs Proxmox VE {}, the node has {}", since.brief(), node.release())
    }
}

/// What a node of this version does not have among the options of a command (`pct set`): whole options, and keys inside
/// of property strings.
pub fn missing<'a>(
    node: Version,
    command: &str,
    options: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<Missing> {
    let Some((_, spec)) = table::table().command(command) else { return Vec::new() };
    let newer = |option: String, schema: &Schema| {
        let since = schema.since?;
        (since > node).then_some(Missing { option, since, node })
    };
    let mut found = Vec::new();
    for (name, value) in options {
        found.extend(spec.option(name).and_then(|schema| newer(name.to_owned(), schema)));
        let Some(grammar) = table::grammar_of(command, name) else { continue };
        let keys = Properties::of_option(command, name, value).unwrap_or_default();
        let inside = keys.iter().filter_map(|(key, _)| newer(format!("{name}.{key}"), grammar.get(key)?));
        found.extend(inside);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!(version("9.2.11").to_string(), "9.2.11");
        assert_eq!(version("9.0.0~11"), Version::of(9, 0));
        assert_eq!(version("8").release(), "8.0");
        assert!(
            version("8.4.14") < version("9") && version("9.0.3") < version("9.2") && version("9.10") > version("9.2")
        );
        assert!("pve".parse::<Version>().is_err());
        let text = "package PVE::pvecfg;\nsub version {\n    return '8.4.14';\n}\n";
        assert_eq!(Version::in_pvecfg(text), Some(version("8.4.14")));
        assert_eq!(Version::in_pvecfg("package PVE::pvecfg;"), None);
    }

    #[test]
    fn what_a_node_lacks_is_told_with_its_key() {
        let options = [("memory", "512"), ("entrypoint", "/sbin/init"), ("net0", "name=eth0,host-managed=1")];
        let told = |node: &str| -> Vec<String> {
            missing(version(node), "pct set", options).iter().map(Missing::to_string).collect()
        };
        assert_eq!(
            told("8.4.14"),
            [
                "`entrypoint` needs Proxmox VE 9.1, the node has 8.4",
                "`net0.host-managed` needs Proxmox VE 9.1, the node has 8.4",
            ]
        );
        assert_eq!(told("9.2.11"), [] as [&str; 0]);
        let idmap = [("mp0", "/srv/data,mp=/data,idmap=passthrough")];
        assert_eq!(missing(version("9.0.3"), "pct set", idmap).len(), 1);
    }
}
