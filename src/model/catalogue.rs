//! What scripts declare about themselves: `const FEATURE = #{...}` and `const APP = #{...}`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Feature or app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptKind {
    /// Listed in a guest's `features`.
    Feature,
    /// A guest's `application_script`.
    App,
}

/// What a script may run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Containers.
    Lxc,
    /// Virtual machines.
    Vm,
    /// The node.
    Node,
}

/// Proxmox features that a script needs on a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LxcNeeds {
    /// `nesting=1`.
    pub nesting: bool,
    /// `keyctl=1`.
    pub keyctl: bool,
    /// `fuse=1`.
    pub fuse: bool,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Any text.
    String,
    /// Whole number.
    Int,
    /// `true` or `false`.
    Bool,
    /// Number.
    Float,
    /// List of anything.
    List,
    /// Map of anything.
    Map,
    /// Absolute path.
    Path,
    /// Port number, 1 to 65535.
    Port,
    /// Host name or address.
    Host,
    /// Address with prefix length.
    Cidr,
    /// `90s`, `15m`, `24h`.
    Duration,
    /// Name of a secret.
    Secret,
}

impl ParamType {
    /// Every type with its word, as in `type: "..."`.
    pub const WORDS: [(&'static str, ParamType); 12] = [
        ("string", ParamType::String),
        ("int", ParamType::Int),
        ("bool", ParamType::Bool),
        ("float", ParamType::Float),
        ("list", ParamType::List),
        ("map", ParamType::Map),
        ("path", ParamType::Path),
        ("port", ParamType::Port),
        ("host", ParamType::Host),
        ("cidr", ParamType::Cidr),
        ("duration", ParamType::Duration),
        ("secret", ParamType::Secret),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("string", |(word, _)| word)
    }
}

/// One declared parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Must be given.
    #[serde(default)]
    pub required: bool,
    /// Value when not given.
    #[serde(default)]
    pub fallback: Option<serde_json::Value>,
    /// The only values allowed; empty: any.
    #[serde(default)]
    pub choices: Vec<serde_json::Value>,
    /// What it is for.
    #[serde(default)]
    pub doc: String,
}

/// What one script declares, read from its syntax tree without running it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScriptSpec {
    /// Equal to the file's stem.
    pub name: String,
    /// Feature or app.
    pub kind: ScriptKind,
    /// One line.
    pub summary: String,
    /// What it may run against.
    pub targets: Vec<Target>,
    /// Features that must be there, on the guest or a guest it is cloned from, and run before.
    pub needs: Vec<String>,
    /// Features that run before if present.
    pub after: Vec<String>,
    /// Proxmox features that a container needs.
    pub lxc: LxcNeeds,
    /// Artifacts it publishes.
    pub publishes: Vec<String>,
    /// Artifacts it reads.
    pub consumes: Vec<String>,
    /// Parameters.
    pub params: BTreeMap<String, ParamSpec>,
    /// Limit for the whole script.
    pub timeout: Option<Duration>,
    /// Entry points beside `apply`: has `fn prepare`.
    pub has_prepare: bool,
    /// Has `fn health`.
    pub has_health: bool,
    /// Has `fn remove`.
    pub has_remove: bool,
    /// SHA-256 over the script and everything it imports or uses as an asset; the record compares it.
    pub digest: String,
    /// Where it came from, for messages: a path, or `<embedded>/features/x.rhai`.
    pub path: String,
}

impl ScriptKind {
    /// The kinds of script that a name may mean, the likelier first, and the name by itself: a feature and an app may be
    /// called the same, and `features/x` and `apps/x` tell them apart.
    pub fn of_name(name: &str) -> (&'static [ScriptKind], &str) {
        match name.split_once('/') {
            Some(("features", name)) => (&[ScriptKind::Feature], name),
            Some(("apps", name)) => (&[ScriptKind::App], name),
            _ => (&[ScriptKind::Feature, ScriptKind::App], name),
        }
    }

    /// Whether somebody who says `asked` means the script of this kind and name.
    pub fn is_meant(self, name: &str, asked: &str) -> bool {
        let (kinds, asked) = ScriptKind::of_name(asked);
        kinds.contains(&self) && asked == name
    }
}

/// All scripts that were found, by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Features by name.
    pub features: BTreeMap<String, ScriptSpec>,
    /// Apps by name.
    pub apps: BTreeMap<String, ScriptSpec>,
}

impl Catalogue {
    /// The script with this name.
    pub fn get(&self, kind: ScriptKind, name: &str) -> Option<&ScriptSpec> {
        match kind {
            ScriptKind::Feature => self.features.get(name),
            ScriptKind::App => self.apps.get(name),
        }
    }

    /// The feature or app that a name means, as [`ScriptKind::of_name`] reads it.
    pub fn named(&self, name: &str) -> Option<&ScriptSpec> {
        let (kinds, name) = ScriptKind::of_name(name);
        kinds.iter().find_map(|kind| self.get(*kind, name))
    }
}

/// What the scripts of a guest ask of Proxmox before it is configured: the answers of their `prepare`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prepared {
    /// Device nodes handed in (`devN`): path on the node -> mode, e.g. `/dev/fuse` -> `0666`.
    pub devices: BTreeMap<String, String>,
    /// Directories shown inside.
    pub mounts: Vec<super::BindMount>,
    /// Proxmox features: `nesting` -> `1`.
    pub features: BTreeMap<String, String>,
    /// Raw `lxc.*` lines.
    pub lines: Vec<(String, String)>,
}
