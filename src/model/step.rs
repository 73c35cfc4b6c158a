//! The stages of a guest's life, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One stage of a guest's life.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Scripts say what the guest needs.
    Prepare,
    /// Created from a template, or cloned.
    Define,
    /// One `set` with every differing key.
    Configure,
    /// Volumes, mounts, sizes.
    Storage,
    /// Firewall file.
    Firewall,
    /// Started.
    Start,
    /// Init or agent, network, cloud-init.
    Ready,
    /// Volumes mounted inside.
    Mount,
    /// A snapshot of this name.
    Snapshot(String),
    /// A feature of this name.
    Feature(String),
    /// The app of this name.
    App(String),
    /// Health of everything applied.
    Health,
    /// What made it this machine and no other is removed, for its clones to get their own (templates of virtual machines).
    Clean,
    /// Stopped (clone sources that are not meant to run).
    Stop,
    /// Converted to a template.
    Template,
    /// Destroyed.
    Destroy,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Prepare => f.pad("prepare"),
            Step::Define => f.pad("define"),
            Step::Configure => f.pad("configure"),
            Step::Storage => f.pad("storage"),
            Step::Firewall => f.pad("firewall"),
            Step::Start => f.pad("start"),
            Step::Ready => f.pad("ready"),
            Step::Mount => f.pad("mount"),
            Step::Snapshot(name) => f.pad(&format!("snapshot {name}")),
            Step::Feature(name) => f.pad(&format!("feature {name}")),
            Step::App(name) => f.pad(&format!("app {name}")),
            Step::Health => f.pad("health"),
            Step::Clean => f.pad("clean"),
            Step::Stop => f.pad("stop"),
            Step::Template => f.pad("template"),
            Step::Destroy => f.pad("destroy"),
        }
    }
}
