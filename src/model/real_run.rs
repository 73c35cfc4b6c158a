//! What a test file says about runs in real containers: `const REAL`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A release of an operating system that containers can be of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Os {
    /// Debian 12.
    #[serde(rename = "debian-12")]
    Debian12,
    /// Debian 13, which the shipped platform is made of.
    #[default]
    #[serde(rename = "debian-13")]
    Debian13,
    /// Ubuntu 24.04.
    #[serde(rename = "ubuntu-24.04")]
    Ubuntu2404,
}

impl Os {
    /// All of them.
    pub const ALL: [Os; 3] = [Os::Debian12, Os::Debian13, Os::Ubuntu2404];

    /// As operators write it.
    pub const fn name(self) -> &'static str {
        match self {
            Os::Debian12 => "debian-12",
            Os::Debian13 => "debian-13",
            Os::Ubuntu2404 => "ubuntu-24.04",
        }
    }

    /// As package sources call it.
    pub const fn codename(self) -> &'static str {
        match self {
            Os::Debian12 => "bookworm",
            Os::Debian13 => "trixie",
            Os::Ubuntu2404 => "noble",
        }
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Os {
    type Err = String;

    fn from_str(word: &str) -> Result<Os, String> {
        let known = || format!("known: {}", Os::ALL.map(Os::name).join(", "));
        Os::ALL.into_iter().find(|os| os.name() == word).ok_or_else(known)
    }
}

/// What a run in a real container needs otherwise than the modelled ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealRun {
    /// Parameters over those of `const PARAMS`.
    pub params: BTreeMap<String, Value>,
    /// Artifacts that no script publishes: name -> value.
    pub artifacts: BTreeMap<String, String>,
    /// The release it is proven on.
    pub os: Option<Os>,
    /// Why no container of any machine can show it.
    pub why_not: Option<String>,
    /// URLs that the machine has to reach for it; any answer will do.
    pub reaches: Vec<String>,
}

impl RealRun {
    /// Names of its members.
    pub const MEMBERS: [&str; 5] = ["params", "artifacts", "os", "why_not", "reaches"];

    /// As a test file writes it.
    ///
    /// # Errors
    /// What such a map cannot say.
    pub fn read(members: Map<String, Value>) -> Result<RealRun, String> {
        serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())
    }
}
