//! Guest ids and kinds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Proxmox guest id: 100 to 999 999 999, unique over containers and virtual machines of the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct GuestId(u32);

/// A number outside Proxmox's range of guest ids, or no number at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no guest id: expected a whole number from 100 to 999999999")]
pub struct InvalidGuestId(pub String);

impl GuestId {
    /// The id as a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for GuestId {
    type Error = InvalidGuestId;

    fn try_from(id: u32) -> Result<Self, Self::Error> {
        if (100..=999_999_999).contains(&id) { Ok(Self(id)) } else { Err(InvalidGuestId(id.to_string())) }
    }
}

impl From<GuestId> for u32 {
    fn from(id: GuestId) -> u32 {
        id.0
    }
}

impl FromStr for GuestId {
    type Err = InvalidGuestId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u32>().map_err(|_| InvalidGuestId(text.to_owned()))?.try_into()
    }
}

impl fmt::Display for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The two kinds of guest that Proxmox runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestKind {
    /// A container (`pct`).
    Lxc,
    /// A virtual machine (`qm`).
    Vm,
}

impl GuestKind {
    /// The word used in messages: `container` or `virtual machine`.
    pub const fn noun(self) -> &'static str {
        match self {
            GuestKind::Lxc => "container",
            GuestKind::Vm => "virtual machine",
        }
    }
}

impl fmt::Display for GuestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            GuestKind::Lxc => "lxc",
            GuestKind::Vm => "vm",
        })
    }
}
