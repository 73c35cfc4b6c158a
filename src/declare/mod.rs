//! From a node to declarations: a starting configuration for a node as it is (`init`), and the declaration of guests
//! that are there already (`import`). Nothing here changes a node or writes a file.
//!
//! | file | what |
//! |---|---|
//! | `survey` | what the node offers: storages, networks, templates, who is there |
//! | `choice` | what is chosen of it, and why |
//! | `minimal`, `platform` | the two starting configurations |
//! | `guest` | the declaration of one guest that is there |
//! | `layout` | how JSON is laid out in configuration files |

mod choice;
mod guest;
mod layout;
mod minimal;
mod platform;
mod survey;

use std::net::Ipv4Addr;

use serde::Serialize;

pub use choice::Unable;
pub use guest::{Declared, Left, declare};
pub use survey::Survey;

use crate::host::Host;
use crate::model::{Cidr, GuestId};

/// What a starting configuration declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One base and one guest.
    Minimal,
    /// The platform that comes with phoenix.
    Platform,
}

/// What the operator said instead of what would be chosen.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Bridge of the guests.
    pub bridge: Option<String>,
    /// Storage of their disks.
    pub storage: Option<String>,
    /// Network of their addresses.
    pub subnet: Option<Cidr>,
    /// Their way out.
    pub gateway: Option<Ipv4Addr>,
    /// Their ids begin here.
    pub first_id: Option<GuestId>,
}

/// Something that was chosen, for the operator to judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// What: `bridge`.
    pub what: &'static str,
    /// `vmbr0`.
    pub value: String,
    /// Why this one.
    pub why: String,
}

/// A starting configuration.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Files by their path in the configuration directory.
    pub files: Vec<(String, String)>,
    /// What was chosen.
    pub chosen: Vec<Chosen>,
    /// Its guests; the last one needs all others.
    pub guests: Vec<GuestId>,
}

/// A starting configuration for the node as it was surveyed. The host is asked once more, for who answers at the
/// addresses that would be given.
///
/// # Errors
/// When something cannot be chosen, or a wish cannot be granted.
pub fn propose(survey: &Survey, host: &dyn Host, extent: Extent, wishes: &Wishes) -> Result<Proposal, Unable> {
    match extent {
        Extent::Minimal => minimal::propose(survey, host, wishes),
        Extent::Platform => platform::propose(survey, host, wishes),
    }
}
